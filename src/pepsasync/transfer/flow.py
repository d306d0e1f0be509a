"""Whether a transfer moves or only crawls."""

from __future__ import annotations

WINDOW = 60.0
"""Seconds over which the rate of a transfer is judged."""


class Flow:
    """Watches one body arrive.

    Args:
        slowest: Bytes a second that it must reach on average over each window; 0 lets it be as slow as it likes.
        length: Bytes that are there.
        now: Seconds, on a clock that only grows.
        window: Seconds.
    """

    def __init__(self, slowest: float, length: int, now: float, window: float = WINDOW) -> None:
        self._slowest = slowest
        self._window = window
        self._length = length
        self._since = now

    def crawled(self, length: int, now: float) -> int | None:
        """Bytes of the window that just ended, when they were too few; None otherwise.

        Args:
            length: Bytes that are there now.
            now: Seconds.
        """
        if now - self._since < self._window:
            return None
        came, seconds = length - self._length, now - self._since
        self._length, self._since = length, now
        return came if came < self._slowest * seconds else None
