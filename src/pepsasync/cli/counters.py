"""What a run has done so far, counted from its events; the displays show it."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pepsasync import events

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_LISTED = 20
"""Failures, and products left out, that are listed one by one; `--report` names them all."""

SPEED_WINDOW = 20.0
"""Seconds over which the speed is averaged."""

SAMPLE_EVERY = 0.5
"""Seconds between two samples of the received bytes; bounds the window's memory."""


@dataclass(slots=True)
class Active:
    """A product that is being downloaded, verified or unpacked."""

    name: str
    size: int | None
    received: int
    began: float
    offset: int
    """Bytes that were here before this run began with it."""
    phase: str = "downloading"


@dataclass(slots=True)
class Counters:
    """Counts of one run.

    Args:
        clock: Monotonic seconds.
    """

    clock: Callable[[], float] = time.monotonic
    expected: int = 0
    """Products that were asked for by name."""
    found: int = 0
    """Products whose delivery began."""
    found_bytes: int = 0
    tiers: Counter[str] = field(default_factory=Counter)
    searched: events.SearchFinished | None = None
    fell_short: list[events.SearchFellShort] = field(default_factory=list)
    """Searches that found far less than the archive had estimated."""
    delivered: int = 0
    skipped: int = 0
    failed: int = 0
    left_out: int = 0
    """Products on tape that this run does not wait for."""
    left_out_names: list[str] = field(default_factory=list)
    """The first `names_kept` of them."""
    superseded: int = 0
    """Products in whose place another one of the same name is brought."""
    superseded_names: list[tuple[str, str]] = field(default_factory=list)
    """Id and name of the first `names_kept` of them."""
    names_kept: int = MOST_LISTED
    done_bytes: int = 0
    """Of delivered and skipped products."""
    received_bytes: int = 0
    """That came over the network in this run."""
    waiting: dict[str, float] = field(default_factory=dict)
    """Products that wait for tape, by name: since when, on the clock."""
    active: dict[str, Active] = field(default_factory=dict)
    next_look: float | None = None
    """When the archive is asked again, on the clock."""
    quota_until: float | None = None
    """When the archive allows the next download, on the clock."""
    quota_is_asked: bool = False
    """Whether the archive is asked if it allows that earlier."""
    trouble: str | None = None
    """Why the last look at the waiting products failed."""
    last_failure: events.ProductFailed | None = None
    lost_bytes: int = 0
    """Of products that failed or are left out: they will not come in this run."""
    _sizes: dict[str, int] = field(default_factory=dict)
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def take(self, event: events.Event) -> None:  # noqa: C901 - one case a line
        """Count one event."""
        match event:
            case events.DownloadProgressed():
                self._progress(event)
            case events.ProductFound():
                self.found += 1
                self.found_bytes += event.size or 0
                self.tiers[event.tier] += 1
                self._sizes[event.name] = event.size or 0
            case events.SearchFinished():
                self.searched = event
            case events.SearchFellShort():
                self.fell_short.append(event)
            case events.TiersWatched():
                self.next_look, self.trouble = self.clock() + event.next_poll, event.error
            case events.QuotaReached():
                self.quota_until = self.clock() + event.wait
                self.quota_is_asked = event.next_look is not None
            case events.StagingRequested() | events.ProductAwaited():
                self.waiting.setdefault(event.name, self.clock())
            case events.ProductStaged():
                self.waiting.pop(event.name, None)
            case events.ProductDelivered() | events.ProductSkipped() | events.ProductFailed() | events.ProductLeftOut():
                self._finish(event)
            case events.ProductSuperseded():
                self.superseded += 1
                if len(self.superseded_names) < self.names_kept:
                    self.superseded_names.append((event.id, event.name))
            case events.ProductEvent():
                self._download(event)

    @property
    def is_incomplete(self) -> bool:
        """Whether the search has missed products, as far as is known."""
        return bool(self.fell_short or self.failed)

    @property
    def total(self) -> int:
        """Products that are wanted, as far as is known."""
        return max(self.expected, self.found, self.finished, self.searched.products if self.searched else 0)

    @property
    def total_bytes(self) -> int:
        """Of the products that are wanted, as far as is known."""
        return max(self.found_bytes, self.searched.bytes if self.searched else 0)

    @property
    def finished(self) -> int:
        """Products whose outcome is known."""
        return self.delivered + self.skipped + self.failed + self.left_out + self.superseded

    @property
    def present_bytes(self) -> int:
        """Bytes of wanted products that are on this disk."""
        return self.done_bytes + sum(download.received for download in self.active.values())

    def speed(self) -> float:
        """Bytes a second over the last `SPEED_WINDOW`; 0 when nothing came."""
        now = self.clock()
        while len(self._samples) > 1 and self._samples[1][0] < now - SPEED_WINDOW:
            self._samples.popleft()
        if not self._samples:
            return 0.0
        since, before = self._samples[0]
        return (self.received_bytes - before) / max(now - since, SAMPLE_EVERY)

    def seconds_left(self) -> float | None:
        """Until everything is here; None while it depends on tape or nothing moves."""
        speed, left = self.speed(), self.total_bytes - self.lost_bytes - self.present_bytes
        if self.waiting or self.searched is None or speed <= 0 or left <= 0:
            return None
        return left / speed

    def oldest_wait(self) -> float:
        """Seconds that the product waits that has waited longest."""
        # Insertion order is the order of the first requests.
        first = next(iter(self.waiting.values()), None)
        return self.clock() - first if first is not None else 0.0

    def _progress(self, event: events.DownloadProgressed) -> None:
        download = self.active.get(event.name)
        if download is None:
            return
        self._came(download, event.received)
        now = self.clock()
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_EVERY:
            self._samples.append((now, self.received_bytes))

    def _came(self, download: Active, received: int) -> None:
        """Count what came over the network since the last time."""
        self.received_bytes += max(0, received - download.received)
        download.received = received

    def _download(self, event: events.ProductEvent) -> None:
        """Starts, retries and phases of a download."""
        download = self.active.get(event.name)
        match event:
            case events.DownloadStarted() if download is None:
                now = self.clock()
                self.active[event.name] = Active(event.name, event.size, event.offset, now, event.offset)
            case events.DownloadStarted() if download is not None:
                # More came before the cut than was reported; other connections may be ahead of the offset.
                self._came(download, max(event.offset, download.received) if event.offset else 0)
                download.phase = "downloading"
                download.size = event.size or download.size
            case events.DownloadRetried() if download:
                download.phase = "trying again"
            case events.ProductDownloaded() if download:
                self._came(download, event.bytes)
                download.phase = "verifying"
            case events.ProductVerified() if download:
                download.phase = "finishing"

    def _finish(self, event: events.ProductEvent) -> None:
        self.waiting.pop(event.name, None)
        self.active.pop(event.name, None)
        size = self._sizes.pop(event.name, 0)
        match event:
            case events.ProductDelivered():
                self.delivered += 1
                self.done_bytes += event.bytes
            case events.ProductSkipped():
                self.skipped += 1
                self.done_bytes += event.bytes
            case events.ProductFailed():
                self.failed += 1
                self.lost_bytes += size
                self.last_failure = event
            case events.ProductLeftOut():
                self.left_out += 1
                if len(self.left_out_names) < self.names_kept:
                    self.left_out_names.append(event.name)
                self.lost_bytes += size
