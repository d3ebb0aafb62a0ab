#!/usr/bin/env python3
"""Measures what history costs: verbs on an empty state and on one with a long past, several binaries in turns.

    scripts/history_cost.py [--rounds N] [--runs N] [--requests N] [--ready N] [--seconds S] NAME=BINARY...

The long past consists of copies: one real ended run, with its steps, attempts and events, is inserted `--runs` times
under other ids, and one answered request `--requests` times. Copied events have no hashes, so `stepwell db check`
reports damage; nothing else reads them. Both states have one run that waits for a signal, the target of `signal`.

The second table is about `--ready` programs that are ready together, with and without `timeout.schedule_to_close`:
attempts per second while the engine runs for `--seconds`.
"""

import argparse
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

WAITING = 'name = "waiting"\n[[step]]\nid = "a"\nkind = "signal"\nwith = { name = "never" }\n'
ENDED = 'name = "ended"\n[[step]]\nid = "a"\nkind = "noop"\n[[step]]\nid = "b"\nkind = "noop"\nneeds = ["a"]\n'
VERBS = {
    "signal": ["signal", "waiting", "other", "--payload", "{}"],
    "run": ["run", "ended.toml", "--quiet"],
    "list": ["list"],
}


def stepwell(binary, folder, *verb):
    command = [binary, *verb, "--state-dir", "state"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def prepare(binary, folder):
    folder.mkdir()
    (folder / "waiting.toml").write_text(WAITING)
    (folder / "ended.toml").write_text(ENDED)
    stepwell(binary, folder, "run", "ended.toml", "--quiet")
    stepwell(binary, folder, "run", "waiting.toml", "--detach")
    stepwell(binary, folder, *VERBS["signal"])


def columns(database, table):
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def copies(database, table, where, changed):
    """An INSERT that copies rows, with expressions for the columns in `changed`."""
    names = columns(database, table)
    values = ", ".join(changed.get(name, name) for name in names)
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} WHERE {where}"


def age(folder, runs, requests):
    """Gives the state in `folder` a long past."""
    database = sqlite3.connect(folder / "state/stepwell.db", isolation_level=None)
    # Older SQLite libraries do not accept NULL as valid JSON.
    database.execute("PRAGMA ignore_check_constraints = 1")
    database.execute("PRAGMA foreign_keys = 0")
    database.execute("BEGIN")
    model = database.execute("SELECT id FROM run WHERE name = 'ended'").fetchone()[0]
    seq = database.execute("SELECT max(seq) FROM event").fetchone()[0]
    events = database.execute("SELECT count(*) FROM event WHERE run = ?", (model,)).fetchone()[0]
    first = int(uuid.UUID(model))
    statements = [
        copies(database, "run", "id = :model", {"id": ":id", "name": ":name", "idempotency_key": "NULL"}),
        copies(database, "step", "run = :model", {"run": ":id"}),
        copies(database, "attempt", "run = :model", {"run": ":id"}),
        copies(database, "event", "run = :model AND seq <= :newest", {
            "run": ":id", "hash": "'copy'",
            "seq": ":seq + row_number() OVER (ORDER BY seq)",
        }),
    ]
    for n in range(runs):
        # Ids sort by time: these are older than the model run.
        copy = str(uuid.UUID(int=first - ((n + 1) << 64)))
        values = {"model": model, "id": copy, "name": f"past-{n}", "seq": seq + n * events, "newest": seq}
        for statement in statements:
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            database.execute(statement, used)
    for _ in range(requests):
        database.execute(copies(database, "request", "id = 1", {"id": "NULL"}))
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def measure_verbs(binaries, folder, arguments):
    states = {}
    for name, binary in binaries:
        empty, full = folder / f"{name}-empty", folder / f"{name}-full"
        prepare(binary, empty)
        shutil.copytree(empty, full, ignore=shutil.ignore_patterns("wake"))
        age(full, arguments.runs, arguments.requests)
        states[name] = {"empty": empty, "full": full}
    taken = {}
    for _ in range(arguments.rounds):
        for verb, words in VERBS.items():
            for name, binary in binaries:
                for kind, state in states[name].items():
                    started = time.monotonic()
                    stepwell(binary, state, *words)
                    taken.setdefault((verb, name, kind), []).append((time.monotonic() - started) * 1000)
    print(f"{'verb':8} {'binary':10} {'empty ms':>10} {'full ms':>10} {'ratio':>7}")
    for verb in VERBS:
        for name, _ in binaries:
            empty, full = (statistics.median(taken[verb, name, kind]) for kind in ("empty", "full"))
            print(f"{verb:8} {name:10} {empty:10.1f} {full:10.1f} {full / empty:7.2f}", flush=True)


def rate(binary, folder, ready, seconds, limit):
    folder.mkdir()
    timeout = 'timeout.schedule_to_close = "10h"\n' if limit else ""
    workflow = f'name = "w"\n[[step]]\nid = "a"\nkind = "command"\nfor_each = "range({ready})"\n{timeout}'
    (folder / "w.toml").write_text(workflow + 'with.argv = ["true"]\n')
    command = [binary, "run", "w.toml", "--quiet", "--state-dir", "state"]
    engine = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    database = folder / "state/stepwell.db"
    count = "SELECT count(*) FROM attempt WHERE status = 'succeeded'"

    def ask(sql):
        try:
            reader = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1)
            return reader.execute(sql).fetchone()[0]
        except sqlite3.Error:
            return 0

    while ask(count) < 10:
        time.sleep(0.1)
    before, started = ask(count), time.monotonic()
    time.sleep(seconds)
    done, elapsed = ask(count) - before, time.monotonic() - started
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    return done / elapsed


def measure_ready(binaries, folder, arguments):
    rates = {}
    for number in range(arguments.rounds_ready):
        for name, binary in binaries:
            for limit in (False, True):
                place = folder / f"ready-{name}-{number}-{limit}"
                rates.setdefault((name, limit), []).append(
                    rate(binary, place, arguments.ready, arguments.seconds, limit))
                shutil.rmtree(place, ignore_errors=True)
    print(f"{'ready':8} {'binary':10} {'without /s':>10} {'with /s':>10} {'ratio':>7}")
    for name, _ in binaries:
        without, limited = (statistics.median(rates[name, limit]) for limit in (False, True))
        print(f"{arguments.ready:<8} {name:10} {without:10.0f} {limited:10.0f} {without / limited:7.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--ready", type=int, default=100_000)
    parser.add_argument("--rounds-ready", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=9)
    parser.add_argument("binaries", nargs="+", metavar="NAME=BINARY")
    arguments = parser.parse_args()
    binaries = [(name, str(Path(path).resolve())) for name, path in (b.split("=", 1) for b in arguments.binaries)]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.rounds:
            measure_verbs(binaries, Path(folder), arguments)
        if arguments.rounds_ready:
            measure_ready(binaries, Path(folder), arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
