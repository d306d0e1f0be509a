"""Areas cut to what archives accept never lose anything."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pepsasync.area import fit
from pepsasync.area.clean import clean
from pepsasync.errors import AreaError

BOX = shapely.box(1, 43, 2, 44)
STAR = shapely.Polygon(
    [((2 + i % 2) * np.cos(i * np.pi / 100), 45 + (2 + i % 2) * np.sin(i * np.pi / 100)) for i in range(200)]
)


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        pytest.param(BOX, [BOX], id="polygon"),
        pytest.param(shapely.MultiPolygon([BOX, shapely.box(5, 5, 6, 6)]), [BOX, shapely.box(5, 5, 6, 6)], id="two"),
        pytest.param(shapely.GeometryCollection([shapely.Point(1.5, 43.5), BOX]), [BOX], id="point-within"),
        pytest.param(shapely.GeometryCollection([BOX, shapely.Point(9, 9)]), [BOX, shapely.Point(9, 9)], id="mixed"),
        pytest.param(
            shapely.MultiPoint([(1, 1), (1, 1), (2, 2)]), [shapely.Point(1, 1), shapely.Point(2, 2)], id="same"
        ),
        pytest.param(shapely.GeometryCollection([shapely.MultiPoint([(1, 1)])]), [shapely.Point(1, 1)], id="nested"),
    ],
)
def test_parts_are_single_and_distinct(geometry, expected):
    assert list(fit.parts(geometry)) == expected


def test_many_parts_become_few_that_cover_them():
    fields = shapely.MultiPolygon([shapely.box(x, y, x + 0.4, y + 0.4) for x in range(20) for y in range(40, 60)])

    parts = fit.parts(fields)

    assert len(parts) == fit.MOST_PARTS
    assert shapely.union_all(parts).covers(fields)
    assert all(part.geom_type == "Polygon" for part in parts)


def test_many_parts_on_both_sides_of_the_antimeridian_stay_apart():
    islands = shapely.MultiPoint([(side * (179 + i / 100), i / 7) for side in (-1, 1) for i in range(40)])

    assert all(part.bounds[2] - part.bounds[0] < 1 for part in fit.parts(islands))


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        pytest.param(BOX, True, id="box"),
        pytest.param(BOX.segmentize(0.1), True, id="corners-on-the-sides"),
        pytest.param(BOX.difference(shapely.box(1.2, 43.2, 1.3, 43.3)), False, id="hole"),
        pytest.param(shapely.Polygon([(0, 0), (1, 0), (0, 1)]), False, id="triangle"),
        pytest.param(shapely.Point(1, 1), False, id="point"),
        pytest.param(shapely.MultiPolygon([BOX]), False, id="multi"),
    ],
)
def test_is_box(geometry, expected):
    assert fit.is_box(geometry) is expected


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        pytest.param(shapely.Point(1, 43.5), "POINT (1 43.5)", id="no-zeros"),
        pytest.param(shapely.Point(1 / 3, 1e-9), "POINT (0.333333 0)", id="rounded-no-exponent"),
        pytest.param(shapely.Point(-0.000001, 2), "POINT (-0.000001 2)", id="smallest-step"),
        pytest.param(shapely.Point(-100, 80), "POINT (-100 80)", id="zeros-that-count"),
        pytest.param(shapely.Point(-1e-9, 10.010), "POINT (0 10.01)", id="no-minus-zero"),
    ],
)
def test_wkt_is_short(geometry, expected):
    assert fit.to_wkt(geometry) == expected


def test_cover_of_short_geometry_is_itself():
    assert fit.cover(BOX, 200) is BOX


@pytest.mark.parametrize("characters", [3000, 1500, 800, 400, 130, 60])
def test_cover_covers_and_fits(characters):
    actual = fit.cover(STAR, characters)

    assert actual.is_valid
    assert actual.covers(STAR)
    assert len(fit.to_wkt(actual)) <= characters


def test_more_characters_make_a_tighter_cover():
    areas = [fit.cover(STAR, characters).area for characters in (8000, 2000, 1000, 300)]

    assert areas == sorted(areas)


def test_written_cover_still_covers():
    written = shapely.from_wkt(fit.to_wkt(fit.cover(STAR, 1500)))

    assert written.is_valid
    assert written.covers(STAR)


def test_cover_fills_holes_before_it_moves_the_outline():
    holes = [shapely.Point(1 + i / 20, 43.5).buffer(0.01) for i in range(1, 20)]

    assert shapely.equals(fit.cover(BOX.difference(shapely.union_all(holes)), 200), BOX)


def test_cover_of_long_line_is_a_narrow_polygon():
    line = shapely.LineString([(i / 100, 45 + np.sin(i / 100)) for i in range(1000)])

    actual = fit.cover(line, 1500)

    assert actual.covers(line)
    assert actual.area < 0.1 * line.envelope.area


def test_cover_stays_on_earth():
    coast = shapely.Polygon([(-180, -90), *((x / 10, -80 + np.sin(x)) for x in range(-1800, 1801, 7)), (180, -90)])

    west, south, east, north = fit.cover(coast, 1000).bounds

    assert (west, south, east) == (-180, -90, 180)
    assert north < -78


def test_cover_without_room_is_refused():
    with pytest.raises(ValueError, match="10 characters"):
        fit.cover(BOX, 10)


longitudes, latitudes = st.floats(-180, 180), st.floats(-90, 90)
rings = st.lists(st.tuples(longitudes, latitudes), min_size=3, max_size=30).map(shapely.Polygon)
lines = st.lists(st.tuples(longitudes, latitudes), min_size=2, max_size=30).map(shapely.LineString)
clouds = st.lists(st.tuples(longitudes, latitudes), min_size=1, max_size=30).map(shapely.MultiPoint)


@settings(deadline=None)
@given(st.one_of(rings, lines, clouds), st.integers(130, 2000))
def test_cover_of_anything_covers_it_and_fits(shape, characters):
    try:
        geometry = clean(shape, "the geometry")
    except AreaError:
        return

    actual = fit.cover(geometry, characters)

    assert actual.buffer(1e-9).covers(geometry)
    assert len(fit.to_wkt(actual)) <= characters


@settings(deadline=None)
@given(st.one_of(rings, clouds), st.integers(1, 10))
def test_parts_of_anything_cover_it(shape, most):
    try:
        geometry = clean(shape, "the geometry")
    except AreaError:
        return

    parts = fit.parts(geometry, most)

    assert len(parts) <= most or len(parts) == 1
    assert shapely.union_all(parts).buffer(1e-9).covers(geometry)
