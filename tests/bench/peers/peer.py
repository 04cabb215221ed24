"""What the workers in Python share: the protocol of worker.h, and the models that bench-home exported."""

import os
import statistics
import sys
import time

import numpy
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../examples/pytorch"))
from checkpoint import load_model  # noqa: E402


class Subject:
    """A reference model with its rows and labels."""

    def __init__(self, folder, name):
        self.model = load_model(f"{folder}/{name}.safetensors").eval()
        self.rows = self.floats(folder, name, "rows", self.model.config["dense"])
        self.labels = self.floats(folder, name, "labels", len(self.model.tasks))

    @staticmethod
    def floats(folder, name, suffix, width):
        return torch.from_numpy(numpy.fromfile(f"{folder}/{name}.{suffix}", "<f4").reshape(-1, width))


def measure(call, seconds):
    """The median of samples of calls, in microseconds: one to warm up, then samples for that long, three at least of
    something quick."""
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    if once < 0.03:
        start = time.perf_counter()
        call()
        once = time.perf_counter() - start
    calls = max(1, round(300e-6 / once))
    samples, begin = [], time.perf_counter()
    while len(samples) < (3 if once < 0.03 else 1) or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        samples.append((time.perf_counter() - start) / calls)
    return statistics.median(samples) * 1e6


class Best:
    """Measures every style of a case when it is first asked for, and from then on the fastest."""

    def __init__(self):
        self.chosen = {}

    def __call__(self, key, styles, seconds):
        """styles: names -> functions that make what is to be called. The time, the style, and what it returned."""
        if key not in self.chosen:
            times = {}
            for style, make in styles.items():
                times[style] = measure(make(), seconds)
                print(f"{' '.join(map(str, key))}: {style} {times[style]:.1f} us", file=sys.stderr, flush=True)
            self.chosen[key] = min(times, key=times.get)
        style = self.chosen[key]
        call = styles[style]()
        return measure(call, seconds), style, call()


def serve(answer):
    """answer(op, config, batch, slice) gives (microseconds, style, values) or None."""
    for line in sys.stdin:
        op, config, batch, seconds = line.split()
        result = answer(op, config, int(batch), float(seconds))
        print("-" if result is None else f"{result[0]:.3f} {result[1]} " + " ".join(f"{v:.7g}" for v in result[2]),
              flush=True)
