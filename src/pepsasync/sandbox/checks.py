"""Whether options make sense; the messages say which one does not, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def at_least(low: float, **options: float | None) -> None:
    """Check numbers; None stands for no limit.

    Raises:
        ValueError: One of them is below `low`.
    """
    for name, value in options.items():
        if value is not None and not value >= low:
            raise ValueError(f"{name} must be at least {low}, not {value}")


def at_most(high: float, **options: float) -> None:
    """Check numbers.

    Raises:
        ValueError: One of them is above `high`.
    """
    for name, value in options.items():
        if value > high:
            raise ValueError(f"{name} must be at most {high}, not {value}")


def above_zero(**options: float | None) -> None:
    """Check numbers; None stands for never.

    Raises:
        ValueError: One of them is zero, below, or no number.
    """
    for name, value in options.items():
        if value is not None and (math.isnan(value) or value <= 0):
            raise ValueError(f"{name} must be above 0, not {value}")


def one_of(known: Collection[str], **options: str) -> None:
    """Check names.

    Raises:
        ValueError: One of them is not `known`.
    """
    for name, value in options.items():
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
