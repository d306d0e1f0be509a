"""What users ask for in a web portal, where an archive brings nothing from tape through its protocol."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.sandbox.clock import Clock


class Portal:
    """Users who order what they saw on tape, each some time after the first look.

    Nothing runs in the background: every look first brings the archive up to the clock.

    Args:
        clock: Of the archive.
        stage: Stages a product of the archive by name, from a moment on.
        seconds: Archive seconds from the first look at a product to its order, None if nobody ever orders.
    """

    def __init__(self, clock: Clock, stage: Callable[[str, float], object], seconds: float | None) -> None:
        self._clock = clock
        self._stage = stage
        self._seconds = seconds
        self._orders: dict[str, float] = {}
        self._lock = threading.Lock()

    def seen(self, name: str) -> None:
        """Note that a user saw a product on tape."""
        if self._seconds is not None:
            with self._lock:
                self._orders.setdefault(name, self._clock.now() + self._seconds)

    def settle(self) -> None:
        """Stage what has been ordered meanwhile, each product from the moment of its order."""
        now = self._clock.now()
        with self._lock:
            for name, due in sorted(self._orders.items(), key=lambda order: order[1]):
                if due <= now:
                    del self._orders[name]
                    self._stage(name, due)
