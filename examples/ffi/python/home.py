"""libhome for Python: one file, the standard library alone.

    with home.Model.load("model.safetensors", frozen=True) as model:
        probabilities = model.predict(dense, {"user": users, "liked": lists_of_videos})

Values. Dense values, labels and weights go in as NumPy arrays or as lists. A float32 array with
dense rows is read where it lies; NumPy makes a float32 copy of other types and layouts (float64,
big-endian, Fortran order, steps). Predictions come out as a NumPy array where dense values or ids
went in as one, or else as a list of lists. Other results are memoryviews: tolist() makes them
lists, numpy.asarray() arrays. NumPy is never needed.

Ids of a field are a sequence of integers, one a row; a sequence of sequences, any number a row; or
Ragged(ids, offsets), where row r has ids[offsets[r]:offsets[r + 1]]. A uint64 array is read where
it lies, other integers are copied. Weighted(ids, weights) gives each id a weight, in the same form.

What is masked in a masked array, None and pandas' NA are missing labels; anywhere else they are an
error that names the argument.

Threads. Any number may predict with one model at the same time; ctypes lets go of the
interpreter's lock meanwhile. Training, and changing a model in other ways, waits until it has the
model for itself. No thread may write to an array while a call reads it.

Signals. An exception from a signal handler (KeyboardInterrupt) may end any call; no lock stays
behind. A handler that interrupted a call may read the same model and close it (the memory is then
freed with the object), but not change it: that is a HomeError with E_STATE.

Fork. A child process may use and close what its parent had. What another thread was changing at
the moment of the fork is half done, so in the child it counts as closed and its memory stays.

Errors. What the library refuses is a HomeError with a `status`, one of the E_* below; data of a
wrong shape or type, a zero byte in a name, and the use of what is closed are a ValueError.

The shared library is $HOME_LIBRARY, or build/libhome.so of this tree, or else the installed one.

Not wrapped: home_model_create and home_config_check (configurations are JSON here),
home_model_retain (Python counts references), home_model_predict_flat and home_model_forward_flat
(ids come by field), home_model_set_parallel, home_workspace_fits, home_version, home_status_string,
and allocators.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import mmap
import operator
import os
import pathlib
import reprlib
import threading
import weakref
from array import array
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_double, c_float, c_int32, c_size_t
from ctypes import c_uint32, c_uint64, c_void_p
from functools import partial
from itertools import accumulate
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple
from typing import Type, TypeVar, Union

numpy: Any
try:
    numpy = importlib.import_module("numpy")
except ImportError:
    numpy = None

# HOME_E_* of home.h, which says what each one means.
E_ARGUMENT = 1
E_STATE = 2
E_VALUE = 3
E_NOT_FOUND = 4
E_CANCELED = 5
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
HEALTH_BINS = 63

LOSS_BCE = 1
LOSS_SQUARED = 2

NO_USER = 2**64 - 1  # in place of a user's id: the row belongs to nobody

Values = Any  # a NumPy array, lists, or what either makes of itself
Ids = Any  # of a field: the same, or Ragged
Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
Shape = Tuple[Optional[int], ...]
T = TypeVar("T")


class HomeError(Exception):
    """What the library refused: `status` is one of E_*, the text says which value and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return self.message


class Ragged(NamedTuple):
    """The ids of a field with any number a row: row r has ids[offsets[r]:offsets[r + 1]]."""
    ids: Values  # integers
    offsets: Values  # one more than rows


class Weighted(NamedTuple):
    """Ids of a field with a weight for each; those of a mean are at least 0."""
    ids: Ids
    weights: Values  # in the form of `ids`; beside Ragged, one for each of its ids


class ConfigError(NamedTuple):
    """An error of a configuration: the key it is about, such as "layers[0].width", or ""."""
    where: str
    status: int
    message: str


class StoredTensor(NamedTuple):
    """A tensor in a checkpoint."""
    name: str
    dtype: str  # "F32", "F64", "I64"
    shape: Tuple[int, ...]
    nbytes: int
    offset: int  # of its values, from the beginning of the file


class TableGradient(NamedTuple):
    """The gradients of the rows of a table that batches since the last step touched."""
    rows: memoryview  # [count] of uint64, ascending
    gradient: memoryview  # [count, dim]; empty where count is 0


class TaskMetrics(NamedTuple):
    """The figures of a task; one that is not defined (no rows, a single class, a loss of the other
    kind) is NaN. home.h explains them under home_metric_result."""
    rows: int  # whose label was there
    no_user_rows: int
    positives: int
    weight: float  # sum of the rows' weights
    mean_prediction: float
    mean_label: float
    calibration: float  # mean prediction / mean label
    log_loss: float
    auc: float
    auc_error: float  # 0 where auc is exact
    gauc: float  # mean of the users' AUC, weighted by their rows
    gauc_error: float
    gauc_share: float  # of the users that were sampled
    gauc_users: int
    gauc_rows: int
    rmse: float
    mae: float


class ExpertHealth(NamedTuple):
    """Figures of an expert's output; home.h explains them under home_expert_health."""
    layer: int
    unit: str
    expert: int  # in its unit
    width: int
    mean: float
    deviation: float
    min: float
    max: float
    near_zero: float
    dead: int
    nearest: Optional[int]  # number of the expert of its layer with the nearest output
    nearest_distance: float
    seen_by: int
    mass: float
    top_node: Optional[int]
    top_share: float


class NodeHealth(NamedTuple):
    """Figures of a node's gate; home.h explains them under home_node_health."""
    layer: int
    node: str
    experts: int
    entropy: float
    entropy_spread: float
    top_expert: int
    top_weight: float
    deviation_ratio: float
    own_experts: int
    own_mass: float
    self_weight: float


# ------------------------------------------------------------------------------------ declarations


class _Sized(Structure):
    """A struct that begins with its own size."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(struct_size=ctypes.sizeof(self), **fields)


class _Error(_Sized):
    _fields_ = [("struct_size", c_size_t), ("status", c_int32), ("message", c_char * 244)]


class _Ids(_Sized):
    _fields_ = [("struct_size", c_size_t), ("ids", c_void_p), ("offsets", c_void_p),
                ("count", c_size_t), ("weights", c_void_p)]


class _Batch(_Sized):
    _fields_ = [("struct_size", c_size_t), ("rows", c_size_t), ("dense", c_void_p),
                ("dense_stride", c_size_t), ("fields", POINTER(_Ids)), ("field_count", c_size_t)]


class _Targets(_Sized):
    _fields_ = [("struct_size", c_size_t), ("labels", c_void_p), ("label_stride", c_size_t),
                ("row_weights", c_void_p), ("weights", c_void_p), ("weight_stride", c_size_t),
                ("total_weights", c_void_p), ("accumulate", c_int32), ("reserved", c_int32)]


class _Tensor(_Sized):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("kind", c_int32), ("rank", c_int32),
                ("shape", c_uint64 * 2), ("data", c_void_p), ("gradient", c_void_p),
                ("gradient_offset", c_size_t), ("trained", c_int32), ("reserved", c_int32)]


class _Gradient(_Sized):
    _fields_ = [("struct_size", c_size_t), ("data", c_void_p), ("rows", c_size_t),
                ("width", c_size_t), ("stride", c_size_t), ("ids", c_void_p)]


class _CreateOptions(_Sized):
    _fields_ = [("struct_size", c_size_t), ("allocator", c_void_p), ("isa", c_char_p),
                ("memory_limit", c_uint64)]


class _LoadOptions(_Sized):
    _fields_ = [("struct_size", c_size_t), ("allocator", c_void_p), ("isa", c_char_p),
                ("memory_limit", c_uint64), ("frozen", c_int32), ("reserved", c_int32)]


class _Names(_Sized):
    _fields_ = [("struct_size", c_size_t), ("dense", POINTER(c_char_p)), ("dense_count", c_size_t),
                ("fields", POINTER(c_char_p)), ("field_count", c_size_t),
                ("tasks", POINTER(c_char_p)), ("task_count", c_size_t)]


class _StoredTensor(_Sized):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("dtype", c_char_p),
                ("shape", POINTER(c_uint64)), ("rank", c_size_t), ("bytes", c_uint64),
                ("offset", c_uint64)]


class _ImageOptions(_Sized):
    _fields_ = [("struct_size", c_size_t), ("panel", c_size_t), ("block_rows", c_size_t)]


class _MetricsOptions(_Sized):
    _fields_ = [("struct_size", c_size_t), ("tasks", c_size_t), ("losses", POINTER(c_int32)),
                ("max_bytes", c_size_t), ("allocator", c_void_p)]


class _MetricsRows(_Sized):
    _fields_ = [("struct_size", c_size_t), ("rows", c_size_t), ("predictions", c_void_p),
                ("prediction_stride", c_size_t), ("labels", c_void_p), ("label_stride", c_size_t),
                ("users", c_void_p), ("row_weights", c_void_p), ("weights", c_void_p),
                ("weight_stride", c_size_t)]


class _MetricResult(_Sized):
    _fields_ = [("struct_size", c_size_t), ("rows", c_uint64), ("no_user_rows", c_uint64),
                ("positives", c_uint64), ("weight", c_double), ("mean_prediction", c_double),
                ("mean_label", c_double), ("calibration", c_double), ("log_loss", c_double),
                ("auc", c_double), ("auc_error", c_double), ("gauc", c_double),
                ("gauc_error", c_double), ("gauc_share", c_double), ("gauc_users", c_uint64),
                ("gauc_rows", c_uint64), ("rmse", c_double), ("mae", c_double)]


class _ExpertHealth(_Sized):
    _fields_ = [("struct_size", c_size_t), ("layer", c_size_t), ("unit", c_char_p),
                ("expert", c_size_t), ("width", c_size_t), ("mean", c_double),
                ("deviation", c_double), ("min", c_double), ("max", c_double),
                ("near_zero", c_double), ("dead", c_size_t), ("nearest", c_size_t),
                ("nearest_distance", c_double), ("seen_by", c_size_t), ("mass", c_double),
                ("top_node", c_size_t), ("top_share", c_double)]


class _NodeHealth(_Sized):
    _fields_ = [("struct_size", c_size_t), ("layer", c_size_t), ("node", c_char_p),
                ("experts", c_size_t), ("entropy", c_double), ("entropy_spread", c_double),
                ("top_expert", c_size_t), ("top_weight", c_double), ("deviation_ratio", c_double),
                ("own_experts", c_size_t), ("own_mass", c_double), ("self_weight", c_double)]


_Report = ctypes.CFUNCTYPE(c_int32, c_void_p, c_char_p, POINTER(_Error))


def _load_library() -> ctypes.CDLL:
    built = pathlib.Path(__file__).resolve().parent / "../../../build/libhome.so"
    library = ctypes.CDLL(os.environ.get("HOME_LIBRARY")
                          or (str(built) if built.exists() else "libhome.so.0.2"))
    model, metrics, health, checkpoint = c_void_p, c_void_p, c_void_p, c_void_p
    out, size, error, batch = POINTER(c_void_p), POINTER(c_size_t), POINTER(_Error), POINTER(_Batch)
    declarations: List[Tuple[str, Any, List[Any]]] = [
        ("version_string", c_char_p, []),
        ("hash_id", c_uint64, [c_uint64, c_uint64]),
        ("config_check_json", c_int32,
         [c_char_p, c_size_t, POINTER(_CreateOptions), _Report, c_void_p, error]),
        ("model_create_json", c_int32, [c_char_p, c_size_t, POINTER(_CreateOptions), out, error]),
        ("model_load", c_int32, [c_char_p, POINTER(_LoadOptions), out, error]),
        ("model_load_memory", c_int32, [c_void_p, c_size_t, POINTER(_LoadOptions), out, error]),
        ("checkpoint_open", c_int32, [c_char_p, c_void_p, out, error]),
        ("checkpoint_open_memory", c_int32, [c_void_p, c_size_t, c_void_p, out, error]),
        ("checkpoint_destroy", None, [checkpoint]),
        ("checkpoint_config_json", c_char_p, [checkpoint]),
        ("checkpoint_metadata", c_char_p, [checkpoint, c_char_p]),
        ("checkpoint_metadata_count", c_size_t, [checkpoint]),
        ("checkpoint_metadata_key", c_char_p, [checkpoint, c_size_t]),
        ("checkpoint_metadata_text", c_char_p, [checkpoint, c_size_t]),
        ("checkpoint_step_count", c_uint64, [checkpoint]),
        ("checkpoint_has_optimizer", c_int32, [checkpoint]),
        ("checkpoint_bytes", c_uint64, [checkpoint]),
        ("checkpoint_tensor_count", c_size_t, [checkpoint]),
        ("checkpoint_tensor_at", c_int32, [checkpoint, c_size_t, POINTER(_StoredTensor), error]),
        ("checkpoint_tensor", c_int32, [checkpoint, c_char_p, POINTER(_StoredTensor), error]),
        ("model_load_weights", c_int32, [model, c_char_p, error]),
        ("model_save", c_int32, [model, c_char_p, c_uint32, error]),
        ("model_serialize", c_int32, [model, c_uint32, c_void_p, c_size_t, size, error]),
        ("model_freeze", c_int32, [model, out, error]),
        ("model_release", None, [model]),
        ("model_predict", c_int32, [model, batch, c_void_p, c_size_t, c_void_p, error]),
        ("model_predict_logits", c_int32,
         [model, batch, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, error]),
        ("workspace_size", c_size_t, [model]),
        ("workspace_init", c_int32, [model, c_void_p, c_size_t, out, error]),
        ("image_write", c_int32, [model, POINTER(_ImageOptions), c_void_p, c_size_t, size, error]),
        ("image_model_size", c_int32, [c_void_p, c_size_t, size, error]),
        ("image_open", c_int32, [c_void_p, c_size_t, c_void_p, c_size_t, out, error]),
        ("model_forward", c_int32, [model, batch, c_void_p, c_size_t, error]),
        ("model_backward", c_int32, [model, POINTER(_Targets), c_void_p, error]),
        ("model_logits", c_int32, [model, c_void_p, c_size_t, error]),
        ("model_backward_from", c_int32, [model, c_void_p, c_size_t, c_int32, error]),
        ("model_task_gradient", c_int32,
         [model, POINTER(_Targets), c_size_t, c_void_p, c_size_t, POINTER(c_float), error]),
        ("model_step", c_int32, [model, error]),
        ("model_step_count", c_uint64, [model]),
        ("model_gradient_norm", c_double, [model]),
        ("model_gradient", c_int32, [model, POINTER(_Gradient), error]),
        ("model_table_gradient", c_int32, [model, c_size_t, POINTER(_Gradient), error]),
        ("model_input_gradient", c_int32, [model, POINTER(_Gradient), error]),
        ("model_set_gradient", c_int32, [model, c_void_p, c_size_t, error]),
        ("model_set_table_gradient", c_int32,
         [model, c_size_t, c_void_p, c_size_t, c_void_p, c_size_t, error]),
        ("model_unit_gradient_norm", c_int32,
         [model, c_size_t, c_size_t, c_void_p, c_size_t, POINTER(c_double), error]),
        ("model_set_task_weight", c_int32, [model, c_size_t, c_double, error]),
        ("model_set_norm_momentum", c_int32, [model, c_double, error]),
        ("model_set_trained", c_int32, [model, c_char_p, c_int32, error]),
        ("model_learning_rate", c_double, [model]),
        ("model_embedding_learning_rate", c_double, [model]),
        ("model_task_weight", c_double, [model, c_size_t]),
        ("model_norm_momentum", c_double, [model]),
        ("model_set_learning_rate", c_int32, [model, c_double, error]),
        ("model_set_embedding_learning_rate", c_int32, [model, c_double, error]),
        ("model_set_threads", c_int32, [model, c_size_t, error]),
        ("model_set_metadata", c_int32, [model, c_char_p, c_char_p, error]),
        ("model_metadata", c_char_p, [model, c_char_p]),
        ("model_config_json", c_char_p, [model]),
        ("model_topology_json", c_char_p, [model]),
        ("model_isa", c_char_p, [model]),
        ("model_parameter_count", c_uint64, [model]),
        ("model_macs_per_row", c_uint64, [model]),
        ("model_bytes", c_uint64, [model]),
        ("model_block_rows", c_size_t, [model]),
        ("model_check_names", c_int32, [model, POINTER(_Names), error]),
        ("model_dense_width", c_size_t, [model]),
        ("model_dense_name", c_char_p, [model, c_size_t]),
        ("model_field_count", c_size_t, [model]),
        ("model_field_name", c_char_p, [model, c_size_t]),
        ("model_field_index", c_size_t, [model, c_char_p]),
        ("model_table_count", c_size_t, [model]),
        ("model_table_name", c_char_p, [model, c_size_t]),
        ("model_table_index", c_size_t, [model, c_char_p]),
        ("model_layer_count", c_size_t, [model]),
        ("model_unit_count", c_size_t, [model, c_size_t]),
        ("model_unit_name", c_char_p, [model, c_size_t, c_size_t]),
        ("model_unit_index", c_size_t, [model, c_size_t, c_char_p]),
        ("model_task_count", c_size_t, [model]),
        ("model_task_name", c_char_p, [model, c_size_t]),
        ("model_task_index", c_size_t, [model, c_char_p]),
        ("model_is_frozen", c_int32, [model]),
        ("model_tensor_count", c_size_t, [model]),
        ("model_tensor_at", c_int32, [model, c_size_t, POINTER(_Tensor), error]),
        ("model_tensor", c_int32, [model, c_char_p, POINTER(_Tensor), error]),
        ("model_set_tensor", c_int32, [model, c_char_p, c_void_p, c_size_t, error]),
        ("metrics_create", c_int32, [POINTER(_MetricsOptions), out, error]),
        ("metrics_destroy", None, [metrics]),
        ("metrics_reset", None, [metrics]),
        ("metrics_add", c_int32, [metrics, POINTER(_MetricsRows), error]),
        ("metrics_serialize", c_int32, [metrics, c_void_p, c_size_t, size, error]),
        ("metrics_merge_bytes", c_int32, [metrics, c_void_p, c_size_t, error]),
        ("metrics_merge", c_int32, [metrics, metrics, error]),
        ("metrics_result", c_int32, [metrics, c_size_t, POINTER(_MetricResult), error]),
        ("health_create", c_int32, [model, c_void_p, out, error]),
        ("health_destroy", None, [health]),
        ("health_reset", None, [health]),
        ("health_serialize", c_int32, [health, c_void_p, c_size_t, size, error]),
        ("health_merge_bytes", c_int32, [health, c_void_p, c_size_t, error]),
        ("health_add", c_int32, [health, model, batch, error]),
        ("health_merge", c_int32, [health, health, error]),
        ("health_rows", c_uint64, [health]),
        ("health_expert_count", c_size_t, [health]),
        ("health_node_count", c_size_t, [health]),
        ("health_expert", c_int32, [health, c_size_t, POINTER(_ExpertHealth), error]),
        ("health_node", c_int32, [health, c_size_t, POINTER(_NodeHealth), error]),
        ("health_gate_weight", c_double, [health, c_size_t, c_size_t]),
        ("health_self_weight", c_double, [health, c_size_t, c_size_t]),
        ("health_distance", c_double, [health, c_size_t, c_size_t]),
        ("health_bin_edge", c_double, [c_size_t]),
        ("health_histogram", c_int32, [health, c_size_t, POINTER(c_uint64), error]),
    ]
    for name, result, arguments in declarations:
        function = getattr(library, "home_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load_library()

__version__: str = _library.home_version_string().decode()


def _call(name: str, *arguments: Any) -> None:
    """Calls home_<name> and turns a failure into an exception."""
    error = _Error()
    status = getattr(_library, "home_" + name)(*arguments, byref(error))
    if status != 0:
        raise HomeError(status, error.message.decode(errors="replace"))


def _c_string(encoded: bytes) -> bytes:
    """Text for C, where a zero byte is the end."""
    if b"\0" in encoded:
        raise ValueError("embedded null byte")
    return encoded


def hash_id(id: int, rows: int) -> int:
    """The row of a hashed table with that many rows that an id maps to.

    ValueError: a number that does not fit 64 bits. Any thread."""
    numbers = _of_sequence("hash_id", [id, rows], "Q", (2,), False)
    return int(_library.home_hash_id(*numbers.owner))


# -------------------------------------------------------------------------------------------- data

_SIZE = "Q" if ctypes.sizeof(c_size_t) == 8 else "L"  # array's code of a size_t
_NONE = c_size_t(-1).value  # SIZE_MAX: no expert, no node, no such name
_EXPECTED = {"f": "a number", "d": "a number", "Q": "an integer from 0 to 2^64 - 1",
             "L": "an integer from 0 to 2^32 - 1"}


class _Memory(NamedTuple):
    address: int
    stride: int  # elements from row to row
    shape: Tuple[int, ...]
    owner: Any  # keeps the memory alive


def _is_array(values: Values) -> bool:
    """Of NumPy, or what NumPy takes for one: a tensor of PyTorch, a column of pandas."""
    return numpy is not None and hasattr(values, "__array__")


def _array(name: str, values: Values, missing: bool = False) -> Any:
    """What is an array as one of NumPy's own. Masked elements become NaN, if they may be `missing`,
    or are an error."""
    if not isinstance(values, numpy.ma.MaskedArray):
        return numpy.asarray(values)
    mask = numpy.ma.getmaskarray(values)
    if not mask.any():
        return values.data
    if not missing:
        position = ", ".join(map(str, numpy.argwhere(mask)[0])) if mask.ndim else "0"
        raise ValueError(f"{name} is masked at position {position}, expected a value")
    return numpy.where(mask, numpy.nan, values.data)


def _memory(name: str, values: Values, code: str, shape: Shape, missing: bool = False,
            packed: bool = False) -> _Memory:
    """Numbers where they lie, if they are a NumPy array of array's type `code` with dense rows
    (that also touch, if `packed`); else a copy. A None in `shape` stands for any length; `name` is
    for errors. What is masked or None becomes NaN if it may be `missing`, and is else an error."""
    if _is_array(values):
        return _of_array(name, values, code, shape, missing, packed)
    return _of_sequence(name, values, code, shape, missing)


def _expect_shape(name: str, shape: Sequence[int], expected: Shape) -> None:
    if len(shape) != len(expected) or any(e not in (None, n) for n, e in zip(shape, expected)):
        wanted = str(expected).replace("None", "any")
        raise ValueError(f"{name} has the shape {tuple(shape)}, expected {wanted}")


def _of_array(name: str, values: Values, code: str, shape: Shape, missing: bool,
              packed: bool) -> _Memory:
    values = _array(name, values, missing)
    if values.dtype == object:
        return _of_sequence(name, values, code, shape, missing)
    _expect_shape(name, values.shape, shape)
    if values.size and values.dtype.kind not in ("biuf" if code in "fd" else "iu"):
        raise ValueError(f"{name} is an array of {values.dtype}, "
                         f"expected one of {numpy.dtype(code)}")
    if values.size and values.dtype.kind == "i" and code not in "fd" and values.min() < 0:
        raise ValueError(f"{name}: {values.min()} at position {values.argmin()}, "
                         f"expected {_EXPECTED[code]}")
    item = array(code).itemsize
    dense_rows = values.size and values.strides[-1] == item and all(
        stride >= item * values.shape[-1] and stride % item == 0 for stride in values.strides[:-1])
    fits = dense_rows and values.flags.aligned and (values.flags.c_contiguous or not packed)
    if values.dtype != code or not fits:
        values = numpy.ascontiguousarray(values, code)
    return _Memory(values.ctypes.data, values.strides[0] // item, values.shape, values)


def _of_sequence(name: str, values: Values, code: str, shape: Shape, missing: bool) -> _Memory:
    if hasattr(values, "tolist"):  # a memoryview of two dimensions has no other way in
        values = values.tolist()
    made: Tuple[int, ...]
    if len(shape) == 1:
        flat = _numbers(name, values, code, missing)
        made = (len(flat),)
    else:
        rows = _rows(name, values, code, missing)
        made = (len(rows), len(rows[0]) if rows else shape[1] or 0)
        for r, row in enumerate(rows):
            if len(row) != made[1]:
                raise ValueError(f"{name}, row {r} has {len(row)} values, row 0 has {made[1]}")
        flat = array(code, b"".join(rows))
    _expect_shape(name, made, shape)
    return _Memory(flat.buffer_info()[0], made[-1], made, flat)


def _rows(name: str, values: Values, code: str, missing: bool = False) -> List[array[Any]]:
    return [_numbers(f"{name}, row {r}", row, code, missing)
            for r, row in enumerate(_listed(name, values))]


def _listed(name: str, values: Values) -> List[Any]:
    try:
        return list(values)
    except TypeError:
        raise ValueError(f"{name} is {reprlib.repr(values)}, expected a sequence") from None


def _numbers(name: str, values: Values, code: str, missing: bool = False) -> array[Any]:
    """An array of the numbers. What is missing is NaN, where it may be."""
    if _is_array(values):
        values = _array(name, values, missing)
    numbers = _listed(name, values)
    if missing:
        numbers = [math.nan if _is_missing(number) else number for number in numbers]
    elif numpy is not None and any(map(partial(operator.is_, numpy.ma.masked), numbers)):
        position = next(i for i, number in enumerate(numbers) if number is numpy.ma.masked)
        raise ValueError(f"{name} is masked at position {position}, expected {_EXPECTED[code]}")
    try:
        return array(code, numbers)
    except (TypeError, ValueError, OverflowError):
        position = next((i for i, n in enumerate(numbers) if not _fits(n, code)), 0)
        raise ValueError(f"{name}: {reprlib.repr(numbers[position])} at position {position}, "
                         f"expected {_EXPECTED[code]}") from None


def _is_missing(number: Any) -> bool:
    """None, NumPy's masked, or pandas' NA, which need not be installed."""
    return (number is None or type(number).__name__ == "NAType"
            or numpy is not None and number is numpy.ma.masked)


def _fits(number: Any, code: str) -> bool:
    try:
        return len(array(code, [number])) == 1
    except (TypeError, ValueError, OverflowError):
        return False


def _ragged(name: str, values: Ids) -> Ids:
    """Ids with any number a row as Ragged; those with one a row as they are."""
    if isinstance(values, Ragged):
        return values
    if _is_array(values):
        values = _array(name, values)
        if values.ndim == 2:
            width = values.shape[1]
            return Ragged(values.reshape(-1), [r * width for r in range(len(values) + 1)])
        if values.dtype != object:
            return values
        values = values.tolist()
    values = _listed(name, values)
    if not values or not hasattr(values[0], "__len__"):
        return values
    rows = _rows(name, values, "Q")
    offsets = array(_SIZE, accumulate(map(len, rows), initial=0))
    return Ragged(array("Q", b"".join(rows)), offsets)


def _unweighted(values: Ids) -> Ids:
    return values.ids if isinstance(values, Weighted) else values


def _field(field: str, values: Ids, rows: Optional[int]) -> Tuple[_Ids, int, Any]:
    """An id field as the library wants it, its number of rows, which must be `rows` unless that is
    None, and what keeps its memory alive."""
    made, rows, owner = _field_ids(field, _unweighted(values), rows)
    if not isinstance(values, Weighted):
        return made, rows, owner
    weights = _id_weights(f'weights of field "{field}"', values, made.count)
    made.weights = weights.address
    return made, rows, (owner, weights)


def _field_ids(field: str, values: Ids, rows: Optional[int]) -> Tuple[_Ids, int, Any]:
    name = f'field "{field}"'
    values = _ragged(name, values)
    if not isinstance(values, Ragged):
        ids = _memory(name, values, "Q", (rows,))
        return _Ids(ids=ids.address, count=ids.shape[0]), ids.shape[0], ids
    ids = _memory(name, values.ids, "Q", (None,))
    offsets_name = "offsets of " + name
    given = values.offsets
    if _is_array(given):  # a copy, so that no other thread can change what was checked
        given = _array(offsets_name, given).copy()
    offsets = _memory(offsets_name, given, _SIZE, (None if rows is None else rows + 1,))
    if offsets.shape[0] == 0:
        raise ValueError(f"offsets of {name} are empty, expected one more than rows")
    last = int(offsets.owner[-1])
    if last > ids.shape[0]:
        raise ValueError(f"the last offset of {name} is {last}, of {ids.shape[0]} ids")
    return (_Ids(ids=ids.address, offsets=offsets.address, count=last), offsets.shape[0] - 1,
            (ids, offsets))


def _id_weights(name: str, values: Weighted, count: int) -> _Memory:
    """A weight for each of the ids, which there are at least `count` of."""
    weights = values.weights
    if not isinstance(values.ids, Ragged):
        if _is_array(weights):
            weights = _array(name, weights).reshape(-1)
        else:
            weights = _listed(name, weights)
            ids = _listed(name, values.ids)
            if ids and hasattr(ids[0], "__len__"):
                rows = _rows(name, weights, "f")
                _expect_lengths(name, rows, ids)
                weights = array("f", b"".join(rows))
    memory = _memory(name, weights, "f", (None,), packed=True)
    if memory.shape[0] < count or not isinstance(values.ids, Ragged) and memory.shape[0] > count:
        raise ValueError(f"{name}: {memory.shape[0]} for {count} ids")
    return memory


def _expect_lengths(name: str, weights: List[Any], ids: Ids) -> None:
    """As many weights as ids in each row of lists."""
    for r, (some, those) in enumerate(zip(weights, ids)):  # the sum of the lengths is checked later
        if len(some) != len(those):
            raise ValueError(f"{name}, row {r}: {len(some)} for {len(those)} ids")


def _bytes_at(name: str, data: Any) -> Tuple[int, int, Any]:
    """Address and length of a bytes-like object, and what keeps its memory alive. What is read-only
    and not of the type bytes is copied."""
    try:
        view = memoryview(data)
    except TypeError:
        raise ValueError(f"{name} is {reprlib.repr(data)}, expected bytes") from None
    if view.readonly or not view.c_contiguous or not view.nbytes:
        memory = data if isinstance(data, bytes) else bytes(view)
        return ctypes.cast(c_char_p(memory), c_void_p).value or 0, len(memory), memory
    owner = (c_char * view.nbytes).from_buffer(view)
    return ctypes.addressof(owner), view.nbytes, owner


def _view(address: Optional[int], shape: Tuple[int, ...], code: str = "f") -> memoryview:
    """A copy of an array of the library's."""
    count = math.prod(shape)
    if not count or not address:
        return memoryview(b"").cast(code)  # which cannot have a shape with a 0
    item: Any = c_float if code == "f" else c_uint64
    return memoryview(bytearray((item * count).from_address(address))).cast("B").cast(code, shape)


class _Floats:
    """Room for a matrix of results, given back as a NumPy array or as lists."""

    def __init__(self, rows: int, columns: int, as_array: bool) -> None:
        self.columns, self.as_array = columns, as_array
        self.values: Any
        if as_array:
            self.values = numpy.empty((rows, columns), numpy.float32)
            self.address = self.values.ctypes.data
        else:
            self.values = array("f", bytes(4 * rows * columns))
            self.address = self.values.buffer_info()[0]

    def result(self) -> Any:
        if self.as_array:
            return self.values
        return [self.values[i:i + self.columns].tolist()
                for i in range(0, len(self.values), self.columns)]


# ------------------------------------------------------------------------------------------ access


class _Access:
    """Many readers or one writer, who need not wait for readers that come after.

    An exception from a signal handler may be raised between any two steps, but not between taking a
    lock by `with` and entering its block, nor, since CPython 3.10, between leaving the block and
    giving it back; for older ones _let_go() does that. So there is nothing here that must be undone
    except by a `with` on a lock itself: each thread reads under a lock of its own, and a writer,
    after a sign that it wants to write, waits for each of these once. Who finds the sign of a
    writer that was interrupted takes it down.

    A handler may call again what it interrupted. Its thread owns the lock already then; locks that
    may be taken twice (RLock) tell so."""

    def __init__(self) -> None:
        self._turn: Any = threading.RLock()  # held by a writer, from its wish to its end
        self._wanted = False  # a writer holds the turn, or was interrupted
        self._changing = False  # ... and all readers have left
        self._thread = threading.local()  # .lock: held by this thread while it reads
        self._locks: Set[weakref.ref[Any]] = set()  # those of all threads

    def _own_lock(self) -> Any:
        lock = getattr(self._thread, "lock", None)
        if lock is None:
            lock = threading.RLock()
            self._locks.add(weakref.ref(lock, self._locks.discard))
            self._thread.lock = lock
        return lock

    def inside(self) -> bool:
        """Whether a call of this thread is under way, which a signal handler has interrupted."""
        return bool(self._turn._is_owned() or self._own_lock()._is_owned())

    def shared(self, function: Callable[[], T]) -> T:
        if self.inside():
            return function()
        own = self._own_lock()
        try:
            while True:
                with own:
                    if not self._wanted:
                        return function()
                with self._turn:
                    self._wanted = False
        except BaseException:
            self._let_go()
            raise

    def exclusive(self, function: Callable[[], T]) -> T:
        if self.inside():
            raise HomeError(E_STATE, "a signal handler cannot change what the call that it "
                                     "interrupted is using")
        try:
            with self._turn:
                self._changing = False
                self._wanted = True
                for lock in self._all_locks():
                    with lock:
                        pass
                self._changing = True
                try:
                    return function()
                finally:
                    self._wanted = self._changing = False
        except BaseException:
            self._let_go()
            raise

    def _all_locks(self) -> List[Any]:
        locks = [known() for known in list(self._locks)]
        return [lock for lock in locks if lock is not None]

    def _let_go(self) -> None:
        """Gives back what this thread holds, at the end of a call that interrupted no other."""
        for lock in [self._turn, *self._all_locks()]:
            while lock._is_owned():
                lock.release()

    def after_fork(self) -> bool:
        """In a child process: lets go of what threads of the parent held. Returns False if one of
        them was changing the object."""
        whole = True
        if not self._turn._is_owned():
            if self._turn.acquire(blocking=False):
                self._turn.release()
            else:
                whole = not self._changing
                self._turn = threading.RLock()
            self._wanted = self._changing = False
        self._locks.clear()
        lock = getattr(self._thread, "lock", None)
        if lock is not None:
            self._locks.add(weakref.ref(lock, self._locks.discard))
        return whole


_owners: Set[weakref.ref[_Owner]] = set()
_merging = threading.RLock()  # who holds two objects at once waits for nobody who does too


class _Owner:
    """Frees what it owns in the library when it is collected. A copy would free it once more."""

    _noun = "object"

    def __init__(self, handle: c_void_p, release: Callable[..., None], *memory: Any) -> None:
        """`memory` is kept until after the release."""
        self._handle: Optional[c_void_p] = handle
        self._gone = f"the {self._noun} is closed"
        self._release = weakref.finalize(self, _release, release, handle, *memory)
        self._release.atexit = False  # a daemon thread may be in a call when the interpreter ends
        self._access = _Access()
        _owners.add(weakref.ref(self, _owners.discard))

    def __reduce__(self) -> Any:  # which copy.copy, copy.deepcopy and pickle end up with
        raise TypeError(f"a {type(self).__name__} can be neither copied nor pickled")

    def close(self) -> None:
        """Frees its memory once no thread uses it; then every call is a ValueError. May be called
        again.

        Any thread."""
        if self._access.inside():
            self._handle = None  # the call that this one has interrupted still needs the memory
        else:
            self._access.exclusive(self._free)

    def _free(self) -> None:
        self._handle = None
        self._release()

    def __enter__(self: O) -> O:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _open(self) -> c_void_p:
        handle = self._handle
        if handle is None:
            raise ValueError(self._gone)
        return handle

    def _shared(self, function: Callable[[c_void_p], T]) -> T:
        return self._access.shared(lambda: function(self._open()))

    def _exclusive(self, function: Callable[[c_void_p], T]) -> T:
        return self._access.exclusive(lambda: function(self._open()))

    def _after_fork(self) -> None:
        if not self._access.after_fork():
            self._handle = None
            self._gone = (f"another thread was changing the {self._noun} when this process was "
                          "forked")
            self._release.detach()


O = TypeVar("O", bound=_Owner)


def _release(release: Callable[[c_void_p], None], handle: c_void_p, *memory: Any) -> None:
    release(handle)


def _after_fork() -> None:
    global _merging
    _merging = threading.RLock()
    for known in list(_owners):
        owner = known()
        if owner is not None:
            owner._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _merge(name: str, into: _Owner, other: _Owner) -> None:
    with _merging:
        into._exclusive(lambda a: other._shared(lambda b: _call(name, a, b)))


def _merge_bytes(name: str, into: _Owner, data: Any) -> None:
    address, length, memory = _bytes_at("data", data)
    into._exclusive(lambda handle: _call(name, handle, address, length))
    del memory


# ------------------------------------------------------------------------------------------- model


class Model(_Owner):
    """A model; made by create(), load(), load_memory(), freeze() or open_image(). Freed when
    closed, left by `with`, or collected.

    `dense_width`, `dense_names` (or None), `fields`, `tables` and `tasks` tell what it takes and
    gives, `frozen` whether it is for serving only. Docstrings say of every method which threads may
    call it: "any thread" at the same time as others, or "alone", which waits for the other calls of
    this model and they for it.
    """

    _noun = "model"

    def __init__(self, handle: c_void_p, *memory: Any) -> None:
        """For the functions that make models. `memory`: of an image, which has no allocator."""
        super().__init__(handle, _library.home_model_release, *memory)
        self.dense_width = int(_library.home_model_dense_width(handle))
        self.fields: Tuple[str, ...] = tuple(
            _library.home_model_field_name(handle, i).decode()
            for i in range(_library.home_model_field_count(handle)))
        self.tasks: Tuple[str, ...] = tuple(
            _library.home_model_task_name(handle, i).decode()
            for i in range(_library.home_model_task_count(handle)))
        self.tables: Tuple[str, ...] = tuple(
            _library.home_model_table_name(handle, i).decode()
            for i in range(_library.home_model_table_count(handle)))
        self.dense_names: Optional[Tuple[str, ...]] = None
        if self.dense_width and _library.home_model_dense_name(handle, 0) is not None:
            self.dense_names = tuple(_library.home_model_dense_name(handle, i).decode()
                                     for i in range(self.dense_width))
        self.frozen = bool(_library.home_model_is_frozen(handle))
        self._from_image = bool(memory)
        self._workspaces: List[_Workspace] = []  # of an image, not in use now
        self._rows: Optional[int] = None  # of the last forward

    @classmethod
    def _made_by(cls, name: str, *arguments: Any) -> Model:
        handle = c_void_p()
        _call(name, *arguments, byref(handle))
        return cls(handle)

    @classmethod
    def create(cls, config: Union[str, Mapping[str, Any]], *, memory_limit: int = 0,
               isa: Optional[str] = None) -> Model:
        """A new model from a configuration, a dict or JSON text; docs/model.md has the keys.
        memory_limit: the most bytes that it may take; 0: no limit. isa: the best instruction set
        that it may use.

        HomeError: E_JSON, E_CONFIG, E_MEMORY, E_TOO_LARGE, E_UNSUPPORTED. Any thread."""
        text = _config_text(config)
        options = _create_options(memory_limit, isa)
        return cls._made_by("model_create_json", text, len(text), byref(options))

    @classmethod
    def load(cls, path: Path, *, frozen: bool = False, memory_limit: int = 0,
             isa: Optional[str] = None) -> Model:
        """A model from a checkpoint file, with the optimizer's state where the file has it.

        frozen: straight to what freeze() makes, in less time and memory. memory_limit: the most
        bytes that it may take; 0: some times the size of the file. isa: as in create().

        HomeError: E_ARGUMENT, E_FILE, E_FORMAT, E_CHECKSUM, E_JSON, E_CONFIG, E_MISMATCH, E_VALUE,
        E_MEMORY, E_TOO_LARGE, E_UNSUPPORTED. Any thread."""
        name = _c_string(os.fsencode(path))
        options = _load_options(frozen, memory_limit, isa)
        return cls._made_by("model_load", name, byref(options))

    @classmethod
    def load_memory(cls, data: Any, *, frozen: bool = False, memory_limit: int = 0,
                    isa: Optional[str] = None) -> Model:
        """A model from the bytes of a checkpoint, such as serialize() gives, which are copied.

        HomeError: as load(), without E_FILE. Any thread."""
        options = _load_options(frozen, memory_limit, isa)
        address, length, memory = _bytes_at("data", data)
        model = cls._made_by("model_load_memory", address, length, byref(options))
        del memory
        return model

    def freeze(self) -> Model:
        """A read-only copy for serving, which lives on its own.

        HomeError: E_STATE if this one is frozen, E_MEMORY. Any thread."""
        return self._shared(lambda handle: self._made_by("model_freeze", handle))

    def save(self, path: Path, optimizer: bool = False) -> None:
        """Writes a checkpoint, with the optimizer's state if training is to go on. A file that is
        there already stays whole until the new one is.

        HomeError: E_STATE if frozen, E_VALUE if a weight is not finite, E_FILE, E_MEMORY. Any
        thread."""
        name = _c_string(os.fsencode(path))
        flags = SAVE_OPTIMIZER if optimizer else 0
        self._shared(lambda handle: _call("model_save", handle, name, flags))

    def serialize(self, optimizer: bool = False) -> bytes:
        """The bytes that save() would write.

        HomeError: as save(), without E_FILE. Any thread."""
        flags = SAVE_OPTIMIZER if optimizer else 0
        return self._shared(lambda handle: _written("model_serialize", handle, flags))

    def load_weights(self, path: Path) -> None:
        """Takes the weights of a safetensors file that has exactly this model's tensors. The
        optimizer starts anew.

        HomeError: as load(), and E_STATE if frozen. Alone."""
        name = _c_string(os.fsencode(path))
        self._exclusive(lambda handle: _call("model_load_weights", handle, name))

    # ---- serving

    def predict(self, dense: Optional[Values] = None,
                ids: Optional[Mapping[str, Ids]] = None) -> Any:
        """Predictions [rows, tasks] as array or lists: probabilities of binary tasks.

        dense: [rows, dense_width]; left out where dense_width is 0. ids: maps each field's name to
        the ids of all rows. A dense value that is not finite spoils its own row only.

        ValueError: shapes and types. HomeError: E_VALUE if an id is out of range or offsets fall,
        E_MEMORY, E_TOO_LARGE. Any thread."""
        batch, memory = self._batch(dense, ids)
        out = _Floats(batch.rows, len(self.tasks), _any_array(dense, ids))
        self._shared(lambda handle: self._predict(handle, batch, out))
        del memory
        return out.result()

    def predict_logits(self, dense: Optional[Values] = None,
                       ids: Optional[Mapping[str, Ids]] = None) -> Tuple[Any, Any]:
        """Predictions, and the logits that they come from: the towers' outputs before the sigmoid.
        They tell apart what rounds to a probability of 0 or 1.

        ValueError, HomeError: as predict(). Any thread."""
        batch, memory = self._batch(dense, ids)
        as_array = _any_array(dense, ids)
        out, logits = (_Floats(batch.rows, len(self.tasks), as_array) for _ in range(2))
        self._shared(lambda handle: self._predict(handle, batch, out, logits))
        del memory
        return out.result(), logits.result()

    def _predict(self, handle: c_void_p, batch: _Batch, out: _Floats,
                 logits: Optional[_Floats] = None) -> None:
        results = (out.address, 0, logits.address if logits else None, 0)
        if not self._from_image:
            _call("model_predict_logits", handle, byref(batch), *results, None)
            return
        try:
            workspace = self._workspaces.pop()
        except IndexError:
            workspace = _Workspace(handle)
        _call("model_predict_logits", handle, byref(batch), *results, workspace.pointer)
        self._workspaces.append(workspace)

    def image(self, panel: int = 0, block_rows: int = 0) -> bytes:
        """The serving image of a frozen model (docs/embedding.md). panel: columns of a panel of
        weights, 1 to 256, block_rows: rows at once, 1 to 4096; 0: those for this machine.

        HomeError: E_STATE if not frozen, E_ARGUMENT if an option is out of range, E_VALUE,
        E_TOO_LARGE. Any thread."""
        options = _ImageOptions(panel=_count("panel", panel),
                                block_rows=_count("block_rows", block_rows))
        return self._shared(lambda handle: _written("image_write", handle, byref(options)))

    @classmethod
    def open_image(cls, source: Any) -> Model:
        """A frozen model that reads its weights where they lie in an image: `source` is the path
        of a file, which is mapped, so that processes share its memory, or bytes, which are copied.
        The file must not change until the model is closed; to replace it, rename another over it.

        OSError: the file. HomeError: E_FORMAT, E_CHECKSUM, E_UNSUPPORTED. Any thread. set_threads,
        set_metadata, Health and all that trains are E_STATE for such a model."""
        if isinstance(source, (str, os.PathLike)):
            with open(source, "rb") as file:
                # Copies pages only when they are written to, which they never are.
                data: Any = (mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                             if os.fstat(file.fileno()).st_size else b"")
        else:
            data = source
        address, size, image = _bytes_at("the image", data)
        if not isinstance(data, mmap.mmap):
            image = _aligned_copy(address, size)
            address = image.address
        needed = c_size_t()
        _call("image_model_size", address, size, byref(needed))
        memory = ctypes.create_string_buffer(max(needed.value, 1))
        handle = c_void_p()
        _call("image_open", address, size, memory, needed, byref(handle))
        return cls(handle, image, memory)

    def set_threads(self, count: int) -> None:
        """Lets each call use `count` threads of the model's own, 1 to 1024; results do not change.
        In a child process after fork it starts new ones.

        ValueError: count. HomeError: E_STATE for an image, E_MEMORY. Alone."""
        if not 1 <= count <= 1024:
            raise ValueError(f"{count} threads, expected 1 to 1024")
        self._exclusive(lambda handle: _call("model_set_threads", handle, count))

    # ---- training

    def train_step(self, dense: Optional[Values] = None, ids: Optional[Mapping[str, Ids]] = None,
                   *, labels: Values, row_weights: Optional[Values] = None,
                   weights: Optional[Values] = None) -> Dict[str, float]:
        """forward(), backward() and step() on a batch; returns each task's loss before the step.

        labels: [rows, tasks], where NaN, None or masked is missing. row_weights: [rows], weights:
        [rows, tasks], finite and >= 0; left out: all 1.

        ValueError: shapes and types. HomeError: E_STATE if frozen, E_ARGUMENT (no rows, or one row
        with batch norms), E_VALUE (a value that is not allowed; the model may have moved its batch
        norms' running values by then), E_MEMORY, E_TOO_LARGE. Alone, from begin to end."""
        batch, memory = self._batch(dense, ids)
        targets, more = self._targets(labels, row_weights, weights, batch.rows)
        losses = (c_float * len(self.tasks))()

        def train(handle: c_void_p) -> None:
            self._forward(handle, batch, None)
            _call("model_backward", handle, byref(targets), losses)
            _call("model_step", handle)

        self._exclusive(train)
        del memory, more
        return dict(zip(self.tasks, losses))

    def forward(self, dense: Optional[Values] = None,
                ids: Optional[Mapping[str, Ids]] = None) -> Any:
        """Runs the model on a batch in training mode and keeps what backward needs; the first part
        of a step. Returns predictions as predict() does, which differ from it where batch norms use
        the mean and variance of the batch.

        ValueError, HomeError: as train_step(). Alone; the host sees to it that no other thread
        trains between forward() and step()."""
        batch, memory = self._batch(dense, ids)
        out = _Floats(batch.rows, len(self.tasks), _any_array(dense, ids))
        self._exclusive(lambda handle: self._forward(handle, batch, out))
        del memory
        return out.result()

    def _forward(self, handle: c_void_p, batch: _Batch, out: Optional[_Floats]) -> None:
        # C trusts the rows of what is handed to backward, so they are known for sure or not at all.
        before, self._rows = self._rows, None
        try:
            _call("model_forward", handle, byref(batch), out.address if out else None, 0)
        except HomeError:
            self._rows = before
            raise
        self._rows = int(batch.rows)

    def _expect_rows(self, name: str, rows: int) -> None:
        if self._rows is None:
            raise HomeError(E_STATE, f"{name} are given without a forward before")
        if rows != self._rows:
            raise ValueError(f"{name} are of {rows} rows, the last forward is of {self._rows}")

    def logits(self) -> memoryview:
        """The logits of the last forward, [rows, tasks].

        HomeError: E_STATE if frozen or without a forward. Alone."""
        def run(handle: c_void_p) -> memoryview:
            if self._rows is None:
                raise HomeError(E_STATE, "call forward() first")
            values = array("f", bytes(4 * self._rows * len(self.tasks)))
            _call("model_logits", handle, values.buffer_info()[0], 0)
            return memoryview(values).cast("B").cast("f", (self._rows, len(self.tasks)))

        return self._exclusive(run)

    def backward(self, labels: Values, row_weights: Optional[Values] = None,
                 weights: Optional[Values] = None, *, total_weights: Optional[Values] = None,
                 accumulate: bool = False) -> Dict[str, float]:
        """Computes the losses of the last forward, which it returns by task, and all gradients.
        Arguments as in train_step().

        Training by parts: accumulate adds the gradients to those since the last step instead of
        replacing them. total_weights, [tasks]: the sums of the weights of all rows with a label of
        the whole batch, which the losses of this part are divided by; left out: of these rows. Then
        the parts make what one batch would make, but for batch norms.

        ValueError: shapes, types, other rows than in the forward. HomeError: E_STATE if frozen or
        without a forward since the last backward, E_VALUE, E_MEMORY. Alone."""
        targets, memory = self._targets(labels, row_weights, weights, None)
        targets.accumulate = _ON if accumulate else _OFF
        if total_weights is not None:
            memory.append(_memory("total_weights", total_weights, "d", (len(self.tasks),)))
            targets.total_weights = memory[-1].address
        rows = memory[0].shape[0]
        losses = (c_float * len(self.tasks))()

        def run(handle: c_void_p) -> None:
            self._expect_rows("labels", rows)
            _call("model_backward", handle, byref(targets), losses)

        self._exclusive(run)
        return dict(zip(self.tasks, losses))

    def backward_from(self, dlogits: Values, *, accumulate: bool = False) -> None:
        """Computes all gradients of a loss of the caller's, in place of backward(). dlogits:
        [rows, tasks], the derivative of that loss by each of logits().

        ValueError, HomeError: as backward(); E_VALUE if a derivative is not finite. Alone."""
        values = _memory("dlogits", dlogits, "f", (None, len(self.tasks)))

        def run(handle: c_void_p) -> None:
            self._expect_rows("dlogits", values.shape[0])
            _call("model_backward_from", handle, values.address, values.stride,
                  _ON if accumulate else _OFF)

        self._exclusive(run)

    def step(self) -> None:
        """Moves the parameters along the gradients.

        HomeError: E_STATE if frozen or without gradients since the last forward or step, E_VALUE
        if the gradients' norm is not finite or above 1e15, after which nothing moved. Alone."""
        self._exclusive(lambda handle: _call("model_step", handle))

    @property
    def gradient_norm(self) -> float:
        """The Euclidean norm of all gradients, before clipping. Any thread."""
        return self._shared(lambda handle: float(_library.home_model_gradient_norm(handle)))

    @property
    def step_count(self) -> int:
        """Steps taken since the model was created. Any thread."""
        return self._shared(lambda handle: int(_library.home_model_step_count(handle)))

    def gradient(self, name: str) -> memoryview:
        """A copy of the gradient of a dense parameter, in the shape of its tensor, of all backwards
        since the last step.

        HomeError: E_NOT_FOUND if there is no such tensor, E_STATE if frozen or without a backward
        since the last forward. ValueError: it has no such gradient (a statistic or a table).
        Alone."""
        return self._exclusive(lambda handle: _view(*_gradient_of(handle, name)))

    def set_gradient(self, name: str, values: Values) -> None:
        """Overwrites it before step().

        HomeError, ValueError: as gradient(), and a shape that is not the tensor's. Alone."""
        def run(handle: c_void_p) -> None:
            address, shape = _gradient_of(handle, name)
            memory = _memory(f'gradient "{name}"', values, "f", shape, packed=True)
            ctypes.memmove(address, memory.address, 4 * math.prod(shape))

        self._exclusive(run)

    def gradients(self) -> memoryview:
        """A copy of the gradients of all dense parameters end to end, in the order of `tensors`.

        HomeError: E_STATE if frozen or without a backward since the last forward. Alone."""
        def run(handle: c_void_p) -> memoryview:
            found = _gradient_by("model_gradient", handle)
            return _view(found.data, (found.width,))

        return self._exclusive(run)

    def set_gradients(self, values: Values) -> None:
        """Sets them all at once, as gradients() gives them: for sums over several machines. Also
        without a backward; then tables that are not set have no gradients.

        HomeError: E_ARGUMENT, E_STATE if frozen or between a forward and its backward, E_VALUE,
        E_MEMORY. Alone."""
        memory = _memory("gradients", values, "f", (None,), packed=True)
        self._exclusive(lambda handle: _call("model_set_gradient", handle, memory.address,
                                             memory.shape[0]))

    def table_gradient(self, table: str) -> TableGradient:
        """The rows of a table that batches since the last step touched, and a copy of their
        gradients; after task_gradient(), those of that task.

        HomeError: E_STATE if frozen or without a backward since the last forward, E_NOT_FOUND.
        Alone."""
        def run(handle: c_void_p) -> TableGradient:
            found = _table_gradient(handle, table)
            return TableGradient(_view(found.ids, (found.rows,), "Q"),
                                 _view(found.data, (found.rows, found.width)))

        return self._exclusive(run)

    def set_table_gradient(self, table: str, values: Values, rows: Optional[Values] = None) -> None:
        """Sets the gradient of a table before step(): [count, dim], of these rows (of a hashed
        table, see hash_id()), in any order, which are added up where one comes twice. Without
        `rows`, of those that table_gradient() tells, in its order.

        HomeError: E_STATE if frozen or between a forward and its backward, E_NOT_FOUND, E_VALUE if
        there is no such row or a value is not finite, E_MEMORY. ValueError: another shape.
        Alone."""
        name = f'gradient of table "{table}"'

        def run(handle: c_void_p) -> None:
            if rows is None:
                found = _table_gradient(handle, table)
                shape = (found.rows, found.width)
                memory = _memory(name, values, "f", shape, packed=True)
                ctypes.memmove(found.data, memory.address, 4 * math.prod(shape))
                return
            dim = _shape(_tensor(handle, f"embeddings.{table}.weight"))[1]
            ids = _memory(f"rows of {name}", rows, "Q", (None,))
            memory = _memory(name, values, "f", (ids.shape[0], dim))
            number = _library.home_model_table_index(handle, _c_string(table.encode()))
            _call("model_set_table_gradient", handle, number, ids.address, ids.shape[0],
                  memory.address, memory.stride)

        self._exclusive(run)

    def input_gradient(self) -> memoryview:
        """A copy of the gradient by the dense input, [rows, dense_width], of the last backward or
        task_gradient().

        HomeError: E_STATE if frozen or without a backward since the last forward. Alone."""
        def run(handle: c_void_p) -> memoryview:
            found = _gradient_by("model_input_gradient", handle)
            rows, width, stride = found.rows, found.width, found.stride
            if stride == width or rows == 0 or width == 0:
                return _view(found.data, (rows, width))
            wide = _view(found.data, ((rows - 1) * stride + width,))
            lines = [bytes(wide[r * stride:r * stride + width]) for r in range(rows)]
            return memoryview(b"".join(lines)).cast("f", (rows, width))

        return self._exclusive(run)

    def task_gradient(self, task: str, labels: Values, row_weights: Optional[Values] = None,
                      weights: Optional[Values] = None) -> Tuple[float, Dict[str, memoryview]]:
        """A task's loss, and the gradients of its term of the total by the names of the dense
        parameters; for each task between a forward and its backward (GradNorm, PCGrad).

        ValueError, HomeError: as backward(); ValueError if there is no such task. Alone."""
        number = self._task(task)
        targets, memory = self._targets(labels, row_weights, weights, None)
        rows = memory[0].shape[0]
        loss, gradients = c_float(), {}

        def run(handle: c_void_p) -> None:
            self._expect_rows("labels", rows)
            count = _library.home_model_parameter_count(handle)
            flat = array("f", bytes(4 * count))
            address = flat.buffer_info()[0]
            _call("model_task_gradient", handle, byref(targets), number, address, count,
                  byref(loss))
            for tensor in _tensors(handle):
                if tensor.gradient:
                    gradients[tensor.name.decode()] = _view(address + 4 * tensor.gradient_offset,
                                                            _shape(tensor))

        self._exclusive(run)
        return loss.value, gradients

    def unit_gradient_norm(self, layer: int, unit: str) -> float:
        """The Euclidean norm of the last backward's gradient by the parameters of a unit's experts.

        HomeError: E_STATE if frozen or without a backward since the last forward, E_NOT_FOUND. Any
        thread."""
        norm, number, name = c_double(), _count("layer", layer), _c_string(unit.encode())

        def run(handle: c_void_p) -> None:
            index = _library.home_model_unit_index(handle, number, name)
            if index == _NONE:
                raise HomeError(E_NOT_FOUND, f'layer {layer} has no unit "{unit}"')
            count = _library.home_model_parameter_count(handle)
            _call("model_unit_gradient_norm", handle, number, index, None, count, byref(norm))

        self._shared(run)
        return norm.value

    def set_learning_rate(self, rate: float) -> None:
        """Of the dense parameters, from the next step on: 0 to 1e6. The tables have their own.

        HomeError: E_ARGUMENT, E_STATE if frozen. Alone."""
        self._exclusive(lambda handle: _call("model_set_learning_rate", handle, rate))

    def set_embedding_learning_rate(self, rate: float) -> None:
        """Of the embedding tables, from the next step on: 0 to 1e6.

        HomeError: E_ARGUMENT, E_STATE if frozen. Alone."""
        self._exclusive(lambda handle: _call("model_set_embedding_learning_rate", handle, rate))

    @property
    def learning_rate(self) -> float:
        """Of the dense parameters. Any thread."""
        return self._shared(lambda handle: float(_library.home_model_learning_rate(handle)))

    @property
    def embedding_learning_rate(self) -> float:
        """Of the embedding tables. Any thread."""
        return self._shared(
            lambda handle: float(_library.home_model_embedding_learning_rate(handle)))

    def set_task_weight(self, task: str, weight: float) -> None:
        """The factor of a task's loss in the total, from the next backward on; 0 takes it out.

        ValueError: there is no such task. HomeError: E_ARGUMENT, E_STATE if frozen. Alone."""
        number = self._task(task)
        self._exclusive(lambda handle: _call("model_set_task_weight", handle, number, weight))

    def task_weight(self, task: str) -> float:
        """The factor in use.

        ValueError: there is no such task. Any thread."""
        number = self._task(task)
        return self._shared(lambda handle: float(_library.home_model_task_weight(handle, number)))

    def set_norm_momentum(self, momentum: float) -> None:
        """How far a forward moves the batch norms' running values: 0 to 1; 0 leaves them.

        HomeError: E_ARGUMENT, E_STATE if frozen. Alone."""
        self._exclusive(lambda handle: _call("model_set_norm_momentum", handle, momentum))

    @property
    def norm_momentum(self) -> float:
        """The momentum in use. Any thread."""
        return self._shared(lambda handle: float(_library.home_model_norm_momentum(handle)))

    def set_trained(self, pattern: str, trained: bool) -> None:
        """Whether step() moves the tensors whose names match: `*` stands for any characters, `?`
        for one; "embeddings.*" are all tables.

        HomeError: E_NOT_FOUND if none matches, E_STATE if frozen. Alone."""
        names = _c_string(pattern.encode())
        self._exclusive(lambda handle: _call("model_set_trained", handle, names,
                                             _ON if trained else _OFF))

    @property
    def trained(self) -> Dict[str, bool]:
        """Whether step() moves them, by the names of the tensors. Any thread."""
        return self._shared(lambda handle: {tensor.name.decode(): tensor.trained == _ON
                                            for tensor in _tensors(handle)})

    def _task(self, task: str) -> int:
        if task not in self.tasks:
            raise ValueError(f"no task is named {task!r}, expected one of {self.tasks}")
        return self.tasks.index(task)

    # ---- looking inside

    def check_names(self, dense: Optional[Sequence[str]] = None,
                    fields: Optional[Sequence[str]] = None,
                    tasks: Optional[Sequence[str]] = None) -> None:
        """Compares your names, in your order, with the model's; what is left out is not compared.

        HomeError: E_MISMATCH, with the first difference. Any thread."""
        names, memory = _Names(), []
        for what, single, given in (("dense", "dense", dense), ("fields", "field", fields),
                                    ("tasks", "task", tasks)):
            if given is not None:
                memory.append((c_char_p * len(given))(*(_c_string(n.encode()) for n in given)))
                setattr(names, what, memory[-1])
                setattr(names, single + "_count", len(given))
        self._shared(lambda handle: _call("model_check_names", handle, byref(names)))

    def set_metadata(self, key: str, value: Optional[str]) -> None:
        """Text of your own that is saved with the model; None removes it.

        HomeError: E_ARGUMENT if the key is empty or reserved, E_STATE for an image, E_MEMORY.
        Alone."""
        name = _c_string(key.encode())
        text = None if value is None else _c_string(value.encode())
        self._exclusive(lambda handle: _call("model_set_metadata", handle, name, text))

    def metadata(self, key: str) -> Optional[str]:
        """The text of a key, or None. Any thread."""
        name = _c_string(key.encode())

        def run(handle: c_void_p) -> Optional[str]:
            value = _library.home_model_metadata(handle, name)
            return None if value is None else str(value.decode())

        return self._shared(run)

    @property
    def config(self) -> Dict[str, Any]:
        """The complete configuration, defaults filled in. Any thread."""
        return self._json("config")

    @property
    def topology(self) -> Dict[str, Any]:
        """Who sees whom, with presets and masks resolved; home_model_topology_json() in home.h says
        how it is written. Any thread."""
        return self._json("topology")

    def _json(self, what: str) -> Dict[str, Any]:
        function = getattr(_library, f"home_model_{what}_json")
        text = self._shared(lambda handle: bytes(function(handle)))
        value: Dict[str, Any] = json.loads(text)
        return value

    @property
    def isa(self) -> str:
        """The instruction set it computes with: portable, avx2, avx512 or neon. Any thread."""
        return self._shared(lambda handle: str(_library.home_model_isa(handle).decode()))

    @property
    def parameter_count(self) -> int:
        """Parameters outside the embedding tables. Any thread."""
        return self._shared(lambda handle: int(_library.home_model_parameter_count(handle)))

    @property
    def macs_per_row(self) -> int:
        """Multiply-adds of the matrix products for a row at serving. Any thread."""
        return self._shared(lambda handle: int(_library.home_model_macs_per_row(handle)))

    @property
    def memory_bytes(self) -> int:
        """Memory that it took when it was made; 0 for an image. Any thread."""
        return self._shared(lambda handle: int(_library.home_model_bytes(handle)))

    @property
    def block_rows(self) -> int:
        """Rows that predict() takes through the model at once. Any thread."""
        return self._shared(lambda handle: int(_library.home_model_block_rows(handle)))

    @property
    def tensors(self) -> Dict[str, Tuple[int, ...]]:
        """The tensors' shapes by their names, in the order of the checkpoint; none of a frozen
        model. Any thread."""
        return self._shared(lambda handle: {tensor.name.decode(): _shape(tensor)
                                            for tensor in _tensors(handle)})

    def tensor(self, name: str) -> memoryview:
        """A copy of a tensor.

        HomeError: E_NOT_FOUND. Any thread."""
        def run(handle: c_void_p) -> memoryview:
            tensor = _tensor(handle, name)
            return _view(tensor.data, _shape(tensor))

        return self._shared(run)

    def set_tensor(self, name: str, values: Values) -> None:
        """Overwrites a tensor with an array, lists, or what tensor() gave, of the same shape.

        ValueError: shape and types. HomeError: E_NOT_FOUND, E_VALUE if a value is not finite or a
        running variance is below 0. Alone."""
        def run(handle: c_void_p) -> None:
            shape = _shape(_tensor(handle, name))
            memory = _memory(f'tensor "{name}"', values, "f", shape, packed=True)
            _call("model_set_tensor", handle, _c_string(name.encode()), memory.address,
                  math.prod(shape))

        self._exclusive(run)

    # ---- what goes to C

    def _batch(self, dense: Optional[Values],
               ids: Optional[Mapping[str, Ids]]) -> Tuple[_Batch, Any]:
        """The rows as the library wants them, and what must stay alive as long as it reads them."""
        ids = {} if ids is None else ids
        if not hasattr(ids, "keys"):  # a table of pandas has them too
            raise ValueError(f"ids is a {type(ids).__name__}, expected a mapping such as "
                             "{field: its ids}")
        if set(ids) != set(self.fields):
            raise ValueError(f"ids are given for {sorted(ids)}, "
                             f"the model's fields are {sorted(self.fields)}")
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

    def _targets(self, labels: Values, row_weights: Optional[Values], weights: Optional[Values],
                 rows: Optional[int]) -> Tuple[_Targets, List[_Memory]]:
        """The same of labels and weights; the first of the memory is that of the labels."""
        label = _memory("labels", labels, "f", (rows, len(self.tasks)), missing=True)
        targets, memory = _Targets(labels=label.address, label_stride=label.stride), [label]
        if row_weights is not None:
            memory.append(_memory("row_weights", row_weights, "f", label.shape[:1]))
            targets.row_weights = memory[-1].address
        if weights is not None:
            memory.append(_memory("weights", weights, "f", label.shape))
            targets.weights, targets.weight_stride = memory[-1].address, memory[-1].stride
        return targets, memory


def _any_array(dense: Optional[Values], ids: Optional[Mapping[str, Ids]]) -> bool:
    inputs = [dense] if ids is None else [dense, *(_unweighted(ids[name]) for name in ids)]
    return any(_is_array(values.ids if isinstance(values, Ragged) else values)
               for values in inputs)


_ON, _OFF = 1, 2


def _config_text(config: Union[str, Mapping[str, Any]]) -> bytes:
    return (config if isinstance(config, str) else json.dumps(config)).encode()


def _memory_limit(limit: int) -> int:
    if not 0 <= operator.index(limit) < 2**64:
        raise ValueError(f"memory_limit is {limit}, expected 0 to 2^64 - 1")
    return limit


def _create_options(memory_limit: int, isa: Optional[str]) -> _CreateOptions:
    return _CreateOptions(memory_limit=_memory_limit(memory_limit),
                          isa=None if isa is None else _c_string(isa.encode()))


def _load_options(frozen: bool, memory_limit: int, isa: Optional[str]) -> _LoadOptions:
    return _LoadOptions(memory_limit=_memory_limit(memory_limit), frozen=_ON if frozen else _OFF,
                        isa=None if isa is None else _c_string(isa.encode()))


def check_config(config: Union[str, Mapping[str, Any]], *, memory_limit: int = 0,
                 isa: Optional[str] = None) -> List[ConfigError]:
    """All errors of a configuration, where Model.create() stops at the first; [] if there are none.

    HomeError: E_MEMORY. Any thread."""
    found: List[ConfigError] = []

    def report(user: Any, where: bytes, error: Any) -> int:
        message = error.contents.message.decode(errors="replace")
        found.append(ConfigError(where.decode(errors="replace"), error.contents.status, message))
        return 0

    text, options = _config_text(config), _create_options(memory_limit, isa)
    try:
        _call("config_check_json", text, len(text), byref(options), _Report(report), None)
    except HomeError:
        if not found:
            raise
    return found


def _count(name: str, number: int) -> int:
    """A size for C, where a number below 0 would become a large one."""
    if not 0 <= operator.index(number) <= 2**31:
        raise ValueError(f"{name} is {number}, expected 0 to 2^31")
    return number


def _written(name: str, *arguments: Any) -> bytes:
    """What a function of the library writes to memory whose size it tells first."""
    length = c_size_t()
    _call(name, *arguments, None, 0, byref(length))
    buffer = ctypes.create_string_buffer(max(length.value, 1))
    _call(name, *arguments, buffer, length, byref(length))
    return buffer.raw[:length.value]


class _Aligned:
    """Memory at an address that can be divided by 64, as images must lie."""

    def __init__(self, size: int) -> None:
        self.buffer = ctypes.create_string_buffer(size + 63)
        self.address = (ctypes.addressof(self.buffer) + 63) & ~63


def _aligned_copy(address: int, size: int) -> _Aligned:
    copy = _Aligned(size)
    ctypes.memmove(copy.address, address, size)
    return copy


class _Workspace:
    """Scratch memory of one prediction at a time."""

    def __init__(self, handle: c_void_p) -> None:
        size = _library.home_workspace_size(handle)
        self.memory = ctypes.create_string_buffer(size)
        self.pointer = c_void_p()
        _call("workspace_init", handle, self.memory, size, byref(self.pointer))


def _tensors(handle: c_void_p) -> List[_Tensor]:
    tensors = []
    for i in range(_library.home_model_tensor_count(handle)):
        tensors.append(_Tensor())
        _call("model_tensor_at", handle, i, byref(tensors[-1]))
    return tensors


def _tensor(handle: c_void_p, name: str) -> _Tensor:
    tensor = _Tensor()
    _call("model_tensor", handle, _c_string(name.encode()), byref(tensor))
    return tensor


def _shape(tensor: _Tensor) -> Tuple[int, ...]:
    return tuple(tensor.shape[:tensor.rank])


def _gradient_by(name: str, *arguments: Any) -> _Gradient:
    found = _Gradient()
    _call(name, *arguments, byref(found))
    return found


def _gradient_of(handle: c_void_p, name: str) -> Tuple[int, Tuple[int, ...]]:
    tensor = _tensor(handle, name)
    if not tensor.gradient:
        raise ValueError(f'tensor "{name}" is not a dense parameter, which alone have gradients')
    start = _gradient_by("model_gradient", handle).data
    return int(start) + 4 * int(tensor.gradient_offset), _shape(tensor)


def _table_gradient(handle: c_void_p, table: str) -> _Gradient:
    number = _library.home_model_table_index(handle, _c_string(table.encode()))
    if number == _NONE:
        raise HomeError(E_NOT_FOUND, f'there is no table "{table}"')
    return _gradient_by("model_table_gradient", handle, number)


# -------------------------------------------------------------------------------------- checkpoint


class Checkpoint(_Owner):
    """The header of a checkpoint, read without its tensors, in milliseconds.

        with home.Checkpoint.open("model.safetensors") as file:
            print(file.step_count, file.metadata, [tensor.name for tensor in file.tensors])
    """

    _noun = "checkpoint"

    @classmethod
    def open(cls, path: Path) -> Checkpoint:
        """Of a file, which may be any safetensors file.

        HomeError: E_FILE, E_FORMAT, E_JSON, E_VALUE, E_MEMORY, E_TOO_LARGE, E_UNSUPPORTED. Any
        thread."""
        handle = c_void_p()
        _call("checkpoint_open", _c_string(os.fsencode(path)), None, byref(handle))
        return cls(handle, _library.home_checkpoint_destroy)

    @classmethod
    def open_memory(cls, data: Any) -> Checkpoint:
        """Of its bytes, which are not needed afterwards.

        HomeError: as open(), without E_FILE. Any thread."""
        handle = c_void_p()
        address, length, memory = _bytes_at("data", data)
        _call("checkpoint_open_memory", address, length, None, byref(handle))
        del memory
        return cls(handle, _library.home_checkpoint_destroy)

    @property
    def config(self) -> Optional[Dict[str, Any]]:
        """The configuration, without what is at its default; None for a file that libhome has not
        written. Any thread."""
        text = self._shared(_library.home_checkpoint_config_json)
        value: Optional[Dict[str, Any]] = None if text is None else json.loads(text)
        return value

    @property
    def metadata(self) -> Dict[str, str]:
        """Your own texts by their keys. Any thread."""
        def run(handle: c_void_p) -> Dict[str, str]:
            key = _library.home_checkpoint_metadata_key
            text = _library.home_checkpoint_metadata_text
            return {key(handle, i).decode(): text(handle, i).decode()
                    for i in range(_library.home_checkpoint_metadata_count(handle))}

        return self._shared(run)

    @property
    def step_count(self) -> int:
        """Steps taken, where the optimizer's state was saved; else 0. Any thread."""
        return self._shared(lambda handle: int(_library.home_checkpoint_step_count(handle)))

    @property
    def has_optimizer(self) -> bool:
        """Whether it has the optimizer's state. Any thread."""
        return self._shared(lambda handle: bool(_library.home_checkpoint_has_optimizer(handle)))

    @property
    def file_bytes(self) -> int:
        """Of the whole file. Any thread."""
        return self._shared(lambda handle: int(_library.home_checkpoint_bytes(handle)))

    @property
    def tensors(self) -> List[StoredTensor]:
        """All tensors, in the order of the header. Any thread."""
        def run(handle: c_void_p) -> List[StoredTensor]:
            return [_stored("checkpoint_tensor_at", handle, i)
                    for i in range(_library.home_checkpoint_tensor_count(handle))]

        return self._shared(run)

    def tensor(self, name: str) -> StoredTensor:
        """One of them.

        HomeError: E_NOT_FOUND. Any thread."""
        text = _c_string(name.encode())
        return self._shared(lambda handle: _stored("checkpoint_tensor", handle, text))


def _stored(call: str, *arguments: Any) -> StoredTensor:
    found = _StoredTensor()
    _call(call, *arguments, byref(found))
    return StoredTensor(found.name.decode(), found.dtype.decode(), tuple(found.shape[:found.rank]),
                        found.bytes, found.offset)


# ----------------------------------------------------------------------------- metrics and health

R = TypeVar("R", TaskMetrics, ExpertHealth, NodeHealth)


def _figures(kind: Type[R], result: _Sized) -> R:
    values: List[Any] = [getattr(result, figure) for figure in kind._fields]
    return kind._make(value.decode() if isinstance(value, bytes)
                      else None if value == _NONE else value for value in values)


class Metrics(_Owner):
    """How good predictions were, over any number of batches. Threads may share one.

        metrics = home.Metrics(model.tasks)
        metrics.add(model.predict(dense, ids), labels, users)
        print(metrics.result()["like"].auc)
    """

    _noun = "accumulator"

    def __init__(self, tasks: Sequence[str], losses: Optional[Sequence[int]] = None,
                 max_bytes: int = 0) -> None:
        """Empty; `tasks` names the columns. losses: LOSS_* of each; left out: all binary.
        max_bytes: the most memory, with errors that the figures state; 0: all rows are kept.

        HomeError: E_ARGUMENT without tasks or for a max_bytes that is too small, E_MEMORY."""
        self.tasks = tuple(tasks)
        options = _MetricsOptions(tasks=len(self.tasks), max_bytes=_memory_limit(max_bytes))
        if losses is not None:
            if len(losses) != len(self.tasks):
                raise ValueError(f"{len(losses)} losses for {len(self.tasks)} tasks")
            options.losses = (c_int32 * len(losses))(*losses)
        handle = c_void_p()
        _call("metrics_create", byref(options), byref(handle))
        super().__init__(handle, _library.home_metrics_destroy)

    def add(self, predictions: Values, labels: Values, users: Optional[Values] = None, *,
            row_weights: Optional[Values] = None, weights: Optional[Values] = None) -> None:
        """Adds rows: predictions and labels [rows, tasks], a label that is NaN, None or masked is
        missing; an id a row of its user, NO_USER for none, without which the rows have no part in
        GAUC. row_weights: [rows], weights: [rows, tasks], finite and >= 0.

        ValueError: shapes and types. HomeError: E_VALUE if a label, or the prediction of one, is
        outside 0 to 1, or a weight is not allowed; E_MEMORY. Either leaves what it held. Any
        thread; one at a time is in."""
        columns = len(self.tasks)
        predicted = _memory("predictions", predictions, "f", (None, columns))
        label = _memory("labels", labels, "f", predicted.shape, missing=True)
        rows, memory = predicted.shape[0], []
        added = _MetricsRows(rows=rows, predictions=predicted.address,
                             prediction_stride=predicted.stride, labels=label.address,
                             label_stride=label.stride)
        if users is not None:
            memory.append(_memory("users", users, "Q", (rows,)))
            added.users = memory[-1].address
        if row_weights is not None:
            memory.append(_memory("row_weights", row_weights, "f", (rows,)))
            added.row_weights = memory[-1].address
        if weights is not None:
            memory.append(_memory("weights", weights, "f", predicted.shape))
            added.weights, added.weight_stride = memory[-1].address, memory[-1].stride
        self._exclusive(lambda handle: _call("metrics_add", handle, byref(added)))

    def reset(self) -> None:
        """Forgets all rows. Any thread; one at a time is in."""
        self._exclusive(_library.home_metrics_reset)

    def serialize(self) -> bytes:
        """All it holds, for merge_bytes() on any machine. Any thread."""
        return self._shared(lambda handle: _written("metrics_serialize", handle))

    def merge_bytes(self, data: Any) -> None:
        """Adds what another one has made bytes of.

        HomeError: E_FORMAT, E_CHECKSUM, E_UNSUPPORTED, E_MISMATCH, E_ARGUMENT, E_MEMORY. Any
        thread; one at a time is in."""
        _merge_bytes("metrics_merge_bytes", self, data)

    def merge(self, other: Metrics) -> None:
        """Adds all that another one holds, of as many tasks.

        HomeError: E_ARGUMENT if the numbers of tasks differ, E_MEMORY. Any thread."""
        _merge("metrics_merge", self, other)

    def result(self) -> Dict[str, TaskMetrics]:
        """The figures by the tasks' names.

        HomeError: E_MEMORY, E_TOO_LARGE. Any thread."""
        def run(handle: c_void_p) -> Dict[str, TaskMetrics]:
            results = {}
            for t, task in enumerate(self.tasks):
                result = _MetricResult()
                _call("metrics_result", handle, t, byref(result))
                results[task] = _figures(TaskMetrics, result)
            return results

        return self._shared(run)


class Health(_Owner):
    """What a model's experts and gates compute on rows that it is shown (docs/health.md). Experts
    and nodes are numbered through all layers, in the order of Model.topology. Threads may share
    one.

        health = home.Health(model)
        health.add(model, dense, ids)
        worst = max(health.experts(), key=lambda expert: expert.near_zero)
    """

    _noun = "accumulator"

    def __init__(self, model: Model) -> None:
        """Empty, for models like this one, which it keeps no reference to.

        HomeError: E_STATE if the model was opened from an image, E_MEMORY."""
        handle = c_void_p()
        model._shared(lambda of: _call("health_create", of, None, byref(handle)))
        super().__init__(handle, _library.home_health_destroy)

    def add(self, model: Model, dense: Optional[Values] = None,
            ids: Optional[Mapping[str, Ids]] = None) -> None:
        """Runs the model on rows, given as to Model.predict(), and adds what it computes.

        ValueError: shapes and types. HomeError: E_ARGUMENT for a model of another shape, E_VALUE
        for a value that is not finite or an id out of range, E_MEMORY. Any thread; one at a time is
        in, with other calls of the model."""
        batch, memory = model._batch(dense, ids)
        self._exclusive(lambda handle: model._shared(
            lambda of: _call("health_add", handle, of, byref(batch))))
        del memory

    def reset(self) -> None:
        """Forgets all rows. Any thread; one at a time is in."""
        self._exclusive(_library.home_health_reset)

    def serialize(self) -> bytes:
        """All it holds, for merge_bytes() on any machine. Any thread."""
        return self._shared(lambda handle: _written("health_serialize", handle))

    def merge_bytes(self, data: Any) -> None:
        """Adds what another one has made bytes of.

        HomeError: E_FORMAT, E_CHECKSUM, E_UNSUPPORTED, E_MISMATCH. Any thread; one at a time is
        in."""
        _merge_bytes("health_merge_bytes", self, data)

    def merge(self, other: Health) -> None:
        """Adds all that another one holds.

        HomeError: E_ARGUMENT if they are for models of different shapes. Any thread."""
        _merge("health_merge", self, other)

    @property
    def rows(self) -> int:
        """How many rows it has seen. Any thread."""
        return self._shared(lambda handle: int(_library.home_health_rows(handle)))

    def experts(self) -> List[ExpertHealth]:
        """The figures of all experts; NaN where not defined. Any thread."""
        return self._all("expert", _ExpertHealth, ExpertHealth)

    def nodes(self) -> List[NodeHealth]:
        """The figures of all nodes; NaN where not defined. Any thread."""
        return self._all("node", _NodeHealth, NodeHealth)

    def _all(self, what: str, struct: Type[_Sized], kind: Type[R]) -> List[R]:
        def run(handle: c_void_p) -> List[R]:
            figures = []
            for i in range(getattr(_library, f"home_health_{what}_count")(handle)):
                result = struct()
                _call("health_" + what, handle, i, byref(result))
                figures.append(_figures(kind, result))
            return figures

        return self._shared(run)

    def gate_weight(self, node: int, expert: int) -> float:
        """The mean weight that a node's gate gives an expert; NaN where it does not see it, or for
        a number past the end. Any thread."""
        return self._matrix("gate_weight", node, expert)

    def self_weight(self, node: int, expert: int) -> float:
        """The same in the node's self term. Any thread."""
        return self._matrix("self_weight", node, expert)

    def distance(self, a: int, b: int) -> float:
        """How far apart the outputs of two experts of a layer are: 0 the same, about 1 unrelated,
        NaN for experts of different layers. Any thread."""
        return self._matrix("distance", a, b)

    def _matrix(self, name: str, i: int, j: int) -> float:
        _count(name, i), _count(name, j)
        function = getattr(_library, "home_health_" + name)
        return self._shared(lambda handle: float(function(handle, i, j)))

    def histogram(self, expert: int) -> List[int]:
        """Counts of an expert's values in HEALTH_BINS bins; bin_edge() tells their limits.

        HomeError: E_NOT_FOUND. Any thread."""
        counts, number = (c_uint64 * HEALTH_BINS)(), _count("expert", expert)
        self._shared(lambda handle: _call("health_histogram", handle, number, counts))
        return list(counts)

    @staticmethod
    def bin_edge(i: int) -> float:
        """The upper limit of bin i and the lower one of the next. Any thread."""
        return float(_library.home_health_bin_edge(_count("bin", i)))
