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

func TestWeightsOfIds(t *testing.T) {
	model, batch, expected := load(t)
	weights := make([][]float32, len(batch.Fields))
	for f := range batch.Fields {
		weights[f] = make([]float32, len(batch.Fields[f].IDs))
		for i := range weights[f] {
			weights[f][i] = 1
		}
	}
	for f := range batch.Fields { // one field after the other: those without have 1
		batch.Fields[f].Weights = weights[f]
		if !reflect.DeepEqual(predict(t, model, batch), expected) {
			t.Error("weights of 1 change predictions")
		}
	}
	weights[2][0] = 3
	if reflect.DeepEqual(predict(t, model, batch), expected) {
		t.Error("a weight of 3 changes nothing")
	}
	weights[1][0] = -1 // of a mean
	var refused *home.Error
	if _, err := model.Predict(batch); !errors.As(err, &refused) || refused.Status != 3 {
		t.Error(err)
	}
	batch.Fields[0].Weights = weights[0][1:]
	if _, err := model.Predict(batch); err == nil || !strings.Contains(err.Error(), `field "user": 63 weights`) {
		t.Error(err)
	}
}

// Offsets need not begin at 0 nor end at the last id.
func TestOffsetsIntoMore(t *testing.T) {
	model, batch, expected := load(t)
	field := &batch.Fields[1]
	field.IDs = append(append([]uint64{7, 7}, field.IDs...), 9)
	shifted := make([]int, len(field.Offsets))
	for i, offset := range field.Offsets {
		shifted[i] = offset + 2
	}
	field.Offsets = shifted
	if !reflect.DeepEqual(predict(t, model, batch), expected) {
		t.Error("other predictions")
	}
}

func TestLogits(t *testing.T) {
	model, batch, expected := load(t)
	predictions, logits, err := model.PredictLogits(batch)
	if err != nil || !reflect.DeepEqual(predictions, expected) || len(logits) != len(predictions) {
		t.Fatal(err)
	}
	for i, x := range logits {
		if math.Abs(1/(1+math.Exp(-float64(x)))-float64(predictions[i])) > 1e-6 {
			t.Error(i, x, predictions[i])
		}
	}
}

func TestLoadFrozenAndWithinLimits(t *testing.T) {
	model, batch, _ := load(t)
	copied, err := model.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	frozen, err := home.LoadWith(os.Getenv("HOME_MODEL"), home.Options{Frozen: true, ISA: "portable"})
	if err != nil {
		t.Fatal(err)
	}
	a, b := predict(t, frozen, batch), predict(t, copied, batch)
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-5 { // of other instructions
			t.Error(i, a[i], b[i])
		}
	}
	var refused *home.Error
	if _, err := frozen.Freeze(); !errors.As(err, &refused) || refused.Status != 2 {
		t.Error(err)
	}
	for status, options := range map[int]home.Options{11: {MemoryLimit: 1000}, 1: {ISA: "z80"}} {
		if _, err := home.LoadWith(os.Getenv("HOME_MODEL"), options); !errors.As(err, &refused) ||
			refused.Status != status {
			t.Error(err)
		}
	}
}

func TestMetrics(t *testing.T) {
	metrics, err := home.NewMetrics(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := home.Rows{
		Predictions: []float32{0.1, 0.4, 0.35, 0.8}, Labels: []float32{0, 0, 1, 1},
		Users: []uint64{7, home.NoUser, 7, home.NoUser}, RowWeights: []float32{2, 1, 1, 1},
	}
	if err := metrics.Add(rows); err != nil {
		t.Fatal(err)
	}
	result, err := metrics.Result(0)
	if err != nil || result.Rows != 4 || result.NoUserRows != 2 || result.GAUCUsers != 1 || result.Weight != 5 {
		t.Error(result, err)
	}
	bytes, err := metrics.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if err := metrics.MergeBytes(bytes); err != nil {
		t.Error(err)
	}
	if result, _ := metrics.Result(0); result.Rows != 8 {
		t.Error(result)
	}
	var refused *home.Error
	if err := metrics.MergeBytes(bytes[1:]); !errors.As(err, &refused) {
		t.Error(err)
	}
	if _, err := metrics.Result(1); !errors.As(err, &refused) || refused.Status != 4 {
		t.Error(err)
	}
	for _, wrong := range []home.Rows{{Labels: rows.Labels}, {Predictions: rows.Predictions, Labels: rows.Labels,
		Users: rows.Users[1:]}, {Predictions: rows.Predictions, Labels: rows.Labels, Weights: rows.RowWeights[1:]}} {
		if metrics.Add(wrong) == nil {
			t.Error("wrong lengths are taken")
		}
	}
	if err := metrics.Reset(); err != nil {
		t.Error(err)
	}
	if result, _ := metrics.Result(0); result.Rows != 0 {
		t.Error(result)
	}
	metrics.Close()
	metrics.Close()
	if metrics.Add(rows) != home.ErrClosed || metrics.Reset() != home.ErrClosed {
		t.Error("closed metrics are used")
	}
	if _, err := home.NewMetrics(0, 0); err == nil {
		t.Error("metrics of no task")
	}
}
