"""Room on the disk: what products still need is set aside, so that a run does not begin what cannot end."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from pepsasync.errors import DiskFullError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MARGIN = 64 << 20
"""Bytes that are kept back: for the journal, notes, and whatever else writes to the disk."""

UNPACKED = 1.5
"""Bytes of an unpacked product for one of its zip; a guess, since it depends on the instrument."""

LOOK_EVERY = 1.0
"""Seconds between two looks at the disk."""


def free_bytes(directory: Path) -> int:
    """Bytes that may be written to a folder, or to where it will be made; blocks for a moment."""
    place = directory.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def fits(needed: int, free: int) -> bool:
    """Whether there is room for so many bytes, beside what is kept back."""
    return needed <= max(0, free - MARGIN)


class Space:
    """What the products of a run still need, against what is free. For one event loop.

    Args:
        directory: The user's folder.
        free: Bytes that are free, instead of asking the disk.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        directory: Path,
        free: Callable[[Path], int] = free_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._free = free
        self._clock = clock
        self._needs: dict[str, int] = {}
        self._later: dict[str, int] = {}
        self._needed = 0
        self._looked: float | None = None
        self._found = 0

    def must_look(self, needed: int) -> bool:
        """Whether `reserve` would look at the disk; who is on the event loop has `look` do that in a thread before."""
        is_old = self._looked is None or self._clock() - self._looked >= LOOK_EVERY
        return is_old or not fits(self._needed + needed, self._found)

    def look(self) -> None:
        """Look at the disk; blocks."""
        self._found, self._looked = self._free(self._directory), self._clock()

    def reserve(self, name: str, needed: int, *, later: int = 0) -> None:
        """Set room aside for a product, until `release`.

        Args:
            name: Product name.
            needed: Bytes that are still to come.
            later: Bytes that are unpacked when they are there.

        Raises:
            DiskFullError: All that is set aside does not fit; nothing is set aside for this product.
        """
        if later:
            self._later[name] = later
        self._set(name, needed + later)
        try:
            self._check(name)
        except DiskFullError:
            self.release(name)
            raise

    def release(self, name: str) -> None:
        """Set nothing aside any more for a product, which may have had nothing."""
        self._needed -= self._needs.pop(name, 0)
        self._later.pop(name, None)

    def renew(self, name: str, needed: int) -> None:
        """Set so much aside for a product whose bytes were wrong and are gone: it comes once more from the start."""
        if name in self._needs:
            self._set(name, needed + self._later.get(name, 0))

    def shrink(self, name: str, needed: int) -> None:
        """Set less aside for a product: so many bytes are still to come, the rest is on the disk."""
        if name in self._needs:
            self._set(name, min(needed + self._later.get(name, 0), self._needs[name]))

    def _set(self, name: str, needed: int) -> None:
        self._needed += needed - self._needs.get(name, 0)
        self._needs[name] = needed

    def _check(self, name: str) -> None:
        if self.must_look(0):
            self.look()
        if not fits(self._needed, self._found):
            raise DiskFullError(
                f"{self._needed:,} bytes are still needed in {self._directory}: {self._found:,} are free, and the last "
                f"{MARGIN:,} are kept back",
                product=name,
                hint="Free some space, choose another folder with -w, or ask for less; nothing was lost",
            )
