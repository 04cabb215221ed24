// Package home is libhome for Go, by cgo; serving only.
//
//	model, err := home.LoadWith("model.safetensors", home.Options{Frozen: true})
//	probabilities, err := model.Predict(home.Batch{Rows: n, Dense: values})
//
// A Model may be used by any number of goroutines. Predict, Freeze and the like run at the same time;
// SetThreads and Close wait until they have the model for themselves.
//
// Not wrapped, of home.h:
//
//   - making: home_model_create, home_model_create_json, home_config_check, home_config_check_json,
//     home_model_load_memory, home_model_retain
//   - predicting from structs: home_model_predict, home_model_predict_logits; here it is done by
//     home_model_predict_flat
//   - training: home_model_forward, home_model_forward_flat, home_model_logits, home_model_backward,
//     home_model_backward_from, home_model_step, home_model_task_gradient, home_model_gradient,
//     home_model_table_gradient, home_model_input_gradient, home_model_set_gradient,
//     home_model_set_table_gradient, home_model_unit_gradient_norm, home_model_gradient_norm,
//     home_model_step_count, home_model_set_learning_rate, home_model_set_embedding_learning_rate,
//     home_model_set_task_weight, home_model_set_norm_momentum, home_model_set_trained,
//     home_model_learning_rate, home_model_embedding_learning_rate, home_model_task_weight,
//     home_model_norm_momentum
//   - serving: home_workspace_size, home_workspace_init, home_workspace_fits, home_image_write,
//     home_image_model_size, home_image_open, home_model_set_parallel, home_model_block_rows
//   - files: home_model_save, home_model_serialize, home_model_load_weights, home_model_set_metadata,
//     home_model_metadata, home_checkpoint_*
//   - a look inside: home_model_config_json, home_model_topology_json, home_model_isa, home_model_is_frozen,
//     home_model_parameter_count, home_model_macs_per_row, home_model_bytes, home_model_check_names,
//     home_model_dense_name, home_model_field_index, home_model_task_index, home_model_table_count,
//     home_model_table_name, home_model_table_index, home_model_layer_count, home_model_unit_count,
//     home_model_unit_name, home_model_unit_index, home_model_tensor_count, home_model_tensor_at,
//     home_model_tensor, home_model_set_tensor
//   - figures: home_metrics_merge, home_health_*
//   - the rest: home_version, home_version_string, home_hash_id
package home

/*
#cgo CFLAGS: -I${SRCDIR}/../../../include
#cgo LDFLAGS: -L${SRCDIR}/../../../build -lhome -Wl,-rpath,${SRCDIR}/../../../build
#include <home/home.h>
#include <stdlib.h>

// Go lends C memory that holds no pointer to Go's own, so a struct with pointers is filled here.
static home_status add_rows(home_metrics *metrics, size_t rows, const float *predictions,
                            const float *labels, const uint64_t *users, const float *row_weights,
                            const float *weights, home_error *error) {
    home_metrics_rows added = {sizeof added};
    added.rows = rows;
    added.predictions = predictions;
    added.labels = labels;
    added.users = users;
    added.row_weights = row_weights;
    added.weights = weights;
    return home_metrics_add(metrics, &added, error);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"unsafe"
)

// Error is what the library refused.
type Error struct {
	Status  int // HOME_E_* of home.h
	Message string
}

func (e *Error) Error() string { return e.Message }

// ErrClosed is returned by the methods of a model or of metrics that are closed.
var ErrClosed = errors.New("home: closed")

// Batch is rows to predict. No goroutine may change them during a call.
type Batch struct {
	Rows   int
	Dense  []float32 // rows of DenseWidth() values
	Stride int       // elements of Dense from one row to the next; 0: the rows touch
	Fields []Ids     // in the order of the configuration
}

// Ids are those of one field: row r has IDs[Offsets[r]:Offsets[r+1]]; without Offsets each row has one. Weights, if
// any, are one for each of IDs.
type Ids struct {
	IDs     []uint64
	Offsets []int
	Weights []float32
}

// Options say how a model is loaded.
type Options struct {
	Frozen      bool   // straight to a frozen model, in less time and memory
	MemoryLimit uint64 // the most bytes that it may take; 0: home.h has the default
	ISA         string // the best instruction set that it may use; "": any
}

// Model is a model that can predict. One that is forgotten is freed with the garbage; Close frees it at once. It is
// used by its pointer and must not be copied, as the lock in it, which go vet watches over.
type Model struct {
	mu         sync.RWMutex // readers are in functions that take a const home_model *
	handle     *C.home_model
	denseWidth int
	fields     []string
	tasks      []string
}

// Load makes a model from a checkpoint. It fails with an *Error; home.h lists the statuses under home_model_load.
// Any goroutine may call it.
func Load(path string) (*Model, error) { return LoadWith(path, Options{}) }

// LoadWith is Load with options.
func LoadWith(path string, o Options) (*Model, error) {
	if strings.IndexByte(path, 0) >= 0 || strings.IndexByte(o.ISA, 0) >= 0 {
		return nil, refused("a zero byte in the path %q or in ISA", path)
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	options := C.home_load_options{struct_size: C.sizeof_home_load_options}
	options.memory_limit = C.uint64_t(o.MemoryLimit)
	if o.Frozen {
		options.frozen = C.HOME_ON
	}
	if o.ISA != "" {
		options.isa = C.CString(o.ISA)
		defer C.free(unsafe.Pointer(options.isa))
	}
	return made(func(model **C.home_model, e *C.home_error) C.home_status {
		return C.home_model_load(name, &options, model, e)
	})
}

// Freeze makes a read-only copy for serving, which lives on its own. It fails with ErrClosed, or an *Error of
// HOME_E_STATE for a frozen model and HOME_E_MEMORY. Any number of goroutines may be inside.
func (m *Model) Freeze() (*Model, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.handle == nil {
		return nil, ErrClosed
	}
	return made(func(model **C.home_model, e *C.home_error) C.home_status {
		return C.home_model_freeze(m.handle, model, e)
	})
}

// Predict returns probabilities, len(Tasks()) for each row. It fails where lengths or offsets do not fit; with an
// *Error of HOME_E_VALUE where an id is out of range, and of HOME_E_MEMORY; and with ErrClosed. Any number of
// goroutines may be inside.
func (m *Model) Predict(b Batch) ([]float32, error) {
	predictions, _, err := m.predict(b, false)
	return predictions, err
}

// PredictLogits is Predict with the logits, the towers' outputs before the sigmoid.
func (m *Model) PredictLogits(b Batch) (predictions, logits []float32, err error) {
	return m.predict(b, true)
}

func (m *Model) predict(b Batch, withLogits bool) (predictions, logits []float32, err error) {
	if err := m.check(b); err != nil {
		return nil, nil, err
	}
	ids, offsets, weights := flatten(b)
	predictions = make([]float32, b.Rows*len(m.tasks))
	if withLogits {
		logits = make([]float32, len(predictions))
	}

	m.mu.RLock()
	defer m.mu.RUnlock() // also keeps m, and so the handle, alive during the call
	if m.handle == nil {
		return nil, nil, ErrClosed
	}
	err = call(func(e *C.home_error) C.home_status {
		return C.home_model_predict_flat(m.handle, C.size_t(b.Rows), (*C.float)(first(b.Dense)), C.size_t(b.Stride),
			(*C.uint64_t)(first(ids)), C.size_t(len(ids)), first(offsets), (*C.float)(first(weights)),
			(*C.float)(first(predictions)), 0, (*C.float)(first(logits)), 0, nil, e)
	})
	if err != nil {
		return nil, nil, err
	}
	return predictions, logits, nil
}

// SetThreads lets each call use n threads of the model's own, 1 to 1024; results do not change. It fails with
// ErrClosed, or an *Error of HOME_E_ARGUMENT for another n and HOME_E_MEMORY. It waits until it has the model for
// itself.
func (m *Model) SetThreads(n int) error {
	if n < 1 {
		return refused("%d threads, expected 1 to 1024", n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handle == nil {
		return ErrClosed
	}
	return call(func(e *C.home_error) C.home_status {
		return C.home_model_set_threads(m.handle, C.size_t(n), e)
	})
}

// DenseWidth is how many dense values a row has.
func (m *Model) DenseWidth() int { return m.denseWidth }

// Fields names the id fields.
func (m *Model) Fields() []string { return append([]string(nil), m.fields...) }

// Tasks names what is predicted.
func (m *Model) Tasks() []string { return append([]string(nil), m.tasks...) }

// Close frees the model once no other goroutine is using it. It may be called twice, and always returns nil.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	C.home_model_release(m.handle) // nil is allowed
	m.handle = nil
	return nil
}

// check is for what C cannot see: the lengths behind its pointers.
func (m *Model) check(b Batch) error {
	stride := b.Stride
	if stride == 0 {
		stride = m.denseWidth
	}
	n := len(b.Dense)
	if b.Rows < 0 || stride < m.denseWidth ||
		b.Rows > 0 && m.denseWidth > 0 && (n < m.denseWidth || (n-m.denseWidth)/stride < b.Rows-1) {
		return fmt.Errorf("home: %d dense values with stride %d are not %d rows of %d", n, b.Stride, b.Rows,
			m.denseWidth)
	}
	if len(b.Fields) != len(m.fields) {
		return fmt.Errorf("home: a batch of %d fields, expected %d", len(b.Fields), len(m.fields))
	}
	for f, field := range b.Fields {
		if err := field.check(b.Rows); err != nil {
			return fmt.Errorf("home: field %q: %w", m.fields[f], err)
		}
	}
	return nil
}

func (i Ids) check(rows int) error {
	if i.Weights != nil && len(i.Weights) != len(i.IDs) {
		return fmt.Errorf("%d weights for %d ids", len(i.Weights), len(i.IDs))
	}
	if i.Offsets == nil {
		if len(i.IDs) != rows {
			return fmt.Errorf("%d ids for %d rows", len(i.IDs), rows)
		}
		return nil
	}
	if len(i.Offsets) != rows+1 {
		return fmt.Errorf("%d offsets, expected %d", len(i.Offsets), rows+1)
	}
	last := 0
	for _, offset := range i.Offsets {
		if offset < last || offset > len(i.IDs) {
			return fmt.Errorf("offset %d after %d, of %d ids", offset, last, len(i.IDs))
		}
		last = offset
	}
	return nil
}

// flatten copies the ids of all fields into one array, with offsets into it and, if any field has some, weights.
func flatten(b Batch) (ids []uint64, offsets []C.size_t, weights []float32) {
	weighted := false
	offsets = append(offsets, 0)
	for _, field := range b.Fields {
		weighted = weighted || field.Weights != nil
		begin, end := 0, len(field.IDs)
		if field.Offsets != nil {
			begin, end = field.Offsets[0], field.Offsets[b.Rows]
		}
		base := len(ids) - begin
		ids = append(ids, field.IDs[begin:end]...)
		for r := 1; r <= b.Rows; r++ {
			offset := r
			if field.Offsets != nil {
				offset = field.Offsets[r]
			}
			offsets = append(offsets, C.size_t(base+offset))
		}
	}
	if weighted {
		weights = weigh(b, len(ids))
	}
	return ids, offsets, weights
}

// weigh gives those of the ids that flatten copies, 1 where a field has none.
func weigh(b Batch, count int) []float32 {
	weights := make([]float32, 0, count)
	for _, field := range b.Fields {
		begin, end := 0, len(field.IDs)
		if field.Offsets != nil {
			begin, end = field.Offsets[0], field.Offsets[b.Rows]
		}
		for i := begin; i < end; i++ {
			weight := float32(1)
			if field.Weights != nil {
				weight = field.Weights[i]
			}
			weights = append(weights, weight)
		}
	}
	return weights
}

func first[T any](values []T) *T {
	if len(values) == 0 {
		return nil
	}
	return &values[0]
}

func call(function func(*C.home_error) C.home_status) error {
	var e C.home_error
	e.struct_size = C.sizeof_home_error
	status := function(&e)
	if status == C.HOME_OK {
		return nil
	}
	message := C.GoString(&e.message[0])
	if message == "" {
		message = C.GoString(C.home_status_string(status))
	}
	return &Error{int(status), message}
}

func refused(format string, values ...any) error {
	return &Error{C.HOME_E_ARGUMENT, fmt.Sprintf(format, values...)}
}

func made(function func(**C.home_model, *C.home_error) C.home_status) (*Model, error) {
	m := new(Model)
	if err := call(func(e *C.home_error) C.home_status { return function(&m.handle, e) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(m, (*Model).Close)
	m.denseWidth = int(C.home_model_dense_width(m.handle))
	for f := C.size_t(0); f < C.home_model_field_count(m.handle); f++ {
		m.fields = append(m.fields, C.GoString(C.home_model_field_name(m.handle, f)))
	}
	for t := C.size_t(0); t < C.home_model_task_count(m.handle); t++ {
		m.tasks = append(m.tasks, C.GoString(C.home_model_task_name(m.handle, t)))
	}
	return m, nil
}

// NoUser stands in place of a user: the row belongs to nobody.
const NoUser = math.MaxUint64

// Rows are what Metrics counts: Predictions and Labels for each row and task, a label that is NaN is missing.
type Rows struct {
	Predictions []float32
	Labels      []float32
	Users       []uint64  // one a row, NoUser for none; nil: no row has a user
	RowWeights  []float32 // one a row; nil: all 1
	Weights     []float32 // one for each row and task; nil: all 1
}

// TaskMetrics are the figures of a task; home.h explains them under home_metric_result. NaN: not defined.
type TaskMetrics struct {
	Rows, NoUserRows, Positives                    uint64
	Weight, MeanPrediction, MeanLabel, Calibration float64
	LogLoss, AUC, AUCError, GAUC, GAUCError        float64
	GAUCShare                                      float64
	GAUCUsers, GAUCRows                            uint64
	RMSE, MAE                                      float64
}

// Metrics tells how good predictions are, over any number of batches. Any number of goroutines may use it.
type Metrics struct {
	mu     sync.RWMutex
	handle *C.home_metrics
	tasks  int
}

// NewMetrics makes an empty one for so many binary tasks. maxBytes is the most memory that it may take, with errors
// that the figures state; 0: all rows are kept. It fails with an *Error of HOME_E_ARGUMENT or HOME_E_MEMORY.
func NewMetrics(tasks int, maxBytes int) (*Metrics, error) {
	if tasks < 1 || maxBytes < 0 {
		return nil, refused("%d tasks and %d bytes, expected at least 1 and 0", tasks, maxBytes)
	}
	m := &Metrics{tasks: tasks}
	options := C.home_metrics_options{struct_size: C.sizeof_home_metrics_options}
	options.tasks = C.size_t(tasks)
	options.max_bytes = C.size_t(maxBytes)
	err := call(func(e *C.home_error) C.home_status { return C.home_metrics_create(&options, &m.handle, e) })
	if err != nil {
		return nil, err
	}
	runtime.SetFinalizer(m, (*Metrics).Close)
	return m, nil
}

// Close frees it. It may be called twice, and always returns nil.
func (m *Metrics) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	C.home_metrics_destroy(m.handle) // nil is allowed
	m.handle = nil
	return nil
}

// Add counts rows. It fails where lengths do not fit, with an *Error of HOME_E_VALUE for a label, a prediction or a
// weight that is not allowed, and with ErrClosed; it then holds what it held before.
func (m *Metrics) Add(r Rows) error {
	n := len(r.Labels) / m.tasks
	if n*m.tasks != len(r.Labels) || len(r.Predictions) != len(r.Labels) {
		return fmt.Errorf("home: %d predictions and %d labels of %d tasks", len(r.Predictions), len(r.Labels), m.tasks)
	}
	if r.Users != nil && len(r.Users) != n || r.RowWeights != nil && len(r.RowWeights) != n ||
		r.Weights != nil && len(r.Weights) != len(r.Labels) {
		return fmt.Errorf("home: %d users, %d row weights and %d weights for %d rows", len(r.Users), len(r.RowWeights),
			len(r.Weights), n)
	}
	return m.change(func(e *C.home_error) C.home_status {
		return C.add_rows(m.handle, C.size_t(n), (*C.float)(first(r.Predictions)), (*C.float)(first(r.Labels)),
			(*C.uint64_t)(first(r.Users)), (*C.float)(first(r.RowWeights)), (*C.float)(first(r.Weights)), e)
	})
}

// Reset forgets all rows.
func (m *Metrics) Reset() error {
	return m.change(func(*C.home_error) C.home_status {
		C.home_metrics_reset(m.handle)
		return C.HOME_OK
	})
}

// MergeBytes adds what Bytes has made of another one, on any machine. It fails with an *Error; home.h lists the
// statuses under home_metrics_merge_bytes.
func (m *Metrics) MergeBytes(bytes []byte) error {
	return m.change(func(e *C.home_error) C.home_status {
		return C.home_metrics_merge_bytes(m.handle, unsafe.Pointer(first(bytes)), C.size_t(len(bytes)), e)
	})
}

// Bytes is all it holds.
func (m *Metrics) Bytes() ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.handle == nil {
		return nil, ErrClosed
	}
	var length C.size_t
	err := call(func(e *C.home_error) C.home_status {
		return C.home_metrics_serialize(m.handle, nil, 0, &length, e)
	})
	if err != nil {
		return nil, err
	}
	bytes := make([]byte, int(length))
	err = call(func(e *C.home_error) C.home_status {
		return C.home_metrics_serialize(m.handle, unsafe.Pointer(first(bytes)), length, &length, e)
	})
	return bytes, err
}

// Result is the figures of a task. It fails with an *Error of HOME_E_NOT_FOUND or HOME_E_MEMORY.
func (m *Metrics) Result(task int) (TaskMetrics, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.handle == nil {
		return TaskMetrics{}, ErrClosed
	}
	r := C.home_metric_result{struct_size: C.sizeof_home_metric_result}
	err := call(func(e *C.home_error) C.home_status {
		return C.home_metrics_result(m.handle, C.size_t(task), &r, e)
	})
	if err != nil {
		return TaskMetrics{}, err
	}
	return TaskMetrics{
		Rows: uint64(r.rows), NoUserRows: uint64(r.no_user_rows), Positives: uint64(r.positives),
		Weight: float64(r.weight), MeanPrediction: float64(r.mean_prediction), MeanLabel: float64(r.mean_label),
		Calibration: float64(r.calibration), LogLoss: float64(r.log_loss), AUC: float64(r.auc),
		AUCError: float64(r.auc_error), GAUC: float64(r.gauc), GAUCError: float64(r.gauc_error),
		GAUCShare: float64(r.gauc_share), GAUCUsers: uint64(r.gauc_users), GAUCRows: uint64(r.gauc_rows),
		RMSE: float64(r.rmse), MAE: float64(r.mae),
	}, nil
}

func (m *Metrics) change(function func(*C.home_error) C.home_status) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handle == nil {
		return ErrClosed
	}
	return call(function)
}
