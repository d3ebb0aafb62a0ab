"""A stand-in for the engine's side of the protocol."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "src"
sys.path.insert(0, str(SOURCE))


class Engine:
    """Takes announced checkpoints, as the worker does: `next` becomes `last`, then the marker goes."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.box, self.output = self.root / "checkpoint", self.root / "output"
        self.markers = []
        self._is_paused = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        for folder in (self.box, self.output):
            folder.mkdir(parents=True)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def variables(self):
        return {
            "STEPWELL_CHECKPOINT_DIR": str(self.box),
            "STEPWELL_OUTPUT_DIR": str(self.output),
            "STEPWELL_VALUES": str(self.root / "values.json"),
            "STEPWELL_PROGRESS": str(self.root / "progress"),
            "STEPWELL_METRICS": str(self.root / "metrics"),
            "STEPWELL_PROJECT_DIR": str(self.root),
            "STEPWELL_ATTEMPT": "1",
        }

    def take(self):
        """Commits the announced checkpoint, if any."""
        ready = self.box / "next.ready"
        if not ready.exists():
            return
        self.markers.append(json.loads(ready.read_text()))
        last = self.box / "last"
        if last.exists():
            last.rename(self.root / f"old-{len(self.markers)}")
        (self.box / "next").rename(last)
        ready.unlink()

    def pause(self):
        """Stops looking for checkpoints; none is half taken then."""
        with self._lock:
            self._is_paused = True

    def resume(self):
        self._is_paused = False

    def rows(self):
        path = self.root / "metrics"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def close(self):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.wait(0.002):
            with self._lock:
                if not self._is_paused:
                    self.take()


class InsideTest(unittest.TestCase):
    """A test whose code runs as a step."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.engine = Engine(folder.name)
        self.addCleanup(self.engine.close)
        saved = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(saved)))
        os.environ.update(self.engine.variables())
        from stepwell import _metrics, _results

        _metrics._names.clear()
        _metrics._last_loss = None
        _results._values.clear()
        _results._last_progress = float("-inf")


def start(script, engine=None, **variables):
    """Starts Python code in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_")}
    environment.update(engine.variables() if engine else {}, PYTHONPATH=str(SOURCE), **variables)
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def eventually(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")
