"""Checkpoints of libhome, which are safetensors files (docs/checkpoint.md): reads and writes them as PyTorch tensors.

The package `safetensors` does the same; this file only saves you from installing it.
"""

import json
import math
import os
import struct

import torch

SCHEMA = "1"
DTYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def read(path):
    """Returns the tensors of a safetensors file by name, and its metadata."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    body = memoryview(bytearray(data[8 + length:]))
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = DTYPES[entry["dtype"]]
        empty = torch.empty(entry["shape"], dtype=dtype)
        tensors[name] = torch.frombuffer(body[begin:end], dtype=dtype).view(empty.shape) if end > begin else empty
    return tensors, metadata


def write(path, tensors, metadata=None):
    """Writes a safetensors file. An existing one is replaced only when the new one is complete."""
    header = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for name, tensor in tensors.items():
        size = math.prod(tensor.shape) * tensor.element_size()
        header[name] = {"dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".tmp", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.detach().cpu().contiguous().numpy().tobytes())
    os.replace(path + ".tmp", path)


def load_model(path, dtype=torch.float32):
    """Returns the model of a checkpoint by libhome or save_model(). The state of libhome's optimizer is ignored."""
    from home import Home  # imported here, so that reading a file needs no model

    tensors, metadata = read(path)
    model = Home(json.loads(metadata["home.config"])).to(dtype)
    model.load_state_dict({name: tensor.to(dtype) for name, tensor in tensors.items()
                           if not name.startswith("optimizer.")})
    return model


def save_model(path, model):
    """Writes a file that home_model_load() reads, without the optional checksum."""
    tensors = {name: tensor.to(torch.float32) for name, tensor in model.state_dict().items()}
    write(path, tensors, {"home.schema": SCHEMA, "home.config": json.dumps(model.config)})
