"""Shapes near 180 degrees, cut and made continuous."""

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.area.antimeridian import split, unwrap


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        pytest.param(shapely.box(1, 2, 3, 4), shapely.box(1, 2, 3, 4), id="elsewhere"),
        pytest.param(shapely.box(170, 0, 180, 1), shapely.box(170, 0, 180, 1), id="up-to-180"),
        pytest.param(
            shapely.box(179, 0, 181, 1),
            shapely.union(shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)),
            id="across",
        ),
        pytest.param(shapely.box(190, 0, 200, 1), shapely.box(-170, 0, -160, 1), id="wholly-beyond"),
        pytest.param(shapely.box(-200, 0, -190, 1), shapely.box(160, 0, 170, 1), id="wholly-below"),
        pytest.param(shapely.box(180, 0, 190, 1), shapely.box(-180, 0, -170, 1), id="begins-at-180"),
        pytest.param(shapely.Point(370, 5), shapely.Point(10, 5), id="point-after-a-turn"),
        pytest.param(
            shapely.LineString([(175, 0), (185, 0)]),
            shapely.from_wkt("MULTILINESTRING((175 0,180 0),(-180 0,-175 0))"),
            id="line",
        ),
        pytest.param(shapely.box(-400, 0, 400, 1), shapely.box(-180, 0, 180, 1), id="more-than-a-turn"),
    ],
)
def test_split(geometry, expected):
    assert shapely.equals(split(geometry), expected)


@pytest.mark.parametrize(
    ("geometry", "bounds"),
    [
        pytest.param(shapely.box(1, 2, 3, 4), (1, 2, 3, 4), id="elsewhere"),
        pytest.param(shapely.Point(1, 2), (1, 2, 1, 2), id="point"),
        pytest.param(shapely.box(-180, -90, 180, 90), (-180, -90, 180, 90), id="world"),
        pytest.param(shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)]), (179, 0, 181, 1), id="eastward"),
        pytest.param(shapely.Polygon([(-179, 0), (179, 0), (179, 1), (-179, 1)]), (-181, 0, -179, 1), id="westward"),
        pytest.param(shapely.LineString([(179, 0), (-179, 1)]), (179, 0, 181, 1), id="line"),
        pytest.param(
            shapely.Polygon([(-135, 80), (-45, 80), (45, 80), (135, 80)]), (-135, 80, 225, 90), id="north-pole"
        ),
        pytest.param(
            shapely.Polygon([(135, -80), (45, -80), (-45, -80), (-135, -80)]), (-225, -90, 135, -80), id="south-pole"
        ),
        pytest.param(
            shapely.MultiPolygon([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)]),
            (-180, 0, 180, 1),
            id="already-cut",
        ),
    ],
)
def test_unwrap(geometry, bounds):
    assert unwrap(geometry).bounds == bounds


def test_unwrap_moves_holes_along():
    hole = [(-179.8, 0.2), (-179.2, 0.2), (-179.2, 0.8), (-179.8, 0.8)]

    actual = unwrap(shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)], [hole]))

    assert actual.is_valid
    assert actual.area == pytest.approx(2 - 0.36)


@given(st.floats(-179, 179), st.floats(-80, 79), st.floats(0.01, 100), st.floats(0.01, 10))
def test_unwrap_undoes_jumps(west, south, width, height):
    """A box written with a jump is the same place as the box that goes on past 180."""
    box = shapely.box(west, south, west + width, south + height)
    corners = shapely.get_coordinates(box)
    corners[:, 0] = (corners[:, 0] + 180) % 360 - 180

    actual = split(unwrap(shapely.Polygon(corners)))

    assert actual.symmetric_difference(split(box)).area < 1e-6
