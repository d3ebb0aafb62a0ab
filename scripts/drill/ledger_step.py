"""A step that sums numbers with checkpoints, and records its actions in a separate ledger.

Every line is `RUN STEP ATTEMPT PHASE VALUE`, durable before the work continues. At its start, the step checks in the
database that its attempt is counted.
"""

import json
import os
import pathlib
import sqlite3
import sys
import time

ledger, state, count, interval = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
run, step, attempt = (os.environ[f"STEPWELL_{name}"] for name in ("RUN_ID", "STEP_ID", "ATTEMPT"))
box = pathlib.Path(os.environ["STEPWELL_CHECKPOINT_DIR"])


def note(phase, value):
    with open(ledger, "ab", buffering=0) as file:
        file.write(f"{run} {step} {attempt} {phase} {value}\n".encode())
        os.fsync(file.fileno())


database = sqlite3.connect(f"file:{state}/stepwell.db?mode=ro", uri=True, timeout=30)
counted = database.execute("SELECT count(*) FROM attempt WHERE (run, step, attempt) = (?, ?, ?)", (run, step, int(attempt)))
note("start", counted.fetchone()[0])
database.close()

last = box / "last" / "sum"
done, total = map(int, last.read_text().split()) if last.exists() else (0, 0)
while done < count:
    done += 1
    total += done * done
    note("work", done)
    time.sleep(0.01)
    if done % interval == 0:
        (box / "next").mkdir(exist_ok=True)
        (box / "next" / "sum").write_text(f"{done} {total}\n")
        (box / "marker").write_text(json.dumps({"last_step": done}))
        os.rename(box / "marker", box / "next.ready")
        while (box / "next.ready").exists():
            time.sleep(0.005)
        note("checkpoint", done)
pathlib.Path(os.environ["STEPWELL_OUTPUT_DIR"], "sum").write_text(f"{step} {total}\n")
note("end", total)
