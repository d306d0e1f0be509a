"""Neutral queries become the OData search of the Copernicus Data Space."""

from datetime import UTC, datetime, timedelta

import pytest
import shapely

from fakes import product
from pepsasync.errors import ProtocolError
from pepsasync.model import Query
from pepsasync.providers.cdse.query import LONGEST_WKT, OVERLAP, rest_of, search_filter, search_parameters, slices
from pepsasync.query.criteria import build_query

START = datetime(2020, 6, 10, 10, 50, 31, 24000, tzinfo=UTC)


def attribute(kind, name, condition):
    kind = f"OData.CSC.{kind}Attribute"
    return f"Attributes/{kind}/any(att:att/Name eq '{name}' and att/{kind}/Value {condition})"


def sent_shape(query):
    """The geometry in a filter."""
    return shapely.from_wkt(search_filter(query).partition("SRID=4326;")[2].removesuffix("')"))


def test_search_filter_all_criteria():
    query = build_query(
        collection="S2ST", product="S2MSI1C", sensor_mode="INS-NOBS", satellite="S2A", start="2017-01-01", end="2017-02-01",
        tile="t31tcj", clouds="20.5", orbit=51, published_since="2017-01-03",
    )  # fmt: skip

    assert [
        "Collection/Name eq 'SENTINEL-2'",
        attribute("String", "productType", "eq 'S2MSI1C'"),
        attribute("String", "operationalMode", "eq 'INS-NOBS'"),
        "startswith(Name,'S2A_')",
        "ContentDate/Start ge 2017-01-01T00:00:00.000000Z",
        "ContentDate/Start lt 2017-02-01T00:00:00.000000Z",
        "PublicationDate ge 2017-01-03T00:00:00.000000Z",
        attribute("Integer", "relativeOrbitNumber", "eq 51"),
        attribute("Double", "cloudCover", "le 20.50"),
        attribute("String", "tileId", "eq '31TCJ'"),
    ] == split(search_filter(query))


def split(text):
    """The terms of a filter: ` and ` also stands within attributes."""
    return [term.replace("&", " and ") for term in text.replace("' and att/", "'&att/").split(" and ")]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("S1", "SENTINEL-1"),
        ("S2", "SENTINEL-2"),
        ("S2ST", "SENTINEL-2"),
        ("S3", "SENTINEL-3"),
        ("SENTINEL-5P", "SENTINEL-5P"),
        ("LANDSAT-8", "LANDSAT-8"),
        ("it's", "it''s"),
    ],
)
def test_search_filter_collection(word, expected):
    assert f"Collection/Name eq '{expected}'" == search_filter(Query(collection=word))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("GRD", "contains(Name,'GRD') and not contains(Name,'_COG')", id="radar-word"),
        pytest.param("slc", "contains(Name,'SLC') and not contains(Name,'_COG')", id="radar-word-any-case"),
        pytest.param(
            "IW_GRDH_1S-COG", attribute("String", "productType", "eq 'IW_GRDH_1S-COG'"), id="cloud-optimised-on-demand"
        ),
        pytest.param("SL_1_RBT___", attribute("String", "productType", "eq 'SL_1_RBT___'"), id="other"),
    ],
)
def test_search_filter_product_type(kind, expected):
    assert expected == search_filter(Query(product_type=kind))


def test_search_filter_nothing_asked_sends_none():
    assert "$filter" not in search_parameters(Query(), 1)


def test_search_filter_radar_has_no_clouds():
    assert "Collection/Name eq 'SENTINEL-1'" == search_filter(Query(collection="S1", cloud_cover=20.0))
    assert "" == search_filter(Query(cloud_cover=20.0))


@pytest.mark.parametrize(
    ("limit", "sent"), [(0.001, "0.01"), (20.333, "20.34"), (1e-7, "0.01"), (100.0, "100.00"), (20, "20.00")]
)
def test_search_filter_cloud_limit_is_rounded_up(limit, sent):
    expected = attribute("Double", "cloudCover", f"le {sent}")

    assert f"Collection/Name eq 'SENTINEL-2' and {expected}" == search_filter(Query(collection="S2", cloud_cover=limit))


def test_search_filter_tile_of_radar_is_its_footprint():
    [query] = slices(build_query(collection="S1", tile="31TCJ"))

    assert "tileId" not in search_filter(query)
    assert sent_shape(query).area > 1


def test_search_filter_period_in_another_zone_is_utc():
    zone = datetime.fromisoformat("2020-06-10T12:00:00+02:00")

    assert "ContentDate/Start ge 2020-06-10T10:00:00.000000Z" == search_filter(Query(start=zone))


def test_search_parameters_count_once_and_page():
    first, third = (search_parameters(Query(collection="S1"), page) for page in (1, 3))

    assert {
        "$filter": "Collection/Name eq 'SENTINEL-1'",
        "$orderby": "ContentDate/Start desc",
        "$top": "1000",
        "$skip": "0",
        "$expand": ["Attributes", "Assets"],
        "$count": "true",
    } == first
    assert "2000" == third["$skip"]
    assert "$count" not in third


def test_slices_one_for_each_name_in_its_collection():
    names = ["S1A_IW_GRDH_1SDV_20151105T174730_20151105T174755_008471_00BFA4_3C5A", "it's"]

    first, second = slices(Query(names=tuple(names)))

    assert f"Collection/Name eq 'SENTINEL-1' and contains(Name,'{names[0]}')" == search_filter(first)
    assert "contains(Name,'it''s')" == search_filter(second)


def test_slices_names_only_narrow_the_collection():
    [query] = slices(Query(collection="SENTINEL-1-RTC", names=("S1A_X",)))

    assert "SENTINEL-1-RTC" == query.collection


def test_slices_box_across_the_antimeridian_is_two_searches():
    parts = slices(build_query(collection="S1", bbox="170,-10,-170,10"))

    assert {(170, -10, 180, 10), (-180, -10, -170, 10)} == {sent_shape(part).bounds for part in parts}


def test_slices_are_their_own_slices():
    [part] = slices(build_query(id="S1A_X", bbox="1,43,2,44"))

    assert [part] == slices(part)


@pytest.mark.parametrize(
    ("wkt", "expected"),
    [
        pytest.param("POINT(1 43.5)", "POINT (1 43.5)", id="point"),
        pytest.param("POLYGON((1 43,2 43,2 44,1 43))", "POLYGON ((1 43, 2 43, 2 44, 1 43))", id="polygon"),
    ],
)
def test_search_filter_area(wkt, expected):
    [query] = slices(build_query(geometry=wkt))

    assert f"OData.CSC.Intersects(area=geography'SRID=4326;{expected}')" == search_filter(query)


def test_search_filter_line_is_a_narrow_polygon_around_it():
    line = shapely.from_wkt("LINESTRING(-180 43,-170 44,-160 43)")

    sent = sent_shape(Query(area=line))

    assert "Polygon" == sent.geom_type
    assert sent.buffer(1e-6).covers(line)
    assert sent.area < 0.01


def test_search_filter_long_shape_is_covered_by_a_short_one():
    wild = shapely.Point(2, 44).buffer(1, quad_segs=2000)
    [query] = slices(Query(area=wild))

    assert len(search_filter(query)) < LONGEST_WKT + 100
    assert sent_shape(query).buffer(1e-6).covers(wild)


def test_rest_of_goes_on_just_past_the_oldest_acquisition():
    query = Query(collection="S1", start=START - timedelta(days=9), limit=7)

    rest = rest_of(query, [product(start=START), product(start=START - timedelta(days=1)), product()])

    assert START - timedelta(days=1) + OVERLAP == rest.end
    assert (query.start, "S1", 7) == (rest.start, rest.collection, rest.limit)


def test_rest_of_nothing_follows_before_the_period():
    assert rest_of(Query(start=START), [product(start=START - timedelta(days=1))]) is None


@pytest.mark.parametrize("products", [[], [product()], [product(start=START - OVERLAP)]])
def test_rest_of_no_progress_is_an_error_instead_of_a_circle(products):
    with pytest.raises(ProtocolError, match="11,000 products"):
        rest_of(Query(end=START), products)


def test_slices_join_several_values_so_that_the_url_stays_short():
    tiles = [f"31T{column}{row}" for column in "CDEF" for row in "EFGHJKLMNP"]
    parts = slices(build_query(collection="S2", tile=tiles, orbit="8,51"))

    assert 4 == len(parts)
    assert tiles == [tile for part in parts for tile in part.tile]
    assert f"({attribute('Integer', 'relativeOrbitNumber', 'eq 8')} or " in search_filter(parts[0])
    assert all(len(search_filter(part)) < 2_500 for part in parts)


def test_search_filter_of_several_radar_types_leaves_out_what_is_optimised_for_the_cloud():
    expected = (
        "((contains(Name,'GRD') and not contains(Name,'_COG')) or (contains(Name,'SLC') and not contains(Name,'_COG')))"
    )

    assert expected == search_filter(Query(product_type=("GRD", "SLC")))
