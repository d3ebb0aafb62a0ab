"""SIGTERM, by which the engine asks a program to stop."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, NoReturn, Optional

from ._environment import inside

# What a shell reports for a program that SIGTERM has ended.
EXIT_CODE = 128 + int(signal.SIGTERM)

_requested = False
# The process that has the handler.
_owner: Optional[int] = None
_previous: Any = None


def stop_requested() -> bool:
    """True once the engine has asked this program to stop: save a checkpoint then.

    The first call makes SIGTERM wait for you: 8 seconds later, the engine kills the program. `checkpoint.save` ends it as
    soon as the checkpoint is safe. A script that never calls this ends at once on SIGTERM, as usual. Outside of Stepwell,
    and in a thread other than the main one, nothing changes.
    """
    global _owner, _previous
    if inside() and _owner is None and threading.current_thread() is threading.main_thread():
        _owner = os.getpid()
        _previous = signal.signal(signal.SIGTERM, _handle)
    return _requested


def is_stopping() -> bool:
    """True if a stop was requested, without a handler of its own."""
    return _requested


def leave() -> NoReturn:
    """Ends the program, after its last checkpoint."""
    raise SystemExit(EXIT_CODE)


def _handle(number: int, frame: Any) -> None:
    global _requested
    again, _requested = _requested, True
    if callable(_previous):
        _previous(number, frame)
    elif again:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _in_child() -> None:
    """A forked process, such as a worker of a data loader, ends on SIGTERM as if this package did not exist."""
    global _owner, _requested
    if _owner is not None:
        signal.signal(signal.SIGTERM, _previous if _previous is not None else signal.SIG_DFL)
        _owner, _requested = None, False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
