import collections
import errno
import json
import os
import pathlib
import random
import signal
import tempfile
import threading
import unittest
from unittest import mock

from engine import InsideTest, eventually, start

import stepwell
from stepwell import _state, checkpoint


class Model:
    """Has its state in the manner of torch."""

    def __init__(self, weight):
        self.weight = weight

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state):
        self.weight = state["weight"]


class Saving(InsideTest):
    def test_a_dict_comes_back(self):
        self.assertIsNone(checkpoint.last())
        self.assertIsNone(checkpoint.folder())
        checkpoint.save(3, {"epoch": 1, "model": Model(0.1)}, loss=2.5, tokens=100, phase="main")
        found = checkpoint.last()
        self.assertEqual((found.step, found["epoch"], found["model"]), (3, 1, {"weight": 0.1}))
        self.assertIn("epoch", found)
        self.assertNotIn("other", found)
        self.assertEqual(self.engine.markers, [{"last_step": 3, "loss": 2.5, "tokens_so_far": 100, "phase": "main"}])

    def test_a_folder_is_taken_as_it_is(self):
        folder = self.engine.root / "mine"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "a").write_text("1")
        checkpoint.save(4, folder)
        self.assertEqual(checkpoint.last().step, 4)
        self.assertIsNone(checkpoint.last().state)
        self.assertEqual((pathlib.Path(checkpoint.folder()) / "deep" / "a").read_text(), "1")
        self.assertEqual(sorted(path.name for path in folder.rglob("*")), ["a", "deep"], "the folder itself is unchanged")
        with self.assertRaisesRegex(KeyError, "not saved from a dict"):
            checkpoint.last()["epoch"]
        with self.assertRaisesRegex(NotADirectoryError, "deep/a"):
            checkpoint.save(5, folder / "deep" / "a")

    def test_a_function_writes_into_a_folder(self):
        checkpoint.save(4, lambda folder: (folder / "a").write_text("1"))
        self.assertEqual((checkpoint.last().folder / "a").read_text(), "1")

    def test_restore_loads_objects_and_replaces_values(self):
        state = {"model": Model(1.0), "best": 7.0}
        self.assertEqual(checkpoint.restore(state), 0)
        checkpoint.save(9, state)
        model = Model(0.0)
        state = {"model": model, "best": None}
        self.assertEqual(checkpoint.restore(state), 9)
        self.assertEqual((model.weight, state["best"], state["model"]), (1.0, 7.0, model))
        with self.assertRaisesRegex(KeyError, "step 9 lacks 'scheduler'"):
            checkpoint.restore({"model": model, "scheduler": None})

    def test_random_numbers_continue(self):
        random.seed(5)
        random.gauss(0, 1)
        checkpoint.save(1, {})
        expected = [random.random(), random.gauss(0, 1)]
        random.seed(6)
        checkpoint.restore({})
        self.assertEqual([random.random(), random.gauss(0, 1)], expected)

    def test_steps_may_go_back(self):
        checkpoint.save(9, {"a": 1})
        checkpoint.save(2, {"a": 2})
        self.assertEqual((checkpoint.last().step, checkpoint.last()["a"]), (2, 2))

    def test_every_so_many_steps(self):
        for step in range(7):
            checkpoint.save(step, {}, every=3)
        self.assertEqual([marker["last_step"] for marker in self.engine.markers], [0, 3, 6])
        with self.assertRaisesRegex(ValueError, "at least 1"):
            checkpoint.save(1, {}, every=0)

    def test_the_loss_is_that_of_the_metrics(self):
        stepwell.metrics(1, loss=0.5)
        checkpoint.save(1, {})
        stepwell.metrics(2, loss=float("nan"))
        checkpoint.save(2, {}, loss=float("inf"))
        self.assertEqual(self.engine.markers, [{"last_step": 1, "loss": 0.5}, {"last_step": 2}])

    def test_wrong_arguments_are_named(self):
        for step in (-1, 1.5, "x", None, 2**54):
            with self.assertRaisesRegex((TypeError, ValueError), "the step is"):
                checkpoint.save(step, {})
        with self.assertRaisesRegex(TypeError, "the state is Model: give `save` a dict"):
            checkpoint.save(1, Model(1.0))
        self.assertIsNone(checkpoint.last())


class Protocol(InsideTest):
    def test_the_marker_appears_whole_and_after_the_folder(self):
        seen = []
        replace = os.replace

        def spy(source, target):
            if os.fspath(target).endswith("next.ready"):
                self.assertFalse(os.path.lexists(target), "the marker is written under another name first")
                seen.append((json.loads(pathlib.Path(source).read_text()), _state.read(self.engine.box / "next")))
            replace(source, target)

        with mock.patch("os.replace", spy):
            checkpoint.save(3, {"a": 1})
        self.assertEqual(seen, [({"last_step": 3}, {"a": 1})])

    def test_save_returns_when_the_checkpoint_is_durable(self):
        self.engine.pause()
        saving = threading.Thread(target=checkpoint.save, args=(1, {"a": 1}))
        saving.start()
        eventually((self.engine.box / "next.ready").exists)
        saving.join(0.1)
        self.assertTrue(saving.is_alive())
        self.engine.resume()
        saving.join(5)
        self.assertFalse(saving.is_alive())

    def test_without_waiting_the_next_save_waits(self):
        self.engine.pause()
        checkpoint.save(1, {"a": 1}, wait=False)
        saving = threading.Thread(target=checkpoint.save, args=(2, {"a": 2}))
        saving.start()
        saving.join(0.1)
        self.assertEqual(_state.read(self.engine.box / "next"), {"a": 1}, "an announced checkpoint is left alone")
        self.engine.resume()
        saving.join(5)
        self.assertEqual([marker["last_step"] for marker in self.engine.markers], [1, 2])

    def test_without_waiting_a_folder_is_copied(self):
        source = self.engine.root / "mine"
        source.mkdir()
        (source / "a").write_text("1")
        self.engine.pause()
        checkpoint.save(1, source, wait=False)
        with open(source / "a", "w") as file:
            file.write("torn")
        self.engine.resume()
        eventually(lambda: not (self.engine.box / "next.ready").exists())
        self.assertEqual((checkpoint.last().folder / "a").read_text(), "1")

    def test_a_failed_save_leaves_the_checkpoint_before(self):
        checkpoint.save(1, {"a": 1})
        full = OSError(errno.ENOSPC, "No space left on device")
        for name in ("pathlib.Path.write_text", "os.replace"):
            with mock.patch(name, side_effect=full), self.assertRaises(OSError):
                checkpoint.save(2, {"a": 2})
        with self.assertRaisesRegex(TypeError, r"`b\.1` is object"):
            checkpoint.save(2, {"b": [1, object()]})
        with self.assertRaises(ZeroDivisionError):
            checkpoint.save(2, lambda folder: 1 / 0)
        self.assertEqual(sorted(os.listdir(self.engine.box)), ["last"])
        self.assertEqual(checkpoint.last()["a"], 1)
        checkpoint.save(2, {"a": 2})
        self.assertEqual(checkpoint.last()["a"], 2)

    def test_a_torn_next_is_replaced(self):
        (self.engine.box / "next").mkdir()
        (self.engine.box / "next" / "torn").write_text("half")
        checkpoint.save(1, {"a": 1})
        self.assertFalse((checkpoint.last().folder / "torn").exists())

    def test_a_newer_checkpoint_is_refused(self):
        checkpoint.save(1, {})
        (self.engine.box / "last" / "stepwell.json").write_text('{"schema": 2}')
        with self.assertRaisesRegex(ValueError, "newer version"):
            checkpoint.last()


COUNT = """
import itertools, stepwell
state = {"n": 0}
stepwell.checkpoint.restore(state)
print("ready", flush=True)
for state["n"] in itertools.count(state["n"] + 1):
    stepwell.checkpoint.save(state["n"], state, every=1000)
"""


class Stopping(InsideTest):
    def test_sigterm_saves_and_ends(self):
        program = start(COUNT, self.engine)
        self.assertEqual(program.stdout.readline(), "ready\n")
        eventually(lambda: self.engine.markers)
        # The engine has stopped looking; it takes what is there at the end.
        self.engine.pause()
        program.terminate()
        _, errors = program.communicate(timeout=10)
        self.assertEqual(program.returncode, 143, errors)
        self.engine.take()
        self.assertEqual(self.engine.markers[-1]["last_step"], checkpoint.last()["n"])

    def test_kill_at_any_moment_leaves_a_whole_checkpoint(self):
        for attempt in range(5):
            program = start(COUNT, self.engine)
            program.stdout.readline()
            before = len(self.engine.markers)
            eventually(lambda: len(self.engine.markers) > before + attempt)
            program.kill()
            program.communicate()
            self.engine.pause()
            found = checkpoint.last()
            self.engine.resume()
            self.assertEqual(found.step, found["n"])

    def test_sigterm_ends_a_script_that_never_asks(self):
        program = start("import stepwell, time; stepwell.checkpoint.save(1, {}); print(1, flush=True); time.sleep(60)", self.engine)
        program.stdout.readline()
        program.terminate()
        program.communicate(timeout=10)
        self.assertEqual(program.returncode, -signal.SIGTERM)

    @unittest.skipUnless(hasattr(os, "fork"), "needs fork")
    def test_sigterm_ends_a_worker_that_was_forked(self):
        script = """
import os, signal, time, stepwell
stepwell.stop_requested()
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, b"1")
    time.sleep(60)
os.read(reader, 1)
os.kill(child, signal.SIGTERM)
print(os.WTERMSIG(os.waitpid(child, 0)[1]), stepwell.stop_requested())
"""
        out, errors = start(script, self.engine).communicate(timeout=10)
        self.assertEqual(out, f"{int(signal.SIGTERM)} False\n", errors)

    def test_a_handler_of_the_script_is_called_too(self):
        script = """
import os, signal, stepwell
signal.signal(signal.SIGTERM, lambda *_: print("mine"))
print(stepwell.stop_requested()); os.kill(os.getpid(), signal.SIGTERM); print(stepwell.stop_requested())
"""
        out, errors = start(script, self.engine).communicate(timeout=10)
        self.assertEqual(out, "False\nmine\nTrue\n", errors)


class States(unittest.TestCase):
    def test_plain_data_come_back_with_their_types(self):
        state = {
            "none": None,
            "numbers": [0, -(2**70), 1.5, 0.1 + 0.2, 5e-324, True, 1j],
            "text": "é\ud800\n",
            "tuple": (1, (2, "a")),
            "keys": {0: "a", "0": "b", (1, 2): {}, None: 3},
            "tag": {"!": "tuple", "of": [1]},
            "set": {1, 2},
            "bytes": b"\0\xff",
            "counter": collections.Counter({3: 2}),
            "python": random.getstate(),
        }
        with tempfile.TemporaryDirectory() as folder:
            _state.write(pathlib.Path(folder), state)
            found = _state.read(pathlib.Path(folder))
            self.assertEqual(os.listdir(folder), ["state.json"])
        self.assertEqual(found, state)
        self.assertEqual([type(value) for value in found.values()], [type(value) for value in state.values()])
        self.assertIs(type(found["numbers"][5]), bool)

    def test_not_a_number_comes_back(self):
        with tempfile.TemporaryDirectory() as folder:
            _state.write(pathlib.Path(folder), {"a": [float("nan"), float("inf"), -float("inf")]})
            self.assertEqual(str(_state.read(pathlib.Path(folder))), "{'a': [nan, inf, -inf]}")

    def test_what_is_no_data_is_refused_by_name(self):
        for value in (object(), print, Model, [threading.Lock()], {"a": ValueError()}):
            with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(TypeError, "the state `here"):
                _state.write(pathlib.Path(folder), {"here": value})

    def test_nothing_is_unpickled(self):
        sources = "".join(path.read_text() for path in pathlib.Path(stepwell.__file__).parent.rglob("*.py"))
        for word in ("import pickle", "torch.load", "allow_pickle", "eval("):
            self.assertNotIn(word, sources)


if __name__ == "__main__":
    unittest.main()
