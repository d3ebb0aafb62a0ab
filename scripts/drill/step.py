"""The fake command of the drill: works, saves, and writes down everything it does before it goes on.

Each line of the ledger is on the disk (fsync) before the program takes its next step.
"""

import hashlib
import json
import os
import pathlib
import time

checkpoints = pathlib.Path(os.environ["STEPWELL_CHECKPOINT_DIR"])
ledger = os.open(os.environ["DRILL_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
step, units, interval = os.environ["STEPWELL_STEP_ID"], int(os.environ["DRILL_UNITS"]), int(os.environ["DRILL_INTERVAL"])


def write_down(what, unit):
    line = {"what": what, "unit": unit, "step": step, "run": os.environ["STEPWELL_RUN_ID"],
            "attempt": int(os.environ["STEPWELL_ATTEMPT"]), "at": time.time()}
    os.write(ledger, (json.dumps(line) + "\n").encode())
    os.fsync(ledger)


last = checkpoints / "last" / "state.json"
state = json.loads(last.read_text()) if last.exists() else {"unit": 0, "value": step}
write_down("start", state["unit"])
while state["unit"] < units:
    time.sleep(0.01)
    state = {"unit": state["unit"] + 1, "value": hashlib.sha256(state["value"].encode()).hexdigest()}
    write_down("work", state["unit"])
    if state["unit"] % interval == 0:
        (checkpoints / "next").mkdir()
        (checkpoints / "next" / "state.json").write_text(json.dumps(state))
        (checkpoints / "marker").write_text(json.dumps({"last_step": state["unit"]}))
        write_down("saving", state["unit"])
        (checkpoints / "marker").rename(checkpoints / "next.ready")
        while (checkpoints / "next.ready").exists():
            time.sleep(0.005)
        write_down("saved", state["unit"])
(pathlib.Path(os.environ["STEPWELL_OUTPUT_DIR"]) / "value").write_text(state["value"])
write_down("end", state["unit"])
