"""Durable checkpoints, metrics and progress for a Python script that runs as a step of Stepwell.

    import stepwell

    state = {"model": model, "optimizer": optimizer}
    first = stepwell.checkpoint.restore(state)          # the step of the newest checkpoint, or 0
    for step in range(first + 1, steps + 1):
        ...
        stepwell.metrics(step, loss=loss)
        stepwell.checkpoint.save(step, state, every=100)

Outside of Stepwell, and in all processes of a distributed training but the first, every function does nothing, so that the
same script runs by hand. `checkpoint.last` and `checkpoint.restore` read in every process.
"""

from . import checkpoint, data
from ._environment import attempt, inside, is_main, project_dir
from ._metrics import metrics
from ._results import artifact, progress, values
from ._signals import stop_requested

__version__ = "0.1.0"

__all__ = [
    "artifact",
    "attempt",
    "checkpoint",
    "data",
    "inside",
    "is_main",
    "metrics",
    "progress",
    "project_dir",
    "stop_requested",
    "values",
]
