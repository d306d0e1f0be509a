"""Progress as plain lines: for logs, pipes and terminals that are none."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from pepsasync import events
from pepsasync.display.counters import Counters
from pepsasync.display.output import NORMAL, QUIET, SPARE, TIER_WORDS, VERBOSE
from pepsasync.units import show_count, show_duration, show_size

if TYPE_CHECKING:
    from collections.abc import Callable

SAME_NEWS_EVERY = 30.0
"""Seconds before a line that says nothing new is said again."""

COUNTED_AFTER = 2.0
"""Seconds for which products without work and staging requests are gathered into one line."""

SHORT = 1.0
"""Seconds of waiting that are not worth a line."""


class Lines:
    """Writes one line for each thing that matters.

    Products that need no work and staging requests are counted for a while, and reported together before the next line.

    Args:
        write: Takes one line of text.
        level: How much is reported, `QUIET` to `VERBOSE`.
        counters: Counts of the run.
        is_summed_up: Whether lines tell now and then how far the run is; not beside a display that shows it.
        now: Time of day, for the beginning of each line.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        level: int = NORMAL,
        counters: Counters | None = None,
        is_summed_up: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.counters = counters or Counters()
        self._write = write
        self._level = level
        self._now = now
        self._is_summed_up = is_summed_up
        self._requested = 0
        self._skipped = 0
        self._is_found_reported = False
        self._quota_reported_until = -math.inf
        self._waiting_reported: tuple[object, ...] = ()
        self._waiting_reported_at = self._bytes_reported_at = self._counted_reported_at = self.counters.clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.flush()

    def take(self, event: events.Event) -> None:
        """Count an event and report what is worth it."""
        began = self.counters.active.get(event.name) if isinstance(event, events.ProductDelivered) else None
        self.counters.take(event)
        self._report_found(event)
        if isinstance(event, (events.ProductDelivered, events.ProductFailed)):
            self._report_counted()
        match event:
            case events.DownloadProgressed():
                self._report_bytes()
            case events.ProductFailed():
                self._report(f"failed {self._count()} {event.message}", QUIET)
            case events.ProductDelivered():
                seconds = self.counters.clock() - began.began if began else 0.0
                came = event.bytes - began.offset if began else 0
                speed = f", {show_size(came / seconds)}/s" if seconds > 0 and came > 0 else ""
                self._report(f"delivered {self._count()} {event.name}, {show_size(event.bytes)}{speed}")
            case events.ProductSkipped():
                self._skipped += 1
            case events.StagingRequested() if event.times == 1 and self._is_summed_up:
                self._requested += 1
            case events.TiersWatched() if event.looked:
                self._report_waiting(event)
            case (
                events.QuotaReached()
                | events.HookFailed()
                | events.Noticed()
                | events.SearchFellShort()
                | events.ProductSuperseded()
            ):
                self._report_note(event)
            case events.DownloadRetried():
                text = f"trying again {event.name} in {show_duration(event.wait)}: {event.error}"
                self._report(text, NORMAL if self._is_summed_up else VERBOSE)
            case _:
                self._report_step(event)

    def flush(self) -> None:
        """Report what was only counted so far."""
        self._counted_reported_at = self.counters.clock()
        skipped, self._skipped = self._skipped, 0
        requested, self._requested = self._requested, 0
        if skipped:
            self._report(f"already here: {show_count(skipped)}, complete and verified ({self._count()} done)")
        if requested:
            self._report(f"staging requested for {show_count(requested)}")

    def _report(self, text: str, level: int = NORMAL) -> None:
        if level <= self._level:
            self._write(f"{self._now():%Y-%m-%dT%H:%M:%SZ} {text}")

    def _count(self) -> str:
        return f"{self.counters.finished}/{self.counters.total}"

    def _report_found(self, event: events.Event) -> None:
        """Report what was found, as soon as the storage tier of every product is known or work has begun."""
        searched = self.counters.searched
        if self._is_found_reported or searched is None:
            return
        is_complete = self.counters.found + self.counters.superseded >= searched.products
        if is_complete or not isinstance(event, (events.SearchFinished, events.ProductFound, events.StagingRequested)):
            self._is_found_reported = True
            if not searched.products and self.counters.expected:
                return  # each name that is unknown is reported as a failure
            self._report(found_words(searched, self.counters.tiers if is_complete else {}))

    def _report_counted(self) -> None:
        if self.counters.clock() - self._counted_reported_at >= COUNTED_AFTER:
            self.flush()

    def _report_waiting(self, event: events.TiersWatched) -> None:
        if not self._is_summed_up:
            return
        news = (event.waiting, event.error)
        since = self.counters.clock() - self._waiting_reported_at
        if not event.waiting or (news == self._waiting_reported and since < SAME_NEWS_EVERY):
            return
        self._waiting_reported, self._waiting_reported_at = news, self.counters.clock()
        self.flush()
        trouble = f" (the last look failed: {event.error})" if event.error else ""
        self._report(
            f"still waiting for tape: {show_count(event.waiting)}, oldest since "
            f"{show_duration(self.counters.oldest_wait())}, next look in {show_duration(event.next_poll)}{trouble}"
            f"{self._time_left()}"
        )

    def _report_bytes(self) -> None:
        if self._is_summed_up and self.counters.clock() - self._bytes_reported_at >= SAME_NEWS_EVERY:
            self._bytes_reported_at = self.counters.clock()
            self.flush()
            self._report(
                f"downloading {show_count(len(self.counters.active))}: {show_size(self.counters.present_bytes)} of "
                f"{show_size(self.counters.total_bytes)} are here, {show_size(self.counters.speed())}/s"
                f"{self._time_left()}"
            )

    def _time_left(self) -> str:
        """`, about 20 s left`, as far as anything is known of it."""
        left = self.counters.time_left()
        return f", {left}" if left.most is not None or left.least >= SHORT else ""

    def _report_note(self, event: events.Event) -> None:
        match event:
            case events.ProductSuperseded():
                self._report(f"note: {event.name} is listed twice in the archive; {event.id} is not downloaded", SPARE)
            case events.SearchFellShort():
                self._report(short_words(event), QUIET)
            case events.QuotaReached():
                self._report_quota(event)
            case events.HookFailed():
                self._report(f"note: {event.name} was delivered, but its command failed: {event.message}", QUIET)
            case events.Noticed():
                self._report(f"note: {event.message}", SPARE)

    def _report_quota(self, event: events.QuotaReached) -> None:
        """Report when downloads go on, once for each such moment, unless that is at once."""
        until = self.counters.clock() + event.wait
        if event.wait >= SHORT and until >= self._quota_reported_until + SHORT:
            self._quota_reported_until = until
            look = event.next_look
            again = "" if look is None else f"; the archive is asked again in {show_duration(look)}"
            words = quota_words(event.wait, self._now(), is_latest=look is not None)
            self._report(f"the quota of the account is used up: {words}{again}", SPARE)

    def _report_step(self, event: events.Event) -> None:
        """Report what only a verbose user wants to know."""
        match event:
            case events.PageSearched():
                of = f" of {event.total:,}" if event.total is not None else ""
                self._report(f"page {event.page}: {show_count(event.products)}{of}", VERBOSE)
            case events.DownloadStarted():
                offset = f" from byte {event.offset:,}" if event.offset else ""
                self._report(f"downloading {event.name}{offset}", VERBOSE)
            case events.ProductLeftOut():
                self._report(f"left out {event.name}, {TIER_WORDS.get(event.tier, event.tier)}", VERBOSE)
            case events.ProductStaged():
                self._report(f"online {event.name} after {show_duration(event.seconds)}", VERBOSE)
            case events.ProductVerified():
                self._report(f"verified {event.name} {event.checksum or 'by size only'}", VERBOSE)
            case events.ProductExtracted():
                self._report(f"extracted {event.path}", VERBOSE)


def quota_words(wait: float, now: datetime, *, is_latest: bool) -> str:
    """`the next download may begin in 12 min, at 14:05 UTC`, and `, at the latest` where it may earlier."""
    moment = f"in {show_duration(wait)}, at {now + timedelta(seconds=wait):%H:%M} UTC"
    return f"the next download may begin {moment}{', at the latest' if is_latest else ''}"


def short_words(event: events.SearchFellShort) -> str:
    """`the archive announced about 1,300 results and sent 80: ...`."""
    return (
        f"the archive announced about {event.announced:,} results and sent {event.sent:,}: products may be missing; "
        "run the same command again later, or search shorter periods"
    )


def found_words(searched: events.SearchFinished, tiers: dict[str, int]) -> str:
    """`found 12 products, 24.1 MB: 5 on disk, 7 on tape`."""
    if not searched.products:
        return "nothing matches"
    where = ", ".join(f"{count:,} {TIER_WORDS.get(tier, tier)}" for tier, count in sorted(tiers.items()))
    return f"found {show_count(searched.products)}, {show_size(searched.bytes)}{': ' + where if where else ''}"
