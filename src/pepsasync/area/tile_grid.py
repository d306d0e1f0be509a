"""The MGRS grid of Sentinel-2: which tiles there are, and where. By arithmetic alone, since queries start quickly."""

from __future__ import annotations

import cmath
import contextlib
import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from pepsasync.errors import ConfigError
from pepsasync.model import parse_tile

SQUARE_METRES = 100_000.0
"""Side of an MGRS square; a tile overlaps its neighbours to the east and south."""
FALSE_NORTHING_METRES = 10_000_000.0
"""Northing of the equator in the zones of the south."""
_FALSE_EASTING_METRES = 500_000.0
_ROW_CYCLE_METRES = 2_000_000.0
_METRES_PER_DEGREE = 111_100.0
BANDS = "CDEFGHJKLMNPQRSTUVWX"
"""Letters of the latitude bands, from the south."""
_CLOSE = 0.6
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")
"""Letters of the eight columns, by zone modulo 3."""
_WIDE_ZONES = {"32V": (3, 12), "31X": (0, 9), "33X": (9, 21), "35X": (21, 33), "37X": (33, 42)}
"""Zones that are wider than 6 degrees: west and east, degrees."""
_NO_ZONES = ("32X", "34X", "36X")
_SOUTHERNMOST = -84.0
_NORTHERN_MARGIN = 3.0
"""Degrees that tiles of band W reach beyond their zone, at the wider zones of band X."""

_FLATTENING = 1 / 298.257223563
_N = _FLATTENING / (2 - _FLATTENING)
_RADIUS_METRES = 0.9996 * 6_378_137.0 / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
"""Of the sphere that UTM is computed on, with the scale of its central meridian."""
_TO_SPHERE = (_N / 2 - 2 / 3 * _N**2 + 37 / 96 * _N**3, _N**2 / 48 + _N**3 / 15, 17 / 480 * _N**3)
_TO_ELLIPSOID = (2 * _N - 2 / 3 * _N**2 - 2 * _N**3, 7 / 3 * _N**2 - 8 / 5 * _N**3, 56 / 15 * _N**3)
"""Series of Krueger (1912) for WGS 84, right to a millimetre within a zone."""


@dataclass(frozen=True, slots=True)
class Square:
    """The 100 km square of a tile."""

    tile: str
    """Canonical id, `31TCJ`."""
    easting: float
    """Of the south-west corner, UTM metres."""
    northing: float

    @property
    def zone(self) -> int:
        """UTM zone, 1-60."""
        return int(self.tile[:2])

    @property
    def band(self) -> str:
        """Letter of the latitude band."""
        return self.tile[2]

    @property
    def is_south(self) -> bool:
        """Whether northings count from 10 000 km south of the equator."""
        return self.band < "N"

    @property
    def meridian(self) -> float:
        """Central meridian of the UTM zone, degrees."""
        return 6.0 * self.zone - 183


def find_square(tile: str) -> Square:
    """Return the square of a tile.

    Args:
        tile: `31TCJ`, any case, with or without a leading T.

    Raises:
        ConfigError: There is no such tile.
    """
    name = parse_tile(tile)
    columns, row = _COLUMNS[int(name[:2]) % 3], name[4]
    if name[:3] not in _NO_ZONES and name[3] in columns and row in _ROWS:
        square = _square(name)
        if _is_in_cell(square):
            return square
    close = get_close_matches(name, tiles_of(name[:3]), n=3, cutoff=_CLOSE)
    hint = (
        f"Did you mean {' or '.join(close)}?" if close else "Tiles look like 31TCJ: zone, band, column and row letter"
    )
    raise ConfigError(f"there is no MGRS tile {name}", hint=hint)


@lru_cache(maxsize=16)
def tiles_of(cell: str) -> tuple[str, ...]:
    """Return the tiles of a zone and band, `31T`; none when there is no such cell."""
    if not re.fullmatch(rf"[0-9]{{2}}[{BANDS}]", cell) or not 1 <= int(cell[:2]) <= 60 or cell in _NO_ZONES:
        return ()
    names = (f"{cell}{column}{row}" for column in _COLUMNS[int(cell[:2]) % 3] for row in _ROWS)
    return tuple(name for name in names if _is_in_cell(_square(name)))


def _square(name: str) -> Square:
    columns = _COLUMNS[int(name[:2]) % 3]
    return Square(name, (columns.index(name[3]) + 1) * SQUARE_METRES, _northing(name))


def other_name(tile: str) -> str | None:
    """Return the second name of a square that lies in two latitude bands; None when it has only one.

    Raises:
        ConfigError: There is no such tile.
    """
    square = find_square(tile)
    number = BANDS.index(square.band)
    for band in BANDS[max(number - 1, 0) : number + 2]:
        with contextlib.suppress(ConfigError):
            other = find_square(square.tile[:2] + band + square.tile[3:])
            if other.tile != square.tile and (other.northing, other.is_south) == (square.northing, square.is_south):
                return other.tile
    return None


def _northing(name: str) -> float:
    """Southern side of the square, UTM metres: row letters repeat every 2 000 km, the band says which."""
    zone, band, letter = int(name[:2]), name[2], name[4]
    first = 5 if zone % 2 == 0 else 0
    row = ((_ROWS.index(letter) - first) % len(_ROWS)) * SQUARE_METRES
    expected = sum(_band(band)) / 2 * _METRES_PER_DEGREE - SQUARE_METRES / 2
    if band < "N":
        expected += FALSE_NORTHING_METRES
    return row + round((expected - row) / _ROW_CYCLE_METRES) * _ROW_CYCLE_METRES


def _band(letter: str) -> tuple[float, float]:
    """South and north border of a latitude band, degrees; Sentinel-2 stretches the southernmost one."""
    south = -80.0 + 8 * BANDS.index(letter)
    return (_SOUTHERNMOST if letter == "C" else south), south + (12 if letter == "X" else 8)


def _is_in_cell(square: Square) -> bool:
    """Whether a square overlaps the zone and band that its id names."""
    meridian = square.meridian
    west, east = _WIDE_ZONES.get(square.tile[:3], (meridian - 3, meridian + 3))
    margin = _NORTHERN_MARGIN if square.band == "W" else 0.0
    south, north = _band(square.band)
    x = square.easting - _FALSE_EASTING_METRES
    y = square.northing - (FALSE_NORTHING_METRES if square.is_south else 0.0)
    corners = [_degrees(x + right, y + up) for right in (0, SQUARE_METRES) for up in (0, SQUARE_METRES)]
    longitudes = [meridian + longitude for longitude, _ in corners]
    latitudes = [latitude for _, latitude in corners]
    is_in_zone = min(longitudes) < east + margin and max(longitudes) > west - margin
    return is_in_zone and min(latitudes) < north and max(latitudes) > south


def _degrees(x: float, y: float) -> tuple[float, float]:
    """Longitude from the central meridian and latitude of a place in metres from there and from the equator."""
    plane = complex(y, x) / _RADIUS_METRES
    plane -= sum(term * cmath.sin(2 * j * plane) for j, term in enumerate(_TO_SPHERE, 1))
    longitude = math.atan2(math.sinh(plane.imag), math.cos(plane.real))
    latitude = math.asin(math.sin(plane.real) / math.cosh(plane.imag))
    latitude += sum(term * math.sin(2 * j * latitude) for j, term in enumerate(_TO_ELLIPSOID, 1))
    return math.degrees(longitude), math.degrees(latitude)
