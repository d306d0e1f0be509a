"""Pauses between polls, requests and retries: pure arithmetic."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

GROWTH = 1.5
"""Factor between two pauses while nothing moves."""

LONGEST_ADVICE = 900.0
"""Seconds; longest pause between two looks at waiting products that a server's advice leads to, and the pause after a
quota about which it says nothing."""

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds; a Retry-After beyond them is taken for so many."""


def next_pause(previous: float | None, *, moved: bool, shortest: float, longest: float) -> float:
    """Seconds until the next look at the waiting products.

    Args:
        previous: The pause before this look, None for the first.
        moved: Whether this look found any product in another tier than before.
        shortest: First pause.
        longest: Longest pause.
    """
    if previous is None or moved:
        return min(shortest, longest)
    return min(max(previous * GROWTH, shortest), longest)


def jittered(seconds: float, random: float) -> float:
    """Spread waits by up to a fifth, so that many clients do not ask in step.

    Args:
        seconds: The wait.
        random: Between 0 and 1.
    """
    return seconds * (0.9 + 0.2 * random)


def parse_retry_after(
    text: str | None, now: datetime | None = None, *, milliseconds_from: float = math.inf
) -> float | None:
    """Seconds from a Retry-After header; None when it is absent or makes no sense.

    Args:
        text: A number or an HTTP date.
        now: When it came; at this moment, when absent.
        milliseconds_from: A number so large or larger is in milliseconds, in archives that have them.
    """
    text = (text or "").strip()
    try:
        value = float(text)
    except ValueError:
        return _seconds_until(text, now or datetime.now(UTC))
    if not 0 <= value < float("inf"):
        return None
    return min(value / 1000.0 if value >= milliseconds_from else value, LONGEST_RETRY_AFTER)


def _seconds_until(date: str, now: datetime) -> float | None:
    """Seconds until an HTTP date; None when it is over, which tells only that two clocks differ."""
    try:
        instant = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    left = (instant.replace(tzinfo=instant.tzinfo or UTC) - now).total_seconds()
    return min(left, LONGEST_RETRY_AFTER) if left > 0 else None


def restage_streak(asked: int) -> int:
    """Looks in a row that must find a product still on tape before it is asked for again.

    Archives forget requests (PEPS protocol notes, section 4), but asking costs them a storage call of up to 30 s, so
    the patience doubles with each request.

    Args:
        asked: Staging requests sent so far, at least 1.
    """
    return int(3 * 2 ** min(asked - 1, 10))
