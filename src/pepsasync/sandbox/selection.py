"""What the searches of every protocol share: tests of a product, and a catalogue that grows between two pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import shapely
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from shapely.geometry.base import BaseGeometry

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct

Test: TypeAlias = "Callable[[CatalogueProduct], bool]"

BAD_GEOMETRY = (shapely.errors.ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What shapely raises for a GeoJSON or WKT geometry that is none."""


def intersects(outline: BaseGeometry) -> Test:
    """Return the test for products whose footprint meets an outline, EPSG:4326 (longitude, latitude)."""
    shapely.prepare(outline)
    return lambda product: bool(outline.intersects(product.footprint))


class Index:
    """Finds products by the ids that a protocol gives them; every method may be called from any thread.

    Args:
        archive: Whose products are found.
        identify: Returns the id of a product.
    """

    def __init__(self, archive: Archive, identify: Callable[[CatalogueProduct], str]) -> None:
        self._archive = archive
        self._identify = identify
        self._names: dict[str, str] = {}
        self._edition = -1

    def find(self, identifier: str) -> CatalogueProduct | None:
        """Return the product with this id, None if there is none."""
        edition = self._archive.edition
        if self._edition != edition:
            self._names = {self._identify(product): product.name for product in self._archive.products}
            self._edition = edition
        try:
            return self._archive.product(self._names[identifier])
        except KeyError:  # unknown, or withdrawn at this moment
            return None


async def find(
    archive: Archive,
    look: Callable[[], list[CatalogueProduct]],
    *,
    key: str,
    search: str | None,
    is_later_page: bool,
) -> list[CatalogueProduct]:
    """Return what a search finds; before a later page the fault `page-shift` publishes one product more.

    Args:
        archive: Where it is published.
        look: The search; runs in a thread because large catalogues take a while.
        key: Name of the request for the fault.
        search: Name of the search, the same for all pages; None when what it finds changes with time.
        is_later_page: Whether this is not the first page.
    """
    found = await _found(archive, look, search)
    if is_later_page and found and archive.faults.strikes("page-shift", key):
        archive.publish_newer(found[0])
        found = await _found(archive, look, search)
    return found


async def _found(
    archive: Archive, look: Callable[[], list[CatalogueProduct]], search: str | None
) -> list[CatalogueProduct]:
    edition = archive.edition
    found = archive.results.get(search, edition) if search is not None else None
    if found is None:
        found = await to_thread.run_sync(look)
        if search is not None:
            archive.results.keep(search, edition, found)
    return found
