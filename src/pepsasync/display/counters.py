"""What a run has done so far, counted from its events; the displays show it."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pepsasync import events
from pepsasync.display.output import MOST_LISTED, ON_TAPE
from pepsasync.limits.estimate import TapePace, TimeLeft, Work, time_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.model import Quota

SPEED_WINDOW = 10.0
"""Seconds over which a speed is averaged."""

SAMPLE_EVERY = 0.5
"""Seconds between two samples of the received bytes; bounds the window's memory."""

IDLE = 3.0
"""Seconds without a byte after which nothing moves any more, and there is no speed."""


class Speedometer:
    """Bytes a second over the last `SPEED_WINDOW`, and none while nothing moves.

    Args:
        received: Bytes at the beginning.
    """

    __slots__ = ("_moved", "_samples", "moving", "received")

    def __init__(self, received: int = 0) -> None:
        self.received = received
        self.moving = 0.0
        """Seconds during which bytes came."""
        self._moved = -IDLE
        self._samples: deque[tuple[float, int]] = deque()

    def take(self, now: float, received: int) -> None:
        """Note how many bytes are here at a moment."""
        if received == self.received and self._samples:
            return
        pause = now - self._moved
        if pause > IDLE or received < self.received:
            self._samples.clear()
        elif received > self.received:
            self.moving += pause
        self._moved, self.received = now, received
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_EVERY:
            self._samples.append((now, received))
        while len(self._samples) > 1 and self._samples[1][0] <= now - SPEED_WINDOW:
            self._samples.popleft()

    def rate(self, now: float) -> float:
        """Bytes a second; 0 while nothing moves."""
        if not self._samples or now - self._moved > IDLE:
            return 0.0
        since, before = self._samples[0]
        return max(0, self.received - before) / max(now - since, SAMPLE_EVERY)


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
    meter: Speedometer = field(default_factory=Speedometer)


@dataclass(frozen=True, slots=True)
class Amount:
    """Products in one state, and their bytes."""

    products: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Counters:
    """Counts of one run.

    Args:
        clock: Monotonic seconds.
        usual_rate: Bytes a second of an earlier run; None when there was none.
        pace: Of the tape in an earlier run.
        quota: Returns that of the account.
    """

    clock: Callable[[], float] = time.monotonic
    usual_rate: float | None = None
    pace: TapePace = field(default_factory=TapePace)
    quota: Callable[[], Quota | None] = lambda: None
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
    meter: Speedometer = field(default_factory=Speedometer)
    """Of all bytes that came over the network in this run."""
    began: float = 0.0
    """When the run did, on the clock."""
    _sizes: dict[str, int] = field(default_factory=dict)
    _correction: int = 0
    """Bytes that products have beyond what was announced; fewer, where only some members of them are brought."""
    _on_tape: set[str] = field(default_factory=set)
    """Products that are on tape and not online yet, as far as is known."""
    _found_on_tape: int = 0
    _arrival: float | None = None
    """When the latest product came online."""
    _latest_request: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.clock()

    def take(self, event: events.Event) -> None:  # noqa: C901 - one case a line
        """Count one event."""
        match event:
            case events.DownloadProgressed():
                self._progress(event)
            case events.ProductFound():
                self._find(event)
            case events.SearchFinished():
                self.searched = event
            case events.SearchFellShort():
                self.fell_short.append(event)
            case events.TiersWatched():
                self._look(event)
            case events.QuotaReached():
                self.quota_until = self.clock() + event.wait
                self.quota_is_asked = event.next_look is not None
            case events.StagingRequested() | events.ProductAwaited():
                self._await(event)
            case events.ProductStaged():
                self.waiting.pop(event.name, None)
                self._on_tape.discard(event.name)
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
        return max(0, max(self.found_bytes, self.searched.bytes if self.searched else 0) + self._correction)

    @property
    def finished(self) -> int:
        """Products whose outcome is known."""
        return self.delivered + self.skipped + self.failed + self.left_out + self.superseded

    @property
    def received_bytes(self) -> int:
        """Bytes that came over the network in this run."""
        return self.meter.received

    @property
    def present_bytes(self) -> int:
        """Bytes of wanted products that are on this disk."""
        return self.done_bytes + sum(download.received for download in self.active.values())

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.clock() - self.began

    def amounts(self) -> dict[str, Amount]:
        """What is done, awaited from tape, under way, and still to be begun."""
        waiting = Amount(len(self.waiting), sum(self._sizes.get(name, 0) for name in self.waiting))
        active = Amount(len(self.active), sum(download.size or 0 for download in self.active.values()))
        products = self.total - self.finished - waiting.products - active.products
        size = self.total_bytes - self.done_bytes - self.lost_bytes - waiting.bytes - active.bytes
        return {
            "done": Amount(self.delivered + self.skipped, self.done_bytes),
            "waiting": waiting,
            "under way": active,
            "queued": Amount(max(0, products), max(0, size)),
        }

    def speed(self) -> float:
        """Bytes a second over the last `SPEED_WINDOW`; 0 when nothing comes."""
        return self.meter.rate(self.clock())

    @property
    def line_rate(self) -> float | None:
        """Bytes a second that the line brings when bytes move; None when nobody knows."""
        if speed := self.speed():
            return speed
        is_measured = self.meter.moving > SAMPLE_EVERY
        return self.meter.received / self.meter.moving if is_measured else self.usual_rate

    def time_left(self) -> TimeLeft:
        """Until everything is here, as far as is known."""
        now = self.clock()
        wait = self.quota_until - now if self.quota_until is not None else 0.0
        return time_left(
            self._work(now), rate=self.line_rate, pace=self.pace, quota=self.quota(), quota_wait=max(0.0, wait)
        )

    def _work(self, now: float) -> Work:
        to_come = self.total_bytes - self.lost_bytes - self.present_bytes
        unseen = max(0, self.total - max(self.found, self.finished))
        share = self._found_on_tape / self.found if self.found else 0.0
        first = next(iter(self.waiting.values()), now)
        return Work(
            products=max(0, self.total - self.finished),
            size=max(0, to_come),
            on_tape=len(self._on_tape),
            maybe_on_tape=math.ceil(unseen * share),
            waited=now - self._latest_request if len(self.waiting) == len(self._on_tape) and not unseen else 0.0,
            idle=now - (first if self._arrival is None else max(first, self._arrival)),
            is_searched=self.searched is not None,
        )

    def oldest_wait(self) -> float:
        """Seconds that the product waits that has waited longest."""
        # Insertion order is the order of the first requests.
        first = next(iter(self.waiting.values()), None)
        return self.clock() - first if first is not None else 0.0

    def _find(self, event: events.ProductFound) -> None:
        self.found += 1
        self.found_bytes += event.size or 0
        self.tiers[event.tier] += 1
        self._sizes[event.name] = event.size or 0
        if event.tier in ON_TAPE:
            self._found_on_tape += 1
            self._on_tape.add(event.name)

    def _await(self, event: events.ProductEvent) -> None:
        self._latest_request = self.clock()
        self.waiting.setdefault(event.name, self._latest_request)
        self._on_tape.add(event.name)

    def _look(self, event: events.TiersWatched) -> None:
        self.next_look, self.trouble = self.clock() + event.next_poll, event.error
        if event.online:
            self._arrival = self.clock()
        self.pace = TapePace(
            wait=event.usual_wait or self.pace.wait, interval=event.usual_interval or self.pace.interval
        )

    def _progress(self, event: events.DownloadProgressed) -> None:
        if download := self.active.get(event.name):
            self._came(download, event.received)

    def _came(self, download: Active, received: int) -> None:
        """Count what came over the network since the last time."""
        now = self.clock()
        self.meter.take(now, self.meter.received + max(0, received - download.received))
        download.meter.take(now, received)
        download.received = received

    def _download(self, event: events.ProductEvent) -> None:
        """Starts, retries and phases of a download."""
        if isinstance(event, events.DownloadStarted) and event.size:
            self._correct(event.name, event.size)
        download = self.active.get(event.name)
        match event:
            case events.DownloadStarted() if download is None:
                now, meter = self.clock(), Speedometer(event.offset)
                meter.take(now, event.offset)
                self.meter.take(now, self.meter.received)
                self._on_tape.discard(event.name)
                self.active[event.name] = Active(event.name, event.size, event.offset, now, event.offset, meter=meter)
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

    def _correct(self, name: str, size: int) -> None:
        """Take a size for the one that was announced."""
        if name in self._sizes:
            self._correction += size - self._sizes[name]
            self._sizes[name] = size

    def _finish(self, event: events.ProductEvent) -> None:
        self.waiting.pop(event.name, None)
        self.active.pop(event.name, None)
        self._on_tape.discard(event.name)
        if isinstance(event, (events.ProductDelivered, events.ProductSkipped)):
            self._correct(event.name, event.bytes)
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
