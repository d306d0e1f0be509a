"""`catalog` writes a static STAC catalogue of what is on disk, which others read and find nothing wrong with."""

import hashlib
import importlib.util
import json
import sqlite3
from pathlib import Path
from urllib.parse import unquote

import geopandas
import pytest

from archives import sandbox
from pepsasync.folder.journal.opening import JOURNAL

pystac = pytest.importorskip("pystac")
pytest.importorskip("jsonschema")

from stac_schemas import validate  # noqa: E402


@pytest.fixture
def archive():
    archive = sandbox(6, tape_fraction=0, product_size=30_000)
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture
def fetch(archive, run, tmp_path):
    account = tmp_path / "account.txt"
    account.write_text(f"{archive.username} {archive.password}\n")
    account.chmod(0o600)

    def fetch_some(*words):
        where = ["--provider", "peps", "--base-url", archive.peps_url, "-a", account, "-w", tmp_path / "da ta"]
        assert run("fetch", *where, *words).code == 0

    return fetch_some


def written(run, tmp_path):
    done = run("catalog", tmp_path / "da ta")
    assert done.code == 0, done.err
    assert done.out == f"{tmp_path / 'da ta' / 'stac' / 'catalog.json'}\n"
    return pystac.Catalog.from_file(done.out.strip())


def items_of(catalog):
    return {item.id: item for item in catalog.get_items(recursive=True)}


def file_of(asset):
    """What the asset leads to."""
    return Path(unquote(asset.get_absolute_href())).read_bytes()


def test_all_of_it_is_valid_and_leads_to_the_files(archive, fetch, run, tmp_path):
    fetch("-d", "2014-01-01")
    catalog = written(run, tmp_path)
    items = items_of(catalog)

    assert items.keys() == {product.name for product in archive.catalogue}
    for thing in (catalog, *catalog.get_children(), *items.values()):
        validate(thing)
    for item in items.values():
        content = file_of(item.assets["product"])
        fields = item.assets["product"].extra_fields
        assert fields["file:size"] == len(content)
        assert fields["file:checksum"] == f"d50110{hashlib.md5(content).hexdigest()}"
        assert item.properties["pepsasync:source"] == "peps"
        assert item.properties["pepsasync:query"] == "from 2014-01-01"
        assert "pepsasync:came" in item.properties
        assert "pepsasync:tier" not in item.properties
        assert item.get_single_link("via").href.startswith(archive.peps_url)
    for collection in catalog.get_children():
        spatial, temporal = collection.extent.spatial.bboxes[0], collection.extent.temporal.intervals[0]
        for item in collection.get_items():
            assert spatial[0] <= item.bbox[0] <= item.bbox[2] <= spatial[2]
            assert temporal[0] <= item.datetime <= temporal[1]


def test_it_may_be_moved_with_its_folder(fetch, run, tmp_path):
    fetch("-c", "S2ST", "--limit", "1")
    written(run, tmp_path)
    (tmp_path / "da ta").rename(tmp_path / "elsewhere")
    (item,) = items_of(pystac.Catalog.from_file(str(tmp_path / "elsewhere" / "stac" / "catalog.json"))).values()

    assert file_of(item.assets["product"])[:2] == b"PK"


def test_unpacked_products_have_their_images(fetch, run, tmp_path):
    fetch("-c", "S1,S2ST", "-x", "--per", "day")
    items = items_of(written(run, tmp_path))

    keys = set()
    for name, item in items.items():
        validate(item)
        assert item.assets.keys() >= {"manifest"}
        assert "product" not in item.assets
        assert item.properties["pepsasync:checksum"].startswith("md5:")
        for key, asset in item.assets.items():
            assert len(file_of(asset)) == asset.extra_fields["file:size"]
            assert f"{name}.SAFE" in asset.href
            keys.add(key)
    assert {"TCI", "iw-vv"} <= keys


def test_written_again_it_is_brought_up_to_date(fetch, run, tmp_path):
    fetch("-c", "S2ST")
    before = items_of(written(run, tmp_path))
    name, *others = before
    (tmp_path / "da ta" / f"{name}.zip").unlink()
    mine = next((tmp_path / "da ta" / "stac").glob("*/items")) / "mine.json"
    mine.write_text("{}")
    done = run("catalog", tmp_path / "da ta")

    assert done.code == 0, done.err
    assert "1 product gone, changed or unchecked" in done.err
    assert {*others} == items_of(pystac.Catalog.from_file(done.out.strip())).keys()
    assert not list((tmp_path / "da ta" / "stac").rglob(f"{name}*"))
    assert mine.exists()
    assert not list((tmp_path / "da ta" / "stac").rglob("*.new"))


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_the_table_has_the_same_items(fetch, run, tmp_path):
    fetch("-d", "2014-01-01")
    items = items_of(written(run, tmp_path))
    table = geopandas.read_parquet(tmp_path / "da ta" / "stac" / "items.parquet")

    assert table.crs == "EPSG:4326"
    assert {*table["id"]} == items.keys()
    for row in table.to_dict("records"):
        item = items[row["id"]]
        assert row["datetime"] == item.datetime
        assert row["collection"] == item.collection_id
        assert [row["bbox"][side] for side in ("xmin", "ymin", "xmax", "ymax")] == item.bbox
        assert (tmp_path / "da ta" / "stac" / row["assets"]["product"]["href"]).exists()
        assert [link["rel"] for link in row["links"]] == ["via"]


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_a_folder_without_products_has_an_empty_catalogue_and_table(fetch, run, tmp_path):
    fetch("-c", "S2ST", "--limit", "1")
    (product,) = (tmp_path / "da ta").glob("*.zip")
    product.unlink()
    catalog = written(run, tmp_path)
    table = geopandas.read_parquet(tmp_path / "da ta" / "stac" / "items.parquet")

    validate(catalog)
    assert items_of(catalog) == {}
    assert table.empty
    assert {"id", "geometry", "assets"} <= {*table.columns}
    assert table.crs == "EPSG:4326"


def test_a_product_without_a_record_is_listed_by_name(archive, fetch, run, tmp_path):
    """Whose footprint and times nobody knows any more."""
    fetch("-c", "S2ST", "--limit", "1")
    with sqlite3.connect(tmp_path / "da ta" / ".pepsasync" / JOURNAL) as journal:
        journal.execute("UPDATE products SET record = '{}', record_crc = 0")
    journal.close()
    (item,) = items_of(written(run, tmp_path)).values()

    validate(item)
    assert item.geometry is None
    assert item.assets["product"].extra_fields["file:checksum"]


def test_a_folder_without_a_journal_is_refused(run, tmp_path):
    done = run("catalog", tmp_path)

    assert done.code == 2
    assert "has no journal" in done.err
    assert not list(tmp_path.iterdir())


def test_search_writes_items(archive, run, tmp_path):
    done = run(
        "search", "--provider", "peps", "--base-url", archive.peps_url, "-c", "S1", "-o", tmp_path / "items.json"
    )

    assert done.code == 0, done.err
    for item in pystac.ItemCollection(json.loads((tmp_path / "items.json").read_text())["features"]):
        validate(item)
