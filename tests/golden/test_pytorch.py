"""The golden files against PyTorch as it is here, and weights that go from PyTorch to libhome and back.

    test_pytorch.py LIBHOME.so        (run in the top folder; test_pytorch.sh does)
"""

import json
import os
import random
import sys
import tempfile

import numpy
import torch

import generate  # first: it makes the modules of examples/pytorch known
import golden
from cases import CASES
from checkpoint import load_model, save_model, write
from config import with_defaults
from home import Home
from libhome import SAVE_OPTIMIZER, Library, Rows
from optimizer import Optimizer

ROWS = 50
STEPS = 10
# Why these limits: see test_golden.c.
PROBABILITY_LIMIT = 1e-5
GRADIENT_LIMIT, GRADIENT_NOISE = 1e-4, 1e-6
# BLIS (make BLIS=1) adds products up in other orders than either; Adam divides the smallest gradients, which are little
# but rounding, by their own size.
STEP_LIMIT, STEP_NOISE = 2e-3 if os.environ.get("BLIS") else 1e-3, 1e-6
# Two computations in float64, stored in float32.
GOLDEN_LIMIT = 1e-6


class Failure(Exception):
    pass


def check_near(what, actual, expected, limit):
    if numpy.shape(actual) != numpy.shape(expected):
        raise Failure(f"{what}: the shape is {numpy.shape(actual)}, expected {numpy.shape(expected)}")
    actual, expected = numpy.asarray(actual, float), numpy.asarray(expected, float)
    off = numpy.abs(actual - expected)
    off[numpy.isnan(actual) & numpy.isnan(expected)] = 0  # missing labels
    if not (off <= limit).all():
        raise Failure(f"{what}: off by {off.max():.3g}, allowed {limit:.3g}")


def largest(array):
    return float(numpy.abs(array).max(initial=0))


def check_regenerated(name, folder):
    """The committed file is what the generator makes."""
    path = os.path.join(folder, name + ".golden")
    golden.write(path, generate.make(name))
    made, kept = golden.read(path), golden.read(os.path.join(generate.HERE, name + ".golden"))
    if list(made) != list(kept):
        raise Failure(f"other records: {sorted(set(made) ^ set(kept))}")
    for key, value in made.items():
        if key == "config":
            if value != kept[key]:
                raise Failure("another config")
        elif value.dtype.kind == "u":
            check_near(key, value, kept[key], 0)
        else:
            check_near(key, value, kept[key], GOLDEN_LIMIT * max(1, largest(numpy.nan_to_num(kept[key]))))


def torch_gradients(model, batch, task=None):
    """Predictions, losses, and the gradients by the total or by one task's term."""
    Optimizer(model).zero_grad()
    logits = model(batch["dense"], batch["ids"])
    labels = batch["labels"]
    if task is not None:
        others = torch.arange(labels.shape[1]) != task
        labels = labels.masked_fill(others, float("nan"))
    total, losses = generate.loss_of(model, logits, {**batch, "labels": labels})
    if total.requires_grad:  # some label is live
        total.backward()
    gradients = {name: parameter.grad.numpy().copy() for name, parameter in model.named_parameters()}
    return model.predictions(logits).detach().numpy(), losses.detach().numpy(), gradients


def check_gradients(what, actual, expected):
    noise = GRADIENT_NOISE * max(largest(gradient) for gradient in expected.values())
    for name, gradient in actual.items():
        check_near(f"{what} {name}", gradient, expected[name], GRADIENT_LIMIT * largest(gradient) + noise)


def check_same_model(model, theirs, batch):
    """The PyTorch model and libhome's give the same: served, trained, and after ten steps."""
    rows = Rows(batch)
    check_near("served", theirs.predict(rows), generate.serving(model, batch), PROBABILITY_LIMIT)
    start = generate.values(model)
    for task in range(rows.shape[1]):
        theirs.forward(rows)
        actual = theirs.task_gradient(rows, task)
        check_gradients(f"gradient of task {task} by", actual, torch_gradients(model, batch, task)[2])
    predictions, losses, gradients = torch_gradients(model, batch)
    check_near("predictions", theirs.forward(rows), predictions, PROBABILITY_LIMIT)
    check_near("losses", theirs.backward(rows), losses, PROBABILITY_LIMIT)
    actual = theirs.gradients()
    if actual.keys() != gradients.keys():
        raise Failure(f"other parameters: {sorted(actual.keys() ^ gradients.keys())}")
    check_gradients("gradient by", actual, gradients)
    optimizer = Optimizer(model)
    for _ in range(STEPS):
        theirs.forward(rows)
        theirs.backward(rows)
        theirs.step()
        optimizer.zero_grad()
        generate.loss_of(model, model(batch["dense"], batch["ids"]), batch)[0].backward()
        optimizer.step(batch["ids"])
    ends = generate.values(model)
    for name, value in theirs.values().items():
        moved = largest(ends[name] - start[name])
        check_near(f"after ten steps {name}", value, ends[name], STEP_LIMIT * moved + STEP_NOISE)
    check_near("served after ten steps", theirs.predict(rows), generate.serving(model, batch), STEP_LIMIT)


def check_to_libhome(library, name, folder):
    """As a checkpoint, and as a file of nothing but tensors."""
    source = random.Random(name)
    model = Home(CASES[name]).double()
    generate.randomize(model, source)
    path = os.path.join(folder, name + ".from_torch")
    save_model(path, model)
    batch = generate.make_batch(model.config, ROWS, source)
    weights_path = os.path.join(folder, name + ".weights")
    write(weights_path, {key: tensor.float() for key, tensor in model.state_dict().items()})
    theirs = library.create(json.dumps(CASES[name]))
    theirs.load_weights(weights_path)
    check_near("served from weights alone", theirs.predict(Rows(batch)), generate.serving(model, batch),
               PROBABILITY_LIMIT)
    check_same_model(model, library.load(path), batch)


def check_from_libhome(library, name, folder):
    """Fresh, and after ten steps, with the optimizer's state in the file.

    Feature gates do not start at 1 here: then the gradients of `mix` and `down` are 0 at first, and for some steps so
    small that Adam makes their rounding errors large.
    """
    gate = {**CASES[name].get("feature_gate", {}), "init": "uniform"}
    config = json.dumps({**CASES[name], "seed": 7, "feature_gate": gate})
    theirs = library.create(config)
    if with_defaults(json.loads(theirs.config())) != with_defaults(json.loads(config)):
        raise Failure(f"other defaults: {theirs.config()}, expected {with_defaults(json.loads(config))}")
    path = os.path.join(folder, name + ".from_libhome")
    theirs.save(path)
    model = load_model(path, torch.float64)
    batch = generate.make_batch(model.config, ROWS, random.Random(name))
    check_same_model(model, theirs, batch)
    theirs.save(path, SAVE_OPTIMIZER)
    check_near("served from a file with optimizer state", theirs.predict(Rows(batch)),
               generate.serving(load_model(path, torch.float64), batch), PROBABILITY_LIMIT)


def main():
    library = Library(os.path.abspath(sys.argv[1]))
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            for what, check in (("regenerated", lambda: check_regenerated(name, folder)),
                                ("PyTorch to libhome", lambda: check_to_libhome(library, name, folder)),
                                ("libhome to PyTorch", lambda: check_from_libhome(library, name, folder))):
                try:
                    check()
                    passed += 1
                except (Failure, RuntimeError) as error:
                    print(f"{name}, {what}: {error}")
                    failed += 1
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
