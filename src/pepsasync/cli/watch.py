"""The live view of a run that goes on elsewhere, from its journal: `watch`."""

from __future__ import annotations

import contextlib
import math
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from typer import Exit

from pepsasync.cli.options import BucketOptions, Directory, OutputOptions, flatten
from pepsasync.cli.session import Session
from pepsasync.cli.status import current, read_status, text_lines, work_of
from pepsasync.display.counters import Amount, Speedometer
from pepsasync.display.figures import pace_of
from pepsasync.display.lines import SAME_NEWS_EVERY
from pepsasync.display.output import show
from pepsasync.display.view import Download, View
from pepsasync.folder.journal import Count, JournalReader, LeaseWatch, State
from pepsasync.folder.layout import Folder
from pepsasync.folder.names import safe_name
from pepsasync.limits.estimate import time_left
from pepsasync.model import Quota
from pepsasync.units import show_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pepsasync.folder.journal import Row

EVERY = 1.0
"""Seconds between two looks at the journal."""

PATIENCE = 30.0
"""Seconds without a sign of life, after which a run on another machine, or a stopped one, is called dead."""

MOST_DOWNLOADS = 64
"""Downloads that are looked at."""


class Life(StrEnum):
    """What a run does."""

    RUNS = "runs"
    ENDED = "ended"
    """It has let others into the folder."""
    DEAD = "dead"
    """It was killed, stopped, or its machine is gone."""


@flatten()
def watch(
    *,
    directory: Directory = ".",
    bucket: BucketOptions,
    output: OutputOptions,
) -> None:
    """Show the run in a folder as it goes on: what `fetch` shows, in another terminal or on another machine.

    Reads only. Ends when the run ends, or tells that it is dead; then with 0 when everything wanted is here, else
    with 1. Without a run it tells what the journal knows, and ends.
    """
    session = Session(output)
    target = bucket.target_of(directory)
    folder = target.folder
    with JournalReader(folder) as reader:
        look = JournalView(reader)
        is_begun = (life := look.life()) is Life.RUNS
        if is_begun:
            life = _follow(look, session)
    words = "the run has ended" if is_begun else "no run is under way"
    session.say(f"the run is dead: {look.owner} is gone or was stopped" if life is Life.DEAD else words)
    found = read_status(folder)
    for line in text_lines(found, time.time(), target):
        show(line)
    raise Exit(0 if found.is_complete else 1)


def _follow(look: JournalView, session: Session) -> Life:
    """Show a run until it ends; returns how it has ended."""
    latest = look.view()
    with contextlib.ExitStack() as stack:
        tell: Callable[[str], None] = session.say
        said, said_at = "", -SAME_NEWS_EVERY
        if session.has_terminal:
            from pepsasync.display.live import Display  # noqa: PLC0415 - loads the display

            tell, said_at = stack.enter_context(Display(session.console(), lambda: latest)).print_above, math.inf
        while True:
            life, latest = look.life(), look.view()
            for line in look.news():
                tell(line)
            if life is not Life.RUNS:
                return life
            text, now = _line(latest), time.monotonic()
            if text != said and now - said_at >= SAME_NEWS_EVERY:
                said, said_at = text, now
                tell(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}")
            time.sleep(EVERY)


def _line(view: View) -> str:
    speed = f", {show_size(view.speed)}/s" if view.speed else ""
    waiting = view.amounts["waiting"].products
    tape = f", {waiting:,} waiting for tape" if waiting else ""
    return (
        f"{view.finished:,}/{view.total.products:,} products, {show_size(view.present_bytes)} of "
        f"{show_size(view.total.bytes)}{speed}{tape}, {view.time_left}"
    )


class JournalView:
    """What a run elsewhere has come to, looked at again and again.

    Args:
        reader: Of its journal.
        wall: Seconds since 1970.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        reader: JournalReader,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._folder = Folder(reader.directory)
        self._wall, self._clock = wall, clock
        self._watch = LeaseWatch(PATIENCE)
        self._meters: dict[str, Speedometer] = {}
        self._under_way: set[str] = set()
        self._over: list[str] = []
        self.owner = "process unknown"
        """Who runs it."""

    def life(self) -> Life:
        """Whether the run goes on."""
        sight = self._reader.lease()
        if sight is None:
            return Life.ENDED
        if sight.owner is not None:
            self.owner = str(sight.owner)
        verdict = self._watch.judge(sight, self._clock())
        if verdict:
            self._watch = LeaseWatch(PATIENCE)
            self._watch.judge(sight, self._clock())
        return Life.DEAD if verdict is False else Life.RUNS

    def view(self) -> View:
        """What the journal and the parts tell now."""
        now, reader = self._wall(), self._reader
        counts = {state.value: count for state, count in reader.counts().items()}
        noted, owner, orders = reader.now(), reader.owner(), reader.orders()
        lengths = self._folder.unfinished_lengths()
        downloads = self._downloads(lengths)
        part_bytes = sum(lengths.values())
        is_searched = not orders or orders[-1].is_searched
        work = work_of(reader, counts, Count(), part_bytes, now, is_searched=is_searched)
        figures = current(noted, owner, now, is_downloading=bool(downloads))
        products, seconds = noted.get("quota_products"), noted.get("quota_seconds")
        quota_wait = figures["quota_until"] and max(0.0, figures["quota_until"] - now)
        oldest, _ = reader.waits()
        failures = reader.failures(1)
        done = _sum(counts, "delivered", "skipped")
        total = _sum(counts, *(state for state in counts if state != "left_out"))
        return View(
            total=total,
            amounts={
                "done": done,
                "waiting": _sum(counts, "staging"),
                "under way": _sum(counts, "downloading"),
                "queued": _sum(counts, "found"),
            },
            present_bytes=min(total.bytes, done.bytes + part_bytes),
            time_left=time_left(
                work,
                rate=figures["speed"] or noted.get("speed") or None,
                pace=pace_of(noted),
                quota=Quota(int(products), seconds) if products and seconds else None,
                quota_wait=quota_wait or 0.0,
            ),
            elapsed=max(0.0, now - owner.since) if owner else None,
            is_searched=is_searched,
            failed=counts["failed"].products,
            left_out=counts["left_out"].products,
            finished=done.products + counts["failed"].products,
            speed=figures["speed"] or 0.0,
            downloads=downloads,
            oldest_wait=max(0.0, now - oldest) if oldest else 0.0,
            next_look=figures["next_poll"] and figures["next_poll"] - now,
            quota_wait=quota_wait or None,
            last_failure=failures[0].error_message if failures else None,
            note=f"run of {owner}, seen from its journal" if owner else None,
        )

    def news(self) -> Iterator[str]:
        """What became of products that were seen under way; small ones may come between two looks."""
        over, self._over = self._over, []
        for row in filter(None, map(self._reader.product, over)):
            if row.state is State.DELIVERED:
                yield f"delivered {row.name}, {show_size(row.bytes or 0)}"
            elif row.state is State.FAILED:
                yield f"failed {row.error_message or row.name}"

    def _downloads(self, lengths: dict[str, int]) -> tuple[Download, ...]:
        rows: list[Row] = next(self._reader.in_state(State.DOWNLOADING, batch=MOST_DOWNLOADS), [])
        names, now = {row.name for row in rows}, self._clock()
        self._over += sorted(self._under_way - names)
        self._under_way = names
        self._meters = {name: meter for name, meter in self._meters.items() if name in names}
        downloads = []
        for row in rows:
            received = lengths.get(safe_name(row.name), 0)
            meter = self._meters.setdefault(row.name, Speedometer(received))
            meter.take(now, received)
            downloads.append(Download(name=row.name, received=received, size=row.size, speed=meter.rate(now)))
        return tuple(downloads)


def _sum(counts: dict[str, Count], *states: str) -> Amount:
    some = [counts[state] for state in states]
    return Amount(sum(count.products for count in some), sum(count.bytes for count in some))
