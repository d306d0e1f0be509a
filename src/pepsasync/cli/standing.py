"""Where a folder stands, as its journal tells."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.folder.layout import Folder
from pepsasync.limits.estimate import transfer_seconds

if TYPE_CHECKING:
    from pathlib import Path

    from pepsasync.folder.journal import Count, JournalReader, Order, Owner, Row

MOST_FAILURES = 20
"""Failures that are listed unless all are asked for."""

MOST_WAITING = 1_000
"""Products waiting for tape among which the oldest is looked for: they wait in the order in which they were found."""

CURRENT = 30.0
"""Seconds after which the speed of a run is no longer told as that of now."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the journal says at one moment. Times are wall times in seconds since 1970."""

    directory: Path
    counts: dict[str, Count]
    orders: list[Order]
    """Oldest first; of the same order given several times the last."""
    failures: list[Row]
    waiting_longest: Row | None
    """Of the products that wait for tape, as far as it is known when they were asked for."""
    owner: str | None
    """Who works in the folder now."""
    figures: dict[str, float | None]
    """Of the run under way, as far as they hold now."""
    part_bytes: int
    """Bytes of products that are not complete yet."""
    gone: Count
    """Products that were delivered and are not there any more, or not as they were noted; in no state of `counts`."""

    @property
    def here(self) -> int:
        """Products that are on disk and verified."""
        return self.counts["delivered"].products + self.counts["skipped"].products

    @property
    def here_bytes(self) -> int:
        """Bytes of these."""
        return self.counts["delivered"].bytes + self.counts["skipped"].bytes

    @property
    def present_bytes(self) -> int:
        """Bytes that are on the disk, verified or not."""
        return min(self.here_bytes + self.part_bytes, self.total_bytes)

    @property
    def share(self) -> float:
        """Part of what is wanted that is here, by bytes where sizes are known; below 1 until everything is verified."""
        here, total = (self.present_bytes, self.total_bytes) if self.total_bytes else (self.here, self.total)
        return min(here / total, 1.0 if self.here == self.total else 0.99) if total else 0.0

    @property
    def total(self) -> int:
        """Products that were ever wanted here, but those that were left out."""
        return self.gone.products + sum(one.products for state, one in self.counts.items() if state != "left_out")

    @property
    def total_bytes(self) -> int:
        """Bytes of these."""
        return self.gone.bytes + sum(one.bytes for state, one in self.counts.items() if state != "left_out")

    @property
    def searches_unfinished(self) -> int:
        """Orders whose search was cut short."""
        return sum(not order.is_searched for order in self.orders)

    @property
    def is_complete(self) -> bool:
        """Whether all searches are finished, and everything wanted is here; also where nothing matched."""
        return self.here == self.total and bool(self.total or self.orders) and not self.searches_unfinished

    @property
    def seconds_left(self) -> float | None:
        """That the downloads take at least at the speed of now; None while it depends on tape or nothing moves."""
        if self.counts["staging"].products or self.searches_unfinished:
            return None
        to_come = self.counts["found"].bytes + self.counts["downloading"].bytes - self.part_bytes
        return transfer_seconds(max(0, to_come), self.figures["speed"])

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; the keys are explained in `docs/journal.md`."""
        waiting = self.waiting_longest
        return {
            "schema": 1,
            "directory": str(self.directory.absolute()),
            "orders": [_order(order) for order in self.orders],
            "states": {state: {"products": one.products, "bytes": one.bytes} for state, one in self.counts.items()},
            "gone": {"products": self.gone.products, "bytes": self.gone.bytes},
            "part_bytes": self.part_bytes,
            "is_complete": self.is_complete,
            "searches_unfinished": self.searches_unfinished,
            "owner": self.owner,
            "speed": self.figures["speed"],
            "seconds_left": self.seconds_left,
            "next_poll": _instant(self.figures["next_poll"]),
            "quota_until": _instant(self.figures["quota_until"]),
            "waiting_longest": waiting and {"name": waiting.name, "since": _instant(waiting.first_asked_at)},
            "failures": [
                {"name": row.name, "source": row.source, "type": row.error_type, "message": row.error_message}
                for row in self.failures
            ],
        }


def read_status(directory: Path, now: float | None = None, *, all_failures: bool = False) -> Status:
    """Read the journal of a folder.

    Args:
        directory: The user's folder.
        now: Wall time, seconds since 1970.
        all_failures: Not only the latest.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415 - not needed for help

    now = time.time() if now is None else now
    with JournalReader(directory) as reader:
        owner, counts = reader.owner(), {state.value: count for state, count in reader.counts().items()}
        counts, lost = _without_gone(reader, counts)
        return Status(
            directory,
            counts,
            _latest(reader.orders()),
            _all_failures(reader) if all_failures else reader.failures(MOST_FAILURES),
            _waiting_longest(reader),
            str(owner) if owner else None,
            _current(reader.now(), owner, now, is_downloading=counts["downloading"].products > 0),
            _part_bytes(directory),
            lost,
        )


def _without_gone(reader: JournalReader, counts: dict[str, Count]) -> tuple[dict[str, Count], Count]:
    """Counts of what is there as the journal says, and of what is not."""
    from pepsasync.cli.leftover import gone  # noqa: PLC0415
    from pepsasync.folder.journal import Count  # noqa: PLC0415

    products, size = 0, 0
    for one in gone(reader):
        products, size = products + 1, size + one.counted
        count = counts[one.state]
        counts[one.state.value] = Count(max(0, count.products - 1), max(0, count.bytes - one.counted))
    return counts, Count(products, size)


def _part_bytes(directory: Path) -> int:
    """Bytes in parts and their segments, which a run may finish meanwhile."""
    parts, size = Folder(directory).parts, 0
    for path in (*parts.glob("*.part"), *parts.glob("*.segments/*")):
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def last_speed(directory: Path) -> float | None:
    """Bytes a second that the last run into a folder reached; None when nobody knows."""
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415 - not needed for help

    try:
        with JournalReader(directory) as reader:
            return reader.now().get("speed")
    except ConfigError:
        return None


def _current(
    noted: dict[str, float | None], owner: Owner | None, now: float, *, is_downloading: bool
) -> dict[str, float | None]:
    """Figures that hold now: those of the run under way, a fresh speed, instants that are still to come."""
    figures: dict[str, float | None] = dict.fromkeys(("speed", "next_poll", "quota_until"))
    updated = noted.get("updated")
    if owner is None or updated is None or updated < owner.since:
        return figures
    if is_downloading and abs(now - updated) < CURRENT:
        figures["speed"] = noted.get("speed")
    for name in ("next_poll", "quota_until"):
        value = noted.get(name)
        figures[name] = value if value is not None and value > now else None
    return figures


def _latest(orders: list[Order]) -> list[Order]:
    """Of orders that ask the same archives for the same, the last; finished when one of them is."""
    latest: dict[tuple[str, tuple[str, ...]], Order] = {}
    for order in orders:
        key = str(order.wanted), order.providers
        before = latest.pop(key, order)
        latest[key] = replace(order, is_searched=order.is_searched or before.is_searched)
    return list(latest.values())


def _all_failures(reader: JournalReader) -> list[Row]:
    """Every product that failed, the latest recorded first, without what only a run needs."""
    from pepsasync.folder.journal import State  # noqa: PLC0415

    rows = [replace(row, product=None) for batch in reader.in_state(State.FAILED) for row in batch]
    return rows[::-1]


def _waiting_longest(reader: JournalReader) -> Row | None:
    from pepsasync.folder.journal import State  # noqa: PLC0415

    batch = next(reader.in_state(State.STAGING, batch=MOST_WAITING), [])
    asked = [row for row in batch if parse_wall(row.first_asked_at) is not None]
    return min(asked, key=lambda row: row.first_asked_at or 0.0, default=None)


def _order(order: Order) -> dict[str, Any]:
    from pepsasync.cli.order_words import order_words  # noqa: PLC0415

    return {
        "words": order_words(order.wanted),
        "providers": [str(name) for name in order.providers],
        "created": _instant(order.created),
        "is_searched": order.is_searched,
    }


def parse_wall(wall: Any) -> datetime | None:
    """A wall time of the journal as an instant; None where it holds none, also because it is damaged."""
    try:
        return None if wall is None else datetime.fromtimestamp(wall, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _instant(wall: float | None) -> str | None:
    instant = parse_wall(wall)
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}" if instant else None
