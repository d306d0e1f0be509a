"""How long an order takes: pure arithmetic, honest about what is not known yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pepsasync.units import show_duration

if TYPE_CHECKING:
    from pepsasync.model import Quota

Range = tuple[float, float]
"""Low and high, in seconds."""

OVER = 3.0
"""Times the usual interval after which a rhythm is over: nothing more is known then of when products come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapePace:
    """How an archive brings products from tape, as was learned from it; None for what was not learned."""

    wait: Range | None = None
    """From the request of one product until it is online."""
    interval: Range | None = None
    """Between two products that come online, while several are awaited: the rhythm of the drives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is still to be done, and how far it has come."""

    products: int
    """Products that are not here."""
    size: int
    """Bytes of them that are still to come."""
    on_tape: int = 0
    """Products that are awaited from tape, as far as is known."""
    maybe_on_tape: int = 0
    """Further products that may be on tape."""
    waited: float = 0.0
    """Seconds since the latest request; 0 while some are still to be requested."""
    idle: float = 0.0
    """Seconds since the latest product came from tape, or since the first request."""
    is_searched: bool = True
    """Whether no further product will be found."""


CLOSE = 1.25
"""High end of a range divided by its low one, up to which one number says as much."""


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Seconds until everything is here."""

    least: float
    most: float | None
    """None when nobody can know yet."""
    unknown: tuple[str, ...] = ()
    """Why: `search`, `speed` of the line, `tape`."""

    def __str__(self) -> str:
        """`about 20 s left`, `20 min to 2 h left`, `at least 20 min left, tape not known yet`, `time left: ...`."""
        least, most = self.least, self.most
        if most is None:
            unknown = f"{' and '.join(self.unknown)} not known yet"
            return f"at least {show_duration(least)} left, {unknown}" if least >= 1 else f"time left: {unknown}"
        if most <= max(1.0, CLOSE * least):
            return f"about {show_duration((least + most) / 2)} left"
        return f"{show_duration(least)} to {show_duration(most)} left"

    def as_dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {"least": self.least, "most": self.most, "unknown": list(self.unknown)}


def time_left(
    work: Work,
    *,
    rate: float | None,
    pace: TapePace | None = None,
    quota: Quota | None = None,
    quota_wait: float = 0.0,
) -> TimeLeft:
    """How long it takes until everything is here.

    At least as long as the slowest of line, tape and quota; at most as long as the line after the slower of the others.

    Args:
        work: What is still to be done.
        rate: Bytes a second of the line; None when it was not measured.
        pace: Of the tape.
        quota: Of the account.
        quota_wait: Seconds until the account may have the next product.
    """
    if not work.products:
        return TimeLeft(0.0, 0.0) if work.is_searched else TimeLeft(0.0, None, ("search",))
    line = transfer_seconds(work.size, rate)
    tape_least, tape_most = _tape(work, pace or TapePace())
    quota_least, quota_most = _quota(work.products, quota, quota_wait)
    least = max(line or 0.0, tape_least, quota_least)
    causes = {"search": not work.is_searched, "speed": bool(work.size) and line is None, "tape": tape_most is None}
    unknown = tuple(cause for cause, is_so in causes.items() if is_so)
    most = None if unknown else (line or 0.0) + max(tape_most or 0.0, quota_most)
    return TimeLeft(least, most, unknown)


def _tape(work: Work, pace: TapePace) -> tuple[float, float | None]:
    """Seconds until the last product is online."""
    fewest, all_ = work.on_tape, work.on_tape + work.maybe_on_tape
    if not all_:
        return 0.0, 0.0
    first, most = 0.0, None
    if pace.wait:
        first = max(0.0, pace.wait[0] - work.waited)
        most = pace.wait[1] - work.waited if work.waited <= pace.wait[1] else None
    least = first if fewest else 0.0
    if pace.interval:
        low, high = pace.interval
        least = max(least, fewest * low - work.idle)
        is_over = work.idle > OVER * high + (pace.wait[1] if pace.wait else 0.0)
        most = None if is_over else first + all_ * high
    return least, most


def _quota(products: int, quota: Quota | None, wait: float) -> Range:
    least = max(wait, quota_seconds(products, quota))
    if quota is None or not (wait or products > quota.products):
        return least, wait
    return least, max(wait, quota_seconds(products, quota, left=0))


def quota_seconds(products: int, quota: Quota | None, left: int | None = None) -> float:
    """Seconds until an account may have had so many products.

    Args:
        products: To be downloaded.
        quota: Of the account; None for none.
        left: Products that it may have now; None for all of the quota.
    """
    if quota is None or products <= 0:
        return 0.0
    later = products - (quota.products if left is None else left)
    windows = -(-max(0, later) // quota.products)
    return windows * quota.seconds


def transfer_seconds(size: int, rate: float | None) -> float | None:
    """Seconds that so many bytes take; None when the rate (bytes a second) is not known."""
    return size / rate if rate else None
