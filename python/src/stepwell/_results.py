"""Progress, values and artifacts of the step."""

from __future__ import annotations

import json
import math
import os
import pathlib
import shutil
import time
from typing import Any, Dict, Mapping, Optional, Union

from . import _files
from ._environment import reporting_to

_Path = Union[str, "os.PathLike[str]"]

# The engine looks ten times a second.
_PAUSE = 0.05

_values: Dict[str, Any] = {}
_last_progress = -math.inf


def progress(done: Any, total: Any, message: str = "", *, unit: str = "steps") -> None:
    """Moves the progress bar of the step, from which the time left is estimated."""
    global _last_progress
    path = reporting_to("STEPWELL_PROGRESS")
    if path is None:
        return
    done, total = max(0, int(done)), max(0, int(total))
    now = time.monotonic()
    if done < total and now - _last_progress < _PAUSE:
        return
    _last_progress = now
    words = [str(done), str(total), "_".join(unit.split()) or "units", *message.split()]
    _files.replace(path, " ".join(words)[:1000] + "\n")


def values(given: Optional[Mapping[str, Any]] = None, /, **named: Any) -> None:
    """Sets values of the step: small results that `stepwell show` prints and other steps use as
    `{{ steps.NAME.values.loss }}`.

    Values may be numbers, text, lists and dicts, also of numpy and torch. NaN and infinity become null. Every attempt
    starts without values; set them at the end of the script.

    Raises:
        TypeError: a value cannot be JSON.
        ValueError: an integer does not fit in 64 bits.
    """
    plain = {str(name): _plain(value, str(name)) for name, value in {**(given or {}), **named}.items()}
    path = reporting_to("STEPWELL_VALUES")
    _values.update(plain)
    if path is not None:
        _files.replace(path, json.dumps(_values, allow_nan=False))


def artifact(name: _Path, path: Optional[_Path] = None) -> pathlib.Path:
    """Hands over an output that the workflow declares as `outputs = { model = "NAME" }`, a file or a folder.

    With `path`, takes the file or folder from there. Without, returns the path to write to:
    `torch.save(model, stepwell.artifact("model.pt"))`. Outside of Stepwell, that is `NAME` in the current folder, and
    nothing is copied.

    Raises:
        ValueError: the name is absolute or has `..`.
        FileNotFoundError: there is nothing at `path`.
    """
    relative = pathlib.PurePath(name)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise ValueError(f"the artifact {str(name)!r} needs a relative name without `..`")
    folder = reporting_to("STEPWELL_OUTPUT_DIR")
    source = None if path is None else pathlib.Path(path)
    if source is not None and not source.exists():
        raise FileNotFoundError(f"the artifact {str(name)!r} is not at `{source}`")
    if folder is None:
        target = source or pathlib.Path(relative)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
    target = folder / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    if source is not None and source.resolve() != target.resolve():
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        # A copy, because the script may go on to write to its own file.
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    return target


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, (dict, Mapping)):
        return {str(key): _plain(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, name) for item in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, (pathlib.PurePath,)):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), name)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"the value `{name}` does not fit in 64 bits: give it as text")
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    raise TypeError(f"the value `{name}` is {type(value).__name__}, which cannot be JSON")
