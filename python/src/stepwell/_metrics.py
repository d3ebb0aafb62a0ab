"""Metrics: rows that the engine keeps by training step."""

from __future__ import annotations

import hashlib
import json
import threading
import unicodedata
import warnings
from typing import Any, Dict, Mapping, Optional

from . import _files
from ._environment import reporting_to
from ._numbers import number, whole

# Limits of the engine. It ends a step that exceeds them, so a name that does is changed or left out here.
LONGEST_NAME = 64
MOST_NAMES = 100

_lock = threading.Lock()
_names: Dict[str, Optional[str]] = {}
_last_loss: Optional[float] = None


def metrics(step: Any, values: Optional[Mapping[str, Any]] = None, /, **named: Any) -> None:
    """Adds a row to the curves of this step: `metrics(step, loss=2.5)` or `metrics(step, {"val/loss": 2.5})`.

    `step` is the number of training steps that are done. Numbers may be tensors or arrays with one element. NaN, infinity
    and None leave a gap. Call this before the `checkpoint.save` of the same step: then no row is lost or repeated, whenever
    the program is killed. Two calls for one step make one row.

    A name longer than 64 bytes is shortened, and names after the first 100 are left out; both warn once.

    Raises:
        TypeError: a value is not one number.
        ValueError: the step is not a whole number from 0 to 2^53.
    """
    row = {name: number(value, name) for name, value in {**(values or {}), **named}.items()}
    train_step = whole(step)
    if row.get("loss") is not None:
        global _last_loss
        _last_loss = row["loss"]
    path = reporting_to("STEPWELL_METRICS")
    if path is None:
        return
    with _lock:
        line: Dict[str, Any] = {"step": train_step}
        for name, value in row.items():
            known = _known(name)
            if known is not None:
                line[known] = value
        if len(line) > 1:
            _files.append(path, json.dumps(line, allow_nan=False))


def last_loss() -> Optional[float]:
    """The last `loss` that was reported."""
    return _last_loss


def _known(name: str) -> Optional[str]:
    """The name under which the engine knows a series; None if it is left out."""
    if name not in _names:
        kept = _usable(name)
        if kept is not None and sum(1 for other in _names.values() if other is not None) >= MOST_NAMES:
            warnings.warn(f"the metric {name!r} is left out: a step has at most {MOST_NAMES} names", stacklevel=3)
            kept = None
        elif kept is not None and kept != name:
            warnings.warn(f"the metric {name!r} is recorded as {kept!r}", stacklevel=3)
        _names[name] = kept
    return _names[name]


def _usable(name: str) -> Optional[str]:
    # The categories of control, invisible and unassigned characters, and of line and paragraph ends.
    visible = "".join("_" if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp") else c for c in name)
    plain = visible.strip(" ") or "_"
    if plain in ("step", "train_step"):
        plain = f"{plain}_"
    if len(plain.encode("utf-8")) > LONGEST_NAME:
        digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
        cut = plain.encode("utf-8")[: LONGEST_NAME - len(digest) - 1].decode("utf-8", "ignore")
        plain = f"{cut}~{digest}"
    return plain
