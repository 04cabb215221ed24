"""Tests of home.py: python3 -m unittest test_home, in this folder. NumPy is tested where it is installed."""

import copy
import gc
import inspect
import itertools
import json
import math
import mmap
import os
import pathlib
import pickle
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import home
import rows

try:
    import numpy
except ImportError:
    numpy = None

CONFIG = json.loads((pathlib.Path(__file__).parents[1] / "ids.json").read_text())


class Fixture(unittest.TestCase):
    def setUp(self):
        self.model = home.Model.create(CONFIG)
        self.dense, self.ids = rows.dense(self.model), rows.ids(self.model)
        self.labels = rows.labels(self.model)
        self.expected = self.model.predict(self.dense, self.ids)


class ModelTest(Fixture):
    def test_tells_what_it_takes_and_gives(self):
        self.assertEqual(self.model.dense_width, 3)
        # Tuples: buffers for C have their lengths.
        self.assertEqual(self.model.fields, ("user", "liked", "watched"))
        self.assertEqual(self.model.tasks, ("like", "follow", "finish"))
        self.assertEqual(self.model.config["preset"], "home")

    def test_training_lowers_every_loss(self):
        first = self.model.train_step(self.dense, self.ids, labels=self.labels)
        for _ in range(10):
            last = self.model.train_step(self.dense, self.ids, labels=self.labels)
        for task in self.model.tasks:
            self.assertLess(last[task], first[task])

    def test_weights_count(self):
        half = [1.0] * 32 + [0.0] * 32
        other = home.Model.create(CONFIG)
        a = self.model.train_step(self.dense, self.ids, labels=self.labels, row_weights=half)
        b = other.train_step(self.dense, self.ids, labels=self.labels, weights=[[w] * 3 for w in half])
        self.assertEqual(a, b)
        self.assertNotEqual(a, home.Model.create(CONFIG).train_step(self.dense, self.ids, labels=self.labels))

    def test_none_is_a_missing_label(self):
        none = [[None if label != label else label for label in row] for row in self.labels]
        a = self.model.train_step(self.dense, self.ids, labels=none)
        self.assertEqual(a, home.Model.create(CONFIG).train_step(self.dense, self.ids, labels=self.labels))

    def test_ragged_is_the_same_as_lists(self):
        lists = self.ids["liked"]
        offsets = [0]
        for row in lists:
            offsets.append(offsets[-1] + len(row))
        self.ids["liked"] = home.Ragged([i for row in lists for i in row], offsets)
        self.assertEqual(self.model.predict(self.dense, self.ids), self.expected)

    def test_a_frozen_copy_outlives_the_model(self):
        frozen = self.model.freeze()
        self.model.close()
        self.assertTrue(frozen.frozen)
        for row, expected in zip(frozen.predict(self.dense, self.ids), self.expected):
            for a, b in zip(row, expected):
                self.assertAlmostEqual(a, b, delta=1e-5)
        with self.assertRaises(home.HomeError):
            frozen.train_step(self.dense, self.ids, labels=self.labels)

    def test_save_and_load(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.safetensors"
            self.model.set_metadata("made by", "a test")
            self.model.save(path, optimizer=True)
            again = home.Model.load(path)
            self.assertEqual(again.predict(self.dense, self.ids), self.expected)
            self.assertEqual(again.metadata("made by"), "a test")
            self.assertIsNone(again.metadata("nothing"))

    def test_errors_carry_the_librarys_message(self):
        with self.assertRaisesRegex(home.HomeError, "nowhere") as caught:
            home.Model.load("/nowhere/model.safetensors")
        self.assertEqual(caught.exception.status, 30)
        with self.assertRaisesRegex(home.HomeError, "widht"):
            home.Model.create(dict(CONFIG, widht=1))

    def test_wrong_shapes_never_reach_the_library(self):
        def predict(dense=None, **ids):
            return lambda: self.model.predict(self.dense if dense is None else dense, dict(self.ids, **ids))

        for wrong in (
            predict([row[:2] for row in self.dense]),
            predict(self.dense[:2] + [[1.0]]),
            predict(self.dense[:3]),
            predict(user=self.ids["user"][:-1]),
            predict(user=self.ids["user"] + [1]),
            predict(liked=home.Ragged([1], [0] * 64 + [2])),
            predict(liked=home.Ragged([1], [0, 1])),
            predict(unknown=[0] * 64),
            lambda: self.model.predict(self.dense),
            lambda: self.model.predict(None, self.ids),
            lambda: self.model.train_step(self.dense, self.ids, labels=self.labels[:-1]),
            lambda: self.model.train_step(self.dense, self.ids, labels=self.labels, row_weights=[1.0]),
            lambda: self.model.train_step(self.dense, self.ids, labels=self.labels, weights=[[1.0]]),
        ):
            with self.assertRaises(ValueError):
                wrong()
        for calls, text in (
            (predict(user=[1, -2] + [3] * 62), 'field "user": -2 at position 1, expected an integer from 0'),
            (predict(user=["1"] * 64), """field "user", row 0: '1' at position 0, expected an integer"""),
            (predict(user=None), 'field "user" is None, expected a sequence'),
            (lambda: self.model.predict(self.dense, self.ids["user"]), "ids is a list, expected a mapping"),
            (predict(user=[0.5] * 64), 'field "user": 0.5 at position 0, expected an integer'),
            (predict(liked=[[1], 2] + [[]] * 62), 'field "liked", row 1 is 2, expected a sequence'),
            (predict(liked=[[1], [2**64]] + [[]] * 62), 'field "liked", row 1: 18446744073709551616 at position 0'),
            (predict(liked=home.Ragged([1], [0] * 63 + [-1, 1])), 'offsets of field "liked": -1 at position 63'),
            (predict(liked=home.Ragged([], [])), 'offsets of field "liked" has the shape (0,), expected (65,)'),
            (predict([0.5] * 64), "dense, row 0 is 0.5, expected a sequence"),
            (predict([["x"] * 3] * 64), "dense, row 0: 'x' at position 0, expected a number"),
            (predict([row[:2] for row in self.dense]), "dense has the shape (64, 2), expected (any, 3)"),
            (lambda: self.model.train_step(self.dense, self.ids, labels=[1.0] * 64),
             "labels, row 0 is 1.0, expected a sequence"),
            (lambda: self.model.set_threads(-1), "-1 threads, expected 1 to 1024"),
        ):
            with self.assertRaisesRegex(ValueError, re.escape(text)):
                calls()
        with self.assertRaises(home.HomeError):  # the library's own check
            predict(liked=home.Ragged([1, 2], [0] * 32 + [2] + [1] * 32))()
        self.assertEqual(self.model.predict(self.dense, self.ids), self.expected)

    def test_no_rows(self):
        for ids in (dict.fromkeys(self.ids, []), dict.fromkeys(self.ids, home.Ragged([], [0]))):
            self.assertEqual(self.model.predict([], ids), [])

    def test_status_constants_are_those_of_the_header(self):
        header = (pathlib.Path(__file__).parents[3] / "include/home/home.h").read_text()
        constants = re.findall(r"^#define HOME_(E_\w+) +(\d+)", header, re.MULTILINE)
        self.assertEqual({name: getattr(home, name) for name, _ in constants},
                         {name: int(number) for name, number in constants})
        self.assertEqual(len(constants), sum(name.startswith("E_") for name in vars(home)))

    def test_zero_bytes_in_strings(self):
        for call in (lambda: self.model.save("nul\0x"), lambda: home.Model.load("nul\0x"),
                     lambda: self.model.load_weights("nul\0x"), lambda: self.model.tensor("nul\0x"),
                     lambda: self.model.set_tensor("nul\0x", [1.0]), lambda: self.model.metadata("nul\0x"),
                     lambda: self.model.set_metadata("nul\0x", "x"), lambda: self.model.set_metadata("x", "nul\0x")):
            with self.assertRaisesRegex(ValueError, "embedded null byte"):
                call()
        self.assertFalse(pathlib.Path("nul").exists())

    def test_nothing_that_is_owned_is_copied(self):
        for owner in (self.model, self.model.freeze(), home.Metrics(self.model.tasks)):
            for copied in (copy.copy, copy.deepcopy, pickle.dumps):
                with self.assertRaisesRegex(TypeError, "copied"):
                    copied(owner)

    def test_tensors(self):
        for name, shape in self.model.tensors.items():
            self.assertEqual(self.model.tensor(name).shape, shape)
        self.assertEqual(self.model.tensors["embeddings.user.weight"], (1000, 8))
        other = home.Model.create(dict(CONFIG, seed=2))
        self.assertNotEqual(other.predict(self.dense, self.ids), self.expected)
        for name in self.model.tensors:
            values = self.model.tensor(name)
            other.set_tensor(name, values if len(name) % 2 else values.tolist())
        self.assertEqual(other.predict(self.dense, self.ids), self.expected)
        self.assertEqual(self.model.freeze().tensors, {})
        with self.assertRaisesRegex(ValueError, r"has the shape \(1, 8\), expected \(1000, 8\)"):
            other.set_tensor("embeddings.user.weight", [[0.0] * 8])
        with self.assertRaises(home.HomeError) as caught:
            other.tensor("nothing")
        self.assertEqual(caught.exception.status, home.E_NOT_FOUND)

    def test_load_weights(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.safetensors"
            self.model.save(path)
            other = home.Model.create(dict(CONFIG, seed=2))
            other.load_weights(path)
            self.assertEqual(other.predict(self.dense, self.ids), self.expected)

    def test_each_learning_rate_moves_its_own_tensors(self):
        def moved(change):
            model = home.Model.create(CONFIG)
            change(model)
            before = {name: bytes(model.tensor(name)) for name in model.tensors}
            model.train_step(self.dense, self.ids, labels=self.labels)
            names = {name for name in before if bytes(model.tensor(name)) != before[name]}
            return {name for name in names if "running" not in name}

        tables = {name for name in self.model.tensors if name.startswith("embeddings.")}
        everything = moved(lambda model: None)
        self.assertLess(tables, everything)
        self.assertEqual(moved(lambda model: model.set_learning_rate(0)), tables)
        self.assertEqual(moved(lambda model: model.set_embedding_learning_rate(0)), everything - tables)

    def test_steps_and_gradient_norm(self):
        self.assertEqual((self.model.step_count, self.model.gradient_norm), (0, 0.0))
        # Plain gradient descent moves the parameters by rate times gradient.
        optimizer = {"kind": "sgd", "learning_rate": 1.0}
        model = home.Model.create({"dense": 8, "tasks": [{"name": "like"}], "layers": [{"width": 4}],
                                   "preset": "shared-bottom", "optimizer": optimizer})
        before = {name: model.tensor(name).tolist() for name in model.tensors}
        model.train_step(rows.dense(model), labels=rows.labels(model))

        def flat(value):
            return [number for row in value for number in flat(row)] if isinstance(value, list) else [value]

        moves = [a - b for name in before for a, b in zip(flat(model.tensor(name).tolist()), flat(before[name]))]
        self.assertEqual(model.step_count, 1)
        self.assertAlmostEqual(model.gradient_norm, math.hypot(*moves), delta=1e-5 * model.gradient_norm)

    def test_metrics(self):
        metrics = home.Metrics(["like", "follow"])
        metrics.add([[0.1, 0.5], [0.4, 0.5]], [[0.0, None], [0.0, 1.0]], [7, 8])
        metrics.add([[0.35, 0.5], [0.8, 0.5]], [[1.0, None], [1.0, 1.0]], [7, 8])
        like, follow = metrics.result().values()
        self.assertEqual((like.rows, like.positives, like.auc), (4, 2, 0.75))  # 3 of 4 pairs are in order
        self.assertEqual((like.gauc, like.gauc_users, like.gauc_rows), (1.0, 2, 4))
        self.assertAlmostEqual(like.log_loss, -sum(map(math.log, (0.9, 0.6, 0.35, 0.8))) / 4, places=6)
        self.assertAlmostEqual(like.calibration, 1.65 / 2, places=6)
        self.assertEqual((follow.rows, follow.positives), (2, 2))
        self.assertTrue(math.isnan(follow.auc))
        for wrong, text in (([[0.5]], r"predictions has the shape \(1, 1\), expected \(any, 2\)"),
                            ([[1.5, 0.5]], "1.5")):
            with self.assertRaisesRegex((ValueError, home.HomeError), text):
                metrics.add(wrong, [[1.0, 1.0]])

    def test_a_closed_model_refuses(self):
        self.model.close()
        self.model.close()
        for call in (lambda: self.model.predict(self.dense, self.ids), self.model.freeze,
                     lambda: self.model.save("x"), lambda: self.model.config, lambda: self.model.tensors,
                     lambda: self.model.step_count, lambda: self.model.set_embedding_learning_rate(0.1)):
            with self.assertRaisesRegex(ValueError, "closed"):
                call()

    def test_a_forgotten_model_is_freed(self):
        model = home.Model.create(CONFIG)
        release = model._release
        del model
        gc.collect()
        self.assertFalse(release.alive)

    def test_the_interpreter_ends_while_a_daemon_thread_predicts(self):
        program = """if True:
            import threading, time, home
            model = home.Model.create({"dense": 1, "tasks": [{"name": "a"}], "layers": [{"width": 256}] * 2})
            rows = [[0.5]] * 20000
            started = threading.Event()
            def predict():
                while True:
                    started.set()
                    model.predict(rows)
            threading.Thread(target=predict, daemon=True).start()
            started.wait()
            time.sleep(0.05)
        """
        subprocess.run([sys.executable, "-c", program], check=True, cwd=pathlib.Path(__file__).parent)

    def test_threads_predict_while_one_trains_and_one_closes(self):
        """Each prediction is of the model before or after some step, never of something between."""
        other = home.Model.create(CONFIG)
        possible = [self.expected]
        for _ in range(20):
            other.train_step(self.dense, self.ids, labels=self.labels)
            possible.append(other.predict(self.dense, self.ids))
        go = threading.Barrier(4)

        def predict():
            go.wait()
            seen = []
            try:
                while True:
                    seen.append(self.model.predict(self.dense, self.ids))
            except ValueError:  # closed
                return seen

        with ThreadPoolExecutor(3) as threads:
            results = [threads.submit(predict) for _ in range(3)]
            go.wait()
            for _ in range(20):
                self.model.train_step(self.dense, self.ids, labels=self.labels)
            self.model.close()
            for result in results:
                for seen in result.result():
                    self.assertIn(seen, possible)

    def test_results_do_not_depend_on_threads_inside(self):
        self.model.set_threads(2)
        self.assertEqual(self.model.predict(self.dense, self.ids), self.expected)

    def test_the_version_is_the_headers(self):
        header = (pathlib.Path(__file__).parents[3] / "include/home/home.h").read_text()
        parts = re.findall(r"^#define HOME_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header, re.MULTILINE)
        self.assertEqual(home.__version__, ".".join(parts))

    def test_everything_public_has_a_docstring_and_types(self):
        def public(owner):
            return [value for name, value in vars(owner).items() if not name.startswith("_")]

        classes = [value for value in public(home) if inspect.isclass(value) and value.__module__ == "home"]
        self.assertGreater(len(classes), 8)
        for owner in [home, *classes]:
            for value in public(owner):
                value = getattr(value, "fget", None) or getattr(value, "__func__", value)
                if inspect.isfunction(value) and value.__module__ == "home":
                    self.assertTrue(inspect.getdoc(value), value)
                    hints = value.__annotations__
                    self.assertIn("return", hints, value)
                    self.assertLessEqual(set(inspect.signature(value).parameters) - {"self", "cls"}, set(hints))

    def test_types(self):
        mypy = [sys.executable, "-m", "mypy"]
        if subprocess.run([*mypy, "--version"], capture_output=True).returncode != 0:
            self.skipTest("mypy is not installed")
        with tempfile.TemporaryDirectory() as folder:
            checked = subprocess.run([*mypy, "--strict", "--cache-dir", folder, home.__file__],
                                     capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_memory_is_as_good_as_a_file(self):
        self.model.train_step(self.dense, self.ids, labels=self.labels)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.safetensors"
            for optimizer in (False, True):
                self.model.save(path, optimizer)
                data = path.read_bytes()
                self.assertEqual(self.model.serialize(optimizer), data)
                with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                    for form in (data, bytearray(data), memoryview(data), memoryview(data + data)[:len(data)],
                                 memoryview(bytes(b for byte in data for b in (byte, 0)))[::2], mapped):
                        again = home.Model.load_memory(form)
                        self.assertEqual(again.step_count, int(optimizer))
                        self.assertEqual(again.serialize(optimizer), data)
        for wrong, error, text in (("text", ValueError, "data is 'text', expected bytes"),
                                   (None, ValueError, "data is None"),
                                   (b"", home.HomeError, ""), (data[:-1], home.HomeError, "")):
            with self.assertRaisesRegex(error, text):
                home.Model.load_memory(wrong)

    def test_what_the_model_tells_about_itself(self):
        self.assertEqual([len(layer["nodes"]) for layer in self.model.topology["layers"]][-1], 3)
        self.assertIn(self.model.isa, ("portable", "avx2", "avx512", "neon"))
        dense = sum(math.prod(shape) for name, shape in self.model.tensors.items()
                    if not name.startswith("embeddings.") and "running" not in name)
        self.assertEqual(self.model.parameter_count, dense)
        self.assertGreater(self.model.macs_per_row, 0)
        self.assertEqual(home.hash_id(0, 1), 0)
        self.assertLess(home.hash_id(2**64 - 1, 1000), 1000)
        self.assertEqual(len({home.hash_id(i, 2**40) for i in range(100)}), 100)
        with self.assertRaisesRegex(ValueError, "hash_id: -1 at position 0"):
            home.hash_id(-1, 10)

    def test_none_is_an_error_where_nothing_can_be_missing(self):
        dense = [list(row) for row in self.dense]
        dense[3][1] = None
        ids = dict(self.ids, user=[None] + self.ids["user"][1:])
        row_weights, weights = [1.0] * 63 + [None], [[1.0, 1.0, 1.0]] * 63 + [[1.0, None, 1.0]]
        for call, text in (
            (lambda: self.model.predict(dense, self.ids), "dense, row 3: None at position 1, expected a number"),
            (lambda: self.model.predict(self.dense, ids), 'field "user": None at position 0'),
            (lambda: self.model.train_step(self.dense, self.ids, labels=self.labels, row_weights=row_weights),
             "row_weights: None at position 63"),
            (lambda: self.model.train_step(self.dense, self.ids, labels=self.labels, weights=weights),
             "weights, row 63: None at position 1"),
            (lambda: home.Metrics("a").add([[None]], [[1.0]]), "predictions, row 0: None at position 0"),
        ):
            with self.assertRaisesRegex(ValueError, re.escape(text)):
                call()

    def test_metrics_are_merged_and_closed(self):
        parts, whole = [home.Metrics(self.model.tasks) for _ in range(2)], home.Metrics(self.model.tasks)
        for part, half in zip(parts, (slice(0, 32), slice(32, 64))):
            part.add(self.expected[half], self.labels[half], range(32))
            whole.add(self.expected[half], self.labels[half], range(32))
        with parts[0] as merged:
            merged.merge(parts[1])
            self.assertEqual(str(merged.result()), str(whole.result()))  # some are NaN
            merged.merge(merged)
            self.assertEqual(merged.result()["like"].rows, 2 * whole.result()["like"].rows)
        merged.close()
        for call in (merged.result, lambda: whole.merge(merged), lambda: merged.merge(whole),
                     lambda: merged.add(self.expected, self.labels)):
            with self.assertRaisesRegex(ValueError, "accumulator is closed"):
                call()
        with self.assertRaises(home.HomeError):
            whole.merge(home.Metrics(["a"]))

    def test_two_merge_into_each_other(self):
        a, b = home.Metrics(["a"]), home.Metrics(["a"])

        def merge(into, other):
            for _ in range(200):
                into.merge(other)
                other.result()

        with ThreadPoolExecutor(2) as threads:
            for result in [threads.submit(merge, a, b), threads.submit(merge, b, a)]:
                result.result(timeout=60)


class TrainingTest(Fixture):
    """The parts of train_step(), and gradients."""

    def test_parts_are_the_same_as_the_whole(self):
        whole, parts = home.Model.create(CONFIG), self.model
        for _ in range(3):
            losses = whole.train_step(self.dense, self.ids, labels=self.labels, row_weights=[0.5] * 64)
            predictions = parts.forward(self.dense, self.ids)
            self.assertEqual((len(predictions), len(predictions[0])), (64, 3))
            self.assertEqual(parts.backward(self.labels, [0.5] * 64), losses)
            self.assertEqual(parts.gradient_norm, whole.gradient_norm)
            parts.step()
        self.assertEqual(parts.serialize(True), whole.serialize(True))

    def test_derivatives_of_the_logits(self):
        """Those of binary cross-entropy are (p - label) / rows with a label."""
        predictions = self.model.forward(self.dense, self.ids)
        count = [sum(row[t] == row[t] for row in self.labels) for t in range(3)]
        dlogits = [[0.0 if row[t] != row[t] else (p[t] - row[t]) / count[t] for t in range(3)]
                   for p, row in zip(predictions, self.labels)]
        self.model.backward_from(dlogits)
        other = home.Model.create(CONFIG)
        other.forward(self.dense, self.ids)
        other.backward(self.labels)
        self.assertAlmostEqual(self.model.gradient_norm, other.gradient_norm, delta=1e-5 * other.gradient_norm)
        for name in other.tensors:
            if "running" not in name and not name.startswith("embeddings."):
                a, b = self.model.gradient(name), other.gradient(name)
                self.assertEqual(a.shape, self.model.tensor(name).shape)
                for x, y in zip(a.cast("B").cast("f"), b.cast("B").cast("f")):
                    self.assertAlmostEqual(x, y, delta=1e-5)

    def test_tasks_gradients_make_the_total(self):
        self.model.forward(self.dense, self.ids)
        single = {task: self.model.task_gradient(task, self.labels) for task in self.model.tasks}
        losses = self.model.backward(self.labels)
        self.assertEqual({task: loss for task, (loss, _) in single.items()}, losses)
        for name in single["like"][1]:
            parts = zip(*(gradients[name].cast("B").cast("f") for _, gradients in single.values()))
            for part, total in zip(parts, self.model.gradient(name).cast("B").cast("f")):
                self.assertAlmostEqual(sum(part), total, delta=1e-5)
        with self.assertRaisesRegex(ValueError, "no task is named 'lik'"):
            self.model.task_gradient("lik", self.labels)

    def test_gradients_may_be_replaced(self):
        """Plain gradient descent of rate 1 subtracts what was set."""
        config = dict(CONFIG, optimizer={"kind": "sgd", "learning_rate": 1.0, "embedding_kind": "adagrad"})
        model = home.Model.create(config)
        names = [name for name in model.tensors if name.startswith("towers.")]
        before = {name: model.tensor(name).cast("B").cast("f").tolist() for name in names}
        model.forward(self.dense, self.ids)
        model.backward(self.labels)
        table = model.table_gradient("user")
        self.assertEqual(table.rows.tolist(), sorted(set(table.rows.tolist())))
        self.assertEqual(table.gradient.shape, (len(table.rows), 8))
        user = model.tensor("embeddings.user.weight").tolist()
        for name in names:
            zeros = memoryview(bytearray(4 * len(before[name]))).cast("f")
            ones = memoryview(b"\0\0\x80\x3f" * len(before[name])).cast("f")
            for values in (zeros, ones):
                model.set_gradient(name, values.cast("B").cast("f", model.tensor(name).shape))
        model.set_table_gradient("user", [[0.0] * 8] * len(table.rows))
        self.assertEqual(set(itertools.chain(*model.table_gradient("user").gradient.tolist())), {0.0})
        model.step()
        for name in names:
            for a, b in zip(model.tensor(name).cast("B").cast("f"), before[name]):
                self.assertAlmostEqual(a, b - 1, places=5)
        self.assertEqual(model.tensor("embeddings.user.weight").tolist(), user)

    def test_input_gradient(self):
        model = home.Model.create({"dense": 5, "tasks": [{"name": "a"}], "layers": [{"width": 8}],
                                   "preset": "shared-bottom"})
        dense, label = [[0.1, -0.2, 0.3, 0.4, -0.5], [0.5, 0.4, -0.3, 0.2, 0.1]], [[1.0], [0.0]]

        def loss(dense):
            model.forward(dense)
            return model.backward(label)["a"]

        loss(dense)
        gradient = model.input_gradient()
        self.assertEqual(gradient.shape, (2, 5))
        gradient = gradient.tolist()
        for r, c in itertools.product(range(2), range(5)):
            sides = []
            for change in (1e-2, -1e-2):
                other = [list(row) for row in dense]
                other[r][c] += change
                sides.append(loss(other))
            self.assertAlmostEqual(gradient[r][c], (sides[0] - sides[1]) / 2e-2, delta=1e-3)

    def test_what_does_not_fit_the_last_forward(self):
        model = self.model
        for call in (lambda: model.backward(self.labels), lambda: model.backward_from(self.expected), model.step,
                     model.input_gradient, lambda: model.table_gradient("user"),
                     lambda: model.task_gradient("like", self.labels)):
            with self.assertRaises(home.HomeError) as caught:
                call()
            self.assertEqual(caught.exception.status, home.E_STATE)
        model.forward(self.dense, self.ids)
        for call in (lambda: model.backward(self.labels[:63]), lambda: model.backward(self.labels * 2),
                     lambda: model.backward_from(self.expected[:3]),
                     lambda: model.task_gradient("like", self.labels[:3])):
            with self.assertRaisesRegex(ValueError, "the last forward is of 64"):
                call()
        with self.assertRaises(home.HomeError):
            model.forward([], dict.fromkeys(self.ids, []))
        model.backward(self.labels)  # of the forward before, which still holds
        for name in ("embeddings.user.weight", next(name for name in model.tensors if "running" in name)):
            with self.assertRaisesRegex(ValueError, "is not a dense parameter"):
                model.gradient(name)
        with self.assertRaisesRegex(ValueError, "has the shape"):
            model.set_table_gradient("user", [[0.0] * 8])
        with self.assertRaises(home.HomeError):
            model.table_gradient("nothing")

    def test_a_table_that_no_row_touches(self):
        none = dict(self.ids, liked=[[]] * 64, watched=[[]] * 64)
        self.model.train_step(self.dense, none, labels=self.labels)
        tables = {name.split(".")[1] for name in self.model.tensors if name.startswith("embeddings.")} - {"user"}
        for table in tables:
            gradient = self.model.table_gradient(table)
            self.assertEqual((gradient.rows.tolist(), gradient.gradient.tolist()), ([], []))
            self.model.set_table_gradient(table, [])

    def test_the_norm_of_a_units_gradient(self):
        self.model.train_step(self.dense, self.ids, labels=self.labels)
        units = [(l, unit["name"]) for l, layer in enumerate(self.model.topology["layers"]) for unit in layer["units"]]
        norms = [self.model.unit_gradient_norm(*unit) for unit in units]
        self.assertTrue(all(0 < norm <= self.model.gradient_norm for norm in norms), norms)
        for layer, unit in ((0, "nothing"), (99, units[0][1])):
            with self.assertRaises(home.HomeError):
                self.model.unit_gradient_norm(layer, unit)
        with self.assertRaises(ValueError):
            self.model.unit_gradient_norm(-1, units[0][1])


    def test_logits_are_those_of_the_last_forward(self):
        with self.assertRaises(home.HomeError):
            self.model.logits()
        predictions = self.model.forward(self.dense, self.ids)
        logits = self.model.logits().tolist()
        for p, x in zip(itertools.chain(*predictions), itertools.chain(*logits)):
            self.assertAlmostEqual(p, 1 / (1 + math.exp(-x)), delta=1e-6)

    def test_parts_add_up_to_a_batch(self):
        """With the weights of the whole, but for batch norms, which see each part alone."""
        config = dict(CONFIG, experts={"norm": "none"})
        whole, parts = home.Model.create(config), home.Model.create(config)
        whole.forward(self.dense, self.ids)
        losses = whole.backward(self.labels)
        total = [float(sum(row[t] == row[t] for row in self.labels)) for t in range(3)]
        added = dict.fromkeys(losses, 0.0)
        for part in (slice(0, 20), slice(20, 64)):
            ids = {name: values[part] for name, values in self.ids.items()}
            parts.forward(self.dense[part], ids)
            for task, loss in parts.backward(self.labels[part], total_weights=total, accumulate=True).items():
                added[task] += loss
        for task in losses:
            self.assertAlmostEqual(added[task], losses[task], places=5)
        for a, b in zip(whole.gradients(), parts.gradients()):
            self.assertAlmostEqual(a, b, delta=1e-5)
        a, b = whole.table_gradient("user"), parts.table_gradient("user")
        self.assertEqual(a.rows.tolist(), b.rows.tolist())
        parts.step()
        with self.assertRaisesRegex(ValueError, "total_weights has the shape"):
            parts.forward(self.dense, self.ids)
            parts.backward(self.labels, total_weights=[1.0])

    def test_gradients_from_elsewhere(self):
        """Steps of one model with the gradients of another."""
        other = home.Model.create(CONFIG)
        for _ in range(2):
            other.forward(self.dense, self.ids)
            other.backward(self.labels)
            self.model.forward(self.dense, self.ids)
            self.model.backward_from([[0.0] * 3] * 64)
            self.model.set_gradients(other.gradients())
            for table in other.tables:
                found = other.table_gradient(table)
                # in any order, and in two halves that are added up
                halves = [[x / 2 for x in row] for row in found.gradient.tolist()][::-1]
                self.model.set_table_gradient(table, halves * 2, found.rows.tolist()[::-1] * 2)
            other.step()
            self.model.step()
            self.assertEqual(self.model.serialize(True), other.serialize(True))
        with self.assertRaisesRegex(ValueError, "has the shape"):
            self.model.set_table_gradient("user", [[0.0] * 7], [1])
        for status, call in ((home.E_VALUE, lambda: self.model.set_table_gradient("user", [[0.0] * 8], [1000])),
                             (home.E_ARGUMENT, lambda: self.model.set_gradients([0.0]))):
            with self.assertRaises(home.HomeError) as caught:
                call()
            self.assertEqual(caught.exception.status, status)

    def test_what_changes_while_training(self):
        model = self.model
        model.set_task_weight("follow", 0)
        model.set_norm_momentum(0.25)
        model.set_trained("embeddings.*", False)
        model.set_learning_rate(0.5)
        self.assertEqual((model.task_weight("follow"), model.norm_momentum, model.learning_rate,
                          model.embedding_learning_rate), (0, 0.25, 0.5, 0.1))
        self.assertEqual({name for name, trained in model.trained.items() if name.startswith("embeddings.")
                          and trained}, set())
        before = model.tensor("embeddings.user.weight").tolist()
        model.train_step(self.dense, self.ids, labels=self.labels)
        self.assertEqual(model.tensor("embeddings.user.weight").tolist(), before)
        with self.assertRaisesRegex(ValueError, "no task is named 'nobody'"):
            model.set_task_weight("nobody", 1)
        with self.assertRaises(home.HomeError) as caught:
            model.set_trained("nothing.*", True)
        self.assertEqual(caught.exception.status, home.E_NOT_FOUND)


class ServingTest(Fixture):
    """Loading for servers, logits, and weights of ids."""

    def test_logits(self):
        for model in (self.model, self.model.freeze(), home.Model.open_image(self.model.freeze().image())):
            predictions, logits = model.predict_logits(self.dense, self.ids)
            self.assertEqual(predictions, model.predict(self.dense, self.ids))
            for p, x in zip(itertools.chain(*predictions), itertools.chain(*logits)):
                self.assertAlmostEqual(p, 1 / (1 + math.exp(-x)), delta=1e-6)

    def test_weights_of_ids(self):
        ones = {"user": home.Weighted(self.ids["user"], [1] * 64),
                "liked": home.Weighted(self.ids["liked"], [[1.0] * len(row) for row in self.ids["liked"]]),
                "watched": self.ids["watched"]}
        self.assertEqual(self.model.predict(self.dense, ones), self.expected)
        # A weight of 2 is an id that comes twice, one of 0 an id that does not come.
        twice = [row + row[:1] for row in self.ids["watched"]]
        weights = [[2.0] + [1.0] * (len(row) - 1) if row else [] for row in self.ids["watched"]]
        padded = home.Weighted([row + [5] for row in self.ids["watched"]], [row + [0.0] for row in weights])
        for weighted in (home.Weighted(self.ids["watched"], weights), padded):
            for a, b in zip(itertools.chain(*self.model.predict(self.dense, dict(self.ids, watched=weighted))),
                            itertools.chain(*self.model.predict(self.dense, dict(self.ids, watched=twice)))):
                self.assertAlmostEqual(a, b, delta=1e-5)
        flat = list(itertools.chain(*self.ids["watched"]))
        offsets = [0, *itertools.accumulate(map(len, self.ids["watched"]))]
        ragged = home.Weighted(home.Ragged(flat, offsets), list(itertools.chain(*weights)))
        self.assertEqual(self.model.predict(self.dense, dict(self.ids, watched=ragged)),
                         self.model.predict(self.dense, dict(self.ids, watched=home.Weighted(self.ids["watched"],
                                                                                            weights))))
        for wrong, text in ((home.Weighted(self.ids["user"], [1] * 63), 'weights of field "user": 63 for 64 ids'),
                            (home.Weighted(self.ids["user"], [1] * 65), "65 for 64 ids"),
                            (home.Weighted(self.ids["user"], 1), "expected a sequence"),
                            (home.Weighted(self.ids["user"], ["x"] * 64), "'x' at position 0")):
            with self.assertRaisesRegex(ValueError, text):
                self.model.predict(self.dense, dict(self.ids, user=wrong))
        uneven = [[1.0] * len(row) for row in self.ids["liked"]]
        uneven[1], uneven[2] = uneven[1] + [1.0], uneven[2][1:]
        with self.assertRaisesRegex(ValueError, 'weights of field "liked", row 1'):
            self.model.predict(self.dense, dict(self.ids, liked=home.Weighted(self.ids["liked"], uneven)))
        with self.assertRaises(home.HomeError) as caught:  # of a mean
            self.model.predict(self.dense, dict(self.ids, liked=home.Weighted(
                self.ids["liked"], [[-1.0] * len(row) for row in self.ids["liked"]])))
        self.assertEqual(caught.exception.status, home.E_VALUE)

    def test_weights_train(self):
        model, other = self.model, home.Model.create(CONFIG)
        ids = dict(self.ids, user=home.Weighted(self.ids["user"], [1.0] * 64))
        for _ in range(2):
            self.assertEqual(model.train_step(self.dense, ids, labels=self.labels),
                             other.train_step(self.dense, self.ids, labels=self.labels))

    def test_load_frozen(self):
        self.model.train_step(self.dense, self.ids, labels=self.labels)
        data = self.model.serialize(True)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model")
            self.model.save(path, optimizer=True)
            for frozen in (home.Model.load(path, frozen=True), home.Model.load_memory(data, frozen=True)):
                self.assertTrue(frozen.frozen)
                self.assertEqual(frozen.predict(self.dense, self.ids),
                                 self.model.freeze().predict(self.dense, self.ids))
        self.assertEqual(home.Model.load_memory(data, isa="portable").isa, "portable")
        for status, arguments in ((home.E_TOO_LARGE, {"memory_limit": 1000}), (home.E_ARGUMENT, {"isa": "z80"})):
            with self.assertRaises(home.HomeError) as caught:
                home.Model.load_memory(data, **arguments)
            self.assertEqual(caught.exception.status, status)
        with self.assertRaisesRegex(ValueError, "memory_limit is -1"):
            home.Model.load_memory(data, memory_limit=-1)

    def test_create_within_limits(self):
        self.assertEqual(home.Model.create(CONFIG, isa="portable").isa, "portable")
        with self.assertRaises(home.HomeError) as caught:
            home.Model.create(CONFIG, memory_limit=1000)
        self.assertEqual(caught.exception.status, home.E_TOO_LARGE)

    def test_all_errors_of_a_configuration(self):
        self.assertEqual(home.check_config(CONFIG), [])
        found = home.check_config({"dense": 3, "tasks": [{"name": "a", "weight": -1}], "layers": [{"width": 0}] * 2})
        self.assertEqual({error.where for error in found},
                         {"tasks[0].weight", "layers[0].width", "layers[1].width"})
        for error in found:
            self.assertEqual(error.status, home.E_CONFIG)
            self.assertTrue(error.message.startswith(error.where), error)
        self.assertEqual([error.status for error in home.check_config("{")], [home.E_JSON])

    def test_names_and_sizes(self):
        model = self.model
        self.assertEqual((model.tables, model.dense_names), (("user", "video"), None))
        model.check_names(fields=model.fields, tasks=model.tasks)
        named = home.Model.create(dict(CONFIG, dense_names=[f"column {i}" for i in range(model.dense_width)]))
        self.assertEqual(named.dense_names[1], "column 1")
        named.check_names(named.dense_names)
        with self.assertRaises(home.HomeError) as caught:
            named.check_names(dense=named.dense_names[::-1])
        self.assertEqual(caught.exception.status, home.E_MISMATCH)
        self.assertGreater(model.memory_bytes, 4 * model.parameter_count)
        self.assertGreater(model.block_rows, 0)

    def test_the_header_of_a_checkpoint(self):
        self.model.train_step(self.dense, self.ids, labels=self.labels)
        self.model.set_metadata("day", "monday")
        data = self.model.serialize(True)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model")
            self.model.save(path, optimizer=True)
            opened = home.Checkpoint.open(path)
        for file in (opened, home.Checkpoint.open_memory(data)):
            with file:
                self.assertEqual((file.step_count, file.has_optimizer, file.file_bytes), (1, True, len(data)))
                self.assertEqual(file.metadata, {"day": "monday"})
                self.assertEqual(home.Model.create(file.config).config, self.model.config)
                shapes = {tensor.name: tensor.shape for tensor in file.tensors}
                for name, shape in self.model.tensors.items():
                    self.assertEqual(shapes[name], shape)
                table = file.tensor("embeddings.user.weight")
                self.assertEqual((table.dtype, table.nbytes), ("F32", 4 * math.prod(table.shape)))
                values = memoryview(data[table.offset:table.offset + table.nbytes]).cast("f", table.shape)
                self.assertEqual(values.tolist(), self.model.tensor(table.name).tolist())
                with self.assertRaises(home.HomeError):
                    file.tensor("nothing")
            with self.assertRaisesRegex(ValueError, "checkpoint is closed"):
                file.tensors
        with self.assertRaises(home.HomeError) as caught:
            home.Checkpoint.open("/nowhere/model.safetensors")
        self.assertEqual(caught.exception.status, home.E_FILE)


class MetricsTest(Fixture):
    def test_weights_count_rows(self):
        """A weight of 2 is a row that comes twice, one of 0 a row that does not come."""
        weighted, plain = home.Metrics(["a"]), home.Metrics(["a"])
        predictions, labels = [[0.1], [0.4], [0.35], [0.8]], [[0.0], [0.0], [1.0], [1.0]]
        weighted.add(predictions, labels, row_weights=[2, 1, 1, 0], weights=[[1.0], [1], [1], [1]])
        plain.add(predictions[:3] + predictions[:1], labels[:3] + labels[:1])
        a, b = weighted.result()["a"], plain.result()["a"]
        self.assertEqual((a.rows, a.weight, a.auc), (3, 4.0, b.auc))
        self.assertAlmostEqual(a.log_loss, b.log_loss)

    def test_rows_without_a_user(self):
        metrics = home.Metrics(["a"])
        metrics.add([[0.1], [0.4], [0.35], [0.8]], [[0.0], [0.0], [1.0], [1.0]], [7, home.NO_USER, 7, home.NO_USER])
        result = metrics.result()["a"]
        self.assertEqual((result.no_user_rows, result.gauc_users, result.gauc_rows), (2, 1, 2))

    def test_squared_errors(self):
        metrics = home.Metrics(["a", "b"], [home.LOSS_BCE, home.LOSS_SQUARED])
        metrics.add([[0.5, 10.0], [0.5, -4.0]], [[1.0, 7.0], [0.0, 0.0]])
        b = metrics.result()["b"]
        self.assertAlmostEqual(b.rmse, math.sqrt((9 + 16) / 2))
        self.assertAlmostEqual(b.mae, 3.5)
        self.assertTrue(math.isnan(b.auc))
        with self.assertRaisesRegex(ValueError, "1 losses for 2 tasks"):
            home.Metrics(["a", "b"], [home.LOSS_BCE])

    def test_bytes_of_another_machine(self):
        parts, whole = [home.Metrics(self.model.tasks) for _ in range(2)], home.Metrics(self.model.tasks)
        for part, half in zip(parts, (slice(0, 32), slice(32, 64))):
            part.add(self.expected[half], self.labels[half], range(32))
            whole.add(self.expected[half], self.labels[half], range(32))
        parts[0].merge_bytes(parts[1].serialize())
        self.assertEqual(str(parts[0].result()), str(whole.result()))
        for data in (b"", b"nonsense", whole.serialize()[:-1], 3):
            with self.assertRaises((home.HomeError, ValueError)):
                whole.merge_bytes(data)
        self.assertEqual(str(parts[0].result()), str(whole.result()))
        whole.reset()
        self.assertEqual(whole.result()["like"].rows, 0)

    def test_bounded_memory(self):
        metrics = home.Metrics(["a"], max_bytes=200_000)
        for _ in range(20):
            metrics.add([[i / 1000] for i in range(1000)], [[float(i % 3 == 0)] for i in range(1000)], range(1000))
        result = metrics.result()["a"]
        self.assertEqual(result.rows, 20_000)
        self.assertTrue(0 < result.auc_error < 0.01, result)
        with self.assertRaises(home.HomeError) as caught:
            home.Metrics(["a"], max_bytes=10)
        self.assertEqual(caught.exception.status, home.E_ARGUMENT)

    def test_health_by_bytes(self):
        health, other = home.Health(self.model), home.Health(self.model)
        health.add(self.model, self.dense, self.ids)
        other.merge_bytes(health.serialize())
        self.assertEqual(str(other.experts()), str(health.experts()))
        other.reset()
        self.assertEqual(other.rows, 0)
        with self.assertRaises(home.HomeError):
            other.merge_bytes(b"nonsense")


class ImageTest(Fixture):
    def setUp(self):
        super().setUp()
        self.frozen = self.model.freeze()
        self.expected = self.frozen.predict(self.dense, self.ids)

    def test_from_bytes_and_from_a_file(self):
        image = self.frozen.image(block_rows=5)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.image"
            path.write_bytes(image)
            for source in (image, bytearray(image), memoryview(b"x" + image)[1:], path, str(path)):
                model = home.Model.open_image(source)
                gc.collect()
                self.assertTrue(model.frozen)
                self.assertEqual((model.fields, model.tasks), (self.model.fields, self.model.tasks))
                self.assertEqual(model.predict(self.dense, self.ids), self.expected)
            path.unlink()
            self.assertEqual(model.predict(self.dense, self.ids), self.expected)  # still mapped

    def test_threads_have_a_workspace_each(self):
        model = home.Model.open_image(self.frozen.image())
        with ThreadPoolExecutor(4) as threads:
            for predictions in threads.map(lambda _: model.predict(self.dense, self.ids), range(100)):
                self.assertEqual(predictions, self.expected)
        model.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            model.predict(self.dense, self.ids)

    def test_what_is_refused(self):
        image = bytearray(self.frozen.image())
        with self.assertRaises(home.HomeError) as caught:
            self.model.image()
        self.assertEqual(caught.exception.status, home.E_STATE)
        for options in ({"panel": 257}, {"block_rows": 4097}):
            with self.assertRaises(home.HomeError):
                self.frozen.image(**options)
        with self.assertRaisesRegex(ValueError, "panel is -1"):
            self.frozen.image(panel=-1)
        model = home.Model.open_image(image)
        for call in (lambda: model.set_threads(2), lambda: model.set_metadata("a", "b"), lambda: home.Health(model),
                     lambda: model.train_step(self.dense, self.ids, labels=self.labels)):
            with self.assertRaises(home.HomeError) as caught:
                call()
            self.assertEqual(caught.exception.status, home.E_STATE)
        image[-1] ^= 1
        for wrong in (image, image[:100], b"", b"x" * 1000):
            with self.assertRaises(home.HomeError):
                home.Model.open_image(wrong)
        with self.assertRaises(FileNotFoundError):
            home.Model.open_image("/nowhere/model.image")
        with self.assertRaisesRegex(ValueError, "the image is 5, expected bytes"):
            home.Model.open_image(5)


class HealthTest(Fixture):
    def test_figures(self):
        health = home.Health(self.model)
        self.assertEqual(health.rows, 0)
        self.assertTrue(math.isnan(health.experts()[0].mean))
        health.add(self.model, self.dense, self.ids)
        self.assertEqual(health.rows, 64)
        experts, nodes = health.experts(), health.nodes()
        topology = self.model.topology["layers"]
        self.assertEqual(len(experts), sum(unit["experts"] for layer in topology for unit in layer["units"]))
        self.assertEqual([node.node for node in nodes], [node["name"] for layer in topology for node in layer["nodes"]])
        for i, expert in enumerate(experts):
            self.assertLessEqual(expert.min, expert.mean)
            self.assertLessEqual(expert.mean, expert.max)
            self.assertEqual(sum(health.histogram(i)), 64 * expert.width)
            if expert.nearest is not None:
                self.assertAlmostEqual(health.distance(i, expert.nearest), expert.nearest_distance)
            weights = [health.gate_weight(n, i) for n in range(len(nodes))]
            self.assertAlmostEqual(sum(w for w in weights if w == w), expert.mass, places=6)
        for n in range(len(nodes)):
            weights = [health.gate_weight(n, i) for i in range(len(experts))]
            self.assertAlmostEqual(sum(w for w in weights if w == w), 1, places=5)
            own = [health.self_weight(n, i) for i in range(len(experts))]
            self.assertAlmostEqual(sum(w for w in own if w == w), nodes[n].self_weight, places=6)
        self.assertTrue(math.isnan(health.distance(0, 0)))
        edges = [home.Health.bin_edge(i) for i in range(home.HEALTH_BINS - 1)]
        self.assertEqual(edges, sorted(edges))
        for call in (lambda: health.histogram(-1), lambda: health.gate_weight(0, -1)):
            with self.assertRaises(ValueError):
                call()
        with self.assertRaises(home.HomeError):
            health.histogram(len(experts))

    def test_no_expert_is_none(self):
        model = home.Model.create({"dense": 3, "tasks": [{"name": "a"}], "layers": [{"width": 4}],
                                   "preset": "shared-bottom"})
        health = home.Health(model)
        health.add(model, self.dense)
        self.assertIsNone(health.experts()[0].nearest)

    def test_parts_are_merged(self):
        whole, parts = home.Health(self.model), [home.Health(self.model) for _ in range(2)]
        frozen = self.model.freeze()  # has the same shape
        for part, half in zip(parts, (slice(0, 32), slice(32, 64))):
            ids = {name: values[half] for name, values in self.ids.items()}
            part.add(self.model, self.dense[half], ids)
            whole.add(self.model, self.dense[half], ids)
        parts[0].merge(parts[1])
        self.assertEqual(parts[0].rows, 64)
        for a, b in zip(parts[0].experts(), whole.experts()):
            self.assertAlmostEqual(a.deviation, b.deviation)
        whole.add(frozen, self.dense, self.ids)
        self.model.close()
        with self.assertRaisesRegex(ValueError, "the model is closed"):
            whole.add(self.model, self.dense, self.ids)
        whole.close()
        with self.assertRaisesRegex(ValueError, "the accumulator is closed"):
            whole.experts()
        with self.assertRaises(home.HomeError):
            parts[0].add(home.Model.create({"dense": 3, "tasks": [{"name": "a"}], "layers": [{"width": 4}] * 2}),
                         self.dense)


@unittest.skipUnless(hasattr(os, "fork"), "there is no fork")
class ForkTest(Fixture):
    """What a child process may do with the objects of its parent, whose other threads it does not have."""

    def in_child(self, function):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                function()
                status = 0
            finally:
                os._exit(status)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                self.assertEqual(status, 0)
                return
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.fail("the child hangs")

    def while_a_thread(self, does):
        """Runs a function again and again in another thread until the test ends."""
        stop = threading.Event()

        def repeat():
            while not stop.is_set():
                does()

        thread = threading.Thread(target=repeat)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)

    def while_changed(self, owner):
        """Another thread stays in a change of the owner until the test ends."""
        begun, end = threading.Event(), threading.Event()

        def change():
            owner._exclusive(lambda handle: (begun.set(), end.wait()))

        thread = threading.Thread(target=change)
        thread.start()
        begun.wait()
        self.addCleanup(thread.join)
        self.addCleanup(end.set)

    def test_a_thread_predicts(self):
        model = self.model.freeze()
        model.set_threads(2)
        expected = model.predict(self.dense, self.ids)
        self.while_a_thread(lambda: model.predict(self.dense * 20, {k: v * 20 for k, v in self.ids.items()}))

        def everything():
            self.assertEqual(model.predict(self.dense, self.ids), expected)
            model.set_threads(2)
            with model:
                self.assertEqual(model.predict(self.dense, self.ids), expected)

        for _ in range(10):
            for use in (everything, model.close, lambda: model.set_threads(1), gc.collect,
                        lambda: ThreadPoolExecutor(1).submit(model.close).result()):
                self.in_child(use)

    def test_a_thread_trains(self):
        self.while_a_thread(lambda: self.model.train_step(self.dense, self.ids, labels=self.labels))

        def use():
            for call in (lambda: self.model.predict(self.dense, self.ids), lambda: self.model.set_threads(2)):
                try:
                    call()
                except ValueError as error:
                    self.assertIn("another thread was changing the model", str(error))
            self.model.close()

        for _ in range(20):
            self.in_child(use)

    def test_what_a_thread_was_changing_is_closed_in_the_child(self):
        for owner, use in ((home.Model.create(CONFIG), lambda model: model.predict(self.dense, self.ids)),
                           (home.Metrics(["a"]), lambda metrics: metrics.result()),
                           (home.Health(self.model), lambda health: health.rows)):
            self.while_changed(owner)

            def child():
                for _ in range(2):
                    with self.assertRaisesRegex(ValueError, "another thread was changing the .* forked"):
                        use(owner)
                    owner.close()
                with self.assertRaises(ValueError), owner:
                    use(owner)

            self.in_child(child)

    def test_a_thread_waits_to_change(self):
        """A writer that has not begun has left the model whole."""
        begun, end = threading.Event(), threading.Event()
        threads = [threading.Thread(target=lambda: self.model._shared(lambda _: (begun.set(), end.wait()))),
                   threading.Thread(target=lambda: self.model.set_threads(2))]
        threads[0].start()
        begun.wait()
        threads[1].start()
        while not self.model._access._wanted:
            time.sleep(0.001)

        def child():
            self.assertEqual(self.model.predict(self.dense, self.ids), self.expected)
            self.model.train_step(self.dense, self.ids, labels=self.labels)
            self.model.close()

        try:
            self.in_child(child)
        finally:
            end.set()
            for thread in threads:
                thread.join()

    def test_a_thread_merges(self):
        a, b = home.Metrics(["a"]), home.Metrics(["a"])
        with home._merging:
            def child():
                home.Metrics(["a"]).merge(home.Metrics(["a"]))

            with ThreadPoolExecutor(1) as thread:
                thread.submit(self.in_child, child).result()
        a.merge(b)


@unittest.skipUnless(hasattr(signal, "setitimer"), "there is no timer")
class SignalTest(Fixture):
    """Exceptions from signal handlers, and handlers that use what they interrupted."""

    def setUp(self):
        super().setUp()
        self.addCleanup(signal.signal, signal.SIGALRM, signal.getsignal(signal.SIGALRM))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)

    def test_an_interrupt_leaves_no_lock(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, interrupt)
        small = home.Model.create({"dense": 1, "tasks": [{"name": "a"}], "layers": [{"width": 1}],
                                   "preset": "shared-bottom"})
        metrics = home.Metrics(["a"])
        calls = (lambda: small.predict([[0.5]]), lambda: small.train_step([[0.5]], labels=[[1.0]]),
                 lambda: small.step_count, lambda: small.set_learning_rate(0.1),
                 lambda: metrics.add([[0.5]], [[1.0]]), lambda: metrics.result())
        seed = random.Random(1)
        interrupted = 0
        with ThreadPoolExecutor(2) as others:
            for trial in range(600):
                call = calls[trial % len(calls)]
                if trial % 50 < 25:
                    others.submit(small.predict, [[0.5]])
                try:
                    signal.setitimer(signal.ITIMER_REAL, seed.uniform(2e-5, 8e-4))
                    while True:
                        call()
                except KeyboardInterrupt:
                    interrupted += 1
                if trial % 20 == 0:
                    others.submit(small.set_learning_rate, 0.1).result(timeout=20)
            self.assertEqual(interrupted, 600)
            for last in (lambda: small.train_step([[0.5]], labels=[[1.0]]), lambda: small.predict([[0.5]]),
                         metrics.result, small.close, metrics.close):
                others.submit(last).result(timeout=20)

    def test_a_waiting_writer_is_interrupted(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, interrupt)
        begun, end = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: self.model._shared(lambda _: (begun.set(), end.wait())))
        thread.start()
        begun.wait()
        try:
            for call in (self.model.close, lambda: self.model.set_threads(2)):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with self.assertRaises(KeyboardInterrupt):
                    call()
                self.assertEqual(self.model.predict(self.dense, self.ids), self.expected)
        finally:
            end.set()
            thread.join()
        self.model.train_step(self.dense, self.ids, labels=self.labels)

    def test_a_handler_may_read_and_close_what_it_interrupted(self):
        for guarded in (home.Model._shared, home.Model._exclusive):
            model = home.Model.create(CONFIG)

            def handler(handle):
                self.assertEqual(model.predict(self.dense, self.ids), self.expected)
                for change in (lambda: model.set_threads(2), lambda: model.load_weights("x"),
                               lambda: model.train_step(self.dense, self.ids, labels=self.labels)):
                    with self.assertRaisesRegex(home.HomeError, "signal handler") as caught:
                        change()
                    self.assertEqual(caught.exception.status, home.E_STATE)
                model.close()
                with self.assertRaisesRegex(ValueError, "closed"):
                    model.predict(self.dense, self.ids)
                self.assertEqual(home._library.home_model_dense_width(handle), 3)  # not freed yet

            guarded(model, handler)
            release = model._release
            self.assertTrue(release.alive)
            model.close()
            self.assertFalse(release.alive)



@unittest.skipUnless(numpy, "NumPy is not installed")
class NumPyTest(Fixture):
    def setUp(self):
        super().setUp()
        self.array = numpy.array(self.dense, numpy.float32)
        self.array_ids = dict(self.ids, user=numpy.array(self.ids["user"], numpy.uint64))

    def assert_same(self, predictions):
        self.assertEqual(predictions.dtype, numpy.float32)
        self.assertEqual(predictions.tolist(), self.expected)

    def test_arrays(self):
        self.assert_same(self.model.predict(self.array, self.array_ids))

    def test_rows_with_a_stride_are_not_copied(self):
        wide = numpy.full((64, 10), numpy.nan, numpy.float32)
        wide[:, 2:5] = self.array
        memory = home._memory("dense", wide[:, 2:5], "f", (None, 3))
        self.assertEqual((memory.address, memory.stride), (wide.ctypes.data + 8, 10))
        self.assert_same(self.model.predict(wide[:, 2:5], self.array_ids))

    def test_other_layouts_are_copied(self):
        for other in (numpy.asfortranarray(self.array), self.array.astype(">f4"), self.array.astype(float),
                      numpy.repeat(self.array, 2, axis=1)[:, ::2], self.array[::-1][::-1]):
            self.assert_same(self.model.predict(other, self.array_ids))
            # By NumPy, not number by number, which takes ten times as long and more.
            self.assertIsInstance(home._memory("dense", other, "f", (None, 3)).owner, numpy.ndarray)
        objects = dict(self.ids, user=self.array_ids["user"].astype(object))
        self.assert_same(self.model.predict(self.array, objects))
        small = dict(self.ids, user=numpy.arange(64))
        expected = self.model.predict(self.dense, dict(self.ids, user=list(range(64))))
        for kind in (numpy.int64, numpy.int32, numpy.uint8):
            small["user"] = numpy.arange(64).astype(kind)
            self.assertEqual(self.model.predict(self.array, small).tolist(), expected)

    def test_arrays_of_ids_make_arrays(self):
        config = {key: value for key, value in CONFIG.items() if key != "dense"}
        ragged = home.Ragged(numpy.arange(64), range(65))
        for model, dense in ((self.model, self.dense), (home.Model.create(config), None)):
            for name, array in (("user", numpy.arange(64)), ("liked", ragged)):
                lists = model.predict(dense, dict(self.ids, **{name: list(range(64))}))
                self.assertEqual(model.predict(dense, dict(self.ids, **{name: array})).tolist(), lists)

    def test_ids_in_two_dimensions(self):
        pairs = numpy.arange(128).reshape(64, 2)
        lists = self.model.predict(self.array, dict(self.ids, liked=pairs.tolist()))
        arrays = self.model.predict(self.array, dict(self.ids, liked=pairs))
        self.assertEqual(arrays.tolist(), lists.tolist())

    def test_no_rows(self):
        ids = dict.fromkeys(self.ids, numpy.array([]))
        self.assertEqual(self.model.predict(self.array[:0], ids).shape, (0, 3))

    def test_arrays_of_weights(self):
        ids = numpy.arange(128, dtype=numpy.uint64).reshape(64, 2)
        weights = numpy.linspace(0, 2, 128).reshape(64, 2)  # of float64
        lists = dict(self.ids, liked=home.Weighted(ids.tolist(), weights.tolist()))
        expected = self.model.predict(self.dense, lists)
        for given in (home.Weighted(ids, weights), home.Weighted(ids, weights.astype(numpy.float32)),
                      home.Weighted(home.Ragged(ids.reshape(-1), numpy.arange(0, 129, 2)), weights.reshape(-1)),
                      home.Weighted(ids, weights.tolist())):
            self.assertEqual(numpy.asarray(self.model.predict(self.dense, dict(self.ids, liked=given))).tolist(),
                             expected)
        with self.assertRaisesRegex(ValueError, "127 for 128 ids"):
            self.model.predict(self.dense, dict(self.ids, liked=home.Weighted(ids, weights.reshape(-1)[1:])))

    def test_wrong_arrays_are_named(self):
        users = numpy.arange(64)
        for dense, user, text in (
            (self.array, -users, 'field "user": -63 at position 63, expected an integer from 0'),
            (self.array, users + 0.5, 'field "user" is an array of float64, expected one of uint64'),
            (self.array, users[1:], 'field "user" has the shape (63,), expected (64,)'),
            (self.array, numpy.array(1), 'field "user"'),
            (self.array[0], users, "dense has the shape (3,), expected (any, 3)"),
            (self.array.astype(complex), users, "dense is an array of complex128, expected one of float32"),
        ):
            with self.assertRaisesRegex(ValueError, re.escape(text)):
                self.model.predict(dense, dict(self.ids, user=user))

    def test_tensors_go_to_numpy_and_back(self):
        for values in (numpy.asarray(self.model.tensor("embeddings.user.weight")) + 1,
                       numpy.full((1000, 16), 2.0, numpy.float32)[:, ::2]):
            self.model.set_tensor("embeddings.user.weight", values)
            self.assertEqual(self.model.tensor("embeddings.user.weight").tolist(), values.tolist())

    def test_ragged_arrays(self):
        lists = self.ids["liked"]
        flat = numpy.array([i for row in lists for i in row], numpy.uint64)
        for kind in (numpy.uint64, numpy.int64):
            offsets = numpy.cumsum([0] + [len(row) for row in lists]).astype(kind)
            ids = dict(self.array_ids, liked=home.Ragged(flat, offsets))
            self.assert_same(self.model.predict(self.array, ids))

    def test_labels_as_arrays(self):
        a = self.model.train_step(self.array, self.array_ids, labels=numpy.array(self.labels, numpy.float32))
        self.assertEqual(a, home.Model.create(CONFIG).train_step(self.dense, self.ids, labels=self.labels))

    def test_masked_labels_are_missing(self):
        values = numpy.array(self.labels, numpy.float32)
        mask = numpy.isnan(values)
        expected = home.Model.create(CONFIG).train_step(self.dense, self.ids, labels=self.labels)
        masked = numpy.ma.masked_array(numpy.where(mask, 1, values), mask)
        rows_of_masked = list(masked)
        elements = [[numpy.ma.masked if m else v for v, m in zip(*pair)] for pair in zip(self.labels, mask)]
        for labels in (masked, masked.astype(numpy.float64), masked.astype(numpy.int8), masked.astype(bool),
                       masked.astype(object), masked.copy(order="F"), rows_of_masked, elements,
                       numpy.ma.masked_invalid(values)):
            self.assertEqual(home.Model.create(CONFIG).train_step(self.dense, self.ids, labels=labels), expected)
            model = home.Model.create(CONFIG)
            model.forward(self.dense, self.ids)
            self.assertEqual(model.backward(labels), expected)
            metrics = home.Metrics(self.model.tasks)
            metrics.add(self.expected, labels)
            other = home.Metrics(self.model.tasks)
            other.add(self.expected, self.labels)
            self.assertEqual(str(metrics.result()), str(other.result()))

    def test_a_mask_elsewhere_is_an_error(self):
        def masked(values, position):
            values = numpy.ma.masked_array(values)
            values[position] = numpy.ma.masked
            return values

        model, labels = self.model, self.labels
        user = numpy.array(self.ids["user"], numpy.uint64)
        flat = numpy.arange(64)
        dense = masked(self.array, (3, 1))
        dense_list = self.array.tolist()
        dense_list[3][1] = numpy.ma.masked
        weights = masked(numpy.ones((64, 3)), (2, 2))
        nothing_masked = numpy.ma.masked_array(self.array, numpy.zeros((64, 3), bool))
        self.assert_same(model.predict(nothing_masked, dict(self.ids, user=numpy.ma.masked_array(user))))
        model.forward(self.dense, self.ids)
        for call, text in (
            (lambda: model.predict(dense, self.ids), "dense is masked at position 3, 1, expected a value"),
            (lambda: model.predict(numpy.ma.masked, self.ids), "dense is masked at position 0, expected a value"),
            (lambda: model.predict(list(dense), self.ids), "dense, row 3 is masked at position 1"),
            (lambda: model.predict(dense_list, self.ids), "dense, row 3 is masked at position 1"),
            (lambda: model.train_step(dense, self.ids, labels=labels), "dense is masked at position 3, 1"),
            (lambda: model.forward(dense, self.ids), "dense is masked"),
            (lambda: home.Health(model).add(model, dense, self.ids), "dense is masked"),
            (lambda: model.predict(self.dense, dict(self.ids, user=masked(user, 5))),
             'field "user" is masked at position 5'),
            (lambda: model.predict(self.dense, dict(self.ids, user=list(masked(user, 5)))),
             'field "user" is masked at position 5'),
            (lambda: model.predict(self.dense, dict(self.ids, liked=masked(numpy.ones((64, 2), int), (1, 1)))),
             'field "liked" is masked at position 1, 1'),
            (lambda: model.predict(self.dense, dict(self.ids, liked=home.Ragged(masked(flat, 1), range(65)))),
             'field "liked" is masked at position 1'),
            (lambda: model.predict(self.dense, dict(self.ids, liked=home.Ragged(flat, masked(numpy.arange(65), 7)))),
             'offsets of field "liked" is masked at position 7'),
            (lambda: model.train_step(self.dense, self.ids, labels=labels, weights=weights),
             "weights is masked at position 2, 2"),
            (lambda: model.train_step(self.dense, self.ids, labels=labels, row_weights=masked(numpy.ones(64), 0)),
             "row_weights is masked at position 0"),
            (lambda: model.backward_from(weights), "dlogits is masked at position 2, 2"),
            (lambda: model.set_tensor("embeddings.user.weight", masked(numpy.ones((1000, 8)), (9, 0))),
             'tensor "embeddings.user.weight" is masked at position 9, 0'),
            (lambda: home.Metrics(model.tasks).add(masked(numpy.ones((64, 3)), (0, 0)), labels),
             "predictions is masked at position 0, 0"),
            (lambda: home.Metrics(model.tasks).add(self.expected, labels, masked(flat, 4)),
             "users is masked at position 4"),
        ):
            with self.assertRaisesRegex(ValueError, re.escape(text)):
                call()

    def test_views_of_all_kinds(self):
        """Every layout of the same values gives the same predictions, and reads nothing beside them."""
        def layouts(values, filler):
            wide = numpy.full((len(values) * 2, *(2 * n for n in values.shape[1:])), filler, values.dtype)
            steps = wide[tuple(slice(1, None, 2) for _ in values.shape)]
            steps[...] = values
            yield steps
            backwards = values[::-1].copy()[::-1]
            yield backwards
            read_only = values.copy()
            read_only.flags.writeable = False
            yield read_only
            yield values.astype(values.dtype.newbyteorder())
            yield numpy.asfortranarray(values)
            yield values.T.copy().T
            odd = numpy.zeros(values.nbytes + 1, numpy.uint8)[1:].view(values.dtype).reshape(values.shape)
            odd[...] = values
            yield odd
            fields = numpy.zeros(values.shape, [("tag", numpy.uint8), ("value", values.dtype)])
            fields["value"] = values
            yield fields["value"]

        user = self.array_ids["user"]
        flat = numpy.array([i for row in self.ids["liked"] for i in row], numpy.uint64)
        offsets = numpy.cumsum([0] + [len(row) for row in self.ids["liked"]]).astype(numpy.uint64)
        for array in layouts(self.array, numpy.nan):
            self.assert_same(self.model.predict(array, self.array_ids))
        for array in layouts(user, 2**64 - 1):
            self.assert_same(self.model.predict(self.array, dict(self.ids, user=array)))
        for ids, begins in itertools.product(layouts(flat, 2**64 - 1), layouts(offsets, 2**64 - 1)):
            liked = home.Ragged(ids, begins)
            self.assert_same(self.model.predict(self.array, dict(self.ids, liked=liked)))
        labels = numpy.array(self.labels, numpy.float32)
        losses = home.Model.create(CONFIG).train_step(self.dense, self.ids, labels=self.labels)
        for array in layouts(labels, -1):
            self.assertEqual(home.Model.create(CONFIG).train_step(self.dense, self.ids, labels=array), losses)
        weights = numpy.linspace(0, 1, 64 * 3, dtype=numpy.float32).reshape(64, 3)
        losses = home.Model.create(CONFIG).train_step(self.dense, self.ids, labels=self.labels, weights=weights,
                                                      row_weights=weights[:, 0].copy())
        for array in layouts(weights, numpy.nan):
            self.assertEqual(home.Model.create(CONFIG).train_step(
                self.dense, self.ids, labels=self.labels, weights=array, row_weights=array[:, 0]), losses)
        values = numpy.linspace(-1, 1, 8000, dtype=numpy.float32).reshape(1000, 8)
        for array in layouts(values, numpy.nan):
            self.model.set_tensor("embeddings.user.weight", array)
            self.assertEqual(self.model.tensor("embeddings.user.weight").tolist(), values.tolist())
        self.model.forward(self.dense, self.ids)
        self.model.backward(self.labels)
        name = next(name for name, shape in self.model.tensors.items()
                    if len(shape) == 2 and not name.startswith("embeddings."))
        values = numpy.arange(math.prod(self.model.tensors[name]), dtype=numpy.float32)
        values = values.reshape(self.model.tensors[name])
        for array in layouts(values, numpy.nan):
            self.model.set_gradient(name, array)
            self.assertEqual(self.model.gradient(name).tolist(), values.tolist())
        broadcast = numpy.broadcast_to(self.array[:1], (64, 3))
        self.assertEqual(self.model.predict(broadcast, self.ids).tolist(),
                         self.model.predict(broadcast.tolist(), self.ids))

    def test_scalars_are_no_rows(self):
        for dense, ids, text in (
            (numpy.float32(1), self.ids, "dense has the shape (), expected (any, 3)"),
            (numpy.array(1.0), self.ids, "dense has the shape (), expected (any, 3)"),
            (numpy.array(None), self.ids, "dense is None, expected a sequence"),
            (self.array, dict(self.ids, user=numpy.uint64(1)), 'field "user"'),
            (self.array, dict(self.ids, user=numpy.array(1, object)), 'field "user"'),
            (self.array, dict(self.ids, liked=home.Ragged(numpy.array(1), range(65))), 'field "liked"'),
            (self.array, dict(self.ids, liked=home.Ragged([1], numpy.array(1))), 'offsets of field "liked"'),
            (self.array, dict(self.ids, user=self.array_ids["user"].astype("M8[s]")), 'field "user" is an array of'),
            (self.array.astype("S8"), self.ids, "dense is an array of"),
        ):
            with self.assertRaisesRegex(ValueError, re.escape(text)):
                self.model.predict(dense, ids)

    def test_pandas(self):
        try:
            import pandas
        except ImportError:
            self.skipTest("pandas is not installed")
        frame = pandas.DataFrame(self.array, columns=list("abc"), index=range(64, 0, -1))
        mixed = frame.astype({"a": float, "b": "Float32"})
        ids = pandas.DataFrame({"user": self.array_ids["user"], "liked": self.ids["liked"],
                                "watched": self.ids["watched"]})
        for dense in (frame, mixed, frame.to_numpy()):
            self.assert_same(self.model.predict(dense, ids))
        labels = pandas.DataFrame(self.labels, dtype="Float64")
        self.assertTrue(labels.isna().any().any())
        self.assertEqual(self.model.train_step(frame, ids, labels=labels),
                         home.Model.create(CONFIG).train_step(self.dense, self.ids, labels=self.labels))
        frame["b"] = frame["b"].astype("Float32")
        frame.iloc[3, 1] = pandas.NA
        with self.assertRaisesRegex(ValueError, "dense, row 3: <NA> at position 1"):
            self.model.predict(frame, ids)

    def test_parts_of_training_with_arrays(self):
        predictions = self.model.forward(self.array, self.array_ids)
        self.assertEqual((predictions.dtype, predictions.shape), (numpy.float32, (64, 3)))
        self.model.backward_from(numpy.asfortranarray(predictions))
        table = self.model.table_gradient("user")
        self.model.set_table_gradient("user", numpy.asarray(table.gradient)[:, ::-1])
        reversed_ = numpy.asarray(self.model.table_gradient("user").gradient)[:, ::-1]
        self.assertEqual(reversed_.tolist(), table.gradient.tolist())
        self.assertEqual(numpy.asarray(self.model.input_gradient()).shape, (64, 3))



if __name__ == "__main__":
    unittest.main()
