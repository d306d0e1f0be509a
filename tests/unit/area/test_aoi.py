"""What users write becomes valid geometry, or an error that says what to do."""

import json
import math

import geopandas
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pepsasync.area import aoi
from pepsasync.errors import AreaError

TOULOUSE = shapely.box(1, 43, 2, 44)
ACROSS = shapely.MultiPolygon([shapely.box(179, -10, 180, 10), shapely.box(-180, -10, -179, 10)])


def same(actual, expected):
    return shapely.equals(shapely.normalize(actual), shapely.normalize(expected))


def test_point_is_longitude_first():
    assert (aoi.point(1.44, 43.6).x, aoi.point(1.44, 43.6).y) == (1.44, 43.6)


@pytest.mark.parametrize(
    ("lon", "lat", "words"),
    [
        pytest.param(190, 0, "190 is -170", id="longitude-of-0-to-360"),
        pytest.param(5000, 0, "between -180 and 180", id="longitude-in-metres"),
        pytest.param(43, 120, "longitude comes first", id="swapped"),
        pytest.param(math.nan, 0, "not a finite number", id="nan"),
        pytest.param(0, math.inf, "not a finite number", id="infinite"),
    ],
)
def test_point_out_of_range_is_refused(lon, lat, words):
    with pytest.raises(AreaError, match=words):
        aoi.point(lon, lat)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        pytest.param((1, 43, 2, 44), TOULOUSE, id="plain"),
        pytest.param((179, -10, -179, 10), ACROSS, id="across-the-antimeridian"),
        pytest.param((-180, -90, 180, 90), shapely.box(-180, -90, 180, 90), id="world"),
        pytest.param((170, 0, -180, 1), shapely.box(170, 0, 180, 1), id="ends-at-the-antimeridian"),
        pytest.param((180, 0, -170, 1), shapely.box(-180, 0, -170, 1), id="begins-at-the-antimeridian"),
        pytest.param((1, 43, 1, 43), shapely.Point(1, 43), id="point"),
    ],
)
def test_box_is_valid_geometry(sides, expected):
    actual = aoi.box(*sides)

    assert actual.is_valid
    assert same(actual, expected)
    assert all(p.exterior.is_ccw for p in getattr(actual, "geoms", [actual]) if p.geom_type == "Polygon")


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        pytest.param((1, 44, 2, 43), "south above its north", id="upside-down"),
        pytest.param((1, 43, 1, 44), "no area", id="without-width"),
        pytest.param((1, 43, 2, 43), "no area", id="without-height"),
        pytest.param((180, 0, -180, 1), "no area", id="without-width-at-the-antimeridian"),
        pytest.param((1, 43, 2, 95), "north 95", id="latitude-out-of-range"),
        pytest.param((1, 43, 200, 44), "200 is -160", id="longitude-out-of-range"),
        pytest.param((math.nan, 43, 2, 44), "finite", id="nan"),
    ],
)
def test_box_that_is_none_is_refused(sides, words):
    with pytest.raises(AreaError, match=words):
        aoi.box(*sides)


BOW_TIE = "POLYGON((0 0, 2 2, 2 0, 0 2, 0 0))"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("POLYGON((1 43,2 43,2 44,1 44,1 43))", TOULOUSE, id="polygon"),
        pytest.param("  polygon((1 43,1 44,2 44,2 43,1 43)) ", TOULOUSE, id="clockwise-lower-case"),
        pytest.param("SRID=4326;POINT(1 43)", shapely.Point(1, 43), id="ewkt"),
        pytest.param("POLYGON Z((1 43 9,2 43 9,2 44 9,1 44 9,1 43 9))", TOULOUSE, id="heights-dropped"),
        pytest.param("LINEARRING(0 0, 1 0, 1 1, 0 0)", shapely.LineString([(0, 0), (1, 0), (1, 1), (0, 0)]), id="ring"),
        pytest.param("POLYGON((179 -10,181 -10,181 10,179 10,179 -10))", ACROSS, id="beyond-180"),
        pytest.param("POLYGON((-181 -10,-179 -10,-179 10,-181 10,-181 -10))", ACROSS, id="below-minus-180"),
        pytest.param("POINT(190 5)", shapely.Point(-170, 5), id="point-of-0-to-360"),
        pytest.param(
            "LINESTRING(170 0, 190 0)",
            shapely.from_wkt("MULTILINESTRING((170 0,180 0),(-180 0,-170 0))"),
            id="line-across",
        ),
        pytest.param(
            "MULTIPOLYGON(((0 0,2 0,2 1,0 1,0 0)),((1 0,3 0,3 1,1 1,1 0)))",
            shapely.box(0, 0, 3, 1),
            id="overlapping-merged",
        ),
        pytest.param(
            "GEOMETRYCOLLECTION(POLYGON((1 43,2 43,2 44,1 44,1 43)),POINT(1.5 43.5))", TOULOUSE, id="collection-merged"
        ),
        pytest.param("TIN(((1 43,2 43,2 44,1 43)),((1 43,2 44,1 44,1 43)))", TOULOUSE, id="tin"),
        pytest.param(
            "SRID=4326;PolyhedralSurface Z (((1 43 0,2 43 0,2 44 0,1 44 0,1 43 0)),((1 43 0,2 43 0,2 43 9,1 43 0)))",
            TOULOUSE,
            id="surface-with-a-wall",
        ),
        pytest.param("TRIANGLE((0 0,2 0,2 2,0 0))", shapely.Polygon([(0, 0), (2, 0), (2, 2)]), id="triangle"),
        pytest.param(
            "GEOMETRYCOLLECTION(TRIANGLE((0 0,2 0,2 2,0 0)),POINT(1 0.5))",
            shapely.Polygon([(0, 0), (2, 0), (2, 2)]),
            id="triangle-within",
        ),
        pytest.param(BOW_TIE, shapely.from_wkt("MULTIPOLYGON(((0 0,1 1,0 2,0 0)),((1 1,2 2,2 0,1 1)))"), id="bow-tie"),
        pytest.param(
            "POLYGON((-180 -90,180 -90,180 90,-180 90,-180 -90))", shapely.box(-180, -90, 180, 90), id="world"
        ),
        pytest.param(
            "POLYGON((0 -80,360 -80,360 80,0 80,0 -80))", shapely.box(-180, -80, 180, 80), id="world-of-0-to-360"
        ),
    ],
)
def test_wkt_becomes_clean_geometry(text, expected):
    actual = aoi.from_wkt(text)

    assert actual.is_valid
    assert same(actual, expected)
    assert actual.has_z is False


def test_mixed_collection_keeps_every_kind():
    actual = aoi.from_wkt("GEOMETRYCOLLECTION(POINT(9 9),POLYGON((1 43,2 43,2 44,1 44,1 43)))")

    assert {part.geom_type for part in actual.geoms} == {"Point", "Polygon"}


CURVED = "has curves.*straight edges|not WKT"
"""Older GEOS knows no curves."""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "not WKT", id="empty-text"),
        pytest.param("Toulouse", "not WKT.*--shape", id="something-else"),
        pytest.param("POLYGON((1 43,2 43", "not WKT", id="cut-off"),
        pytest.param("CURVEPOLYGON((0 0,1 1,2 0,0 0))", CURVED, id="curve"),
        pytest.param("GEOMETRYCOLLECTION(POINT(1 43),CIRCULARSTRING(0 0,1 1,2 0))", CURVED, id="curve-within"),
        pytest.param("POLYGON EMPTY", "is empty", id="empty"),
        pytest.param("GEOMETRYCOLLECTION(POINT EMPTY)", "is empty", id="empty-within"),
        pytest.param("POINT(43.6 144)", "swapped", id="swapped"),
        pytest.param("POINT(360000 4800000)", "must be degrees", id="metres"),
        pytest.param("POINT(700 10)", "longitude 700", id="too-many-turns"),
        pytest.param("POINT(nan 10)", "not numbers", id="nan"),
        pytest.param("POINT(1e999 10)", "not numbers", id="infinite"),
        pytest.param("POLYGON((0 0,1 1,2 2,0 0))", "no area", id="flat-polygon"),
        pytest.param("TIN Z (((0 0 0,1 1 0,1 1 5,0 0 0)))", "no area", id="wall"),
        pytest.param("TIN EMPTY", "is empty", id="empty-tin"),
        pytest.param("SRID=2154;POINT(1 43)", "EPSG:2154", id="other-srid"),
        pytest.param('{"type": "Point"', "not JSON", id="broken-json"),
        pytest.param('{"type": "Point"}', "not GeoJSON", id="no-coordinates"),
        pytest.param('{"type": "Polygon", "coordinates": [1, 2]}', "not GeoJSON", id="wrong-coordinates"),
        pytest.param('{"type": "Feature", "geometry": null}', "is empty", id="no-geometry"),
        pytest.param('{"type": "FeatureCollection", "features": 3}', "not GeoJSON", id="features-no-list"),
        pytest.param("[" * 50_000, "JSON", id="nested-too-deep"),
    ],
)
def test_wkt_that_makes_no_area_is_refused(text, words):
    with pytest.raises(AreaError, match=words):
        aoi.from_wkt(text)


GEOJSON = shapely.geometry.mapping(TOULOUSE)
FEATURE = {"type": "Feature", "properties": {}, "geometry": GEOJSON}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(GEOJSON, id="geometry"),
        pytest.param(json.dumps(GEOJSON), id="text"),
        pytest.param(FEATURE, id="feature"),
        pytest.param({"type": "FeatureCollection", "features": [FEATURE, FEATURE]}, id="features"),
        pytest.param({"type": "GeometryCollection", "geometries": [GEOJSON]}, id="collection"),
        pytest.param(TOULOUSE, id="shapely"),
        pytest.param(shapely.to_wkt(TOULOUSE), id="wkt"),
        pytest.param(geopandas.GeoSeries([TOULOUSE], crs="EPSG:4326"), id="series"),
        pytest.param(geopandas.GeoDataFrame(geometry=[TOULOUSE], crs="EPSG:4326"), id="table"),
    ],
)
def test_objects_become_geometry(value):
    assert same(aoi.from_object(value), TOULOUSE)


def test_object_without_geometry_is_refused():
    with pytest.raises(AreaError, match="cannot be a int"):
        aoi.from_object(5)


def test_table_is_reprojected():
    table = geopandas.GeoDataFrame(geometry=[TOULOUSE], crs="EPSG:4326").to_crs("EPSG:2154")

    assert aoi.from_object(table).symmetric_difference(TOULOUSE).area < 2e-3


def test_tile_returns_footprint():
    assert aoi.tile("t31tcj").contains(shapely.Point(1.44, 43.6))


def test_tile_that_is_none_is_an_area_error():
    with pytest.raises(AreaError, match="not an MGRS tile"):
        aoi.tile("toulouse")


longitudes, latitudes = st.floats(-180, 180), st.floats(-90, 90)


@given(longitudes, latitudes, longitudes, latitudes)
def test_any_box_is_valid_or_refused(west, south, east, north):
    try:
        actual = aoi.box(west, south, east, north)
    except AreaError:
        return

    assert actual.is_valid
    assert not actual.is_empty


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-540, 540), latitudes), min_size=3, max_size=8))
def test_any_ring_is_cleaned_or_refused(corners):
    try:
        actual = aoi.from_object(shapely.Polygon(corners))
    except AreaError:
        return

    west, south, east, north = actual.bounds
    assert actual.is_valid
    assert -180 <= west <= east <= 180
    assert -90 <= south <= north <= 90
