"""What the engine tells a program: its variables, and the place of this process among others."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Optional

# Pairs of rank and number of processes: torchrun and accelerate, Open MPI, MPICH, srun.
_RANKS = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


def inside() -> bool:
    """True if this program runs as a step of Stepwell."""
    return "STEPWELL_CHECKPOINT_DIR" in os.environ


def attempt() -> int:
    """1 in the first attempt of the step, and outside of Stepwell."""
    return _integer("STEPWELL_ATTEMPT", 1)


def project_dir() -> pathlib.Path:
    """The folder of the workflow file; outside of Stepwell, the current one."""
    return location("STEPWELL_PROJECT_DIR") or pathlib.Path(".")


def is_main() -> bool:
    """True in a program of one process, and in the process of rank 0 of a distributed training."""
    return _rank() == 0


def location(variable: str) -> Optional[pathlib.Path]:
    """The path that a variable holds, if it is set."""
    path = os.environ.get(variable)
    return pathlib.Path(path) if path else None


def reporting_to(variable: str) -> Optional[pathlib.Path]:
    """The path that a variable holds, in the one process that reports to the engine."""
    return location(variable) if is_main() else None


def _rank() -> int:
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    for rank, size in _RANKS:
        if _integer(size, 1) > 1:
            return _integer(rank, 0)
    return 0


def _integer(variable: str, default: int) -> int:
    try:
        return int(os.environ[variable])
    except (KeyError, ValueError):
        return default
