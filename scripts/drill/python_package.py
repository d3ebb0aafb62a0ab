"""Kills training scripts that use the Python package, and compares weights and curves with undisturbed runs.

Started by scripts/python_package.sh. Kills with SIGKILL, in turn, the engine and everything it has started, the program, and
the engine alone; then `stepwell resume` continues. After every third kill the engine gets a SIGTERM, upon which scripts save and end.
"""

import argparse
import hashlib
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples" / "python"


class Run:
    """One run in a state directory of its own."""

    def __init__(self, stepwell, state, workflow, arguments):
        self.stepwell, self.state, self.workflow, self.arguments = stepwell, state, workflow, arguments
        self.log = open(f"{state}.log", "ab")

    def start(self):
        resume = self.rows("SELECT id FROM run")
        command = ["resume", "last"] if resume else ["run", self.workflow, *self.arguments]
        return subprocess.Popen(
            [self.stepwell, "--state-dir", self.state, *command],
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def rows(self, query):
        try:
            database = sqlite3.connect(f"file:{self.state}/stepwell.db?mode=ro", uri=True)
            try:
                return database.execute(query).fetchall()
            finally:
                database.close()
        except sqlite3.Error:
            return []

    def succeeded(self):
        return self.rows("SELECT status FROM run") == [("succeeded",)]

    def programs(self):
        """Processes of this run's attempts, found by the mark in their environment."""
        marks = [f"STEPWELL_ATTEMPT_ID={run}/".encode() for (run,) in self.rows("SELECT id FROM run")]
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(variable.startswith(mark) for variable in variables for mark in marks):
                found.append(int(folder.name))
        return found

    def curve(self):
        printed = subprocess.run(
            [self.stepwell, "--state-dir", self.state, "metrics", "last", "--csv"], capture_output=True, text=True, check=True
        )
        # Without the columns for id and name of the run.
        return [line.split(",", 2)[2] for line in printed.stdout.splitlines()]

    def outputs(self):
        return self.rows("SELECT step, name, digest FROM step_output ORDER BY 1, 2")

    def attempts(self):
        return self.rows("SELECT count(*) FROM attempt")[0][0]

    def checkpoints(self):
        return self.rows("SELECT count(*) FROM event WHERE kind = 'checkpoint_committed'")[0][0]


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stepwell")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("workflow")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--expect", help="lines of the curve; a curve that is too short is no proof", type=int, default=20)
    args, arguments = parser.parse_known_args()
    draw = random.Random(args.seed)
    args.folder.mkdir(parents=True, exist_ok=True)
    os.environ["STEPWELL_CRASH_LOOP_LIMIT"] = "0"
    workflow = str(EXAMPLES / f"{args.workflow}.toml")

    whole = Run(args.stepwell, str(args.folder / f"{args.workflow}-whole"), workflow, arguments)
    started = time.monotonic()
    if whole.start().wait() != 0:
        sys.exit(f"the undisturbed run failed: {whole.log.name}")
    duration = time.monotonic() - started
    curve, outputs = whole.curve(), whole.outputs()
    if len(curve) < args.expect or not outputs:
        sys.exit(f"{len(curve)} lines of metrics and {len(outputs)} outputs")
    digest = hashlib.sha256("\n".join(curve).encode()).hexdigest()[:12]
    title = " ".join([args.workflow, *arguments])
    print(f"{title}: undisturbed {duration:.1f} s, {len(curve)} rows {digest}, {outputs[0][2][:12]}")

    turn, kills, rounds, failures = draw.randrange(4), 0, 0, 0
    while kills < args.kills:
        rounds += 1
        run = Run(args.stepwell, str(args.folder / f"{args.workflow}-{rounds}"), workflow, arguments)
        engine = run.start()
        while engine.poll() is None and kills < args.kills:
            # Later than a start takes on average, so that runs also get on.
            time.sleep(draw.uniform(0.3, 0.8 * duration))
            if engine.poll() is not None:
                break
            turn += 1
            how = ("everything", "program", "stop", "engine")[turn % 4]
            kills += how != "stop"
            programs = run.programs()
            if how == "stop":
                engine.terminate()
            else:
                kill({"everything": [engine.pid, *programs], "program": programs, "engine": [engine.pid]}[how])
            if how != "program" or not programs:
                engine.wait()
                engine = run.start()
        engine.wait()
        for _ in range(100):
            if run.succeeded():
                break
            run.start().wait()
        same = (run.curve() == curve, run.outputs() == outputs)
        print(f"  run {rounds}: {run.attempts()} attempts, curve {'equal' if same[0] else 'DIFFERS'}, weights {'equal' if same[1] else 'DIFFER'}")
        failures += same != (True, True)
    print(f"{title}: {kills} kills, {failures} differences (seed {args.seed})")
    sys.exit(failures != 0)


main()
