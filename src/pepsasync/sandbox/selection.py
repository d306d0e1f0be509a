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


async def find(
    archive: Archive, look: Callable[[], list[CatalogueProduct]], *, key: str, is_later_page: bool
) -> list[CatalogueProduct]:
    """Return what a search finds; before a later page the fault `page-shift` publishes one product more.

    Args:
        archive: Where it is published.
        look: The search; runs in a thread because large catalogues take a while.
        key: Name of the search for the fault.
        is_later_page: Whether this is not the first page.
    """
    found = await to_thread.run_sync(look)
    if is_later_page and found and archive.faults.strikes("page-shift", key):
        archive.publish_newer(found[0])
        found = await to_thread.run_sync(look)
    return found
