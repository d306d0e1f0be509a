import json

import pytest

from fakes import product
from pepsasync.errors import ConfigError
from pepsasync.results.saved import bare_name, read_saved
from pepsasync.results.tables import write_products


@pytest.mark.parametrize("suffix", [".geojson", ".csv"])
def test_our_own_files_read_back(tmp_path, suffix):
    write_products([product("A"), product("B")], tmp_path / f"found{suffix}")

    assert read_saved(tmp_path / f"found{suffix}") == ["A", "B"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("A\nB\nA\n", id="lines"),
        pytest.param("\ufeff# chosen by hand\r\n\r\n  A.zip\r\nfolder/B.SAFE/\r\n", id="as-people-write"),
    ],
)
def test_text_is_one_name_a_line(tmp_path, text):
    (tmp_path / "names.txt").write_bytes(text.encode())

    assert read_saved(tmp_path / "names.txt") == ["A", "B"]


@pytest.mark.parametrize(
    "feature",
    [
        pytest.param({"id": "uuid", "properties": {"name": "A"}}, id="ours"),
        pytest.param({"id": "uuid", "properties": {"productIdentifier": "A"}}, id="resto"),
        pytest.param({"id": "urn", "properties": {"identifier": "A.SAFE"}}, id="stac-identifier"),
        pytest.param({"id": "x", "properties": {"title": "A"}}, id="title"),
        pytest.param({"id": "A.SAFE", "properties": None}, id="stac-id"),
    ],
)
def test_feature_collections_of_others_are_understood(tmp_path, feature):
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))

    assert read_saved(path) == ["A"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "names no products", id="empty"),
        pytest.param("# nothing\n", "names no products", id="comments"),
        pytest.param('{"features": []}', "names no products", id="no-features"),
        pytest.param("{", "is not valid JSON", id="broken"),
        pytest.param("[1]", "not a GeoJSON feature collection", id="list"),
        pytest.param('{"features": [{"properties": {}}]}', "feature 1 of .* has no product name", id="no-name"),
    ],
)
def test_file_without_names_is_refused(tmp_path, text, message):
    (tmp_path / "found.geojson").write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_saved(tmp_path / "found.geojson")


def test_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "image.txt").write_bytes(b"\xff\xfe\x00\x00\xff")

    with pytest.raises(ConfigError, match="cannot read"):
        read_saved(tmp_path / "missing.txt")
    with pytest.raises(ConfigError, match="is not text"):
        read_saved(tmp_path / "image.txt")


@pytest.mark.parametrize("text", ["A", " A ", "A.zip", "A.SAFE", "A.SAFE.zip", "data/A.SAFE/", r"data\A.zip"])
def test_names_lose_folder_and_extension(text):
    assert bare_name(text) == "A"
