"""Staging window: no more is asked from tape than can be downloaded before the archive's disk cache forgets it.

Archives bring products from tape to a disk cache and evict them after some time (PEPS protocol notes, section 4). Who
asks for everything at once has much of it staged twice.
"""

from __future__ import annotations

from collections import deque

import anyio

SMALLEST = 100_000_000_000
"""Bytes that may always be on their way: small orders are staged at once."""

CACHE_SECONDS = 43_200.0
"""Time for which staged products are believed to stay on disk: half a day."""


class StagingWindow:
    """Bytes that are asked for from tape and not downloaded yet; first come, first served.

    The window grows with the rate at which products arrive: as much as comes in `CACHE_SECONDS`.

    Args:
        size: Bytes of the window; None lets it follow the rate.
        smallest: Bytes of the smallest window that follows the rate.
    """

    def __init__(self, size: int | None = None, smallest: int = SMALLEST) -> None:
        self._size = size
        self._smallest = smallest
        self._on_their_way = 0
        self._arrived = 0
        self._began: float | None = None
        self._waiting: deque[tuple[int, anyio.Event]] = deque()

    @property
    def size(self) -> float:
        """Bytes that may be on their way now."""
        if self._size is not None:
            return self._size
        seconds = anyio.current_time() - self._began if self._began is not None else 0.0
        rate = self._arrived / seconds if seconds > 0 else 0.0
        return max(self._smallest, rate * CACHE_SECONDS)

    async def enter(self, size: int) -> None:
        """Wait for room for a product that is to be staged and downloaded; one product always has room.

        Args:
            size: Bytes of the product, 0 when unknown.

        Cancellation: no room is held.
        """
        self._began = anyio.current_time() if self._began is None else self._began
        if self._waiting or not self._fits(size):
            await self._wait(size)
        else:
            self._on_their_way += size

    def leave(self, size: int, *, arrived: bool) -> None:
        """Give the room of a product back, which was downloaded or not."""
        self._on_their_way -= size
        self._arrived += size if arrived else 0
        self._call()

    def _fits(self, size: int) -> bool:
        return self._on_their_way == 0 or self._on_their_way + size <= self.size

    async def _wait(self, size: int) -> None:
        called = anyio.Event()
        me = (size, called)
        self._waiting.append(me)
        try:
            await called.wait()
        except BaseException:
            if called.is_set():
                self._on_their_way -= size
            else:
                self._waiting.remove(me)
            self._call()
            raise

    def _call(self) -> None:
        """Let those in for whom there is room now, in their order."""
        while self._waiting and self._fits(self._waiting[0][0]):
            size, called = self._waiting.popleft()
            self._on_their_way += size
            called.set()
