"""Sizes, durations and counts as commands show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.units import show_count, show_duration, show_size

if TYPE_CHECKING:
    from pepsasync.limits.estimate import TimeLeft

__all__ = ["show_count", "show_duration", "show_size", "time_left_words"]

CLOSE = 1.25
"""High end of a range divided by its low one, up to which one number says as much."""


def time_left_words(left: TimeLeft) -> str:
    """`about 20 s left`, `20 min to 2 h left`, `at least 20 min left, tape not known yet`, `time left: ...`."""
    if left.most is None:
        unknown = f"{' and '.join(left.unknown)} not known yet"
        return f"at least {show_duration(left.least)} left, {unknown}" if left.least >= 1 else f"time left: {unknown}"
    if left.most <= max(1.0, CLOSE * left.least):
        return f"about {show_duration((left.least + left.most) / 2)} left"
    return f"{show_duration(left.least)} to {show_duration(left.most)} left"
