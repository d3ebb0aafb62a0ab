"""Kills runs of ledger steps at N random moments in all; each run resumes until it succeeds, and `check.py` checks it.

    drill.py STEPWELL N [SEED]

Kills the engine, its worker, and the step's own process, in turn. Needs Linux and Python 3.
"""

import hashlib
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

# Engines are killed on purpose, so no crash loop counts.
os.environ["STEPWELL_CRASH_LOOP_LIMIT"] = "0"
HERE = pathlib.Path(__file__).resolve().parent
COUNT, INTERVAL = 40, 5


def workflow(folder):
    # With the name as an argument, the two steps have different keys, and the second does not reuse the first.
    step = lambda name: f'argv = ["{sys.executable}", "{HERE}/ledger_step.py", "{folder}/ledger", "{folder}/state", "{COUNT}", "{INTERVAL}", "{name}"]'
    retry = 'retry = { initial_interval = "1ms", maximum_attempts = 100000 }'
    part = lambda name, needs: f'[[step]]\nid = "{name}"\nkind = "command"\n{needs}{retry}\n[step.with]\n{step(name)}\noutputs = {{ sum = "sum" }}\n'
    (folder / "w.toml").write_text('name = "drill"\n' + part("first", "") + part("second", 'needs = ["first"]\n'))


def acknowledge(folder, text):
    with open(folder / "acks", "ab", buffering=0) as file:
        file.write(text.encode())
        os.fsync(file.fileno())


def start(stepwell, folder, resume):
    out = open(folder / "out", "wb")
    verb = ["resume", "last"] if resume else ["run", "w.toml"]
    return subprocess.Popen([stepwell, "--state-dir", "state", *verb], cwd=folder, stdout=out, stderr=subprocess.STDOUT)


def heard(folder, engine):
    text = (folder / "out").read_text(errors="replace")
    for run in re.findall(r"^run ([0-9a-f-]{36}) \(drill\)$", text, re.M):
        acknowledge(folder, f"run {run}\n")
    if engine.poll() == 0:
        for run in re.findall(r"^run ([0-9a-f-]{36}) \(drill\) succeeded", text, re.M):
            acknowledge(folder, f"succeeded {run}\n")


def submitted(folder):
    try:
        with sqlite3.connect(f"file:{folder}/state/stepwell.db?mode=ro", uri=True, timeout=30) as database:
            return database.execute("SELECT count(*) FROM run").fetchone()[0] > 0
    except sqlite3.OperationalError:
        return False


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def victim(engine, kill):
    workers = children(engine.pid)
    steps = [step for worker in workers for step in children(worker)]
    return ([[engine.pid], workers, steps][kill % 3] or [engine.pid])[0]


def round_of_kills(stepwell, folder, kills, limit, chance):
    workflow(folder)
    for name in ("ledger", "acks"):
        (folder / name).touch()
    engine = start(stepwell, folder, False)
    while kills < limit:
        time.sleep(chance.uniform(0.02, 0.6))
        if engine.poll() is not None:
            break
        target = victim(engine, kills)
        try:
            os.kill(target, signal.SIGKILL)
        except ProcessLookupError:
            continue
        kills += 1
        if target == engine.pid:
            engine.wait()
            heard(folder, engine)
            engine = start(stepwell, folder, submitted(folder))
    engine.wait()
    heard(folder, engine)
    if engine.returncode != 0:
        sys.exit(f"the run ended with {engine.returncode}:\n{(folder / 'out').read_text(errors='replace')}")
    return kills


def main():
    stepwell, limit = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else int(time.time())
    chance, kills, rounds = random.Random(seed), 0, 0
    total = sum(n * n for n in range(1, COUNT + 1))
    expected = "".join(step_line(step, total) for step in ("first", "second"))
    while kills < limit:
        with tempfile.TemporaryDirectory(prefix="stepwell-drill-") as name:
            folder = pathlib.Path(name)
            (folder / "expected").write_text(expected)
            kills = round_of_kills(stepwell, folder, kills, limit, chance)
            rounds += 1
            checked = subprocess.run([sys.executable, HERE / "check.py", folder / "state", folder / "ledger", folder / "acks", folder / "expected", str(INTERVAL)])
            if checked.returncode != 0:
                sys.exit(f"after {kills} kills, seed {seed}")
    print(f"{kills} kills in {rounds} runs, seed {seed}: no breach")


def step_line(step, total):
    return f"{step}/sum {hashlib.sha256(f'{step} {total}'.encode() + bytes([10])).hexdigest()}\n"


if __name__ == "__main__":
    main()
