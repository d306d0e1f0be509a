"""What an account may do in a window of time."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pepsasync.sandbox.clock import Clock


class RateLimit:
    """Counts what each account did in the last `seconds`; every method may be called from any thread.

    Args:
        clock: Archive time.
        most: How often an account may do it in the window, None for no limit.
        seconds: Length of the window in archive seconds.
    """

    def __init__(self, clock: Clock, most: int | None, seconds: float) -> None:
        self._clock = clock
        self._most = most
        self._seconds = seconds
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.RLock()

    def take(self, account: str) -> bool:
        """Count it once more; False, and not counted, if the limit is reached."""
        with self._lock:
            if self.remaining(account) == 0:
                return False
            if self._most is not None:
                self._times[account].append(self._clock.now())
            return True

    def remaining(self, account: str) -> int | None:
        """Return how often an account may still do it now, None for no limit."""
        if self._most is None:
            return None
        with self._lock:
            times = self._times[account]
            while times and times[0] <= self._clock.now() - self._seconds:
                times.popleft()
            return max(0, self._most - len(times))
