#!/usr/bin/env python3
"""Follows the KuaiRand log day by day: trains on a day, tests on the next, and continues from there.

    daily.py DATA [--home build/home] [--serve build/serve] [--work build/kuairand-daily]
             [--results build/kuairand-daily.jsonl]

Each day two models are tested on the next day. One continues with `home train --resume` on that day's rows alone, in
one epoch with smaller steps. The other is trained from new weights on all days so far. Both use the recipe
kuairand.json. Meanwhile a server (examples/serve) keeps predicting and switches to each resumed model. Each day adds a
line to the results; a day that already has a line is skipped.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time

import prepare
import results

RECIPE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kuairand.json")
# For a resumed day: full steps on one day's rows would undo much of what the earlier days taught.
FURTHER = {"epochs": 1, "learning_rate_factor": 0.3}


def days_of(data, work):
    """Returns the days in order, and makes the tables that are missing."""
    listing = os.path.join(work, "days.json")
    if not os.path.exists(listing):
        days = prepare.prepare_days(data, work)
        with open(listing, "w", encoding="utf-8") as file:
            json.dump(days, file)
    with open(listing, encoding="utf-8") as file:
        return json.load(file)


def join(paths, output):
    with open(output, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for index, path in enumerate(paths):
            with open(path, encoding="utf-8", newline="") as part:
                lines = csv.reader(part)
                header = next(lines)
                if index == 0:
                    writer.writerow(header)
                writer.writerows(lines)


class Follower:
    def __init__(self, arguments):
        self.home = arguments.home
        self.work = arguments.work
        with open(RECIPE, encoding="utf-8") as file:
            recipe = json.load(file)
        self.select = recipe["training"]["select"]
        recipe["training"].update(FURTHER)
        self.further = self.path("further.json")
        with open(self.further, "w", encoding="utf-8") as file:
            json.dump(recipe, file)

    def path(self, name):
        return os.path.join(self.work, name)

    def call(self, *words):
        subprocess.run([self.home, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def train(self, recipe, rows, output, *more):
        """Returns the seconds it took."""
        begin = time.monotonic()
        self.call("train", recipe, "--train", rows, "--output", output, *more)
        return round(time.monotonic() - begin, 1)

    def evaluate(self, model, rows):
        self.call("eval", model, rows, "--json", self.path("test.json"))
        with open(self.path("test.json"), encoding="utf-8") as file:
            aucs = {name: figures["auc"] for name, figures in json.load(file)["tasks"].items()}
        return {"mean6": sum(aucs[name] for name in self.select) / len(self.select), "auc": aucs}

    def follow(self, days, number):
        """Trains both models up to days[number] and tests them on the next day."""
        today, tomorrow = (self.path(f"{day}.csv") for day in days[number:number + 2])
        resumed, fresh, joined = map(self.path, ("resumed.safetensors", "fresh.safetensors", "joined.csv"))
        yesterday = self.path(f"{days[number - 1]}.safetensors")
        recipe, *more = (self.further, "--resume", yesterday) if number else (RECIPE, "--resumable")
        result = {"day": days[number], "resumed_seconds": self.train(recipe, today, resumed, *more)}
        join([self.path(f"{day}.csv") for day in days[:number + 1]], joined)
        result["fresh_seconds"] = self.train(RECIPE, joined, fresh)
        result["resumed"] = self.evaluate(resumed, tomorrow)
        result["fresh"] = self.evaluate(fresh, tomorrow)
        # A day is done once its checkpoint exists; an interrupted run resumes from the day before.
        shutil.copyfile(resumed, self.path("copy.safetensors"))
        os.replace(self.path("copy.safetensors"), self.path(f"{days[number]}.safetensors"))
        return result


class Server:
    """A server with two threads that runs until finish() and switches to each model passed to serve()."""

    SECONDS = 2  # time to start with the first model, and to run on after the last

    def __init__(self, program, path):
        self.program = program
        self.path = path
        self.process = None

    def serve(self, model):
        shutil.copyfile(model, self.path + ".new")
        os.replace(self.path + ".new", self.path)
        if not self.process:
            self.process = subprocess.Popen([self.program, self.path, "2", "1e9"], text=True, stdout=subprocess.PIPE)
            time.sleep(self.SECONDS)

    def finish(self):
        """Prints the server's report, and writes it to a file for the study's report."""
        if not self.process:
            return
        time.sleep(self.SECONDS)
        self.process.terminate()
        told = self.process.communicate()[0]
        print(told, end="")
        with open(self.path + ".txt", "w", encoding="utf-8") as file:
            file.write(told)


def print_table(days):
    print(f"{'trained to':<12}{'resumed':>10}{'fresh':>10}{'difference':>12}   mean6 on the next day; seconds of training")
    for result in days:
        resumed, fresh = result["resumed"]["mean6"], result["fresh"]["mean6"]
        print(f"{result['day']:<12}{resumed:>10.4f}{fresh:>10.4f}{resumed - fresh:>12.4f}   "
              f"{result['resumed_seconds']:>8.1f}{result['fresh_seconds']:>8.1f}")


def main():
    parser = argparse.ArgumentParser(description="Follows the KuaiRand log day by day.")
    parser.add_argument("data", help="folder of the data set, or of the two-week sample")
    parser.add_argument("--home", default="build/home", help="the program (default: %(default)s)")
    parser.add_argument("--serve", default="build/serve", help="the server (default: %(default)s)")
    parser.add_argument("--work", default="build/kuairand-daily", help="folder for tables and models (default: %(default)s)")
    parser.add_argument("--results", default="build/kuairand-daily.jsonl", help="default: %(default)s")
    arguments = parser.parse_args()
    os.makedirs(arguments.work, exist_ok=True)
    follower = Follower(arguments)
    server = Server(arguments.serve, follower.path("served.safetensors"))
    try:
        done = {result["day"]: result for result in results.read(arguments.results)}
        days = days_of(arguments.data, arguments.work)
        for number, day in enumerate(days[:-1]):
            if day not in done:
                if number and not server.process:
                    server.serve(follower.path(f"{days[number - 1]}.safetensors"))
                done[day] = follower.follow(days, number)
                server.serve(follower.path(f"{day}.safetensors"))
                results.append(arguments.results, done[day])
                print(f"{day}: done", flush=True)
        print_table([done[day] for day in days[:-1]])
    except (prepare.DataError, OSError) as error:
        sys.exit(f"daily.py: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"daily.py: {' '.join(error.cmd[:2])} failed with status {error.returncode}: {error.stderr}")
    except KeyboardInterrupt:
        sys.exit("daily.py: interrupted; the days that were finished are kept")
    finally:
        server.finish()


if __name__ == "__main__":
    main()
