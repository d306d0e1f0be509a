"""What a run has come to at one moment, as values: what every display of it shows, on a terminal or on a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pepsasync.display.counters import Amount
from pepsasync.limits.estimate import TimeLeft, transfer_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pepsasync.display.counters import Active, Counters

STATES = ("done", "waiting", "under way", "queued")
"""In the order in which they are shown."""

MOST_NAMES = 3
"""Waiting products that are shown by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A product whose bytes are on their way, or that is being checked."""

    name: str
    received: int
    size: int | None
    phase: str = "downloading"
    speed: float = 0.0
    """Bytes a second; 0 while nothing comes."""

    @property
    def seconds_left(self) -> float | None:
        """At this speed; None when nobody knows."""
        return transfer_seconds(max(0, self.size - self.received), self.speed) if self.size else None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A run at one moment. Sizes in bytes, times in seconds from that moment."""

    total: Amount
    """Products that are wanted, as far as is known."""
    amounts: Mapping[str, Amount]
    """By state, see `STATES`."""
    present_bytes: int
    """Bytes of wanted products that are on this disk."""
    time_left: TimeLeft
    elapsed: float | None = None
    is_searched: bool = True
    failed: int = 0
    left_out: int = 0
    finished: int = 0
    """Products whose outcome is known."""
    speed: float = 0.0
    downloads: tuple[Download, ...] = ()
    waiting_names: tuple[str, ...] = ()
    """The latest of those that wait for tape."""
    oldest_wait: float = 0.0
    next_look: float | None = None
    """Until the archive is asked again for those that wait; below 0 while it is asked."""
    trouble: str | None = None
    """Why the last look failed."""
    quota_wait: float | None = None
    """Until the archive allows the next download."""
    quota_is_asked: bool = False
    """Whether the archive is asked if it allows that earlier."""
    last_failure: str | None = None
    note: str | None = None
    """What else there is to say of the run."""

    @property
    def share(self) -> float:
        """Part of what is wanted that is here, 0 to 1: by bytes, where sizes are known."""
        return self.share_of(Amount(self.finished, self.present_bytes))

    def share_of(self, amount: Amount) -> float:
        """Part of what is wanted, 0 to 1."""
        part, total = (amount.bytes, self.total.bytes) if self.total.bytes else (amount.products, self.total.products)
        return min(1.0, part / total) if total else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "total": _amount(self.total),
            "states": {state: _amount(self.amounts[state]) for state in STATES},
            "present_bytes": self.present_bytes,
            "share": self.share,
            "time_left": self.time_left.as_dict(),
            "elapsed": self.elapsed,
            "is_searched": self.is_searched,
            "failed": self.failed,
            "left_out": self.left_out,
            "finished": self.finished,
            "speed": self.speed,
            "downloads": [
                {
                    "name": one.name,
                    "received": one.received,
                    "size": one.size,
                    "phase": one.phase,
                    "speed": one.speed,
                    "seconds_left": one.seconds_left,
                }
                for one in self.downloads
            ],
            "oldest_wait": self.oldest_wait,
            "next_look": self.next_look,
            "trouble": self.trouble,
            "quota_wait": self.quota_wait,
            "last_failure": self.last_failure,
            "note": self.note,
        }


def view_of(counters: Counters) -> View:
    """A run at this moment, from the counts of its events."""
    now = counters.clock()
    quota = counters.quota_until - now if counters.quota_until is not None else 0.0
    is_waiting = bool(counters.waiting)
    newest = list(counters.waiting)[: -MOST_NAMES - 1 : -1]
    return View(
        total=Amount(counters.total, counters.total_bytes),
        amounts=counters.amounts(),
        present_bytes=counters.present_bytes,
        time_left=counters.time_left(),
        elapsed=counters.elapsed,
        is_searched=counters.searched is not None,
        failed=counters.failed,
        left_out=counters.left_out,
        finished=counters.finished,
        speed=counters.speed(),
        downloads=tuple(_download(one, now) for one in counters.active.values()),
        waiting_names=tuple(newest),
        oldest_wait=counters.oldest_wait(),
        next_look=counters.next_look - now if is_waiting and counters.next_look is not None else None,
        trouble=counters.trouble if is_waiting else None,
        quota_wait=quota if quota > 0 else None,
        quota_is_asked=counters.quota_is_asked,
        last_failure=counters.last_failure.message if counters.last_failure else None,
    )


def _download(active: Active, now: float) -> Download:
    is_coming = active.phase == "downloading"
    speed = active.meter.rate(now) if is_coming else 0.0
    return Download(name=active.name, received=active.received, size=active.size, phase=active.phase, speed=speed)


def _amount(amount: Amount) -> dict[str, int]:
    return {"products": amount.products, "bytes": amount.bytes}
