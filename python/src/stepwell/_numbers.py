"""Numbers of any library as plain Python ones."""

from __future__ import annotations

import math
from typing import Any, Optional

LAST_STEP = 2**53


def whole(step: Any, what: str = "the step") -> int:
    """A step as an `int`.

    Raises:
        TypeError: it is no number.
        ValueError: it has a fraction, or is not between 0 and 2^53.
    """
    try:
        number = int(step)
        fits = number == step and 0 <= number <= LAST_STEP
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{what} is {step!r}, not a whole number") from error
    if not fits:
        raise ValueError(f"{what} is {step!r}, not a whole number from 0 to 2^53")
    return number


def number(value: Any, name: str) -> Optional[float]:
    """A finite number, also of an array or tensor with one element; None for NaN, infinity and None.

    Raises:
        TypeError: it is no number.
    """
    if value is None:
        return None
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError("it is text")
        # A scalar of numpy, torch or jax; converts without a warning about gradients.
        plain = value.item() if hasattr(value, "item") else value
        result = float(plain)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise TypeError(f"`{name}` is {type(value).__name__}, not one number") from error
    return result if math.isfinite(result) else None
