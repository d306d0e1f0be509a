"""A token bucket for all connections of a run together."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

SMALLEST_PIECE = 4096
"""Bytes that may always be taken at once."""


class Throttle:
    """Lets bytes pass at a given rate, on average over any second. Coroutines and threads may share it.

    Args:
        rate: Bytes a second; None lets everything pass.
        clock: Seconds that only grow.
    """

    def __init__(self, rate: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._free_at = 0.0
        self._lock = threading.Lock()

    @property
    def rate(self) -> int | None:
        """Bytes a second; None for no limit."""
        return self._rate

    def piece(self, most: int) -> int:
        """How many of `most` bytes to ask for at once, so that no pause is long."""
        return most if self._rate is None else min(most, max(self._rate // 20, SMALLEST_PIECE))

    def pause_for(self, count: int) -> float:
        """Seconds to wait for `count` bytes; they are counted at once, first come, first served."""
        if self._rate is None:
            return 0.0
        with self._lock:
            now = self._clock()
            # Time that was not used is lost, but for a tenth of a second: bursts stay small.
            self._free_at = max(self._free_at, now - 0.1) + count / self._rate
            return max(self._free_at - now, 0.0)

    async def take(self, count: int) -> None:
        """Wait until `count` bytes may pass; a cancelled waiter gives nothing back."""
        if pause := self.pause_for(count):
            await anyio.sleep(pause)
