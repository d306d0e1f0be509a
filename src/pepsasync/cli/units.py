"""Sizes, durations and counts as they are shown."""

from __future__ import annotations

import math


def show_size(size: float) -> str:
    """Bytes for people, in powers of 1000: `0 B`, `12.3 MB`, `1.25 GB`."""
    if size < 1000:
        return f"{size:.0f} B"
    power = min(int(math.log10(size) / 3), 5)
    if round(size / 1000**power, 1) >= 1000 and power < 5:
        power += 1
    value = size / 1000**power
    return f"{value:.{1 if value >= 10 or power == 1 else 2}f} {'kMGTP'[power - 1]}B"


def show_duration(seconds: float) -> str:
    """Seconds for people, two units at most: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, smaller, smaller_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name} {rest} {smaller_name}" if rest else f"{whole // size} {name}"
    return f"{whole} s"


def show_count(number: int, word: str = "product") -> str:
    """Number and noun: `1 product`, `1,234 products`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
