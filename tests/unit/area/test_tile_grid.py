"""The MGRS grid: which tiles there are."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mgrs import MGRS

from pepsasync.area.tile_grid import find_square, other_name, tiles_of
from pepsasync.errors import ConfigError

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def exists(tile):
    try:
        return bool(find_square(tile))
    except ConfigError:
        return False


@given(st.floats(-80, 83.9), st.floats(-180, 179.9))
def test_every_place_lies_in_a_tile(latitude, longitude):
    assert exists(MGRS().toMGRS(latitude, longitude, MGRSPrecision=0))


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        pytest.param("31N", 8 * 9, id="equator"),
        pytest.param("31T", 6 * 10, id="middle"),
        pytest.param("60T", 6 * 10, id="last-zone"),
        pytest.param("31V", 38, id="narrow-zone-of-norway"),
        pytest.param("32V", 57, id="wide-zone-of-norway"),
        pytest.param("33X", 58, id="svalbard"),
        pytest.param("32X", 0, id="no-zone"),
        pytest.param("01C", 34, id="farthest-south"),
    ],
)
def test_a_cell_has_as_many_tiles_as_overlap_it(cell, count):
    assert count == sum(exists(f"{cell}{column}{row}") for column, row in product(LETTERS, LETTERS))


@pytest.mark.parametrize(
    ("tile", "corner"),
    [
        pytest.param(" t31tcj ", ("31TCJ", 300_000, 4_800_000), id="north"),
        pytest.param("31MBV", ("31MBV", 200_000, 9_900_000), id="south"),
        pytest.param("01CDH", ("01CDH", 400_000, 700_000), id="farthest-south"),
    ],
)
def test_square_has_its_south_west_corner(tile, corner):
    square = find_square(tile)

    assert corner == (square.tile, square.easting, square.northing)


@pytest.mark.parametrize(
    ("tile", "other"),
    [
        pytest.param("31UDP", "31TDP", id="border-in-the-south-of-the-square"),
        pytest.param("31TDP", "31UDP", id="the-other-way-round"),
        pytest.param("33VUC", "33UUC", id="border-near-its-side"),
        pytest.param("31TCJ", None, id="within-its-band"),
        pytest.param("31NAA", None, id="equator"),
        pytest.param("01CCV", None, id="southernmost-band"),
    ],
)
def test_square_that_two_bands_share_has_two_names(tile, other):
    assert other_name(tile) == other


@pytest.mark.parametrize("cell", ["31T", "32V", "31X", "60C", "01N"])
def test_tiles_of_a_cell_are_those_that_there_are(cell):
    names = [f"{cell}{column}{row}" for column, row in product(LETTERS, LETTERS)]

    assert [name for name in names if exists(name)] == sorted(tiles_of(cell))


@pytest.mark.parametrize("cell", ["", "31", "31I", "00T", "61T", "32X", "31TC", "3\N{ARABIC-INDIC DIGIT ONE}T"])
def test_what_is_no_cell_has_no_tiles(cell):
    assert tiles_of(cell) == ()


def test_a_tile_that_does_not_exist_may_be_meant_otherwise():
    with pytest.raises(ConfigError, match=r"no MGRS tile 31TCZ.*Did you mean 31TC[A-V] or 31TC[A-V]"):
        find_square("31TCZ")
