"""Downloads from the CDSE sandbox: redirects, tokens, ranges, connections, tape and faults."""

import zipfile
from contextlib import ExitStack
from io import BytesIO

import httpx
import pytest
from cdse_client import bearer, get, grant, head, products, value_url
from raw_http import running

SMALL = {"products": 2, "product_size": 40_000, "vary": False, "tape_fraction": 0}
BUSY = {"code": "DAT-ZIP-100", "message": "Max session number exceeded"}


def first(archive):
    return archive.catalogue[0]


def test_whole_files(archive):
    session = bearer(archive)
    for product in archive.catalogue[:3]:
        reply = get(value_url(archive, product), headers=session, follow_redirects=True)
        assert reply.content == archive.content(product.name).read()
        assert reply.headers["Content-Disposition"] == f"attachment; filename={product.name}.SAFE.zip"
    with zipfile.ZipFile(BytesIO(reply.content)) as zipped:
        assert zipped.testzip() is None


def test_resume(archive):
    data = archive.content(first(archive).name).read()
    headers = {**bearer(archive), "Range": "bytes=1000-"}
    reply = get(value_url(archive, first(archive)), headers=headers, follow_redirects=True)
    assert (reply.status_code, reply.content) == (206, data[1000:])
    assert reply.headers["Content-Range"] == f"bytes 1000-{len(data) - 1}/{len(data)}"
    headers["Range"] = "bytes=10-19"
    assert get(reply.url, headers=headers).content == data[10:20]
    headers["Range"] = f"bytes={len(data)}-"
    beyond = get(reply.url, headers=headers)
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(data)}")
    headers |= {"Range": "bytes=10-19", "If-Range": '"unknown"'}
    assert get(reply.url, headers=headers).content == data


def test_zip_that_is_made_while_it_is_sent():
    with running(faults={"zipped-late": 1.0}, **SMALL) as archive:
        product = first(archive)
        described = next(one for one in products(archive).json()["value"] if one["Name"].startswith(product.name))
        data, url = archive.content(product.name).read(), value_url(archive, product)
        reply = get(url, headers={**bearer(archive), "Range": "bytes=1000-"}, follow_redirects=True)
    assert (described["Checksum"], described["ContentLength"] > len(data)) == ([], True)
    assert (reply.status_code, reply.content) == (200, data)
    assert not {"content-length", "content-range", "accept-ranges"} & set(reply.headers)


@pytest.mark.parametrize("ask", [get, head])
def test_redirect_to_the_zipper(archive, ask):
    url = value_url(archive, first(archive))
    reply = ask(f"{url}?token=abc")
    assert reply.status_code == 301
    assert reply.headers["Location"] == url.replace("/odata", "/zipper/odata") + "?token=abc"


def test_token_in_the_address(archive):
    token = grant(archive).json()["access_token"]
    reply = get(f"{value_url(archive, first(archive))}?token={token}", follow_redirects=True)
    assert reply.content == archive.content(first(archive).name).read()


def test_no_redirect():
    with running(cdse_redirect=False, **SMALL) as archive:
        url = value_url(archive, first(archive))
        assert get(url).status_code == 401
        assert get(url, headers=bearer(archive)).content == archive.content(first(archive).name).read()


def test_unknown_product(archive):
    url = f"{archive.cdse_url}/odata/v1/Products(00000000-0000-0000-0000-000000000000)/$value"
    assert get(url, headers=bearer(archive)).status_code == 404


def test_another_host_must_not_see_the_token():
    now = [0.0]
    with running(cdse_foreign=True, clock=lambda: now[0], **SMALL) as archive:
        url, session = value_url(archive, first(archive)), bearer(archive)
        assert get(url).status_code == 401
        # httpx takes the header away when the host changes.
        reply = get(url, headers=session, follow_redirects=True)
        assert reply.url.host == "localhost"
        assert reply.content == archive.content(first(archive).name).read()
        assert archive.statistics.leaked_tokens == 0
        assert get(reply.url, headers=session).status_code == 200
        assert get(f"{reply.url}&token=abc").status_code == 200
        assert archive.statistics.leaked_tokens == 2
        assert get(reply.url.copy_set_param("key", "wrong")).status_code == 403
        now[0] = 601.0
        assert get(reply.url).status_code == 403


def test_four_connections_of_one_account():
    options = {**SMALL, "product_size": 30_000_000, "accounts": {"one": "x", "two": "x"}}
    with running(cdse_redirect=False, **options) as archive, ExitStack() as stack:
        url, session = value_url(archive, first(archive)), bearer(archive)
        client = stack.enter_context(httpx.Client(headers=session, verify=False))
        four = [stack.enter_context(client.stream("GET", url)) for _ in range(4)]
        assert [reply.status_code for reply in four] == [200] * 4
        fifth = client.get(url)
        assert (fifth.status_code, fifth.json()) == (429, BUSY)
        assert client.head(url).status_code == 200
        other = {"Authorization": f"Bearer {grant(archive, username='two').json()['access_token']}"}
        with client.stream("GET", url, headers=other) as reply:
            assert reply.status_code == 200
        four[0].read()
        with client.stream("GET", url) as reply:
            assert reply.status_code == 200


def test_connections_of_clients_that_went_away_come_back():
    options = {**SMALL, "product_size": 30_000_000}
    with running(cdse_redirect=False, cdse_connections=1, **options) as archive:
        url, session = value_url(archive, first(archive)), bearer(archive)
        for number in range(3):
            with httpx.stream("GET", url, headers=session, verify=False) as reply:
                assert reply.status_code == 200
                next(reply.iter_raw())
            while len(archive.statistics.transfers) == number:
                products(archive, top=0)  # until the archive has noticed


def test_denied_collection():
    with running(**SMALL) as archive:
        archive.deny(first(archive).collection)
        reply = get(value_url(archive, first(archive)), headers=bearer(archive), follow_redirects=True)
        assert reply.status_code == 403


def test_products_on_tape_are_not_found_and_stay_on_tape():
    with running(**{**SMALL, "tape_fraction": 1}) as archive:
        url, session = value_url(archive, first(archive)), bearer(archive)
        for _ in range(2):
            reply = get(url, headers=session, follow_redirects=True)
            assert (reply.status_code, reply.json()) == (404, {"detail": "Product is offline"})
        assert archive.statistics.stagings == {}
        archive.set_tier(first(archive).name, "disk")
        assert get(url, headers=session, follow_redirects=True).status_code == 200


def test_products_come_back_when_somebody_orders_them():
    now = [0.0]
    times = {"mount_seconds": 1, "staging_seconds": 4, "portal_seconds": 60}
    with running(clock=lambda: now[0], **times, **{**SMALL, "tape_fraction": 1}) as archive:
        url, session = value_url(archive, first(archive)), bearer(archive)
        assert archive.statistics.stagings == {}
        now[0] = 100.0
        assert get(url, headers=session, follow_redirects=True).status_code == 404
        now[0] = 164.0
        assert products(archive, filter="Online eq true").json()["value"] == []
        now[0] = 165.0
        assert get(url, headers=session, follow_redirects=True).status_code == 200
        assert archive.statistics.stagings == {first(archive).name: 1}


def test_restored_by_hand():
    now = [0.0]
    with running(clock=lambda: now[0], staging_seconds=4, **{**SMALL, "tape_fraction": 1}) as archive:
        archive.restore(first(archive).name)
        assert products(archive, filter="Online eq true").json()["value"] == []
        now[0] = 5.0
        url = value_url(archive, first(archive))
        assert get(url, headers=bearer(archive), follow_redirects=True).status_code == 200


def test_an_empty_zip_for_a_product_on_tape():
    with running(faults={"empty-zip": 1.0}, **{**SMALL, "tape_fraction": 1}) as archive:
        reply = get(value_url(archive, first(archive)), headers=bearer(archive), follow_redirects=True)
        assert (reply.status_code, len(reply.content)) == (200, 22)
        with zipfile.ZipFile(BytesIO(reply.content)) as zipped:
            assert zipped.namelist() == []


@pytest.mark.parametrize(
    ("fault", "status", "start"),
    [
        ("error-500", 500, b""),
        ("error-502", 502, b"<html>"),
        ("error-503", 503, b"<html>"),
        ("html-200", 200, b"<html>"),
        ("json-200", 200, b'{"detail":'),
        ("missing-file", 404, b'{"detail":'),
        ("token-refused", 401, b'{"detail":'),
        ("zipper-busy", 429, b'{"code":"DAT-ZIP-100"'),
    ],
)
def test_fault_instead_of_the_file_strikes_twice(fault, status, start):
    with running(faults={fault: 1.0}, **SMALL) as archive:
        # The same fault strikes the search and the token twice each.
        described = [products(archive) for _ in range(3)][-1].json()["value"]
        granted = [grant(archive) for _ in range(3)][-1].json()
        identifier = next(entry["Id"] for entry in described if entry["Name"] == f"{first(archive).name}.SAFE")
        url = f"{archive.cdse_url}/zipper/odata/v1/Products({identifier})/$value"
        session = {"Authorization": f"Bearer {granted['access_token']}"}
        for _ in range(2):
            reply = get(url, headers=session)
            assert reply.status_code == status
            assert reply.content.startswith(start)
        assert get(url, headers=session).content[:2] == b"PK"


def test_back_on_tape_just_before_the_download():
    with running(faults={"fall-back": 1.0}, **SMALL) as archive:
        url, session = value_url(archive, first(archive)), bearer(archive)
        assert get(url, headers=session, follow_redirects=True).status_code == 404
        described = products(archive, filter=f"Name eq '{first(archive).name}.SAFE'").json()["value"][0]
        assert described["Online"] is False


@pytest.mark.parametrize("fault", ["cut", "truncate", "flip"])
def test_damaged_bodies(fault):
    with running(faults={fault: 1.0}, **SMALL) as archive:
        url, session = value_url(archive, first(archive)), bearer(archive)
        whole, got = archive.content(first(archive).name).read(), b""
        try:
            with httpx.stream("GET", url, headers=session, follow_redirects=True, verify=False) as reply:
                for chunk in reply.iter_raw():
                    got += chunk
        except httpx.RemoteProtocolError:
            assert fault == "cut"
        assert got != whole
        assert (len(got) == len(whole)) == (fault == "flip")
