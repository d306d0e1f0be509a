"""Areas from vector files and tables, reprojected and merged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry.polygon import orient

from pepsasync.area.antimeridian import around_pole, unwrap
from pepsasync.area.clean import clean, single_parts
from pepsasync.area.formats import read_layers
from pepsasync.errors import AreaError
from pepsasync.paths import in_home

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

_LONGEST_EDGE_METRES = 20_000.0
"""Edges of projected shapes are cut this short before they are reprojected: a straight line on a map is a curve in
degrees. What is left of the difference is a few metres."""
_FARTHEST_METRES = 1e8
"""No coordinate on any map of the Earth is larger."""
_POLAR_DEGREES = 89.0
"""Shapes that reach beyond may have a pole at their border."""
_CURVED_DEGREES = 60.0
"""Beyond, straight edges on a map are cut shorter where they are curves in degrees."""
_BEND_METRES = 20.0
"""Curves are that near to what they become."""
_SLIVER = 1e-10
"""Square degrees; smaller pieces are left by arithmetic."""
_RADIUS_METRES = 6_371_000.0


def from_file(path: str | PathLike[str]) -> BaseGeometry:
    """Return the union of everything in a vector file.

    All layers and features count. A file without a coordinate system is taken for EPSG:4326 if its coordinates fit.

    Args:
        path: Shapefile (also zipped), GeoPackage, GeoJSON, FlatGeobuf, KML, KMZ, GeoParquet or File Geodatabase. `~` is
            the home folder. No other file is read, and nothing is fetched from the network.

    Returns:
        Valid geometry, EPSG:4326, longitude first, degrees, cut at the antimeridian.

    Raises:
        AreaError: Missing, unreadable or empty file, unknown coordinate system, coordinates out of range.
    """
    file = in_home(path)
    if not file.exists():
        raise AreaError(f"the file {file} does not exist")
    pieces = [from_frame(frame, f"the file {file}") for frame in read_layers(file) if len(frame)]
    if not pieces:
        raise AreaError(f"the file {file} holds no geometry")
    return pieces[0] if len(pieces) == 1 else clean(shapely.GeometryCollection(pieces), f"the file {file}")


def from_frame(frame: Any, source: str) -> BaseGeometry:
    """Return the union of the geometries of a GeoDataFrame or GeoSeries.

    Args:
        frame: Any coordinate system; without one, degrees are assumed if the coordinates fit.
        source: For messages: `the file field.shp`.

    Raises:
        AreaError: Empty, unknown coordinate system, coordinates out of range.
    """
    shapes = frame.geometry
    shapes = shapes[~shapes.is_empty]
    shapes = shapes[shapes.notna()]
    if shapes.empty:
        raise AreaError(f"{source} holds no geometry")
    in_degrees = _degrees(shapes, source)
    return clean(np.asarray(in_degrees, dtype=object), source)


def _degrees(shapes: Any, source: str) -> Any:
    """Geometries in EPSG:4326, continuous where they cross the antimeridian."""
    if shapes.crs is None:
        _check_degrees(shapes, source)
        return shapes
    if not shapes.crs.is_projected:
        return _shifted(shapes.explode(ignore_index=True), source)
    metres = shapes.crs.axis_info[0].unit_conversion_factor
    if not (np.abs(shapes.total_bounds) * metres < _FARTHEST_METRES).all():
        raise AreaError(f"{source} has coordinates outside of its coordinate system {shapes.crs.name}")
    shapes = shapes.explode(ignore_index=True)
    result = _reprojected(shapes.segmentize(_LONGEST_EDGE_METRES / metres), source)
    special = np.flatnonzero(_may_jump(result))
    if not special.size:
        return result
    transformer = Transformer.from_crs(shapes.crs, "EPSG:4326", always_xy=True)
    pieces = list(result)
    for number in special:
        polygon = isinstance(shapes[number], shapely.Polygon)
        pieces[number] = _on_the_ground(shapes[number], transformer, metres) if polygon else unwrap(pieces[number])
    return pieces


def _may_jump(result: Any) -> Any:
    """Which shapes in degrees may cross the antimeridian, or hold a pole."""
    bounds = result.bounds
    is_wide = (bounds.maxx - bounds.minx) > 180
    is_polar = (bounds.miny < -_POLAR_DEGREES) | (bounds.maxy > _POLAR_DEGREES)
    return np.isfinite(bounds).all(axis=1) & (is_wide | is_polar)


def _on_the_ground(polygon: shapely.Polygon, transformer: Transformer, metres: float) -> BaseGeometry:
    """The place of a projected polygon that may hold a pole."""
    valid = [part for part in single_parts(shapely.make_valid(polygon)) if isinstance(part, shapely.Polygon)]
    areas = []
    for part in valid:
        shell, *holes = (
            _ring_in_degrees(shapely.get_coordinates(orient(shapely.Polygon(ring))), transformer, metres)
            for ring in (part.exterior, *part.interiors)
        )
        areas.append(around_pole(shell, holes))
    found = shapely.union_all(areas)
    pieces = [part for part in single_parts(found) if part.area > _SLIVER]
    return shapely.GeometryCollection(pieces) if pieces else found


def _ring_in_degrees(ring: NDArray[np.float64], transformer: Transformer, metres: float) -> NDArray[np.float64]:
    """Corners in degrees, with as many more as the curves need that straight edges become near a pole."""
    ring = shapely.get_coordinates(shapely.segmentize(shapely.LineString(ring), _LONGEST_EDGE_METRES / metres))
    while True:
        longitude, latitude = transformer.transform(ring[:, 0], ring[:, 1])
        turns = np.radians((np.diff(longitude) + 180) % 360 - 180)
        widths = np.cos(np.radians(latitude)) * _RADIUS_METRES
        bends = np.maximum(widths[1:], widths[:-1]) * turns**2 / 8
        lengths = np.hypot(*np.diff(ring, axis=0).T) * metres
        coarse = np.flatnonzero((bends > _BEND_METRES) & (lengths > 1) & (np.abs(latitude[1:]) > _CURVED_DEGREES))
        if not coarse.size:
            return np.column_stack([longitude, latitude])
        ring = np.insert(ring, coarse + 1, (ring[coarse] + ring[coarse + 1]) / 2, axis=0)


def _shifted(shapes: Any, source: str) -> Any:
    """Single shapes in degrees of another datum; the shift brings every longitude past 180 back, as a jump."""
    result = _reprojected(shapes, source)
    half_turn = math.pi / shapes.crs.axis_info[0].unit_conversion_factor
    jumps = (_widths(shapes) <= half_turn) & _widths(result).between(180, 360, inclusive="right")
    result[jumps] = [unwrap(shape) for shape in result[jumps]]
    return result


def _widths(shapes: Any) -> Any:
    return shapes.bounds.maxx - shapes.bounds.minx


def _reprojected(shapes: Any, source: str) -> Any:
    try:
        return shapes.to_crs("EPSG:4326")
    except (RuntimeError, ValueError) as error:
        raise AreaError(f"{source} cannot be reprojected to EPSG:4326: {error}") from error


def _check_degrees(shapes: Any, source: str) -> None:
    west, south, east, north = shapes.total_bounds
    if west < -180 or east > 360 or south < -90 or north > 90:
        raise AreaError(
            f"{source} has no coordinate system, and its coordinates ({west:g} {south:g} to {east:g} {north:g}) "
            "are not degrees",
            hint="Add the .prj file, or save it in EPSG:4326",
        )
