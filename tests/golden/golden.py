"""The container of the golden files: named arrays, all numbers little-endian.

    8 bytes    "HOMEGOLD"
    u32, u32   version (1), number of records
    records    u32 type, u32 length of the name, u64 number of elements,
               the name, zeros up to a multiple of 8 bytes, the elements, zeros up to a multiple of 8 bytes

Types: 0 text (an element is a byte), 1 float32, 2 uint64. What the records are called stands in generate.py.
"""

import struct

import numpy

MAGIC, VERSION = b"HOMEGOLD", 1
TYPES = {0: "u1", 1: "<f4", 2: "<u8"}


def _padding(size):
    return b"\0" * (-size % 8)


def write(path, records):
    """records: texts and arrays by name. Floating-point arrays are stored as float32, integers as uint64."""
    with open(path, "wb") as file:
        file.write(MAGIC + struct.pack("<II", VERSION, len(records)))
        for name, value in records.items():
            if isinstance(value, str):
                type_, value = 0, numpy.frombuffer(value.encode(), dtype="u1")
            else:
                type_ = 1 if value.dtype.kind == "f" else 2
            data = value.astype(TYPES[type_]).tobytes()
            key = name.encode()
            file.write(struct.pack("<IIQ", type_, len(key), value.size))
            file.write(key + _padding(len(key)) + data + _padding(len(data)))


def read(path):
    """The records by name; arrays are flat."""
    with open(path, "rb") as file:
        data = file.read()
    version, count = struct.unpack_from("<II", data, 8)
    if data[:8] != MAGIC or version != VERSION:
        raise ValueError(f"{path}: expected {MAGIC} of version {VERSION}")
    records, at = {}, 16
    for _ in range(count):
        type_, length, elements = struct.unpack_from("<IIQ", data, at)
        at += 16
        name = data[at:at + length].decode()
        at += length + -length % 8
        value = numpy.frombuffer(data, TYPES[type_], elements, at)
        at += value.nbytes + -value.nbytes % 8
        records[name] = value.tobytes().decode() if type_ == 0 else value
    return records
