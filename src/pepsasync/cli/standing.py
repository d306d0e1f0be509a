"""Where a folder stands, as its journal tells, for people and for programs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pepsasync.cli.units import show_count, show_duration, show_size
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from pepsasync.io.journal import Count, Order, Row

MOST_FAILURES = 20
"""Failures that are listed; all of them are in the report of the run."""

CURRENT = 60.0
"""Seconds after which figures of a run are no longer told as those of now."""

BAR_WIDTH = 30
"""Characters."""

WORDS = {
    "delivered": "delivered",
    "skipped": "already here",
    "downloading": "downloading",
    "staging": "waiting for tape",
    "found": "to do",
    "failed": "failed",
    "left_out": "left out, on tape",
}
"""In the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the journal says at one moment. Times are wall times in seconds since 1970."""

    directory: Path
    counts: dict[str, Count]
    orders: list[Order]
    failures: list[Row]
    owner: str | None
    """Who works in the folder now."""
    figures: dict[str, float | None]
    """Of the run under way; empty when there is none, or it has not told anything for a while."""

    @property
    def here(self) -> int:
        """Products that are on disk and verified."""
        return self.counts["delivered"].products + self.counts["skipped"].products

    @property
    def total(self) -> int:
        """Products that were ever wanted here, but those that were left out."""
        return sum(count.products for state, count in self.counts.items() if state != "left_out")

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: `products` and `bytes` by state, and what else is known."""
        return {
            "schema": 1,
            "directory": str(self.directory.absolute()),
            "states": {state: {"products": one.products, "bytes": one.bytes} for state, one in self.counts.items()},
            "is_complete": self.here == self.total > 0 and all(order.is_searched for order in self.orders),
            "searches_unfinished": sum(not order.is_searched for order in self.orders),
            "owner": self.owner,
            "speed": self.figures.get("speed"),
            "next_poll": _instant(self.figures.get("next_poll")),
            "quota_until": _instant(self.figures.get("quota_until")),
            "failures": [
                {"name": row.name, "source": row.source, "type": row.error_type, "message": row.error_message}
                for row in self.failures
            ],
        }


def read_status(directory: Path, now: float | None = None) -> Status:
    """Read the journal of a folder.

    Args:
        directory: The user's folder.
        now: Wall time, seconds since 1970.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """
    from pepsasync.io.journal import JournalReader  # noqa: PLC0415 - not needed for help

    now = time.time() if now is None else now
    with JournalReader(directory) as reader:
        owner, figures = reader.owner(), reader.now()
        updated = figures.pop("updated", None)
        is_current = owner is not None and updated is not None and abs(now - updated) < CURRENT
        return Status(
            directory,
            {state.value: count for state, count in reader.counts().items()},
            reader.orders(),
            reader.failures(MOST_FAILURES),
            str(owner) if owner else None,
            figures if is_current else {},
        )


def last_speed(directory: Path) -> float | None:
    """Bytes a second that the last run into a folder reached; None when nobody knows."""
    from pepsasync.io.journal import JournalReader  # noqa: PLC0415 - not needed for help

    try:
        with JournalReader(directory) as reader:
            return reader.now().get("speed")
    except ConfigError:
        return None


def text_lines(found: Status, now: float) -> list[str]:
    """The status in lines for people."""
    lines = [f"{found.here:,} of {show_count(found.total)} are here  {_bar(found.here, found.total)}"]
    width = max(len(words) for words in WORDS.values())
    for state, words in WORDS.items():
        count = found.counts[state]
        if count.products:
            lines.append(f"  {words:<{width}}  {count.products:>9,}  {show_size(count.bytes):>9}")
    unfinished = sum(not order.is_searched for order in found.orders)
    if unfinished:
        lines.append("the search was not finished: there may be more")
    lines += _run_lines(found, now)
    for row in found.failures:
        lines.append(f"  {row.name}: {row.error_message}")
    more = found.counts["failed"].products - len(found.failures)
    if more > 0:
        lines.append(f"  and {more:,} more that failed")
    if found.owner is None and (found.here < found.total or unfinished):
        lines.append(f"'pepsasync resume {found.directory}' goes on")
    return lines


def _run_lines(found: Status, now: float) -> list[str]:
    if found.owner is None:
        return []
    lines = [f"a run is under way: {found.owner}"]
    if speed := found.figures.get("speed"):
        lines.append(f"  {show_size(speed)}/s")
    if (poll := found.figures.get("next_poll")) and poll > now:
        lines.append(f"  next look at the tape queue in {show_duration(poll - now)}")
    if (until := found.figures.get("quota_until")) and until > now:
        lines.append(f"  the quota is used up: the next download may begin in {show_duration(until - now)}")
    return lines


def _bar(part: int, whole: int) -> str:
    filled = BAR_WIDTH * part // whole if whole else 0
    percent = f" {100 * part // whole} %" if whole else ""
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]{percent}"


def _instant(wall: float | None) -> str | None:
    return None if wall is None else f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%dT%H:%M:%SZ}"
