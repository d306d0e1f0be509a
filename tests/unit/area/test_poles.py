"""Projected shapes about the poles and the antimeridian hold the same places as in their own coordinate system."""

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from pepsasync.area import aoi
from pepsasync.area.antimeridian import unwrap
from pepsasync.area.vector_file import from_frame

POLAR = ["EPSG:3413", "EPSG:3031", "EPSG:3995", "EPSG:3575", "EPSG:32661", "EPSG:32761", "EPSG:6931", "EPSG:6932"]
MARGIN_METRES = 2_000.0
"""Places nearer than this to an edge are not compared."""
CENTRES = {"EPSG:32661": (2e6, 2e6), "EPSG:32761": (2e6, 2e6)}
rng = np.random.default_rng(18)
EVERYWHERE = np.column_stack([rng.uniform(-180, 180, 1500), np.degrees(np.arcsin(rng.uniform(-1, 1, 1500)))])
NEAR_THE_POLES = np.column_stack(
    [rng.uniform(-180, 180, 1500), rng.choice([-1, 1], 1500) * (90 - 30 * rng.uniform(0, 1, 1500) ** 2)]
)
PLACES = np.vstack([EVERYWHERE, NEAR_THE_POLES])


def wrong_places(actual, shape, crs):
    """How many of many places are in one of the two and not in the other."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(*PLACES.T)
    with np.errstate(divide="ignore"):  # GEOS divides by the length of sides, of which some are hardly any
        margin = shape.boundary.distance(shapely.points(x, y))
    there = np.isfinite(x) & np.isfinite(y) & (margin > MARGIN_METRES)
    expected = shapely.contains_xy(shape, x[there], y[there])
    return int((expected != shapely.contains_xy(actual, *PLACES[there].T)).sum())


def about(crs, shape):
    """A shape given in metres from the pole."""
    return shapely.affinity.translate(shape, *CENTRES.get(crs, (0, 0)))


def disk(x, y, radius):
    return shapely.Point(x, y).buffer(radius, quad_segs=32)


SHAPES = {
    "ring": disk(0, 0, 2e6) - disk(0, 0, 1e6),
    "ring-off-the-pole": disk(3e5, -2e5, 2e6) - disk(-1e5, 4e5, 9e5),
    "hole-beside-the-pole": disk(0, 0, 2e6) - disk(7e5, 7e5, 5e5),
    "hole-on-the-seam": disk(0, 0, 3e6)
    - disk(0, 2e6, 5e5)
    - disk(0, -2e6, 5e5)
    - disk(2e6, 0, 5e5)
    - disk(-2e6, 0, 5e5),
    "square-with-two-holes": shapely.box(-2e6, -2e6, 2e6, 2e6) - disk(0, 0, 5e5) - disk(1.4e6, 0, 4e5),
    "corner-at-the-pole": shapely.box(0, 0, 1.5e6, 1.5e6),
    "corner-at-the-pole-over-the-seam": shapely.box(-1.5e6, 0, 0, 1.5e6),
    "edge-through-the-pole": shapely.box(-1e6, 0, 1e6, 1.5e6),
    "edge-near-the-pole": shapely.box(-1e6, 30, 1e6, 1.5e6),
    "edge-just-behind-the-pole": shapely.box(-1e6, -30, 1e6, 1.5e6),
    "island-in-the-hole": (disk(0, 0, 2e6) - disk(0, 0, 1e6)).union(disk(0, 0, 3e5)),
    "notched": shapely.Polygon(
        [
            (1.2e6, -0.35e6),
            (-0.3e6, -0.6e6),
            (-0.4e6, -0.8e6),
            (-1.1e6, 0.7e6),
            (1.5e6, 1.1e6),
            (0.7e6, 0.4e6),
            (0.6e6, -0.35e6),
        ]
    ),
    "side-on-the-antimeridian": shapely.Polygon(
        [(1.66e6, -1.66e6), (-5e-10, -2.4e6), (0, -0.26e6), (-1.34e6, -1.34e6), (-0.9e6, 0), (-1.54e6, 1.54e6)]
    ),
    "wide": shapely.box(-8e6, -8e6, 8e6, 8e6) - disk(0, 0, 3e6),
}


@pytest.mark.parametrize("crs", POLAR)
@pytest.mark.parametrize("name", SHAPES)
def test_shape_about_a_pole_holds_the_same_places(crs, name):
    shape = about(crs, SHAPES[name])

    actual = from_frame(geopandas.GeoSeries([shape], crs=crs), "the table")

    assert actual.is_valid
    assert wrong_places(actual, shape, crs) == 0


distances, sizes = st.floats(-2e6, 2e6), st.floats(1e4, 2e6)


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(
    st.sampled_from(POLAR),
    st.lists(st.tuples(st.floats(0.1, 1), st.floats(0, 1)), min_size=3, max_size=12),
    distances,
    distances,
    st.lists(st.tuples(distances, distances, sizes), max_size=3),
)
@example("EPSG:3413", [(1, 0), (1, 0.25), (1, 0.5), (1, 0.75)], 0, 0, [(0, 0, 5e5)])
@example("EPSG:3413", [(1.0, 1e-200), (0.25, 0.0), (0.25, 0.0), (1.0, 0.25)], 0, 0, [])
def test_any_polygon_about_a_pole_holds_the_same_places(crs, corners, x, y, holes):
    angles = 2 * np.pi * np.array(sorted(turn for _, turn in corners))
    reach = 2.5e6 * np.array([reach for reach, _ in corners])
    shell = shapely.make_valid(
        shapely.Polygon(np.column_stack([x + reach * np.cos(angles), y + reach * np.sin(angles)]))
    )
    shape = about(crs, shapely.difference(shell, shapely.union_all([disk(*hole) for hole in holes])))
    polygons = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > 1e8]
    if not polygons:
        return
    shape = shapely.multipolygons(polygons)

    actual = from_frame(geopandas.GeoSeries([shape], crs=crs), "the table")

    assert actual.is_valid
    assert wrong_places(actual, shape, crs) == 0


def test_ring_in_degrees_around_a_pole_keeps_its_hole():
    longitudes = np.arange(-175, 180, 10.0)
    shell, hole = (np.column_stack([longitudes, np.full(36, latitude)]) for latitude in (60.0, 80.0))

    actual = aoi.from_object(unwrap(shapely.Polygon(shell, [hole])))

    assert actual.covers(shapely.points([-180, 0, 100, 180], 70)).all()
    assert not actual.intersects(shapely.points([-180, 0, 100, 180], 85)).any()
    assert not actual.intersects(shapely.Point(0, 50))
