"""Data loaders that continue in the middle of an epoch."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Mapping, Optional

from . import _loaders, _random

__all__ = ["Resumable"]


class Resumable:
    """A data loader that continues where a checkpoint was made, with the same order of data.

        loader = stepwell.data.Resumable(loader)
        state = {"model": model, "optimizer": optimizer, "loader": loader}
        step = stepwell.checkpoint.restore(state)
        while loader.epoch < epochs:
            for batch in loader:
                ...

    After a restore, the first loop continues the order of its epoch behind the batches that were used. With worker processes
    it reads those again, because the random state of a worker depends on them; `persistent_workers=True` is not exact,
    because that state then outlives an epoch.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.epoch = 0
        """Complete epochs."""
        self.used = 0
        """Batches of the current epoch that were given out."""
        self._start: Optional[Dict[str, Any]] = None
        self._continues: Optional[Mapping[str, Any]] = None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        at, self._continues = self._continues, None
        if at is None:
            self.used, self._start = 0, _loaders.start_of(self.loader)
            batches = iter(self.loader)
        else:
            self._start, now = at["start"], _random.capture()
            unread = _loaders.prepare(self.loader, at, self.used, now)
            batches = iter(self.loader)
            for _ in range(unread):
                next(batches)
            _random.restore(now)
        try:
            for batch in batches:
                self.used += 1
                yield batch
            self.epoch += 1
        finally:
            # Also when the loop is left early: the next one starts an epoch.
            self.used, self._start = 0, None

    def state_dict(self) -> Dict[str, Any]:
        at = None if self._start is None else _loaders.position(self.loader, self._start)
        return {"epoch": self.epoch, "used": self.used, "at": at}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.used, self._continues = state["epoch"], state["used"], state["at"]
