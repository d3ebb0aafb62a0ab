"""Checks a killed run from outside: reads the ledger of its steps, the acknowledgements, the database and
the artifacts. Shares no code with the engine.

    check.py STATE LEDGER ACKNOWLEDGEMENTS EXPECTED CHECKPOINT_INTERVAL

ACKNOWLEDGEMENTS holds lines `run ID` and `succeeded ID`, EXPECTED `STEP/OUTPUT SHA256` of an uninterrupted run.
Prints one breach per line; exit 0 without any.
"""

import collections
import hashlib
import pathlib
import sqlite3
import struct
import sys

import blake3

GENESIS = "0" * 64


def breaches(state, ledger, acknowledged, expected, interval):
    database = sqlite3.connect(f"file:{state}/stepwell.db?mode=ro", uri=True, timeout=30)
    rows = lambda sql: database.execute(sql).fetchall()
    yield from acknowledgements(rows, acknowledged)
    yield from chain(rows)
    for run, step, count in rows("SELECT run, step, count(*) FROM event WHERE kind = 'step_succeeded' GROUP BY 1, 2"):
        if count != 1:
            yield f"{run} {step} was committed {count} times"
    yield from outputs(rows, pathlib.Path(state), expected)
    yield from attempts(rows, ledger, interval)
    yield from orphans([run for (run,) in rows("SELECT id FROM run")])


def acknowledgements(rows, acknowledged):
    status = dict(rows("SELECT id, status FROM run"))
    for line in acknowledged.splitlines():
        word, run = line.split()
        if run not in status:
            yield f"the client was told of run {run}, which is not in the database"
        elif word == "succeeded" and status[run] != "succeeded":
            yield f"the client was told that {run} succeeded; the database says {status[run]}"


def chain(rows):
    previous, number = GENESIS, 0
    for seq, run, at, payload, found in rows("SELECT seq, run, at, payload, hash FROM event ORDER BY seq"):
        number += 1
        fields = [field.encode() for field in (previous, str(seq), run, at, payload)]
        previous = blake3.hexdigest(b"".join(struct.pack("<Q", len(field)) + field for field in fields))
        if seq != number or found != previous:
            yield f"event {seq} breaks the chain"
            return


def outputs(rows, state, expected):
    expected = dict(line.split() for line in expected.splitlines())
    found = {}
    for step, name, digest in rows("SELECT step, name, digest FROM step_output"):
        content = (state / "artifacts/blobs" / digest[:2] / digest).read_bytes()
        if blake3.hexdigest(content) != digest:
            yield f"{step}/{name} is not what its digest says"
        found[f"{step}/{name}"] = hashlib.sha256(content).hexdigest()
    if found != expected:
        yield f"outputs differ from those of an uninterrupted run: {found}"


def attempts(rows, ledger, interval):
    counted = {tuple(map(str, row)) for row in rows("SELECT run, step, attempt FROM attempt")}
    reached = collections.Counter()
    for line in ledger.splitlines():
        run, step, attempt, phase, value = line.split()
        if (run, step, attempt) not in counted:
            yield f"attempt {attempt} of {step} has worked, and the database does not know it"
        if phase == "start" and value != "1":
            yield f"attempt {attempt} of {step} had started before it was counted"
        if phase == "work":
            if int(value) <= reached[run, step] - interval:
                yield f"attempt {attempt} of {step} went back from {reached[run, step]} to {value}"
            reached[run, step] = max(reached[run, step], int(value))
        if phase == "checkpoint":
            saved = rows(f"SELECT count(*) FROM event WHERE kind = 'checkpoint_committed' AND run = '{run}' AND step = '{step}' AND payload ->> '$.checkpoint.last_step' = {value}")
            if saved[0][0] == 0:
                yield f"{step} was told that checkpoint {value} is durable; it is not in the log"


def orphans(runs):
    marks = [f"STEPWELL_ATTEMPT_ID={run}/".encode() for run in runs]
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if any(mark in environment for mark in marks):
            yield f"process {process.name} is left"


def main():
    state, *files, interval = sys.argv[1:]
    found = list(breaches(state, *(pathlib.Path(file).read_text() for file in files), int(interval)))
    print("\n".join(found) or "no breach")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    assert blake3.hexdigest(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    main()
