"""Footprints as archives send them: what is accepted can be written and searched, the rest is None."""

import json
import math
from datetime import UTC, datetime

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from fakes import product
from pepsasync.providers.peps.query import covering_parameters
from pepsasync.providers.reading import as_footprint, as_text
from pepsasync.results.tables import to_csv, to_geodataframe

RING = [[1.0, 43], [2.0, 43.0], [2, 44.0], [1.0, 43.0]]
HOLE = [[1.7, 43.2], [1.8, 43.2], [1.8, 43.3], [1.7, 43.2]]
HIGH = [[*position, 120.5] for position in RING]


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [
        pytest.param("Polygon", [RING], id="polygon"),
        pytest.param("Polygon", [RING, HOLE], id="hole"),
        pytest.param("Polygon", [HIGH, HOLE], id="heights"),
        pytest.param("Polygon", [[[0, 0]] * 4], id="without-area"),
        pytest.param("MultiPolygon", [[RING, HOLE], [HIGH]], id="multipolygon"),
    ],
)
def test_well_formed_footprint_is_kept(kind, coordinates):
    footprint = {"type": kind, "coordinates": coordinates}

    assert footprint == as_footprint({**footprint, "bbox": [1, 43, 2, 44]})
    assert_can_be_used(footprint)


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [
        pytest.param("Polygon", None, id="null"),
        pytest.param("Polygon", "1 43, 2 43", id="text"),
        pytest.param("Polygon", {"0": RING}, id="object"),
        pytest.param("Polygon", [], id="no-rings"),
        pytest.param("Polygon", [[]], id="empty-ring"),
        pytest.param("Polygon", [RING, []], id="empty-hole"),
        pytest.param("Polygon", [RING[:2]], id="ring-of-two"),
        pytest.param("Polygon", [RING[:3]], id="ring-of-three"),
        pytest.param("Polygon", [None], id="ring-of-null"),
        pytest.param("Polygon", ["abcd"], id="ring-of-text"),
        pytest.param("Polygon", [["12"] * 4], id="positions-of-text"),
        pytest.param("Polygon", [[[1], [2], [3], [1]]], id="single-numbers"),
        pytest.param("Polygon", [[[1, 2, 3, 4]] * 4], id="four-numbers"),
        pytest.param("Polygon", [[*RING, [1, 43, 9]]], id="some-with-height"),
        pytest.param("Polygon", [[*RING, [1, None]]], id="null-number"),
        pytest.param("Polygon", [[*RING, ["1", "43"]]], id="text-numbers"),
        pytest.param("Polygon", [[*RING, [True, False]]], id="true"),
        pytest.param("Polygon", [[*RING, [1, math.nan]]], id="nan"),
        pytest.param("Polygon", [[*RING, [-math.inf, 43]]], id="infinite"),
        pytest.param("Polygon", [[*RING, [10**400, 43]]], id="endless-number"),
        pytest.param("Polygon", RING, id="too-flat"),
        pytest.param("Polygon", [[RING]], id="too-deep"),
        pytest.param("MultiPolygon", [RING], id="multipolygon-too-flat"),
        pytest.param("MultiPolygon", [[RING], []], id="multipolygon-with-nothing"),
        pytest.param("MultiPolygon", [[RING], [RING[:2]]], id="multipolygon-ring-of-two"),
        pytest.param("Point", [1, 43], id="point"),
        pytest.param(None, [RING], id="no-type"),
        pytest.param(["Polygon"], [RING], id="type-of-list"),
    ],
)
def test_malformed_footprint_is_none(kind, coordinates):
    assert as_footprint({"type": kind, "coordinates": coordinates}) is None


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-180, 180)
ODD = st.none() | st.booleans() | st.text(max_size=3) | st.floats() | st.just(10**400)
FLAT = st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=3, max_size=6)
HIGH_AND_FLAT = st.lists(st.lists(NUMBERS, min_size=2, max_size=3), min_size=4, max_size=6)
POLYGONS = st.lists(FLAT, max_size=2) | st.lists(FLAT | HIGH_AND_FLAT | st.lists(st.lists(ODD)), max_size=2)
COORDINATES = POLYGONS | st.lists(POLYGONS, max_size=2) | st.recursive(ODD, st.lists, max_leaves=6)


@given(st.fixed_dictionaries({"type": st.sampled_from(["Polygon", "MultiPolygon"]), "coordinates": COORDINATES}))
def test_any_footprint_can_be_used_or_is_none(geometry):
    footprint = as_footprint(json.loads(json.dumps(geometry)))

    if footprint is not None:
        assert_can_be_used(footprint)


def assert_can_be_used(footprint):
    """It goes into every table and, in PEPS, into the box of a search."""
    found = product("S2A_X", start=datetime(2020, 8, 15, tzinfo=UTC), footprint=footprint)

    assert shapely.get_num_coordinates(to_geodataframe([found]).geometry[0]) >= 4
    assert "POLYGON" in to_csv([found])
    assert covering_parameters([found])["startDate"]


def test_half_a_character_can_be_written_all_the_same():
    name = as_text(json.loads('" S1A_\\ud83d_\\udc00 "'))

    assert name == "S1A_\ufffd_\ufffd"
    assert name in to_csv([product(name)]).encode().decode()
    assert as_text(json.loads('"\\ud83d\\ude00"')) == "\U0001f600"
