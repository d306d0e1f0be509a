"""A token bucket for all connections of a run together."""

from __future__ import annotations

import anyio


class Throttle:
    """Lets bytes pass at a given rate, on average over any second.

    Args:
        rate: Bytes a second; None lets everything pass.
    """

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        """Wait until `count` bytes may pass. First come, first served; a cancelled waiter gives nothing back."""
        if self._rate is None:
            return
        now = anyio.current_time()
        # Time that was not used is lost, but for a tenth of a second: bursts stay small.
        self._free_at = max(self._free_at, now - 0.1) + count / self._rate
        if self._free_at > now:
            await anyio.sleep(self._free_at - now)
