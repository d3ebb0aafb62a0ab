"""Checkpoints, metrics and values for a Python script that runs as a step of Stepwell.

Copy this file next to your script. It needs nothing but Python, and outside of Stepwell every function does nothing
that lasts, so that the script still runs by hand.

    import stepwell

    folder = stepwell.last()                        # the newest checkpoint, or None
    if folder:
        state = torch.load(folder / "state.pt")
    for step in range(first, steps + 1):
        ...
        stepwell.metric(step, loss=loss)            # a row of `stepwell metrics`
        stepwell.progress(step, steps)
        if step % 100 == 0:
            with stepwell.save(step, loss) as folder:
                torch.save(state, folder / "state.pt")
    stepwell.value(val_loss=val_loss)               # `stepwell show`, and {{ steps.train.values.val_loss }}
    torch.save(model, stepwell.output("model.pt"))
"""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import time

_values = {}


def inside():
    """True if the script runs as a step."""
    return "STEPWELL_CHECKPOINT_DIR" in os.environ


def project():
    """The folder of the workflow file, or the current one."""
    return pathlib.Path(os.environ.get("STEPWELL_PROJECT_DIR", "."))


def attempt():
    """1 for the first attempt of the step."""
    return int(os.environ.get("STEPWELL_ATTEMPT", "1"))


def last():
    """The folder of the newest checkpoint; None if there is none."""
    folder = _path("STEPWELL_CHECKPOINT_DIR")
    return folder / "last" if folder and (folder / "last").is_dir() else None


@contextlib.contextmanager
def save(step, loss=None, phase=None):
    """Gives a folder to fill, and makes a durable checkpoint of it: `with save(step, loss) as folder: ...`.

    If the block fails, there is no checkpoint.
    """
    box = _path("STEPWELL_CHECKPOINT_DIR")
    if box is None:
        with tempfile.TemporaryDirectory() as folder:
            yield pathlib.Path(folder)
        return
    folder = box / "next"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    about = {"last_step": int(step), "loss": _number(loss), "phase": phase}
    _write(box / "next.ready", json.dumps({name: value for name, value in about.items() if value is not None}))
    while (box / "next.ready").exists():
        time.sleep(0.01)


def metric(step, **numbers):
    """Adds a row of metrics: `metric(step, loss=2.5, accuracy=0.5)`."""
    path = _path("STEPWELL_METRICS")
    row = {name: _number(number) for name, number in numbers.items()}
    row = {name: number for name, number in row.items() if number is not None}
    if path and row:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": int(step), **row}) + "\n")


def value(**values):
    """Sets values of the step, which other steps and `show` can read: numbers, text, lists, dicts."""
    path = _path("STEPWELL_VALUES")
    _values.update(values)
    if path:
        _write(path, json.dumps(_values, default=_plain))


def progress(done, total, unit="steps"):
    """Moves the progress bar of the step."""
    path = _path("STEPWELL_PROGRESS")
    if path:
        _write(path, f"{int(done)} {int(total)} {unit}")


def output(name):
    """The path to which an output of the step is written; below the current folder outside of Stepwell."""
    path = (_path("STEPWELL_OUTPUT_DIR") or pathlib.Path(".")) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _path(variable):
    path = os.environ.get(variable)
    return pathlib.Path(path) if path else None


def _number(number):
    """A float, also of a tensor; None for what JSON cannot hold."""
    if number is None:
        return None
    number = float(number.detach() if hasattr(number, "detach") else number)
    return number if number - number == 0 else None


def _plain(value):
    return value.item() if hasattr(value, "item") else str(value)


def _write(path, text):
    """Replaces the file as a whole."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
