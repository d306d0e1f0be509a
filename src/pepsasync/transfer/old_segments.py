"""Segments: further connections for one product, where the archive bears them and they make it come sooner.

Some archives cap each connection and allow several (CDSE protocol notes, Limits: 4 of 20 MB/s). The connection that
leads grows the part from the front; slots that nobody else wants bring what lies behind.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from pepsasync.errors import ConfigError, DiskFullError, PepsasyncError
from pepsasync.folder.files import disk_errors
from pepsasync.http.replies import encoding_of
from pepsasync.transfer.intake import PartIntake
from pepsasync.transfer.old_division import Division
from pepsasync.transfer.resume import parse_content_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from anyio.abc import TaskGroup

    from pepsasync.model import Product
    from pepsasync.transfer.asking import Asking
    from pepsasync.transfer.line import Line
    from pepsasync.transfer.old_division import Segment
    from pepsasync.transfer.old_progress import Progress

MOST = 4
"""Connections for one product, when nobody says how many."""

LOOK_INTERVAL = 2.0
"""Seconds over which it is measured how fast a product comes, before another connection is tried."""

WORTH = 5.0
"""Seconds that a product must have left for another connection to pay."""

GAIN = 1.2
"""Times by which another connection must have made it faster for one more to be tried."""

SHARE_SECONDS = 8.0
"""Seconds that a segment takes about: short enough to be hashed soon, long enough for a request of its own."""

SMALLEST, LARGEST = 1 << 24, 1 << 28
"""Bytes of a segment."""


class Segments:
    """Brings what lies behind the part of one product.

    Args:
        product: Its size is known.
        line: Archive, connection, folder, slots.
        progress: Knows how long the part is.
        asking: Makes requests that fit the part.
    """

    def __init__(self, product: Product, line: Line, progress: Progress, asking: Asking) -> None:
        self._product = product
        self._line = line
        self._progress = progress
        self._asking = asking
        self._division = Division(product.exact_size or 0)
        self._connections = 1
        self._rate = 0.0
        self._was_refused = False
        self._one_ended = anyio.Event()
        self._is_led = False
        progress.elsewhere = lambda: self._division.received(progress.part)

    async def load(self) -> None:
        """Take up what an earlier run has left."""
        shelf, product = self._line.shelf, self._product
        self._progress.part = await to_thread.run_sync(shelf.part_length, product)
        for start, length in await to_thread.run_sync(shelf.segments, product):
            if length and start + length > self._progress.part:
                self._division.add(start, length)
            else:  # nothing ever came, or it was joined and not removed any more
                await to_thread.run_sync(shelf.discard_segment, product, start)

    def limit(self, position: int) -> int:
        """Where the part, growing from a position, meets a segment or the end of the product."""
        return self._division.limit(position)

    @contextlib.contextmanager
    def led(self) -> Iterator[None]:
        """Know that the part is growing meanwhile."""
        self._is_led = True
        try:
            yield
        finally:
            self._is_led = False

    async def join(self, intake: PartIntake) -> int:
        """Put behind the part what belongs there and is complete; returns the part's length.

        Cancellation: what was joined is in the part.
        """
        shelf, product = self._line.shelf, self._product
        with self.led():  # others must not begin where it is about to grow
            length = await to_thread.run_sync(shelf.part_length, product)
        while (segment := self._division.at(length)) and not segment.is_running:
            path = shelf.segment_path(product, segment.start)
            length = await intake.join(path, length - segment.start, length)
            self._division.forget(segment)
            self._progress.part = length
            await to_thread.run_sync(shelf.discard_segment, product, segment.start)
        return length

    def is_coming(self, position: int) -> bool:
        """Whether another connection is bringing the byte at a position."""
        return self._division.at(position) is not None

    async def help(self) -> None:
        """Bring a segment on the connection that leads, when others have overtaken it; else wait until one ends."""
        segment, ended = None if self._was_refused else self._claim(), self._one_ended
        if segment is None:
            await ended.wait()
        else:
            await self._bring(segment)

    async def recruit(self, helpers: TaskGroup) -> None:
        """Start further connections while there are free slots and they pay; for the time of one transfer.

        Args:
            helpers: Runs them.
        """
        is_wanted, before = self._line.config.segments is not None, 0.0
        while self._connections < self._most and not self._was_refused:
            if not is_wanted:
                await self._measure()
                if self._rate < GAIN * before:
                    return
            if (is_wanted or self._pays()) and self._line.slots.download.try_take():
                before = self._rate
                self._connections += 1
                helpers.start_soon(self._work)
            elif is_wanted:
                await anyio.sleep(LOOK_INTERVAL)

    @property
    def are_possible(self) -> bool:
        """Whether more than one connection may ever be of use."""
        return self._most > 1 and self._division.size >= 2 * SMALLEST

    @property
    def _most(self) -> int:
        line = self._line
        if not line.provider.limits.bounded_ranges or self._asking.is_rangeless:
            return 1
        return line.config.segments or (1 if line.config.limit_rate else MOST)

    async def _measure(self) -> None:
        received, since = self._progress.received, anyio.current_time()
        await anyio.sleep(LOOK_INTERVAL)
        self._rate = (self._progress.received - received) / (anyio.current_time() - since)

    def _pays(self) -> bool:
        return 0 < self._rate * WORTH < self._division.size - self._progress.received

    async def _work(self) -> None:
        slots = self._line.slots.download
        try:
            while (segment := self._claim()) and await self._bring(segment) and not slots.is_wanted:
                pass
        finally:
            self._connections -= 1
            slots.give_back()

    def _claim(self) -> Segment | None:
        share = self._rate / self._connections * SHARE_SECONDS or self._division.size / (2 * self._most)
        share = int(min(max(share, SMALLEST), LARGEST))
        return self._division.claim(self._progress.part, share=share, smallest=SMALLEST, is_led=self._is_led)

    async def _bring(self, segment: Segment) -> bool:
        """Fetch a segment; returns whether all of it came. Whatever keeps it from coming is met again by the lead."""
        line, product = self._line, self._product

        def came(length: int) -> None:
            segment.received = min(length, segment.end - segment.start)
            self._progress.tell()

        path = line.shelf.segment_path(product, segment.start)
        intake = PartIntake(product, line, came, path, None)
        try:
            with disk_errors(path):
                await to_thread.run_sync(lambda: path.parent.mkdir(exist_ok=True))
            request = await self._asking.request(segment.start, segment.end - 1)
            async with line.http.stream(request) as response:
                if self._is_wanted(response, segment):
                    await intake.take(response, 0, limit=lambda: segment.end - segment.start)
        except (ConfigError, DiskFullError):
            raise
        except PepsasyncError:
            self._was_refused |= not intake.length
        finally:
            came(intake.length)
            is_whole = segment.position >= segment.end
            self._division.release(segment)
            self._one_ended.set()
            self._one_ended = anyio.Event()
        return is_whole

    def _is_wanted(self, response: httpx.Response, segment: Segment) -> bool:
        first, _, total = parse_content_range(response.headers.get("Content-Range"))
        is_right = response.status_code == 206 and first == segment.start and total in (None, self._division.size)
        is_right &= not encoding_of(response)
        self._was_refused |= not is_right
        return is_right
