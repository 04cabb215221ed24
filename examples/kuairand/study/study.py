#!/usr/bin/env python3
"""Trains HoME and its relatives on the same columns with the same tuning budget; see docs/study.md.

    study.py DATA [--census FOLDER] [--work build/study] [--results build/study.jsonl] [--parts main,census,...]

Every run adds a line to the results, and a run that already has a line is skipped, so the study can be stopped and
restarted at any time. Settings are chosen by the valid rows alone; the test rows are read once for each model and seed,
with the chosen setting. report.py writes docs/study.md from the results.
"""

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys

import data as sources
import models

import results as lines  # from the parent folder, which data.py adds to the path

SEEDS = range(1, 6)
TUNING_SEED = 101
RATES = (0.001, 0.003, 0.01)
WIDTHS = (32, 64, 128)
EMBEDDING_RATE = 0.1

# These represent the families in all parts after the first.
FEW = ("HoME", "MMoE, cured", "shared bottom", "PLE, cured", "MMoE")
SHARES = (0.1, 0.3)
RELATIONS = (0, 0.5, 1)


def grid(data, model):
    """Returns the runs that choose a setting: the same for every model."""
    return [{"data": data, "model": model, "wider": 1, "deeper": False, "rate": rate, "width": width,
             "seed": TUNING_SEED, "split": "valid"} for rate in RATES for width in WIDTHS]


class Results:
    """The lines of the file, by the run they belong to."""

    def __init__(self, path):
        self.path = path
        self.found = {self.key(result): result for result in lines.read(path)}

    @staticmethod
    def key(result):
        return tuple(result[name] for name in ("data", "model", "wider", "deeper", "rate", "width", "seed", "split"))

    def get(self, wanted):
        return self.found.get(self.key(wanted))

    def add(self, result):
        self.found[self.key(result)] = result
        lines.append(self.path, result)

    def tuned(self, data, model, select):
        """Returns the grid's run with the best mean AUC over the tasks `select`, or None if a run is missing."""
        runs = grid(data, model)
        if not all(map(self.get, runs)):
            return None
        return max(runs, key=lambda run: mean(self.get(run)["tasks"][task]["auc"] for task in select))

    def wanted(self, data, model, tuned_on, select, **changed):
        """Returns the runs of a model that are tested, one for each seed."""
        tuned = self.tuned(tuned_on, model, select)
        return [{**tuned, "data": data, **changed, "seed": seed, "split": "test"} for seed in SEEDS] if tuned else []


def mean(values):
    values = list(values)
    return sum(values) / len(values)


class Study:
    def __init__(self, arguments):
        self.home = arguments.home
        self.speed = arguments.speed
        self.work = arguments.work
        self.results = Results(arguments.results)

    @staticmethod
    def best_epoch(log, data):
        """Returns the figures of the saved epoch, which has the best mean AUC on the valid rows."""
        with open(log, encoding="utf-8", newline="") as file:
            epochs = [list(rows) for _, rows in itertools.groupby(csv.DictReader(file), lambda row: row["epoch"])]
        return max(epochs, key=lambda rows: mean(float(row["auc"]) for row in rows if row["task"] in data.select))

    def train(self, data, run):
        """Trains a model into the work folder, and returns its figures on the valid rows."""
        folder = data.prepared(self.work)
        paths = {name: os.path.join(self.work, name)
                 for name in ("recipe.json", "model.safetensors", "log.csv", "test.json")}
        recipe = json.loads(json.dumps(data.recipe))
        recipe["training"].update(seed=run["seed"], select=data.select)
        recipe["model"] = models.configuration(run["model"], run["width"], run["rate"], EMBEDDING_RATE,
                                               run["wider"], run["deeper"])
        if run["model"] in models.FLAT:
            for label in recipe["labels"]:
                del label["group"]
        with open(paths["recipe.json"], "w", encoding="utf-8") as file:
            json.dump(recipe, file)
        subprocess.run([self.home, "train", paths["recipe.json"], "--train", os.path.join(folder, "train.csv"),
                        "--valid", os.path.join(folder, "valid.csv"), "--output", paths["model.safetensors"],
                        "--log", paths["log.csv"]],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        best = self.best_epoch(paths["log.csv"], data)
        return folder, paths, {line["task"]: {"auc": float(line["auc"])} for line in best}

    def valid(self, data, run):
        if not self.results.get(run):
            _, _, tasks = self.train(data, run)
            self.results.add({**run, "tasks": tasks})

    def test(self, data, run):
        if self.results.get(run):
            return
        folder, paths, _ = self.train(data, run)
        subprocess.run([self.home, "eval", paths["model.safetensors"], os.path.join(folder, "test.csv"), "--json",
                        paths["test.json"]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        with open(paths["test.json"], encoding="utf-8") as file:
            tasks = json.load(file)["tasks"]
        measured = subprocess.run([self.speed, paths["model.safetensors"]], check=True, capture_output=True, text=True)
        self.results.add({**run, "tasks": {task: {name: tasks[task][name] for name in ("auc", "gauc")}
                                           for task in data.tasks}, "speed": json.loads(measured.stdout)})

    def model(self, data, model, tuned_on=None, **changed):
        """Trains all seeds of a model with the setting that is best on the valid rows of `tuned_on`."""
        tuned_on = tuned_on or data
        for run in grid(tuned_on.name, model):
            self.valid(tuned_on, run)
        for run in self.results.wanted(data.name, model, tuned_on.name, tuned_on.select, **changed):
            self.test(data, run)
        print(f"{data.name}: {model}{''.join(f', {name} {value}' for name, value in changed.items())}", flush=True)


# ---------------------------------------------------------------------------------------------------- parts


def main_table(study, source, _):
    for name in models.MODELS:
        study.model(source, name)


def census(study, _, arguments):
    if not arguments.census:
        print("census: left out, no --census FOLDER")
        return
    for name in FEW:
        study.model(sources.census(arguments.census), name)


def curves(study, source, arguments):
    """Uses the settings of all rows, because tuning on few rows would follow noise."""
    for share, name in itertools.product(SHARES, FEW):
        study.model(sources.kuairand(arguments.data, share), name, source)


def six(study, source, arguments):
    for name in FEW:
        study.model(sources.kuairand(arguments.data, tasks=sources.MAIN_TASKS), name, source)


def simulated(study, _, __):
    for relation, name in itertools.product(RELATIONS, FEW):
        study.model(sources.simulated(relation), name)


def larger(study, source, _):
    for name in models.DEEPER:
        study.model(source, name, source, wider=4)
        study.model(source, name, source, deeper=True)


PARTS = {"main": main_table, "census": census, "curves": curves, "simulated": simulated, "six": six, "larger": larger}


def main():
    parser = argparse.ArgumentParser(description="Trains HoME and its relatives on the same data.")
    parser.add_argument("data", help="folder of KuaiRand-Pure, or of the two-week sample")
    parser.add_argument("--census", help="folder of Census-Income: train, valid and test.csv.gz")
    parser.add_argument("--home", default="build/home", help="the program (default: %(default)s)")
    parser.add_argument("--speed", default="build/study-speed", help="that measures speed (default: %(default)s)")
    parser.add_argument("--work", default="build/study", help="folder for tables and models (default: %(default)s)")
    parser.add_argument("--results", default="build/study.jsonl", help="the results (default: %(default)s)")
    parser.add_argument("--parts", default=",".join(PARTS), help="which, in which order (default: %(default)s)")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    for name in parts:
        if name not in PARTS:
            parser.error(f"--parts: {name}; expected some of {', '.join(PARTS)}")
    os.makedirs(arguments.work, exist_ok=True)
    study = Study(arguments)
    try:
        for name in parts:
            PARTS[name](study, sources.kuairand(arguments.data), arguments)
    except (sources.prepare.DataError, OSError) as error:
        sys.exit(f"study.py: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"study.py: {' '.join(error.cmd[:2])} failed with status {error.returncode}: {error.stderr}")
    except KeyboardInterrupt:
        sys.exit("study.py: interrupted; the runs that were finished are kept")


if __name__ == "__main__":
    main()
