"""Tile footprints against the corners that ESA publishes."""

import numpy as np
import pytest
import shapely

from pepsasync.area import tiles
from pepsasync.errors import AreaError

ESA_CORNERS = {
    "31TCJ": [
        (0.495928593, 44.225964154),
        (0.536772323, 43.238262553),
        (1.888683014, 43.259391910),
        (1.870237287, 44.247830684),
    ],
    "55PDR": [
        (146.071738561, 14.470999017),
        (146.075707576, 13.478316386),
        (147.090178979, 13.480000948),
        (147.090566284, 14.472812699),
    ],
}
"""North-west corner first, counter-clockwise, from ESA's tiling grid (20151209)."""

ESA_CROSSING = {
    "01CCV": [
        (177.189340362, -72.012477886),
        (176.864623786, -72.991473463),
        (180.224852921, -73.064632944),
        (180.372555579, -72.081397340),
    ],
    "01WCV": [
        (177.189172732, 72.013013037),
        (177.479827413, 71.033383367),
        (180.504573420, 71.098489210),
        (180.372479365, 72.081934686),
    ],
}
"""The same, with longitudes that go on past 180."""


@pytest.mark.parametrize("tile", ESA_CORNERS)
def test_footprint_has_the_published_corners(tile):
    corners = np.roll(shapely.get_coordinates(tiles.footprint(tile))[:-1], 1, axis=0)

    np.testing.assert_allclose(corners, ESA_CORNERS[tile], atol=1e-6)


@pytest.mark.parametrize("tile", ESA_CROSSING)
def test_footprint_across_the_antimeridian_is_cut(tile):
    expected = shapely.Polygon(ESA_CROSSING[tile])

    actual = tiles.footprint(tile)

    assert actual.geom_type == "MultiPolygon"
    assert actual.is_valid
    assert actual.bounds[::2] == (-180, 180)
    assert actual.area == pytest.approx(expected.area, abs=1e-6)


def test_footprint_beside_the_antimeridian_stays_whole():
    assert tiles.footprint("60WWV").geom_type == "Polygon"


@pytest.mark.parametrize(
    ("tile", "lon", "lat"),
    [
        pytest.param("31TCJ", 0.495928593, 44.225964154, id="north-west-corner"),
        pytest.param("31TDJ", 2.3, 43.7, id="neighbour"),
        pytest.param("01CDH", -178.9, -83.3, id="south-of-80-degrees"),
        pytest.param("31VEC", 3.5, 56.3, id="irregular-zone-of-norway"),
        pytest.param("33XWG", 15.9, 77.9, id="irregular-zone-of-svalbard"),
        pytest.param("31NAA", 0.2, 0.4, id="equator-north"),
        pytest.param("31MBV", 0.5, -0.4, id="equator-south"),
    ],
)
def test_footprint_is_where_it_should_be(tile, lon, lat):
    assert tiles.footprint(tile).distance(shapely.Point(lon, lat)) < 1e-6


def test_footprint_is_where_the_recorded_product_is():
    product = shapely.Polygon(
        [
            (146.07570757577, 13.478316386477),
            (147.09017897872, 13.480000948125),
            (147.09056628434, 14.472812699207),
            (146.07173856054, 14.470999017171),
        ]
    )

    assert tiles.footprint("55PDR").symmetric_difference(product).area < 1e-5


@pytest.mark.parametrize("tile", ["31tcj", "T31TCJ", " t31TcJ "])
def test_spelling_does_not_matter(tile):
    assert tiles.footprint(tile) == tiles.footprint("31TCJ")


@pytest.mark.parametrize(
    "tile",
    [
        pytest.param("31TZZ", id="no-such-row"),
        pytest.param("31TSJ", id="column-of-another-zone"),
        pytest.param("31TCA", id="row-of-another-band"),
        pytest.param("32XNG", id="zone-that-does-not-exist"),
        pytest.param("31VHE", id="column-outside-the-zone"),
        pytest.param("61TCJ", id="no-such-zone"),
        pytest.param("31TC", id="too-short"),
        pytest.param("", id="empty"),
    ],
)
def test_unknown_tile_is_refused(tile):
    with pytest.raises(AreaError):
        tiles.footprint(tile)
