"""What searches found, remembered: a catalogue that grows between two pages must not repeat or skip a product."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pepsasync.sandbox.catalogue import CatalogueProduct

KEPT = 8
"""Searches whose results are remembered."""


class Results:
    """What the latest searches found: a later page comes from what was found for the first, as from an index."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, list[CatalogueProduct]]] = {}

    def get(self, search: str, edition: int) -> list[CatalogueProduct] | None:
        """What a search found in this edition of the catalogue, None when that is not known any more."""
        known = self._kept.get(search)
        return known[1] if known and known[0] == edition else None

    def keep(self, search: str, edition: int, found: list[CatalogueProduct]) -> None:
        """Remember what a search found, and forget the oldest of `KEPT`."""
        self._kept.pop(search, None)
        self._kept[search] = edition, found
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
