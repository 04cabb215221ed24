"""libhome for Python: one file, the standard library alone.

    with home.Model.load("model.safetensors").freeze() as model:
        probabilities = model.predict(dense, {"user": users, "liked": lists_of_videos})

Dense values, labels and weights go in as NumPy arrays or as lists. A float32 array with dense rows is read where it
lies; NumPy makes a float32 copy of other types and layouts (float64, Fortran order). Predictions come out as a NumPy
array where dense values or ids went in as one, or else as a list of lists. NumPy is never needed.

Ids of a field are a sequence of integers, one a row; a sequence of sequences, any number a row; or
Ragged(ids, offsets), where row r has ids[offsets[r]:offsets[r + 1]]. A uint64 array is read where it lies, other
integers are copied.

Any number of threads may predict with one model at the same time; ctypes lets go of the interpreter's lock
meanwhile. Training, and changing a model in other ways, waits until it has the model for itself. No thread may
write to an array while a call reads it.

What the library refuses is a HomeError with a `status`, one of the E_* below; data of a wrong shape or type, a zero
byte in a name, and the use of a closed model are a ValueError.

The shared library is $HOME_LIBRARY, or build/libhome.so of this tree, or else the installed one.
"""

import contextlib
import ctypes
import json
import math
import os
import pathlib
import reprlib
import threading
import weakref
from array import array
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint32
from ctypes import c_uint64, c_void_p
from itertools import accumulate
from typing import NamedTuple

try:
    import numpy
except ImportError:
    numpy = None

# HOME_E_* of home.h, which says what each one means.
E_ARGUMENT = 1
E_STATE = 2
E_VALUE = 3
E_NOT_FOUND = 4
E_MEMORY = 10
E_TOO_LARGE = 11
E_CONFIG = 20
E_JSON = 21
E_FILE = 30
E_FORMAT = 31
E_CHECKSUM = 32
E_MISMATCH = 33
E_UNSUPPORTED = 40

SAVE_OPTIMIZER = 1


class HomeError(Exception):
    """What the library refused: `status` is one of E_*, the text says which value and why."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Ragged(NamedTuple):
    ids: object
    offsets: object


class TaskMetrics(NamedTuple):
    """The figures of a task; one that is not defined (no rows, a single class) is NaN."""
    rows: int  # whose label was there
    positives: int
    auc: float
    gauc: float  # mean of the users' AUC, weighted by their rows
    gauc_users: int
    gauc_rows: int
    log_loss: float
    calibration: float  # mean prediction / mean label


# ------------------------------------------------------------------------------------ declarations


class _Sized(Structure):
    """A struct that begins with its own size."""

    def __init__(self, **fields):
        super().__init__(struct_size=ctypes.sizeof(self), **fields)


class _Error(_Sized):
    _fields_ = [("struct_size", c_size_t), ("status", c_int32), ("message", c_char * 244)]


class _Ids(Structure):
    _fields_ = [("ids", c_void_p), ("offsets", c_void_p)]


class _Batch(_Sized):
    _fields_ = [("struct_size", c_size_t), ("rows", c_size_t), ("dense", c_void_p), ("dense_stride", c_size_t),
                ("fields", POINTER(_Ids)), ("field_count", c_size_t)]


class _Targets(_Sized):
    _fields_ = [("struct_size", c_size_t), ("labels", c_void_p), ("label_stride", c_size_t),
                ("row_weights", c_void_p), ("weights", c_void_p), ("weight_stride", c_size_t)]


class _Tensor(_Sized):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("kind", c_int32), ("rank", c_int32),
                ("shape", c_uint64 * 2), ("data", c_void_p), ("gradient", c_void_p), ("gradient_offset", c_size_t)]


class _MetricResult(_Sized):
    _fields_ = [("struct_size", c_size_t), ("rows", c_uint64), ("positives", c_uint64), ("auc", c_double),
                ("gauc", c_double), ("gauc_users", c_uint64), ("gauc_rows", c_uint64), ("log_loss", c_double),
                ("calibration", c_double)]


def _load_library():
    built = pathlib.Path(__file__).resolve().parent / "../../../build/libhome.so"
    library = ctypes.CDLL(os.environ.get("HOME_LIBRARY") or (str(built) if built.exists() else "libhome.so.0.2"))
    model, out, error = c_void_p, POINTER(c_void_p), POINTER(_Error)
    for name, result, arguments in [
        ("model_create_json", c_int32, [c_char_p, c_size_t, c_void_p, out, error]),
        ("model_load", c_int32, [c_char_p, c_void_p, out, error]),
        ("model_load_weights", c_int32, [model, c_char_p, error]),
        ("model_save", c_int32, [model, c_char_p, c_uint32, error]),
        ("model_freeze", c_int32, [model, out, error]),
        ("model_release", None, [model]),
        ("model_predict", c_int32, [model, POINTER(_Batch), c_void_p, c_size_t, c_void_p, error]),
        ("model_forward", c_int32, [model, POINTER(_Batch), c_void_p, c_size_t, error]),
        ("model_backward", c_int32, [model, POINTER(_Targets), c_void_p, error]),
        ("model_step", c_int32, [model, error]),
        ("model_step_count", c_uint64, [model]),
        ("model_gradient_norm", c_double, [model]),
        ("model_set_learning_rate", c_int32, [model, c_double, error]),
        ("model_set_embedding_learning_rate", c_int32, [model, c_double, error]),
        ("model_set_threads", c_int32, [model, c_size_t, error]),
        ("model_set_metadata", c_int32, [model, c_char_p, c_char_p, error]),
        ("model_metadata", c_char_p, [model, c_char_p]),
        ("model_config_json", c_char_p, [model]),
        ("model_dense_width", c_size_t, [model]),
        ("model_field_count", c_size_t, [model]),
        ("model_field_name", c_char_p, [model, c_size_t]),
        ("model_task_count", c_size_t, [model]),
        ("model_task_name", c_char_p, [model, c_size_t]),
        ("model_is_frozen", c_int32, [model]),
        ("model_tensor_count", c_size_t, [model]),
        ("model_tensor_at", c_int32, [model, c_size_t, POINTER(_Tensor), error]),
        ("model_tensor", c_int32, [model, c_char_p, POINTER(_Tensor), error]),
        ("model_set_tensor", c_int32, [model, c_char_p, c_void_p, c_size_t, error]),
        ("metrics_create", c_int32, [c_size_t, c_void_p, out, error]),
        ("metrics_destroy", None, [c_void_p]),
        ("metrics_add", c_int32, [c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, error]),
        ("metrics_result", c_int32, [c_void_p, c_size_t, POINTER(_MetricResult), error]),
    ]:
        function = getattr(library, "home_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load_library()


def _call(name, *arguments):
    """Calls home_<name> and turns a failure into an exception."""
    error = _Error()
    status = getattr(_library, "home_" + name)(*arguments, byref(error))
    if status != 0:
        raise HomeError(status, error.message.decode(errors="replace"))


def _c_string(encoded):
    """Text for C, where a zero byte is the end."""
    if b"\0" in encoded:
        raise ValueError("embedded null byte")
    return encoded


# -------------------------------------------------------------------------------------------- data

_SIZE = "Q" if ctypes.sizeof(c_size_t) == 8 else "L"  # array's code of a size_t
_EXPECTED = {"f": "a number", "Q": "an integer from 0 to 2^64 - 1", "L": "an integer from 0 to 2^32 - 1"}


class _Memory(NamedTuple):
    address: int
    stride: int  # elements from row to row
    shape: tuple
    owner: object  # keeps the memory alive


def _is_array(values):
    """Of NumPy, or what NumPy takes for one: a tensor of PyTorch, a column of pandas."""
    return numpy is not None and hasattr(values, "__array__")


def _memory(name, values, code, shape):
    """Numbers where they lie, if they are a NumPy array of array's type `code` with dense rows; else a copy. A None
    in `shape` stands for any length; `name` is for errors."""
    return (_of_array if _is_array(values) else _of_sequence)(name, values, code, shape)


def _expect_shape(name, shape, expected):
    if len(shape) != len(expected) or any(wanted not in (None, n) for n, wanted in zip(shape, expected)):
        raise ValueError(f"{name} has the shape {shape}, expected {str(expected).replace('None', 'any')}")


def _of_array(name, values, code, shape):
    values = numpy.asarray(values)
    if values.dtype == object:
        return _of_sequence(name, values, code, shape)
    _expect_shape(name, values.shape, shape)
    if values.size and values.dtype.kind not in ("biuf" if code == "f" else "iu"):
        raise ValueError(f"{name} is an array of {values.dtype}, expected one of {numpy.dtype(code)}")
    if values.size and values.dtype.kind == "i" and code != "f" and values.min() < 0:
        raise ValueError(f"{name}: {values.min()} at position {values.argmin()}, expected {_EXPECTED[code]}")
    item = array(code).itemsize
    dense_rows = values.size and values.strides[-1] == item and all(
        stride >= item * values.shape[-1] and stride % item == 0 for stride in values.strides[:-1])
    if values.dtype != code or not dense_rows or not values.flags.aligned:
        values = numpy.ascontiguousarray(values, code)
    return _Memory(values.ctypes.data, values.strides[0] // item, values.shape, values)


def _of_sequence(name, values, code, shape):
    if hasattr(values, "tolist"):  # a memoryview of two dimensions has no other way in
        values = values.tolist()
    if len(shape) == 1:
        flat = _numbers(name, values, code)
        made = (len(flat),)
    else:
        rows = _rows(name, values, code)
        made = (len(rows), len(rows[0]) if rows else shape[1])
        for r, row in enumerate(rows):
            if len(row) != made[1]:
                raise ValueError(f"{name}, row {r} has {len(row)} values, row 0 has {made[1]}")
        flat = array(code, b"".join(rows))
    _expect_shape(name, made, shape)
    return _Memory(flat.buffer_info()[0], made[-1], made, flat)


def _rows(name, values, code):
    return [_numbers(f"{name}, row {r}", row, code) for r, row in enumerate(_listed(name, values))]


def _listed(name, values):
    try:
        return list(values)
    except TypeError:
        raise ValueError(f"{name} is {reprlib.repr(values)}, expected a sequence") from None


def _numbers(name, values, code):
    """An array of the numbers, where None is NaN."""
    numbers = _listed(name, values)
    if code == "f":
        numbers = [math.nan if number is None else number for number in numbers]
    try:
        return array(code, numbers)
    except (TypeError, OverflowError):
        position = next(i for i, number in enumerate(numbers) if not _fits(number, code))
        raise ValueError(f"{name}: {reprlib.repr(numbers[position])} at position {position}, "
                         f"expected {_EXPECTED[code]}") from None


def _fits(number, code):
    try:
        return len(array(code, [number])) == 1
    except (TypeError, OverflowError):
        return False


def _ragged(name, values):
    """Ids with any number a row as Ragged; those with one a row as they are."""
    if isinstance(values, Ragged):
        return values
    if _is_array(values):
        values = numpy.asarray(values)
        if values.ndim == 2:
            return Ragged(values.reshape(-1), [r * values.shape[1] for r in range(len(values) + 1)])
        if values.dtype != object:
            return values
        values = values.tolist()
    values = _listed(name, values)
    if not values or not hasattr(values[0], "__len__"):
        return values
    rows = _rows(name, values, "Q")
    return Ragged(array("Q", b"".join(rows)), array(_SIZE, accumulate(map(len, rows), initial=0)))


def _field(field, values, rows):
    """An id field as the library wants it, its number of rows, which must be `rows` unless that is None, and what
    keeps its memory alive."""
    name = f'field "{field}"'
    values = _ragged(name, values)
    if not isinstance(values, Ragged):
        ids = _memory(name, values, "Q", (rows,))
        return _Ids(ids.address, None), ids.shape[0], ids
    ids = _memory(name, values.ids, "Q", (None,))
    # A copy, so that no other thread can change what was checked; that of a sequence is one anyway.
    offsets = numpy.array(values.offsets) if _is_array(values.offsets) else values.offsets
    offsets = _memory("offsets of " + name, offsets, _SIZE, (None if rows is None else rows + 1,))
    if offsets.shape[0] == 0:
        raise ValueError(f"offsets of {name} are empty, expected one more than rows")
    if offsets.owner[-1] > ids.shape[0]:
        raise ValueError(f"the last offset of {name} is {offsets.owner[-1]}, of {ids.shape[0]} ids")
    return _Ids(ids.address, offsets.address), offsets.shape[0] - 1, (ids, offsets)


class _Access:
    """Many readers or one writer, who need not wait for readers that come after."""

    def __init__(self):
        self._turn = threading.Lock()  # held by a writer, and by a reader on its way in
        self._condition = threading.Condition()
        self._readers = 0

    @contextlib.contextmanager
    def shared(self):
        with self._turn, self._condition:
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextlib.contextmanager
    def exclusive(self):
        with self._turn:
            with self._condition:
                self._condition.wait_for(lambda: self._readers == 0)
            yield


class _Owner:
    """Frees what it owns in the library when it is collected. A copy would free the same once more."""

    def __init__(self, handle, release):
        self._handle = handle
        self._release = weakref.finalize(self, release, handle)
        self._release.atexit = False  # a daemon thread may be in a call when the interpreter ends

    def __reduce__(self):  # which copy.copy, copy.deepcopy and pickle end up with
        raise TypeError(f"a {type(self).__name__} can be neither copied nor pickled")


# ------------------------------------------------------------------------------------------- model


class Model(_Owner):
    """A model; made by create(), load() or freeze(). Freed when closed, left by `with`, or collected.

    `dense_width`, `fields` and `tasks` tell what it takes and gives."""

    def __init__(self, handle):
        super().__init__(handle, _library.home_model_release)
        self._access = _Access()
        self.dense_width = _library.home_model_dense_width(handle)
        self.fields = tuple(_library.home_model_field_name(handle, i).decode()
                            for i in range(_library.home_model_field_count(handle)))
        self.tasks = tuple(_library.home_model_task_name(handle, i).decode()
                           for i in range(_library.home_model_task_count(handle)))
        self.frozen = bool(_library.home_model_is_frozen(handle))

    @classmethod
    def _made_by(cls, name, *arguments):
        handle = c_void_p()
        _call(name, *arguments, byref(handle))
        return cls(handle)

    @classmethod
    def create(cls, config):
        """A new model from a configuration, a dict or JSON text."""
        text = (config if isinstance(config, str) else json.dumps(config)).encode()
        return cls._made_by("model_create_json", text, len(text), None)

    @classmethod
    def load(cls, path):
        return cls._made_by("model_load", _c_string(os.fsencode(path)), None)

    def freeze(self):
        """A read-only copy for serving, which lives on its own."""
        with self._shared() as handle:
            return self._made_by("model_freeze", handle)

    def save(self, path, optimizer=False):
        """Writes a checkpoint, with the optimizer's state if training is to go on."""
        with self._shared() as handle:
            _call("model_save", handle, _c_string(os.fsencode(path)), SAVE_OPTIMIZER if optimizer else 0)

    def load_weights(self, path):
        """Takes the weights of a safetensors file that has exactly this model's tensors."""
        with self._exclusive() as handle:
            _call("model_load_weights", handle, _c_string(os.fsencode(path)))

    def predict(self, dense=None, ids=None):
        """Probabilities [rows, tasks]. `ids` maps each field's name to its ids."""
        batch, memory = self._batch(dense, ids)
        shape = (batch.rows, len(self.tasks))
        inputs = [dense, *(ids or {}).values()]
        as_array = any(_is_array(values.ids if isinstance(values, Ragged) else values) for values in inputs)
        predictions = numpy.empty(shape, numpy.float32) if as_array else array("f", bytes(4 * math.prod(shape)))
        address = predictions.ctypes.data if as_array else predictions.buffer_info()[0]
        with self._shared() as handle:
            _call("model_predict", handle, byref(batch), address, 0, None)
        del memory
        if as_array:
            return predictions
        return [predictions[i:i + shape[1]].tolist() for i in range(0, len(predictions), shape[1])]

    def train_step(self, dense=None, ids=None, *, labels, row_weights=None, weights=None):
        """One step of the optimizer on a batch; returns each task's loss before it. A label that is NaN or None
        is missing."""
        batch, memory = self._batch(dense, ids)
        shape = (batch.rows, len(self.tasks))
        label = _memory("labels", labels, "f", shape)
        targets = _Targets(labels=label.address, label_stride=label.stride)
        if row_weights is not None:
            row_weights = _memory("row_weights", row_weights, "f", shape[:1])
            targets.row_weights = row_weights.address
        if weights is not None:
            weights = _memory("weights", weights, "f", shape)
            targets.weights, targets.weight_stride = weights.address, weights.stride
        losses = (c_float * shape[1])()
        with self._exclusive() as handle:
            _call("model_forward", handle, byref(batch), None, 0)
            _call("model_backward", handle, byref(targets), losses)
            _call("model_step", handle)
        del memory
        return dict(zip(self.tasks, losses))

    @property
    def gradient_norm(self):
        """The Euclidean norm of all gradients of the last train_step(), before clipping."""
        with self._shared() as handle:
            return _library.home_model_gradient_norm(handle)

    @property
    def step_count(self):
        """Steps taken since the model was created."""
        with self._shared() as handle:
            return _library.home_model_step_count(handle)

    def set_learning_rate(self, rate):
        """Of the dense parameters; the embedding tables have their own."""
        with self._exclusive() as handle:
            _call("model_set_learning_rate", handle, rate)

    def set_embedding_learning_rate(self, rate):
        with self._exclusive() as handle:
            _call("model_set_embedding_learning_rate", handle, rate)

    def set_threads(self, count):
        """Lets each call use `count` threads; results do not change."""
        if not 1 <= count <= 1024:
            raise ValueError(f"{count} threads, expected 1 to 1024")
        with self._exclusive() as handle:
            _call("model_set_threads", handle, count)

    def set_metadata(self, key, value):
        """Text of your own that is saved with the model; None removes it."""
        value = None if value is None else _c_string(value.encode())
        with self._exclusive() as handle:
            _call("model_set_metadata", handle, _c_string(key.encode()), value)

    def metadata(self, key):
        with self._shared() as handle:
            value = _library.home_model_metadata(handle, _c_string(key.encode()))
            return None if value is None else value.decode()

    @property
    def config(self):
        """The complete configuration, defaults filled in."""
        with self._shared() as handle:
            return json.loads(_library.home_model_config_json(handle))

    @property
    def tensors(self):
        """The tensors' shapes by their names, in the order of the checkpoint; none of a frozen model."""
        shapes = {}
        with self._shared() as handle:
            for i in range(_library.home_model_tensor_count(handle)):
                tensor = _Tensor()
                _call("model_tensor_at", handle, i, byref(tensor))
                shapes[tensor.name.decode()] = tuple(tensor.shape[:tensor.rank])
        return shapes

    def tensor(self, name):
        """A copy of a tensor as a memoryview: tolist() makes it lists, numpy.asarray() an array."""
        tensor = _Tensor()
        with self._shared() as handle:
            _call("model_tensor", handle, _c_string(name.encode()), byref(tensor))
            shape = tuple(tensor.shape[:tensor.rank])
            values = bytearray((c_float * math.prod(shape)).from_address(tensor.data))
        return memoryview(values).cast("f", shape)

    def set_tensor(self, name, values):
        """Overwrites a tensor with an array, lists, or what tensor() gave, of the same shape."""
        tensor = _Tensor()
        if _is_array(values):
            values = numpy.ascontiguousarray(values)
        with self._exclusive() as handle:
            _call("model_tensor", handle, _c_string(name.encode()), byref(tensor))
            shape = tuple(tensor.shape[:tensor.rank])
            memory = _memory(f'tensor "{name}"', values, "f", shape)
            _call("model_set_tensor", handle, _c_string(name.encode()), memory.address, math.prod(shape))

    def close(self):
        """Frees the model once no thread uses it; then every call fails."""
        with self._access.exclusive():
            self._handle = None
            self._release()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    @contextlib.contextmanager
    def _shared(self):
        with self._access.shared():
            yield self._open()

    @contextlib.contextmanager
    def _exclusive(self):
        with self._access.exclusive():
            yield self._open()

    def _open(self):
        if self._handle is None:
            raise ValueError("the model is closed")
        return self._handle

    def _batch(self, dense, ids):
        """The rows as the library wants them, and what must stay alive as long as it reads them."""
        ids = ids or {}
        if set(ids) != set(self.fields):
            raise ValueError(f"ids are given for {sorted(ids)}, the model's fields are {sorted(self.fields)}")
        values, rows = None, None
        if dense is not None:
            values = _memory("dense", dense, "f", (None, self.dense_width))
            rows = values.shape[0]
        elif self.dense_width > 0:
            raise ValueError(f"the model wants {self.dense_width} dense values a row")
        fields, memory = (_Ids * len(self.fields))(), []
        for f, name in enumerate(self.fields):
            fields[f], rows, owner = _field(name, ids[name], rows)
            memory.append(owner)
        batch = _Batch(rows=rows, fields=fields, field_count=len(fields))
        if values:
            batch.dense, batch.dense_stride = values.address, values.stride
        return batch, (values, fields, memory)


# ----------------------------------------------------------------------------------------- metrics


class Metrics(_Owner):
    """How good predictions were, over any number of batches. Threads may share one.

        metrics = home.Metrics(model.tasks)
        metrics.add(model.predict(dense, ids), labels, users)
        print(metrics.result()["like"].auc)
    """

    def __init__(self, tasks):
        self.tasks = tuple(tasks)
        self._lock = threading.Lock()
        handle = c_void_p()
        _call("metrics_create", len(self.tasks), None, byref(handle))
        super().__init__(handle, _library.home_metrics_destroy)

    def add(self, predictions, labels, users=None):
        """Adds rows: predictions and labels [rows, tasks], a label that is NaN or None is missing; an id a row of
        its user, without which the rows have no part in GAUC."""
        predictions = _memory("predictions", predictions, "f", (None, len(self.tasks)))
        labels = _memory("labels", labels, "f", predictions.shape)
        rows = predictions.shape[0]
        users = users if users is None else _memory("users", users, "Q", (rows,))
        with self._lock:
            _call("metrics_add", self._handle, rows, predictions.address, predictions.stride, labels.address,
                  labels.stride, users.address if users else None)

    def result(self):
        """The figures by the tasks' names."""
        return {task: self._result_of(t) for t, task in enumerate(self.tasks)}

    def _result_of(self, task):
        result = _MetricResult()
        with self._lock:
            _call("metrics_result", self._handle, task, byref(result))
        return TaskMetrics(*(getattr(result, figure) for figure in TaskMetrics._fields))
