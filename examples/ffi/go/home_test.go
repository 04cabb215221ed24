package home_test

import (
	"errors"
	"math"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"example.com/home"
	"example.com/home/internal/rows"
)

// load opens the model of $HOME_MODEL, a checkpoint of ../ids.json.
func load(t *testing.T) (*home.Model, home.Batch, []float32) {
	t.Helper()
	model, err := home.Load(os.Getenv("HOME_MODEL"))
	if err != nil {
		t.Fatal(err)
	}
	batch := rows.Make(model, 0, rows.Count)
	return model, batch, predict(t, model, batch)
}

func predict(t *testing.T, model *home.Model, batch home.Batch) []float32 {
	t.Helper()
	predictions, err := model.Predict(batch)
	if err != nil {
		t.Fatal(err)
	}
	return predictions
}

func TestNames(t *testing.T) {
	model, _, _ := load(t)
	if !reflect.DeepEqual(model.Fields(), []string{"user", "liked", "watched"}) ||
		!reflect.DeepEqual(model.Tasks(), []string{"like", "follow", "finish"}) || model.DenseWidth() != 3 {
		t.Error(model.Fields(), model.Tasks(), model.DenseWidth())
	}
}

func TestErrorsCarryTheLibrarysMessage(t *testing.T) {
	_, err := home.Load("/nowhere/model.safetensors")
	var refused *home.Error
	if !errors.As(err, &refused) || refused.Status != 30 || !strings.Contains(err.Error(), "/nowhere/") {
		t.Error(err)
	}
	model, _, expected := load(t)
	for _, threads := range []int{-1, 0, 1025} {
		err := model.SetThreads(threads)
		if !errors.As(err, &refused) || refused.Status != 1 || !strings.Contains(err.Error(), strconv.Itoa(threads)) {
			t.Error(err)
		}
	}
	if _, err := home.Load("nul\x00x"); !errors.As(err, &refused) || refused.Status != 1 {
		t.Error(err)
	}
	if err := model.SetThreads(2); err != nil {
		t.Error(err)
	}
	if got := predict(t, model, rows.Make(model, 0, rows.Count)); !reflect.DeepEqual(got, expected) {
		t.Error("two threads inside change the predictions")
	}
}

// Slices of larger arrays are read where they begin.
func TestSlices(t *testing.T) {
	model, batch, expected := load(t)
	batch.Dense = append([]float32{9, 9, 9}, append(batch.Dense, 9)...)[3 : 3+len(batch.Dense)]
	for f, field := range batch.Fields {
		n := len(field.IDs)
		batch.Fields[f].IDs = append([]uint64{1 << 63}, append(field.IDs, 1<<63)...)[1 : 1+n : 1+n]
	}
	if got := predict(t, model, batch); !reflect.DeepEqual(got, expected) {
		t.Error("slices of larger arrays change the predictions")
	}
}

func TestStride(t *testing.T) {
	model, batch, expected := load(t)
	dense := batch.Dense
	batch.Stride = model.DenseWidth() + 2
	batch.Dense = make([]float32, batch.Rows*batch.Stride-2)
	for i := range batch.Dense {
		batch.Dense[i] = float32(math.NaN())
	}
	for r := 0; r < batch.Rows; r++ {
		copy(batch.Dense[r*batch.Stride:], dense[r*model.DenseWidth():(r+1)*model.DenseWidth()])
	}
	if !reflect.DeepEqual(predict(t, model, batch), expected) {
		t.Error("a stride changes the predictions")
	}
}

func TestWrongLengthsNeverReachC(t *testing.T) {
	model, _, _ := load(t)
	for i, change := range []func(*home.Batch){
		func(b *home.Batch) { b.Dense = b.Dense[1:] },
		func(b *home.Batch) { b.Dense = nil },
		func(b *home.Batch) { b.Stride = 2 },
		func(b *home.Batch) { b.Stride = -3 },
		func(b *home.Batch) { b.Stride = math.MaxInt },
		func(b *home.Batch) { b.Rows++ },
		func(b *home.Batch) { b.Rows = -1 },
		func(b *home.Batch) { b.Fields = b.Fields[1:] },
		func(b *home.Batch) { b.Fields[0].IDs = b.Fields[0].IDs[1:] },
		func(b *home.Batch) { b.Fields[1].IDs = b.Fields[1].IDs[1:] },
		func(b *home.Batch) { b.Fields[1].Offsets = b.Fields[1].Offsets[1:] },
		func(b *home.Batch) { b.Fields[1].Offsets[0] = -1 },
		func(b *home.Batch) { b.Fields[1].Offsets[5] = 2 },
	} {
		batch := rows.Make(model, 0, rows.Count)
		change(&batch)
		if _, err := model.Predict(batch); err == nil {
			t.Errorf("change %d is not refused", i)
		}
	}
}

func TestFrozenCopyOutlivesTheModel(t *testing.T) {
	model, batch, expected := load(t)
	frozen, err := model.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	model.Close()
	for i, p := range predict(t, frozen, batch) {
		if math.Abs(float64(p-expected[i])) > 1e-5 {
			t.Fatal(p, expected[i])
		}
	}
}

func TestClosedModelRefuses(t *testing.T) {
	model, batch, _ := load(t)
	model.Close()
	model.Close()
	_, predicting := model.Predict(batch)
	_, freezing := model.Freeze()
	for _, err := range []error{predicting, freezing, model.SetThreads(1)} {
		if err != home.ErrClosed {
			t.Error(err)
		}
	}
}

// Models are forgotten or closed while goroutines predict with them and the garbage collector runs.
func TestGoroutines(t *testing.T) {
	var group sync.WaitGroup
	for round := 0; round < 10; round++ {
		model, batch, expected := load(t)
		for i := 0; i < 4; i++ {
			group.Add(1)
			go func(model *home.Model) {
				defer group.Done()
				for n := 0; n < 20; n++ {
					predictions, err := model.Predict(batch)
					if err == home.ErrClosed {
						return
					}
					if err != nil || !reflect.DeepEqual(predictions, expected) {
						t.Error("another prediction", err)
					}
				}
			}(model)
		}
		if round%2 == 0 {
			model.Close()
		}
		model = nil
		runtime.GC()
	}
	group.Wait()
}

// 400 KB each, of which the garbage collector knows nothing: kept, they would be more than a gigabyte.
func TestForgottenModelsAreFreed(t *testing.T) {
	before := residentKilobytes(t)
	for i := 0; i < 3000; i++ {
		if _, err := home.Load(os.Getenv("HOME_MODEL")); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			runtime.GC()
		}
	}
	if grown := residentKilobytes(t) - before; grown > 400_000 {
		t.Errorf("memory has grown by %d KB", grown)
	}
}

func residentKilobytes(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, line, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.Atoi(strings.Fields(line)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes
}
