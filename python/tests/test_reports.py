import json
import os
import pathlib
import resource
import tempfile
import unittest
import warnings
from unittest import mock

from engine import InsideTest, start

import stepwell


class Metrics(InsideTest):
    def test_a_row_per_call(self):
        stepwell.metrics(1, loss=2.5)
        stepwell.metrics(2.0, {"val/loss": 1, "loss": 2}, ok=True)
        self.assertEqual(self.engine.rows(), [{"step": 1, "loss": 2.5}, {"step": 2, "val/loss": 1.0, "loss": 2.0, "ok": 1.0}])

    def test_scalars_of_libraries(self):
        class Scalar:
            def __init__(self, value):
                self.value = value

            def item(self):
                if isinstance(self.value, list):
                    raise RuntimeError("a tensor with 2 elements cannot be converted to a scalar")
                return self.value

        stepwell.metrics(1, a=Scalar(0.1), b=Scalar(3))
        self.assertEqual(self.engine.rows(), [{"step": 1, "a": 0.1, "b": 3.0}])
        for value in (Scalar([1, 2]), "2.5", [1], {}, b"1"):
            with self.assertRaisesRegex(TypeError, "`loss` is "):
                stepwell.metrics(2, loss=value)
        self.assertEqual(len(self.engine.rows()), 1)

    def test_no_number_is_a_gap(self):
        stepwell.metrics(1, a=float("nan"), b=float("-inf"), c=None)
        self.assertEqual(self.engine.rows(), [{"step": 1, "a": None, "b": None, "c": None}])
        stepwell.metrics(2)
        self.assertEqual(len(self.engine.rows()), 1)

    def test_steps_are_whole(self):
        stepwell.metrics(5, a=1)
        stepwell.metrics(3, a=1)
        self.assertEqual([row["step"] for row in self.engine.rows()], [5, 3])
        for step in (-1, 1.5, 2**54, "1", None, float("nan")):
            with self.assertRaisesRegex((TypeError, ValueError), "the step is"):
                stepwell.metrics(step, a=1)

    def test_names_fit_the_limits_of_the_engine(self):
        long = "é" * 40
        names = [long, long + "2", "a\x1b[2J\u202eb", " padded ", "step", "train_step", ""]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                stepwell.metrics(1, {name: 1 for name in names})
        self.assertEqual(len(caught), len(names), "one warning for each name")
        rows = self.engine.rows()
        self.assertEqual(rows[0], rows[1])
        self.assertEqual(len(rows[0]), len(names) + 1)
        for name in rows[0]:
            self.assertLessEqual(len(name.encode()), 64)
            self.assertEqual(name.strip(), name)
        self.assertIn("a_[2J_b", rows[0])
        self.assertIn("padded", rows[0])

    def test_more_names_than_the_engine_takes_are_left_out(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for number in range(105):
                stepwell.metrics(number, {f"n{number}": 1, "loss": 2})
        self.assertEqual(len(caught), 6)
        self.assertEqual(len({name for row in self.engine.rows() for name in row}), 101)
        self.assertEqual(len(self.engine.rows()), 105)

    def test_a_full_disk_leaves_no_half_line(self):
        stepwell.metrics(1, a=1)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((self.engine.root / "metrics").stat().st_size + 5, hard))
        try:
            with self.assertRaises(OSError):
                stepwell.metrics(2, a=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        stepwell.metrics(3, a=1)
        self.assertEqual([row["step"] for row in self.engine.rows()], [1, 3])


class Results(InsideTest):
    def progress(self):
        return (self.engine.root / "progress").read_text()

    def test_progress(self):
        stepwell.progress(0, 10)
        self.assertEqual(self.progress(), "0 10 steps\n")
        stepwell.progress(1, 10)
        self.assertEqual(self.progress(), "0 10 steps\n", "the engine looks ten times a second")
        stepwell.progress(10, 10, "evaluates\nnow", unit="two words")
        self.assertEqual(self.progress(), "10 10 two_words evaluates now\n")
        stepwell.progress(-1, 0, unit="")
        self.assertEqual(self.progress(), "0 0 units\n")

    def test_values_are_collected(self):
        class Array:
            def tolist(self):
                return [1, float("nan")]

        stepwell.values(loss=0.5)
        stepwell.values({"nested": {1: (1, "a")}}, array=Array(), path=pathlib.Path("a/b"), bad=float("inf"), yes=True)
        self.assertEqual(
            json.loads((self.engine.root / "values.json").read_text()),
            {"loss": 0.5, "nested": {"1": [1, "a"]}, "array": [1, None], "path": "a/b", "bad": None, "yes": True},
        )
        with self.assertRaisesRegex(TypeError, "`x.y` is object"):
            stepwell.values(x={"y": object()})
        with self.assertRaisesRegex(ValueError, "64 bits"):
            stepwell.values(x=2**64)
        stepwell.values(x=2**64 - 1)

    def test_artifacts(self):
        stepwell.artifact("models/a.bin").write_text("1")
        self.assertEqual((self.engine.output / "models" / "a.bin").read_text(), "1")
        source = self.engine.root / "made"
        source.mkdir()
        (source / "f").write_text("2")
        for _ in range(2):
            stepwell.artifact("folder", source)
        stepwell.artifact("file", source / "f")
        (source / "f").write_text("3")
        self.assertEqual((self.engine.output / "folder" / "f").read_text(), "2")
        self.assertEqual((self.engine.output / "file").read_text(), "2")
        for name in ("/etc/x", "../x", "a/../../x", ""):
            with self.assertRaisesRegex(ValueError, "relative name"):
                stepwell.artifact(name)
        with self.assertRaisesRegex(FileNotFoundError, "is not at"):
            stepwell.artifact("x", source / "missing")


ALL = """
import stepwell, sys
state = {"a": 1}
assert stepwell.checkpoint.last() is None or sys.argv[1:]
print(stepwell.inside(), stepwell.is_main(), stepwell.attempt(), stepwell.checkpoint.restore(state), stepwell.stop_requested())
stepwell.metrics(1, loss=1.0)
stepwell.progress(1, 2, "x")
stepwell.values(a=1)
stepwell.artifact("out/a").write_text("1")
stepwell.checkpoint.save(1, state)
stepwell.checkpoint.save(1, lambda folder: 1 / 0)
"""


class Elsewhere(InsideTest):
    def run_in(self, folder, engine=None, **variables):
        program = start(f"import os; os.chdir({folder!r})\n{ALL}", engine, **variables)
        out, errors = program.communicate(timeout=20)
        self.assertEqual(program.returncode, 0, errors)
        return out

    def test_outside_of_stepwell_nothing_happens(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.run_in(folder), "False True 1 0 False\n")
            self.assertEqual(sorted(path.name for path in pathlib.Path(folder).rglob("*")), ["a", "out"])

    def test_other_ranks_are_silent(self):
        before = sorted(os.listdir(self.engine.root))
        for variables in (
            {"RANK": "1", "WORLD_SIZE": "2"},
            {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"},
            {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"},
        ):
            with tempfile.TemporaryDirectory() as folder:
                self.assertEqual(self.run_in(folder, self.engine, **variables), "True False 1 0 False\n")
        self.assertEqual(sorted(os.listdir(self.engine.root)), before)
        self.assertEqual(os.listdir(self.engine.output), [])

    def test_a_job_of_one_process_reports(self):
        for variables in ({"RANK": "1"}, {"RANK": "1", "WORLD_SIZE": "1"}, {"RANK": "0", "WORLD_SIZE": "2"}, {"RANK": "x"}):
            with mock.patch.dict(os.environ, variables):
                self.assertTrue(stepwell.is_main(), variables)


if __name__ == "__main__":
    unittest.main()
