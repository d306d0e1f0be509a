"""From queries to granule searches of CMR."""

from datetime import UTC, datetime

import pytest
import shapely

from pepsasync import ConfigError, Query
from pepsasync.providers.asf.query import search_parameters, slices
from pepsasync.query.criteria import build_query


def parameters(query):
    found = {}
    for name, value in search_parameters(query):
        found.setdefault(name, []).append(value)
    return found


def test_everything_is_all_collections_without_metadata():
    names = parameters(Query(collection="S1"))["shortName"]

    assert len(names) == len(set(names)) == 4 * 9
    assert {"SENTINEL-1A_SLC", "SENTINEL-1D_DP_GRD_HIGH", "SENTINEL-1B_OCN", "SENTINEL-1C_RAW"} <= set(names)
    assert not any("META" in name or "BURST" in name for name in names)


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({"product": "SLC", "satellite": "S1A"}, {"SENTINEL-1A_SLC"}),
        ({"product": "OCN,RAW", "satellite": "S1B"}, {"SENTINEL-1B_OCN", "SENTINEL-1B_RAW"}),
        (
            {"product": "GRD", "satellite": "S1C"},
            {f"SENTINEL-1C_{beams}_GRD_{detail}" for beams in ("DP", "SP") for detail in ("FULL", "HIGH", "MEDIUM")},
        ),
        ({"product": "BURST"}, {"SENTINEL-1_BURSTS"}),
    ],
)
def test_types_and_satellites_choose_collections(criteria, expected):
    assert set(parameters(build_query(collection="S1", **criteria))["shortName"]) == expected


def test_own_collections_are_sent_as_they_are():
    assert parameters(Query(collection="SENTINEL-1A_SLC"))["shortName"] == ["SENTINEL-1A_SLC"]


def test_criteria_become_parameters():
    query = Query(
        collection="S1",
        start=datetime(2020, 1, 1, tzinfo=UTC),
        end=datetime(2020, 2, 1, tzinfo=UTC),
        relative_orbit=94,
        sensor_mode="IW",
        orbit_direction="ascending",
        published_since=datetime(2020, 1, 2, tzinfo=UTC),
    )
    found = parameters(query)

    assert found["temporal"] == ["2020-01-01T00:00:00.000Z,2020-02-01T00:00:00.000Z"]
    assert found["updated_since"] == ["2020-01-02T00:00:00.000Z"]
    assert found["attribute[]"] == [
        "int,PATH_NUMBER,94",
        "string,BEAM_MODE,IW",
        "string,ASCENDING_DESCENDING,ASCENDING",
    ]
    assert found["sort_key[]"] == ["-start_date", "granule_ur"]


def test_stripmap_has_no_beam_of_its_own():
    assert "attribute[]" not in parameters(Query(sensor_mode="SM"))


@pytest.mark.parametrize(
    ("start", "end", "sent"),
    [("2020-01-01", None, "2020-01-01T00:00:00.000Z,"), (None, "2020-01-01", ",2020-01-01T00:00:00.000Z")],
)
def test_half_open_periods(start, end, sent):
    criteria = {name: value for name, value in {"start": start, "end": end}.items() if value}

    assert parameters(build_query(collection="S1", **criteria))["temporal"] == [sent]


def test_points_boxes_and_shapes():
    point = parameters(Query(area=shapely.Point(1.5, 43.25)))
    box = parameters(Query(area=shapely.box(1, 43, 2, 44)))
    shape = parameters(Query(area=shapely.Polygon([(1, 43), (2, 43.1), (1.6, 44)])))

    assert point["point"] == ["1.500000,43.250000"]
    assert box["bounding_box"] == ["1.000000,43.000000,2.000000,44.000000"]
    numbers = [float(text) for text in shape["polygon"][0].split(",")]
    sent = shapely.LinearRing(list(zip(numbers[::2], numbers[1::2], strict=True)))
    assert sent.is_ccw
    assert shapely.Polygon(sent).contains(shapely.Polygon([(1, 43), (2, 43.1), (1.6, 44)]))


def test_lines_become_shapes_around_them():
    found = parameters(Query(area=shapely.LineString([(0.5, 43), (2.5, 44)])))

    assert len(found["polygon"]) == 1


def test_shapes_at_the_edge_of_the_world_become_boxes():
    found = parameters(Query(area=shapely.Polygon([(170, 80), (180, 80), (175, 90)])))

    assert found["bounding_box"] == ["169.993752,79.999000,180.000000,90.000000"] or found["bounding_box"][0].endswith(
        "180.000000,90.000000"
    )


def test_several_values_are_slices():
    parts = slices(build_query(collection="S1", orbit="8,51", sensor_mode="IW,EW"))

    assert {(part.relative_orbit, part.sensor_mode) for part in parts} == {
        (orbit, mode) for orbit in (8, 51) for mode in ("IW", "EW")
    }


def test_names_are_asked_for_one_by_one_and_others_not_at_all():
    radar, optical = "S1A_IW_SLC__1SDV_A", "S2A_MSIL1C_B"
    [part] = slices(Query(names=(radar, optical)))

    assert parameters(part)["readable_granule_name[]"] == [radar]


def test_words_of_other_missions_find_nothing():
    assert slices(Query(product_type="S2MSI1C")) == []
    assert slices(Query(platform="S2A")) == []


@pytest.mark.parametrize("collection", ["S2", "S2ST", "S3", ("S1", "S2")])
def test_other_collections_are_refused(collection):
    with pytest.raises(ConfigError, match="holds Sentinel-1"):
        slices(Query(collection=collection))


def test_own_collections_are_searched_beside_all_of_a_mission():
    own = parameters(Query(collection=("S1", "SENTINEL-1_BURSTS")))["shortName"]
    radar = parameters(Query(collection="S1"))["shortName"]
    known = parameters(Query(collection=("SENTINEL-1A_SLC", "S1")))["shortName"]

    assert set(own) == {"SENTINEL-1_BURSTS", *radar}
    assert sorted(known) == sorted(radar)


@pytest.mark.parametrize(
    ("collection", "with_others"), [("OPERA_L2_RTC-S1_V1", False), (("S1", "OPERA_L2_RTC-S1_V1"), True)]
)
def test_products_of_own_collections_may_have_any_name(collection, with_others):
    [part] = slices(Query(names=("OPERA_L2_RTC-S1_X",), collection=collection))

    assert parameters(part)["readable_granule_name[]"] == ["OPERA_L2_RTC-S1_X"]
    assert "OPERA_L2_RTC-S1_V1" in parameters(part)["shortName"]
    assert ("SENTINEL-1A_SLC" in parameters(part)["shortName"]) is with_others


def test_names_of_other_missions_are_not_asked_for():
    assert slices(Query(names=("S2A_MSIL1C_B",), collection="S2")) == []
