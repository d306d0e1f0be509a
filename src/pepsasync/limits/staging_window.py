"""Staging window: no more is asked from tape than can be downloaded before the archive's disk cache forgets it.

Archives bring products from tape to a disk cache and evict them after some time (PEPS protocol notes, section 4). Who
asks for everything at once has much of it staged twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pepsasync.limits.slots import StagingSlots

if TYPE_CHECKING:
    from datetime import datetime

SMALLEST = 100_000_000_000
"""Bytes that may always be on their way: small orders are staged at once."""

CACHE_SECONDS = 43_200.0
"""Time for which staged products are believed to stay on disk: half a day."""


class StagingWindow(StagingSlots):
    """Bytes that are asked for from tape and not downloaded yet.

    The window grows with the rate at which products arrive: as much as comes in `CACHE_SECONDS`.

    Args:
        size: Bytes of the window; None lets it follow the rate.
        smallest: Bytes of the smallest window that follows the rate.
    """

    def __init__(self, size: int | None = None, smallest: int = SMALLEST) -> None:
        super().__init__(smallest if size is None else size)
        self._follows_rate = size is None
        self._arrived = 0
        self._began: float | None = None

    @property
    def size(self) -> float:
        """Bytes that may be on their way now."""
        if not self._follows_rate:
            return self._total
        seconds = anyio.current_time() - self._began if self._began is not None else 0.0
        rate = self._arrived / seconds if seconds > 0 else 0.0
        return max(self._total, rate * CACHE_SECONDS)

    async def enter(self, size: int = 0, *, acquired: datetime | None = None, goes_first: bool = False) -> None:
        """Wait for room for a product that is to be staged and downloaded; one product always has room.

        Args:
            size: Bytes of the product, 0 when unknown.
            acquired: When its acquisition began, if that is known.
            goes_first: Before all for whom this is not set.

        Cancellation: no room is held.
        """
        self._began = anyio.current_time() if self._began is None else self._began
        await super().enter(size, acquired=acquired, goes_first=goes_first)

    def leave(self, size: int = 0, *, arrived: bool = False) -> None:
        """Give the room of a product back, which was downloaded or not."""
        self._arrived += size if arrived else 0
        super().leave(size)
