"""Footprints as archives write them, as geometries that can be compared and drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_FARTHEST_LONGITUDE = 540.0


def as_geometry(footprint: Any) -> BaseGeometry | None:
    """Return a footprint as a valid geometry, cut at the antimeridian and closed over a pole that it holds.

    Args:
        footprint: GeoJSON geometry, EPSG:4326, longitude first, degrees; rings may jump at the antimeridian or go
            beyond it.

    Returns:
        Within -180..180; None when it makes no sense.
    """
    import shapely  # noqa: PLC0415 - slow to import, and needed only with an area

    from pepsasync.area.antimeridian import split, unwrap  # noqa: PLC0415

    try:
        geometry: BaseGeometry = shapely.force_2d(shapely.geometry.shape(footprint))
        west, _, east, _ = geometry.bounds
        if max(-west, east) > _FARTHEST_LONGITUDE:
            return None
        if east - west > 180:
            geometry = unwrap(geometry)
        if not geometry.is_valid:
            geometry = shapely.make_valid(geometry)
        parts = [split(part) for part in shapely.get_parts(geometry) if not part.is_empty]
        whole = shapely.union_all(parts)
    except (shapely.errors.ShapelyError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return None if whole.is_empty else whole
