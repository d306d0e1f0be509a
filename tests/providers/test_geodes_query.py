"""Neutral queries in the words of the STAC search of GEODES, past each of its traps."""

from datetime import UTC, datetime

import pytest
import shapely

from pepsasync.errors import ConfigError
from pepsasync.model import Query
from pepsasync.providers.geodes.query import collection_of, search_body, slices
from pepsasync.query.criteria import build_query


def bodies(**criteria):
    return [search_body(part, 1, 80) for part in slices(build_query(**criteria))]


@pytest.mark.parametrize(
    ("criteria", "collections"),
    [
        ({"collection": "S1", "product": "GRD"}, [["PEPS_S1_L1"]]),
        ({"collection": "S1", "product": "slc"}, [["PEPS_S1_L1"]]),
        ({"collection": "S1", "product": "OCN"}, [["PEPS_S1_L2"]]),
        ({"collection": "S2"}, [["PEPS_S2_L1C"]]),
        ({"collection": "S2ST"}, [["PEPS_S2_L1C"]]),
        ({"collection": "THEIA_SNOW_SENTINEL2_L2B"}, [["THEIA_SNOW_SENTINEL2_L2B"]]),
        ({"product": "OCN"}, [["PEPS_S1_L2"]]),
    ],
)
def test_one_collection_is_named(criteria, collections):
    assert [body["collections"] for body in bodies(**criteria)] == collections


@pytest.mark.parametrize(
    ("criteria", "collections"),
    [
        ({"collection": "S1"}, ["PEPS_S1_L1", "PEPS_S1_L2"]),
        ({"satellite": "S1A"}, ["PEPS_S1_L1", "PEPS_S1_L2", "PEPS_S2_L1C", "PEPS_S3_L1"]),
    ],
)
def test_several_collections_are_a_criterion_because_a_list_of_them_finds_nothing(criteria, collections):
    (body,) = bodies(**criteria)

    assert "collections" not in body
    assert body["query"]["dataset"] == {"in": collections}


def test_dates_are_those_of_acquisition_not_of_publication():
    (body,) = bodies(collection="S2", start="2017-01-01", end="2017-01-02")

    assert body["query"] == {"start_datetime": {"gte": "2017-01-01T00:00:00.000Z", "lte": "2017-01-01T23:59:59.999Z"}}
    assert "datetime" not in body
    assert body["sortBy"] == [{"field": "start_datetime", "direction": "desc"}]


def test_publication_is_asked_for():
    (body,) = bodies(collection="S2", published_since="2017-01-01")

    assert body["query"] == {"datetime": {"gte": "2017-01-01T00:00:00.000Z"}}


def test_several_values_are_asked_for_in_one_search():
    (body,) = bodies(collection="S2", tile="31TCJ,31TDJ", orbit="8,51", satellite="S2A,S2B")

    assert body["query"] == {
        "grid:code": {"in": ["T31TCJ", "T31TDJ"]},
        "sat:relative_orbit": {"in": [8, 51]},
        "platform": {"in": ["S2A", "S2B"]},
    }


def test_each_of_several_collections_is_asked_in_its_own_words():
    radar, optical = bodies(collection="S1,S2", product="GRD,S2MSI1C", tile="31TCJ")

    assert (["PEPS_S1_L1"], {"product:type": {"eq": "GRD"}}) == (radar["collections"], radar["query"])
    assert "intersects" in radar
    assert ["PEPS_S2_L1C"] == optical["collections"]
    assert {"product:type": {"eq": "S2MSI1C"}, "grid:code": {"contains": "T31TCJ"}} == optical["query"]
    assert "intersects" not in optical


def test_numbers_are_not_text():
    (body,) = bodies(collection="S2", orbit=51, clouds=20.5, tile="31TCJ")

    assert body["query"] == {
        "sat:relative_orbit": {"eq": 51},
        "eo:cloud_cover": {"lte": 20.5},
        "grid:code": {"contains": "T31TCJ"},
    }


def test_radar_is_asked_for_its_mode_and_satellite():
    (body,) = bodies(collection="S1", product="GRD", sensor_mode="IW", satellite="S1A")

    assert body["query"] == {
        "product:type": {"eq": "GRD"},
        "sar:instrument_mode": {"eq": "IW"},
        "platform": {"eq": "S1A"},
    }


def test_a_point_becomes_a_box_because_points_are_ignored_there():
    (body,) = bodies(collection="S2", lon=1.44, lat=43.6)

    assert body["bbox"] == [1.4399, 43.5999, 1.4401, 43.6001]
    assert "intersects" not in body


def test_a_line_becomes_a_polygon():
    (body,) = bodies(collection="S2", geometry="LINESTRING(1 43, 2 44)")

    assert body["intersects"]["type"] == "Polygon"
    assert shapely.geometry.shape(body["intersects"]).covers(shapely.from_wkt("LINESTRING(1 43, 2 44)"))


def test_shapes_go_as_they_are_and_boxes_as_boxes():
    (box,) = bodies(collection="S2", bbox="1,43,2,44")
    (triangle,) = bodies(collection="S2", geometry="POLYGON((1 43, 2 43, 2 44, 1 43))")

    assert box["bbox"] == [1, 43, 2, 44]
    assert shapely.geometry.shape(triangle["intersects"]).area == 0.5


def test_a_box_across_the_antimeridian_is_two_searches():
    assert sorted(body["bbox"] for body in bodies(collection="S2", bbox="170,-10,-170,10")) == [
        [-180, -10, -170, 10],
        [170, -10, 180, 10],
    ]


@pytest.mark.parametrize(
    ("name", "collection"),
    [
        ("S1A_IW_GRDH_1SDV_20151101T054222_20151101T054247_008396_00BDC4_1111", "PEPS_S1_L1"),
        ("S1A_IW_SLC__1SDV_20151101T054222_20151101T054247_008396_00BDC4_1111", "PEPS_S1_L1"),
        ("S1A_IW_OCN__2SDV_20151101T054222_20151101T054247_008396_00BDC4_1111", "PEPS_S1_L2"),
        ("S2A_MSIL1C_20170105T105432_N0204_R051_T31TCJ_20170105T105428", "PEPS_S2_L1C"),
        ("SWH_something", None),
    ],
)
def test_names_tell_their_collection(name, collection):
    (body,) = bodies(id=name)

    assert collection_of(name) == collection
    assert body.get("collections") == ([collection] if collection else None)
    assert body["query"] == {"identifier": {"eq": name}}


def test_pages_are_counted_from_one():
    assert search_body(Query(collection="X", start=datetime(2020, 1, 1, tzinfo=UTC)), 3, 80) | {"query": None} == {
        "page": 3,
        "limit": 80,
        "query": None,
        "sortBy": [{"field": "start_datetime", "direction": "desc"}],
        "collections": ["X"],
    }


@pytest.mark.parametrize(("collection", "kind"), [("S1", "RAW"), ("S2", "S2MSI2A"), ("S2ST", "S2MSI2A")])
def test_types_that_only_other_archives_have_are_refused(collection, kind):
    with pytest.raises(ConfigError, match=f"GEODES has no {kind} of {collection}.*--provider cdse"):
        slices(Query(collection=collection, product_type=kind))


def test_a_name_is_looked_for_in_the_own_collection_that_is_asked_for():
    name = "S2A_MSIL1C_20170105T105432_N0204_R051_T31TCJ_20170105T105428"
    found = {asked: slices(Query(names=(name,), collection=asked))[0].collection for asked in ("OWN_S2", "S2", None)}

    assert found == {"OWN_S2": "OWN_S2", "S2": "PEPS_S2_L1C", None: "PEPS_S2_L1C"}
