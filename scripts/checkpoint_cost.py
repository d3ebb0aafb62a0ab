#!/usr/bin/env python3
"""Measures what checkpoints cost training: real runs of deep60 (batch 2 x 512), several binaries in turns.

    scripts/checkpoint_cost.py [--rounds N] [--cycles N] [--every N] NAME=BINARY...

A checkpoint disturbs the steps after it. A cycle of `--every` steps ends with one, and its last three steps
are undisturbed. The cost is the time of the whole cycle minus that of as many undisturbed steps, in elapsed time
and in processor time of the worker (which other work on the machine disturbs less). Steps are observed from
outside, as rows that appear in `metrics.jsonl`. Peak memory is that of the worker, with checkpoints and
between them.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKFLOW = """
name = "cost"
[[step]]
id = "import"
kind = "corpus.import"
with = {{ source = "{corpus}", split = "file" }}
[[step]]
id = "tokenizer"
kind = "tokenizer.train"
with = {{ documents = "{{{{ steps.import.outputs.documents }}}}", vocab_size = 2048 }}
[[step]]
id = "tokenize"
kind = "tokenize"
with = {{ documents = "{{{{ steps.import.outputs.documents }}}}", tokenizer = "{{{{ steps.tokenizer.outputs.tokenizer }}}}" }}
[[step]]
id = "train"
kind = "train"
[step.with]
tokens = ["{{{{ steps.tokenize.outputs.tokens }}}}"]
tokenizer = "{{{{ steps.tokenizer.outputs.tokenizer }}}}"
model = {{ preset = "deep60", vocab_size = 32000 }}
batch = 2
steps = {steps}
checkpoint_every = {every}
"""
UNDISTURBED = 3


def write_corpus(path, words):
    rng = random.Random(1)
    vocabulary = ["".join(rng.choices("abcdefghilmnoprstu", k=rng.randint(2, 9))) for _ in range(3000)]
    path.write_text(" ".join(rng.choices(vocabulary, k=words)) + "\n")


def worker_of(engine):
    """Folder in /proc of the process that trains."""
    children = Path(f"/proc/{engine.pid}/task").glob("*/children")
    workers = [Path("/proc") / child for path in children for child in path.read_text().split()]
    return next((worker for worker in workers if b"worker" in (worker / "cmdline").read_bytes()), None)


def processor_time(worker):
    fields = (worker / "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(worker):
    """MiB since the last call."""
    status = (worker / "status").read_text()
    (worker / "clear_refs").write_text("5")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def run(binary, directory, cycles, every):
    """End times of training steps (elapsed and processor time), and the peak memory of each cycle and of its quiet end."""
    steps = cycles * every + UNDISTURBED
    (directory / "cost.toml").write_text(
        WORKFLOW.format(corpus=directory.parent / "corpus.txt", steps=steps, every=every)
    )
    state = directory / "state"
    command = [binary, "--state-dir", str(state), "run", str(directory / "cost.toml")]
    engine = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=directory)
    times, work, peaks = [], [], {"cycle": [], "quiet": []}
    log = None
    while engine.poll() is None:
        time.sleep(0.003)
        log = log or next(state.glob("runs/*/train/metrics.jsonl"), None)
        seen = log.read_bytes().count(b"\n") if log and log.exists() else 0
        while len(times) < seen:
            times.append(time.monotonic())
            if len(times) < steps:
                worker = worker_of(engine)
                work.append(processor_time(worker))
            place = len(times) % every
            if every < len(times) < steps and place in (every - UNDISTURBED, every - 1):
                peaks["cycle" if place == every - UNDISTURBED else "quiet"].append(peak_memory(worker))
    if engine.returncode != 0:
        sys.exit(engine.stderr.read().decode())
    return times, work, peaks


def costs(times, every):
    """Seconds lost per checkpoint, and the median undisturbed step. The first cycle warms up."""
    steps = [after - before for before, after in zip(times, times[1:])]
    lost, quiet = [], []
    # `steps[n]` follows n + 1 steps, so a checkpoint at n + 1 disturbs it.
    for first in range(every - 1, len(steps) - every + 1, every):
        cycle = steps[first : first + every]
        undisturbed = statistics.median(cycle[-UNDISTURBED:])
        quiet += cycle[-UNDISTURBED:]
        lost.append(sum(cycle) - every * undisturbed)
    return lost, quiet


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=6)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("contestants", nargs="+", metavar="NAME=BINARY")
    options = parser.parse_args()
    contestants = [contestant.split("=", 1) for contestant in options.contestants]
    found = {name: {"lost": [], "work": [], "quiet": [], "cycle": [], "quiet_peak": []} for name, _ in contestants}
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder) / "corpus.txt", 200_000)
        for turn in range(options.rounds):
            for name, binary in contestants:
                directory = Path(folder) / f"{name}-{turn}"
                directory.mkdir()
                times, work, peaks = run(os.path.abspath(binary), directory, options.cycles, options.every)
                lost, quiet = costs(times, options.every)
                found[name]["lost"] += lost
                found[name]["work"] += costs(work, options.every)[0]
                found[name]["quiet"] += quiet
                found[name]["cycle"] += [peak for peak in peaks["cycle"] if peak]
                found[name]["quiet_peak"] += [peak for peak in peaks["quiet"] if peak]
                subprocess.run(["rm", "-rf", str(directory)], check=True)
                print(f"{name}: {['%.2f' % seconds for seconds in lost]}", file=sys.stderr, flush=True)
                print(f"  processors: {['%.2f' % seconds for seconds in found[name]['work']]}", file=sys.stderr, flush=True)
    for name, values in found.items():
        lost = statistics.median(values["lost"])
        print(
            json.dumps(
                {
                    "name": name,
                    "checkpoints": len(values["lost"]),
                    "step_s": round(statistics.median(values["quiet"]), 3),
                    "lost_s": round(lost, 3),
                    "processor_s": round(statistics.median(values["work"]), 3),
                    "share_at_one_per_minute": round(lost / 60, 4),
                    "peak_mib": round(max(values["cycle"], default=0)),
                    "peak_quiet_mib": round(max(values["quiet_peak"], default=0)),
                }
            )
        )


if __name__ == "__main__":
    main()
