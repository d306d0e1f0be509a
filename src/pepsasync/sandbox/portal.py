"""What users ask for in a web portal, where an archive brings nothing from tape through its protocol."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive


class Portal:
    """Users who order what they saw on tape, each some time after the first look.

    Nothing runs in the background: every look first brings the archive up to the clock.

    Args:
        archive: Where products are staged.
        seconds: Archive seconds from the first look at a product to its order, None if nobody ever orders.
    """

    def __init__(self, archive: Archive, seconds: float | None) -> None:
        self._archive = archive
        self._seconds = seconds
        self._orders: dict[str, float] = {}
        self._lock = threading.Lock()

    def seen(self, name: str) -> None:
        """Note that a user saw a product on tape."""
        if self._seconds is not None:
            with self._lock:
                self._orders.setdefault(name, self._archive.clock.now() + self._seconds)

    def settle(self) -> None:
        """Stage what has been ordered meanwhile, each product from the moment of its order."""
        now = self._archive.clock.now()
        with self._lock:
            for name, due in sorted(self._orders.items(), key=lambda order: order[1]):
                if due <= now:
                    del self._orders[name]
                    self._archive.stage(name, at=due)
