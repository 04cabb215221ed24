#!/usr/bin/env python3
"""Writes the tables and plots of docs/study.md from the available results.

    report.py [--results build/study.jsonl] [--daily build/kuairand-daily.jsonl] [--docs docs]

A table contains the models for which all seeds have run. The text above the table lists what is missing.
"""

import argparse
import os
import statistics
import sys

import data as sources
import models
import plot
import study

SEEDS = len(study.SEEDS)
CENSUS_REFERENCE = {"income_over_50k": 0.9495, "never_married": 0.9943}

# docs/study.md is written by hand above this line, and by this program below it.
MARK = "<!-- Everything below is written by `make study-report`. -->\n"
MARGIN = 0.0008  # a smaller difference in mean AUC could come from the choice of test rows


class Figures:
    """The test results of one model in one setting, by seed."""

    def __init__(self, results, select):
        self.by_seed = {result["seed"]: result for result in results}
        self.select = select
        first = results[0]
        self.rate, self.width = first["rate"], first["width"]
        self.tasks = list(first["tasks"])

    def values(self, task, figure="auc"):
        return [self.by_seed[seed]["tasks"][task][figure] for seed in sorted(self.by_seed)]

    def means(self):
        return [statistics.mean(result["tasks"][task]["auc"] for task in self.select)
                for _, result in sorted(self.by_seed.items())]

    def speed(self, name):
        return statistics.median(result["speed"][name] for result in self.by_seed.values())


def spread(values, digits=4):
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def difference(values, reference):
    """The paired difference and its standard error."""
    differences = [a - b for a, b in zip(values, reference)]
    return statistics.mean(differences), statistics.stdev(differences) / len(differences) ** 0.5


def signed(pair):
    return f"{pair[0]:+.4f} ± {pair[1]:.4f}"


def table(header, rows):
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header),
                      *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


class Report:
    def __init__(self, arguments):
        self.results = study.Results(arguments.results)
        self.daily = arguments.daily
        self.served = arguments.served
        self.docs = arguments.docs

    def found(self, data, select, names, tuned_on=None, **changed):
        """The figures of models for which all seeds have run, and the number of runs of the others."""
        complete, counts = {}, {}
        for name in names:
            runs = self.results.wanted(data, name, tuned_on or data, select, **changed)
            tests = [self.results.get(run) for run in runs if self.results.get(run)]
            if len(tests) == SEEDS:
                complete[name] = Figures(tests, select)
            else:
                counts[name] = len(tests)
        return dict(sorted(complete.items(), key=lambda item: -statistics.mean(item[1].means()))), counts

    @staticmethod
    def state(complete, counts):
        if not counts:
            return "*Complete.*\n"
        missing = ", ".join(f"{name} ({count} of {SEEDS} seeds)" for name, count in counts.items())
        if not complete:
            return "*Not finished: no model has all its seeds yet.* `make study` continues.\n"
        return f"*Not finished.* Missing: {missing}. `make study` continues.\n"

    def path(self, name):
        return os.path.join(self.docs, name)

    # ------------------------------------------------------------------------------------------ tables

    @staticmethod
    def summary(complete, measure):
        reference = complete.get("HoME")
        rows = []
        for name, figures in complete.items():
            compared = "" if name == "HoME" or not reference else signed(difference(figures.means(), reference.means()))
            rows.append([name, spread(figures.means()), compared, f"{figures.rate:g}, {figures.width}",
                         f"{figures.speed('parameters') / 1000:.0f} k", f"{figures.speed('flops') / 1000:.0f} k",
                         f"{figures.speed('training') / 1000:.0f} k", f"{figures.speed('serving') / 1000:.0f} k"])
        return table(["model", measure, "difference to HoME", "rate, width", "parameters", "FLOPs per row",
                      "rows/s trained", "rows/s served"], rows)

    @staticmethod
    def by_task(complete, figure):
        tasks = [task for task in next(iter(complete.values())).tasks
                 if all(None not in figures.values(task, figure) for figures in complete.values())]
        rows = [[name, *(spread(figures.values(task, figure)) for task in tasks)] for name, figures in complete.items()]
        return table([f"test {figure.upper()}", *tasks], rows) if tasks else ""

    @staticmethod
    def task_differences(complete):
        reference = complete.get("HoME")
        rows = [[name, *(signed(difference(figures.values(task), reference.values(task))) for task in reference.tasks)]
                for name, figures in complete.items() if name != "HoME"] if reference else []
        return ("Paired differences to HoME in test AUC (above 0: better than HoME):\n\n"
                + table(["", *reference.tasks], rows)) if rows else ""

    @staticmethod
    def verdict(complete):
        reference = complete.get("HoME")
        if not reference:
            return ""
        lines = []
        for name, figures in complete.items():
            if name == "HoME":
                continue
            gap, error = difference(figures.means(), reference.means())
            if abs(gap) <= max(2 * error, MARGIN):
                lines.append(f"- **{name}**: no difference to HoME beyond noise ({gap:+.4f} ± {error:.4f}).")
            else:
                word = "better" if gap > 0 else "worse"
                lines.append(f"- **{name}** is {word} than HoME by {abs(gap):.4f} ± {error:.4f}.")
        return "\n".join(lines) + "\n" if lines else ""

    def part(self, title, data, select, names, measure, note="", tasks=True, **setting):
        complete, counts = self.found(data, select, names, **setting)
        text = [f"### {title}\n", self.state(complete, counts)]
        if note:
            text.append(note + "\n")
        if complete:
            text += [self.summary(complete, measure), self.verdict(complete)]
            if tasks:
                text += [self.by_task(complete, "auc"), self.by_task(complete, "gauc"), self.task_differences(complete)]
        return text, complete

    def main_table(self):
        text, complete = self.part("All models, all rows, ten tasks", "kuairand", sources.MAIN_TASKS, models.MODELS,
                                   "mean6")
        if complete:
            rows = [(name, statistics.mean(figures.means()), statistics.stdev(figures.means()))
                    for name, figures in complete.items()]
            plot.dots(self.path("study-models.svg"), "Test mean6, mean of five seeds and their standard deviation", rows)
            text.append("![mean6 of each model](study-models.svg)\n")
        return ["## KuaiRand\n", *text]

    def curves(self):
        text = ["### Learning curves\n"]
        found = {}
        for share in (*study.SHARES, 1):
            name = "kuairand" if share == 1 else f"kuairand-{round(100 * share)}"
            complete, counts = self.found(name, sources.MAIN_TASKS, study.FEW, "kuairand")
            found[share] = complete
            text.append(f"{share:.0%} of the training rows: {self.state(complete, counts)}")
        names = [name for name in study.FEW if all(name in complete for complete in found.values())]
        text.append("The rates of labels also come from the drawn rows only. Settings as with all rows.\n")
        if names:
            text.append(table(["mean6", *(f"{share:.0%}" for share in found)],
                              [[name, *(spread(complete[name].means()) for complete in found.values())]
                               for name in names]))
            plot.lines(self.path("study-curves.svg"), "Test mean6 by the share of training rows",
                       [f"{share:.0%}" for share in found],
                       {name: [statistics.mean(complete[name].means()) for complete in found.values()] for name in names})
            text.append("![learning curves](study-curves.svg)\n")
        return text

    def day_by_day(self):
        text = ["## Day by day\n",
                "`make kuairand-daily DATA=folder` trains two models each day. One continues with `home train "
                "--resume` on that day's rows alone, one epoch with 0.3 of the learning rate. The other starts from "
                "new weights and trains on all days so far, with the recipe `kuairand.json`. Both are tested on the "
                "next day. A row's rates of labels come from the days before it, as a nightly job would know them. One "
                "seed. Meanwhile a server (`examples/serve`) kept predicting, and switched to a frozen copy of each "
                "day's resumed model.\n"]
        days = study.lines.read(self.daily)
        if not days:
            return [*text, "*Not finished: no day is complete.*\n"]
        text.append("*Complete.*\n" if len(days) == 12 else f"*Not finished: {len(days)} of 12 days.*\n")
        tasks = list(sources.MAIN_TASKS)
        rows = [[str(day["day"]), f"{day['resumed']['mean6']:.4f}", f"{day['fresh']['mean6']:.4f}",
                 f"{day['resumed']['mean6'] - day['fresh']['mean6']:+.4f}",
                 *(f"{day['resumed']['auc'][task]:.4f} / {day['fresh']['auc'][task]:.4f}" for task in tasks),
                 f"{day['resumed_seconds']:.0f} / {day['fresh_seconds']:.0f}"] for day in days]
        mean = [statistics.mean(day[kind]["mean6"] for day in days) for kind in ("resumed", "fresh")]
        rows.append(["mean", f"{mean[0]:.4f}", f"{mean[1]:.4f}", f"{mean[0] - mean[1]:+.4f}", *[""] * len(tasks), ""])
        text.append("AUC on the next day, resumed / fresh; seconds of training on a busy machine.\n")
        text.append(table(["trained to", "resumed mean6", "fresh mean6", "difference", *tasks, "seconds"], rows))
        gaps = [day["resumed"]["mean6"] - day["fresh"]["mean6"] for day in days[1:]]
        if gaps:
            text.append("On the first day both models are the same. After it, resuming gives "
                        f"{statistics.mean(gaps):+.4f} compared with training from scratch (from {min(gaps):+.4f} to "
                        f"{max(gaps):+.4f}; better on {sum(gap > 0 for gap in gaps)} of {len(gaps)} days), for the "
                        "cost of about one day per day instead of all days. The resumed model keeps the means, buckets "
                        "and vocabularies of its first day.\n")
        plot.lines(self.path("study-daily.svg"), "mean6 on the next day", [str(day["day"])[4:] for day in days],
                   {kind: [day[kind]["mean6"] for day in days] for kind in ("resumed", "fresh")})
        text.append("![day by day](study-daily.svg)\n")
        if os.path.exists(self.served):
            with open(self.served, encoding="utf-8") as file:
                lines = file.read().splitlines()
            start = next(index for index, line in enumerate(lines) if line.startswith("swap"))
            text.append("The server during these days, on the same two cores as the training and other work (the "
                        "slowest calls waited for a processor, with or without a swap):\n")
            text += ["    " + line for line in lines[start:]] + [""]
        return text

    def introduction(self):
        with open(self.path("study.md"), encoding="utf-8") as file:
            text = file.read()
        if MARK not in text:
            sys.exit(f"report.py: {self.path('study.md')} has no line {MARK.strip()}")
        return text[:text.index(MARK)] + MARK

    def write(self):
        text = [self.introduction(), *self.main_table(), *self.curves()]
        text += self.part("Six tasks instead of ten", "kuairand-six", sources.MAIN_TASKS, study.FEW, "mean6",
                          "Without the four sparsest tasks. Settings as with ten.", tuned_on="kuairand")[0]
        text += self.part("Wider: four times the experts", "kuairand", sources.MAIN_TASKS, models.DEEPER, "mean6",
                          "Settings as above.", tasks=False, wider=4)[0]
        text += self.part("Deeper: one more hidden layer in every expert", "kuairand", sources.MAIN_TASKS,
                          models.DEEPER, "mean6", "Settings as above.", tasks=False, deeper=True)[0]
        text += ["## Census-Income\n"]
        text += self.part("Two tasks, each its own group", "census", sources.CENSUS_LABELS, study.FEW, "mean AUC",
                          "Gradient boosting on the same columns and split reaches "
                          + " and ".join(f"{auc} ({task})" for task, auc in CENSUS_REFERENCE.items()) + ".")[0]
        text += ["## A feed with known relations\n",
                 "Two groups of three tasks, from common to sparse. The tasks of a group depend on one nonlinear "
                 "factor, and each a little on its own. The relation is the cosine between the directions that make up "
                 "the two groups' factors: 0, nothing in common; 1, the same.\n"]
        for relation in study.RELATIONS:
            text += self.part(f"Relation {relation:g}", f"simulated-{relation:g}", sources.SIMULATED_TASKS, study.FEW,
                              "mean AUC")[0]
        text += self.day_by_day()
        with open(self.path("study.md"), "w", encoding="utf-8") as file:
            file.write("\n".join(part for part in text if part).rstrip("\n") + "\n")


def main():
    parser = argparse.ArgumentParser(description="Writes docs/study.md from the results.")
    parser.add_argument("--results", default="build/study.jsonl", help="default: %(default)s")
    parser.add_argument("--daily", default="build/kuairand-daily.jsonl", help="default: %(default)s")
    parser.add_argument("--served", default="build/kuairand-daily/served.safetensors.txt", help="default: %(default)s")
    parser.add_argument("--docs", default="docs", help="folder of study.md (default: %(default)s)")
    Report(parser.parse_args()).write()


if __name__ == "__main__":
    main()
