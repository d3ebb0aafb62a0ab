"""Compares the event files of a killed training with those of an undisturbed one; see tensorboard.sh."""

import argparse
import atexit
import collections
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import tbparse
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# Measured times differ between two trainings; their steps do not.
TIMED = ("speed/",)


def step_value_lists(points):
    """Tag to a list of (step, value); NaN equals itself."""
    lists = collections.defaultdict(list)
    for tag, step, value in points:
        lists[tag].append((int(step), 0.0 if tag.startswith(TIMED) else repr(float(value))))
    return dict(lists)


def by_python(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    return step_value_lists((tag, event.step, event.value) for tag in tags for event in events.Scalars(tag))


def by_tbparse(folder):
    table = tbparse.SummaryReader(str(folder)).scalars
    return step_value_lists(table[["tag", "step", "value"]].itertuples(index=False))


class Board:
    """A running `tensorboard`; the fast reader is its data server, which is written in Rust."""

    def __init__(self, folder, fast):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(self.port)]
        command += [f"--load_fast={str(fast).lower()}", "--reload_interval=1", "--samples_per_plugin=scalars=1000000"]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        # Also when the script gives up.
        atexit.register(self.close)

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def runs(self):
        return self.get("/data/plugin/scalars/tags")

    def read(self, run):
        points = []
        for tag in self.runs().get(run, {}):
            for _, step, value in self.get("/data/plugin/scalars/scalars", run=run, tag=tag):
                points.append((tag, step, value if value is not None else float("nan")))
        return step_value_lists(points)

    def settled(self, run, expected):
        """Reads until nothing changes or the expectation is met."""
        last = None
        for _ in range(30):
            try:
                last = self.read(run)
                if last == expected:
                    break
            except OSError:
                pass
            time.sleep(1)
        return last

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()


class State:
    def __init__(self, stepwell, path):
        self.path = path
        self.command = [stepwell, "--state-dir", str(path), "--export-dir", str(path / "exports")]

    def start(self, *arguments):
        environment = {**os.environ, "STEPWELL_CRASH_LOOP_LIMIT": "0"}
        log = open(f"{self.path}.log", "ab")
        return subprocess.Popen([*self.command, *arguments], stdout=log, stderr=log, start_new_session=True, env=environment)

    def run(self, *arguments):
        code = self.start(*arguments).wait()
        if code != 0:
            sys.exit(f"{arguments}: exit code {code}; see {self.path}.log\n" + pathlib.Path(f"{self.path}.log").read_text()[-2000:])

    def folders(self):
        files = (self.path / "tensorboard").rglob("*tfevents*")
        return {file.parent for file in files if file.parent.name != "samples"}

    def folder(self, run):
        [folder] = [folder for folder in self.folders() if folder.parent.name.startswith(run + "-")]
        return folder

    def rows(self, run):
        answer = subprocess.run([*self.command, "metrics", run, "--json"], check=True, capture_output=True).stdout
        return json.loads(answer)["series"][0]["rows"]


def disturb(state, arguments, kills, rng, live):
    """Kills the run at random moments, damages files between two starts, and lets it end."""
    process = state.start("run", *arguments)
    for kill in range(kills):
        deadline = time.time() + rng.uniform(1.0, 4.0)
        while time.time() < deadline and process.poll() is None:
            time.sleep(0.05)
        if process.poll() is not None:
            print(f"the run ended before kill {kill + 1}")
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        files = sorted((state.path / "tensorboard").rglob("*tfevents*"))
        damage = "nothing"
        if files and kill == 1:
            damage = "a torn record"
            with open(files[-1], "ab") as file:
                file.write(b"\x58\0\0\0\0\0\0\0torn")
        elif files and kill == 3:
            damage = "a lost file"
            files[-1].unlink()
        print(f"kill {kill + 1}: {len(files)} files, then {damage}")
        if live is None:
            live = Board(state.path / "tensorboard", True)
        process = state.start("resume", "last")
    if process.wait() != 0:
        sys.exit(f"the run failed: see {state.path}.log")
    return live


def with_validation(stepwell):
    """The workflow `smoke`, whose training also validates and writes texts."""
    text = subprocess.run([stepwell, "workflow", "show", "smoke", "--source"], check=True, capture_output=True, text=True).stdout
    last = 'checkpoint_every = "{{ params.checkpoint_every }}"\n'
    more = 'validation = "{{ steps.tokenize_validation.outputs.tokens }}"\nvalidation_every = 20\nsample_every = 50\nlayer_stats_every = 10\n'
    return text.replace(last, last + more, 1)


def texts(folder):
    """Tag to a list of (step, text)."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    tags = events.Tags()["tensors"]
    return {tag: [(event.step, event.tensor_proto.string_val[0].decode()) for event in events.Tensors(tag)] for tag in tags}


def compare(what, found, expected):
    if found == expected:
        print(f"ok      {what}: {len(found)} tags, {sum(map(len, found.values()))} points")
        return True
    print(f"DIFFERS {what}")
    for tag in sorted(set(found or {}) | set(expected)):
        ours, theirs = (found or {}).get(tag, []), expected.get(tag, [])
        if ours != theirs:
            different = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
            print(f"  {tag}: {len(ours)} points, expected {len(theirs)}; first difference {ours[different:different + 2]}"
                  f" and {theirs[different:different + 2]}")
    return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stepwell", required=True)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        workflow = pathlib.Path(folder) / "w.toml"
        workflow.write_text(with_validation(options.stepwell))
        arguments = [str(workflow), "--name", "base", "-S", f"steps={options.steps}", "-S", "checkpoint_every=25"]
        whole, killed = State(options.stepwell, pathlib.Path(folder) / "whole"), State(options.stepwell, pathlib.Path(folder) / "killed")
        whole.run("run", *arguments)
        live = disturb(killed, arguments, options.kills, rng, None)
        # One of the two checkpoints that are still there.
        fork = options.steps - 25
        for state in (whole, killed):
            state.run("fork", "base", "--at", f"train:{fork}", "--name", "half", "-S", "learning_rate=1e-3")
        good = True
        for run in ("base", "half"):
            expected = by_python(whole.folder(run))
            own = [(row["train_step"], repr(float(f"{row['loss']:.9g}"))) for row in whole.rows(run)]
            steps = [step for step, _ in expected["train/loss"]]
            good &= compare(f"{run}: steps in the database", {"train/loss": steps}, {"train/loss": [step for step, _ in own]})
            place = killed.folder(run)
            name = str(place.relative_to(killed.path / "tensorboard"))
            good &= compare(f"{run}: Python reader", by_python(place), expected)
            good &= compare(f"{run}: tbparse", by_tbparse(place), expected)
            good &= compare(f"{run}: fast reader that ran all the time", live.settled(name, expected), expected)
            good &= compare(f"{run}: texts", texts(place / "samples"), texts(whole.folder(run) / "samples"))
            for fast in (True, False):
                board = Board(killed.path / "tensorboard", fast)
                good &= compare(f"{run}: tensorboard --load_fast={str(fast).lower()}", board.settled(name, expected), expected)
                board.close()
        live.close()
        sys.exit(0 if good else 1)


main()
