"""The made-up rows of all examples; ../c/rows.h says what is in them."""

import math

ROWS = 64


def dense(model, rows=range(ROWS)):
    return [[(37 * r + 11 * c + r * c) % 64 / 32 - 1 for c in range(model.dense_width)] for r in rows]


def ids(model, rows=range(ROWS)):
    def of(r, f):
        count = 1 if f == 0 else (r + f) % 3
        return [(131 * (r % 16) + 17 * f + k + 1) * 0x9E3779B97F4A7C15 % 2**64 for k in range(count)]

    return {name: [of(r, f)[0] if f == 0 else of(r, f) for r in rows] for f, name in enumerate(model.fields)}


def labels(model):
    return [[math.nan if (r + t) % 7 == 0 else float((r % 16 + t) % 3 == 0) for t in range(len(model.tasks))]
            for r in range(ROWS)]
