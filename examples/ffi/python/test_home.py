"""Tests of home.py: python3 -m unittest test_home, in this folder. NumPy is tested where it is installed."""

import copy
import gc
import json
import math
import pathlib
import pickle
import re
import subprocess
import sys
import tempfile
import threading
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


if __name__ == "__main__":
    unittest.main()
