"""How much of an area a footprint covers, measured on the ellipsoid."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

import shapely
from pyproj import Geod
from shapely.geometry.polygon import orient

from pepsasync.area import aoi
from pepsasync.area.clean import single_parts

if TYPE_CHECKING:
    from shapely.geometry import Polygon
    from shapely.geometry.base import BaseGeometry

_WGS84 = Geod(ellps="WGS84")


@lru_cache(maxsize=4096)
def tile_area(tile: str) -> BaseGeometry:
    """Return the footprint of an MGRS tile."""
    return aoi.tile(tile)


def share(area: BaseGeometry, footprint: BaseGeometry) -> float:
    """Return the share of an area that a footprint covers, in percent: of its surface, its length, or its points.

    Args:
        area: EPSG:4326, longitude first, degrees, cut at the antimeridian.
        footprint: Likewise.
    """
    dimension = int(shapely.get_dimensions(area))
    whole = _measure(area, dimension)
    common = _measure(shapely.intersection(area, footprint), dimension)
    return 100.0 * min(1.0, common / whole) if whole else 0.0


def _measure(geometry: BaseGeometry, dimension: int) -> float:
    """Square metres, metres, or points, of the parts that have so many dimensions; rings may run either way."""
    total = 0.0
    for part in single_parts(geometry):
        if part.is_empty or shapely.get_dimensions(part) != dimension:
            continue
        if dimension == 2:
            total += abs(_WGS84.geometry_area_perimeter(orient(cast("Polygon", part)))[0])
        else:
            total += _WGS84.geometry_length(part) if dimension else 1.0
    return total
