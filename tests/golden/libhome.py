"""The few functions of libhome that test_pytorch.py needs, through ctypes."""

import ctypes
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_float, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

import numpy

SAVE_OPTIMIZER = 1
PARAMETER, STATISTIC, TABLE = range(3)


class Error(Structure):
    _fields_ = [("struct_size", c_size_t), ("status", c_int32), ("message", c_char * 240)]


class Ids(Structure):
    _fields_ = [("struct_size", c_size_t), ("ids", c_void_p), ("offsets", c_void_p), ("count", c_size_t),
                ("weights", c_void_p)]


class Batch(Structure):
    _fields_ = [("struct_size", c_size_t), ("rows", c_size_t), ("dense", c_void_p), ("dense_stride", c_size_t),
                ("fields", POINTER(Ids)), ("field_count", c_size_t)]


class Targets(Structure):
    _fields_ = [("struct_size", c_size_t), ("labels", c_void_p), ("label_stride", c_size_t), ("row_weights", c_void_p),
                ("weights", c_void_p), ("weight_stride", c_size_t), ("total_weights", c_void_p), ("accumulate", c_int32),
                ("reserved", c_int32)]


class Tensor(Structure):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("kind", c_int32), ("rank", c_int32),
                ("shape", c_uint64 * 2), ("data", POINTER(c_float)), ("gradient", POINTER(c_float)),
                ("gradient_offset", c_size_t), ("trained", c_int32), ("reserved", c_int32)]


class Gradient(Structure):
    _fields_ = [("struct_size", c_size_t), ("data", POINTER(c_float)), ("rows", c_size_t), ("width", c_size_t),
                ("stride", c_size_t), ("ids", POINTER(c_uint64))]


# Every argument that is no number is a pointer.
SIGNATURES = {
    "create_json": [c_char_p, c_size_t, c_void_p, c_void_p, c_void_p],
    "load": [c_char_p, c_void_p, c_void_p, c_void_p],
    "load_weights": [c_void_p, c_char_p, c_void_p],
    "save": [c_void_p, c_char_p, c_uint32, c_void_p],
    "forward": [c_void_p, c_void_p, c_void_p, c_size_t, c_void_p],
    "backward": [c_void_p, c_void_p, c_void_p, c_void_p],
    "task_gradient": [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_void_p],
    "step": [c_void_p, c_void_p],
    "predict": [c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p],
    "tensor_at": [c_void_p, c_size_t, c_void_p, c_void_p],
    "table_gradient": [c_void_p, c_size_t, c_void_p, c_void_p],
}


def sized(struct, **values):
    return struct(struct_size=ctypes.sizeof(struct), **values)


class Rows:
    """A batch and its targets as float32, and the structs that point to them."""

    def __init__(self, batch):
        def single(tensor):
            return numpy.ascontiguousarray(tensor.numpy(), dtype=numpy.float32)

        self.dense, self.labels = single(batch["dense"]), single(batch["labels"])
        self.row_weights, self.weights = single(batch["row_weights"]), single(batch["weights"])
        self.shape = self.labels.shape
        self.ids = [numpy.array([id_ for bag in bags for id_ in bag], dtype=numpy.uint64) for bags in batch["ids"]]
        self.offsets = [numpy.cumsum([0] + [len(bag) for bag in bags], dtype=numpy.uintp) for bags in batch["ids"]]
        fields = (Ids * len(self.ids))(*(sized(Ids, ids=ids.ctypes.data, offsets=offsets.ctypes.data)
                                         for ids, offsets in zip(self.ids, self.offsets)))
        self.batch = sized(Batch, rows=len(self.labels), dense=self.dense.ctypes.data, fields=fields,
                           field_count=len(fields))
        self.targets = sized(Targets, labels=self.labels.ctypes.data, row_weights=self.row_weights.ctypes.data,
                             weights=self.weights.ctypes.data)


class Library:
    def __init__(self, path):
        self.shared = ctypes.CDLL(path)
        for name, types in SIGNATURES.items():
            getattr(self.shared, "home_model_" + name).argtypes = types
        for name, result in (("config_json", c_char_p), ("tensor_count", c_size_t), ("release", None)):
            function = getattr(self.shared, "home_model_" + name)
            function.argtypes, function.restype = [c_void_p], result

    def call(self, name, *arguments):
        error = sized(Error)
        if getattr(self.shared, "home_model_" + name)(*arguments, byref(error)):
            raise RuntimeError(f"home_model_{name}: {error.message.decode()}")

    def create(self, config):
        """config: JSON text"""
        handle = c_void_p()
        self.call("create_json", config.encode(), len(config.encode()), None, byref(handle))
        return Model(self, handle)

    def load(self, path):
        handle = c_void_p()
        self.call("load", path.encode(), None, byref(handle))
        return Model(self, handle)


class Model:
    def __init__(self, library, handle):
        self.shared, self.handle = library, handle

    def __del__(self):
        self.shared.shared.home_model_release(self.handle)

    def _call(self, name, *arguments):
        self.shared.call(name, self.handle, *arguments)

    def config(self):
        return self.shared.shared.home_model_config_json(self.handle).decode()

    def save(self, path, flags=0):
        self._call("save", path.encode(), flags)

    def load_weights(self, path):
        self._call("load_weights", path.encode())

    def predict(self, rows):
        predictions = numpy.empty(rows.shape, numpy.float32)
        self._call("predict", byref(rows.batch), predictions.ctypes.data, 0, None)
        return predictions

    def forward(self, rows):
        predictions = numpy.empty(rows.shape, numpy.float32)
        self._call("forward", byref(rows.batch), predictions.ctypes.data, 0)
        return predictions

    def backward(self, rows):
        losses = numpy.empty(rows.shape[1], numpy.float32)
        self._call("backward", byref(rows.targets), losses.ctypes.data)
        return losses

    def step(self):
        self._call("step")

    def _tensors(self):
        for index in range(self.shared.shared.home_model_tensor_count(self.handle)):
            tensor = sized(Tensor)
            self._call("tensor_at", index, byref(tensor))
            yield tensor.name.decode(), tensor, tuple(tensor.shape[:tensor.rank])

    def values(self):
        return {name: numpy.ctypeslib.as_array(tensor.data, shape).copy() for name, tensor, shape in self._tensors()}

    def gradients(self):
        """Of every parameter and table; zeros for rows of a table that were not touched."""
        gradients = {}
        tables = 0
        for name, tensor, shape in self._tensors():
            if tensor.kind == PARAMETER:
                gradients[name] = numpy.ctypeslib.as_array(tensor.gradient, shape).copy()
            elif tensor.kind == TABLE:
                gradients[name] = numpy.zeros(shape, numpy.float32)
                touched = sized(Gradient)
                self._call("table_gradient", tables, byref(touched))
                tables += 1
                for i in range(touched.rows):
                    at = i * touched.stride
                    gradients[name][touched.ids[i]] = touched.data[at:at + touched.width]
        return gradients

    def task_gradient(self, rows, task):
        """Of every dense parameter, by one task's term alone."""
        dense = [(name, tensor.gradient_offset, shape) for name, tensor, shape in self._tensors()
                 if tensor.kind == PARAMETER]
        flat = numpy.empty(sum(int(numpy.prod(shape)) for _, _, shape in dense), numpy.float32)
        self._call("task_gradient", byref(rows.targets), task, flat.ctypes.data, flat.size, None)
        return {name: flat[at:at + int(numpy.prod(shape))].reshape(shape) for name, at, shape in dense}
