"""Every GPU kernel against the portable operation on the CPU: the tests of `stepwell-train` that need a device."""

import os
import re
import subprocess
import threading
import time

import processes
from report import Failure, Skip

# Kernels first, then whole trainings.
FILTERS = ("ops::cube::", "trains_on_a_device_as_on_the_cpu", "device_trains_as_the_cpu_does_and_resumes_exactly")
STARTED = re.compile(r"^test (\S+) \.\.\. ?(.*)$")
WORDS = {"ok": "ok", "FAILED": "failed", "ignored": "skipped"}


def run(host, part):
    if host.tests is None:
        raise Skip("there is no `train-tests` in the folder of programs")
    names = named(host, part)
    results = {name: {"status": "not run"} for name in names}
    part.known(device=host.device, tests=results)
    left = list(names)
    while left and part.left() > 1:
        tested = group(host, part, left, results)
        # A crash ends the whole process; the next one continues after the test that caused it.
        left = [name for name in left if name not in tested]
        if not tested:
            break
    explain(host, results)
    bad = [name for name, result in results.items() if result["status"] in ("failed", "crashed")]
    unfinished = [name for name, result in results.items() if result["status"] in ("not run", "cut off")]
    counts = f"{len(names) - len(bad) - len(unfinished)} of {len(names)} tests agree"
    part.known(tests=results, summary=counts)
    if bad:
        raise Failure(f"{counts}; {len(bad)} do not: {', '.join(bad)}")
    if unfinished:
        raise Failure(f"{counts}; no time was left for {len(unfinished)}, from {unfinished[0]} on")


def named(host, part):
    names = []
    for pattern in FILTERS:
        _, text = processes.finish([host.tests, pattern, "--list"], host.log("kernels"), part.left(), "the list of tests")
        names += [line.removesuffix(": test") for line in text.splitlines() if line.endswith(": test")]
    if not names:
        raise Failure("the program has no tests of GPU kernels; was it built with a GPU backend?")
    return names


def group(host, part, names, results):
    """Runs tests in one process, one after the other. Returns those that started."""
    command = [host.tests, *names, "--exact", "--test-threads=1"]
    env = os.environ | {"STEPWELL_TEST_DEVICE": host.device, "RUST_BACKTRACE": "0"}
    child = processes.start(command, host.log("kernels"), stdout=subprocess.PIPE, env=env)
    timer = threading.Timer(max(part.left(), 1), processes.kill, [child])
    timer.start()
    started = []
    with open(host.log("kernels"), "ab") as log:
        for name, word, seconds in events(child.stdout, log):
            if name not in results:
                continue
            if word is None:
                started.append(name)
                results[name] = {"status": "running"}
            else:
                results[name] = {"status": WORDS.get(word.split(",")[0], "failed"), "seconds": seconds}
            part.known()
    timer.cancel()
    timed_out = part.left() <= 1
    for name in started:
        if results[name]["status"] == "running":
            results[name]["status"] = "cut off" if timed_out else "crashed"
    processes.kill(child)
    return started


def events(stream, log):
    """Reads `test NAME ... ok` as it appears: yields the name when a test starts, and again with its result."""
    text, name, began = "", None, 0.0
    while chunk := os.read(stream.fileno(), 4096):
        log.write(chunk)
        log.flush()
        text += chunk.decode(errors="replace")
        while True:
            line, newline, rest = text.partition("\n")
            found = STARTED.match(line)
            if found and found[1] != name:
                name, began = found[1], time.monotonic()
                yield name, None, 0.0
            if not newline:
                break
            word = found[2].strip() if found else line.strip()
            if name and word.split(",")[0] in WORDS:
                yield name, word, round(time.monotonic() - began, 1)
                name = None
            text = rest


def explain(host, results):
    """Quotes what failed tests said, from the log."""
    text = host.log("kernels").read_text(errors="replace")
    for name, result in results.items():
        if result["status"] == "failed":
            _, _, said = text.partition(f"---- {name} stdout ----")
            result["message"] = said.split("\n---- ")[0].split("\nfailures:")[0].strip()[:800]
