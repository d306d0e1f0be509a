"""Areas widened by a distance on the ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Transformer

from pepsasync.area.clean import clean, single_parts
from pepsasync.errors import AreaError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

MOST_DEGREES = 10.0
"""Width and height up to which an area is projected at once: distances are right to 0.2 % there."""
_STEP = 0.25
"""Degrees between points of long sides, which are no straight lines in the projection."""
_PRECISION = 0.002
"""Share of the distance to which rounded corners are drawn."""
_EARTH = 20_000_000.0
"""Metres from one end of the earth to the other."""


def widen(area: BaseGeometry, metres: float) -> BaseGeometry:
    """Return an area with everything that is not farther from it than a distance.

    Args:
        area: EPSG:4326, longitude first, degrees, cut at the antimeridian.
        metres: On the ground, measured in a projection that is centred on the area, or on each part of a large one.

    Raises:
        AreaError: It would reach a pole.
    """
    west, south, east, north = area.bounds
    is_small = east - west <= MOST_DEGREES and north - south <= MOST_DEGREES
    parts = [area] if is_small else list(single_parts(area))
    return clean(shapely.union_all([_widened(part, metres) for part in parts]), "the area with its buffer")


def _widened(part: BaseGeometry, metres: float) -> BaseGeometry:
    west, south, east, north = part.bounds
    longitude, latitude = (west + east) / 2, (south + north) / 2
    plane = f"+proj=aeqd +lat_0={latitude} +lon_0={longitude} +datum=WGS84"
    to_plane = Transformer.from_crs("EPSG:4326", plane, always_xy=True)
    flat = _moved(shapely.segmentize(part, _STEP), to_plane)
    # A polygon inside the round corners would leave out a little.
    wide = shapely.buffer(flat, metres * (1 + _PRECISION), quad_segs=16)
    poles = shapely.points([to_plane.transform(longitude, pole) for pole in (-90.0, 90.0)])
    if metres >= _EARTH or shapely.intersects(wide, poles).any():
        raise AreaError("the area with its buffer reaches a pole", hint="Take a smaller buffer")
    back = _moved(shapely.simplify(wide, metres * _PRECISION), to_plane, inverse=True)

    def onward(points: np.ndarray) -> np.ndarray:
        """Longitudes without a leap at the antimeridian."""
        points[:, 0] = longitude + (points[:, 0] - longitude + 180) % 360 - 180
        return points

    return shapely.transform(back, onward)


def _moved(geometry: BaseGeometry, transformer: Transformer, *, inverse: bool = False) -> BaseGeometry:
    direction = "INVERSE" if inverse else "FORWARD"

    def move(points: np.ndarray) -> np.ndarray:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1], direction=direction))

    return shapely.transform(geometry, move)
