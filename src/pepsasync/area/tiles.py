"""MGRS tiles of Sentinel-2: from the id to the footprint, by arithmetic, without a data file.

The letters give the south-west corner of a 100 km square in UTM; a tile is that square from its north-west corner,
rounded outwards to the 60 m grid, 109.8 km wide and high. This reproduces the corners of all 56 686 tiles of ESA's
tiling grid (`S2A_OPER_GIP_TILPAR_MPC__20151209T095117`, compared 2026-11), including those south of 80 degrees and in
the irregular zones of Norway, which MGRS libraries refuse or misplace.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Transformer

from pepsasync.area.antimeridian import split
from pepsasync.area.clean import merged
from pepsasync.area.tile_grid import FALSE_NORTHING_METRES, SQUARE_METRES, Square, find_square
from pepsasync.errors import AreaError, ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

TILE_METRES = 109_800.0
"""Side of a tile."""
_GRID_METRES = 60.0


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
        square = find_square(tile)
    except ConfigError as error:
        raise AreaError(error.message, hint=error.hint) from error
    west, north = _north_west(square)
    return merged([split(shapely.Polygon(_degrees(square, west, north - TILE_METRES)))])


def _north_west(square: Square) -> tuple[float, float]:
    """North-west corner of the tile, UTM metres: the square's corner, rounded outwards to the 60 m grid."""
    false_northing = FALSE_NORTHING_METRES if square.is_south else 0.0
    west = math.floor(square.easting / _GRID_METRES) * _GRID_METRES
    north = math.ceil((square.northing + SQUARE_METRES - false_northing) / _GRID_METRES) * _GRID_METRES
    return west, north + false_northing


def _degrees(square: Square, west: float, south: float) -> NDArray[np.float64]:
    """Corners of the tile in degrees, counter-clockwise; longitudes go on past 180 without a jump."""
    x = np.array([west, west + TILE_METRES, west + TILE_METRES, west])
    y = np.array([south, south, south + TILE_METRES, south + TILE_METRES])
    longitude, latitude = _transformer(square.zone, square.is_south).transform(x, y)
    offset = (longitude - square.meridian + 180) % 360 - 180
    return np.column_stack([square.meridian + offset, latitude])


@lru_cache(maxsize=16)
def _transformer(zone: int, is_south: bool) -> Transformer:
    return Transformer.from_crs(f"EPSG:{(32700 if is_south else 32600) + zone}", "EPSG:4326", always_xy=True)
