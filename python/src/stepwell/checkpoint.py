"""Durable checkpoints of a script: after `save` has returned, neither `kill -9` nor a power cut loses it.

`save` takes

- a dict of plain data, arrays of numpy, tensors of torch, and objects with a `state_dict` method. It is stored as JSON and
  safetensors; nothing is pickled, so reading one runs no code. The random generators of Python, numpy and torch go with it.
- a folder, whose files are linked or copied, or
- a function that gets a folder and writes into it.

`restore` and `last` give the newest one back.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import shutil
import time
from typing import Any, Callable, Dict, Mapping, MutableMapping, Optional, Union

from . import _files, _random, _signals, _state
from ._environment import is_main, location, reporting_to
from ._metrics import last_loss
from ._numbers import number, whole

__all__ = ["Checkpoint", "folder", "last", "restore", "save"]

State = Union[Mapping[str, Any], str, "os.PathLike[str]", Callable[[pathlib.Path], Any]]

# Written by this package into every checkpoint.
_ABOUT = "stepwell.json"
_RANDOM = "stepwell-random"
_SCHEMA = 1
# Seconds to wait for the engine once it has asked the program to stop; it takes an announced checkpoint at the end, too.
_LAST_WAIT = 2


class Checkpoint:
    """The checkpoint from which this attempt continues."""

    def __init__(self, folder: pathlib.Path) -> None:
        """
        Raises:
            ValueError: the checkpoint is from a newer version of this package.
        """
        about = folder / _ABOUT
        known: Dict[str, Any] = json.loads(about.read_text(encoding="utf-8")) if about.exists() else {}
        if known.get("schema", _SCHEMA) > _SCHEMA:
            raise ValueError(f"the checkpoint `{folder}` is from a newer version of the package `stepwell`")
        self.folder = folder
        """Its files."""
        self.step: int = known.get("step", 0)
        """The training steps that were done."""
        self.state = _state.read(folder)
        """What `save` was given, if that was a dict. Tensors are on the CPU."""

    def __getitem__(self, key: str) -> Any:
        if self.state is None:
            raise KeyError(f"{key}: the checkpoint was not saved from a dict; its files are in `{self.folder}`")
        return self.state[key]

    def __contains__(self, key: object) -> bool:
        return self.state is not None and key in self.state

    def restore_random(self) -> None:
        """Sets the random generators of Python, numpy and torch to where they were. Call it just before the training loop:
        to build a model draws random numbers. Does nothing in a process of a rank above 0, whose generators were not saved.
        """
        random = _state.read(self.folder / _RANDOM) if is_main() else None
        if random is not None:
            _random.restore(random)


def last() -> Optional[Checkpoint]:
    """The newest checkpoint; None if there is none, and outside of Stepwell."""
    found = _last()
    return None if found is None else Checkpoint(found)


def folder() -> Optional[str]:
    """The folder of the newest checkpoint, for a library that takes one: `trainer.train(resume_from_checkpoint=...)`."""
    found = _last()
    return None if found is None else str(found)


def restore(state: MutableMapping[str, Any]) -> int:
    """Brings the newest checkpoint back into `state`, and returns its step; 0 if there is none.

    A value with a `load_state_dict` method, such as a model or an optimizer, is loaded in place; any other value is
    replaced. The random generators are set to where they were, so call this just before the training loop.

    Raises:
        KeyError: the checkpoint lacks a key of `state`, because the script has changed. To start over, run it without the
            checkpoint: `stepwell rerun`.
    """
    found = last()
    if found is None:
        return 0
    missing = [key for key in state if key not in found]
    if missing:
        raise KeyError(f"the checkpoint of step {found.step} lacks {', '.join(map(repr, missing))}")
    for key, value in list(state.items()):
        if hasattr(value, "load_state_dict"):
            value.load_state_dict(found[key])
        else:
            state[key] = found[key]
    found.restore_random()
    return found.step


def save(
    step: Any,
    state: State,
    *,
    every: int = 1,
    loss: Any = None,
    tokens: Any = None,
    phase: Optional[str] = None,
    wait: bool = True,
) -> None:
    """Makes a durable checkpoint, and waits until it is. Does nothing outside of Stepwell.

    `step` is the number of training steps that are done. With `every=100`, only steps 100, 200, .. are saved, and
    the first one after the engine has asked the program to stop. `loss` (by default the last one given to
    `metrics`), `tokens` and `phase` are shown to people. With
    `wait=False`, the checkpoint becomes durable while the script continues; the next `save` waits for it.

    If the engine has asked the program to stop (see `stop_requested`), this ends it with `SystemExit` once the checkpoint is
    safe. If the state cannot be written, the checkpoint before stays the newest.

    Raises:
        TypeError: the state has something that is neither plain data nor an array.
        ValueError: the step is not a whole number, or `every` is not at least 1.
        OSError: the disk is full, or the folder cannot be read.
    """
    shown = last_loss() if loss is None else number(loss, "loss")
    about: Dict[str, Any] = {"last_step": whole(step), "loss": shown, "phase": phase}
    if every < 1:
        raise ValueError("`every` must be at least 1")
    if tokens is not None:
        about["tokens_so_far"] = whole(tokens, "the number of tokens")
    box = reporting_to("STEPWELL_CHECKPOINT_DIR")
    if box is None:
        return
    if about["last_step"] % every != 0 and not _signals.stop_requested():
        return
    if hasattr(state, "state_dict"):
        raise TypeError(f"the state is {type(state).__name__}: give `save` a dict, such as {{'model': model}}")
    _wait(box)
    following = box / "next"
    _remove(following)
    try:
        following.mkdir()
        # The script may change its own files before the engine has read them, unless it waits.
        place = _files.link_folder if wait else _files.copy_folder
        _fill(following, about["last_step"], state, place)
    except BaseException:
        shutil.rmtree(following, ignore_errors=True)
        raise
    _files.replace(box / "next.ready", json.dumps({name: value for name, value in about.items() if value is not None}))
    if _signals.is_stopping():
        # The engine takes a checkpoint that was announced before the program ended.
        _signals.leave()
    if wait:
        _wait(box)


def _fill(target: pathlib.Path, step: int, state: State, place: Callable[[pathlib.Path, pathlib.Path], None]) -> None:
    if callable(state):
        state(target)
    elif isinstance(state, Mapping):
        _state.write(target, state)
    else:
        source = pathlib.Path(state)
        if not source.is_dir():
            raise NotADirectoryError(f"`{source}` is no folder to make a checkpoint of")
        place(source, target)
    random = target / _RANDOM
    random.mkdir(exist_ok=True)
    _state.write(random, _random.capture())
    # Not to the end of a linked file, which would change the original.
    _files.replace(target / _ABOUT, json.dumps({"schema": _SCHEMA, "step": step}))


def _wait(box: pathlib.Path) -> None:
    """Waits until the engine has taken the announced checkpoint."""
    pause, deadline = 0.001, math.inf
    while os.path.lexists(box / "next.ready"):
        if _signals.is_stopping():
            deadline = min(deadline, time.monotonic() + _LAST_WAIT)
        if time.monotonic() > deadline:
            _signals.leave()
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _last() -> Optional[pathlib.Path]:
    box = location("STEPWELL_CHECKPOINT_DIR")
    return box / "last" if box is not None and (box / "last").is_dir() else None


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
