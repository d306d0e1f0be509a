"""The archive's clock: it can run faster than the wall's."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Clock:
    """Monotonic seconds of the archive: `scale` of them pass in one second of the source."""

    scale: float = 1.0
    """60 makes one wall second a minute of the archive."""
    source: Callable[[], float] = time.monotonic
    """Where real seconds come from; a test gives its own."""
    _origin: float = field(init=False)

    def __post_init__(self) -> None:
        self._origin = self.source()

    def now(self) -> float:
        """Archive seconds since the clock was made."""
        return (self.source() - self._origin) * self.scale

    def real(self, seconds: float) -> float:
        """Real seconds in which `seconds` of the archive pass."""
        return seconds / self.scale
