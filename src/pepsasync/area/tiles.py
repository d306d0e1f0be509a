"""MGRS tiles of Sentinel-2: from the id to the footprint, by arithmetic, without a data file.

The letters give the south-west corner of a 100 km square in UTM; a tile is that square from its north-west corner,
rounded outwards to the 60 m grid, 109.8 km wide and high. This reproduces the corners of all 56 686 tiles of ESA's
tiling grid (`S2A_OPER_GIP_TILPAR_MPC__20151209T095117`, compared 2026-11), including those south of 80 degrees and in
the irregular zones of Norway, which MGRS libraries refuse or misplace.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely
from pyproj import Transformer

from pepsasync.area.clean import merged
from pepsasync.decide.antimeridian import split
from pepsasync.errors import AreaError, ConfigError
from pepsasync.model import parse_tile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

TILE_METRES = 109_800.0
"""Side of a tile."""
SQUARE_METRES = 100_000.0
"""Side of an MGRS square; a tile overlaps its neighbours to the east and south."""
_GRID_METRES = 60.0
_ROW_CYCLE_METRES = 2_000_000.0
_FALSE_NORTHING_METRES = 10_000_000.0
_METRES_PER_DEGREE = 111_100.0
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")
"""Letters of the eight columns, by zone modulo 3."""
_WIDE_ZONES = {"32V": (3, 12), "31X": (0, 9), "33X": (9, 21), "35X": (21, 33), "37X": (33, 42)}
"""Zones that are wider than 6 degrees: west and east, degrees."""
_NO_ZONES = ("32X", "34X", "36X")
_SOUTHERNMOST = -84.0
_NORTHERN_MARGIN = 3.0
"""Degrees that tiles of band W reach beyond their zone, at the wider zones of band X."""


class _Letters(NamedTuple):
    """A tile id taken apart."""

    zone: int
    band: str
    column: str
    row: str

    @property
    def is_south(self) -> bool:
        return self.band < "N"

    @property
    def meridian(self) -> float:
        """Central meridian of the UTM zone, degrees."""
        return 6.0 * self.zone - 183


@lru_cache(maxsize=256)
def footprint(tile: str) -> BaseGeometry:
    """Return the footprint of an MGRS tile.

    Args:
        tile: `31TCJ`, any case, with or without a leading T.

    Returns:
        Polygon of the four corners joined by straight lines, counter-clockwise, EPSG:4326, longitude first, degrees;
        a `MultiPolygon` when the tile crosses the antimeridian.

    Raises:
        AreaError: There is no such tile.
    """
    try:
        name = parse_tile(tile)
    except ConfigError as error:
        raise AreaError(error.message, hint=error.hint) from error
    letters = _Letters(int(name[:2]), name[2], name[3], name[4])
    if name[:3] in _NO_ZONES or letters.column not in _COLUMNS[letters.zone % 3] or letters.row not in _ROWS:
        raise _unknown(name)
    easting, northing = _south_west(letters)
    square = _degrees(letters, easting, northing, SQUARE_METRES)
    if not _is_in_cell(letters, name[:3], square):
        raise _unknown(name)
    west, north = _north_west(letters, easting, northing)
    corners = _degrees(letters, west, north - TILE_METRES, TILE_METRES)
    return merged([split(shapely.Polygon(corners))])


def _unknown(name: str) -> AreaError:
    return AreaError(f"there is no MGRS tile {name}", hint="Tiles look like 31TCJ: zone, band, column and row letter")


def _south_west(letters: _Letters) -> tuple[float, float]:
    """South-west corner of the 100 km square, UTM metres: row letters repeat every 2 000 km, the band says which."""
    easting = (_COLUMNS[letters.zone % 3].index(letters.column) + 1) * SQUARE_METRES
    first = 5 if letters.zone % 2 == 0 else 0
    row = ((_ROWS.index(letters.row) - first) % len(_ROWS)) * SQUARE_METRES
    expected = _middle_latitude(letters.band) * _METRES_PER_DEGREE - SQUARE_METRES / 2
    if letters.is_south:
        expected += _FALSE_NORTHING_METRES
    return easting, row + round((expected - row) / _ROW_CYCLE_METRES) * _ROW_CYCLE_METRES


def _band(letter: str) -> tuple[float, float]:
    """South and north border of a latitude band, degrees; Sentinel-2 stretches the southernmost one."""
    south = -80.0 + 8 * _BANDS.index(letter)
    return (_SOUTHERNMOST if letter == "C" else south), south + (12 if letter == "X" else 8)


def _middle_latitude(letter: str) -> float:
    south, north = _band(letter)
    return (south + north) / 2


def _north_west(letters: _Letters, easting: float, northing: float) -> tuple[float, float]:
    """North-west corner of the tile, UTM metres: the square's corner, rounded outwards to the 60 m grid."""
    false_northing = _FALSE_NORTHING_METRES if letters.is_south else 0.0
    west = math.floor(easting / _GRID_METRES) * _GRID_METRES
    north = math.ceil((northing + SQUARE_METRES - false_northing) / _GRID_METRES) * _GRID_METRES
    return west, north + false_northing


def _degrees(letters: _Letters, west: float, south: float, side: float) -> NDArray[np.float64]:
    """Corners of a UTM square in degrees, counter-clockwise; longitudes go on past 180 without a jump."""
    x = np.array([west, west + side, west + side, west])
    y = np.array([south, south, south + side, south + side])
    longitude, latitude = _transformer(letters.zone, letters.is_south).transform(x, y)
    offset = (longitude - letters.meridian + 180) % 360 - 180
    return np.column_stack([letters.meridian + offset, latitude])


@lru_cache(maxsize=16)
def _transformer(zone: int, is_south: bool) -> Transformer:
    return Transformer.from_crs(f"EPSG:{(32700 if is_south else 32600) + zone}", "EPSG:4326", always_xy=True)


def _is_in_cell(letters: _Letters, cell: str, square: NDArray[np.float64]) -> bool:
    """Whether the 100 km square overlaps the zone and band that its id names."""
    west, east = _WIDE_ZONES.get(cell, (letters.meridian - 3, letters.meridian + 3))
    margin = _NORTHERN_MARGIN if letters.band == "W" else 0.0
    south, north = _band(letters.band)
    low, high = square.min(axis=0), square.max(axis=0)
    return bool(low[0] < east + margin and high[0] > west - margin and low[1] < north and high[1] > south)
