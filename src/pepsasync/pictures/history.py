"""What became of each product of a run, and when, collected from its events and from the journal of its folder."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pepsasync import events
from pepsasync.errors import ConfigError
from pepsasync.model import DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pepsasync.folder.journal import JournalReader
    from pepsasync.folder.journal.rows import Row
    from pepsasync.model import Delivery, Product

MOST_BINS = 1_500
"""Of the throughput: when there are more, two become one."""

UNFINISHED = "unfinished"
LEFT_OUT = "left out, on tape"
HERE_BEFORE = "already here"
EARLIER = "of an earlier run"

STATES = {"delivered": "delivered", "skipped": HERE_BEFORE, "failed": "failed", "left_out": LEFT_OUT}
"""Words for the states of the journal; what is not named is unfinished."""


@dataclass(slots=True)
class Entry:
    """One product. Times are wall times in seconds since 1970."""

    name: str
    id: str = ""
    product: Product | None = None
    """As the catalogue described it."""
    state: str = UNFINISHED
    tier: str = "unknown"
    """When it was found."""
    asked: float | None = None
    """When it was asked from tape, or awaited, for the first time."""
    staged: float | None = None
    """When it was online."""
    downloads: list[tuple[float, float]] = field(default_factory=list)
    """Stretches in which bytes came."""
    begun: float | None = None
    """When the download that is under way began."""
    ended: float | None = None
    """When its outcome was known."""
    bytes: int = 0
    tries: int = 0
    path: str = ""
    source: str = ""
    error: str = ""
    """What went wrong, and what to do."""
    is_earlier: bool = False
    """Whether this run had nothing to do with it."""


@dataclass(slots=True)
class Throughput:
    """Bytes that came, by time, in bins that grow with the run."""

    width: float = 1.0
    """Seconds of a bin."""
    bins: Counter[int] = field(default_factory=Counter)
    """Bytes by number of the bin; bin N begins at N times the width, in seconds since 1970."""

    def add(self, moment: float, count: int) -> None:
        """Count bytes that came at a moment."""
        self.bins[int(moment // self.width)] += count
        while len(self.bins) > MOST_BINS:
            self.width *= 2
            merged: Counter[int] = Counter()
            for number, known in self.bins.items():
                merged[number // 2] += known
            self.bins = merged


class History:
    """Collects what a run does; memory grows with the number of its products.

    Args:
        now: Wall time, seconds since 1970.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.entries: dict[str, Entry] = {}
        """By name, in the order in which they were found."""
        self.throughput = Throughput()
        self._received: dict[str, int] = {}

    def take(self, delivery: Delivery) -> None:
        """Note an outcome with all that is known of it."""
        entry = self._entry(delivery.product.name, delivery.product.id)
        entry.product, entry.bytes, entry.source = delivery.product, delivery.bytes, delivery.source
        entry.tries = delivery.attempts
        entry.path = delivery.path.as_posix() if delivery.path else ""
        entry.state = HERE_BEFORE if delivery.status is DeliveryStatus.SKIPPED else str(delivery.status)
        entry.error = str(delivery.error) if delivery.error else ""
        self._end(entry)

    def watch(self, event: events.Event) -> None:  # noqa: C901 - one case a line
        """Note when something happens."""
        if not isinstance(event, events.ProductEvent):
            return
        if isinstance(event, events.ProductSuperseded | events.HookFailed | events.ProductMoved):
            return
        now, entry = self._now(), self._entry(event.name, event.id)
        match event:
            case events.ProductFound():
                entry.tier = event.tier
            case events.StagingRequested() | events.ProductAwaited():
                entry.asked, entry.staged = entry.asked or now, None
            case events.ProductStaged():
                entry.staged = now
            case events.DownloadStarted():
                self._pause(entry)
                entry.begun = now
                entry.tries += 1
                # Other connections may be ahead of the offset.
                before = max(event.offset, self._received.get(event.name, 0)) if event.offset else 0
                self._received[event.name] = before
            case events.DownloadProgressed():
                self._count(event.name, event.received)
            case events.DownloadRetried():
                self._pause(entry)
            case events.ProductDownloaded():
                self._count(event.name, event.bytes)
                self._received.pop(event.name, None)
                self._pause(entry)
            case events.ProductDelivered() | events.ProductSkipped():
                is_new = isinstance(event, events.ProductDelivered)
                entry.state = str(DeliveryStatus.DELIVERED) if is_new else HERE_BEFORE
                entry.bytes, entry.path = event.bytes, event.path
                self._end(entry)
            case events.ProductFailed():
                entry.state, entry.error = str(DeliveryStatus.FAILED), event.message
                self._end(entry)
            case events.ProductLeftOut():
                entry.state, entry.tier = LEFT_OUT, event.tier
                self._end(entry)

    def add_journal(self, directory: Path) -> None:
        """Add what the journal of a folder knows: earlier runs, and what this one has found and not begun.

        A folder without a journal that can be read adds nothing.
        """
        from pepsasync.folder.journal import JournalReader, State  # noqa: PLC0415 - not needed before the end

        try:
            with JournalReader(directory) as reader:
                known = set(self.entries)
                for state in State:
                    for row in (row for batch in reader.in_state(state) for row in batch):
                        self._add_row(row, is_known=row.name in known)
                self._add_times(reader, known)
        except ConfigError:
            return

    def _add_row(self, row: Row, *, is_known: bool) -> None:
        entry = self._entry(row.name, row.id)
        entry.product = entry.product or row.product
        if row.first_asked_at is not None and (entry.asked is None or row.first_asked_at < entry.asked):
            entry.asked = row.first_asked_at
        if is_known:
            return
        entry.is_earlier, entry.state = True, STATES.get(row.state, UNFINISHED)
        entry.tier, entry.bytes, entry.tries = row.tier, row.bytes or 0, row.attempts
        entry.path, entry.source = row.path or "", row.source
        entry.error = (row.error_message or row.error_type or "") if entry.state == "failed" else ""
        if entry.state == "failed":
            entry.ended = row.updated

    def _add_times(self, reader: JournalReader, known: set[str]) -> None:
        for one in (one for batch in reader.provenance() for one in batch):
            if (entry := self.entries.get(one.name)) and one.name not in known:
                entry.ended = one.came

    def _entry(self, name: str, identity: str) -> Entry:
        entry = self.entries.setdefault(name, Entry(name))
        entry.id = entry.id or identity
        return entry

    def _count(self, name: str, received: int) -> None:
        came = received - self._received.get(name, received)
        if came > 0:
            self.throughput.add(self._now(), came)
        self._received[name] = max(received, self._received.get(name, 0))

    def _pause(self, entry: Entry) -> None:
        if entry.begun is not None:
            entry.downloads.append((entry.begun, self._now()))
            entry.begun = None

    def _end(self, entry: Entry) -> None:
        self._pause(entry)
        self._received.pop(entry.name, None)
        entry.ended = entry.ended or self._now()

    def stop(self) -> None:
        """End the stretches that are open, since the run is over."""
        for entry in self.entries.values():
            self._pause(entry)
