"""Files for the measurement of speed, and `torch.compile` for it, both made while other parts run: compiling a model
takes longer than measuring it. What it compiles stays on disk for the process that is measured."""

import os
import subprocess
import threading
import time

import contest
import host as machine
import processes
from report import Failure

STEPS = 120
FOLDERS = {}
STOP = threading.Event()
LOCK = threading.Lock()
RUNNING = []


def begin(host, enabled):
    if enabled and host.device == "cuda":
        worker = threading.Thread(target=_work, args=(host,), daemon=True)
        RUNNING.append(worker)
        worker.start()


def end():
    """Stops compiling, because it would disturb a measurement."""
    STOP.set()
    for worker in RUNNING:
        worker.join()


def material(host, batch, deadline):
    with LOCK:
        if batch not in FOLDERS:
            FOLDERS[batch] = contest.material(
                host, f"batch-{batch}", steps=STEPS, batch=batch, context=host.sizes.context, device=host.device,
                rate=3e-4, deadline=deadline
            )
        return FOLDERS[batch]


def _work(host):
    if host.has_torch()[0] is None:
        return
    deadline = time.monotonic() + 600
    for batch in host.sizes.batches:
        for mode in ("bf16-compile", "bf16-reduce-overhead"):
            try:
                _compile(host, batch, mode, deadline)
            except Failure as error:
                with open(host.log("precompile"), "a") as log:
                    log.write(f"batch {batch}, {mode}: {error}\n")
            if STOP.is_set():
                return


def _compile(host, batch, mode, deadline):
    folder = material(host, batch, deadline)
    script = host.here.parent / "bench_torch.py"
    command = ["nice", host.python, script, folder, mode, str(machine.cores())]
    env = os.environ | contest.torch_environment(host) | {"TORCHINDUCTOR_COMPILE_THREADS": "4"}
    child = processes.start(command, host.log("precompile"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env)
    child.stdin.write(b"step 1\n")
    child.stdin.close()
    while child.poll() is None and not STOP.wait(0.5):
        pass
    processes.kill(child)
