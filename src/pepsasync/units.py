"""Sizes and durations as users write them, and as they are shown."""

from __future__ import annotations

import math
import re

from pepsasync.errors import ConfigError
from pepsasync.model import Quota, Shard

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
            f"{option}: {number} without a unit would be {size} bytes", hint=f"Write {number}m, {number}k or {number}b"
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


def parse_shard(text: str, option: str = "shard") -> Shard:
    """Return a part of an order.

    Args:
        text: Number and count: `2/8`.
        option: What to name in the error.

    Raises:
        ConfigError: Not a part.
    """
    number, slash, count = (word.strip() for word in text.partition("/"))
    if not slash or not all(word.isascii() and word.isdecimal() and len(word) <= 6 for word in (number, count)):
        raise ConfigError(f"{option} must be a part and the number of parts, such as '2/8', not {text!r}")
    return Shard(int(number), int(count))


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
