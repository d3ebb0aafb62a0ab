"""Judges a state directory after a drill, from the ledger, the client's notes, the database and the files.

    check.py STATE LEDGER CLIENT UNITS INTERVAL

Written apart from Stepwell: the hash chain, the content digests and the expected outputs are computed
here again. Exit 0 and one line of counts when nothing is wrong; else one line for each thing that is.
"""

import hashlib
import json
import pathlib
import sqlite3
import sys
from collections import Counter, defaultdict
from datetime import datetime

import blake3

state, ledger_path, client_path = map(pathlib.Path, sys.argv[1:4])
units, interval = map(int, sys.argv[4:6])
problems = []


def problem(text):
    problems.append(text)


database = sqlite3.connect(f"file:{state}/stepwell.db?mode=ro", uri=True)
database.row_factory = sqlite3.Row
events = [dict(row) for row in database.execute("SELECT * FROM event ORDER BY seq")]
# A line that SIGKILL cut short was never acted on.
ledger = [json.loads(line) for line in ledger_path.read_text().splitlines() if line.endswith("}")]
client = [line.split() for line in client_path.read_text().splitlines()]


def chain():
    """The log is whole and unchanged."""
    previous = "0" * 64
    for number, row in enumerate(events, 1):
        data = b""
        for field in (previous, str(row["seq"]), row["run"], row["at"], row["payload"]):
            encoded = field.encode()
            data += len(encoded).to_bytes(8, "little") + encoded
        previous = blake3.hexdigest(data)
        if row["seq"] != number or row["hash"] != previous:
            return problem(f"event {row['seq']}: the hash chain is broken")
    for row in events:
        row["payload"] = json.loads(row["payload"])


def acknowledged():
    """What somebody was told is in the database."""
    runs = {row["id"]: row["status"] for row in database.execute("SELECT id, status FROM run")}
    for what, run in client:
        if run not in runs:
            problem(f"run {run} was acknowledged and is gone")
        elif what == "succeeded" and runs[run] != "succeeded":
            problem(f"run {run} was reported as succeeded and is {runs[run]}")
    saved = Counter()
    for row in events:
        if row["kind"] == "checkpoint_committed":
            saved[row["step"], row["payload"]["checkpoint"]["last_step"]] += 1
    for line in ledger:
        if line["what"] == "saved" and not saved[line["step"], line["unit"]]:
            problem(f"{line['step']}: the checkpoint at {line['unit']} was acknowledged and is not in the log")


def committed_once():
    succeeded = Counter(row["step"] for row in events if row["kind"] in ("step_succeeded", "step_reused"))
    for row in database.execute("SELECT id, status FROM step"):
        if row["status"] != "succeeded" or succeeded[row["id"]] != 1:
            problem(f"{row['id']} is {row['status']} and succeeded {succeeded[row['id']]} times")


def outputs():
    """Content is what an uninterrupted run makes, and its digest is its name."""
    count = 0
    for row in database.execute("SELECT * FROM step_output"):
        digest = row["digest"].removeprefix("blake3:")
        content = (state / "artifacts" / "blobs" / digest[:2] / digest).read_bytes()
        value = row["step"]
        for _ in range(units):
            value = hashlib.sha256(value.encode()).hexdigest()
        if content.decode() != value:
            problem(f"{row['step']}/{row['name']}: other content than that of an uninterrupted run")
        if blake3.hexdigest(content) != digest or len(content) != row["size"]:
            problem(f"{row['step']}/{row['name']}: the digest is not that of the content")
        count += 1
    for path in (state / "artifacts" / "blobs").glob("*/*"):
        if path.stat().st_size == 0:
            problem(f"{path.name}: an empty file in the content store")
    return count


def attempts():
    """Counted before they start; one at a time; from the newest checkpoint; no work twice but the unsaved."""
    started = {(row["step"], row["payload"]["attempt"]): datetime.fromisoformat(row["at"]).timestamp()
               for row in events if row["kind"] == "attempt_started"}
    saved, newest, done, repeated = defaultdict(int), defaultdict(int), {}, 0
    for line in ledger:
        step, attempt = line["step"], line["attempt"]
        if line["what"] == "start":
            if (step, attempt) not in started:
                problem(f"{step}: attempt {attempt} was started and never counted")
            # Times in the log are cut to milliseconds.
            elif started[step, attempt] > line["at"] + 0.001:
                problem(f"{step}: attempt {attempt} was counted after its start")
            if line["unit"] < saved[step]:
                problem(f"{step}: attempt {attempt} went on from {line['unit']}, although {saved[step]} was saved")
            again = done.get(step, 0) - line["unit"]
            repeated += max(again, 0)
            if again > interval:
                problem(f"{step}: attempt {attempt} repeats {again} units, more than one interval")
            newest[step], done[step] = attempt, line["unit"]
        elif attempt != newest[step]:
            problem(f"{step}: attempt {attempt} worked after attempt {newest[step]} had started")
        if line["what"] == "work":
            done[step] = max(done[step], line["unit"])
        if line["what"] == "saved":
            saved[step] = line["unit"]
    return len(started), repeated


def processes():
    """Nothing of the runs is alive."""
    marks = [f"STEPWELL_ATTEMPT_ID={row['id']}/".encode() for row in database.execute("SELECT id FROM run")]
    for environment in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            entries = environment.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(entry.startswith(mark) for entry in entries for mark in marks):
            problem(f"process {environment.parent.name} is left")


chain()
if not problems:
    acknowledged()
    committed_once()
    started, repeated = attempts()
    found = outputs()
    processes()
if problems:
    sys.exit("\n".join(problems))
print(f"{len(events)} events, {found} outputs, {started} attempts, {len(ledger)} lines in the ledger, "
      f"{repeated} units repeated: nothing lost, nothing twice")
