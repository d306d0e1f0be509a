"""Further connections for one product, where the archive allows them and they make it arrive sooner.

Some archives cap each connection and allow several (CDSE protocol notes, Limits: 4 of 20 MB/s). The connection that
leads fills the first gap of the part; idle slots bring segments further behind.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import anyio

from pepsasync.errors import NOT_OF_ARCHIVES, PepsasyncError
from pepsasync.groups import task_group
from pepsasync.http.replies import encoding_of
from pepsasync.transfer.ranges import parse_content_range, range_request, seem_to_fail
from pepsasync.transfer.receive import body_of, receive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx
    from anyio.abc import TaskGroup

    from pepsasync.transfer.context import ArchiveContext
    from pepsasync.transfer.division import Segment
    from pepsasync.transfer.incoming import Incoming
    from pepsasync.transfer.progress import Progress

MOST = 4
"""Connections for one product, when nobody says how many."""

LOOK_INTERVAL = 2.0
"""Seconds over which it is measured how fast a product comes, before another connection is tried."""

WORTH = 5.0
"""Seconds that a product must have left for another connection to be worth it."""

GAIN = 1.2
"""Times by which another connection must have made it faster for one more to be tried."""

SHARE_SECONDS = 8.0
"""Seconds that a segment takes about: short enough to be hashed soon, long enough for a request of its own."""

SMALLEST, LARGEST = 1 << 24, 1 << 28
"""Bytes of a segment."""


@contextlib.asynccontextmanager
async def further_connections(
    part: Incoming, archive: ArchiveContext, progress: Progress
) -> AsyncIterator[FurtherConnections]:
    """Bring segments of a product over more connections, for the time of one attempt.

    Args:
        part: Of the product.
        archive: Its connection and limits.
        progress: Told of every byte.

    Raises:
        ConfigError, DiskFullError: The part cannot be written. Any other error of a segment occurs again on the
            connection that leads.
    """
    further = FurtherConnections(part, archive, progress)
    if further.most == 1 or (part.division.size or 0) < 2 * SMALLEST:
        yield further
        return
    async with task_group() as connections:
        connections.start_soon(further.add, connections)
        yield further
        connections.cancel_scope.cancel()


class FurtherConnections:
    """Decides when another connection is worth it, and which segment it brings. Made by `further_connections`."""

    def __init__(self, part: Incoming, archive: ArchiveContext, progress: Progress) -> None:
        self._part = part
        self._archive = archive
        self._progress = progress
        self._connections = 1
        self._rate = 0.0
        self._is_refused = False

    @property
    def most(self) -> int:
        """Connections at once, the one that leads included."""
        config = self._archive.config
        if not self._part.takes_several:
            return 1
        if not self._archive.provider.limits.bounded_ranges or seem_to_fail(self._part, self._archive):
            return 1
        return config.segments or (1 if config.limit_rate else MOST)

    async def help(self) -> None:
        """Bring a segment on the connection that leads, when others have overtaken it; else wait until one ends."""
        segment, changed = None if self._is_refused else self._claim(leads=False), self._part.changed
        if segment is None:
            await changed.wait()
        else:
            await self._bring(segment)

    async def add(self, connections: TaskGroup) -> None:
        """Start further connections while there are free slots and they pay.

        Args:
            connections: Runs them.
        """
        is_wanted, before = self._archive.config.segments is not None, 0.0
        while self._connections < self.most and not self._is_refused:
            if not is_wanted:
                await self._measure()
                if self._rate < GAIN * before:
                    return
            if (is_wanted or self._pays()) and self._archive.gate.slots.try_take():
                before = self._rate
                self._connections += 1
                connections.start_soon(self._work)
            elif is_wanted:
                await anyio.sleep(LOOK_INTERVAL)

    async def _measure(self) -> None:
        received, since = self._part.received, anyio.current_time()
        await anyio.sleep(LOOK_INTERVAL)
        self._rate = (self._part.received - received) / (anyio.current_time() - since)

    def _pays(self) -> bool:
        return 0 < self._rate * WORTH < (self._part.division.size or 0) - self._part.received

    async def _work(self) -> None:
        slots = self._archive.gate.slots
        try:
            while (segment := self._claim(leads=True)) and await self._bring(segment) and not slots.is_wanted:
                pass
        finally:
            self._connections -= 1
            slots.give_back()

    def _claim(self, *, leads: bool) -> Segment | None:
        division = self._part.division
        share = self._rate / self._connections * SHARE_SECONDS or (division.size or 0) / (2 * self.most)
        return division.claim(share=int(min(max(share, SMALLEST), LARGEST)), smallest=SMALLEST, leads=leads)

    async def _bring(self, segment: Segment) -> bool:
        """Fetch a segment; returns whether all of it came."""
        part, archive = self._part, self._archive
        end = segment.end
        try:
            request = await range_request(part, archive, segment.start, end - 1)
            async with archive.stream(request) as response, body_of(response) as chunks:
                if self._is_wanted(response, segment):
                    head = await anext(chunks, b"")
                    await receive(response, chunks, head, segment, part, archive, self._progress.watch())
        except NOT_OF_ARCHIVES:
            raise
        except PepsasyncError:
            self._is_refused |= not segment.received
        finally:
            is_whole = not segment.left
            part.release(segment)
            self._progress.count()
        return is_whole

    def _is_wanted(self, response: httpx.Response, segment: Segment) -> bool:
        first, _, total = parse_content_range(response.headers.get("Content-Range"))
        is_right = response.status_code == 206 and first == segment.start and total in (None, self._part.division.size)
        is_right &= not encoding_of(response)
        self._is_refused |= not is_right
        return is_right
