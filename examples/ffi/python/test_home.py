"""Tests of home.py: python3 -m unittest test_home, in this folder. NumPy is tested where it is installed."""

import gc
import json
import pathlib
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
        self.assertEqual(self.model.fields, ["user", "liked", "watched"])
        self.assertEqual(self.model.tasks, ["like", "follow", "finish"])
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
        with self.assertRaises(home.HomeError):  # the library's own check
            predict(liked=home.Ragged([1, 2], [0] * 32 + [2] + [1] * 32))()
        self.assertEqual(self.model.predict(self.dense, self.ids), self.expected)

    def test_a_closed_model_refuses(self):
        self.model.close()
        self.model.close()
        for call in (lambda: self.model.predict(self.dense, self.ids), self.model.freeze,
                     lambda: self.model.save("x"), lambda: self.model.config):
            with self.assertRaisesRegex(ValueError, "closed"):
                call()

    def test_a_forgotten_model_is_freed(self):
        model = home.Model.create(CONFIG)
        release = model._release
        del model
        gc.collect()
        self.assertFalse(release.alive)

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
        memory = home._memory(wide[:, 2:5], "f", 2)
        self.assertEqual((memory.address, memory.stride), (wide.ctypes.data + 8, 10))
        self.assert_same(self.model.predict(wide[:, 2:5], self.array_ids))

    def test_other_layouts_are_copied(self):
        for other in (numpy.asfortranarray(self.array), self.array.astype(">f4"), self.array.astype(float),
                      numpy.repeat(self.array, 2, axis=1)[:, ::2], self.array[::-1][::-1]):
            self.assert_same(self.model.predict(other, self.array_ids))
        signed = dict(self.ids, user=self.array_ids["user"].astype(object))
        self.assert_same(self.model.predict(self.array, signed))

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
