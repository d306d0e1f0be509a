"""Areas from vector files of many kinds."""

import contextlib
import http.server
import json
import sqlite3
import struct
import sys
import threading
import zipfile

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from pepsasync.area import aoi, formats
from pepsasync.errors import AreaError

FIELD = shapely.box(1, 43, 1.1, 43.1)
OTHER = shapely.box(1.05, 43, 1.2, 43.1)


def write(path, shapes, crs="EPSG:4326", **options):
    if path.suffix == ".gdb":
        options["driver"] = "OpenFileGDB"
    geopandas.GeoDataFrame({"number": np.arange(len(shapes), dtype="int32")}, geometry=list(shapes), crs=crs).to_file(
        path, **options
    )
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
            r"cannot be read: its content is not in a known vector format\. Give a Shapefile .*as a GeoPackage",
            id="no-database",
        ),
        pytest.param("field.gpkg", b"SQLite format 3\0" + bytes(1000), "cannot be read", id="damaged"),
        pytest.param("field.fgb", b"fgb\x03fgb\0" + bytes(100), "holds no geometry", id="damaged-otherwise"),
        pytest.param("field.parquet", b"PAR1" + bytes(100), "cannot be read", id="damaged-parquet"),
        pytest.param("field.zip", b"PK\x03\x04" + bytes(100), "cannot be read", id="damaged-zip"),
        pytest.param("field.geojson", b'{"type": "FeatureCollection", "feat', "cannot be read", id="cut-off"),
        pytest.param("field.geojson", b"[" * 100_000, "cannot be read", id="nested"),
        pytest.param("field.geojson", b'{"type": "Topology", "x": "\xff"}', "cannot be read", id="no-utf-8"),
        pytest.param("field.kml", b"<kml><Placemark>", "cannot be read", id="cut-off-kml"),
        pytest.param("field.kml", b"<html></html>", "no KML: its root is 'html'", id="other-xml"),
        pytest.param(
            "field.kml", b"<kml><Point><coordinates>1;2</coordinates></Point></kml>", "cannot be read", id="no-numbers"
        ),
        pytest.param("notes.txt", b"Toulouse", "cannot be read", id="no-vector-file"),
        pytest.param("field.shp", b"", "cannot be read", id="empty-file"),
        pytest.param("list.csv", b"name,size\na,1\n", "not in a known vector format.*GeoPackage", id="table"),
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


@pytest.fixture
def web():
    """A web server of this machine; yields its root, and the paths that were asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


VRT = "<OGRVRTDataSource><OGRVRTLayer name='other'><SrcDataSource>{other}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
FOREIGN = {
    "virtual.shp": VRT,
    "virtual.gpkg": VRT,
    "virtual.geojson": VRT,
    "virtual.kml": VRT,
    "virtual.kml ": "<kml/>" + VRT,
    "within.geojson": '{{"type": "FeatureCollection", "features": [], "x": "' + VRT + '"}}',
    "long-header.fgb": "fgb\x03fgb\x01" + VRT,
    "short-header.fgb": "fgb\x03fgb\x01\x09" + VRT,
    "service.shp": "<OGRWFSDataSource><URL>{web}/wfs</URL></OGRWFSDataSource>",
    "linked.geojson": '{{"type": "Point", "coordinates": [1, 43], "crs": '
    '{{"type": "link", "properties": {{"href": "{web}/crs", "type": "ogcwkt"}}}}}}',
    "named.geojson": '{{"type": "Point", "coordinates": [1, 43], "crs": '
    '{{"type": "name", "properties": {{"name": "{web}/crs"}}}}}}',
    "algorithm.json": '{{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read {other} ! write"}}',
    "schema.gml": '<a:FeatureCollection xmlns:a="http://a" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://a {web}/a.xsd" xmlns:gml="http://www.opengis.net/gml"/>',
    "table.tab": '!table\n!version 300\n\nDefinition Table\n  Type NATIVE\n  File "{other}"\n',
    "entity.kml": '<!DOCTYPE kml [<!ENTITY e SYSTEM "{other}">]>'
    "<kml><Placemark><Point><coordinates>&e;</coordinates></Point></Placemark></kml>",
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("is_zipped", [False, True])
def test_no_file_leads_to_another_one_or_to_a_server(tmp_path, web, name, is_zipped):
    root, asked = web
    other = write(tmp_path / "other.geojson", [FIELD])
    content = FOREIGN[name].format(web=root, other=other).encode("latin-1")
    path = tmp_path / "foreign" / name.strip()
    path.parent.mkdir()
    if is_zipped:
        path = path.with_suffix(".zip")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name.strip(), content)
    else:
        path.write_bytes(content)

    with pytest.raises(AreaError, match=r"cannot be read|holds no geometry") as caught:
        aoi.from_file(path)

    assert str(path) in str(caught.value)
    assert asked == []


def test_link_to_the_network_is_not_followed_in_kml(tmp_path, web):
    root, asked = web
    (tmp_path / "k.kml").write_text(
        '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document><NetworkLink><Link>'
        f"<href>{root}/k.kml</href></Link></NetworkLink><Placemark><Point><coordinates>1.5,43.5,9</coordinates>"
        "</Point></Placemark></Document></kml>"
    )

    assert aoi.from_file(tmp_path / "k.kml") == shapely.Point(1.5, 43.5)
    assert asked == []


def test_database_with_tables_made_of_other_files_is_refused(tmp_path):
    path = write(tmp_path / "virtual.gpkg", [FIELD])
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(
            "INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING VirtualShape(1)')"
        )

    with pytest.raises(AreaError, match="may read other files"):
        aoi.from_file(path)


KML_SHAPES = """<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Folder>
<Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>
  1,43,5 1.1,43,5 1.1, 43.1,5 1,43.1,5 1,43,5
</coordinates></LinearRing></outerBoundaryIs><innerBoundaryIs><LinearRing><coordinates>
  1.04,43.04 1.06,43.04 1.06,43.06 1.04,43.04
</coordinates></LinearRing></innerBoundaryIs></Polygon></Placemark>
<Placemark><MultiGeometry><Point><coordinates>2,44</coordinates></Point>
<LineString><coordinates>3,44 4,45</coordinates></LineString></MultiGeometry></Placemark>
</Folder></Document></kml>"""


@pytest.mark.parametrize("suffix", [".kml", ".kmz"])
def test_kml_is_read_with_holes_and_collections(tmp_path, suffix):
    path = tmp_path / f"field{suffix}"
    if suffix == ".kml":
        path.write_text(KML_SHAPES)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("doc.kml", KML_SHAPES)

    shapes = {shape.geom_type: shape for shape in aoi.from_file(path).geoms}

    hole = shapely.Polygon([(1.04, 43.04), (1.06, 43.04), (1.06, 43.06)])
    assert difference(shapes["Polygon"], FIELD.difference(hole)) < 1e-12
    assert shapes["Point"] == shapely.Point(2, 44)
    assert shapes["LineString"] == shapely.LineString([(3, 44), (4, 45)])


@pytest.mark.parametrize(
    "name", ["field.shp", "field.gpkg", "field.geojson", "field.fgb", "field.parquet", "field.gdb"]
)
@pytest.mark.parametrize("folder", ["", "fields!/2026;/", "a/b!c/"])
def test_zip_is_read_whatever_folder_its_files_are_in(tmp_path, name, folder):
    source = tmp_path / "source"
    source.mkdir()
    if name == "field.parquet":
        pytest.importorskip("pyarrow")
        geopandas.GeoDataFrame(geometry=[FIELD], crs="EPSG:4326").to_crs(2154).to_parquet(source / name)
    else:
        write(source / name, geopandas.GeoSeries([FIELD], crs="EPSG:4326").to_crs(2154), "EPSG:2154")
    with zipfile.ZipFile(tmp_path / "fields.zip", "w") as archive:
        archive.writestr("__MACOSX/._field.shp", b"\0")
        archive.writestr(f"{folder}readme.txt", b"Fields")
        for path in sorted(source.rglob("*")):
            if path.is_file():
                archive.write(path, folder + path.relative_to(source).as_posix())

    assert difference(aoi.from_file(tmp_path / "fields.zip"), FIELD) < 1e-4


@pytest.mark.parametrize("suffix", [".shp", ".gpkg", ".geojson", ".fgb", ".gdb"])
@pytest.mark.parametrize("stem", ["field", "fi!eld;"])
def test_punctuation_in_a_path_is_no_syntax(tmp_path, suffix, stem):
    write(tmp_path / f"plain{suffix}", geopandas.GeoSeries([FIELD], crs="EPSG:4326").to_crs(2154), "EPSG:2154")
    folder = tmp_path / "a!b" / "c;d"
    folder.mkdir(parents=True)
    for path in list(tmp_path.glob("plain.*")):
        path.rename(folder / f"{stem}{path.suffix}")

    assert difference(aoi.from_file(folder / f"{stem}{suffix}"), FIELD) < 1e-4


def test_zip_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_MOST_UNZIPPED", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(3):
            archive.writestr(f"{n}.gpkg", bytes(1 << 19))

    with pytest.raises(AreaError, match="unpacks to more than"):
        aoi.from_file(tmp_path / "bomb.zip")


def test_zip_without_a_vector_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", b"Fields")

    with pytest.raises(AreaError, match="it contains no vector file"):
        aoi.from_file(tmp_path / "empty.zip")


def test_folder_is_refused(tmp_path):
    with pytest.raises(AreaError, match="is a folder"):
        aoi.from_file(tmp_path)


@pytest.mark.parametrize(
    "crs",
    [
        pytest.param({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2154"}}, id="urn"),
        pytest.param({"type": "name", "properties": {"name": "EPSG:2154"}}, id="code"),
    ],
)
def test_coordinate_system_that_older_geojson_names_is_used(tmp_path, crs):
    projected = geopandas.GeoSeries([FIELD], crs="EPSG:4326").to_crs(2154)[0]
    path = tmp_path / "field.geojson"
    path.write_text(json.dumps({**shapely.geometry.mapping(projected), "crs": crs}), "utf-8-sig")

    assert difference(aoi.from_file(path), FIELD) < 1e-4


def test_one_feature_a_line_is_read(tmp_path):
    lines = [json.dumps({"type": "Feature", "geometry": shapely.geometry.mapping(s)}) for s in (FIELD, OTHER)]
    (tmp_path / "fields.geojsonl").write_text("\n".join(lines) + "\n")

    assert difference(aoi.from_file(tmp_path / "fields.geojsonl"), FIELD.union(OTHER)) < 1e-12


def test_parquet_is_read_in_its_coordinate_system(tmp_path):
    pytest.importorskip("pyarrow")
    table = geopandas.GeoDataFrame({"n": [1]}, geometry=[FIELD], crs="EPSG:4326").to_crs(2154)
    table.to_parquet(tmp_path / "field.parquet")

    assert difference(aoi.from_file(tmp_path / "field.parquet"), FIELD) < 1e-4


def test_parquet_without_geometry_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"n": [1]}).to_parquet(tmp_path / "table.parquet")

    with pytest.raises(AreaError, match="Missing geo metadata"):
        aoi.from_file(tmp_path / "table.parquet")


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    geopandas.GeoDataFrame(geometry=[FIELD], crs="EPSG:4326").to_parquet(tmp_path / "field.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(AreaError, match=r"needs pyarrow.*extra 'parquet'"):
        aoi.from_file(tmp_path / "field.parquet")


TRIANGLE = struct.pack("<BIII8d", 1, 17, 1, 4, 0, 0, 0, 1, 1, 1, 0, 0)
"""WKB."""


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("kind", "wkb"),
    [
        pytest.param("TRIANGLE", TRIANGLE, id="triangle"),
        pytest.param("TIN", struct.pack("<BII", 1, 16, 1) + TRIANGLE, id="tin"),
        pytest.param(
            "POLYHEDRALSURFACE", struct.pack("<BII", 1, 15, 1) + TRIANGLE.replace(b"\x11", b"\x03"), id="surface"
        ),
    ],
)
def test_surfaces_in_files_are_refused_by_name(tmp_path, kind, wkb, declared):
    path = write(tmp_path / "roofs.gpkg", [FIELD], layer="roofs")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("UPDATE roofs SET geom = ?", (b"GP\0\x01" + struct.pack("<i", 4326) + wkb,))
        name = kind if declared else "GEOMETRY"
        database.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = ?", (name,))

    with pytest.raises(AreaError, match=r"it has surfaces \(TIN.*as polygons"):
        aoi.from_file(path)
