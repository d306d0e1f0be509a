"""Geometry near 180 degrees of longitude: undo jumps, cut at the antimeridian.

Two spellings of a shape that crosses the antimeridian are in use. *Jumping*: a ring goes from 179 to -179, so that a
plane reading takes it round the whole Earth. *Continuous*: it goes from 179 to 181, out of range. `unwrap` turns the
first into the second, `split` turns the second into pieces within -180..180, as RFC 7946 wants them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

_FULL_TURN = 360.0 - 1e-6
"""An edge as long as this is the border of a map of the world, not a jump."""
_AT_POLE = 1e-7
"""Degrees, a centimetre."""


def split(geometry: BaseGeometry) -> BaseGeometry:
    """Cut a geometry at the antimeridian and bring every piece into -180..180.

    Args:
        geometry: Valid, of one dimension (no collection of points and polygons), EPSG:4326, longitude first,
            degrees; longitudes may go beyond 180 (190 means -170).

    Returns:
        The same place on Earth; a multi geometry when it had to be cut.
    """
    west, _, east, _ = geometry.bounds
    if west >= -180 and east <= 180:
        return geometry
    import shapely  # noqa: PLC0415 - needed by few runs

    turns = range(math.floor((west + 180) / 360), math.ceil((east - 180) / 360) + 1)
    pieces = [_turned_back(geometry, turn) for turn in turns]
    dimension = shapely.get_dimensions(geometry)
    return shapely.union_all([p for p in pieces if not p.is_empty and shapely.get_dimensions(p) == dimension])


def _turned_back(geometry: BaseGeometry, turn: int) -> BaseGeometry:
    """The part of a geometry that lies `turn` times round the Earth, moved back."""
    import shapely  # noqa: PLC0415 - needed by few runs
    from shapely import affinity  # noqa: PLC0415 - needed by few runs

    window = shapely.box(-180 + 360 * turn, -90, 180 + 360 * turn, 90)
    piece = geometry.intersection(window)
    return affinity.translate(piece, xoff=-360 * turn) if turn else piece


def unwrap(geometry: BaseGeometry) -> BaseGeometry:
    """Make rings and lines continuous that jump from one side of the antimeridian to the other.

    An edge longer than half the Earth is taken for a jump. A ring that goes once round a pole is closed over that
    pole. Edges of exactly 360 degrees (the border of the whole world) stay.

    Args:
        geometry: EPSG:4326, longitude first, degrees, within -180..180.

    Returns:
        The same geometry when nothing jumps; else one whose longitudes may go beyond 180, perhaps invalid.
    """
    import shapely  # noqa: PLC0415 - needed by few runs

    if geometry.geom_type == "Polygon":
        return _unwrapped_polygon(shapely.get_rings(geometry))
    if geometry.geom_type == "LineString":
        return shapely.LineString(_continuous(shapely.get_coordinates(geometry)))
    parts = shapely.get_parts(geometry)
    if len(parts) < 2:
        return geometry
    return shapely.GeometryCollection([unwrap(part) for part in parts])


def around_pole(shell: NDArray[np.float64], holes: Iterable[NDArray[np.float64]]) -> BaseGeometry:
    """The area of a polygon on the ground that may hold a pole, in any of its rings.

    Args:
        shell: Corners, longitude first, degrees, no two neighbours half a turn apart but at a pole; counter-clockwise
            as seen from above the ground, so that the area lies to the left.
        holes: The same, each counter-clockwise, too.

    Returns:
        Valid, within -180..180; empty when there is no area.
    """
    import shapely  # noqa: PLC0415 - needed by few runs

    rings = (_closed(_continuous(_with_pole_as_edge(ring), math.inf), None) for ring in (shell, *holes))
    first, *others = (_area(ring) for ring in rings)
    return first.difference(shapely.union_all(others))


def _unwrapped_polygon(rings: NDArray[np.object_]) -> BaseGeometry:
    """A polygon from continuous rings; holes are moved to where the outer ring is, or cut out of it."""
    import shapely  # noqa: PLC0415 - needed by few runs

    opened = [_continuous(shapely.get_coordinates(ring)) for ring in rings]
    shell, *holes = (_closed(ring, math.copysign(90.0, ring[:, 1].mean())) for ring in opened)
    if holes and abs(opened[0][-1, 0] - opened[0][0, 0]) > 180:
        return _area(shell).difference(shapely.union_all([_area(hole) for hole in holes]))
    middle = (shell[:, 0].min() + shell[:, 0].max()) / 2
    for hole in holes:
        hole[:, 0] += 360 * round((middle - hole[:, 0].mean()) / 360)
    return shapely.Polygon(shell, holes)


def _area(ring: NDArray[np.float64]) -> BaseGeometry:
    """What a continuous ring encloses, within -180..180."""
    import shapely  # noqa: PLC0415 - needed by few runs

    polygon = shapely.Polygon(ring)
    if polygon.is_valid:
        return split(polygon)
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(polygon)))
    areas = shapely.union_all([part for part in parts if part.geom_type == "Polygon" and part.area])
    return areas if areas.is_empty else split(areas)


def _with_pole_as_edge(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ring whose corner at a pole, which has no longitude, became an edge between those of its neighbours."""
    import numpy as np  # noqa: PLC0415 - needed by few runs

    corners = ring[:-1]
    at_pole = np.abs(corners[:, 1]) > 90 - _AT_POLE
    alone = at_pole & ~np.roll(at_pole, 1) & ~np.roll(at_pole, -1)
    if not alone.any():
        return ring
    doubled = np.repeat(corners, 1 + alone, axis=0)
    second = np.cumsum(1 + alone)[alone] - 1
    where = np.flatnonzero(alone)
    doubled[second - 1, 0] = corners[where - 1, 0]
    doubled[second, 0] = corners[(where + 1) % len(corners), 0]
    return np.vstack([doubled, doubled[:1]])


def _continuous(points: NDArray[np.float64], full_turn: float = _FULL_TURN) -> NDArray[np.float64]:
    import numpy as np  # noqa: PLC0415 - needed by few runs

    steps = np.diff(points[:, 0])
    jumps = np.where((np.abs(steps) > 180) & (np.abs(steps) < full_turn), -360.0 * np.sign(steps), 0.0)
    moved = points.copy()
    moved[1:, 0] += np.cumsum(jumps)
    return moved


def _closed(ring: NDArray[np.float64], pole: float | None) -> NDArray[np.float64]:
    """A ring that ends a full turn from its start encloses a pole: go along the pole to close it.

    Args:
        ring: Continuous.
        pole: Its latitude; None for the one to the left.
    """
    import numpy as np  # noqa: PLC0415 - needed by few runs

    turn = ring[-1, 0] - ring[0, 0]
    if abs(turn) < 180:
        return ring
    if pole is None:
        pole = math.copysign(90.0, turn)
    # From the corner nearest to the pole the ring itself is not in the way there.
    nearest = int(np.argmax(ring[:-1, 1] * math.copysign(1.0, pole)))
    ring = np.vstack([ring[nearest:-1], ring[: nearest + 1] + np.array([turn, 0.0])])
    first, last = ring[0], ring[-1]
    return np.vstack([ring, [[last[0], pole], [first[0], pole], first]])
