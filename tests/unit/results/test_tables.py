import csv
import importlib.util
import io
import json
from datetime import UTC, datetime

import geopandas
import pytest

from fakes import product
from pepsasync.errors import ConfigError
from pepsasync.model import Checksum, StorageTier
from pepsasync.results.tables import (
    COLUMNS,
    check_suffix,
    to_csv,
    to_feature,
    to_geodataframe,
    to_geojson,
    write_products,
)

FOOTPRINT = {"type": "Polygon", "coordinates": [[[1.0, 43.0], [2.0, 43.0], [2.0, 44.0], [1.0, 43.0]]]}
FULL = product(
    "S2A_X",
    tier=StorageTier.DISK,
    size=3_000_000_000,
    checksum=Checksum("md5", "ab"),
    start=datetime(2017, 1, 2, 10, 44, 28, 26_000, tzinfo=UTC),
    relative_orbit=8,
    cloud_cover=12.5,
    tile="31TCJ",
    footprint=FOOTPRINT,
)
BARE = product("S1A_Y")


def test_geodataframe_has_the_documented_columns_and_types():
    table = to_geodataframe([FULL, BARE])

    assert [*COLUMNS, "geometry"] == list(table.columns)
    assert table.crs == "EPSG:4326"
    assert list(table.index) == [0, 1]
    assert {name: str(table[name].dtype) for name in ("start", "size", "relative_orbit", "cloud_cover")} == {
        "start": "datetime64[us, UTC]",
        "size": "Int64",
        "relative_orbit": "Int64",
        "cloud_cover": "float64",
    }
    assert table.loc[0, "size"] == 3_000_000_000
    assert table.loc[0, "start"] == FULL.start
    assert table.loc[0, "checksum"] == "md5:ab"
    assert table.geometry[0].bounds == (1.0, 43.0, 2.0, 44.0)


def test_what_a_catalogue_does_not_say_is_missing():
    row = to_geodataframe([FULL, BARE]).loc[1]

    assert row[["start", "size", "cloud_cover", "tile", "geometry"]].isna().all()
    assert row["tier"] == "tape"


@pytest.mark.parametrize("products", [[], [BARE]])
def test_geodataframe_of_little_has_the_same_types(products):
    table = to_geodataframe(products)

    assert len(products) == len(table)
    assert str(table["size"].dtype) == "Int64"
    assert str(table["start"].dtype) == "datetime64[us, UTC]"
    assert table.crs == "EPSG:4326"


def test_feature_holds_every_column_as_json():
    feature = json.loads(json.dumps(to_feature(FULL)))

    assert feature["geometry"] == FOOTPRINT
    assert list(COLUMNS) == list(feature["properties"])
    assert feature["properties"]["start"] == "2017-01-02T10:44:28.026000Z"
    assert feature["properties"]["tier"] == "disk"


def test_csv_has_a_header_and_wkt():
    rows = list(csv.DictReader(io.StringIO(to_csv([FULL, BARE]))))

    assert [row["name"] for row in rows] == ["S2A_X", "S1A_Y"]
    assert rows[0]["geometry"].startswith("POLYGON ((1 43")
    assert rows[1]["geometry"] == rows[1]["size"] == ""


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".GPKG"])
def test_written_file_reads_back(tmp_path, suffix):
    path = tmp_path / f"found{suffix}"

    write_products([FULL, BARE], path)

    table = geopandas.read_file(path)
    assert list(table["name"]) == ["S2A_X", "S1A_Y"]
    assert table.crs == "EPSG:4326"
    assert [path] == list(tmp_path.iterdir())


def test_written_csv_is_the_text(tmp_path):
    write_products([FULL], tmp_path / "found.csv")

    assert to_csv([FULL]) == (tmp_path / "found.csv").read_text("utf-8")


@pytest.mark.parametrize("suffix", [".geojson", ".csv", ".gpkg"])
def test_nothing_found_can_be_written(tmp_path, suffix):
    write_products([], tmp_path / f"found{suffix}")

    assert (tmp_path / f"found{suffix}").stat().st_size > 0


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_geoparquet_reads_back(tmp_path):
    write_products([FULL], tmp_path / "found.parquet")

    assert geopandas.read_parquet(tmp_path / "found.parquet").loc[0, "name"] == "S2A_X"


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_geoparquet_without_pyarrow_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match=r"needs pyarrow.*pip install 'pepsasync\[parquet\]'"):
        check_suffix(tmp_path / "found.parquet")


def test_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\.geojson"):
        check_suffix(tmp_path / "found.shp")


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg"])
def test_file_that_cannot_be_written_is_a_config_error(tmp_path, suffix):
    with pytest.raises(ConfigError, match="cannot write"):
        write_products([FULL], tmp_path / "missing" / f"found{suffix}")


def test_geojson_is_one_collection():
    assert [feature["id"] for feature in json.loads(to_geojson([FULL, BARE]))["features"]] == ["id-S2A_X", "id-S1A_Y"]
