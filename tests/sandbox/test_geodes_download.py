"""Downloads, tape, keys and quota by the GEODES protocol (GEODES protocol notes, sections 2, 5, 6 and 8)."""

import hashlib
import io
import zipfile
from dataclasses import replace
from datetime import datetime

import httpx
import pytest
from geodes_client import GeodesClient, data_asset
from raw_http import running

from pepsasync.sandbox import Sandbox

SMALL = {"products": 4, "product_size": 30_000, "seed": 3}


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def client(archive):
    with GeodesClient(archive) as started:
        yield started


def opened(**options):
    return running(**(SMALL | {"tape_fraction": 0} | options))


def md5(data):
    return hashlib.md5(data).hexdigest()


def test_a_file_is_what_was_announced(client, archive):
    for product in archive.catalogue[:5]:
        reply = client.download(product.name)
        assert reply.status_code == 200
        assert reply.headers["Content-Type"] == "application/zip"
        assert reply.headers["Content-Disposition"] == f'attachment; filename="{product.name}.zip"'
        assert reply.content == archive.content(product.name).read()
        asset = data_asset(client.item(product.name))
        assert set(asset) == {"href", "title", "description", "type", "roles"}
        assert f"File size: {len(reply.content)} bytes\n" in asset["description"]
        assert asset["description"].endswith(f"Checksum MD5: {md5(reply.content)}")
        assert zipfile.ZipFile(io.BytesIO(reply.content)).testzip() is None


def test_the_urn_may_be_percent_encoded(client, archive):
    href = client.href(archive.catalogue[0].name).replace("URN:FEATURE:DATA:gdh:", "URN%3AFEATURE%3ADATA%3Agdh%3A")
    assert client.http.get(href, headers=client.key).status_code == 200


def test_head_tells_nothing_but_access(client, archive):
    href = client.href(archive.catalogue[0].name)
    reply = client.http.head(href, headers=client.key)
    assert (reply.status_code, reply.headers.get("Content-Length")) == (200, None)
    assert client.http.head(href).status_code == 302


def test_quicklook_needs_no_key(client, archive):
    item = client.item(archive.catalogue[0].name)
    picture = next(asset for asset in item["assets"].values() if asset["roles"] == ["overview"])
    reply = client.http.get(picture["href"])
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "image/jpeg")
    assert reply.content[:2] + reply.content[-2:] == b"\xff\xd8\xff\xd9"
    assert picture["description"].endswith(md5(reply.content))
    data = data_asset(item)["href"].replace("/download/", "/quicklook/")
    assert client.http.get(data).status_code == 404


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize("path", ["download", "availability"])
def test_a_bad_key_leads_to_the_login_page_for_ever(client, archive, key, path):
    name = archive.catalogue[0].name
    url = client.href(name) if path == "download" else f"{client.root}/availability/{name}"
    headers = {"X-API-Key": key} if key else {}
    reply = client.http.get(url, headers=headers)
    assert reply.status_code == 302
    assert "/login?" in reply.headers["Location"]
    assert reply.headers["Content-Type"].startswith("text/html")
    with httpx.Client(max_redirects=31, verify=False) as patient, pytest.raises(httpx.TooManyRedirects):
        patient.get(url, headers=headers, follow_redirects=True)


def test_a_bad_key_can_be_refused():
    with opened(geodes_bad_key="refuse") as archive, GeodesClient(archive) as client:
        href = client.href(archive.catalogue[0].name)
        assert client.http.get(href).status_code == 401
        assert client.http.get(href, headers={"X-API-Key": "wrong"}).status_code == 401


def test_every_account_has_its_key():
    with (
        opened(accounts={"a@example.com": "x", "b@example.com": "y"}, geodes_quota=1) as archive,
        GeodesClient(archive) as client,
    ):
        assert archive.api_key == "demo-api-key-0001"
        href = client.href(archive.catalogue[0].name)
        keys = ["demo-api-key-0001", "demo-api-key-0001", "demo-api-key-0002", "demo-api-key-0003"]
        statuses = [client.http.get(href, headers={"X-API-Key": key}).status_code for key in keys]
        assert statuses == [200, 403, 200, 302]


def test_unknown_products_and_files(client, archive):
    href = client.href(archive.catalogue[0].name)
    for wrong in (href[:-1] + "x", href.replace("gdh:", "gdh:0")):
        reply = client.http.get(wrong, headers=client.key)
        assert (reply.status_code, list(reply.json())) == (404, ["messages"])
    assert client.get("/availability/NOTHING", headers=client.key).status_code == 404


def test_lost_and_denied_files():
    with opened() as archive, GeodesClient(archive) as client:
        first, second = (product.name for product in archive.catalogue[:2])
        archive.drop_file(first)
        archive.deny(archive.catalogue[1].collection)
        assert client.download(first).status_code == 404
        assert client.download(second).status_code == 403


def test_tape_is_gone_and_nothing_is_staged():
    time = Time()
    with opened(tape_fraction=1, clock=time) as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        for _ in range(3):
            reply = client.download(name)
            assert (reply.status_code, reply.content) == (410, b"")
            assert "Retry-After" not in reply.headers
            time.now += 10_000
        assert not client.is_available(name)
        assert archive.tier(name) == "tape"
        assert archive.statistics.stagings == {}
        assert "Is online: false" in data_asset(client.item(name))["description"]


def test_restored_by_hand():
    time = Time()
    options = {"tape_fraction": 1, "mount_seconds": 1, "staging_seconds": 9, "clock": time}
    with opened(**options) as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        archive.restore(name)
        time.now = 9.9
        assert not client.is_available(name)
        time.now = 10.0
        assert client.is_available(name)
        [file] = [file for file in client.availability(name)["files"] if "expiration_date" in file]
        assert file["checksum"] == archive.content(name).md5
        assert datetime.fromisoformat(file["expiration_date"]).tzinfo is not None
        assert client.download(name).status_code == 200
        assert "Is online: false" in data_asset(client.item(name))["description"]
        assert archive.statistics.stagings == {name: 1}
    with pytest.raises(KeyError):
        archive.restore("NOTHING")


@pytest.mark.parametrize("look", ["download", "availability", "fastavailability"])
def test_the_user_asks_in_the_portal_after_a_while(look):
    time = Time()
    options = {"tape_fraction": 1, "portal_seconds": 60, "mount_seconds": 0, "staging_seconds": 5, "clock": time}
    with opened(**options) as archive, GeodesClient(archive) as client:
        name, href = archive.catalogue[0].name, client.href(archive.catalogue[0].name)

        def available():
            if look == "download":
                return client.download(name).status_code == 200
            if look == "availability":
                return client.is_available(name)
            files = client.fast(href).json()["products"][0]["files"]
            return next(file["available"] for file in files if file["checksum"] == href[-32:])

        time.now = 1000.0
        assert not available()
        time.now = 1064.9
        assert not available()
        time.now = 1065.0
        assert available()
        assert archive.statistics.stagings == {name: 1}


def test_what_was_asked_for_long_ago_is_there_at_the_next_look():
    time = Time()
    options = {"tape_fraction": 1, "portal_seconds": 60, "tape_drives": 1, "staging_seconds": 100, "mount_seconds": 0}
    with opened(**options, clock=time) as archive, GeodesClient(archive) as client:
        first, second, third, _ = (product.name for product in archive.catalogue)
        for name in (first, second, third):
            assert not client.is_available(name)
        time.now = 270.0
        assert [client.is_available(name) for name in (first, second, third)] == [True, True, False]


def test_many_at_once_without_a_key():
    with opened(tape_fraction=0.5) as archive, GeodesClient(archive) as client:
        hrefs = {product.name: client.href(product.name) for product in archive.catalogue}
        reply = client.fast(*hrefs.values(), hrefs[archive.catalogue[0].name].replace("gdh:", "gdh:0"))
        states = {product["id"]: product["files"] for product in reply.json()["products"]}
        assert len(states) == len(hrefs)
        for product in archive.catalogue:
            files = states[client.item(product.name)["id"]]
            available = {file["checksum"]: file["available"] for file in files}
            assert available.pop(hrefs[product.name][-32:]) == (product.mode == "disk")
            assert list(available.values()) == [True]
        assert client.fast(*["x"] * 101).status_code == 400
        assert client.post("/fastavailability", {"wrong": []}).status_code == 400
        assert client.http.post(f"{client.root}/fastavailability", content=b"{").status_code == 400


def test_a_product_that_the_answer_leaves_out():
    with opened(faults={"availability-gap": 1.0}, fault_limit=1) as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        href = client.href(name)
        assert client.fast(href).json() == {"products": []}
        assert len(client.fast(href).json()["products"]) == 1
        assert client.availability(archive.catalogue[1].name)["files"] == []
        assert client.is_available(archive.catalogue[1].name)


def test_available_a_moment_ago():
    with opened(faults={"fall-back": 1.0}, fault_limit=1) as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        assert client.is_available(name)
        assert client.download(name).status_code == 410
        assert not client.is_available(name)


def test_restore_by_request():
    with (
        opened(tape_fraction=1, geodes_restore=True, staging_seconds=0, mount_seconds=0) as archive,
        GeodesClient(archive) as client,
    ):
        name = archive.catalogue[0].name
        wanted = {"product_ids": [client.item(name)["id"], "URN:UNKNOWN"]}
        assert client.post("/restore", wanted).status_code == 302
        reply = client.post("/restore", wanted, headers=client.key)
        assert (reply.status_code, reply.content) == (200, b"")
        assert client.is_available(name)
        assert client.post("/restore", {"product_ids": ["x"] * 101}, headers=client.key).status_code == 400


def test_restore_is_not_offered(client):
    assert client.post("/restore", {"product_ids": []}, headers=client.key).status_code == 404


def test_quota():
    time = Time()
    with opened(geodes_quota=3, geodes_quota_seconds=600, clock=time) as archive, GeodesClient(archive) as client:
        names = [product.name for product in archive.catalogue]
        left = []
        for name in names[:3]:
            assert client.download(name).status_code == 200
            time.now += 100
            left.append(client.get("/processing/download/get", headers=client.key).json())
        assert left == [{"maxQuota": 3, "remainingQuota": rest} for rest in (2, 1, 0)]
        reply = client.download(names[3])
        assert (reply.status_code, list(reply.json())) == (403, ["messages"])
        assert "Downloading products per hour exceeds quota limit" in reply.text
        assert "Retry-After" not in reply.headers
        assert archive.statistics.quota_refusals == 1
        time.now = 600
        assert client.download(names[3]).status_code == 200
        assert client.download(names[3]).status_code == 403


def test_what_does_not_count():
    with opened(geodes_quota=1, tape_fraction=0.5) as archive, GeodesClient(archive) as client:
        disk, tape = (next(p for p in archive.catalogue if p.mode == mode) for mode in ("disk", "tape"))
        client.download(tape.name)
        client.http.head(client.href(disk.name), headers=client.key)
        client.http.get(client.href(disk.name))
        assert client.download(disk.name).status_code == 200


def test_no_quota():
    with opened(geodes_quota=None) as archive, GeodesClient(archive) as client:
        assert client.get("/processing/download/get", headers=client.key).json()["maxQuota"] is None
        assert client.get("/processing/download/get").status_code == 401


def test_a_cut_download_counts():
    with opened(geodes_quota=2, faults={"cut": 1.0}, fault_limit=1) as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        with pytest.raises(httpx.RemoteProtocolError):
            client.download(name)
        assert [client.download(name).status_code for _ in range(2)] == [200, 403]


def test_ranges_are_ignored(client, archive):
    product = archive.catalogue[0]
    reply = client.download(product.name, Range="bytes=100-")
    assert (reply.status_code, len(reply.content)) == (200, product.size)
    assert "Accept-Ranges" not in reply.headers


def test_ranges_break_the_server():
    with opened(geodes_ranges="error", geodes_quota=1) as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        reply = client.download(name, Range="bytes=100-")
        assert (reply.status_code, reply.content) == (500, b"")
        assert client.download(name).status_code == 200


def test_ranges_work():
    with opened(geodes_ranges="works") as archive, GeodesClient(archive) as client:
        product = archive.catalogue[0]
        whole = archive.content(product.name).read()
        reply = client.download(product.name, Range="bytes=100-")
        assert (reply.status_code, reply.content) == (206, whole[100:])
        assert reply.headers["Content-Range"] == f"bytes 100-{product.size - 1}/{product.size}"
        assert client.download(product.name, Range="bytes=-22").content == whole[-22:]
        reply = client.download(product.name, Range=f"bytes={product.size}-")
        assert (reply.status_code, reply.headers["Content-Range"]) == (416, f"bytes */{product.size}")
        with zipfile.ZipFile(io.BytesIO(whole)) as file:
            assert file.testzip() is None


def first_download(**faults):
    named = {name.replace("_", "-"): rate for name, rate in faults.items()}
    with opened(faults=named, fault_limit=1) as archive, GeodesClient(archive) as client:
        product = archive.catalogue[0]
        return client.download(product.name), client.download(product.name), archive.content(product.name).read()


@pytest.mark.parametrize("status", [500, 502, 503])
def test_passing_errors(status):
    with opened(faults={f"error-{status}": 1.0}, fault_limit=1) as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        assert client.post("/api/stac/search", {"limit": 80}).status_code == status
        href = next(
            data_asset(item)["href"] for item in client.search(limit=80)["features"] if f"{name}.zip" in item["assets"]
        )
        assert client.fast(href).status_code == status
        assert client.fast(href).status_code == 200
        assert [client.http.get(href, headers=client.key).status_code for _ in range(2)] == [status, 200]


@pytest.mark.parametrize("fault", ["quota_json", "json_200"])
def test_json_instead_of_the_file(fault):
    reply, again, whole = first_download(**{fault: 1.0})
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/json")
    assert ("exceeds quota limit" in reply.text) == (fault == "quota_json")
    assert again.content == whole


def test_html_instead_of_the_file():
    reply, again, whole = first_download(html_200=1.0)
    assert reply.headers["Content-Type"].startswith("text/html")
    assert again.content == whole


def test_truncated_body_that_looks_complete():
    reply, again, whole = first_download(truncate=1.0)
    assert len(reply.content) == int(reply.headers["Content-Length"]) < len(whole)
    assert whole.startswith(reply.content)
    assert again.content == whole


def test_wrong_byte():
    reply, again, whole = first_download(flip=1.0)
    assert len(reply.content) == len(whole)
    assert sum(one != other for one, other in zip(reply.content, whole, strict=True)) == 1
    assert again.content == whole


def test_other_headers():
    reply, _, whole = first_download(octet_stream=1.0, length_none=1.0)
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert "Content-Length" not in reply.headers
    assert reply.headers["Transfer-Encoding"] == "chunked"
    assert reply.content == whole


@pytest.mark.parametrize(
    ("size", "told"), [((1 << 31) - 1, (1 << 31) - 1), (1 << 31, None), ((1 << 32) + 5000, 5000)], ids=str
)
def test_length_in_32_bits(size, told):
    with one_of_size(size) as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        with client.http.stream("GET", client.href(name), headers=client.key) as reply:
            assert reply.headers.get("Content-Length") == (None if told is None else str(told))
            if told == 5000:
                assert len(reply.read()) == told
            else:
                assert next(reply.iter_raw(4)) == b"PK\3\4"


def one_of_size(size):
    product = replace(Sandbox(**SMALL).catalogue[0], size=size, mode="disk", checksum="0" * 31 + "1")
    return running(catalogue=[product], faults={"length-32": 1.0})


def test_extra_asset_checksums_and_missing_properties():
    faults = {"xml-asset": 1.0, "checksum-upper": 1.0, "missing-properties": 1.0}
    with opened(faults=faults) as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        item = client.item(name)
        data = {key: asset for key, asset in item["assets"].items() if asset["roles"] == ["data"]}
        assert list(data) == [f"{name}.xml", f"{name}.zip"]
        assert data[f"{name}.zip"]["description"].endswith(archive.content(name).md5.upper())
        reply = client.http.get(data[f"{name}.xml"]["href"], headers=client.key)
        assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/xml")
        assert item["properties"]["sat:relative_orbit"] is None
        assert "sar:instrument_mode" not in item["properties"]


def test_no_checksum():
    with opened(faults={"checksum-null": 1.0}) as archive, GeodesClient(archive) as client:
        asset = data_asset(client.item(archive.catalogue[0].name))
        assert "Checksum" not in asset["description"]
        assert client.download(archive.catalogue[0].name).status_code == 200


def test_a_replaced_product_is_not_the_latest():
    with opened() as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        archive.hide(name)
        assert client.item(name)["properties"]["latest"] is False


def test_requests_and_transfers_are_counted():
    with opened() as archive, GeodesClient(archive) as client:
        name = archive.catalogue[0].name
        client.download(name)
        client.availability(name)
        client.get("/login")
        requests = archive.statistics.requests
        assert requests == {"search": 1, "download": 1, "availability": 1, "login": 1}
        [transfer] = archive.statistics.transfers
        assert (transfer.name, transfer.status, transfer.sent) == (name, 200, archive.content(name).size)
        assert archive.statistics.peak_downloads == 1


@pytest.mark.parametrize(
    "option",
    [
        {"geodes_ranges": "maybe"},
        {"geodes_bad_key": "x"},
        {"geodes_version": "3"},
        {"geodes_quota": -1},
        {"geodes_quota_seconds": 0},
        {"portal_seconds": -1},
    ],
    ids=str,
)
def test_options_that_make_no_sense(option):
    with pytest.raises(ValueError, match=next(iter(option)).removeprefix("geodes_")):
        Sandbox(**option)
