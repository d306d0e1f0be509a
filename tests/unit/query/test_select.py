"""Every criterion is checked on our side; of several processings the newest stays."""

from datetime import UTC, datetime, timedelta

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.model import Product, Query, StorageTier
from pepsasync.query.processings import latest, online_twins
from pepsasync.query.select import is_wanted, why_unwanted

S1 = "S1C_IW_GRDH_1SDV_20251217T230248_20251217T230317_005497_00AF3C_C5D6"
S2 = "S2A_MSIL1C_20200815T005251_N0209_R002_T55PCR_20200815T023440"
OLD_S2 = "S2A_OPER_PRD_MSIL1C_PDMC_20151206T145051_R051_V20151206T105135_20151206T105135"
NOON = datetime(2020, 8, 15, 12, tzinfo=UTC)
BOX = shapely.box(1, 43, 2, 44)


def product(name=S2, **values):
    values = {"id": name, "collection": "S2", "provider": "peps", "download_url": "u"} | values
    return Product(name=name, **values)


def footprint(geometry):
    return shapely.geometry.mapping(geometry)


ACROSS = footprint(shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)]))
AROUND_POLE = footprint(shapely.Polygon([(-135, 80), (-45, 80), (45, 80), (135, 80)]))


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        pytest.param({}, {}, None, id="no-criteria"),
        pytest.param({}, {"names": ("x", S2)}, None, id="name"),
        pytest.param({}, {"names": ("x",)}, "name", id="other-name"),
        pytest.param({}, {"location": "Rome"}, None, id="location-is-not-checked"),
        pytest.param({}, {"collection": "S2"}, None, id="collection"),
        pytest.param({}, {"collection": "S3"}, "collection", id="other-mission"),
        pytest.param({"platform": "S1A"}, {"collection": "S2ST"}, "collection", id="other-satellite-of-a-mission"),
        pytest.param({"name": "x"}, {"collection": "S3"}, None, id="mission-unknown"),
        pytest.param({"collection": "PEPS_S2_L1C"}, {"collection": "PEPS_S2_L1C"}, None, id="own-collection"),
        pytest.param(
            {"collection": "PEPS_S2_L1C"}, {"collection": "THEIA_S2"}, "collection", id="other-own-collection"
        ),
        pytest.param({"collection": ""}, {"collection": "PEPS_S1_L1"}, "collection", id="mission-of-an-own-collection"),
        pytest.param({"collection": "unknown"}, {"collection": "SENTINEL-2"}, None, id="own-collection-untold"),
        pytest.param({"name": "x", "collection": "SPOT5"}, {"collection": "SPOT5"}, None, id="no-mission-of-ours"),
        pytest.param({"product_type": "GRD"}, {"product_type": "grd"}, None, id="type-any-case"),
        pytest.param({"product_type": "SLC"}, {"product_type": "GRD"}, "product type", id="other-type"),
        pytest.param({"product_type": "IW_GRDH_1S"}, {"product_type": "GRD"}, None, id="long-type"),
        pytest.param({"product_type": "IW_SLC__1S"}, {"product_type": "GRD"}, "product type", id="other-long-type"),
        pytest.param({"product_type": "S2MSI2Ap"}, {"product_type": "S2MSI2A"}, "product type", id="longer-word"),
        pytest.param({"name": "x"}, {"product_type": "GRD"}, None, id="type-unknown"),
        pytest.param({}, {"product_type": "S2MSI1C"}, None, id="type-from-the-name"),
        pytest.param({}, {"product_type": "S2MSI2A"}, "product type", id="other-type-from-the-name"),
        pytest.param({"name": OLD_S2}, {"product_type": "S2MSI1C"}, None, id="type-from-an-old-name"),
        pytest.param({"name": S1}, {"product_type": "SLC"}, "product type", id="other-radar-type-from-the-name"),
        pytest.param({"name": S1}, {"product_type": "GRD"}, None, id="radar-type-from-the-name"),
        pytest.param({"sensor_mode": "IW"}, {"sensor_mode": "iw"}, None, id="mode"),
        pytest.param({"sensor_mode": "EW"}, {"sensor_mode": "IW"}, "sensor mode", id="other-mode"),
        pytest.param({}, {"sensor_mode": "IW"}, None, id="mode-unknown"),
        pytest.param({"name": S1}, {"sensor_mode": "iw"}, None, id="mode-from-the-name"),
        pytest.param({"name": S1}, {"sensor_mode": "EW"}, "sensor mode", id="other-mode-from-the-name"),
        pytest.param({"name": "S1A_S3_GRDH_1SDV_x"}, {"sensor_mode": "SM"}, None, id="beam-of-a-mode"),
        pytest.param({"platform": "S2A"}, {"platform": "S2A"}, None, id="satellite"),
        pytest.param({"platform": "S2B"}, {"platform": "S2A"}, "satellite", id="other-satellite"),
        pytest.param({}, {"platform": "S2B"}, "satellite", id="satellite-from-the-name"),
        pytest.param({"name": "x"}, {"platform": "S2B"}, None, id="satellite-unknown"),
        pytest.param({"start": NOON}, {"start": NOON}, None, id="start-is-inclusive"),
        pytest.param({"start": NOON - timedelta(milliseconds=1)}, {"start": NOON}, "start", id="too-early"),
        pytest.param({"start": NOON}, {"end": NOON}, "end", id="end-is-exclusive"),
        pytest.param({"start": NOON - timedelta(milliseconds=1)}, {"end": NOON}, None, id="just-in-time"),
        pytest.param(
            {"start": NOON, "end": NOON + timedelta(hours=1)},
            {"end": NOON + timedelta(minutes=1)},
            None,
            id="acquisition-start-decides",
        ),
        pytest.param({}, {"start": NOON}, None, id="time-unknown"),
        pytest.param({"relative_orbit": 51}, {"relative_orbit": (8, 51)}, None, id="one-of-several-orbits"),
        pytest.param(
            {"relative_orbit": 52}, {"relative_orbit": (8, 51)}, "relative orbit", id="none-of-several-orbits"
        ),
        pytest.param({"cloud_cover": 4.0}, {"min_cloud_cover": 5}, "cloud cover", id="too-clear"),
        pytest.param({"name": S1}, {"min_cloud_cover": 5}, None, id="radar-is-not-too-clear"),
        pytest.param({}, {"orbit_direction": "descending"}, None, id="optical-is-descending"),
        pytest.param({"name": S1}, {"orbit_direction": "descending"}, "orbit direction", id="direction-unknown"),
        pytest.param(
            {"name": S1, "orbit_direction": "DESCENDING"},
            {"orbit_direction": "descending"},
            None,
            id="direction-any-case",
        ),
        pytest.param({"name": S1}, {"polarisation": "VV VH"}, None, id="polarisation-from-the-name"),
        pytest.param({"name": S1}, {"polarisation": "HH"}, "polarisation", id="other-polarisation-from-the-name"),
        pytest.param(
            {"name": S1, "polarisation": "VV&VH"}, {"polarisation": "VH"}, None, id="polarisation-among-others"
        ),
        pytest.param(
            {"name": S1, "polarisation": "VV"}, {"polarisation": "VV VH"}, "polarisation", id="too-few-channels"
        ),
        pytest.param({}, {"polarisation": "VV VH"}, None, id="optical-has-no-polarisation"),
        pytest.param({"timeliness": "Fast24h"}, {"timeliness": "Fast-24h"}, None, id="timeliness"),
        pytest.param({"timeliness": "NRT-3h"}, {"timeliness": "Fast-24h"}, "timeliness", id="other-timeliness"),
        pytest.param({"start": NOON}, {"months": (NOON.month,)}, None, id="month"),
        pytest.param({"start": NOON}, {"months": (NOON.month % 12 + 1,)}, "month", id="other-month"),
        pytest.param(
            {"name": S1, "footprint": footprint(BOX)}, {"area": BOX.buffer(0.01), "cover": 95}, None, id="covers"
        ),
        pytest.param(
            {"name": S1, "footprint": footprint(BOX)},
            {"area": shapely.box(-1, 43, 5, 44), "cover": 30},
            "cover",
            id="covers-less",
        ),
        pytest.param({"published": NOON}, {"published_since": NOON}, None, id="published"),
        pytest.param(
            {"published": NOON - timedelta(milliseconds=1)}, {"published_since": NOON}, "publication", id="known-before"
        ),
        pytest.param({}, {"published_since": NOON}, None, id="publication-unknown"),
        pytest.param({"relative_orbit": 51}, {"relative_orbit": 51}, None, id="orbit"),
        pytest.param({"relative_orbit": 52}, {"relative_orbit": 51}, "relative orbit", id="other-orbit"),
        pytest.param({}, {"relative_orbit": 2}, None, id="orbit-from-the-name"),
        pytest.param(
            {"name": "x", "platform": "S1A", "orbit": 53059}, {"relative_orbit": 137}, None, id="orbit-computed"
        ),
        pytest.param({"name": "x"}, {"relative_orbit": 137}, "relative orbit", id="orbit-unknown"),
        pytest.param({"cloud_cover": 20.0}, {"cloud_cover": 20}, None, id="clouds"),
        pytest.param({"cloud_cover": 20.1}, {"cloud_cover": 20}, "cloud cover", id="cloudy"),
        pytest.param({"cloud_cover": 0.0}, {"cloud_cover": 0}, None, id="no-clouds"),
        pytest.param({}, {"cloud_cover": 20}, "cloud cover", id="clouds-unknown"),
        pytest.param({"name": S1}, {"cloud_cover": 20}, None, id="radar-by-name"),
        pytest.param({"name": "x", "platform": "S1A"}, {"cloud_cover": 20}, None, id="radar-by-satellite"),
        pytest.param({"tile": "55PCR"}, {"tile": "55PCR"}, None, id="tile"),
        pytest.param({"tile": "T55PCR"}, {"tile": "55PCR"}, None, id="tile-with-t"),
        pytest.param({"tile": "55PDR"}, {"tile": "55PCR"}, "tile", id="other-tile"),
        pytest.param({}, {"tile": "55PCR"}, None, id="tile-from-the-name"),
        pytest.param({}, {"tile": "55PDR"}, "tile", id="other-tile-from-the-name"),
        pytest.param({"name": OLD_S2}, {"tile": "31TCJ"}, None, id="product-of-many-tiles"),
        pytest.param({"name": S1}, {"tile": "31TCJ"}, "tile", id="radar-has-no-tile"),
        pytest.param(
            {"name": S1, "footprint": footprint(BOX)}, {"tile": "31TCJ", "area": BOX}, None, id="radar-in-the-tile"
        ),
        pytest.param(
            {"name": S1, "footprint": footprint(shapely.box(5, 5, 6, 6))},
            {"tile": "31TCJ", "area": BOX},
            "area",
            id="radar-elsewhere",
        ),
        pytest.param(
            {"footprint": footprint(shapely.box(5, 5, 6, 6))},
            {"tile": "55PCR", "area": BOX},
            None,
            id="right-tile-is-enough",
        ),
    ],
)
def test_criterion(given, wanted, expected):
    candidate, query = product(**given), Query(**wanted)

    assert why_unwanted(candidate, query) == expected
    assert is_wanted(candidate, query) is (expected is None)


@pytest.mark.parametrize(
    ("shape", "area", "expected"),
    [
        pytest.param(footprint(BOX), BOX, True, id="same"),
        pytest.param(footprint(BOX), shapely.box(1.9, 43.9, 5, 50), True, id="overlap"),
        pytest.param(footprint(BOX), shapely.box(0, 40, 5, 50), True, id="within"),
        pytest.param(footprint(BOX), shapely.box(5, 43, 6, 44), False, id="apart"),
        pytest.param(footprint(BOX), shapely.box(2, 43, 3, 44), False, id="touch-along-a-side"),
        pytest.param(footprint(BOX), shapely.box(2, 44, 3, 45), False, id="touch-in-a-corner"),
        pytest.param(
            footprint(shapely.Polygon([(0, 0), (10, 0), (0, 10)])), shapely.box(8, 8, 9, 9), False, id="only-its-box"
        ),
        pytest.param(footprint(BOX), shapely.Point(1.5, 43.5), True, id="point-within"),
        pytest.param(footprint(BOX), shapely.Point(1, 43.5), True, id="point-on-the-side"),
        pytest.param(footprint(BOX), shapely.Point(0, 43.5), False, id="point-outside"),
        pytest.param(footprint(BOX), shapely.LineString([(0, 43.5), (1, 43.5)]), True, id="line-that-ends-there"),
        pytest.param(footprint(BOX), shapely.MultiPolygon([shapely.box(8, 8, 9, 9), BOX]), True, id="one-of-two"),
        pytest.param(
            footprint(BOX),
            shapely.GeometryCollection([shapely.box(2, 43, 3, 44), shapely.Point(9, 9)]),
            False,
            id="mixed-outside",
        ),
        pytest.param(
            footprint(BOX),
            shapely.GeometryCollection([shapely.Point(1.5, 43.5), shapely.box(8, 8, 9, 9)]),
            True,
            id="mixed-within",
        ),
        pytest.param(None, BOX, True, id="no-footprint"),
        pytest.param({"type": "Polygon", "coordinates": []}, BOX, True, id="empty-footprint"),
        pytest.param({"type": "Nonsense"}, BOX, True, id="footprint-without-sense"),
        pytest.param({"type": "Polygon", "coordinates": "x"}, BOX, True, id="footprint-of-text"),
        pytest.param(footprint(shapely.box(0, 0, 1e9, 1)), BOX, True, id="footprint-in-metres"),
        pytest.param(
            footprint(shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])),
            shapely.box(0.9, 1.2, 1.1, 1.4),
            False,
            id="bow-tie-outside",
        ),
        pytest.param(
            footprint(shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])),
            shapely.box(0.1, 0.8, 0.2, 1.2),
            True,
            id="bow-tie-within",
        ),
        pytest.param(ACROSS, shapely.box(179.5, 0.2, 179.9, 0.8), True, id="across-the-antimeridian-east"),
        pytest.param(ACROSS, shapely.box(-179.9, 0.2, -179.5, 0.8), True, id="across-the-antimeridian-west"),
        pytest.param(ACROSS, shapely.box(0, 0.2, 1, 0.8), False, id="other-side-of-the-earth"),
        pytest.param(footprint(shapely.box(-180, -10, 180, 10)), shapely.box(0, 0, 1, 1), True, id="round-the-earth"),
        pytest.param(AROUND_POLE, shapely.box(100, 85, 101, 86), True, id="round-the-pole"),
        pytest.param(AROUND_POLE, shapely.box(100, 70, 101, 71), False, id="south-of-the-pole"),
    ],
)
def test_area(shape, area, expected):
    assert is_wanted(product(footprint=shape), Query(area=area)) is expected


def s2(baseline, processed, **values):
    return product(f"S2A_MSIL1C_20200808T010311_{baseline}_R045_T54PXA_{processed}", **values)


OLD, MIDDLE, NEW = (
    s2("N0209", "20200808T030000"),
    s2("N0209", "20200809T030000"),
    s2("N0500", "20200807T030000"),
)
S1_EARLY = product(S1[:-4] + "AAAA", published=NOON)
S1_LATE = product(S1[:-4] + "BBBB", published=NOON + timedelta(days=1))
WEST, EAST = footprint(shapely.box(0, 0, 5, 9)), footprint(shapely.box(4, 0, 9, 9))
OTHER_TYPE = product(NEW.name.replace("L1C", "L2A"))
OTHER_TILE = product(NEW.name.replace("54PXA", "54PXB"))
OTHER_PLATFORM = product(NEW.name.replace("S2A", "S2B"))
S3_EARLY, S3_LATE = (
    product(
        name, id=name, platform="S3A", start=NOON, product_type="OL_1_EFR___", published=NOON + timedelta(hours=age)
    )
    for age, name in enumerate(["S3A_one", "S3A_two"])
)


MADE = {"NR": "20180301T120000", "ST": "20180303T120000", "NT": "20180402T120000"}
"""When products of a timeliness are made."""


def s3(timeliness, collection, *, made=None, frame="2160", kind="OL_1_EFR___"):
    made = made or MADE[timeliness]
    name = f"S3A_{kind}_20180301T093000_20180301T093300_{made}_0179_028_250_{frame}_LN1_O_{timeliness}_{collection}"
    return product(name, start=NOON, platform="S3A", published=None)


@pytest.mark.parametrize(
    ("products", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param([OLD, NEW], [NEW], id="baseline-first"),
        pytest.param([NEW, MIDDLE, OLD], [NEW], id="baseline-before-processing-time"),
        pytest.param([OLD, MIDDLE], [MIDDLE], id="processing-time"),
        pytest.param(
            [OLD, OTHER_TYPE, NEW, OTHER_TILE, OTHER_PLATFORM],
            [OTHER_TYPE, NEW, OTHER_TILE, OTHER_PLATFORM],
            id="order-is-kept",
        ),
        pytest.param([S1_EARLY, S1_LATE], [S1_LATE], id="sentinel-1-published"),
        pytest.param([product(S1[:-4] + "AAAA"), S1_LATE], [S1_LATE], id="sentinel-1-publication-unknown"),
        pytest.param([S1_LATE, product(S1 + "_COG")], [S1_LATE, product(S1 + "_COG")], id="sentinel-1-other-format"),
        pytest.param([S3_EARLY, S3_LATE], [S3_LATE], id="sentinel-3-published"),
        pytest.param(
            [s3("NR", "002"), s3("NT", "003"), s3("ST", "002")], [s3("NT", "003")], id="sentinel-3-timeliness"
        ),
        pytest.param(
            [s3("NT", "002", made="20180401T000000"), s3("NT", "003", made="20190401T000000")],
            [s3("NT", "003", made="20190401T000000")],
            id="sentinel-3-reprocessed",
        ),
        pytest.param(
            [s3("NT", "002"), s3("NT", "002", frame="2340")],
            [s3("NT", "002"), s3("NT", "002", frame="2340")],
            id="sentinel-3-neighbours",
        ),
        pytest.param(
            [s3("NT", "002"), s3("NT", "002", kind="OL_1_ERR___")],
            [s3("NT", "002"), s3("NT", "002", kind="OL_1_ERR___")],
            id="sentinel-3-other-type",
        ),
        pytest.param([product("a"), product("b")], [product("a"), product("b")], id="without-a-time"),
        pytest.param(
            [product(OLD_S2), product(OLD_S2.replace("20151206T145051", "20160101T000000"))],
            [product(OLD_S2.replace("20151206T145051", "20160101T000000"))],
            id="old-names",
        ),
        pytest.param(
            [product(NEW.name, id="1"), product(NEW.name, id="2")], [product(NEW.name, id="1")], id="equal-first"
        ),
        pytest.param(
            [s2("N0209", "20200808T030000", footprint=WEST), s2("N0209", "20200808T040000", footprint=EAST)],
            [s2("N0209", "20200808T030000", footprint=WEST), s2("N0209", "20200808T040000", footprint=EAST)],
            id="two-strips-complete-each-other",
        ),
        pytest.param(
            [
                s2("N0209", "20200808T030000", footprint=WEST),
                s2("N0500", "20200808T040000", footprint=footprint(shapely.box(0, 0, 9, 9))),
            ],
            [s2("N0500", "20200808T040000", footprint=footprint(shapely.box(0, 0, 9, 9)))],
            id="strips-now-whole",
        ),
        pytest.param(
            [s2("N0209", "20200808T030000", footprint=WEST), s2("N0500", "20200808T040000", footprint={"type": "?"})],
            [s2("N0500", "20200808T040000", footprint={"type": "?"})],
            id="footprint-without-sense",
        ),
    ],
)
def test_latest(products, expected):
    assert latest(products) == expected


DISK, TAPE = {"tier": StorageTier.DISK}, {"tier": StorageTier.TAPE}
COPY = S1[:-4] + "CCCC_COG"


@pytest.mark.parametrize(
    ("products", "expected"),
    [
        pytest.param([product(S1, **TAPE), product(COPY, **DISK)], [COPY], id="copy"),
        pytest.param([product(COPY, **DISK), product(S1, **TAPE)], [COPY], id="copy-first"),
        pytest.param([product(S1, **DISK), product(COPY, **DISK)], [S1], id="both-online"),
        pytest.param([product(S1, **TAPE), product(COPY, **TAPE)], [S1], id="both-offline"),
        pytest.param([product(S1, **TAPE)], [S1], id="original-alone"),
        pytest.param([product(COPY, **DISK)], [COPY], id="copy-alone"),
        pytest.param(
            [product(S1, **TAPE), product(COPY.replace("S1C", "S1B"), **DISK)],
            [S1, COPY.replace("S1C", "S1B")],
            id="other",
        ),
    ],
)
def test_online_twins(products, expected):
    assert [one.name for one in online_twins(products)] == expected


@given(st.permutations([OLD, MIDDLE, NEW, OTHER_TILE, S1_EARLY, S1_LATE, S3_EARLY, S3_LATE]))
def test_latest_does_not_depend_on_the_order(products):
    assert {p.name for p in latest(products)} == {p.name for p in (NEW, OTHER_TILE, S1_LATE, S3_LATE)}
    assert latest(latest(products)) == latest(products)
