"""Replies of GEODES, as recorded and as strange as JSON can be."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import product
from pepsasync.errors import ProtocolError
from pepsasync.model import Checksum, StorageTier
from pepsasync.providers.geodes.reply import (
    PRIVATE,
    SESSION,
    _cleaned,
    _link,
    parse_availability,
    parse_files,
    parse_item,
    parse_page,
)

ROOT = "https://archive.example"
MD5 = "86f828c4c7e921615d1cd0476604f780"
NAME = "S2A_MSIL1C_20170105T105432_N0204_R051_T31TCJ_20170105T105428"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def asset(**changes):
    return {
        "href": f"/api/download/URN:1/files/{MD5}",
        "title": f"{NAME}.zip",
        "type": "application/zip",
        "roles": ["data"],
        "description": f"File size: 764210185 bytes\n\nIs online: false\n\nChecksum MD5: {MD5}",
    } | changes


def item(assets=None, **properties):
    return {
        "id": "URN:FEATURE:DATA:gdh:1:V1",
        "properties": {"identifier": NAME, "dataset": "PEPS_S2_L1C"} | properties,
        "assets": {"x": asset()} if assets is None else assets,
    }


def test_recorded_items_parse(recordings):
    page = json.loads((recordings / "geodes" / "geodes_search.json").read_text("utf-8"))
    single = json.loads((recordings / "geodes" / "pygeodes_item.f14057a.json").read_text("utf-8"))

    found = parse_page(page, ROOT)
    (s2,), s1 = found.products, parse_item(single, ROOT)

    assert (found.total, found.is_last) == (37273723, None)
    assert s2.name == "S2A_MSIL1C_20250402T175741_N0511_R141_T14ULD_20250403T022035"
    assert (s2.size, s2.checksum, s2.tile) == (764210185, Checksum("md5", MD5), "14ULD")
    assert (s2.relative_orbit, s2.orbit, s2.cloud_cover) == (141, 51075, 67.54958344531)
    assert s2.download_url.startswith("https://geodes-portal.cnes.fr/api/download/URN:")
    assert s2.storage_url.startswith("https://s3.datalake.cnes.fr/")
    assert s2.quicklook_url.endswith("?scope=gdh")
    assert s1 is not None
    assert (s1.product_type, s1.polarisation, s1.orbit_direction) == ("GRD", "VV VH", "ascending")
    assert (s1.platform, s1.size, s1.cloud_cover) == ("S1C", 2005940905, None)
    assert s1.tier is s2.tier is StorageTier.UNKNOWN


@pytest.mark.parametrize(
    "described",
    [
        pytest.param(asset(), id="in the description"),
        pytest.param(asset(description=asset()["description"].replace(MD5, MD5.upper())), id="upper case"),
        pytest.param(
            asset(description="", **{"file:size": 764210185, "file:checksum": f"d50110{MD5}"}), id="as multihash"
        ),
        pytest.param(asset(description="File size: 764210185 bytes"), id="in the URL"),
    ],
)
def test_size_and_md5_are_found_wherever_they_are(described):
    product = parse_item(item({"x": described}), ROOT)

    assert (product.size, product.checksum) == (764210185, Checksum("md5", MD5))


def test_session_tokens_are_taken_out_of_links():
    product = parse_item(item({"x": asset(href=asset()["href"] + "?token=secret&scope=gdh&a=1")}), ROOT)

    assert product.download_url == f"{ROOT}/api/download/URN:1/files/{MD5}?a=1"


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("?scope=gdh", "?scope=gdh"),
        ("?token=secret&scope=gdh", "?scope=gdh"),
        ("?token=secret", ""),
        ("?scope=a%20b&a=1", "?scope=a+b&a=1"),
    ],
)
def test_links_of_quicklooks_name_the_tenant_and_no_session(query, kept):
    look = {"type": "image/jpeg", "roles": ["overview"], "href": f"/api/quicklook/1{query}"}

    found = [parse_item(item({"a": look | {"href": root + look["href"]}, "b": asset()}), ROOT) for root in ("", ROOT)]

    assert [f"{ROOT}/api/quicklook/1{kept}"] * 2 == [product.quicklook_url for product in found]


@pytest.mark.parametrize("elsewhere", ["s3://bucket/A.zip", "ftp://archive.example/A.zip", "S3:/A.zip", "mailto:a"])
def test_assets_that_no_web_client_can_have_are_not_the_product(elsewhere, caplog):
    there = asset(href=elsewhere)
    look = {"type": "image/jpeg", "roles": ["overview"], "href": elsewhere}

    assert parse_item(item({"a": there, "look": look, "b": asset()}), ROOT).download_url.endswith(MD5)
    assert parse_item(item({"look": look, "b": asset()}), ROOT).quicklook_url is None
    assert not caplog.messages
    assert parse_item(item({"a": there}), ROOT) is None
    assert caplog.messages == ["left out a search result without id, name or data"]


def test_xml_files_and_quicklooks_are_not_the_product():
    extra = {"title": "manifest.xml", "type": "application/xml", "roles": ["data"], "href": "/x/files/1"}
    look = {"title": "look.jpg", "type": "image/jpeg", "roles": ["overview"], "href": "/api/quicklook/1?scope=gdh"}
    product = parse_item(item({"a": extra, "b": look, "c": asset()}), ROOT)

    assert product.download_url.endswith(MD5)
    assert product.quicklook_url == f"{ROOT}/api/quicklook/1?scope=gdh"
    assert parse_item(item({"a": extra}), ROOT) is None


def stac_1_1(identity, assets, **properties):
    return {"stac_version": "1.1.0", "id": identity, "properties": properties, "assets": assets}


def test_items_of_stac_1_1_have_their_name_as_id_and_one_instant():
    data = {"data": asset(title="Raw data"), "overview": {"roles": ["overview"], "href": "/look.jpg"}}

    found = parse_item(stac_1_1(NAME, data, datetime="2017-01-05T10:54:32Z"), ROOT)

    assert found.name == found.id == NAME
    assert found.start == datetime(2017, 1, 5, 10, 54, 32, tzinfo=UTC)
    assert found.published is None


def test_where_there_are_two_instants_the_other_one_is_that_of_the_publication():
    found = parse_item(item(start_datetime="2017-01-05T10:54:32Z", datetime="2017-01-06T00:00:00Z"), ROOT)

    assert (found.start.day, found.published.day) == (5, 6)


@pytest.mark.parametrize(
    ("key", "name"), [(f"2017/01/{NAME}.zip", NAME), ("data", None), (".zip", None), (f"{NAME}.h5.gz", f"{NAME}.h5")]
)
def test_no_name_is_made_of_a_title(key, name, caplog):
    found = parse_item(stac_1_1("URN:FEATURE:DATA:gdh:1:V1", {key: asset(title="Download me.zip")}), ROOT)

    assert (found and found.name) == name


def test_superseded_versions_are_left_out():
    assert parse_item(item(latest=False), ROOT) is None
    assert parse_item(item(latest=True), ROOT) is not None


@pytest.mark.parametrize("context", [{"matched": 160, "limit": 80}, {"matched": 2}, {}])
def test_only_an_empty_page_says_itself_that_it_is_the_last(context):
    items = [item(), item(latest=False) | {"id": "old"}]
    pages = [parse_page({"features": found, "context": context}, ROOT) for found in (items, [])]

    assert [((items[0]["id"], "old"), None), ((), True)] == [(page.sent, page.is_last) for page in pages]
    assert {context.get("matched")} == {page.total for page in pages}


def test_availability_goes_by_the_checksum_of_the_data_file():
    files = [{"checksum": "0" * 32, "available": False}, {"checksum": MD5.upper(), "available": True}]
    reply = {"products": [{"id": "id-A", "files": files}, {"id": "id-B", "files": files[:1]}, {"id": "stranger"}]}
    a, b, c = (product(name, checksum=Checksum("md5", md5)) for name, md5 in [("A", MD5), ("B", "0" * 32), ("C", MD5)])

    assert parse_availability(reply, [a, b, c]) == {"id-A": StorageTier.DISK, "id-B": StorageTier.TAPE}
    assert parse_files({"files": files}, replace(a, checksum=Checksum("md5", "1" * 32))) is None


@pytest.mark.parametrize(
    ("files", "tier"),
    [
        pytest.param({"other": True, "FILE-7": False}, StorageTier.TAPE, id="in the link"),
        pytest.param({"other": False}, StorageTier.TAPE, id="only file"),
        pytest.param({"other": True, "more": True}, StorageTier.DISK, id="all the same"),
        pytest.param({"other": True, "more": False}, None, id="which one"),
        pytest.param({"other": None}, None, id="not told"),
        pytest.param({}, None, id="none"),
    ],
)
def test_availability_of_a_product_without_checksum(files, tier):
    item = product("A", download_url=f"{ROOT}/api/download/URN:1/files/file-7?a=1")
    listed = [{"checksum": name, "available": available} for name, available in files.items()]
    reply = {"products": [{"id": item.id, "files": listed}]}

    assert parse_availability(reply, [item]) == ({item.id: tier} if tier else {})


@given(json_values, json_values, json_values)
def test_strange_replies_never_surprise(reply, properties, assets):
    for features in (reply, [reply], [{"id": "a", "properties": properties, "assets": assets}]):
        try:
            parse_page({"features": features, "context": reply}, ROOT)
        except ProtocolError:
            assert not isinstance(features, list)
    for item in product("A"), product("A", checksum=Checksum("md5", MD5)):
        parse_availability(reply, [item])
        parse_availability({"products": [reply, {"id": item.id, "files": reply}]}, [item])


@given(st.dictionaries(st.sampled_from(sorted(asset())), json_values))
def test_strange_assets_never_surprise(changes):
    parse_item(item({"x": asset() | changes}), ROOT)


hosts = st.sampled_from(
    ["archive.example", "127.0.0.1", "127.0.0.2", "999.1.1.1", "A.example", "[::1]", "é.example", ""]
)
ports = st.sampled_from(["", ":80", ":443", ":8080", ":0", ":", ":x"])
paths = st.lists(
    st.sampled_from(["/", "api", "URN:V1", "..", ".", ".x", "%2e", "%41", "a b", "é", "~@-_", ";", "#"]), max_size=6
)
queries = st.sampled_from(
    ["", "?", "?scope=gdh", "?token=s&scope=gdh", "?a=1&token=s", "?scope", "?&", "?token=s#x", "?scope=g h"]
)
privates = st.sampled_from([PRIVATE, SESSION])


@given(st.sampled_from(["http://", "https://", "HTTP://", "//", ""]), hosts, ports, paths, queries, privates)
def test_plain_links_are_what_httpx_makes_of_them(scheme, host, port, path, query, private):
    text = scheme + host + port + "/" + "/".join(path) + query
    assert _cleaned(text.strip(), ROOT, private) == _link(text, ROOT, private)
