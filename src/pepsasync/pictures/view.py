"""What of the world a map shows, and footprints moved to where it shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import shapely
from shapely import affinity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapely.geometry.base import BaseGeometry

LEAST = 4.0
"""Degrees of latitude that a map shows at least, so that one product stands among coasts and borders."""

MARGIN = 0.08
"""Of the extent of the footprints, on each side."""


@dataclass(frozen=True, slots=True)
class View:
    """A window of the world in degrees; east of a `west` beyond 0 it goes on past 180.

    A degree of longitude is drawn shorter than one of latitude, as it is on the ground in the middle of the window.
    """

    west: float
    south: float
    east: float
    north: float
    first: float = -180.0
    """Longitude where the world begins: no footprint of the window crosses it."""

    def moved(self, geometry: BaseGeometry) -> BaseGeometry:
        """Return a geometry within -180..180 with all its parts east of where this world begins."""
        if self.first == -180.0:
            return geometry
        parts = [
            affinity.translate(part, xoff=360.0) if part.bounds[0] < self.first else part
            for part in shapely.get_parts(geometry)
        ]
        return shapely.union_all(parts)

    def everywhere(self, geometry: BaseGeometry) -> list[BaseGeometry]:
        """Return the parts of the whole world, as often as this window may show them."""
        parts = list(shapely.get_parts(geometry))
        if self.first == -180.0:
            return parts
        return parts + [affinity.translate(part, xoff=360.0) for part in parts]

    def meridian(self, longitude: float) -> str:
        """What a longitude of this window is called."""
        return f"{180 - (180 - longitude) % 360:g}°"


def view_of(geometries: Sequence[BaseGeometry], aspect: float) -> View:
    """Return a window that shows footprints with a margin.

    Where they lie on both sides of the antimeridian, and nowhere else, the window goes across it.

    Args:
        geometries: Within -180..180; none for the whole world.
        aspect: Width of the picture by its height.
    """
    bounds = [tuple(part.bounds) for one in geometries for part in shapely.get_parts(one) if not part.is_empty]
    if not bounds:
        return _fitted(-180, -90, 180, 90, aspect, -180)
    first = _first_meridian([(west, east) for west, _, east, _ in bounds])
    spans = [(west + 360, east + 360) if west < first else (west, east) for west, _, east, _ in bounds]
    return _fitted(
        min(west for west, _ in spans),
        min(south for _, south, _, _ in bounds),
        max(east for _, east in spans),
        max(north for _, _, _, north in bounds),
        aspect,
        first,
    )


def _first_meridian(spans: Sequence[tuple[float, float]]) -> float:
    """-180, or where the gap between footprints ends that takes half of the Earth or more."""
    ordered = sorted(spans)
    widest, first, reached = 360.0 - max(east for _, east in ordered) + ordered[0][0], -180.0, ordered[0][1]
    for west, east in ordered:
        if west - reached > widest:
            widest, first = west - reached, west
        reached = max(reached, east)
    return first if widest >= 180 else -180.0


def _fitted(west: float, south: float, east: float, north: float, aspect: float, first: float) -> View:
    """A window of the aspect around a box."""
    middle_x, middle_y = (west + east) / 2, (south + north) / 2
    degree = max(0.2, math.cos(math.radians(middle_y)))
    height = max(LEAST, (north - south) * (1 + 2 * MARGIN), (east - west) * (1 + 2 * MARGIN) * degree / aspect)
    width = height * aspect / degree
    if width > 360:
        width, height = 360.0, max(360.0 * degree / aspect, min(180.0, (north - south) * (1 + 2 * MARGIN)))
    if height < 180:  # nothing is beyond a pole
        middle_y = min(max(middle_y, height / 2 - 90), 90 - height / 2)
    return View(middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2, first)
