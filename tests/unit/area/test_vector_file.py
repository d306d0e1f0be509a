"""Areas from vector files of many kinds."""

import geopandas
import pytest
import shapely

from pepsasync.area import aoi
from pepsasync.errors import AreaError

FIELD = shapely.box(1, 43, 1.1, 43.1)
OTHER = shapely.box(1.05, 43, 1.2, 43.1)


def write(path, shapes, crs="EPSG:4326", **options):
    geopandas.GeoDataFrame({"number": range(len(shapes))}, geometry=list(shapes), crs=crs).to_file(path, **options)
    return path


def difference(actual, expected):
    """Area in square degrees that only one of two geometries has."""
    return actual.symmetric_difference(expected).area


@pytest.mark.parametrize("name", ["field.shp", "field.gpkg", "field.geojson", "field.fgb"])
def test_formats_are_read(tmp_path, name):
    assert difference(aoi.from_file(write(tmp_path / name, [FIELD])), FIELD) < 1e-12


@pytest.mark.parametrize("crs", ["EPSG:2154", "EPSG:32631", "EPSG:3857", "EPSG:4258", "EPSG:3035"])
def test_other_coordinate_systems_are_reprojected(tmp_path, crs):
    projected = geopandas.GeoSeries([FIELD], crs="EPSG:4326").to_crs(crs)

    assert difference(aoi.from_file(write(tmp_path / "field.gpkg", projected, crs)), FIELD) < 1e-4


def test_all_features_are_merged(tmp_path):
    actual = aoi.from_file(write(tmp_path / "fields.gpkg", [FIELD, OTHER]))

    assert actual.geom_type == "Polygon"
    assert difference(actual, FIELD.union(OTHER)) < 1e-12


def test_all_layers_are_merged(tmp_path):
    write(tmp_path / "fields.gpkg", [FIELD], layer="one")
    write(tmp_path / "fields.gpkg", [OTHER], layer="two")

    assert difference(aoi.from_file(tmp_path / "fields.gpkg"), FIELD.union(OTHER)) < 1e-12


def test_features_without_geometry_do_not_count(tmp_path):
    actual = aoi.from_file(write(tmp_path / "fields.gpkg", [FIELD, None, shapely.Polygon()]))

    assert difference(actual, FIELD) < 1e-12


def test_invalid_polygon_is_repaired(tmp_path):
    bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])

    assert aoi.from_file(write(tmp_path / "bow.geojson", [bow_tie])).area == pytest.approx(2)


def test_text_path_is_read(tmp_path):
    assert aoi.from_file(str(write(tmp_path / "field.geojson", [FIELD]))).is_valid


def test_no_coordinate_system_in_degrees_is_accepted(tmp_path):
    path = write(tmp_path / "field.shp", [FIELD])
    (tmp_path / "field.prj").unlink()

    assert difference(aoi.from_file(path), FIELD) < 1e-12


def test_no_coordinate_system_in_metres_is_refused(tmp_path):
    path = write(tmp_path / "field.shp", geopandas.GeoSeries([FIELD], crs="EPSG:4326").to_crs(2154), "EPSG:2154")
    (tmp_path / "field.prj").unlink()

    with pytest.raises(AreaError, match=r"no coordinate system.*\.prj"):
        aoi.from_file(path)


@pytest.mark.parametrize("end", [".shx", ".dbf"])
def test_incomplete_shapefile_names_what_is_missing_or_is_read(tmp_path, end):
    path = write(tmp_path / "field.shp", [FIELD])
    (tmp_path / f"field{end}").unlink()

    if end == ".dbf":
        assert aoi.from_file(path).is_valid
    else:
        with pytest.raises(AreaError, match=r"field\.shx must stand beside"):
            aoi.from_file(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param(
            "field.gpkg",
            b"no database",
            r"cannot be read: [^.]*'[^']*field\.gpkg'[^.;]*\. Use a vector file",
            id="damaged",
        ),
        pytest.param("notes.txt", b"Toulouse", "cannot be read", id="no-vector-file"),
        pytest.param("field.shp", b"", "cannot be read", id="empty-file"),
        pytest.param("list.csv", b"name,size\na,1\n", "holds no geometry", id="table-without-geometry"),
        pytest.param(
            "f.geojson", b'{"type": "FeatureCollection", "features": []}', "holds no geometry", id="no-features"
        ),
    ],
)
def test_unusable_file_is_refused_with_its_path(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(AreaError, match=words) as caught:
        aoi.from_file(tmp_path / name)

    assert str(tmp_path / name) in str(caught.value)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(AreaError, match=r"nowhere\.shp does not exist"):
        aoi.from_file(tmp_path / "nowhere.shp")


def test_projected_shape_across_the_antimeridian_is_cut(tmp_path):
    square = shapely.box(700_000, 5_000_000, 900_000, 5_100_000)

    actual = aoi.from_file(write(tmp_path / "pacific.gpkg", [square], "EPSG:32660"))

    assert actual.geom_type == "MultiPolygon"
    assert actual.area < 5
    assert actual.bounds[0] == -180
    assert actual.bounds[2] == 180


@pytest.mark.parametrize("crs", ["EPSG:4720", "EPSG:4284", "EPSG:4272", "EPSG:4322", "EPSG:4258", "EPSG:4269"])
@pytest.mark.parametrize(("west", "east"), [(179, 181), (-181, -179), (100, 260)])
def test_shape_in_degrees_of_another_datum_across_the_antimeridian_is_cut(tmp_path, crs, west, east):
    shapes = [shapely.box(west, -18, east, -17), shapely.MultiPolygon([shapely.box(0, 0, 1, 1)])]

    actual = aoi.from_file(write(tmp_path / "fiji.gpkg", shapes, crs))

    assert actual.area == pytest.approx(east - west + 1, abs=0.01)
    assert actual.bounds[::2] == (-180, 180)


@pytest.mark.parametrize("crs", ["EPSG:4720", "EPSG:4326"])
def test_wide_shape_in_degrees_stays_as_it_is(tmp_path, crs):
    wide = shapely.box(-170, 10, 170, 20)

    actual = aoi.from_file(write(tmp_path / "wide.gpkg", [wide], crs))

    assert difference(actual, wide) < 0.1


def test_projected_shape_around_the_pole_covers_it(tmp_path):
    circle = shapely.Point(0, 0).buffer(1_000_000)

    actual = aoi.from_file(write(tmp_path / "pole.gpkg", [circle], "EPSG:3031"))

    assert actual.is_valid
    assert all(actual.covers(shapely.Point(lon, -89)) for lon in (-180, -90, 0, 45, 179))
    assert not actual.intersects(shapely.Point(0, -70))


def test_world_in_mercator_stays_the_world(tmp_path):
    world = shapely.box(-20_037_508, -10_000_000, 20_037_508, 10_000_000)

    assert aoi.from_file(write(tmp_path / "world.gpkg", [world], "EPSG:3857")).area > 359 * 130


def test_projected_shape_outside_of_its_system_is_refused(tmp_path):
    path = write(tmp_path / "far.gpkg", [shapely.box(0, 0, 1e30, 1e30)], "EPSG:2154")

    with pytest.raises(AreaError):
        aoi.from_file(path)
