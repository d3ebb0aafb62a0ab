"""State of the random generators that a training script uses."""

from __future__ import annotations

import random
import sys
from typing import Any, Dict, Mapping


def capture(*, devices: bool = True) -> Dict[str, Any]:
    """The state of Python's generator, and of numpy's and torch's if the script has imported them; of accelerators only
    with `devices`, because that waits for their work."""
    state: Dict[str, Any] = {"python": random.getstate()}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        state["numpy"] = numpy.random.get_state()
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_rng_state"):
        state["torch"] = torch.get_rng_state()
        if devices and torch.cuda.is_available() and torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
        mps = getattr(torch, "mps", None)
        if devices and mps is not None and torch.backends.mps.is_available():
            state["mps"] = mps.get_rng_state()
    return state


def restore(state: Mapping[str, Any]) -> None:
    """Sets the generators to a captured state."""
    random.setstate(state["python"])
    if "numpy" in state:
        import numpy

        numpy.random.set_state(state["numpy"])
    if "torch" not in state:
        return
    import torch

    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        for device, device_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(device_state, device)
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
