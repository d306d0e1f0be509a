"""Downloads from a running sandbox: login, staging, ranges, faults, and what is really on the wire."""

import base64
import json
import zipfile
from contextlib import closing, suppress
from io import BytesIO

import pytest
from raw_http import basic, connect, download_path, fetch, receive, request_bytes, running, split

from pepsasync.sandbox import FAULTS

SMALL = {"products": 2, "product_size": 40_000, "vary": False}
FORBIDDEN = b'{"ErrorMessage":"Forbidden","ErrorCode":403}'
UNAUTHORIZED = b'{"ErrorMessage":"Unauthorized","ErrorCode":401}'
NOT_FOUND = b'{"ErrorMessage":"Not Found","ErrorCode":404}'


def first(archive, collection="S2ST"):
    return next(product for product in archive.catalogue if product.collection == collection)


def item(archive, product):
    return json.loads(fetch(archive, f"/resto/collections/{product.collection}/{product.id}.json").body)["properties"]


def test_whole_file(archive):
    for product in archive.catalogue:
        reply = fetch(archive, download_path(product))
        assert reply.status_line == "HTTP/1.1 200 OK"
        assert reply.body == archive.content(product.name).read()
    with zipfile.ZipFile(BytesIO(reply.body)) as zipped:
        assert zipped.testzip() is None


def test_resume(archive):
    product = first(archive)
    data = archive.content(product.name).read()
    reply = fetch(archive, download_path(product), headers=[("Range", "bytes=1234-")])
    assert (reply.status, reply.body) == (206, data[1234:])
    assert reply.header("Content-Range") == f"bytes 1234-{product.size - 1}/{product.size}"


def test_surplus_of_a_bounded_range_corrupts_the_next_reply(archive):
    product = first(archive)
    data = archive.content(product.name).read()
    headers = [("Host", "localhost"), ("Authorization", basic(archive))]
    with connect(archive) as connection:
        connection.sendall(request_bytes("GET", download_path(product), [*headers, ("Range", "bytes=100-199")]))
        connection.sendall(request_bytes("GET", "/resto/nothing", [*headers, ("Connection", "close")]))
        reply = split(receive(connection))
    assert reply.header("Content-Length") == "100"
    assert reply.body.startswith(data[100:] + b"HTTP/1.1 404 Not Found\r\n")


def test_keep_alive(archive):
    product = first(archive)
    headers = [("Host", "localhost"), ("Authorization", basic(archive))]
    with connect(archive) as connection:
        for _ in range(3):
            connection.sendall(request_bytes("GET", download_path(product), headers))
            data = b""
            while not data.partition(b"\r\n\r\n")[2] or len(split(data).body) < product.size:
                data += connection.recv(1 << 20)
            assert split(data).body == archive.content(product.name).read()


@pytest.mark.parametrize("streaming", ["xsendfile", "nginx"])
def test_web_servers_know_validators(streaming):
    with running(streaming=streaming, tape_fraction=0, **SMALL) as archive:
        path = download_path(first(archive))
        whole = fetch(archive, path)
        assert whole.header("Content-Range") is None
        for validator in (whole.header("ETag"), whole.header("Last-Modified")):
            headers = [("Range", "bytes=10-19"), ("If-Range", validator)]
            assert fetch(archive, path, headers=headers).body == whole.body[10:20]
        changed = fetch(archive, path, headers=[("Range", "bytes=10-19"), ("If-Range", '"other"')])
        assert (changed.status, changed.body) == (200, whole.body)
        assert fetch(archive, path, headers=[("Range", "bytes=40000-")]).status == 416


def test_login(archive):
    path = download_path(first(archive))
    assert fetch(archive, path, login=False).body == UNAUTHORIZED
    assert fetch(archive, path, login=False).header("WWW-Authenticate") is None
    wrong = [basic(archive, "no"), basic(archive, scheme="basic"), "Basic !!!", "Basic /////w==", "Bearer x.y.z"]
    for value in wrong:
        assert fetch(archive, path, headers=[("Authorization", value)], login=False).status == 401
    upper = basic(archive).split()[1]
    assert fetch(archive, path, headers=[("Authorization", f"Basic {upper}")], login=False).status == 200


def test_email_is_lower_cased():
    with running(accounts={"Someone@Example.org": "pass:word"}, tape_fraction=0, **SMALL) as archive:
        archive.username = "SOMEONE@example.ORG"
        assert fetch(archive, download_path(first(archive))).status == 200


def test_token(archive):
    path = download_path(first(archive))
    refused = fetch(archive, "/resto/api/users/connect", login=False)
    assert (refused.status, refused.body) == (403, FORBIDDEN)
    wrong = [("Authorization", basic(archive, "wrong"))]
    assert fetch(archive, "/resto/api/users/connect.json", headers=wrong, login=False).body == FORBIDDEN
    token = json.loads(fetch(archive, "/resto/api/users/connect").body)["token"]
    bearer = [("Authorization", f"Bearer {token}")]
    assert fetch(archive, path, headers=bearer, login=False).status == 200
    assert fetch(archive, f"{path}?_bearer={token}", login=False).status == 200
    assert fetch(archive, f"{path}?_bearer=x.y.z").status == 401
    assert fetch(archive, f"{path}/?issuerId=peps", headers=bearer, login=False).status == 401
    assert fetch(archive, f"{path}/?issuerId=peps").status == 200


def test_token_expires():
    now = [0.0]
    with running(clock=lambda: now[0], tape_fraction=0, **SMALL) as archive:
        token = json.loads(fetch(archive, "/resto/api/users/connect").body)["token"]
        path = f"{download_path(first(archive))}?_bearer={token}"
        check = f"/resto/api/users/checkToken?_tk={token}"
        assert fetch(archive, path, login=False).status == 200
        assert json.loads(fetch(archive, check).body) == {"status": "success", "message": "Valid token"}
        now[0] = 3601
        assert fetch(archive, path, login=False).status == 401
        assert json.loads(fetch(archive, check).body) == {"status": "error", "message": "User not connected"}
        assert fetch(archive, "/resto/api/users/checkToken").status == 400


def test_users_of_the_interface(archive):
    for path in ("nobody", "nobody/activate"):
        assert fetch(archive, f"/resto/api/users/{path}").body == FORBIDDEN


def test_download_info(archive):
    path = f"/resto/users/{base64.b64encode(archive.username.encode()).decode()}/downloadinfo"
    assert fetch(archive, path, login=False).body == FORBIDDEN
    assert fetch(archive, path.replace("users/", "users/b")).body == FORBIDDEN
    info = json.loads(fetch(archive, path).body)
    assert list(info) == ["instantLimitDownload", "weeklyLimitDownload", "weeklyDownloaded"]


def test_order_of_the_checks():
    with running(tape_fraction=1, **SMALL) as archive:
        product = first(archive)
        path = download_path(product)
        archive.deny("S2ST")
        archive.hide(product.name)
        archive.drop_file(product.name)
        assert fetch(archive, path.replace(product.id, "x") + "?_tk=1").body == NOT_FOUND
        assert fetch(archive, path + "?_tk=1", login=False).status == 403
        assert fetch(archive, path, login=False).status == 401
        assert fetch(archive, path).body == NOT_FOUND
        assert fetch(archive, path.replace("download", "check/download")).body == NOT_FOUND
        assert archive.tier(product.name) == "tape"
        assert fetch(archive, download_path(first(archive, "S1"))).status == 202


def test_hidden_then_forbidden_then_staged():
    with running(tape_fraction=1, **SMALL) as archive:
        product = first(archive)
        path = download_path(product)
        archive.deny("S2ST", archive.username)
        assert fetch(archive, path).body == FORBIDDEN
        archive.hide(product.name, "new-id")
        assert b"new feature id is : new-id" in fetch(archive, path).body


def test_staging_on_a_fake_clock():
    now = [0.0]
    with running(clock=lambda: now[0], tape_fraction=1, mount_seconds=1, staging_seconds=4, **SMALL) as archive:
        product = first(archive)
        assert item(archive, product)["storage"] == {"mode": "tape"}
        assert fetch(archive, download_path(product).replace("download", "check/download")).status == 200
        assert archive.tier(product.name) == "tape"
        reply = fetch(archive, download_path(product))
        assert reply.status_line == "HTTP/1.1 202 You should retry the request"
        assert (reply.header("Retry-After"), reply.header("X-regards-retry"), reply.body) == ("180000", "180000", b"")
        assert item(archive, product)["storage"] == {"mode": "staging"}
        assert fetch(archive, download_path(product)).status == 202
        now[0] = 5
        assert item(archive, product)["storage"] == {"mode": "disk"}
        assert fetch(archive, download_path(product)).status == 200
        assert archive.statistics.stagings == {product.name: 1}


def test_short_waits_are_written_so_that_nobody_waits_long():
    with running(tape_fraction=1, time_scale=60, **SMALL) as archive:
        reply = fetch(archive, download_path(first(archive)))
        assert (reply.header("Retry-After"), reply.header("X-regards-retry")) == ("3", "3000")


def test_head_stages_too():
    with running(clock=lambda: 0.0, tape_fraction=1, **SMALL) as archive:
        product = first(archive)
        reply = fetch(archive, download_path(product), "HEAD")
        assert (reply.status, reply.header("Content-Length"), reply.header("Transfer-Encoding")) == (202, None, None)
        assert archive.tier(product.name) == "staging"


@pytest.mark.parametrize("mode", ["staging", "unknown", "unavailable", "tier2", "tier3"])
def test_other_modes_are_202_for_ever(mode):
    with running(tape_fraction=0, **SMALL) as archive:
        product = first(archive)
        archive.set_tier(product.name, mode)
        assert item(archive, product)["storage"] == {"mode": mode}
        assert [fetch(archive, download_path(product)).status for _ in range(2)] == [202, 202]
        assert archive.statistics.stagings == {}


def broken(fault, collection="S2ST", tape=0, **options):
    """Start an archive whose every product suffers from one fault."""
    return running(faults={fault: 1.0}, tape_fraction=tape, time_scale=1000, stall_seconds=1, **SMALL, **options)


@pytest.mark.parametrize(
    ("fault", "status", "start"),
    [
        ("error-500", 500, b""),
        ("error-502", 502, b"<html>"),
        ("error-503", 503, b"<html>"),
        ("html-200", 200, b"<html>"),
        ("json-200", 200, b'{"ErrorMessage":"User has to sign license","ErrorCode":3002}'),
        ("missing-file", 404, NOT_FOUND),
        ("quota-420", 420, b'{"ErrorMessage":"week|10000000","ErrorCode":420}'),
        ("fall-back", 202, b""),
        ("storage-down", 202, b""),
        ("unknown-once", 202, b""),
    ],
)
def test_fault_instead_of_the_file_strikes_twice(fault, status, start):
    with broken(fault, retry_after_ms=0, staging_seconds=0, mount_seconds=0) as archive:
        product = first(archive)
        for _ in range(2):
            reply = fetch(archive, download_path(product))
            assert reply.status == status
            assert reply.body.startswith(start)
            assert not reply.body.startswith(b"PK")
        if fault == "error-503":
            assert reply.header("Retry-After") == "1"
        assert fetch(archive, download_path(product)).body == archive.content(product.name).read()
        assert archive.statistics.faults == {fault: 2}


def test_a_product_that_is_too_large_stays_so():
    with broken("too-large") as archive:
        replies = [fetch(archive, download_path(first(archive))) for _ in range(3)]

    assert [(420, b'{"ErrorMessage":"instant|2000","ErrorCode":420}')] * 3 == [(r.status, r.body) for r in replies]


@pytest.mark.parametrize("fault", ["cut", "truncate", "flip", "stall"])
def test_damaged_bodies(fault):
    with broken(fault) as archive:
        product = first(archive)
        data = archive.content(product.name).read()
        reply = fetch(archive, download_path(product))
        declared = int(reply.header("Content-Length"))
        if fault == "cut":
            assert len(reply.body) < declared == product.size
            assert data.startswith(reply.body)
        elif fault == "truncate":
            assert len(reply.body) == declared < product.size
        elif fault == "flip":
            assert sum(a != b for a, b in zip(reply.body, data, strict=True)) == 1
        else:
            assert reply.body == data


def test_endless_stall_ends_with_the_client_or_the_archive():
    with running(faults={"stall": 1.0}, tape_fraction=0, stall_seconds=None, **SMALL) as archive:
        headers = [("Host", "localhost"), ("Authorization", basic(archive))]
        with closing(connect(archive)) as connection:
            connection.sendall(request_bytes("GET", download_path(first(archive)), headers))
            assert connection.recv(100)
            archive.stop()
            with suppress(ConnectionResetError):  # a clean end is as good as a reset
                receive(connection)


def test_still_tape_has_to_be_asked_again():
    with broken("still-tape", tape=1) as archive:
        product = first(archive)
        for mode in ("tape", "tape", "staging"):
            assert fetch(archive, download_path(product)).status == 202
            assert archive.tier(product.name) in {mode, "disk" if mode == "staging" else mode}


def test_slow_202():
    with broken("slow-202", tape=1) as archive:
        assert fetch(archive, download_path(first(archive))).status == 202
        assert archive.statistics.faults == {"slow-202": 1}


def test_hidden_feature_leads_to_its_successor():
    with broken("hidden") as archive:
        product = first(archive)
        assert item(archive, product)["visible"] == 1
        refused = fetch(archive, download_path(product)).body
        properties = item(archive, product)
        successor = properties["newVersion"]
        assert properties["visible"] == 0
        assert successor.encode() in refused
        found = json.loads(fetch(archive, "/resto/api/collections/S2ST/search").body)["features"]
        assert [(feature["id"], feature["properties"]["visible"]) for feature in found] == [(successor, 1)]
        path = download_path(product).replace(product.id, successor)
        assert fetch(archive, path).body == archive.content(product.name).read()


def test_faults_of_descriptions():
    with broken("checksum-lower") as archive:
        assert item(archive, first(archive))["resourceChecksum"] == archive.content(first(archive).name).md5
    with broken("checksum-null") as archive:
        properties = item(archive, first(archive))
        assert properties["resourceChecksum"] is None
        assert "checksum" not in properties["services"]["download"]
    with broken("size-text") as archive:
        assert item(archive, first(archive))["resourceSize"] == "40000"
    with broken("missing-properties") as archive:
        properties = item(archive, first(archive))
        assert "storage" not in properties
        assert properties["cloudCover"] is None


def test_faults_of_searches():
    path = "/resto/api/collections/S2ST/search.json?maxRecords=1"
    with broken("estimate") as archive:
        assert json.loads(fetch(archive, path).body)["properties"]["exactCount"] is False
    with broken("storage-down") as archive:
        assert json.loads(fetch(archive, path).body)["features"][0]["properties"]["storage"] == {"mode": "unknown"}


@pytest.mark.parametrize("status", [500, 502, 503])
def test_servers_break_down_on_searches_too(status):
    with broken(f"error-{status}") as archive:
        path = "/resto/api/collections/S2ST/search.json"
        assert [fetch(archive, path).status for _ in range(3)] == [status, status, 200]


def test_page_shift_repeats_a_product():
    options = {"products": 8, "product_size": 20_000, "faults": {"page-shift": 1.0}}
    with running(**options) as archive:
        path = "/resto/api/collections/S2ST/search.json?maxRecords=2&page="
        pages = [json.loads(fetch(archive, path + str(page)).body)["features"] for page in (1, 2)]
        assert pages[1][0]["id"] == pages[0][1]["id"]
        assert len(archive.catalogue) == 9


def test_every_fault_is_described():
    assert list(FAULTS) == sorted(FAULTS)
    assert all(FAULTS.values())


def test_least_recently_used_product_goes_back_to_tape():
    with running(tape_fraction=0, cache_size=50_000, **SMALL) as archive:
        assert sorted(archive.tier(product.name) for product in archive.catalogue) == ["disk", "tape"]


def test_quota_of_an_account_counts_products_that_are_begun():
    with running(**SMALL, tape_fraction=0, peps_quota=1) as archive:
        one, other = archive.catalogue
        rest = [("Range", "bytes=1234-")]
        statuses = [
            fetch(archive, download_path(product), headers=headers).status_line.split()[1]
            for product, headers in ((one, []), (one, rest), (other, []), (other, rest))
        ]
        assert ["200", "206", "420", "206"] == statuses
        assert 1 == archive.statistics.quota_refusals
