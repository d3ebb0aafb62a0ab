"""Where a torch data loader stands, and how the next iterator continues there.

In a loader without workers, the data draw from the generators of the training itself, in turn with it. So each fetch has a
random state of its own, and a library may have fetched a batch that was not used yet.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from . import _random

_RECORD = "_stepwell_record"
# Batches that a library may have fetched ahead. Accelerate and Lightning fetch one.
_AHEAD = 4


class Record:
    """What the current iterator of a loader has fetched."""

    def __init__(self) -> None:
        self.order: Optional[Dict[str, Any]] = None
        """The random state from which the sampler takes its order."""
        self.fetches: List[Tuple[int, Dict[str, Any]]] = []
        """The newest fetches: number of the batch, and random state before it."""
        self.replay: Optional[Tuple[Mapping[str, Any], int, Mapping[str, Any]]] = None
        """Position, number of used batches and random state with which the next iterator continues."""

    def started(self) -> Iterator[None]:
        self.order, self.fetches, number = _random.capture(devices=False), [], 0
        while True:
            yield
            self.fetches = [*self.fetches[1 - _AHEAD :], (number, _random.capture(devices=False))]
            number += 1


def watch(loader: Any) -> Optional[Record]:
    """Records the fetches of a loader; None if it is no torch loader."""
    sampler = getattr(_torch_loader(loader), "_index_sampler", None)
    if sampler is None:
        return None
    record = getattr(sampler, _RECORD, None)
    if record is None:
        known = type(sampler)
        try:
            sampler.__class__ = type(known.__name__, (known,), {"__iter__": _recorded(known)})
            setattr(sampler, _RECORD, Record())
        except (AttributeError, TypeError):
            return None
    found: Optional[Record] = getattr(sampler, _RECORD, None)
    return found


def start_of(loader: Any) -> Dict[str, Any]:
    """The random state with which an iterator of a loader starts. Call this before `iter`."""
    watch(loader)
    return {"random": _random.capture(), "generators": [generator.get_state() for generator in _generators(loader)]}


def position(loader: Any, start: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """Where the newest iterator of a loader stands."""
    record = watch(loader)
    if record is None:
        return {"start": start}
    return {"start": start, "order": record.order, "fetches": record.fetches}


def rewind(loader: Any, at: Mapping[str, Any]) -> None:
    """Sets the random state with which the iterator of a position started."""
    _random.restore(at["start"]["random"])
    for generator, state in zip(_generators(loader), at["start"]["generators"]):
        generator.set_state(state)


def prepare(loader: Any, at: Mapping[str, Any], used: int, now: Mapping[str, Any]) -> int:
    """Lets the next iterator of a loader continue at a position. Returns how many batches must be read from it first.

    Without workers, the batches before are not read. With workers, they are: the random state of a worker depends on them.
    When the iterator stands there, restore `now`.
    """
    rewind(loader, at)
    record = watch(loader)
    if record is None or at.get("order") is None or not _draws_in_turn(loader):
        return used
    record.replay = (at, used, now)
    return 0


def _recorded(known: Any) -> Any:
    def __iter__(sampler: Any) -> Iterator[Any]:
        record: Record = getattr(sampler, _RECORD)
        replay, record.replay = record.replay, None
        if replay is None:
            recording = record.started()
            next(recording)
            for indices in known.__iter__(sampler):
                next(recording)
                yield indices
        else:
            yield from _replayed(record, known.__iter__, sampler, *replay)

    return __iter__


def _replayed(
    record: Record, iterate: Any, sampler: Any, at: Mapping[str, Any], used: int, now: Mapping[str, Any]
) -> Iterator[Any]:
    _random.restore(at["order"])
    record.order, record.fetches = dict(at["order"]), []
    fetches = {number: state for number, state in at["fetches"]}
    is_new = False
    for number, indices in enumerate(iterate(sampler)):
        if number < used:
            continue
        if number in fetches:
            _random.restore(fetches[number])
        elif not is_new:
            # From here on, the training and its data draw in turn as they would have done.
            _random.restore(now)
            is_new = True
        record.fetches = [*record.fetches[1 - _AHEAD :], (number, _random.capture(devices=False))]
        yield indices
    if not is_new:
        _random.restore(now)


def _draws_in_turn(loader: Any) -> bool:
    """True for a loader that fetches from a map in this process."""
    torch_loader = _torch_loader(loader)
    # `_DatasetKind.Map`. An iterable dataset has `__getitem__`, too.
    return bool(torch_loader.num_workers == 0 and torch_loader._dataset_kind == 0)


def _torch_loader(loader: Any) -> Any:
    return getattr(loader, "base_dataloader", loader)


def _generators(loader: Any) -> List[Any]:
    """The generators of their own that a torch loader and its samplers have."""
    sampler = getattr(loader, "sampler", None)
    batch_sampler = getattr(loader, "batch_sampler", None)
    inner = getattr(batch_sampler, "batch_sampler", None)
    found: List[Any] = []
    for holder in (loader, sampler, batch_sampler, getattr(batch_sampler, "sampler", None), getattr(inner, "sampler", None)):
        generator = getattr(holder, "generator", None)
        if hasattr(generator, "set_state") and all(generator is not other for other in found):
            found.append(generator)
    return found
