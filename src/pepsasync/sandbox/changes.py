"""A catalogue that changes with time: products are published, replaced and withdrawn while the archive runs.

Nothing runs in the background: every look at the catalogue first makes the changes that are due.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pepsasync.sandbox.clock import Clock


class Changes:
    """Makes changes again and again, each kind after its own pause.

    Args:
        clock: Of the archive.
        kinds: Each with its pause in archive seconds, None for never, and what makes the change: it is given the
            moment, UTC.
    """

    def __init__(self, clock: Clock, kinds: Mapping[str, tuple[float | None, Callable[[datetime], object]]]) -> None:
        self._clock = clock
        self._kinds = {name: (pause, make) for name, (pause, make) in kinds.items() if pause is not None}
        self._due = {name: clock.now() + pause for name, (pause, _) in self._kinds.items()}
        self._lock = threading.RLock()
        self._is_settling = False

    def settle(self) -> None:
        """Make what is due, in order."""
        if not self._due:
            return
        with self._lock:
            if self._is_settling:
                return
            self._is_settling = True
            try:
                self._make_due(self._clock.now())
            finally:
                self._is_settling = False

    def _make_due(self, now: float) -> None:
        while (name := min(self._due, key=self._due.__getitem__)) and self._due[name] <= now:
            pause, make = self._kinds[name]
            make(datetime.now(UTC) - timedelta(seconds=self._clock.real(now - self._due[name])))
            self._due[name] += pause
