"""libhome for Python: one file, the standard library alone.

    with home.Model.load("model.safetensors").freeze() as model:
        probabilities = model.predict(dense, {"user": users, "liked": lists_of_videos})

Dense values go in as a NumPy float32 array, which is read where it lies, or as a list of lists. Predictions come
out as what dense values went in as: a NumPy array, or else a list of lists. NumPy is never needed.

Ids of a field are a sequence of integers, one a row; a sequence of sequences, any number a row; or
Ragged(ids, offsets), where row r has ids[offsets[r]:offsets[r + 1]].

Any number of threads may predict with one model at the same time; ctypes lets go of the interpreter's lock
meanwhile. Training, and changing a model in other ways, waits until it has the model for itself.

The shared library is $HOME_LIBRARY, or build/libhome.so of this tree, or else the installed one.
"""

import contextlib
import ctypes
import json
import math
import os
import pathlib
import sys
import threading
import weakref
from array import array
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint32
from ctypes import c_uint64, c_void_p
from itertools import accumulate, chain
from typing import NamedTuple


class HomeError(Exception):
    """What the library refused: `status` is one of HOME_E_*, the text says which value and why."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Ragged(NamedTuple):
    ids: object
    offsets: object


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


def _load_library():
    built = pathlib.Path(__file__).resolve().parent / "../../../build/libhome.so"
    library = ctypes.CDLL(os.environ.get("HOME_LIBRARY") or (str(built) if built.exists() else "libhome.so.0.1"))
    model, out, error = c_void_p, POINTER(c_void_p), POINTER(_Error)
    for name, result, arguments in [
        ("create_json", c_int32, [c_char_p, c_size_t, c_void_p, out, error]),
        ("load", c_int32, [c_char_p, c_void_p, out, error]),
        ("save", c_int32, [model, c_char_p, c_uint32, error]),
        ("freeze", c_int32, [model, out, error]),
        ("release", None, [model]),
        ("predict", c_int32, [model, POINTER(_Batch), c_void_p, c_size_t, c_void_p, error]),
        ("forward", c_int32, [model, POINTER(_Batch), c_void_p, c_size_t, error]),
        ("backward", c_int32, [model, POINTER(_Targets), c_void_p, error]),
        ("step", c_int32, [model, error]),
        ("set_learning_rate", c_int32, [model, c_double, error]),
        ("set_threads", c_int32, [model, c_size_t, error]),
        ("set_metadata", c_int32, [model, c_char_p, c_char_p, error]),
        ("metadata", c_char_p, [model, c_char_p]),
        ("config_json", c_char_p, [model]),
        ("dense_width", c_size_t, [model]),
        ("field_count", c_size_t, [model]),
        ("field_name", c_char_p, [model, c_size_t]),
        ("task_count", c_size_t, [model]),
        ("task_name", c_char_p, [model, c_size_t]),
        ("is_frozen", c_int32, [model]),
    ]:
        function = getattr(library, "home_model_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load_library()
SAVE_OPTIMIZER = 1


def _call(name, *arguments):
    """Calls home_model_<name> and turns a failure into an exception."""
    error = _Error()
    status = getattr(_library, "home_model_" + name)(*arguments, byref(error))
    if status != 0:
        raise HomeError(status, error.message.decode(errors="replace"))


# -------------------------------------------------------------------------------------------- data


_SIZE = "Q" if ctypes.sizeof(c_size_t) == 8 else "L"  # array's code of a size_t


class _Memory(NamedTuple):
    address: int
    stride: int  # elements from row to row
    shape: tuple
    owner: object  # keeps the memory alive


def _memory(values, code, dimensions):
    """Numbers where they lie, if they are a NumPy array of the type `code` with dense rows; else a copy."""
    return _lent(values, code, dimensions) or _copied(values, code, dimensions)


def _lent(values, code, dimensions):
    interface = getattr(values, "__array_interface__", None)
    item = array(code).itemsize
    native = ("<" if sys.byteorder == "little" else ">") + ("f" if code == "f" else "u") + str(item)
    if not interface or interface["typestr"] != native or len(interface["shape"]) != dimensions:
        return None
    shape = interface["shape"]
    width = shape[1] if dimensions == 2 else 1
    strides = interface["strides"] or (width * item, item)[-dimensions:]
    address = interface["data"][0]
    if strides[-1] != item or strides[0] < width * item or strides[0] % item or address % item:
        return None
    return _Memory(address, strides[0] // item, shape, (values, interface))


def _copied(values, code, dimensions):
    if dimensions == 1:
        flat = array(code, values.tolist() if hasattr(values, "tolist") else values)
        return _Memory(flat.buffer_info()[0], 1, (len(flat),), flat)
    rows = [array(code, (math.nan if value is None else value for value in row)) for row in values]
    width = len(rows[0]) if rows else 0
    for r, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(f"row {r} has {len(row)} values, row 0 has {width}")
    flat = array(code, b"".join(row.tobytes() for row in rows))
    return _Memory(flat.buffer_info()[0], width, (len(rows), width), flat)


def _expect_shape(name, memory, shape):
    if memory.shape != shape:
        raise ValueError(f"{name} has the shape {memory.shape}, expected {shape}")


def _ragged(values):
    """Lists of ids, one list a row, as one list and offsets."""
    return Ragged(array("Q", chain.from_iterable(values)), array(_SIZE, accumulate(map(len, values), initial=0)))


def _field(name, values, rows):
    """An id field as the library wants it, and what keeps its memory alive."""
    if not isinstance(values, Ragged) and len(values) and hasattr(values[0], "__len__"):
        values = _ragged(values)
    if not isinstance(values, Ragged):
        ids = _memory(values, "Q", 1)
        _expect_shape(f'field "{name}"', ids, (rows,))
        return _Ids(ids.address, None), ids
    # A copy, so that no other thread can change what was checked.
    ids, offsets = _memory(values.ids, "Q", 1), _copied(values.offsets, _SIZE, 1)
    _expect_shape(f'offsets of field "{name}"', offsets, (rows + 1,))
    last = offsets.owner[rows]
    if last > ids.shape[0]:
        raise ValueError(f'the last offset of field "{name}" is {last}, of {ids.shape[0]} ids')
    return _Ids(ids.address, offsets.address), (ids, offsets)


def _row_count(values):
    return len(values.offsets) - 1 if isinstance(values, Ragged) else len(values)


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


# ------------------------------------------------------------------------------------------- model


class Model:
    """A model; made by create(), load() or freeze(). Freed when closed, left by `with`, or collected."""

    def __init__(self, handle):
        self._handle = handle
        self._access = _Access()
        self._release = weakref.finalize(self, _library.home_model_release, handle)
        self.dense_width = _library.home_model_dense_width(handle)
        self.fields = [_library.home_model_field_name(handle, i).decode()
                       for i in range(_library.home_model_field_count(handle))]
        self.tasks = [_library.home_model_task_name(handle, i).decode()
                      for i in range(_library.home_model_task_count(handle))]
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
        return cls._made_by("create_json", text, len(text), None)

    @classmethod
    def load(cls, path):
        return cls._made_by("load", os.fsencode(path), None)

    def freeze(self):
        """A read-only copy for serving, which lives on its own."""
        with self._shared() as handle:
            return self._made_by("freeze", handle)

    def save(self, path, optimizer=False):
        with self._shared() as handle:
            _call("save", handle, os.fsencode(path), SAVE_OPTIMIZER if optimizer else 0)

    def predict(self, dense=None, ids=None):
        """Probabilities [rows, tasks]. `ids` maps each field's name to its ids."""
        batch, memory = self._batch(dense, ids)
        width = len(self.tasks)
        predictions = array("f", bytes(4 * batch.rows * width))
        with self._shared() as handle:
            _call("predict", handle, byref(batch), predictions.buffer_info()[0], 0, None)
        del memory
        if hasattr(dense, "__array_interface__"):
            import numpy
            return numpy.frombuffer(predictions, numpy.float32).reshape(batch.rows, width)
        return [list(predictions[i:i + width]) for i in range(0, len(predictions), width)]

    def train_step(self, dense=None, ids=None, *, labels, row_weights=None, weights=None):
        """One step of the optimizer on a batch; returns each task's loss before it. A label that is NaN or None
        is missing."""
        batch, memory = self._batch(dense, ids)
        shape = (batch.rows, len(self.tasks))
        label = _memory(labels, "f", 2)
        _expect_shape("labels", label, shape)
        targets = _Targets(labels=label.address, label_stride=label.stride)
        if row_weights is not None:
            row_weights = _memory(row_weights, "f", 1)
            _expect_shape("row_weights", row_weights, shape[:1])
            targets.row_weights = row_weights.address
        if weights is not None:
            weights = _memory(weights, "f", 2)
            _expect_shape("weights", weights, shape)
            targets.weights, targets.weight_stride = weights.address, weights.stride
        losses = (c_float * shape[1])()
        with self._exclusive() as handle:
            _call("forward", handle, byref(batch), None, 0)
            _call("backward", handle, byref(targets), losses)
            _call("step", handle)
        del memory
        return dict(zip(self.tasks, losses))

    def set_learning_rate(self, rate):
        with self._exclusive() as handle:
            _call("set_learning_rate", handle, rate)

    def set_threads(self, count):
        """Lets each call use `count` threads; results do not change."""
        with self._exclusive() as handle:
            _call("set_threads", handle, count)

    def set_metadata(self, key, value):
        """Text of your own that is saved with the model; None removes it."""
        with self._exclusive() as handle:
            _call("set_metadata", handle, key.encode(), None if value is None else value.encode())

    def metadata(self, key):
        with self._shared() as handle:
            value = _library.home_model_metadata(handle, key.encode())
            return None if value is None else value.decode()

    @property
    def config(self):
        """The complete configuration, defaults filled in."""
        with self._shared() as handle:
            return json.loads(_library.home_model_config_json(handle))

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
        if self.dense_width == 0:
            values = _Memory(None, 0, (_row_count(ids[self.fields[0]]), 0), None)
        elif dense is None:
            raise ValueError(f"the model wants {self.dense_width} dense values a row")
        else:
            values = _memory(dense, "f", 2)
            _expect_shape("dense", values, (values.shape[0], self.dense_width))
        rows = values.shape[0]
        made = [_field(name, ids[name], rows) for name in self.fields]
        fields = (_Ids * len(made))(*(field for field, _ in made))
        batch = _Batch(rows=rows, dense=values.address, dense_stride=values.stride, fields=fields,
                       field_count=len(made))
        return batch, (values, fields, made)
