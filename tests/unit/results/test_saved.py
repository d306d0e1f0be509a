import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import product
from pepsasync.display.table import FORMATS, show_products
from pepsasync.errors import ConfigError
from pepsasync.query.criteria import build_query
from pepsasync.query.saved_search import bare_name, read_saved
from pepsasync.results.tables import SUFFIXES, to_geodataframe, write_products

FOOTPRINT = {"type": "Polygon", "coordinates": [[[1.0, 43.0], [2.0, 43.0], [2.0, 44.0], [1.0, 43.0]]]}
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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_our_own_files_read_back(tmp_path, suffix):
    if library := {".parquet": "pyarrow", ".json": "pystac"}.get(suffix):
        pytest.importorskip(library)
    write_products([product("A"), product("B", footprint=FOOTPRINT)], tmp_path / f"found{suffix}")
    (tmp_path / f"found{suffix}").rename(tmp_path / "a #1% file!?")

    assert read_saved(tmp_path / "a #1% file!?") == ["A", "B"]


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix in (".parquet", ".gpkg")])
@pytest.mark.parametrize("columns", [{"title": "name"}, {"id": "name", "title": "name"}])
def test_tables_of_others_are_understood(tmp_path, suffix, columns):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    names = ["S2A_MSIL1C_20200815T005251_N0209_R002_T55PDR_20200815T023440", "A.zip"]
    table = to_geodataframe([product(name) for name in names])
    table = table[["name", "size", "geometry"]].rename(columns={"name": "title"})
    if "id" in columns:
        table["id"] = [f"{name}_id" for name in names]
    write = table.to_parquet if suffix == ".parquet" else table.to_file
    write(tmp_path / f"found{suffix}")

    assert read_saved(tmp_path / f"found{suffix}") == [names[0], "A"]


@pytest.mark.parametrize("suffix", [".parquet", ".gpkg"])
@pytest.mark.parametrize("damage", ["cut", "no-names", "no-name-in-row"])
def test_tables_without_names_are_refused(tmp_path, suffix, damage):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"found{suffix}"
    table = to_geodataframe([product("A"), product("B")])[["name", "size", "geometry"]]
    if damage == "no-names":
        table = table.drop(columns="name")
    if damage == "no-name-in-row":
        table["name"] = ["A", None]
    (table.to_parquet if suffix == ".parquet" else table.to_file)(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:2_000])

    with pytest.raises(ConfigError, match=r"found") as caught:
        read_saved(path)
    assert "should be" in caught.value.hint


def test_parquet_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "found.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigError, match=r"needs pyarrow.*pepsasync\[parquet\]"):
        read_saved(tmp_path / "found.parquet")


@pytest.mark.parametrize("form", FORMATS)
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
        pytest.param("A\rB\r", id="old-line-ends"),
        pytest.param("name\nA\nB\n", id="header"),
        pytest.param("# of today\n\nProduct Name\nA\n\nB\n", id="header-after-comments"),
        pytest.param('"Title"\n"A.zip"\n"B"\n', id="quotes"),
        pytest.param("id,name,size\nx,A,1\ny,B,2\n", id="csv-in-another-order"),
        pytest.param("size;NAME\r\n1;A\r\n2;B\r\n", id="semicolons"),
        pytest.param("tile\tproductIdentifier\n31TCJ\tA\n31TDJ\tB\n", id="tabs"),
        pytest.param("title,id\nA,1\nB,2\n", id="title-and-id"),
        pytest.param('id,geometry\nA,"POINT (1\n 2)"\nB,\n', id="cells-of-several-lines"),
        pytest.param("NAME  SIZE  TIER  START  CLOUDS\nA     1 B   disk\nB     ?     tape\n", id="table"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_is_one_name_a_line(tmp_path, text, encoding):
    if encoding != "utf-8":
        text = text.removeprefix("\ufeff")
    (tmp_path / "names.txt").write_bytes(text.encode(encoding))

    assert read_saved(tmp_path / "names.txt") == ["A", "B"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_json_in_other_encodings(tmp_path, encoding):
    (tmp_path / "found.json").write_bytes(json.dumps(["A", "B"]).encode(encoding))

    assert read_saved(tmp_path / "found.json") == ["A", "B"]


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
        pytest.param("NAME\n", "names no products", id="header-only"),
        pytest.param("size,tile\n1,31TCJ\n", "'size,tile' is not a product name", id="other-columns"),
        pytest.param("name,size\nA,1\n,2\n", "product 2 of .* has no name", id="csv-row-without-name"),
        pytest.param('["\\ud800"]', "is not a product name", id="half-a-character"),
    ],
)
def test_file_without_names_is_refused(tmp_path, text, message):
    (tmp_path / "found.geojson").write_text(text)

    with pytest.raises(ConfigError, match=message) as caught:
        read_saved(tmp_path / "found.geojson")

    assert "should be" in caught.value.hint


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

    assert bool(names) != ("should be" in hint)
    assert not names or build_query(id=names).names == tuple(names)


@given(text=st.text())
def test_any_text_gives_names_or_says_what_it_should_be(folder, text):
    (folder / "any.txt").write_text(text, "utf-8", "replace")

    names, hint = names_or_hint(folder / "any.txt")

    assert bool(names) != ("should be" in hint)
    assert not names or build_query(id=names).names == tuple(names)


@pytest.mark.parametrize(
    "text", ["A", " A ", "A.zip", "A.SAFE", "A.safe", "A.SEN3", "A.SAFE.zip", "data/A.SAFE/", r"data\A.zip"]
)
def test_names_lose_folder_and_extension(text):
    assert bare_name(text) == "A"
