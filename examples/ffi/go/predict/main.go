// Loads a checkpoint in one goroutine, predicts the made-up rows in four others, and prints the bits of the
// probabilities; then the same with a frozen copy.
//
// Usage: predict MODEL
package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"example.com/home"
	"example.com/home/internal/rows"
)

const (
	workers = 4
	share   = rows.Count / workers
)

type result struct {
	predictions []float32
	err         error
}

func predict(model *home.Model) error {
	var results [workers]chan result
	for i := range results {
		results[i] = make(chan result, 1)
		go func(i int) {
			predictions, err := model.Predict(rows.Make(model, i*share, (i+1)*share))
			results[i] <- result{predictions, err}
		}(i)
	}
	tasks := len(model.Tasks())
	for _, worker := range results {
		made := <-worker
		if made.err != nil {
			return made.err
		}
		for ; len(made.predictions) > 0; made.predictions = made.predictions[tasks:] {
			var bits []string
			for _, probability := range made.predictions[:tasks] {
				bits = append(bits, fmt.Sprintf("%08x", math.Float32bits(probability)))
			}
			fmt.Println(strings.Join(bits, " "))
		}
	}
	return nil
}

func run(path string) error {
	var model *home.Model
	loaded := make(chan error)
	go func() {
		var err error
		model, err = home.Load(path)
		loaded <- err
	}()
	if err := <-loaded; err != nil {
		return err
	}
	defer model.Close()
	frozen, err := model.Freeze()
	if err != nil {
		return err
	}
	defer frozen.Close()
	if err := predict(model); err != nil {
		return err
	}
	return predict(frozen)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: predict MODEL")
		os.Exit(2)
	}
	err := run(os.Args[1])
	var refused *home.Error
	if errors.As(err, &refused) {
		fmt.Fprintf(os.Stderr, "error %d: %s\n", refused.Status, refused.Message)
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil {
		os.Exit(1)
	}
}
