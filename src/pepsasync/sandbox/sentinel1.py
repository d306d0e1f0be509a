"""Sentinel-1 acquisitions over an area: orbits, frames, names.

The ground tracks are a plain model (equal spacing, straight at the scale of a frame) tied to real numbers: 175
orbits in 12 days, the relative orbit rule of PEPS protocol notes, section 6, and one known pass.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from shapely.geometry import Polygon

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from shapely.geometry.base import BaseGeometry

ORBITS = 175
"""Orbits in a repeat cycle."""
CYCLE = timedelta(days=12)
"""Repeat cycle of one satellite."""
SLICE = timedelta(seconds=25)
"""Duration of one product."""
_STEP = 360.0 * 12 / ORBITS
"""Degrees of longitude that the track moves west from one orbit to the next."""
_FRAME = 1.5
"""Degrees of latitude from one frame to the next."""
_SECONDS_PER_DEGREE = 16.6
_ANCHOR_LATITUDE = 43.5
_ANCHOR_LONGITUDE = 2.5
_DESCENDING_SHIFT = 174.25
_DESCENDING_DELAY = timedelta(minutes=25.5)
_HALF_WIDTH_KM, _HALF_HEIGHT_KM, _SLANT = 125.0, 85.0, math.radians(12)


class Satellite(NamedTuple):
    """One satellite and a pass of it at latitude 43.5 north, longitude 2.5 east, ascending."""

    name: str
    orbit: int
    time: datetime
    offset: int
    first: datetime


SATELLITES = (
    Satellite("S1A", 8471, datetime(2015, 11, 5, 17, 47, 30, tzinfo=UTC), 73, datetime(2014, 10, 3, tzinfo=UTC)),
    Satellite("S1B", 2125, datetime(2016, 9, 18, 17, 47, 30, tzinfo=UTC), 27, datetime(2016, 9, 26, tzinfo=UTC)),
)


def relative_orbit(platform: str, orbit: int) -> int:
    """Return the relative orbit of an absolute one (PEPS protocol notes, section 6)."""
    offset = next(satellite.offset for satellite in SATELLITES if satellite.name == platform)
    return (orbit - offset) % ORBITS + 1


def acquisitions(area: BaseGeometry, start: datetime, end: datetime, rng: random.Random) -> list[dict[str, Any]]:
    """Return the products over an area (EPSG:4326), nearest to its centre first, without sizes."""
    centre = area.centroid
    found: list[dict[str, Any]] = []
    for satellite in SATELLITES:
        for orbit, moment in _orbits(satellite, start, end):
            for ascending in (True, False):
                found += _frames(satellite, orbit, moment, ascending, area)
    found = [frame for frame in found if start <= frame["start"] < end]
    found.sort(key=lambda frame: (round(frame["footprint"].distance(centre), 6), frame["start"]))
    return [product for number, frame in enumerate(found) for product in _products(frame, number, rng)]


def reprocessed_name(name: str, version: int) -> str:
    """Return the name of a later processing of the same slice: only the last group differs."""
    stem, _, unique = name.rpartition("_")
    return f"{stem}_{(int(unique, 16) + version) % 0x10000:04X}"


def _orbits(satellite: Satellite, start: datetime, end: datetime) -> Iterator[tuple[int, datetime]]:
    period = CYCLE / ORBITS
    first = max(start, satellite.first)
    number = math.floor((first - satellite.time) / period) - 1
    while (moment := satellite.time + number * period) < end + period:
        yield satellite.orbit + number, moment
        number += 1


def _frames(
    satellite: Satellite, orbit: int, moment: datetime, ascending: bool, area: BaseGeometry
) -> Iterator[dict[str, Any]]:
    west, south, east, north = area.bounds
    longitude = _ANCHOR_LONGITUDE - (orbit - satellite.orbit) * _STEP
    if not ascending:
        longitude, moment = longitude + _DESCENDING_SHIFT, moment + _DESCENDING_DELAY
    longitude = (longitude + 180) % 360 - 180
    if not west - 5 < longitude < east + 5:
        return
    for row in range(math.floor(south / _FRAME) - 1, math.ceil(north / _FRAME) + 2):
        latitude = row * _FRAME
        footprint = _footprint(longitude, latitude, ascending)
        if footprint.intersects(area):
            delay = (latitude - _ANCHOR_LATITUDE) * _SECONDS_PER_DEGREE * (1 if ascending else -1)
            yield {
                "platform": satellite.name,
                "orbit": orbit,
                "relative_orbit": relative_orbit(satellite.name, orbit),
                "orbit_direction": "ascending" if ascending else "descending",
                "start": _to_milliseconds(moment + timedelta(seconds=delay)),
                "footprint": footprint,
            }


def _to_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _footprint(longitude: float, latitude: float, ascending: bool) -> Polygon:
    slant = _SLANT if ascending else -_SLANT
    per_degree = 111.2
    corners = []
    for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        across, along = x * _HALF_WIDTH_KM, y * _HALF_HEIGHT_KM
        east = across * math.cos(slant) - along * math.sin(slant)
        north = across * math.sin(slant) + along * math.cos(slant)
        wide = per_degree * max(0.1, math.cos(math.radians(latitude)))
        corners.append((round(longitude + east / wide, 6), round(latitude + north / per_degree, 6)))
    return Polygon(corners)


def _products(frame: dict[str, Any], number: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield a GRD of each frame, and a SLC or OCN of some."""
    kinds = ["GRD", *(["SLC"] if number % 3 == 0 else []), *(["OCN"] if number % 5 == 1 else [])]
    mode = "EW" if rng.random() < 0.05 else "IW"
    channels = "SDV" if rng.random() < 0.8 else "SSV"
    take = rng.randrange(0x3000, 0x3FFFF)
    for kind in kinds:
        yield {
            **frame,
            "name": _name(frame, mode, kind, f"{channels}{take:06X}", rng),
            "collection": "S1",
            "product_type": kind,
            "end": frame["start"] + SLICE,
            "sensor_mode": mode,
            "polarisation": "VV VH" if channels == "SDV" else "VV",
            "take_id": take,
            "cycle": 1 + max(0, frame["orbit"] // ORBITS),
            "realtime": "Fast-24h",
            "size": 0,
        }


def _name(frame: dict[str, Any], mode: str, kind: str, group: str, rng: random.Random) -> str:
    begin, end = frame["start"], frame["start"] + SLICE
    resolution = ("H" if mode == "IW" else "M") if kind == "GRD" else "_"
    level = "2" if kind == "OCN" else "1"
    return (
        f"{frame['platform']}_{mode}_{kind}{resolution}_{level}{group[:3]}"
        f"_{begin:%Y%m%dT%H%M%S}_{end:%Y%m%dT%H%M%S}_{frame['orbit']:06d}_{group[3:]}_{rng.randrange(0x10000):04X}"
    )
