"""A sliding window of starts: pure arithmetic for archives that let an account have so many products in a time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pepsasync.model import Quota


class Window:
    """Downloads as long as they count against a quota.

    The archive counts a download when its request arrives. We know only that this is before its answer does, so a
    request that waits for its answer counts whatever the time is, and one with an answer from then on.

    Args:
        quota: Products in a window of time; None for no quota.
        starts: Earlier ones, on the same clock, in order.
    """

    def __init__(self, quota: Quota | None, starts: Iterable[float] = ()) -> None:
        self._quota = quota
        self._starts = deque(starts)
        self._asked = 0
        self.begun = 0
        """Downloads that began since this window was opened."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing counts, as far as is known."""
        return not self._starts and not self._asked

    def wait(self, now: float) -> float:
        """Seconds until the next download may begin; 0 when it may now."""
        if self._quota is None:
            return 0.0
        self._forget(now, self._quota)
        excess = len(self._starts) + self._asked - self._quota.products
        if excess < 0:
            return 0.0
        # The one that must leave first: were the quota made smaller, more than one has to.
        leaving = self._starts[excess] if excess < len(self._starts) else now
        return max(0.0, leaving + self._quota.seconds - now)

    def ask(self) -> None:
        """Note that a download is asked for."""
        self._asked += 1

    def begin(self, now: float) -> None:
        """Note that one that was asked for got an answer."""
        self._asked -= 1
        self.begun += 1
        if self._quota is not None:
            self._starts.append(now)

    def withdraw(self) -> None:
        """Note that one that was asked for gets no answer: an archive that is not reached counts nothing."""
        self._asked -= 1

    def correct(self, used: int, now: float, quota: Quota | None = None) -> None:
        """Take over from the archive how many products of this window it has counted, and its quota.

        Others may use the same account, and an earlier run may have. What this window has not counted counts from now:
        its start is unknown, and too late is better than too early.
        """
        self._quota = quota or self._quota
        if self._quota is None:
            return
        self._forget(now, self._quota)
        while len(self._starts) > max(0, used):
            self._starts.popleft()
        self._starts.extend([now] * (used - len(self._starts)))

    def _forget(self, now: float, quota: Quota) -> None:
        while self._starts and self._starts[0] + quota.seconds <= now:
            self._starts.popleft()
