#!/usr/bin/env python3
"""Trains HoME on KuaiRand-Pure and evaluates it on the test days: prepare, train, evaluate, report.

    run.py DATA [--home build/home] [--work build/kuairand] [--output build/kuairand.json] [--seed N]

README.md in this folder explains what it does and why.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import prepare

RECIPE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kuairand.json")

# Test AUC on the two-week sample, from the data's own README: logistic regression, and gradient boosting with target
# encodings.
REFERENCE = {
    "is_click": (0.7411, 0.7478),
    "long_view": (0.7432, 0.7478),
    "finish_play": (0.8087, 0.8178),
    "is_like": (0.8841, 0.8881),
    "is_profile_enter": (0.7292, 0.7361),
    "comment_open": (0.7524, 0.7932),
    "is_comment": (0.7455, 0.7451),
    "is_follow": (0.8418, 0.8311),
    "is_forward": (0.6926, 0.6364),
    "is_hate": (0.6489, 0.6962),
    "mean6": (0.7764, 0.7885),
}


def train_and_evaluate(home, work, seed):
    """Returns the test figures of each task, as `home eval` writes them."""
    model, figures = os.path.join(work, "model.safetensors"), os.path.join(work, "test.json")
    tables = {name: os.path.join(work, name + ".csv") for name in prepare.SPLITS}
    seeding = [] if seed is None else ["--seed", str(seed)]
    subprocess.run([home, "train", RECIPE, "--train", tables["train"], "--valid", tables["valid"],
                    "--output", model, *seeding], check=True)
    subprocess.run([home, "eval", model, tables["test"], "--json", figures], check=True,
                   stdout=subprocess.DEVNULL)
    with open(figures, encoding="utf-8") as file:
        return json.load(file)["tasks"]


def write_json(path, content):
    """Writes the file completely or not at all."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    os.replace(path + ".part", path)


def cells(values):
    return "".join(f"{'-' if value is None else f'{value:.4f}':>10}" for value in values)


def print_table(tasks, mean6):
    print(f"\n{'test days':<18}{'AUC':>10}{'GAUC':>10}{'log loss':>10}   AUC of:{'LR':>9}{'GBDT+TE':>10}")
    for name, figures in tasks.items():
        print(f"{name:<18}{cells((figures['auc'], figures['gauc'], figures['log_loss']))}{'':<9}"
              f"{cells(REFERENCE[name])}")
    print(f"{'mean6':<18}{cells((mean6,))}{'':<29}{cells(REFERENCE['mean6'])}")


def main():
    parser = argparse.ArgumentParser(description="Trains HoME on KuaiRand-Pure and evaluates it on the test days.")
    parser.add_argument("data", help="folder of the data set, or of the two-week sample")
    parser.add_argument("--home", default="build/home", help="the program (default: %(default)s)")
    parser.add_argument("--work", default="build/kuairand",
                        help="folder for tables and model (default: %(default)s)")
    parser.add_argument("--output", default="build/kuairand.json", help="the result (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of the training (default: the recipe's)")
    arguments = parser.parse_args()

    with open(RECIPE, encoding="utf-8") as file:
        recipe = json.load(file)
    if arguments.seed is not None:
        recipe["training"]["seed"] = arguments.seed
    start = time.monotonic()
    try:
        prepare.prepare(arguments.data, arguments.work)
        print(f"prepared in {time.monotonic() - start:.1f} s", flush=True)
        tasks = train_and_evaluate(arguments.home, arguments.work, arguments.seed)
    except (prepare.DataError, OSError) as error:
        sys.exit(f"run.py: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"run.py: {' '.join(error.cmd[:2])} failed with status {error.returncode}")
    except KeyboardInterrupt:
        sys.exit("run.py: interrupted")
    seconds = time.monotonic() - start
    main_tasks = recipe["training"]["select"]
    tasks = {name: {key: figures[key] for key in ("auc", "gauc", "log_loss")} for name, figures in tasks.items()}
    mean6 = sum(tasks[name]["auc"] for name in main_tasks) / len(main_tasks)
    print_table(tasks, mean6)
    write_json(arguments.output, {"mean6": mean6, "tasks": tasks, "seconds": round(seconds, 1), "config": recipe})
    print(f"\nkuairand: mean6 {mean6:.4f} in {seconds:.0f} s, {arguments.output}")


if __name__ == "__main__":
    main()
