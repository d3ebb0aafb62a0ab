"""Kernel launches of one training step of ours, counted by the log of cubecl, the library that launches them."""

import shutil
import time

import contest
from report import Failure

# `minimal` writes one line per launch and measures nothing.
SETTINGS = '[profiling.logger]\nlevel = "minimal"\nfile = "launches.log"\nappend = false\n'
STEPS = 2


def ours(host, folder, precision, deadline):
    """Launches per step, by kernel; or why there are none."""
    place = host.work / "launches"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "cubecl.toml").write_text(SETTINGS)
    log = place / "launches.log"
    try:
        with contest.ours(host, folder, precision, deadline, cwd=place) as own:
            own.ask("step 2", deadline)
            before = lines(log)
            own.ask(f"step {STEPS}", deadline)
            after = lines(log)
    except Failure as error:
        return {"skipped": str(error)}
    if len(after) == len(before):
        return {"skipped": "nothing was logged"}
    kernels = {}
    for line in after[len(before):]:
        name = line.split("Executing ", 1)[-1].split("<")[0].strip()
        kernels[name] = kernels.get(name, 0) + 1 / STEPS
    most = dict(sorted(kernels.items(), key=lambda item: -item[1])[:20])
    return {"launches": (len(after) - len(before)) / STEPS, "most": most}


def lines(log):
    """Launches so far; the log is written by another thread, so it must have come to rest."""
    size = -1
    while log.exists() and log.stat().st_size != size:
        size = log.stat().st_size
        time.sleep(0.3)
    if not log.exists():
        return []
    return [line for line in log.read_text(errors="replace").splitlines() if "Executing" in line]
