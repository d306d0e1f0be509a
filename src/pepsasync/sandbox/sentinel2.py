"""Sentinel-2 acquisitions over an area: MGRS tiles, relative orbits, names.

Tiles are the real ones (100 km MGRS squares widened to 109.8 km). Orbits are a plain model tied to real numbers: 143
orbits in 10 days, and relative orbit 51 over Toulouse, which makes 8 and 94 its neighbours as in reality.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from mgrs import MGRS
from shapely.geometry import Polygon

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from shapely.geometry.base import BaseGeometry

ORBITS = 143
"""Orbits in a repeat cycle."""
CYCLE = timedelta(days=10)
"""Repeat cycle of one satellite."""
TILE_METRES = 109_800
"""Side of a tile in metres."""
_STEP = 360.0 * 10 / ORBITS
_SECONDS_PER_DEGREE = 16.6
_ANCHOR_LATITUDE, _ANCHOR_LONGITUDE = 43.8, 1.1
_DRIFT = 0.25
"""Degrees of longitude that the track moves west per degree southward."""
_REACH_KM = 195.0
"""A tile whose centre is nearer to the track than this lies at least partly in the swath."""
_SAMPLES = 40


class Satellite(NamedTuple):
    """One satellite and a pass of relative orbit 51 over Toulouse."""

    name: str
    orbit: int
    time: datetime
    first: datetime


SATELLITES = (
    Satellite("S2A", 8056, datetime(2017, 1, 5, 10, 54, 32, tzinfo=UTC), datetime(2015, 7, 4, tzinfo=UTC)),
    Satellite("S2B", 1778, datetime(2017, 7, 9, 10, 54, 32, tzinfo=UTC), datetime(2017, 7, 1, tzinfo=UTC)),
)


def acquisitions(area: BaseGeometry, start: datetime, end: datetime, rng: random.Random) -> list[dict[str, Any]]:
    """Return the products over an area (EPSG:4326), tile nearest to its centre first, without sizes."""
    centre = area.centroid
    tiles = [(tile, outline) for tile in tiles_over(area) if (outline := footprint(tile)).intersects(area)]
    tiles.sort(key=lambda item: (round(item[1].centroid.distance(centre), 6), item[0]))
    return [
        _product(satellite, orbit, moment, tile=tile, outline=outline, rng=rng)
        for tile, outline in tiles
        for satellite in SATELLITES
        for orbit, moment in _passes(satellite, outline, start, end)
    ]


def reprocessed_name(name: str, version: int) -> str:
    """Return the name of a later processing: another baseline and processing date."""
    parts = name.split("_")
    baseline = int(parts[3][1:]) + version
    moment = datetime.strptime(parts[6], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) + timedelta(days=version)
    return "_".join([*parts[:3], f"N{baseline % 10000:04d}", *parts[4:6], f"{moment:%Y%m%dT%H%M%S}"])


def tiles_over(area: BaseGeometry) -> list[str]:
    """Return the MGRS tiles found on a grid of points over an area (EPSG:4326), sorted."""
    west, south, east, north = area.bounds
    grid = MGRS()
    longitudes = _steps(max(west, -179.99), min(east, 179.99))
    latitudes = _steps(max(south, -79.99), min(north, 83.99))
    return sorted({_text(grid.toMGRS(lat, lon, MGRSPrecision=0)) for lat in latitudes for lon in longitudes})


@lru_cache(maxsize=4096)
def footprint(tile: str) -> Polygon:
    """Return the outline of an MGRS tile (`31TCJ`), EPSG:4326."""
    grid = MGRS()
    zone, hemisphere, west, south = grid.MGRSToUTM(tile + "0000000000")
    north, south = south + 100_000, south + 100_000 - TILE_METRES
    east = west + TILE_METRES
    corners = []
    for x, y in ((west, north), (east, north), (east, south), (west, south)):
        # Just outside the square the neighbour's name has to be asked for: the library knows points by name only.
        latitude, longitude = grid.toLatLon(_text(grid.UTMToMGRS(zone, hemisphere, x, max(0.0, y))))
        corners.append((round(longitude, 6), round(latitude, 6)))
    return Polygon(corners)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _steps(low: float, high: float) -> list[float]:
    number = min(_SAMPLES, max(1, math.ceil((high - low) / 0.2)))
    return [low + (high - low) * at / number for at in range(number + 1)]


def _passes(
    satellite: Satellite, outline: BaseGeometry, start: datetime, end: datetime
) -> Iterator[tuple[int, datetime]]:
    """Yield absolute orbit and time over the tile, for the orbits whose swath reaches it."""
    centre = outline.centroid
    drift = (centre.y - _ANCHOR_LATITUDE) * _DRIFT
    delay = timedelta(seconds=round((_ANCHOR_LATITUDE - centre.y) * _SECONDS_PER_DEGREE))
    wide = 111.2 * math.cos(math.radians(centre.y))
    period = CYCLE / ORBITS
    number = math.floor((max(start, satellite.first) - satellite.time) / period) - 1
    while (moment := satellite.time + number * period + delay) < end:
        track = _ANCHOR_LONGITUDE + drift - number * _STEP
        distance = abs((centre.x - track + 180) % 360 - 180) * wide
        if distance < _REACH_KM and moment >= max(start, satellite.first):
            yield satellite.orbit + number, moment
        number += 1


def _product(
    satellite: Satellite,
    orbit: int,
    moment: datetime,
    *,
    tile: str,
    outline: BaseGeometry,
    rng: random.Random,
) -> dict[str, Any]:
    relative = (51 - 1 + orbit - satellite.orbit) % ORBITS + 1
    sensed = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    processed = sensed + timedelta(seconds=rng.randrange(-10, 10))
    name = f"{satellite.name}_MSIL1C_{sensed:%Y%m%dT%H%M%S}_N0204_R{relative:03d}_T{tile}_{processed:%Y%m%dT%H%M%S}"
    return {
        "name": name,
        "collection": "S2ST",
        "product_type": "S2MSI1C",
        "platform": satellite.name,
        "start": sensed,
        "end": sensed,
        "orbit": orbit,
        "relative_orbit": relative,
        "orbit_direction": "descending",
        "cloud_cover": round(min(100.0, rng.expovariate(1 / 30)), 4),
        "tile": tile,
        "take_id": f"G{satellite.name}_{sensed:%Y%m%dT%H%M%S}_{orbit:06d}_N02.04",
        "footprint": outline,
        "size": 0,
    }
