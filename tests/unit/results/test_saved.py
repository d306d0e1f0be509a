import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import product
from pepsasync.cli.output import FORMATS, show_products
from pepsasync.criteria import build_query
from pepsasync.errors import ConfigError
from pepsasync.results.saved import bare_name, read_saved
from pepsasync.results.tables import write_products

RECORDED = {
    "peps/peps_search.json": [
        "S2A_MSIL1C_20200815T005251_N0209_R002_T55PDR_20200815T023440",
        "S2A_MSIL1C_20200815T005251_N0209_R002_T55PCR_20200815T023440",
    ],
    "peps/eodag_search_result_peps.23af1f0e8.geojson": [
        "S2B_MSIL1C_20200815T030549_N0209_R075_T55XEB_20200815T051416",
        "S2B_MSIL1C_20200815T030549_N0209_R075_T54XVH_20200815T051416",
    ],
    "geodes/geodes_search.json": ["S2A_MSIL1C_20250402T175741_N0511_R141_T14ULD_20250403T022035"],
    "geodes/pygeodes_item.f14057a.json": ["S1C_IW_GRDH_1SDV_20251217T230248_20251217T230317_005497_00AF3C_C5D6"],
    "cdse/cop_dataspace_search.json": [
        "S2A_MSIL1C_20200808T010311_N0500_R045_T54PXA_20230413T212505",
        "S2A_MSIL1C_20200808T010311_N0500_R045_T55PBR_20230413T212505",
    ],
}
"""Names by file of the recordings."""


@pytest.mark.parametrize("suffix", [".geojson", ".csv"])
def test_our_own_files_read_back(tmp_path, suffix):
    write_products([product("A"), product("B")], tmp_path / f"found{suffix}")

    assert read_saved(tmp_path / f"found{suffix}") == ["A", "B"]


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "table"])
def test_what_search_prints_reads_back(tmp_path, form, capsys):
    show_products([product("A"), product("B", collection="\N{LINE SEPARATOR}")], form)
    (tmp_path / "found").write_text(capsys.readouterr().out, "utf-8")

    assert read_saved(tmp_path / "found") == ["A", "B"]


@pytest.mark.parametrize("file", RECORDED)
def test_replies_of_archives_and_files_of_their_clients_are_understood(recordings, file):
    assert read_saved(recordings / file) == RECORDED[file]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("A\nB\nA\n", id="lines"),
        pytest.param("\ufeff# chosen by hand\r\n\r\n  A.zip\r\nfolder/B.SAFE/\r\n", id="as-people-write"),
        pytest.param("A  # first\n  # later\nB#second\n", id="comments"),
    ],
)
def test_text_is_one_name_a_line(tmp_path, text):
    (tmp_path / "names.txt").write_bytes(text.encode())

    assert read_saved(tmp_path / "names.txt") == ["A", "B"]


FEATURES = [{"type": "Feature", "id": name, "properties": {}} for name in ("A", "B")]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"type": "FeatureCollection", "features": FEATURES}, id="collection"),
        pytest.param({"features": [FEATURES[0], *FEATURES]}, id="twice"),
        pytest.param({"value": [{"Id": "1", "Name": "A.SAFE"}, {"Id": "2", "Name": "B.SEN3"}]}, id="odata"),
        pytest.param([{"features": FEATURES[:1]}, {"features": []}, {"features": FEATURES[1:]}], id="pages"),
        pytest.param(FEATURES, id="items"),
        pytest.param(["A.zip", "data/B.SAFE"], id="names"),
    ],
)
def test_documents_of_others_are_understood(tmp_path, document):
    (tmp_path / "found.json").write_text(json.dumps(document))

    assert read_saved(tmp_path / "found.json") == ["A", "B"]


def test_one_item_is_a_saved_search_too(tmp_path):
    (tmp_path / "item.json").write_text(json.dumps(FEATURES[0], indent=1))

    assert read_saved(tmp_path / "item.json") == ["A"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "names no products", id="empty"),
        pytest.param("# nothing\n", "names no products", id="comments"),
        pytest.param("name,id\n", "names no products", id="csv-without-rows"),
        pytest.param('name,id\n"' + "x" * 200_000, "not valid CSV", id="csv-without-end"),
        pytest.param('{"features": []}', "names no products", id="no-features"),
        pytest.param("{", "is not valid JSON", id="broken"),
        pytest.param("[" * 100_000, "is not valid JSON", id="deep"),
        pytest.param("[" + "9" * 5_000 + "]", "is not valid JSON", id="huge-number"),
        pytest.param("[1]", "product 1 of .* has no name", id="numbers"),
        pytest.param("[{}]", "holds no products", id="empty-objects"),
        pytest.param('{"type": "Catalog", "links": []}', "holds no products", id="stac-catalog"),
        pytest.param('{"features": [{"properties": {}}]}', "product 1 of .* has no name", id="no-name"),
        pytest.param("<html>\n<p>no such page\n", "'<html>' is not a product name", id="web-page"),
        pytest.param("NAME  SIZE\nA  1 B\n", "'NAME  SIZE' is not a product name", id="table"),
        pytest.param('["\\ud800"]', "is not a product name", id="half-a-character"),
    ],
)
def test_file_without_names_is_refused(tmp_path, text, message):
    (tmp_path / "found.geojson").write_text(text)

    with pytest.raises(ConfigError, match=message) as caught:
        read_saved(tmp_path / "found.geojson")

    assert "should be GeoJSON" in caught.value.hint


def test_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "image.txt").write_bytes(b"\xff\xfe\x00\x00\xff")

    with pytest.raises(ConfigError, match="cannot read"):
        read_saved(tmp_path / "missing.txt")
    with pytest.raises(ConfigError, match="is not text"):
        read_saved(tmp_path / "image.txt")


KEYS = st.sampled_from(["features", "value", "properties", "id", "Name", "name", "title", "assets", "links", "rel"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["A", "self", "a/B.zip"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("saved")


def names_or_hint(path):
    try:
        return read_saved(path), ""
    except ConfigError as error:
        return [], error.hint


@given(document=DOCUMENTS | st.lists(st.dictionaries(KEYS, DOCUMENTS)).map(lambda items: {"features": items}))
def test_any_json_gives_names_or_says_what_it_should_be(folder, document):
    (folder / "any.json").write_text(json.dumps(document))

    names, hint = names_or_hint(folder / "any.json")

    assert bool(names) != ("should be GeoJSON" in hint)
    assert not names or build_query(id=names).names == tuple(names)


@given(text=st.text())
def test_any_text_gives_names_or_says_what_it_should_be(folder, text):
    (folder / "any.txt").write_text(text, "utf-8", "replace")

    names, hint = names_or_hint(folder / "any.txt")

    assert bool(names) != ("should be GeoJSON" in hint)
    assert not names or build_query(id=names).names == tuple(names)


@pytest.mark.parametrize(
    "text", ["A", " A ", "A.zip", "A.SAFE", "A.safe", "A.SEN3", "A.SAFE.zip", "data/A.SAFE/", r"data\A.zip"]
)
def test_names_lose_folder_and_extension(text):
    assert bare_name(text) == "A"
