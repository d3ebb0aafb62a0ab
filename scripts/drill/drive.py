"""Kills engine, worker and step with SIGKILL at random moments, and has every state directory judged.

    drive.py --kills 30 [--stepwell target/release/stepwell] [--seed 1]

Each run gets at most 15 kills, on a state directory of its own. Needs Linux's /proc. Exit 0: nothing
was lost, done twice or left behind.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
KILLS_PER_RUN = 15
UNITS, INTERVAL = 12, 3

parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=30)
parser.add_argument("--stepwell", default=str(HERE.parent.parent / "target" / "release" / "stepwell"))
parser.add_argument("--seed", type=int, default=int(time.time()))
arguments = parser.parse_args()
random.seed(arguments.seed)


def family(ancestor):
    """Descendants of a process with their command lines, parents first."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, queue = [], [ancestor]
    while queue:
        for child in parents.get(queue.pop(), []):
            try:
                found.append((child, pathlib.Path(f"/proc/{child}/cmdline").read_bytes()))
                queue.append(child)
            except OSError:
                pass
    return found


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Round:
    def __init__(self, folder, number):
        self.state, self.ledger, self.client = (folder / f"{kind}-{number}" for kind in ("state", "ledger", "client"))
        self.ledger.touch()
        self.client.touch()
        self.kills = 0

    def start(self):
        """Submitting again with the same key takes up the same run."""
        command = [arguments.stepwell, "--state-dir", self.state, "run", HERE / "drill.toml",
                   "-S", f"program={HERE / 'step.py'}", "-S", f"ledger={self.ledger}", "-S", f"units={UNITS}",
                   "-S", f"interval={INTERVAL}", "--idempotency-key", "drill"]
        environment = {**os.environ, "STEPWELL_SLOTS": "3", "STEPWELL_CRASH_LOOP_LIMIT": "0"}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)

    def note(self, what, run):
        """What the client was told, on the disk before anything else happens."""
        with self.client.open("a") as file:
            file.write(f"{what} {run}\n")
            file.flush()
            os.fsync(file.fileno())

    def strike(self, engine):
        """True when the engine is dead."""
        processes = family(engine.pid)
        programs = [pid for pid, line in processes if b"step.py" in line and b"stepwell" not in line.split(b"\0")[0]]
        workers = [pid for pid, line in processes if b"worker\0exec" in line]
        target = random.choice(["engine", "worker", "step", "everything"])
        self.kills += 1
        if target == "worker" and workers:
            kill(random.choice(workers))
        elif target == "step" and programs:
            kill(random.choice(programs))
        else:
            engine.kill()
            if target == "everything":
                for pid, _ in processes:
                    kill(pid)
            return True
        return False

    def drive(self, budget):
        while True:
            engine = self.start()
            # One line, printed once the run is durable; nothing when the engine dies before.
            words = engine.stdout.readline().split()
            run = words[1] if len(words) > 1 else None
            if run:
                self.note("submitted", run)
            dead = False
            while not dead and self.kills < budget and engine.poll() is None:
                time.sleep(random.uniform(0, 0.35))
                dead = engine.poll() is None and self.strike(engine)
            status = engine.wait()
            engine.stdout.close()
            if not dead and status == 0:
                return self.note("succeeded", run)
            if not dead and status not in (3, 130):
                sys.exit(f"the engine ended with {status} in {self.state}")
            if not dead:
                # A step that was killed too often has failed: take it up again.
                subprocess.run([arguments.stepwell, "--state-dir", self.state, "resume", run],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


folder = pathlib.Path(tempfile.mkdtemp(prefix="stepwell-drill-"))
print(f"seed {arguments.seed}, {folder}")
kills, rounds = 0, 0
while kills < arguments.kills:
    rounds += 1
    drill = Round(folder, rounds)
    drill.drive(min(KILLS_PER_RUN, arguments.kills - kills))
    kills += drill.kills
    command = [sys.executable, HERE / "check.py", drill.state, drill.ledger, drill.client, str(UNITS), str(INTERVAL)]
    verdict = subprocess.run(command, capture_output=True, text=True)
    if verdict.returncode:
        sys.exit(f"after {kills} kills, in {drill.state}:\n{verdict.stdout}{verdict.stderr}")
    print(f"{kills} kills: {verdict.stdout.strip()}", flush=True)
    shutil.rmtree(drill.state)
shutil.rmtree(folder)
print(f"{kills} kills over {rounds} runs: 0 acknowledged lost, 0 committed twice, 0 processes left")
