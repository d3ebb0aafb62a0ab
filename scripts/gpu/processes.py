"""Child processes with a time limit. None outlives the check."""

import atexit
import json
import os
import signal
import subprocess
import time

from report import Failure

STARTED = []


def start(command, log, **options):
    """Starts a process in a group of its own; its standard error goes to the end of the file `log`."""
    with open(log, "ab") as errors:
        child = subprocess.Popen([str(word) for word in command], stderr=errors, start_new_session=True, **options)
    STARTED.append(child)
    return child


def kill(child):
    """Kills the process and everything it has started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    child.wait()
    if child in STARTED:
        STARTED.remove(child)


@atexit.register
def kill_all():
    for child in list(STARTED):
        kill(child)


def finish(command, log, seconds, what, **options):
    """Runs a process to its end. Returns its exit status and standard output."""
    began = time.monotonic()
    child = start(command, log, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options)
    try:
        output, _ = child.communicate(timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        raise Failure(f"{what} did not end within {time.monotonic() - began:.0f} s") from None
    finally:
        kill(child)
    return child.returncode, output


def json_of(command, log, seconds, what, **options):
    """The JSON that a process prints, and its exit status."""
    status, output = finish(command, log, seconds, what, **options)
    try:
        return json.loads(output.strip().splitlines()[-1]), status
    except (IndexError, ValueError):
        raise Failure(f"{what} ended with {status}: {last_lines(log)}") from None


def last_lines(log, count=4):
    with open(log, errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return " | ".join(lines[-count:])[-600:]
