"""Area of interest: whatever a user writes becomes valid geometry, or an `AreaError` before anything is sent.

Every function returns shapely geometry that is not empty, EPSG:4326, longitude before latitude, degrees, within
-180..180, cut at the antimeridian.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from pepsasync.area import tiles
from pepsasync.area.clean import clean, curved, single_parts
from pepsasync.area.geojson import read_shapes, shortened
from pepsasync.area.vector_file import from_file, from_frame
from pepsasync.errors import AreaError
from pepsasync.text import reason

if TYPE_CHECKING:
    from shapely.geometry import MultiPolygon, Point, Polygon

__all__ = ["box", "from_file", "from_geojson", "from_object", "from_wkt", "point", "tile"]

_SRID = re.compile(r"^SRID\s*=\s*(\d+)\s*;\s*", re.IGNORECASE)
_SURFACES = {"POLYHEDRALSURFACE": "MULTIPOLYGON", "TIN": "MULTIPOLYGON", "TRIANGLE": "POLYGON"}
_SURFACE = re.compile(rf"\b(?:{'|'.join(_SURFACES)})\b", re.IGNORECASE)
"""Words of WKT that shapely does not know; what follows them is written as for the others."""


def point(lon: float, lat: float) -> Point:
    """Return a point.

    Args:
        lon: -180..180 degrees.
        lat: -90..90 degrees.

    Raises:
        AreaError: Out of range or not a number.
    """
    _check_range("lon", lon, 180)
    _check_range("lat", lat, 90)
    return shapely.Point(lon, lat)


def box(west: float, south: float, east: float, north: float) -> Polygon | MultiPolygon | Point:
    """Return a box; with `west > east` it crosses the antimeridian and becomes two.

    Across more than half of the Earth, west and east are taken to be exchanged.

    Args:
        west: -180..180 degrees.
        south: -90..90 degrees.
        east: -180..180 degrees.
        north: -90..90 degrees.

    Returns:
        Polygon, counter-clockwise; `MultiPolygon` of two across the antimeridian; a point when all sides meet.

    Raises:
        AreaError: Out of range, upside down, exchanged, or without width or height.
    """
    for name, value, limit in (("west", west, 180), ("south", south, 90), ("east", east, 180), ("north", north, 90)):
        _check_range(name, value, limit)
    written = f"the box {west:g},{south:g},{east:g},{north:g}"
    if south > north:
        raise AreaError(f"{written} has its south above its north", hint="The order is west, south, east, north")
    if 0 < west - east < 180:
        raise AreaError(
            f"{written} crosses the antimeridian and is {360 + east - west:g} degrees wide",
            hint="The order is west, south, east, north; so wide an area can be given as a geometry",
        )
    if west == east and south == north:
        return shapely.Point(west, south)
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    spans = [(left, right) for left, right in spans if left < right]
    if not spans or south == north:
        raise AreaError(
            f"{written} has no area", hint="The order is west, south, east, north; for a point use lon, lat"
        )
    boxes = [shapely.box(left, south, right, north) for left, right in spans]
    return boxes[0] if len(boxes) == 1 else shapely.MultiPolygon(boxes)


def tile(tile_id: str) -> BaseGeometry:
    """Return the footprint of an MGRS tile.

    Args:
        tile_id: `31TCJ`, any case, with or without a leading T.

    Raises:
        AreaError: There is no such tile.
    """
    return tiles.footprint(tile_id)


def together(areas: Sequence[BaseGeometry]) -> BaseGeometry:
    """Return areas as one."""
    return areas[0] if len(areas) == 1 else clean(shapely.union_all(areas), "the areas together")


def from_wkt(text: str) -> BaseGeometry:
    """Read a geometry from WKT, EWKT in EPSG:4326, or GeoJSON text.

    Args:
        text: Degrees, longitude first. Longitudes beyond 180 are brought back and the shape is cut at the
            antimeridian; invalid rings are repaired, collections merged, surfaces (`TIN` and its like) flattened.

    Raises:
        AreaError: Unreadable, empty, out of range, curved, or a polygon without an area.
    """
    text = text.strip()
    if text.startswith(("{", "[")):
        return from_geojson(_decoded(text))
    srid = _SRID.match(text)
    if srid and srid[1] != "4326":
        raise AreaError(f"the geometry is in EPSG:{srid[1]}", hint="Give it in EPSG:4326, longitude first")
    plain = _SURFACE.sub(lambda match: _SURFACES[match[0].upper()], text[srid.end() :] if srid else text)
    try:
        with np.errstate(all="ignore"):
            geometry = shapely.from_wkt(plain)
    except NotImplementedError as error:
        raise curved("the geometry") from error
    except (ShapelyError, UnicodeError) as error:
        raise AreaError(
            f"the geometry {shortened(text)!r} is not WKT: {error}",
            hint="It looks like POLYGON((1 43,2 43,2 44,1 44,1 43)); for a file use --shape",
        ) from error
    return clean(geometry if plain in text else _without_walls(geometry), "the geometry")


def from_geojson(value: object) -> BaseGeometry:
    """Read a decoded GeoJSON geometry, Feature or FeatureCollection; features are merged.

    Args:
        value: Mapping with `type`; EPSG:4326, longitude first, degrees.

    Raises:
        AreaError: Not GeoJSON, empty, out of range, or a polygon without an area.
    """
    return clean(shapely.GeometryCollection(read_shapes(value)), "the geometry")


def from_object(value: object) -> BaseGeometry:
    """Read any geometry that Python programs have.

    Args:
        value: WKT or GeoJSON text, a GeoJSON mapping, a shapely geometry, a GeoDataFrame or GeoSeries (reprojected),
            or anything else with `__geo_interface__`; EPSG:4326, longitude first, degrees.

    Raises:
        AreaError: As `from_wkt`, or something else was given.
    """
    if isinstance(value, str):
        return from_wkt(value)
    if isinstance(value, BaseGeometry):
        return clean(value, "the geometry")
    if hasattr(value, "to_crs"):
        return from_frame(value, "the table")
    interface = value if isinstance(value, Mapping) else getattr(value, "__geo_interface__", None)
    if interface is None:
        raise AreaError(f"a geometry cannot be a {type(value).__name__}", hint="Give WKT, GeoJSON or shapely geometry")
    return from_geojson(interface)


def _without_walls(surface: BaseGeometry) -> BaseGeometry:
    """A surface seen from above: its upright faces have no area, and others lie beside them."""
    faces = [part for part in single_parts(shapely.force_2d(surface)) if part.geom_type != "Polygon" or part.area]
    return shapely.GeometryCollection(faces) if faces else surface


def _check_range(name: str, value: float, limit: float) -> None:
    if not math.isfinite(value):
        raise AreaError(f"{name} {value} is not a finite number")
    if abs(value) <= limit:
        return
    hint = "Longitudes go from -180 to 180, latitudes from -90 to 90; longitude comes first"
    if limit == 180 and abs(value) <= 360:
        hint = f"Longitudes go from -180 to 180: {value:g} is {(value + 180) % 360 - 180:g}"
    raise AreaError(f"{name} {value:g} is not between -{limit:g} and {limit:g} degrees", hint=hint)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AreaError(f"the geometry {shortened(text)!r} is not JSON: {reason(error)}") from error
