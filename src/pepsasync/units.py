"""Sizes and durations as users write them."""

from __future__ import annotations

import re

from pepsasync.errors import ConfigError
from pepsasync.model import Quota

MOST_DIGITS = 12
"""Of a number of products; Python refuses to read numbers of thousands of digits."""
_NUMBER = re.compile(r"^\s*([0-9]{0,20}\.?[0-9]{1,20}|[0-9]{1,20}\.)\s*([a-zA-Z]*)\s*$")

_SIZES: dict[str, int] = {"": 1, "b": 1} | {
    unit: base**power
    for power, letter in enumerate("kmgt", 1)
    for unit, base in ((letter, 1024), (f"{letter}ib", 1024), (f"{letter}b", 1000))
}

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}


def parse_size(text: str, option: str = "size") -> int:
    """Return bytes.

    Args:
        text: `500`, `10m`, `1.5GiB`, `20MB`. `k m g t` and `KiB MiB ...` count in 1024, `kB MB ...` in 1000; any case.
        option: What to name in the error.

    Raises:
        ConfigError: Not a size.
    """
    match = _NUMBER.match(text)
    if match is None or match[2].lower() not in _SIZES:
        raise ConfigError(f"{option}: {text!r} is not a size", hint="Sizes look like 500k, 10m, 2GiB or 20MB")
    return round(float(match[1]) * _SIZES[match[2].lower()])


SMALLEST = 1_000
"""Bytes, or bytes a second, below which a number without a unit was meant otherwise."""


def check_unit(size: int, text: str, option: str) -> int:
    """Return a size, unless somebody forgot its unit.

    Args:
        size: In bytes.
        text: As it was written.
        option: What to name in the error.

    Raises:
        ConfigError: It is less than 1 kB, and has no unit.
    """
    if 0 < size < SMALLEST and not text.strip()[-1].isalpha():
        number = text.strip()
        raise ConfigError(
            f"{option}: {number} would be {size} bytes, without a unit", hint=f"Write {number}m, {number}k or {number}b"
        )
    return size


def parse_duration(text: str, option: str = "duration", *, unit: float = 1.0) -> float:
    """Return seconds.

    Args:
        text: `90`, `90s`, `10m`, `2h`, `3d`; any case.
        option: What to name in the error.
        unit: Seconds that a plain number counts.

    Raises:
        ConfigError: Not a duration.
    """
    match = _NUMBER.match(text)
    if match is None or (match[2] and match[2].lower() not in _SECONDS):
        raise ConfigError(f"{option}: {text!r} is not a duration", hint="Durations look like 90s, 10m, 2h or 3d")
    return float(match[1]) * (_SECONDS[match[2].lower()] if match[2] else unit)


def parse_quota(text: str, option: str = "quota") -> Quota:
    """Return a quota.

    Args:
        text: Products and time: `50/1h`.
        option: What to name in the error.

    Raises:
        ConfigError: Not a quota.
    """
    products, slash, window = text.partition("/")
    if not slash or not products.strip().isdecimal() or len(products) > MOST_DIGITS:
        raise ConfigError(f"{option} must be products and time, such as '50/1h', not {text!r}")
    return Quota(int(products), parse_duration(window, option))
