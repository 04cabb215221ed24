"""Trains a model on the made-up rows, prints the tasks' losses as it goes, and saves it.

Usage: train.py CONFIG MODEL"""

import pathlib
import sys

import home
import rows

STEPS = 20
STEPS_A_LINE = 5


def main(config, path):
    with home.Model.create(pathlib.Path(config).read_text()) as model:
        dense, ids, labels = rows.dense(model), rows.ids(model), rows.labels(model)
        for step in range(1, STEPS + 1):
            losses = model.train_step(dense, ids, labels=labels)
            if step % STEPS_A_LINE == 0:
                print(f"step {step}:", *(f"{task} {loss:.9f}" for task, loss in losses.items()))
        model.save(path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: train.py CONFIG MODEL", file=sys.stderr)
        sys.exit(2)
    try:
        main(*sys.argv[1:])
    except home.HomeError as error:
        sys.exit(f"error {error.status}: {error}")
    except OSError as error:
        sys.exit(str(error))
