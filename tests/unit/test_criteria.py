"""Words of users become queries, or errors that say what to write instead."""

import contextlib
import io
from datetime import UTC, date, datetime, timedelta, timezone

import geopandas
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from fakes import product
from pepsasync.area.widen import widen
from pepsasync.errors import AreaError, ConfigError
from pepsasync.model import Query
from pepsasync.query import dates
from pepsasync.query.criteria import build_query
from pepsasync.results.tables import write_products

BOX = shapely.box(1, 43, 2, 44)
NAME = "S2A_MSIL1C_20200815T005251_N0209_R002_T55PCR_20200815T023440"
NOVEMBER = datetime(2015, 11, 1, tzinfo=UTC)
TEN = NOVEMBER.replace(hour=10)
STEP = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        pytest.param({"collection": " S1 "}, {"collection": "S1"}, id="collection"),
        pytest.param({"collection": "s2st"}, {"collection": "S2ST"}, id="collection-any-case"),
        pytest.param({"collection": "PEPS_S1_L1"}, {"collection": "PEPS_S1_L1"}, id="archive-collection"),
        pytest.param({"product": "GRD"}, {"product_type": "GRD"}, id="product"),
        pytest.param({"product_type": "grd"}, {"product_type": "GRD"}, id="product-type-any-case"),
        pytest.param({"product": "s2msi2ap"}, {"product_type": "S2MSI2Ap"}, id="product-type-archive-spelling"),
        pytest.param({"product": "OL_1_EFR___"}, {"product_type": "OL_1_EFR___"}, id="product-type-others-as-they-are"),
        pytest.param({"sensor_mode": "iw"}, {"sensor_mode": "IW"}, id="mode"),
        pytest.param({"sensor-mode": "INS-NOBS"}, {"sensor_mode": "INS-NOBS"}, id="hyphen"),
        pytest.param({"location": " Toulouse "}, {"location": "Toulouse"}, id="location"),
        pytest.param({"orbit": 51}, {"relative_orbit": 51}, id="orbit"),
        pytest.param({"orbit": 175, "collection": "S1"}, {"collection": "S1", "relative_orbit": 175}, id="orbit-of-s1"),
        pytest.param({"orbit": 385, "collection": "S3"}, {"collection": "S3", "relative_orbit": 385}, id="orbit-of-s3"),
        pytest.param({"relative_orbit": "51"}, {"relative_orbit": 51}, id="orbit-text"),
        pytest.param({"clouds": 20}, {"cloud_cover": 20.0}, id="clouds"),
        pytest.param({"cc": "20.5 %"}, {"cloud_cover": 20.5}, id="clouds-percent"),
        pytest.param({"cloud_cover": 0}, {"cloud_cover": 0.0}, id="clouds-zero"),
        pytest.param({"clouds": "5..20"}, {"min_cloud_cover": 5.0, "cloud_cover": 20.0}, id="clouds-between"),
        pytest.param({"clouds": "..20 %"}, {"cloud_cover": 20.0}, id="clouds-open-below"),
        pytest.param({"clouds": (5, None)}, {"min_cloud_cover": 5.0}, id="clouds-open-above"),
        pytest.param({"orbit_direction": "ASCENDING"}, {"orbit_direction": "ascending"}, id="direction"),
        pytest.param({"orbit-direction": "d"}, {"orbit_direction": "descending"}, id="direction-short"),
        pytest.param({"polarisation": "vh+VV"}, {"polarisation": "VV VH"}, id="polarisation"),
        pytest.param({"polarization": ["HH"]}, {"polarisation": "HH"}, id="polarisation-list"),
        pytest.param({"timeliness": "FAST24H"}, {"timeliness": "Fast-24h"}, id="timeliness"),
        pytest.param({"timeliness": "Something"}, {"timeliness": "Something"}, id="timeliness-other"),
        pytest.param({"months": "6-8"}, {"months": (6, 7, 8)}, id="months"),
        pytest.param({"months": "11-2,5"}, {"months": (1, 2, 5, 11, 12)}, id="months-over-the-year"),
        pytest.param({"months": [3, 4]}, {"months": (3, 4)}, id="months-numbers"),
        pytest.param(
            {"orbit": 5, "sort": "Size", "per": "day"},
            {"relative_orbit": 5, "sort": "size", "per": ("day",)},
            id="sort-per",
        ),
        pytest.param({"satellite": "s1a"}, {"platform": "S1A"}, id="satellite"),
        pytest.param({"sat": "Sentinel-1A"}, {"platform": "S1A"}, id="satellite-long"),
        pytest.param({"platform": "SENTINEL2B"}, {"platform": "S2B"}, id="satellite-longer"),
        pytest.param({"satellite": "landsat8"}, {"platform": "LANDSAT8"}, id="satellite-other"),
        pytest.param({"id": "a", "latest": True}, {"names": ("a",), "latest": True}, id="latest"),
        pytest.param({"id": "a", "latest": "no"}, {"names": ("a",)}, id="latest-text"),
        pytest.param({"id": "a", "limit": "5"}, {"names": ("a",), "limit": 5}, id="limit"),
        pytest.param({"id": "a", "limit": 5.0}, {"names": ("a",), "limit": 5}, id="limit-float"),
        pytest.param({"tile": "t31tcj", "collection": "S2"}, {"tile": "31TCJ", "collection": "S2"}, id="tile"),
        pytest.param(
            {"tile": "31TCJ", "collection": "PEPS_S2_L1C"},
            {"tile": "31TCJ", "collection": "PEPS_S2_L1C"},
            id="tile-archive-collection",
        ),
        pytest.param({"id": NAME}, {"names": (NAME,)}, id="name"),
        pytest.param(
            {"ids": [NAME + ".zip", NAME + ".SAFE", "b.SAFE.zip"]}, {"names": (NAME, "b")}, id="names-extensions"
        ),
        pytest.param({"names": (n for n in ["a", "b"])}, {"names": ("a", "b")}, id="names-generator"),
        pytest.param({"collection": "S1", "product": None, "id": None}, {"collection": "S1"}, id="absent"),
        pytest.param({"orbit": None, "relative_orbit": 5}, {"relative_orbit": 5}, id="absent-alias"),
    ],
)
def test_plain_criteria(criteria, expected):
    assert build_query(**criteria) == Query(**expected)


SEVERAL_TILES = {"tile": ("31TCJ", "31TDJ"), "collection": "S2"}


@pytest.mark.parametrize(
    "value",
    [
        "31TCJ,31TDJ",
        " t31tcj , 31TDJ ",
        ["31TCJ", "31TDJ"],
        ("31TCJ", "31TDJ", "31TCJ"),
        ["31TCJ,31TDJ"],
        (tile for tile in ["31TCJ", "31TDJ"]),
        "@tiles.txt",
        ["31TCJ", "@tiles.txt"],
    ],
)
def test_several_values_are_taken_however_they_are_written(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiles.txt").write_text("# our valley\n31TCJ,\n\n31tdj  # and the next\n")

    assert build_query(tile=value, collection="S2") == Query(**SEVERAL_TILES)


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({"collection": "s1,S2"}, {"collection": ("S1", "S2")}),
        (
            {"collection": "S1,S2", "product": "grd,S2MSI1C"},
            {"collection": ("S1", "S2"), "product_type": ("GRD", "S2MSI1C")},
        ),
        ({"sensor_mode": "IW,EW"}, {"sensor_mode": ("IW", "EW")}),
        ({"satellite": ["s1a", "Sentinel-1C"]}, {"platform": ("S1A", "S1C")}),
        ({"orbit": "8,51"}, {"relative_orbit": (8, 51)}),
        ({"orbit": [8, "51"]}, {"relative_orbit": (8, 51)}),
        ({"orbit": "200,300", "collection": "S1,S3"}, {"collection": ("S1", "S3"), "relative_orbit": (200, 300)}),
        ({"location": "Toulouse,Foix"}, {"location": ("Toulouse", "Foix")}),
        ({"location": "Paris, Texas"}, {"location": "Paris, Texas"}),
        ({"location": ["Paris, TX, US", "Foix"]}, {"location": ("Paris, TX, US", "Foix")}),
        ({"location": "Toulouse, FR, Foix"}, {"location": ("Toulouse, FR", "Foix")}),
        ({"id": "a,b"}, {"names": ("a", "b")}),
    ],
)
def test_several_values(criteria, expected):
    assert build_query(**criteria) == Query(**expected)


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        ({"tile": "31TCJ,"}, "tile: a value is empty in '31TCJ,'"),
        ({"tile": []}, "tile is empty"),
        ({"tile": "31TCJ,31TZZ"}, "no MGRS tile 31TZZ"),
        ({"tile": "@nowhere.txt"}, "tile: cannot read nowhere.txt: No such file"),
        ({"tile": "@."}, "tile: cannot read .: Is a directory"),
        ({"tile": "@~nobody-here/a.txt"}, "tile: cannot read ~nobody-here"),
        ({"location": "Toulouse,,Foix"}, "place name in 'Toulouse,,Foix' is empty"),
        ({"collection": "S1,S2", "product": "GRD"}, "S2 is of Sentinel-2, product type GRD of Sentinel-1"),
        ({"collection": "S1", "product": "GRD,S2MSI1C"}, "S1 is of Sentinel-1, .*S2MSI1C of Sentinel-2"),
        ({"collection": "S1", "product": "GRD,SLX"}, "no product type SLX"),
        ({"collection": "S1,S2", "orbit": "51,176"}, "orbit 176 does not exist"),
        ({"collection": "S1,S3", "id": NAME}, "not of the collection S1, S3"),
        ({"shape": ["nowhere.gpkg", "elsewhere.gpkg"]}, "nowhere.gpkg"),
        ({"clouds": "20..5"}, "lowest cloud cover 20 is above the highest, 5 percent"),
        ({"clouds": ".."}, "not a range"),
        ({"clouds": "5..x"}, "not a number"),
        ({"collection": "S1", "clouds": 20}, "radar sees through clouds"),
        ({"collection": "S1", "sort": "clouds"}, "radar sees through clouds"),
        ({"collection": "S1", "per": "tile"}, "radar products have no tile"),
        ({"collection": "S2", "polarisation": "VV"}, "Sentinel-2 products have no polarisation"),
        ({"collection": "S1", "cover": 50}, "cover needs an area, and none is given"),
        ({"collection": "S1", "sort": "cover"}, "cover needs an area, and none is given"),
        ({"collection": "S1", "sort": "best"}, "sort cannot be 'best'.*date, clouds, size, cover"),
        ({"collection": "S2", "per": "week"}, "per cannot be 'week'.*day, tile"),
        ({"polarisation": "VV+HH"}, "'VV.HH' is not a polarisation"),
        ({"orbit_direction": "up"}, "is not a direction"),
        ({"months": "0"}, "is not a month"),
        ({"months": "6-13"}, "is not a month"),
        ({"months": "June"}, "not a number"),
        ({"tile": "31TCJ", "cover": 101}, "cover 101 is not a percentage"),
    ],
)
def test_wrong_ones_of_several_values_are_refused(criteria, words):
    with pytest.raises(ConfigError, match=words):
        build_query(**criteria)


def test_several_tiles_are_one_area_where_products_have_none():
    both = build_query(collection="S1", tile="31TCJ,31TDJ").area
    one, other = (build_query(collection="S1", tile=tile).area for tile in ("31TCJ", "31TDJ"))

    assert both.symmetric_difference(one.union(other)).area < 1e-9
    assert build_query(collection="S2,S2ST", tile="31TCJ,31TDJ").area is None
    assert build_query(collection="S1,S2", tile="31TCJ,31TDJ").area.equals(both)


@pytest.mark.parametrize(
    ("area", "buffer", "metres"),
    [
        ({"lon": 1.44, "lat": 43.6}, "5km", 5_000),
        ({"lon": 1.44, "lat": 43.6}, 250, 250),
        ({"lon": 10, "lat": 78}, "50 km", 50_000),
        ({"bbox": "1,43,2,44"}, "500m", 500),
        ({"geometry": "LINESTRING (-10 60, 20 61)"}, "20km", 20_000),
        ({"lon": 179.99, "lat": -17}, "30km", 30_000),
    ],
)
def test_a_buffer_is_measured_on_the_ground(area, buffer, metres):
    plain, query = build_query(**area).area, build_query(**area, buffer=buffer)
    wide = widen(query.area, query.buffer)
    assert (metres, plain) == (query.buffer, query.area)
    earth = pyproj.Geod(ellps="WGS84")
    points = shapely.get_coordinates(shapely.segmentize(plain, 0.1))
    steps = np.linspace(0, 360, 24, endpoint=False)

    def around(distance):
        """Points in all directions from each of those of the area."""
        for lon, lat in points:
            lons, lats, _ = earth.fwd([lon] * 24, [lat] * 24, steps, [distance] * 24)
            yield from shapely.points((np.array(lons) + 180) % 360 - 180, lats)

    assert wide.buffer(1e-9).covers(plain)
    assert all(wide.intersects(point) for point in around(metres * 0.99))
    far = [earth.inv(*point, *near)[2] for point in shapely.get_coordinates(wide) if abs(point[0]) < 180 - 1e-6
           for near in [min(points, key=lambda other: earth.inv(*point, *other)[2])]]  # fmt: skip
    assert max(far) < metres * 1.02 + 6_000 * (len(points) > 1)


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        ({"collection": "S1"}, "a buffer goes around an area, and none is given"),
        ({"lon": 1, "lat": 2, "buffer": "5"}, "'5' has no unit"),
        ({"lon": 1, "lat": 2, "buffer": "-5km"}, "not a distance"),
        ({"lon": 1, "lat": 2, "buffer": "xkm"}, "'x' is not a number"),
        ({"lon": 1, "lat": 2, "buffer": "30000km"}, "is no distance"),
    ],
)
def test_buffers_that_make_no_sense_are_refused(criteria, words):
    with pytest.raises((AreaError, ConfigError), match=words):
        build_query(**{"buffer": "50km"} | criteria)


@pytest.mark.parametrize("as_text", [True, False])
def test_several_layers_are_one_area(as_text, tmp_path):
    paths = [tmp_path / "one.geojson", tmp_path / "two,too.geojson", tmp_path / "three.geojson"]
    for west, path in enumerate(paths):
        geopandas.GeoDataFrame(geometry=[shapely.box(west * 5, 43, west * 5 + 1, 44)], crs=4326).to_file(path)
    given = [f"{paths[0]},{paths[2]}", str(paths[1])] if as_text else paths

    assert build_query(shape=given).area.equals(shapely.union_all([shapely.box(w, 43, w + 1, 44) for w in (0, 5, 10)]))


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        pytest.param("2015-11-01", NOVEMBER, NOVEMBER, id="date"),
        pytest.param(" 2015-11-01 ", NOVEMBER, NOVEMBER, id="spaces"),
        pytest.param(date(2015, 11, 1), NOVEMBER, NOVEMBER, id="date-object"),
        pytest.param("2015-11-01T10:00:00", TEN, TEN + STEP, id="time"),
        pytest.param("2015-11-01 10:00", TEN, TEN + STEP, id="time-with-space"),
        pytest.param("2015-11-01T10:00:00Z", TEN, TEN + STEP, id="utc"),
        pytest.param("2015-11-01t10:00:00z", TEN, TEN + STEP, id="lower-case"),
        pytest.param("2015-11-01T10:00:00.000Z", TEN, TEN + STEP, id="fraction"),
        pytest.param(
            "2015-11-01T10:00:00.123456789Z",
            TEN.replace(microsecond=123456),
            TEN.replace(microsecond=124456),
            id="long-fraction",
        ),
        pytest.param("2015-11-01T12:00:00+02:00", TEN, TEN + STEP, id="offset"),
        pytest.param("2015-11-01T05:00:00 -0500", TEN, TEN + STEP, id="offset-without-colon"),
        pytest.param("2015-11", NOVEMBER, NOVEMBER, id="month"),
        pytest.param("2015", NOVEMBER.replace(month=1), NOVEMBER.replace(month=1), id="year"),
        pytest.param(np.datetime64("2015-11-01"), NOVEMBER, NOVEMBER, id="numpy-date"),
        pytest.param(np.datetime64("2015-11"), NOVEMBER, NOVEMBER, id="numpy-month"),
        pytest.param(np.datetime64("2015-11-01T10:00:00", "ns"), TEN, TEN + STEP, id="numpy-instant"),
        pytest.param(pd.Timestamp("2015-11-01T11:00", tz="Europe/Paris"), TEN, TEN + STEP, id="pandas"),
        pytest.param(TEN.replace(tzinfo=None), TEN, TEN + STEP, id="naive-is-utc"),
        pytest.param(TEN.astimezone(timezone(timedelta(hours=5))), TEN, TEN + STEP, id="aware"),
    ],
)
def test_dates(value, start, end):
    assert build_query(start=value).start == start
    assert build_query(end=value).end == end
    assert build_query(start=value).start.tzinfo is UTC


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("today", None, "2016-03-31", None),
        ("yesterday", "tomorrow", "2016-03-30", "2016-04-01"),
        ("-3d", "today", "2016-03-28", "2016-03-31"),
        ("-2w", "-1d", "2016-03-17", "2016-03-30"),
        ("-1m", None, "2016-02-29", None),
        ("-1Y", None, "2015-03-31", None),
        ("-6h", None, "2016-03-31T06:00", None),
        ("P1M", None, "2016-02-29", None),
        ("P1M", "2017-03-01", "2017-02-01", "2017-03-01"),
        ("2017-01-31", "P1M", "2017-01-31", "2017-02-28"),
        ("2017", "P1Y", "2017-01-01", "2018-01-01"),
        ("2017-01-01", "P1Y2M3W4DT5H6M", "2017-01-01", "2018-03-26T05:06"),
        ("2017-03-01T05:00+01:00", "pt12h", "2017-03-01T04:00", "2017-03-01T16:00"),
    ],
)
def test_dates_that_count_from_others(start, end, first, last, monkeypatch):
    monkeypatch.setattr(dates, "now", lambda: datetime(2016, 3, 31, 12, tzinfo=UTC))
    query = build_query(**{name: value for name, value in (("start", start), ("end", end)) if value})
    expected = [datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None for text in (first, last)]

    assert [query.start, query.end] == expected


@pytest.mark.parametrize(("start", "end"), [(None, "P1M"), ("P1M", "P1M"), ("2017", "P9999Y")])
def test_durations_that_count_from_nothing_are_refused(start, end):
    with pytest.raises(ConfigError, match="end: "):
        build_query(start=start, end=end)


@pytest.mark.parametrize(
    "value",
    [
        "2023-11-31",
        "31/12/2015",
        "2015-13-01",
        "20151101",
        "2015-W01-1",
        "2015-1-1",
        "last week",
        "2015-13",
        "-3x",
        "-99999y",
        "P1X",
        "P",
        "PT",
        np.datetime64("NaT", "s"),
        pd.NaT,
        "2015-11-01T25:00:00",
        "2015-11-01T10",
        "2015-11-01Z",
        20151101,
        True,
        "0001-01-01T00:00+14:00",
    ],
)
def test_impossible_dates_are_refused(value):
    with pytest.raises(ConfigError, match=r"start: .*YYYY-MM-DD"):
        build_query(start=value)


def test_end_beyond_the_calendar_is_refused():
    with pytest.raises(ConfigError, match="too late"):
        build_query(end="9999-12-31T23:59:59.9999")


def test_empty_period_is_refused():
    with pytest.raises(ConfigError, match="for one day"):
        build_query(start="2015-11-01", end="2015-11-01")


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        pytest.param({"lon": 1.5, "lat": "43.5"}, shapely.Point(1.5, 43.5), id="point"),
        pytest.param({"lon": 0, "lat": 0}, shapely.Point(0, 0), id="point-zero"),
        pytest.param({"lonmin": 1, "lonmax": "2", "latmin": 43, "latmax": 44}, BOX, id="box"),
        pytest.param({"bbox": "1,43,2,44"}, BOX, id="bbox"),
        pytest.param({"bbox": " 1 43, 2; 44 "}, BOX, id="bbox-spaces"),
        pytest.param({"bbox": (1, 43, 2, 44)}, BOX, id="bbox-numbers"),
        pytest.param({"geometry": "POLYGON((1 43,2 43,2 44,1 44,1 43))"}, BOX, id="wkt"),
        pytest.param({"geometry": shapely.geometry.mapping(BOX)}, BOX, id="geojson"),
        pytest.param({"geometry": BOX}, BOX, id="shapely"),
        pytest.param({"area": BOX}, BOX, id="shapely-as-area"),
        pytest.param(
            {"bbox": "179,0,-179,1"},
            shapely.union(shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)),
            id="antimeridian",
        ),
    ],
)
def test_areas(criteria, expected):
    assert shapely.equals(build_query(**criteria).area, expected)


@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_shape_is_read(tmp_path, as_path):
    path = tmp_path / "field.geojson"
    geopandas.GeoDataFrame(geometry=[BOX], crs="EPSG:4326").to_file(path)

    assert shapely.equals(build_query(shape=as_path(path)).area, BOX)


@pytest.mark.parametrize("collection", ["S1", "S3", "PEPS_S1_L1", "SENTINEL-1", None])
def test_tile_becomes_an_area_where_products_have_none(collection):
    query = build_query(collection=collection, tile="31tcj")

    assert query.tile == "31TCJ"
    assert query.area.contains(shapely.Point(1.44, 43.6))


@pytest.mark.parametrize("value", ["", "  "])
@pytest.mark.parametrize(
    "criterion",
    [
        *("collection", "product", "sensor_mode", "start", "end", "tile", "location", "lon", "bbox", "shape"),
        *("geometry", "orbit", "clouds", "satellite", "id", "latest", "limit"),
    ],
)
def test_an_empty_value_is_not_taken_for_none(criterion, value):
    with pytest.raises(ConfigError, match=f"{criterion} is empty"):
        build_query(**({"collection": "S1"} | {criterion: value}))


@pytest.mark.parametrize("ids", [[], (), iter(()), ["a", ""], [None]])
def test_names_that_are_not_there_are_not_left_out(ids):
    with pytest.raises(ConfigError, match="id"):
        build_query(collection="S1", id=ids)


@pytest.mark.parametrize("criteria", [{}, {"collection": None}, {"latest": True, "limit": 3}])
def test_the_whole_archive_is_not_meant_by_saying_nothing(criteria):
    with pytest.raises(ConfigError, match="whole archive"):
        build_query(**criteria)


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        pytest.param({"colection": "S1"}, "no criterion 'colection'.*'collection'", id="misspelt"),
        pytest.param({"max_cloud_cover": 1}, "'max_cloud_cover'.*'clouds'", id="meaning"),
        pytest.param({"From": "2017-01-01"}, "'From'.*'start'", id="meaning-start"),
        pytest.param({"qqqqqqqq": 1}, "There are .*bbox.*tile", id="unknown"),
        pytest.param({"tille": None}, "'tile'", id="misspelt-though-absent"),
        pytest.param({"orbit": 1, "relative_orbit": 1}, "orbit and relative_orbit are the same", id="twice"),
        pytest.param({"collection": 5}, "collection: 5 is not text", id="no-text"),
        pytest.param({"orbit": "x"}, "orbit: 'x' is not a number", id="no-number"),
        pytest.param({"orbit": 5.5}, "not a whole number", id="fraction"),
        pytest.param({"orbit": True}, "not a number", id="bool"),
        pytest.param({"orbit": 176, "collection": "s1"}, "relative orbit 176 does not exist", id="orbit-of-s1"),
        pytest.param({"orbit": 144, "collection": "PEPS_S2_L1C"}, "relative orbit 144 does not", id="orbit-of-s2"),
        pytest.param({"orbit": 500}, "relative orbit 500 does not exist", id="orbit-out-of-range"),
        pytest.param({"clouds": "nan"}, "not a number", id="nan"),
        pytest.param({"clouds": 101}, "not a percentage", id="clouds-out-of-range"),
        pytest.param({"id": "a", "limit": 0}, "not a positive", id="limit-zero"),
        pytest.param({"id": "a", "limit": [3]}, "not a number", id="limit-list"),
        pytest.param({"id": "a", "latest": "maybe"}, "neither true nor false", id="no-flag"),
        pytest.param({"satellite": "S1"}, "use the collection S1", id="mission"),
        pytest.param({"lon": 1}, "lon without lat", id="lon-alone"),
        pytest.param({"lat": 1}, "lat without lon", id="lat-alone"),
        pytest.param({"lonmin": 1, "latmax": 2}, "lonmin, latmax without latmin, lonmax", id="half-a-box"),
        pytest.param({"bbox": "1,2,3"}, "not four numbers", id="bbox-of-three"),
        pytest.param({"bbox": "1,2,3,x"}, "bbox: 'x' is not a number", id="bbox-of-text"),
        pytest.param({"bbox": 5}, "not four numbers", id="bbox-of-one"),
        pytest.param({"location": "Rome", "bbox": "1,2,3,4"}, "location, bbox each name an area", id="place-and-box"),
        pytest.param({"tile": "31TCJ", "lon": 1, "lat": 2}, "tile, lon, lat each", id="tile-and-point"),
        pytest.param({"tile": "31TC"}, "not an MGRS tile", id="tile"),
        pytest.param({"tile": "31TZZ", "collection": "S1"}, "no MGRS tile 31TZZ", id="tile-that-does-not-exist"),
        pytest.param({"tile": "31TZZ", "collection": "S2"}, "no MGRS tile 31TZZ", id="tile-to-be-asked-for"),
        pytest.param({"tile": "t32xng", "collection": "S2ST"}, "no MGRS tile 32XNG", id="tile-of-no-zone"),
        pytest.param({"id": "a/b"}, "is a path", id="name-with-folder"),
        pytest.param({"id": "..\\b"}, "is a path", id="name-with-folder-on-windows"),
        pytest.param({"id": ".."}, "not a product name", id="name-of-dots"),
        pytest.param({"id": ".zip"}, "not a product name", id="name-of-nothing"),
        pytest.param({"id": "a b"}, "not a product name", id="name-with-space"),
        pytest.param({"id": "a,,b"}, "not a product name", id="empty-name"),
        pytest.param({"id": 5}, "not a product name", id="name-number"),
        pytest.param({"id": [5]}, "is not text", id="names-number"),
        pytest.param(
            {"id": ["b", NAME], "collection": "s1"}, f"{NAME} is not of the collection S1", id="name-of-another"
        ),
        pytest.param({"id": NAME, "collection": "SENTINEL-1"}, "not of the collection", id="name-of-another-sentinel"),
        pytest.param({"id": NAME, "collection": "PEPS_S1_L1"}, "not of the collection", id="name-of-another-archive"),
        pytest.param({"id": "@nowhere.txt"}, "cannot read nowhere.txt", id="no-such-list"),
        pytest.param({"id": "@~nobody-here/a.txt"}, "cannot read ~nobody-here", id="list-in-no-home"),
        pytest.param({"id": "@a\0.txt"}, "cannot read a", id="list-with-null"),
    ],
)
def test_wrong_criteria_are_refused(criteria, words):
    with pytest.raises(ConfigError, match=words):
        build_query(**criteria)


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        pytest.param({"lon": 1, "lat": 95}, "lat 95", id="point"),
        pytest.param({"bbox": "1,3,2,2"}, "south above", id="box"),
        pytest.param({"bbox": "5,43,2,44"}, "357 degrees wide", id="west-and-east-exchanged"),
        pytest.param({"lonmin": 5, "lonmax": 2, "latmin": 43, "latmax": 44}, "357 degrees wide", id="sides-exchanged"),
        pytest.param({"geometry": "POLYGON"}, "not WKT", id="wkt"),
        pytest.param({"geometry": 5}, "cannot be", id="geometry"),
        pytest.param({"shape": "nowhere.shp"}, "does not exist", id="file"),
        pytest.param({"shape": BOX}, "not a path", id="geometry-as-file"),
    ],
)
def test_wrong_areas_are_refused(criteria, words):
    with pytest.raises(AreaError, match=words):
        build_query(**criteria)


def test_names_are_read_from_a_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text(f"\ufeff# wanted\n{NAME}.zip\n\n  b.SAFE  # second\n{NAME}\n", encoding="utf-8")

    assert build_query(id=["a", f"@{path}"]).names == ("a", NAME, "b")


@pytest.mark.parametrize("suffix", [".geojson", ".csv"])
def test_names_are_read_from_a_saved_search(tmp_path, suffix):
    write_products([product(NAME), product("b")], tmp_path / f"found{suffix}")

    assert build_query(id=["a", f" @{tmp_path}/found{suffix} "]).names == ("a", NAME, "b")


def test_list_of_names_is_found_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "names.txt").write_text("a\n")

    assert build_query(id="@~/names.txt").names == ("a",)


@pytest.mark.parametrize("collection", ["S2", "S2ST", "PEPS_S2_L1C", "SENTINEL-2", "LANDSAT-8", None])
def test_names_go_with_a_collection_that_may_hold_them(collection):
    assert build_query(id=[NAME, "b"], collection=collection).names == (NAME, "b")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"# nothing\n\n", "names no product", id="only-comments"),
        pytest.param(b"\xff\xfe\x00", "is not text", id="binary"),
        pytest.param(b"a b\n", "'a b' is not a product name", id="two-in-a-line"),
        pytest.param(b'{"a": ' + b"7" * 5000 + b"}", "JSON: it has a number that is too long", id="long-number"),
        pytest.param(b"[" * 99_999, "JSON: it is nested too deeply", id="deep"),
        pytest.param(b'{"features": [{}]}', "product 1 of .* has no name", id="feature-without-name"),
    ],
)
def test_unusable_list_of_names_is_refused(tmp_path, content, words):
    path = tmp_path / "names.txt"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=words):
        build_query(id=f"@{path}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"type": "Point", "coordinates": [' + "7" * 5000 + ", 1]}", "it has a number that is too long"),
        ('{"type":' * 99_999, "it is nested too deeply"),
    ],
    ids=["long-number", "deep"],
)
@pytest.mark.parametrize("is_file", [True, False])
def test_areas_beyond_what_is_read_are_told_in_plain_words(tmp_path, text, words, is_file):
    path = tmp_path / "area.geojson"
    path.write_text(text)
    with pytest.raises(AreaError, match=words) as caught:
        build_query(**({"shape": path} if is_file else {"geometry": text}))

    assert "sys." not in str(caught.value)


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_any_time_survives_being_written(instant):
    assert build_query(start=f"{instant.isoformat()}Z").start == instant.replace(tzinfo=UTC)


@given(
    st.sampled_from(["start", "end", "orbit", "clouds", "limit", "bbox", "geometry", "lon", "tile", "id"]), st.text()
)
def test_any_text_is_understood_or_refused(criterion, text):
    with contextlib.suppress(ConfigError):
        build_query(**{criterion: text})


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ({"collection": "S2", "product": "L1C"}, "Did you mean S2MSI1C"),
        ({"collection": "S2ST", "product": "msil2a"}, "Did you mean S2MSI2A"),
        ({"product": "1C"}, "Did you mean S2MSI1C"),
        ({"collection": "S1", "product": "GDR"}, "Did you mean GRD"),
        ({"collection": "S1", "product": "SCL"}, "Did you mean SLC"),
        ({"collection": "S1", "product": "L1C"}, "Sentinel-1 has GRD, SLC, OCN, RAW"),
        ({"collection": "S2ST", "product": "GRD"}, "Sentinel-2 has S2MSI1C, S2MSI2A"),
        ({"collection": "SENTINEL-2", "product": "IW_GRDH_1S"}, "Sentinel-2 has S2MSI1C, S2MSI2A"),
        ({"collection": "S3", "product": "SLC"}, "product type SLC of Sentinel-1: no product is of both"),
        ({"collection": "S1", "satellite": "Sentinel-2A"}, "Sentinel-1 has S1A, S1B, S1C, S1D"),
        ({"collection": "PEPS_S2_L1C", "satellite": "S1A"}, "Sentinel-2 has S2A, S2B, S2C, S2D"),
        ({"collection": "S1", "satellite": "1A"}, "Did you mean S1A"),
        ({"collection": "S2", "sensor_mode": "IW"}, "Sentinel-2 has INS-NOBS"),
        ({"collection": "S1", "sensor_mode": "IWW"}, "Did you mean IW"),
        ({"collection": "S2", "sensor_mode": "INS"}, "Did you mean INS-NOBS"),
        ({"satellite": "S2A", "product": "SLC"}, "satellite S2A is of Sentinel-2"),
        ({"product": "S2MSI1C", "sensor_mode": "EW"}, "sensor mode EW of Sentinel-1"),
        ({"satellite": "XX"}, "there is no satellite XX. Sentinels are S1A"),
        ({"satellite": "S1E"}, "there is no satellite S1E. Sentinel-1 has S1A, S1B, S1C, S1D"),
        ({"satellite": "sentinel-3z"}, "there is no satellite S3Z. Sentinel-3 has S3A"),
        ({"collection": "S2ST", "satellite": "S2X"}, "there is no satellite S2X. Sentinel-2 has S2A"),
        ({"collection": "S1", "satellite": "XX"}, "there is no satellite XX. Sentinel-1 has S1A"),
        ({"collection": "S3", "satellite": "AA"}, "there is no satellite AA. Sentinel-3 has S3A"),
        ({"product": "GRD", "sensor_mode": "XX"}, "there is no sensor mode XX. Sentinel-1 has IW, EW, SM, WV"),
        ({"collection": "S2ST", "sensor_mode": "IWX"}, "there is no sensor mode IWX. Sentinel-2 has INS-NOBS"),
        ({"collection": "S1", "sensor_mode": "S7"}, "there is no sensor mode S7. Sentinel-1 has IW"),
        ({"sensor_mode": "IWX"}, "there is no sensor mode IWX. Did you mean IW"),
        ({"collection": "S1", "product": "GRDX"}, "there is no product type GRDX. Did you mean GRD"),
        ({"collection": "S1", "product": "grdh"}, "there is no product type grdh. Did you mean GRD"),
        ({"product": "IW_GRDX_1S"}, "there is no product type IW_GRDX_1S. Sentinel-1 has GRD"),
        ({"collection": "S1", "product": "FOO"}, "there is no product type FOO. Sentinel-1 has GRD, SLC, OCN, RAW"),
        ({"collection": "S2", "product": "S2MSI9Z"}, "there is no product type S2MSI9Z. Did you mean S2MSI"),
        ({"collection": "S2", "product": "FOO"}, "there is no product type FOO. Sentinel-2 has S2MSI1C, S2MSI2A"),
    ],
)
def test_words_that_match_nothing_are_refused_with_those_that_are_right(criteria, message):
    with pytest.raises(ConfigError) as caught:
        build_query(**criteria)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    "criteria",
    [
        {"collection": "S1", "product": "GRD", "sensor_mode": "IW", "satellite": "S1C"},
        {"collection": "S1", "product": "AUX_POEORB"},
        {"collection": "S1", "product": "IW_GRDH_1S-COG"},
        {"collection": "S1", "product": "iw_grdh_1s"},
        {"collection": "S1", "product": "IW_SLC__1S", "sensor_mode": "S3"},
        {"collection": "S1", "product": "EW_ETA__AX"},
        {"collection": "S1", "sensor_mode": "en"},
        {"collection": "S2", "sensor_mode": "INS-VIC"},
        {"collection": "S2", "product": "S2MSI1B"},
        {"collection": "PEPS_S1_L1", "product": "GRDX", "sensor_mode": "XX", "satellite": "S1E"},
        {"satellite": "S5P", "product": "L2__NO2___"},
        {"satellite": "S6A"},
        {"satellite": "ENVISAT"},
        {"collection": "S2", "product": "S2MSI2Ap"},
        {"collection": "S3", "product": "OL_1_EFR___"},
        {"collection": "SENTINEL-6", "product": "P4_1B_LR_RAW"},
        {"collection": "THEIA_REFLECTANCE_SENTINEL2_L2A", "product": "L2A"},
        {"collection": "LANDSAT-8", "satellite": "LANDSAT-8"},
        {"tile": "31TCJ", "satellite": "S1A"},
    ],
)
def test_words_that_an_archive_may_have_are_left_to_it(criteria):
    assert build_query(**criteria)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("31TCJ\n31TDJ\n".encode("utf-16"), id="utf-16-marked"),
        pytest.param("31TCJ\r\n31TDJ\r\n".encode("utf-16-le"), id="utf-16"),
        pytest.param("\ufeff31TCJ,\r\n31TDJ  # märkt\r\n".encode(), id="utf-8-marked"),
        pytest.param(b"31TCJ\r31TDJ", id="old-line-ends"),
    ],
)
def test_files_of_values_may_come_from_any_system(data, tmp_path, monkeypatch):
    (tmp_path / "tiles.txt").write_bytes(data)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    assert ("31TCJ", "31TDJ") == build_query(collection="S2", tile=f"@{tmp_path / 'tiles.txt'}").tile
    assert ("31TCJ", "31TDJ") == build_query(collection="S2", tile="@-").tile


def test_files_that_are_no_text_are_refused_in_words(tmp_path):
    (tmp_path / "tiles.txt").write_bytes("31TCJ # märkt".encode("latin-1"))

    with pytest.raises(ConfigError, match="is not text"):
        build_query(collection="S2", tile=f"@{tmp_path / 'tiles.txt'}")
