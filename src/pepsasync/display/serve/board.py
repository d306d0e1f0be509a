"""What a page about a run shows: fed with events by the thread of the run, read by that of the server."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pepsasync import events
from pepsasync.display.view import view_of
from pepsasync.folder.journal import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

    from pepsasync.client import Client
    from pepsasync.display.counters import Counters
    from pepsasync.display.view import View
    from pepsasync.folder.journal import Row

SLICE = 500
"""Products that are described at once."""

DIGITS = 3
"""Of coordinates: a tenth of a kilometre is enough for a small map."""

_STATES: dict[type[events.Event], str] = {
    events.ProductFound: "queued",
    events.StagingRequested: "waiting",
    events.ProductAwaited: "waiting",
    events.ProductStaged: "queued",
    events.DownloadStarted: "downloading",
    events.ProductDownloaded: "verifying",
    events.ProductDelivered: "delivered",
    events.ProductSkipped: "here",
    events.ProductLeftOut: "left out",
    events.ProductFailed: "failed",
}
"""State of a product from an event on."""


@dataclass(slots=True)
class _Product:
    name: str
    size: int | None = None
    tier: str = ""
    state: str = "queued"
    message: str = ""


@dataclass(slots=True)
class Tape:
    """How long products waited for tape, for metrics."""

    products: int = 0
    seconds: float = 0.0


class Board:
    """The view of a run, and the state of each product; all methods may be called from any thread.

    Args:
        counters: Counts of the run, which nobody else feeds.
        directory: The folder of the run, whose journal knows footprints.
    """

    def __init__(self, counters: Counters, directory: Path) -> None:
        self._counters = counters
        self._directory = directory
        self._lock = threading.Lock()
        self._products: list[_Product] = []
        self._numbers: dict[str, int] = {}
        self._changes: list[int] = []
        self._is_over = threading.Event()
        self.tape = Tape()

    def follow(self, client: Client, expected: int) -> None:
        """Know whose events are taken: its quota, and how many products it is asked for at least."""
        with self._lock:
            self._counters.expected, self._counters.quota = expected, lambda: client.quota

    def take(self, event: events.Event) -> None:
        """Note an event."""
        with self._lock:
            self._counters.take(event)
            state = _STATES.get(type(event))
            if state and isinstance(event, events.ProductEvent):
                self._note(event, state)
            if isinstance(event, events.ProductStaged):
                self.tape.products, self.tape.seconds = self.tape.products + 1, self.tape.seconds + event.seconds

    def _note(self, event: events.ProductEvent, state: str) -> None:
        number = self._numbers.setdefault(event.name, len(self._products))
        if number == len(self._products):
            self._products.append(_Product(event.name))
        product = self._products[number]
        product.state = state
        if isinstance(event, (events.ProductFound, events.ProductLeftOut)):
            product.size, product.tier = event.size, event.tier
        product.message = event.message if isinstance(event, events.ProductFailed) else ""
        self._changes.append(number)

    def end(self) -> None:
        """Note that the run is over."""
        self._is_over.set()

    @property
    def is_over(self) -> bool:
        """Whether the run is over."""
        return self._is_over.is_set()

    def view(self) -> View:
        """The run at this moment."""
        with self._lock:
            return view_of(self._counters)

    def received(self) -> int:
        """Bytes that came over the network in this run."""
        with self._lock:
            return self._counters.received_bytes

    def changes(self, since: int) -> tuple[int, list[dict[str, Any]]]:
        """Products whose state has changed since a moment.

        Args:
            since: What the last call has returned; 0 for everything.

        Returns:
            The moment until which these changes are known, and number and state of each product.
        """
        with self._lock:
            now = len(self._changes)
            changed = [(number, self._products[number]) for number in dict.fromkeys(self._changes[since:now])]
            return now, [{"n": number, "state": one.state, "message": one.message} for number, one in changed]

    def described(self, first: int) -> list[dict[str, Any]]:
        """Name, size, tier and footprint of some products; blocks, reads the journal.

        Args:
            first: Number of the first of them.

        Returns:
            At most `SLICE` of them, and none after one that the journal has not got yet.
        """
        with self._lock:
            some = [
                (number, self._products[number]) for number in range(first, min(first + SLICE, len(self._products)))
            ]
            is_over = self.is_over
        described = []
        with JournalReader(self._directory) as reader:
            for number, one in some:
                row = reader.product(one.name)
                if row is None and not is_over:
                    break
                described.append(
                    {"n": number, "name": one.name, "size": one.size, "tier": one.tier, "footprint": _rings(row)}
                )
        return described


def _rings(row: Row | None) -> list[list[list[float]]]:
    """Outer rings of a footprint, longitude before latitude, degrees; none when it is not known or is no area.

    One over the antimeridian goes on beyond 180 degrees, as it would be drawn.
    """
    shape = row.product.footprint if row and row.product else None
    if not shape:
        return []
    try:
        polygons = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
        rings = [[[round(float(x), DIGITS) for x in point[:2]] for point in polygon[0]] for polygon in polygons]
        return [_whole(ring) if max(ring)[0] - min(ring)[0] > 180 else ring for ring in rings]
    except (KeyError, IndexError, TypeError, ValueError):  # what archives write is not always a shape
        return []


def _whole(ring: list[list[float]]) -> list[list[float]]:
    return [[round(x + 360, DIGITS) if x < 0 else x, y] for x, y in ring]
