"""Areas from vector files and tables, reprojected and merged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from pepsasync.area.clean import clean
from pepsasync.area.formats import read_layers
from pepsasync.decide.antimeridian import unwrap
from pepsasync.errors import AreaError

if TYPE_CHECKING:
    from os import PathLike

    from shapely.geometry.base import BaseGeometry

_LONGEST_EDGE_METRES = 20_000.0
"""Edges of projected shapes are cut this short before they are reprojected: a straight line on a map is a curve in
degrees. What is left of the difference is a few metres."""
_FARTHEST_METRES = 1e8
"""No coordinate on any map of the Earth is larger."""
_WIDEST_METRES = 15_000_000.0
"""A projected shape narrower than this, whose longitudes jump, crosses the antimeridian; a wider one is a world map."""


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
    file = Path(path).expanduser()
    if not file.exists():
        raise AreaError(f"the file {file} does not exist")
    pieces = [from_frame(frame, f"the file {file}") for frame in read_layers(file) if len(frame)]
    if not pieces:
        raise AreaError(f"the file {file} holds no geometry")
    return clean(shapely.GeometryCollection(pieces), f"the file {file}")


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
    return clean(shapely.GeometryCollection(list(in_degrees)), source)


def _degrees(shapes: Any, source: str) -> Any:
    """Geometries in EPSG:4326, continuous where they cross the antimeridian."""
    if shapes.crs is None:
        _check_degrees(shapes, source)
        return shapes
    if not shapes.crs.is_projected:
        return _shifted(shapes.explode(ignore_index=True), source)
    metres = shapes.crs.axis_info[0].unit_conversion_factor
    west, _, east, _ = bounds = shapes.total_bounds
    if not (np.abs(bounds) * metres < _FARTHEST_METRES).all():
        raise AreaError(f"{source} has coordinates outside of its coordinate system {shapes.crs.name}")
    result = _reprojected(shapes.segmentize(_LONGEST_EDGE_METRES / metres), source)
    if (east - west) * metres > _WIDEST_METRES or not all(np.isfinite(result.total_bounds)):
        return result
    return [unwrap(shape) for shape in result]


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
