"""Tests of examples/kuairand/study and daily.py on data made up here. The last line is "N passed, N failed"."""

import contextlib
import io
import json
import os
import pathlib
import random
import sys
import tempfile
import types
import unittest
import unittest.mock
import xml.etree.ElementTree

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(ROOT, "examples", "kuairand", folder) for folder in ("study", "")]
import data as sources  # noqa: E402
import models  # noqa: E402
import report  # noqa: E402
import study  # noqa: E402


def tiny_data():
    sources.SIMULATED_ROWS = {"train": 600, "valid": 400, "test": 400}
    return sources.simulated(0.5)


def tiny_study(folder):
    return study.Study(types.SimpleNamespace(
        home=os.path.join(ROOT, "build", "home"), speed=os.path.join(ROOT, "build", "study-speed"),
        work=folder, results=os.path.join(folder, "results.jsonl")))


def lines_of(folder):
    return pathlib.Path(folder, "results.jsonl").read_text(encoding="utf-8").splitlines()


def train(folder, seeds):
    with contextlib.redirect_stdout(io.StringIO()), unittest.mock.patch.object(study, "SEEDS", seeds):
        tiny_study(folder).model(tiny_data(), "HoME")


class Runs(unittest.TestCase):
    def test_every_model_can_be_made_and_measured(self):
        with tempfile.TemporaryDirectory() as folder:
            of = tiny_study(folder)
            for names, more in ((models.MODELS, {}), (models.DEEPER, {"deeper": True}), (models.DEEPER, {"wider": 2})):
                for name in names:
                    of.test(tiny_data(), {"data": "simulated-0.5", "model": name, "wider": 1, "deeper": False,
                                          "rate": 0.003, "width": 16, "seed": 1, "split": "test", **more})
            results = list(map(json.loads, lines_of(folder)))
            self.assertEqual(len(results), len(models.MODELS) + 2 * len(models.DEEPER))
            for result in results:
                self.assertGreater(min(result["speed"].values()), 0)
                self.assertGreater(result["tasks"]["a_common"]["auc"], 0.5)

    def test_what_is_there_is_not_made_again(self):
        with tempfile.TemporaryDirectory() as folder:
            train(folder, [1])
            first = lines_of(folder)
            self.assertEqual(len(first), len(study.RATES) * len(study.WIDTHS) + 1)
            with open(os.path.join(folder, "results.jsonl"), "a", encoding="utf-8") as file:
                file.write(first[-1][:20])  # a line that was cut off
            train(folder, [1])
            train(folder, [1, 2])
            again = lines_of(folder)
            self.assertEqual(again[:len(first)], first)
            self.assertEqual([json.loads(line)["seed"] for line in again[len(first):]], [2])

    def test_the_setting_is_the_best_on_the_valid_rows(self):
        with tempfile.TemporaryDirectory() as folder:
            train(folder, [1])
            *tuning, test = map(json.loads, lines_of(folder))
            best = max(tuning, key=lambda run: sum(task["auc"] for task in run["tasks"].values()))
            self.assertEqual((test["rate"], test["width"]), (best["rate"], best["width"]))
            self.assertTrue(all(run["split"] == "valid" for run in tuning))
            self.assertNotIn(test["seed"], [run["seed"] for run in tuning])


RATE, WIDTH = 0.003, 64


def made_up(name, gap, seeds=study.SEEDS):
    """The grid, where (RATE, WIDTH) is the best setting, and the test runs of that and of another one."""
    generator = random.Random(1)
    noise = {seed: generator.gauss(0, 0.001) for seed in study.SEEDS}

    def tasks(auc):
        return {task: {"auc": auc, "gauc": 0.6} for task in sources.MAIN_TASKS}

    grid = [{**run, "tasks": tasks(0.7 if (run["rate"], run["width"]) == (RATE, WIDTH) else 0.6)}
            for run in study.grid("kuairand", name)]
    test = {"data": "kuairand", "model": name, "wider": 1, "deeper": False, "rate": RATE, "width": WIDTH, "split": "test",
            "speed": {"parameters": 1, "flops": 1, "training": 1, "serving": 1}}
    return grid + [{**test, "seed": seed, "tasks": tasks(0.7 + gap + noise[seed] + seed * 1e-6)} for seed in seeds] \
        + [{**test, "seed": seed, "width": 32, "tasks": tasks(0.5)} for seed in seeds]


class Report(unittest.TestCase):
    def report(self, results):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "results.jsonl")
            pathlib.Path(folder, "study.md").write_text("# By hand\n" + report.MARK + "from before\n", encoding="utf-8")
            pathlib.Path(path).write_text("".join(json.dumps(result) + "\n" for result in results), encoding="utf-8")
            report.Report(types.SimpleNamespace(results=path, daily="", served="", docs=folder)).write()
            for plot in pathlib.Path(folder).glob("*.svg"):
                xml.etree.ElementTree.parse(plot)
            return pathlib.Path(folder, "study.md").read_text(encoding="utf-8")

    def test_differences_are_paired(self):
        text = self.report(made_up("HoME", 0) + made_up("MMoE", -0.01) + made_up("PLE", 0.01) + made_up("CGC", 0.0005))
        self.assertIn("**MMoE** is worse than HoME by 0.0100 ± 0.0000", text)
        self.assertIn("**PLE** is better than HoME by 0.0100 ± 0.0000", text)
        self.assertIn("**CGC**: no difference to HoME", text)

    def test_what_is_not_finished_is_said(self):
        text = self.report(made_up("HoME", 0) + made_up("MMoE", -0.01, range(1, 4)))
        self.assertIn("MMoE (3 of 5 seeds)", text)
        self.assertNotIn("| MMoE |", text)
        self.assertNotIn("*Complete.*", text)

    def test_what_is_written_by_hand_stays(self):
        text = self.report([])
        self.assertTrue(text.startswith("# By hand\n" + report.MARK))
        self.assertNotIn("from before", text)

    def test_nothing_at_all(self):
        self.assertIn("no model has all its seeds yet", self.report([]))


if __name__ == "__main__":
    program = unittest.main(exit=False)
    bad = len(program.result.failures) + len(program.result.errors)
    print(f"{program.result.testsRun - bad} passed, {bad} failed")
    sys.exit(bad != 0)
