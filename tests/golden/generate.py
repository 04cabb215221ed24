#!/usr/bin/env python3
"""Makes the golden files: what examples/pytorch computes in float64 for the configurations of cases.py.

    generate.py [FOLDER]      (default: this folder; needs PyTorch)

The records of a file, NAME being a tensor, table or field:

    config                                  JSON, as home_model_create_json() takes it
    tensor/NAME [3, elements]               of every tensor: the value at the start; the gradient (of a running
                                            mean or variance: its value after one forward in training mode);
                                            the value after ten steps
    touched/NAME                            of a table: the rows that batch 0 reads, ascending
    batch0/..., batch1/...                  two batches: dense [B, dense], ids/NAME, offsets/NAME [B + 1],
                                            labels [B, tasks], row_weights [B], weights [B, tasks]
    serving                                 predictions for batch 0 in inference mode
    predictions, losses                     in training mode, of batch 0; losses [tasks]
    dlogits [B, tasks], dinput [B, dense]   the total loss derived by the logits and by the dense values
    steps                                   losses [10, tasks] of ten steps from the start, batches 0, 1, 0, 1...
    final_serving                           predictions for batch 0 in inference mode after them
"""

import json
import os
import random
import sys
import zlib

import numpy
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "..", "examples", "pytorch"))

import golden  # noqa: E402
from cases import CASES  # noqa: E402
from home import Home  # noqa: E402
from optimizer import Optimizer, touched_rows  # noqa: E402

STEPS = 10
ROWS = (13, 10)  # of the two batches


def single(value):
    """The nearest float32: what goes into libhome must be the same number here."""
    return float(numpy.float32(value))


def randomize(model, source):
    """New values for every tensor, so that none is at a neutral start: a norm the identity, a feature gate 1."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            low, high = -0.7, 0.7
            if name.endswith("running_var") or ".norm.weight" in name:
                low, high = 0.5, 1.5
            elif tensor.dim() == 2 and not name.startswith("embeddings."):
                high = 1.5 / tensor.shape[1] ** 0.5
                low = -high
            values = [single(source.uniform(low, high)) for _ in range(tensor.numel())]
            tensor.copy_(torch.tensor(values, dtype=torch.float64).view(tensor.shape))


def bags(table, rows, source):
    """Zero to four ids a row; they repeat, and those of a hashed table are large."""
    known = [source.randrange(2 ** 64 if table["index"] == "hashed" else table["rows"]) for _ in range(11)]
    return [[source.choice(known) for _ in range(source.choice((0, 1, 2, 4)))] for _ in range(rows)]


def label(task, source):
    if task["name"] == "absent" or source.random() < 0.2:
        return float("nan")
    if task["loss"] == "squared":
        return single(source.uniform(-2, 2))
    return source.choice((0.0, 0.0, 1.0, 0.25))


def make_batch(config, rows, source):
    """Labels are missing in a fifth of the cells; some are soft; some weights are 0."""
    tables = {table["name"]: table for table in config["tables"]}

    def matrix(columns, low, high):
        return torch.tensor([[single(source.uniform(low, high)) for _ in range(columns)] for _ in range(rows)],
                            dtype=torch.float64)

    weights = matrix(len(config["tasks"]), 0.5, 2)
    weights[1, 0] = 0
    return {
        "dense": matrix(config["dense"], -2, 2),
        "ids": [bags(tables[field["table"]], rows, source) for field in config["fields"]],
        "labels": torch.tensor([[label(task, source) for task in config["tasks"]] for _ in range(rows)],
                               dtype=torch.float64),
        "row_weights": matrix(1, 0.5, 2).squeeze(1),
        "weights": weights,
    }


def loss_of(model, logits, batch):
    return model.loss(logits, batch["labels"], batch["row_weights"].unsqueeze(1) * batch["weights"])


def batch_records(config, batch):
    records = {name: batch[name].numpy() for name in ("dense", "labels", "row_weights", "weights")}
    for field, rows in zip(config["fields"], batch["ids"]):
        records["ids/" + field["name"]] = numpy.array([id_ for row in rows for id_ in row], dtype=numpy.uint64)
        records["offsets/" + field["name"]] = numpy.cumsum([0] + [len(row) for row in rows], dtype=numpy.uint64)
    return records


def serving(model, batch):
    model.eval()
    with torch.no_grad():
        predictions = model.predictions(model(batch["dense"], batch["ids"]))
    model.train()
    return predictions.numpy()


def values(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def forward_backward(model, batch):
    """The records of one forward and backward, and of each tensor the gradient or, of running statistics, the value."""
    dense = batch["dense"].clone().requires_grad_()
    Optimizer(model).zero_grad()
    logits = model(dense, batch["ids"])
    logits.retain_grad()
    total, losses = loss_of(model, logits, batch)
    total.backward()
    records = {"predictions": model.predictions(logits).detach().numpy(), "losses": losses.detach().numpy(),
               "dlogits": logits.grad.numpy()}
    if model.config["dense"]:
        records["dinput"] = dense.grad.numpy()
    for name, rows in touched_rows(model, batch["ids"]).items():
        records["touched/" + name] = rows.numpy()
    changes = values(model)
    changes.update({name: parameter.grad.numpy().copy() for name, parameter in model.named_parameters()})
    return records, changes


def train(model, batches):
    """Ten steps; the losses [10, tasks]."""
    optimizer = Optimizer(model)
    curve = []
    for step in range(STEPS):
        batch = batches[step % len(batches)]
        optimizer.zero_grad()
        total, losses = loss_of(model, model(batch["dense"], batch["ids"]), batch)
        total.backward()
        optimizer.step(batch["ids"])
        curve.append(losses.detach().numpy())
    return numpy.array(curve)


def make(name):
    """The records of a case."""
    source = random.Random(zlib.crc32(name.encode()))
    model = Home(CASES[name]).double()
    randomize(model, source)
    batches = [make_batch(model.config, rows, source) for rows in ROWS]
    start = values(model)
    records = {"config": json.dumps(CASES[name])}
    for index, batch in enumerate(batches):
        records.update({f"batch{index}/{key}": value for key, value in batch_records(model.config, batch).items()})
    records["serving"] = serving(model, batches[0])
    once, changes = forward_backward(model, batches[0])
    records.update(once)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in start.items()})
    records["steps"] = train(model, batches)
    records["final_serving"] = serving(model, batches[0])
    for key, end in values(model).items():
        records["tensor/" + key] = numpy.stack([start[key], changes[key], end])
    return records


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else HERE
    for name in CASES:
        golden.write(os.path.join(folder, name + ".golden"), make(name))
    with open(os.path.join(folder, "index.txt"), "w", encoding="ascii") as file:
        file.writelines(name + "\n" for name in CASES)


if __name__ == "__main__":
    main()
