"""The data sets of the study: train.csv, valid.csv and test.csv in a folder for each, and the recipe's columns."""

import csv
import gzip
import json
import math
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import prepare  # noqa: E402

MAIN_TASKS = ("is_click", "long_view", "finish_play", "is_like", "is_profile_enter", "comment_open")


class Data:
    """`make(folder)` writes the three tables; `select` names the tasks whose mean AUC is the measure."""

    def __init__(self, name, recipe, select, make, folder=None):
        self.name = name
        self.recipe = recipe
        self.select = list(select)
        self.tasks = [label["column"] for label in recipe["labels"]]
        self.make = make
        self.folder = folder or name

    def prepared(self, work):
        folder = os.path.join(work, self.folder)
        marker = os.path.join(folder, "complete")
        if not os.path.exists(marker):
            os.makedirs(folder, exist_ok=True)
            self.make(folder)
            with open(marker, "w", encoding="utf-8"):
                pass
        return folder


# ------------------------------------------------------------------------------------------------- KuaiRand


def kuairand(source, share=1, tasks=None):
    with open(os.path.join(os.path.dirname(HERE), "kuairand.json"), encoding="utf-8") as file:
        recipe = json.load(file)
    folder = "kuairand" if share == 1 else f"kuairand-{round(100 * share)}"
    if tasks:
        recipe["labels"] = [label for label in recipe["labels"] if label["column"] in tasks]
    return Data(folder + ("-six" if tasks else ""), recipe, MAIN_TASKS,
                lambda output: prepare.prepare(source, output, share), folder)


# -------------------------------------------------------------------------------------------- Census-Income

CENSUS_NUMBERS = ("age", "wage_per_hour", "capital_gains", "capital_losses", "dividends_from_stocks",
                  "num_persons_worked_for_employer", "weeks_worked_in_year")
# Labels, what they are made of, and a sampling weight, which describes the survey and not the person.
CENSUS_DROPPED = ("income", "marital_stat", "instance_weight")
CENSUS_LABELS = {"income_over_50k": ("income", "50000+."), "never_married": ("marital_stat", "Never married")}


def write_census(source, output):
    for split in ("train", "valid", "test"):
        with gzip.open(os.path.join(source, split + ".csv.gz"), "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = [name for name in rows[0] if name not in CENSUS_DROPPED]
        prepare.write(os.path.join(output, split + ".csv"), (*columns, *CENSUS_LABELS),
                      ([*(row[name] for name in columns),
                        *(int(row[column] == value) for column, value in CENSUS_LABELS.values())] for row in rows))


def census(source):
    with gzip.open(os.path.join(source, "train.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    recipe = {
        "dense": [{"column": name, "transform": ["log1p", "standardise"]} for name in CENSUS_NUMBERS],
        "ids": [{"column": "age", "dim": 4, "min_count": 5, "dropout": 0},
                *({"column": name, "dim": 4, "min_count": 5, "dropout": 0} for name in header
                  if name not in CENSUS_NUMBERS and name not in CENSUS_DROPPED)],
        "labels": [{"column": "income_over_50k", "group": "money"}, {"column": "never_married", "group": "family"}],
        "training": {"epochs": 4, "batch": 512, "patience": 0, "base_rate": True, "learning_rate_decay": 0.5}}
    return Data("census", recipe, CENSUS_LABELS, lambda output: write_census(source, output))


# ------------------------------------------------------------------------------------------- simulated feed

SIMULATED_WIDTH = 16
SIMULATED_ROWS = {"train": 30000, "valid": 10000, "test": 20000}
# Group, and the mean of the logit: from common to sparse.
SIMULATED_TASKS = {"a_common": ("a", 0), "a_some": ("a", -2), "a_sparse": ("a", -5),
                   "b_common": ("b", 0), "b_some": ("b", -2), "b_sparse": ("b", -5)}


def simulated_logits(x, directions):
    """The tasks of a group share a nonlinear factor; each has a smaller one of its own."""
    shared = {group: math.tanh(dot(x, u)) * dot(x, v) for group, (u, v) in directions["groups"].items()}
    return [offset + 1.6 * shared[group] + 0.5 * dot(x, directions["tasks"][task])
            for task, (group, offset) in SIMULATED_TASKS.items()]


def dot(a, b):
    return sum(map(float.__mul__, a, b))


def unit(generator, near=None, cosine=0.0):
    """Returns a random direction of length 1, at the given cosine to `near` if there is one."""
    v = [generator.gauss(0, 1) for _ in range(SIMULATED_WIDTH)]
    if near:
        along = dot(v, near)
        v = [a - along * b for a, b in zip(v, near)]
    length = math.sqrt(dot(v, v))
    v = [a / length for a in v]
    return [cosine * b + math.sqrt(1 - cosine * cosine) * a for a, b in zip(v, near)] if near else v


def write_simulated(relation, output):
    """`relation`: the cosine between what the two groups depend on: 1, the same; 0, nothing in common."""
    generator = random.Random(7)
    first = (unit(generator), unit(generator))
    second = tuple(unit(generator, near, relation) for near in first)
    directions = {"groups": {"a": first, "b": second}, "tasks": {task: unit(generator) for task in SIMULATED_TASKS}}
    for split, count in SIMULATED_ROWS.items():
        rows = []
        for _ in range(count):
            x = [generator.gauss(0, 1) for _ in range(SIMULATED_WIDTH)]
            labels = [int(generator.random() < 1 / (1 + math.exp(-logit)))
                      for logit in simulated_logits(x, directions)]
            rows.append([*(f"{value:.5f}" for value in x), *labels])
        prepare.write(os.path.join(output, split + ".csv"),
                      (*(f"x{i}" for i in range(SIMULATED_WIDTH)), *SIMULATED_TASKS), rows)


def simulated(relation):
    recipe = {
        "dense": [{"column": f"x{i}", "transform": "none"} for i in range(SIMULATED_WIDTH)],
        "labels": [{"column": task, "group": group} for task, (group, _) in SIMULATED_TASKS.items()],
        "training": {"epochs": 4, "batch": 256, "patience": 0, "base_rate": True, "learning_rate_decay": 0.5}}
    return Data(f"simulated-{relation:g}", recipe, SIMULATED_TASKS, lambda output: write_simulated(relation, output))
