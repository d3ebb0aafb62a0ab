"""Contestants of `stepwell bench train`: each trains the same model on the same batches, a few steps per request."""

import json
import os
import queue
import shutil
import statistics
import subprocess
import threading
import time

import host as machine
import processes
from report import Failure


def material(host, name, *, steps, batch, context, device, rate, deadline):
    """Writes weights, batches and settings into a folder, and returns it."""
    folder = host.work / name
    shutil.rmtree(folder, ignore_errors=True)
    command = host.stepwell(
        "bench", "bench", "train", "--prepare", folder, "--preset", host.sizes.preset, "--batch", str(batch), "--context",
        str(context), "--rounds", "1", "--steps", str(steps), "--device", device, "--learning-rate", str(rate)
    )
    status, _ = processes.finish(command, host.log(name), deadline - time.monotonic(), "writing weights and batches")
    if status:
        raise Failure(f"writing weights and batches ended with {status}: {processes.last_lines(host.log(name))}")
    return folder


def on_device(folder, device):
    """The same material for another device of ours."""
    other = folder.with_name(f"{folder.name}-{device}")
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    for path in folder.iterdir():
        if path.name == "config.json":
            settings = json.loads(path.read_text())
            (other / path.name).write_text(json.dumps(settings | {"device": device}))
        elif path.name != "tuning.json":
            (other / path.name).symlink_to(path)
    return other


class Contestant:
    """A process that answers each line with a line of JSON."""

    def __init__(self, name, command, log, threads, deadline, cwd=None, env=None):
        self.name, self.log, self.late = name, log, False
        count = {variable: str(threads) for variable in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        before = machine.gpu_memory_mib()
        began = time.monotonic()
        self.child = processes.start(command, log, cwd=cwd, env=os.environ | count | (env or {}), **pipes)
        self.memory_before = before
        self.answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            hello = self._answer(deadline)
            if "missing" in hello:
                raise Failure(f"{name}: no Python module `{hello['missing']}`")
        except Failure:
            processes.kill(self.child)
            raise
        self.version, self.startup = hello["ready"]["version"], time.monotonic() - began

    def _read(self):
        for line in self.child.stdout:
            self.answers.put(line)
        self.answers.put(None)

    def _answer(self, deadline):
        try:
            line = self.answers.get(timeout=max(deadline - time.monotonic(), 0.1))
        except queue.Empty:
            # Its next answer would be to an old question.
            self.late = True
            raise Failure(f"{self.name} did not answer in time") from None
        if line is None:
            raise Failure(f"{self.name} ended with {self.child.wait()}: {processes.last_lines(self.log)}")
        return json.loads(line)

    def ask(self, request, deadline):
        if self.late:
            raise Failure(f"{self.name} has not answered yet")
        try:
            self.child.stdin.write(request + "\n")
            self.child.stdin.flush()
        except OSError:
            pass
        return self._answer(deadline)

    def memory(self):
        """Memory in MiB: on the GPU, what is in use more than before it started, while all others wait; and on the
        host."""
        now = machine.gpu_memory_mib()
        gpu = None if now is None or self.memory_before is None else now - self.memory_before
        return {"gpu_mib": gpu, "host_mib": rounded(machine.resident_mib(self.child.pid))}

    def close(self):
        """Ends it; ours then writes down its kernels."""
        try:
            self.child.stdin.close()
            self.child.wait(timeout=0 if self.late else 10)
        except (OSError, subprocess.TimeoutExpired):
            pass
        processes.kill(self.child)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ours(host, folder, precision, deadline, threads=None, cwd=None):
    command = host.stepwell("bench", "bench", "contestant", "train", folder, "--precision", precision)
    name, log = f"stepwell {precision}", host.log(f"{folder.name}-{precision}")
    # It keeps freed memory, as workers of the engine do.
    env = {"MIMALLOC_PURGE_DELAY": "-1"}
    return Contestant(name, command, log, threads or machine.cores(), deadline, cwd=cwd, env=env)


def torch(host, folder, mode, deadline):
    script = host.here.parent / "bench_torch.py"
    threads = machine.cores()
    command = [host.python, script, folder, mode, str(threads)]
    env = torch_environment(host)
    return Contestant(f"torch {mode}", command, host.log(f"{folder.name}-torch-{mode}"), threads, deadline, env=env)


def torch_environment(host):
    """Keeps what `torch.compile` has compiled for the next process."""
    return {"TORCHINDUCTOR_CACHE_DIR": str(host.work / "inductor"), "PYTHONUNBUFFERED": "1"}


def turns(entries, rounds, steps, deadline):
    """Lets everybody train in turns; another one starts each round. Returns the seconds of every step by name."""
    seconds = {entry.name: [] for entry in entries}
    for number in range(rounds):
        for place in range(len(entries)):
            entry = entries[(place + number) % len(entries)]
            seconds[entry.name] += entry.ask(f"step {steps}", deadline)["seconds"]
    return seconds


def median(values):
    return statistics.median(values) if values else None


def rounded(value, digits=1):
    return None if value is None else round(value, digits)
