"""The tape robot: drives, a first-come queue and a bounded disk cache.

A request's end is known the moment it is made (the queue is first come, first served and times are fixed), so there is
no background task: every access first brings the state up to the clock. All times are archive seconds.
"""

from __future__ import annotations

import heapq
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pepsasync.sandbox.clock import Clock

MODES = ("disk", "tape", "staging", "unknown", "unavailable", "tier2", "tier3")
"""Storage modes, named as the archive publishes them (PEPS protocol notes, section 4)."""


@dataclass(slots=True)
class _Shelf:
    """One product, as the robot sees it."""

    size: int
    mode: str
    tape: int
    """Number of the tape that it is on."""
    used: float = 0.0
    readers: int = 0


@dataclass(slots=True)
class _Drive:
    """When a drive has served all its requests, and the tape that it has mounted then."""

    free_at: float = 0.0
    tape: int | None = None


class Robot:
    """Says where each product is and moves products from tape to the disk cache.

    Args:
        clock: Archive time.
        drives: Products read at the same time.
        mount_seconds: Time to fetch and mount a tape; a product need not wait for that if its tape is the one that
            a drive will have mounted by then.
        staging_seconds: Time to read one product.
        tape_products: Products on one tape, in the order in which they were added.
        cache_size: Bytes of the disk cache, None for no limit. The least recently used product goes back to tape
            when it is full; one that is being downloaded, or has just arrived, stays, even if that overfills the cache.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        drives: int = 2,
        mount_seconds: float = 0.5,
        staging_seconds: float = 5.0,
        tape_products: int = 1,
        cache_size: int | None = None,
    ) -> None:
        self._clock = clock
        self._mount_seconds, self._staging_seconds = mount_seconds, staging_seconds
        self._tape_products = tape_products
        self._drives = [_Drive() for _ in range(drives)]
        self._cache_size = cache_size
        self._shelves: dict[str, _Shelf] = {}
        self._arrivals: list[tuple[float, str]] = []
        self._lock = threading.RLock()

    def add(self, name: str, size: int, mode: str) -> None:
        """Put a product under the robot's care.

        Raises:
            ValueError: `mode` is not one of `MODES`.
        """
        with self._lock:
            tape = len(self._shelves) // self._tape_products
            self._shelves[name] = _Shelf(size, _known(mode), tape, self._clock.now())
            self._evict(keep=name)

    def mode(self, name: str) -> str:
        """Return where a product is now."""
        with self._lock:
            self._settle()
            return self._shelves[name].mode

    def modes(self) -> Mapping[str, str]:
        """Return where every product is now."""
        with self._lock:
            self._settle()
            return {name: shelf.mode for name, shelf in self._shelves.items()}

    def set_mode(self, name: str, mode: str) -> None:
        """Put a product somewhere by hand; `staging` set this way never ends.

        Raises:
            ValueError: `mode` is not one of `MODES`.
        """
        with self._lock:
            self._settle()
            shelf = self._shelves[name]
            shelf.mode, shelf.used = _known(mode), self._clock.now()
            self._arrivals = [arrival for arrival in self._arrivals if arrival[1] != name]
            heapq.heapify(self._arrivals)
            self._evict(keep=name)

    def request(self, name: str, at: float | None = None) -> float | None:
        """Ask for a product on tape to be staged; anything else is left as it is.

        Args:
            name: The product.
            at: When it was asked for, in archive seconds: some time ago, or now when None.

        Returns:
            Archive seconds until it is on disk, None if nothing was started.
        """
        with self._lock:
            self._settle()
            shelf = self._shelves[name]
            if shelf.mode != "tape":
                return None
            now = self._clock.now() if at is None else at
            drive = min(self._drives, key=lambda one: (one.tape != shelf.tape, one.free_at))  # a tape is in one drive
            mount = 0.0 if drive.tape == shelf.tape else self._mount_seconds
            ready = drive.free_at = max(now, drive.free_at) + mount + self._staging_seconds
            drive.tape = shelf.tape
            heapq.heappush(self._arrivals, (ready, name))
            shelf.mode = "staging"
            return ready - now

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Keep a product on disk for the length of a download."""
        with self._lock:
            self._settle()
            shelf = self._shelves[name]
            shelf.readers += 1
        try:
            yield
        finally:
            with self._lock:
                shelf.readers -= 1
                shelf.used = self._clock.now()
                self._evict()

    def _settle(self) -> None:
        """Bring the products whose staging has ended onto the disk, in order."""
        now = self._clock.now()
        while self._arrivals and self._arrivals[0][0] <= now:
            ready, name = heapq.heappop(self._arrivals)
            shelf = self._shelves[name]
            shelf.mode, shelf.used = "disk", ready
            self._evict(keep=name)

    def _evict(self, keep: str = "") -> None:
        if self._cache_size is None:
            return
        cached = {name: shelf for name, shelf in self._shelves.items() if shelf.mode == "disk"}
        excess = sum(shelf.size for shelf in cached.values()) - self._cache_size
        for name, shelf in sorted(cached.items(), key=lambda item: item[1].used):
            if excess <= 0:
                return
            if name != keep and not shelf.readers:
                shelf.mode = "tape"
                excess -= shelf.size


def _known(mode: str) -> str:
    if mode not in MODES:
        raise ValueError(f"unknown storage mode {mode!r}, known: {', '.join(MODES)}")
    return mode
