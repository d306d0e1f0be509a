"""Areas for archives that take only so much: single parts, boxes, WKT of limited length. Pure functions."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
import shapely

from pepsasync.area.clean import merged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapely.geometry.base import BaseGeometry

MOST_PARTS = 16
"""Parts that are searched one by one; a file with thousands of fields must not become thousands of searches."""
_FINEST = 1e-5
"""Degrees (1 m): no simplification is finer, since WKT is written with a tenth of that."""
_SHORTEST_CORNER = 4
"""Characters: `1 2,`."""
_TRAILING_ZEROS = re.compile(r"(?<=\d)(?:\.0+|(\.\d*[1-9])0+)(?=[ ,)])")
_MINUS_ZERO = re.compile(r"-0(?=[ ,)])")


def parts(geometry: BaseGeometry, most: int = MOST_PARTS) -> tuple[BaseGeometry, ...]:
    """Take a geometry apart into points, lines and polygons that together cover it.

    Parts within another part are dropped. When there are more than `most`, neighbours are replaced by their convex
    hull: the parts then cover more than the geometry, and results must be filtered with the geometry itself.

    Args:
        geometry: Valid, EPSG:4326, longitude first, degrees.
        most: At least 1.
    """
    pieces = _distinct(_single(geometry))
    if len(pieces) <= most:
        return tuple(pieces)
    groups = _neighbourhoods(pieces, most)
    return tuple(merged([shapely.GeometryCollection(group).convex_hull]) for group in groups)


def is_box(geometry: BaseGeometry) -> bool:
    """Whether a geometry is a polygon whose sides run along meridians and parallels."""
    return geometry.geom_type == "Polygon" and bool(shapely.equals(geometry, geometry.envelope))


def to_wkt(geometry: BaseGeometry, decimals: int = 6) -> str:
    """Write WKT without exponents and trailing zeros.

    Args:
        geometry: EPSG:4326, longitude first, degrees.
        decimals: Digits after the point; 6 are 0.1 m.
    """
    text = shapely.to_wkt(geometry, rounding_precision=decimals, trim=False)
    return _MINUS_ZERO.sub("0", _TRAILING_ZEROS.sub(r"\1", text))


def cover(geometry: BaseGeometry, max_characters: int) -> BaseGeometry:
    """Return a geometry that covers another one and whose WKT is short enough, losing as little shape as possible.

    First that fits: the geometry itself; without its holes; simplified and widened by as much as that may have cut
    off, ever more coarsely; its convex hull; its box. A line stays a line when it fits, and becomes a narrow polygon
    around it otherwise: both answer `intersects` with nothing missing.

    Args:
        geometry: Valid, EPSG:4326, longitude first, degrees.
        max_characters: Longest WKT, as `to_wkt` writes it. The box of any geometry fits into 130.

    Raises:
        ValueError: Not even the box, in whole degrees, is short enough.
    """
    for candidate in _candidates(geometry, max_characters):
        if len(to_wkt(candidate)) <= max_characters:
            return candidate
    raise ValueError(f"no polygon can be written in {max_characters} characters")


def _candidates(geometry: BaseGeometry, max_characters: int) -> Iterator[BaseGeometry]:
    """Geometries that cover another one, ever simpler."""
    yield geometry
    filled = _without_holes(geometry)
    yield filled
    hull = merged([geometry.convex_hull])
    yield from (simple for simple in _simpler(filled, max_characters, hull.area) if simple.covers(geometry))
    yield hull
    box = _box_around(geometry, 6)
    yield from (simple for simple in _simpler(hull, max_characters, box.area) if simple.covers(geometry))
    yield box
    for decimals in range(5, -1, -1):
        yield _box_around(geometry, decimals)


def _simpler(geometry: BaseGeometry, max_characters: int, max_area: float) -> Iterator[BaseGeometry]:
    """Simplified, widened shapes that are short enough, and smaller than what comes next in any case."""
    west, south, east, north = geometry.bounds
    extent = max(east - west, north - south)
    tolerance = max(_FINEST, extent / 1e5)
    while tolerance < extent / 4:
        # Topology is left to the checks that follow: preserving it takes minutes for a detailed coast.
        simple = geometry.simplify(tolerance, preserve_topology=False)
        if shapely.get_num_coordinates(simple) * _SHORTEST_CORNER <= max_characters:
            widened = _widened(simple, tolerance)
            if widened is not None and widened.area < max_area and len(to_wkt(widened)) <= max_characters:
                yield widened
        tolerance *= 1.5


def _widened(geometry: BaseGeometry, tolerance: float) -> BaseGeometry | None:
    """A simplified shape, widened by the tolerance, as an archive will read it; None when that broke it.

    The coarser it is, the fewer decimals it gets; it is widened by one step of the last one, so that rounding cannot
    lose anything.
    """
    decimals = min(6, 1 - math.floor(math.log10(tolerance)))
    wide: BaseGeometry = geometry.buffer(tolerance + 10.0**-decimals, join_style="mitre", mitre_limit=3)
    wide = wide.intersection(shapely.box(-180, -90, 180, 90))
    rounded = shapely.from_wkt(to_wkt(merged([_without_holes(wide)]), decimals))
    return rounded if rounded.is_valid and not rounded.is_empty else None


def _without_holes(geometry: BaseGeometry) -> BaseGeometry:
    filled = [shapely.Polygon(p.exterior) if isinstance(p, shapely.Polygon) else p for p in _single(geometry)]
    return merged(filled)


def _box_around(geometry: BaseGeometry, decimals: int) -> BaseGeometry:
    """Box with so many decimals, rounded outwards, never thinner than one step."""
    step = 10.0**-decimals
    west, south, east, north = geometry.bounds
    left, bottom = math.floor(west / step) * step, math.floor(south / step) * step
    right, top = math.ceil(east / step) * step, math.ceil(north / step) * step
    if right - left < step / 2:
        left, right = (left - step, right) if right >= 180 else (left, right + step)
    if top - bottom < step / 2:
        bottom, top = (bottom - step, top) if top >= 90 else (bottom, top + step)
    west, south, east, north = (round(value, decimals) for value in (left, bottom, right, top))
    return shapely.box(west, south, east, north)


def _single(geometry: BaseGeometry) -> list[BaseGeometry]:
    """Points, lines and polygons, however deep they are nested."""
    if not hasattr(geometry, "geoms"):
        return [geometry]
    return [single for part in geometry.geoms for single in _single(part)]


def _distinct(pieces: list[BaseGeometry]) -> list[BaseGeometry]:
    """Pieces that do not lie within another one; of equal ones the first."""
    if len(pieces) == 1:
        return pieces
    inner, outer = shapely.STRtree(pieces).query(pieces, predicate="covered_by")
    dropped = {
        int(i) for i, j in zip(inner, outer, strict=True) if i != j and (j < i or not pieces[j].covered_by(pieces[i]))
    }
    return [piece for number, piece in enumerate(pieces) if number not in dropped]


def _neighbourhoods(pieces: list[BaseGeometry], most: int) -> list[list[BaseGeometry]]:
    """Split pieces into at most `most` groups, halving along the longer side of what they span."""
    if most <= 1 or len(pieces) <= 1:
        return [pieces]
    centres = np.array([((p.bounds[0] + p.bounds[2]) / 2, (p.bounds[1] + p.bounds[3]) / 2) for p in pieces])
    order = np.argsort(centres[:, int(np.argmax(np.ptp(centres, axis=0)))], kind="stable")
    ordered = [pieces[i] for i in order]
    half = len(ordered) // 2
    return _neighbourhoods(ordered[:half], most // 2) + _neighbourhoods(ordered[half:], most - most // 2)
