// Package home is libhome for Go, by cgo; serving only.
//
//	model, err := home.Load("model.safetensors")
//	frozen, err := model.Freeze()
//	probabilities, err := frozen.Predict(home.Batch{Rows: n, Dense: values})
//
// A Model may be used by any number of goroutines. Predict, Freeze and the like run at the same time;
// SetThreads and Close wait until they have the model for themselves.
//
// Not wrapped, of home.h:
//
//   - making: home_model_create, home_model_create_json, home_model_load_memory, home_model_retain,
//     home_model_destroy
//   - training: home_model_forward, home_model_backward, home_model_backward_from, home_model_step,
//     home_model_task_gradient, home_model_gradients, home_model_table_gradient, home_model_input_gradient,
//     home_model_unit_gradient_norm, home_model_gradient_norm, home_model_step_count,
//     home_model_set_learning_rate, home_model_set_embedding_learning_rate
//   - serving: home_workspace_size, home_workspace_init, home_image_write, home_image_model_size,
//     home_image_open, home_model_set_parallel
//   - files: home_model_save, home_model_serialize, home_model_load_weights, home_model_set_metadata,
//     home_model_metadata
//   - a look inside: home_model_config_json, home_model_topology_json, home_model_isa, home_model_is_frozen,
//     home_model_parameter_count, home_model_macs_per_row, home_model_tensor_count, home_model_tensor_at,
//     home_model_tensor, home_model_set_tensor
//   - figures: home_metrics_*, home_health_*
//   - the rest: home_version, home_version_string, home_hash_id
package home

/*
#cgo CFLAGS: -I${SRCDIR}/../../../include
#cgo LDFLAGS: -L${SRCDIR}/../../../build -lhome -Wl,-rpath,${SRCDIR}/../../../build
#include <home/home.h>
#include <stdlib.h>

// Go lends C memory that holds no pointer to Go's own, so the structs with pointers are filled here. The ids
// of all fields lie in one array, and so do their offsets into it, rows + 1 of each field.
static home_status predict(const home_model *model, size_t rows, const float *dense, size_t stride,
                           size_t field_count, const uint64_t *ids, const size_t *offsets,
                           float *predictions, home_error *error) {
    home_ids *fields = calloc(field_count + 1, sizeof *fields);
    if (!fields)
        return HOME_E_MEMORY;
    for (size_t f = 0; f < field_count; f++) {
        fields[f].ids = ids;
        fields[f].offsets = offsets + f * (rows + 1);
    }
    const home_batch batch = {sizeof batch, rows, dense, stride, fields, field_count};
    const home_status status = home_model_predict(model, &batch, predictions, 0, NULL, error);
    free(fields);
    return status;
}
*/
import "C"

import (
	"errors"
	"fmt"
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

// ErrClosed is returned by the methods of a closed model.
var ErrClosed = errors.New("home: the model is closed")

// Batch is rows to predict. No goroutine may change them during a call.
type Batch struct {
	Rows   int
	Dense  []float32 // rows of DenseWidth() values
	Stride int       // elements of Dense from one row to the next; 0: the rows touch
	Fields []Ids     // in the order of the configuration
}

// Ids are those of one field: row r has IDs[Offsets[r]:Offsets[r+1]]; without Offsets each row has one.
type Ids struct {
	IDs     []uint64
	Offsets []int
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
func Load(path string) (*Model, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return nil, refused("a zero byte in the path %q", path)
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	return made(func(model **C.home_model, e *C.home_error) C.home_status {
		return C.home_model_load(name, nil, model, e)
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
	if err := m.check(b); err != nil {
		return nil, err
	}
	ids, offsets := flatten(b)
	predictions := make([]float32, b.Rows*len(m.tasks))

	m.mu.RLock()
	defer m.mu.RUnlock() // also keeps m, and so the handle, alive during the call
	if m.handle == nil {
		return nil, ErrClosed
	}
	err := call(func(e *C.home_error) C.home_status {
		return C.predict(m.handle, C.size_t(b.Rows), (*C.float)(first(b.Dense)), C.size_t(b.Stride),
			C.size_t(len(b.Fields)), (*C.uint64_t)(first(ids)), first(offsets), (*C.float)(first(predictions)), e)
	})
	if err != nil {
		return nil, err
	}
	return predictions, nil
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

// flatten copies the ids of all fields into one array, with offsets into it.
func flatten(b Batch) (ids []uint64, offsets []C.size_t) {
	for _, field := range b.Fields {
		base := len(ids)
		ids = append(ids, field.IDs...)
		for r := 0; r <= b.Rows; r++ {
			offset := r
			if field.Offsets != nil {
				offset = field.Offsets[r]
			}
			offsets = append(offsets, C.size_t(base+offset))
		}
	}
	return ids, offsets
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
