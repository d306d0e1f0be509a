"""From any shapely geometry to one that archives and tests can rely on, or an `AreaError`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from pepsasync.area.antimeridian import split
from pepsasync.errors import AreaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

_DECIMALS = 12
_RING, _FIRST_OF_SEVERAL = 2, 4
"""Numbers of types of geometries: multi ones and collections come last."""
FARTHEST_LONGITUDE = 540.0
"""Longitudes are also written as 0..360, and polygons that cross the antimeridian go on past 180; no more than that."""


def clean(geometry: BaseGeometry | NDArray[Any], source: str) -> BaseGeometry:
    """Check a geometry, or several as one, repair it where that is safe, and bring it to the usual form.

    Heights are dropped, invalid rings repaired, collections merged, longitudes beyond 180 brought back and the shape
    cut at the antimeridian, rings turned counter-clockwise. Edges are read as straight lines in longitude and
    latitude, whatever their length: `(179, -179)` is 358 degrees long.

    Args:
        geometry: EPSG:4326, longitude first, degrees.
        source: Where it came from, for messages: `the geometry`, `the file field.shp`.

    Returns:
        A valid geometry that is not empty, within -180..180 and -90..90. A `GeometryCollection` only if points,
        lines and polygons were mixed.

    Raises:
        AreaError: Empty, not finite, out of range, curved, or a polygon without an area.
    """
    flat = _as_array(shapely.force_2d(geometry))
    if shapely.is_missing(flat).any():  # shapely makes no curve, but lets one hide in a collection
        raise curved(source)
    parts = singles(flat)
    parts = parts[~shapely.is_empty(parts)]
    if not parts.size:
        raise AreaError(f"{source} is empty", hint="Give a point, a line or a polygon with coordinates")
    _check_coordinates(shapely.get_coordinates(parts), source)
    try:
        pieces = _within(_repaired(_rounded(parts), source))
        pieces = pieces[~shapely.is_empty(pieces)]
        if not pieces.size:
            raise _flat(source)
        return merged(pieces)
    except ShapelyError as error:
        raise AreaError(f"{source} is invalid and cannot be repaired: {error}") from error


def merged(pieces: Iterable[BaseGeometry]) -> BaseGeometry:
    """Union of valid geometries, outer rings counter-clockwise: some archives read the others inside out."""
    flat = singles(_as_array(pieces))
    flat = flat[~shapely.is_empty(flat)]
    if len(flat) > 1:
        flat = singles(_as_array(_union_all(flat)))
    turned = [_counter_clockwise(part) for part in flat]
    return turned[0] if len(turned) == 1 else _multi(turned)


_union_all: Callable[..., BaseGeometry] = shapely.union_all
if shapely.geos_version >= (3, 12, 0) and hasattr(shapely, "disjoint_subset_union_all"):
    _union_all = shapely.disjoint_subset_union_all  # parcels lie beside each other: 50 times as fast


def _multi(parts: list[BaseGeometry]) -> BaseGeometry:
    """The narrowest multi type that holds all parts."""
    multi = {"Point": shapely.multipoints, "LineString": shapely.multilinestrings, "Polygon": shapely.multipolygons}
    kinds = {part.geom_type for part in parts}
    build = multi[kinds.pop()] if len(kinds) == 1 else shapely.geometrycollections
    return build(parts)  # type: ignore[no-any-return, operator]


def _counter_clockwise(part: BaseGeometry) -> BaseGeometry:
    return shapely.geometry.polygon.orient(part) if isinstance(part, shapely.Polygon) else part


def single_parts(geometry: BaseGeometry) -> Iterable[BaseGeometry]:
    """Points, lines and polygons, however deep they are nested."""
    yield from singles(_as_array(geometry))


def _as_array(geometries: BaseGeometry | Iterable[BaseGeometry] | NDArray[Any] | None) -> NDArray[Any]:
    if isinstance(geometries, np.ndarray):
        return geometries
    several = [geometries] if geometries is None or isinstance(geometries, BaseGeometry) else [*geometries]
    array = np.empty(len(several), dtype=object)
    array[:] = several
    return array


def singles(geometries: NDArray[Any]) -> NDArray[Any]:
    """The same of several geometries, all at once: a layer may have many."""
    parts = shapely.get_parts(geometries)
    while (shapely.get_type_id(parts) >= _FIRST_OF_SEVERAL).any():
        parts = shapely.get_parts(parts)
    for number in np.flatnonzero(shapely.get_type_id(parts) == _RING):
        parts[number] = shapely.LineString(parts[number].coords)  # a bare ring is a line to GEOS, but not to archives
    return parts


def _rounded(parts: NDArray[Any]) -> NDArray[Any]:
    """Coordinates without the last bits, which make geometry fail that is a hair's breadth from being degenerate."""
    rounded: NDArray[Any] = shapely.transform(parts, lambda points: np.round(points, _DECIMALS))
    return rounded


def _within(pieces: NDArray[Any]) -> NDArray[Any]:
    """Pieces cut at the antimeridian, where they go beyond."""
    bounds = shapely.bounds(pieces)
    for number in np.flatnonzero((bounds[:, 0] < -180) | (bounds[:, 2] > 180)):
        pieces[number] = split(pieces[number])
    return pieces


def _repaired(parts: NDArray[Any], source: str) -> NDArray[Any]:
    """Valid single geometries."""
    is_valid = shapely.is_valid(parts)
    if is_valid.all():
        return parts
    pieces = [[part] if is_right else _repair(part, source) for part, is_right in zip(parts, is_valid, strict=True)]
    return np.array([piece for those in pieces for piece in those], dtype=object)


def _repair(part: BaseGeometry, source: str) -> list[BaseGeometry]:
    """The valid parts of a single geometry; a polygon stays a polygon."""
    pieces = list(single_parts(shapely.make_valid(part)))
    if part.geom_type == "Polygon":
        pieces = [piece for piece in pieces if piece.area > 0]
    if not pieces:
        raise _flat(source)
    return pieces


def curved(source: str) -> AreaError:
    """What to raise for `CURVEPOLYGON` and its like."""
    return AreaError(f"{source} has curves", hint="Give it with straight edges, as a POLYGON or LINESTRING")


def _flat(source: str) -> AreaError:
    hint = "Its corners lie on one line; give a LINESTRING if that is meant"
    return AreaError(f"a polygon of {source} has no area", hint=hint)


def _check_coordinates(points: np.ndarray[tuple[int, int], np.dtype[np.float64]], source: str) -> None:
    if not np.isfinite(points).all():
        raise AreaError(
            f"{source} has coordinates that are not numbers (NaN or infinite)",
            hint="After a reprojection: part of it lies outside the area where its coordinate system is valid",
        )
    longitudes, latitudes = np.abs(points).max(axis=0)
    if latitudes > 90:
        raise AreaError(f"{source} has latitude {_worst(points[:, 1])}, beyond 90 degrees", hint=_hint(points))
    if longitudes > FARTHEST_LONGITUDE:
        raise AreaError(f"{source} has longitude {_worst(points[:, 0])}, out of range", hint=_hint(points))


def _worst(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    return f"{values[np.abs(values).argmax()]:g}"


def _hint(points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> str:
    """The likely mistake: longitude and latitude swapped, or metres instead of degrees."""
    first, second = np.abs(points).max(axis=0)
    if first <= 90 and second <= 180:
        return "Longitude comes before latitude: are they swapped?"
    return "Coordinates must be degrees of longitude and latitude (EPSG:4326), longitude first"
