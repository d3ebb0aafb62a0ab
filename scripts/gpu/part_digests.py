"""Two runs, and one that is killed and resumed: all results have equal digests, because the later ones use the kernels
that the first one chose."""

import json
import os
import shutil
import subprocess
import time

import processes
from report import Failure

WORKFLOW = "digests.toml"


def run(host, part):
    precisions = ["f32"] if host.device == "wgpu" or host.software else ["bf16", "f32"]
    failures = []
    for index, precision in enumerate(precisions):
        deadline = time.monotonic() + max(part.left(), 0) / (len(precisions) - index)
        try:
            compare(host, part, precision, deadline)
        except Failure as error:
            failures.append(f"{precision}: {error}")
            part.known(**{precision: part.result.get(precision, {}) | {"failed": str(error)}})
    if failures:
        raise Failure("; ".join(failures))


def compare(host, part, precision, deadline):
    result = {}
    part.known(**{precision: result})
    outputs = {}
    for name in ("first", "second", "resumed"):
        state = f"digests-{precision}-{name}"
        shutil.rmtree(host.work / state, ignore_errors=True)
        (host.work / state).mkdir()
        chosen = host.work / f"digests-{precision}-first" / "tuning.json"
        if name != "first" and chosen.exists():
            shutil.copy(chosen, host.work / state)
        began = time.monotonic()
        if name == "resumed":
            result["killed_at_step"] = kill_in_the_middle(host, state, precision, deadline)
            words = ("resume", "last")
        else:
            words = run_words(host, precision)
        status, _ = processes.finish(host.stepwell(state, *words), log(host, precision), deadline - began, f"the {name} run")
        if status:
            raise Failure(f"the {name} run ended with {status}: {processes.last_lines(log(host, precision))}")
        outputs[name] = digests(show(host, state, precision))
        result[name] = {"seconds": round(time.monotonic() - began, 1), "digests": outputs[name]}
        part.known()
        different = sorted(key for key, value in outputs["first"].items() if outputs[name].get(key) != value)
        if different or outputs[name].keys() != outputs["first"].keys():
            raise Failure(f"the {name} run differs from the first one in {', '.join(different) or 'its outputs'}")


def log(host, precision):
    return host.log(f"digests-{precision}")


def run_words(host, precision):
    settings = [f"device={host.device}", f"precision={precision}", *host.sizes.digests]
    return ("run", host.here / WORKFLOW, *(word for setting in settings for word in ("-S", setting)))


def show(host, state, precision):
    found, _ = processes.json_of(host.stepwell(state, "show", "last"), log(host, precision), 20, "`show`")
    return found


def digests(found):
    steps = found["steps"]
    return {f"{step['id']}/{name}": output["digest"] for step in steps for name, output in step["outputs"].items()}


def kill_in_the_middle(host, state, precision, deadline):
    """Kills the engine after the first checkpoint; returns the checkpoint's training step."""
    command = host.stepwell(state, *run_words(host, precision))
    env = os.environ | {"STEPWELL_CRASH_LOOP_LIMIT": "0"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    child = processes.start(command, log(host, precision), env=env, **quiet)
    try:
        while child.poll() is None and time.monotonic() < deadline:
            if (host.work / state / "stepwell.db").exists():
                step = checkpoint(host, state)
                if step:
                    return step
            time.sleep(0.05)
    finally:
        processes.kill(child)
    raise Failure("the run to be killed ended, or made no checkpoint in time")


def checkpoint(host, state):
    """The newest checkpoint of the training, if there is one; the database may not be complete yet."""
    command = [str(word) for word in host.stepwell(state, "show", "last")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if answer.returncode:
        return None
    steps = json.loads(answer.stdout)["steps"]
    return next((step["last_step"] for step in steps if step["kind"] == "train"), None)
