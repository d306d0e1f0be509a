import re
import uuid
from collections import Counter
from datetime import UTC, datetime

import pytest
from shapely.geometry import Point, box

from pepsasync.sandbox import sentinel1, sentinel2
from pepsasync.sandbox.catalogue import ID_NAMESPACE, generate

DEFAULT = generate(50, size=1 << 20)
TOULOUSE = Point(1.44, 43.60)
S1_NAME = re.compile(
    r"S1[AB]_(IW|EW)_(GRD[HM]|SLC_|OCN_)_[12]S(DV|SV)_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}_[0-9A-F]{4}"
)
S2_NAME = re.compile(r"S2[AB]_MSIL1C_\d{8}T\d{6}_N\d{4}_R\d{3}_T\d{2}[A-Z]{3}_\d{8}T\d{6}")


def of(collection, products=DEFAULT):
    return [product for product in products if product.collection == collection]


def test_halves_and_default_periods():
    assert Counter(product.collection for product in DEFAULT) == {"S1": 25, "S2ST": 25}
    assert {(product.start.year, product.start.month) for product in of("S1")} == {(2015, 11)}
    assert {(product.start.year, product.start.month) for product in of("S2ST")} == {(2017, 1)}


def test_names_look_real_and_are_unique():
    assert all(S1_NAME.fullmatch(product.name) for product in of("S1"))
    assert all(S2_NAME.fullmatch(product.name) for product in of("S2ST"))
    many = generate(700, size=1 << 20)
    assert len({product.name for product in many}) == len({product.id for product in many}) == 700


def test_ids_follow_the_rule():
    for product in DEFAULT:
        assert product.id == str(uuid.uuid5(ID_NAMESPACE, f"{product.collection}:{product.name.upper()}"))


def test_same_seed_same_catalogue():
    assert generate(50, size=1 << 20) == DEFAULT
    assert generate(50, size=1 << 20, seed=2) != DEFAULT


def test_the_old_command_lines_find_products():
    point = Point(1, 43.5)
    tile = [product for product in of("S2ST") if product.tile == "31TCJ"]
    orbit51 = [p for p in of("S2ST") if p.relative_orbit == 51 and p.footprint.contains(point)]
    radar = [p for p in of("S1") if p.footprint.intersects(box(1, 43, 2, 44))]
    assert len(tile) >= 3
    assert len(orbit51) >= 3
    assert len(radar) >= 5
    assert sum(product.footprint.contains(TOULOUSE) for product in of("S2ST")) >= 3
    assert sum(p.product_type == "GRD" and p.footprint.contains(TOULOUSE) for p in of("S1")) >= 5


@pytest.mark.parametrize("platform", ["S1A", "S1B"])
def test_orbits_of_sentinel1_agree_with_names_and_repeat_every_12_days(platform):
    start, end = datetime(2017, 3, 1, tzinfo=UTC), datetime(2017, 4, 1, tzinfo=UTC)
    found = [p for p in of("S1", generate(200, size=1 << 20, start=start, end=end)) if p.platform == platform]
    phases = {}
    for product in found:
        assert product.relative_orbit == sentinel1.relative_orbit(platform, product.orbit)
        assert f"_{product.orbit:06d}_" in product.name
        key = (product.relative_orbit, product.orbit_direction, round(product.footprint.centroid.y, 3))
        phases.setdefault(key, set()).add(round(product.start.timestamp() % (12 * 86400)))
    assert found
    assert all(max(seconds) - min(seconds) <= 1 for seconds in phases.values())


def test_tiles_are_109_km_and_where_they_should_be():
    outline = sentinel2.footprint("31TCJ")
    assert outline.contains(TOULOUSE)
    assert outline.bounds == pytest.approx((0.50, 43.24, 1.87, 44.25), abs=0.05)


def test_neighbour_orbits_over_toulouse_are_the_real_ones():
    assert {product.relative_orbit for product in of("S2ST")} <= {8, 51, 94}


def test_area_and_period():
    area = (20.0, -30.0, 22.0, -28.0)
    start, end = datetime(2018, 6, 1, tzinfo=UTC), datetime(2018, 6, 20, tzinfo=UTC)
    products = generate(20, size=1 << 20, area=area, start=start, end=end)
    assert len(products) == 20
    assert all(start <= product.start < end and product.footprint.intersects(box(*area)) for product in products)


def test_one_collection_takes_over_when_the_other_was_not_launched():
    products = generate(
        10, size=1 << 20, start=datetime(2014, 11, 1, tzinfo=UTC), end=datetime(2014, 12, 1, tzinfo=UTC)
    )
    assert {product.collection for product in products} == {"S1"}
    assert len(products) == 10


def test_period_without_a_pass_is_refused():
    day = datetime(1999, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="no satellite passes"):
        generate(4, size=1 << 20, start=day, end=day.replace(day=2))


def test_sizes_and_tape():
    assert {product.size for product in generate(10, size=1 << 20, vary=False)} == {1 << 20}
    assert all(0.8 <= product.size / (1 << 20) <= 1.2 for product in DEFAULT)
    assert Counter(product.mode for product in generate(40, size=1 << 20, tape_fraction=0.25)) == {
        "tape": 10,
        "disk": 30,
    }
    assert generate(0, size=1 << 20) == ()
