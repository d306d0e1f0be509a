"""What of the world is shown, and where footprints are in it."""

import pytest
import shapely

from pepsasync.area.footprint import as_geometry
from pepsasync.pictures.coverage import coverage, opacity
from pepsasync.pictures.land import borders, land
from pepsasync.pictures.view import view_of


def polygon(*corners):
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


FIJI = as_geometry(polygon((179, -18), (-179, -18), (-179, -17), (179, -17)))
OVER_THE_POLE = as_geometry(polygon((0, 85), (90, 85), (180, 85), (-90, 85)))


@pytest.mark.parametrize(
    ("place", "is_land"),
    [
        pytest.param((1.44, 43.6), True, id="Toulouse"),
        pytest.param((-4, 46), False, id="Bay of Biscay"),
        pytest.param((0, -89), True, id="South Pole"),
        pytest.param((0, 89), False, id="North Pole"),
        pytest.param((178, -17.8), True, id="Fiji"),
        pytest.param((179.5, 68), True, id="Chukotka, east of the antimeridian"),
        pytest.param((-176, 66.5), True, id="Chukotka, west of it"),
        pytest.param((51, 42), False, id="Caspian Sea"),
        pytest.param((-170, 0), False, id="Pacific Ocean"),
    ],
)
def test_land_is_where_it_is(place, is_land):
    assert is_land == land().contains(shapely.Point(place))


def test_there_are_borders_between_countries():
    assert borders().distance(shapely.Point(0.66, 42.69)) < 0.1  # in the Pyrenees
    assert borders().distance(shapely.Point(2.35, 48.85)) > 1  # Paris


def test_the_window_holds_the_footprints_with_a_margin():
    view = view_of([shapely.box(0, 43, 3, 45)], 2)

    assert view.west < 0
    assert view.east > 3
    assert view.south < 43
    assert view.north > 45


def test_a_degree_of_longitude_is_drawn_as_wide_as_it_is():
    view = view_of([shapely.box(0, 55, 3, 65)], 2)

    assert 2 == pytest.approx((view.east - view.west) * 0.5 / (view.north - view.south))  # cos(60 degrees)


def test_one_small_footprint_is_shown_with_its_surroundings():
    view = view_of([shapely.box(1, 43, 1.001, 43.001)], 2)

    assert 4 == pytest.approx(view.north - view.south)


def test_nothing_to_show_is_the_world():
    view = view_of([], 2)

    assert (-180, -90, 180, 90) == (view.west, view.south, view.east, view.north)


def test_footprints_over_the_antimeridian_are_shown_in_one_piece():
    view = view_of([FIJI], 2)

    assert view.east - view.west < 20
    assert (179, -18, 181, -17) == view.moved(FIJI).bounds
    assert "Polygon" == view.moved(FIJI).geom_type
    assert ["179°", "180°", "-179°"] == [view.meridian(degrees) for degrees in (179, 180, 181)]
    drawn = shapely.STRtree(view.everywhere(land()))
    assert drawn.query(shapely.Point(178, -17.8), predicate="intersects").size == 1
    assert drawn.query(shapely.Point(-176 + 360, 66.5), predicate="intersects").size == 1


def test_footprints_all_around_the_earth_are_not_moved():
    here = [FIJI, shapely.box(0, 43, 3, 45), shapely.box(-100, 30, -98, 31)]
    view = view_of(here, 2)

    assert -180 == view.first
    assert FIJI == view.moved(FIJI)


def test_a_footprint_over_a_pole_reaches_it():
    view = view_of([OVER_THE_POLE], 2)

    assert (-180, 85, 180, 90) == OVER_THE_POLE.bounds
    assert 90 >= view.north
    assert 360 == pytest.approx(view.east - view.west)


def test_coverage_counts_footprints_over_each_place():
    footprints = [shapely.box(0, 0, 2, 1), shapely.box(1, 0, 3, 1)]
    view = view_of(footprints, 2)
    west, south, east, north, counts = coverage(footprints, view, 300, 150)

    def count_at(x, y):
        return counts[int((y - south) / (north - south) * 150), int((x - west) / (east - west) * 300)]

    assert [0, 1, 2, 1, 0] == [count_at(x, 0.5) for x in (-0.1, 0.5, 1.5, 2.5, 3.1)]


def test_coverage_goes_over_the_antimeridian():
    *_, counts = coverage([FIJI, FIJI], view_of([FIJI], 2), 100, 50)

    assert {0, 2} == set(counts.ravel().tolist())
    middle = counts[25].tolist()
    assert [2] == list(set(middle[45:55]))


def test_coverage_of_a_pole_does_not_go_beyond_it():
    _, south, _, north, counts = coverage([OVER_THE_POLE], view_of([OVER_THE_POLE], 2), 100, 50)

    assert -90 <= south < north <= 90
    assert 1 == counts[-1].min()


def test_the_land_can_be_seen_below_many_footprints():
    *_, few = coverage([shapely.box(0, 0, 1, 1)] * 2, view_of([shapely.box(0, 0, 1, 1)], 2), 10, 10)
    *_, many = coverage([shapely.box(0, 0, 1, 1)] * 400, view_of([shapely.box(0, 0, 1, 1)], 2), 10, 10)

    assert 0.35 == opacity(few)
    assert 0.1 < (1 - opacity(many)) ** 400 < 0.2
    assert 0.35 == opacity(few * 0)
