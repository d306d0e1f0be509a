"""Every answer to a download request is its own error, as the running server software gave them."""

import contextlib
import json
from datetime import UTC, datetime

import httpx
import pytest

from fakes import product
from pepsasync.config import Config
from pepsasync.credentials import Credentials
from pepsasync.credentials.lookup import Lookup
from pepsasync.engine.search import search
from pepsasync.errors import (
    AuthError,
    ForbiddenError,
    NotFoundError,
    OfflineError,
    ProtocolError,
    QuotaError,
    RefusedError,
    ReplacedError,
    ServerError,
    UnavailableError,
)
from pepsasync.http.client import Http
from pepsasync.model import Query, StorageTier
from pepsasync.providers.base import StagingOutcome
from pepsasync.providers.peps import Peps

ROOT = "https://archive.example/resto"
ITEM = product("A", download_url=f"{ROOT}/collections/S1/id-A/download")
pytestmark = pytest.mark.anyio


def peps(handler=lambda request: httpx.Response(200), *, root=ROOT):
    http = Http(Config(retries=1), transport=httpx.MockTransport(handler))
    return Peps(http, Lookup.of(Credentials(username="Who@Example.org", password="a b:ç")), root)


def judge(status, body=b"", content_type="application/json", **headers):
    response = httpx.Response(
        status, headers={"Content-Type": content_type, **headers}, request=httpx.Request("GET", ITEM.download_url)
    )
    return peps().judge_download(ITEM, response, body)


def error_body(message, code):
    return json.dumps({"ErrorMessage": message, "ErrorCode": code}).encode()


@pytest.mark.parametrize(
    ("status", "body", "content_type", "expected"),
    [
        pytest.param(202, b"", "text/html; charset=UTF-8", OfflineError, id="202-on-tape"),
        pytest.param(401, error_body("Unauthorized", 401), "application/json", AuthError, id="401-wrong-password"),
        pytest.param(403, error_body("Forbidden", 403), "application/json", ForbiddenError, id="403-no-right"),
        pytest.param(404, error_body("Not Found", 404), "application/json", NotFoundError, id="404-no-file"),
        pytest.param(420, error_body("week|10000000", 420), "application/json", QuotaError, id="420-week-quota"),
        pytest.param(420, error_body("instant|2000", 420), "application/json", ForbiddenError, id="420-too-large"),
        pytest.param(429, b"", "text/plain", QuotaError, id="429-rate"),
        pytest.param(500, b"", "text/html", ServerError, id="500-database-down"),
        pytest.param(503, b"<html>", "text/html", UnavailableError, id="503-front"),
        pytest.param(400, error_body("License", 4004), "application/json", RefusedError, id="400-internal-code"),
        pytest.param(200, error_body("sign the license", 3002), "application/json", ProtocolError, id="200-json"),
        pytest.param(200, b"<html>login", "text/html", ProtocolError, id="200-html"),
        pytest.param(200, b"<html>login", "application/zip", ProtocolError, id="200-html-called-zip"),
        pytest.param(206, b"", "text/html", ProtocolError, id="206-html"),
    ],
)
def test_judge_download_each_answer_has_its_error(status, body, content_type, expected):
    error = judge(status, body, content_type)

    assert expected is type(error)
    assert "A" == error.product


@pytest.mark.parametrize("head", [b"", b"PK\3\4...", b"P", b"PK\3\4"])
def test_judge_download_zip_is_right(head):
    assert judge(200, head, "application/zip") is None


def test_judge_download_replaced_product_names_the_new_one():
    error = judge(404, error_body("Feature has been moved, new feature id is : 63f47b40-869a", 404))

    assert isinstance(error, ReplacedError)
    assert "63f47b40-869a" == error.replaced_by


def test_judge_download_withdrawn_product():
    error = judge(404, error_body("Feature has been moved, new feature id is : unavailable", 404))

    assert isinstance(error, ReplacedError)
    assert error.replaced_by is None
    assert "withdrawn" in str(error)


def test_judge_download_product_above_the_instant_limit_says_what_to_do():
    error = judge(420, error_body("instant|2000", 420))

    assert "A: the product is larger than what this account may download at once (2000 MB)" in str(error)
    assert "another archive" in error.hint


@pytest.mark.parametrize("status", [202, 420, 429, 503])
def test_judge_download_retry_after_is_milliseconds(status):
    assert 180.0 == judge(status, **{"Retry-After": "180000"}).retry_after
    assert 180.0 == judge(status, **{"Retry-After": "180"}).retry_after


def test_judge_download_recorded_answers(recordings):
    expected = {
        "d_noauth": AuthError,
        "d_wrong_password": AuthError,
        "d_no_right_s1": ForbiddenError,
        "d_missing_file": NotFoundError,
        "d_unknown_id": NotFoundError,
        "d_visible0": ReplacedError,
        "d_visible0_unavailable": ReplacedError,
        "d_tape_first": OfflineError,
        "d_staging": OfflineError,
        "d_unknown": OfflineError,
        "d_tier2": OfflineError,
        "d_storage_service_down": OfflineError,
        "d_ok": type(None),
        "d_range_open_100": type(None),
        "m_nginx_xaccel_at_size": type(None),
    }
    for name, kind in expected.items():
        exchange = json.loads((recordings / "peps" / "server" / f"{name}.json").read_text("utf-8"))
        status = int(exchange["status_line"].split()[1])
        headers = {key: value for key, value in exchange["headers"] if key in ("Content-Type", "Retry-After")}
        response = httpx.Response(status, headers=headers, request=httpx.Request("GET", ITEM.download_url))
        error = peps().judge_download(ITEM, response, exchange.get("body", "").encode())
        assert kind is type(error), name


async def sent(item):
    """The download request of a product as it leaves."""
    requests = []
    provider = peps(lambda request: requests.append(request) or httpx.Response(200))
    await provider._http.send(await provider.download_request(item))
    return requests[-1]


async def test_download_request_sends_basic_at_once_in_utf8():
    assert (await sent(ITEM)).headers["Authorization"] == "Basic V2hvQEV4YW1wbGUub3JnOmEgYjrDpw=="


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/resto/x",
        "https://archive.example:444/resto/x",
        "https://archive.example.evil.example/resto/x",
    ],
)
async def test_download_request_credentials_stay_with_the_archive(url):
    assert "Authorization" not in (await sent(product("A", download_url=url))).headers


async def test_credentials_do_not_follow_a_redirect_elsewhere():
    requests = []

    def answer(request):
        requests.append(request)
        elsewhere = request.url.host != "archive.example"
        return httpx.Response(200 if elsewhere else 302, headers={"Location": "https://elsewhere.example/x"})

    provider = peps(answer)
    await provider._http.send(await provider.download_request(ITEM))

    assert ["Authorization" in request.headers for request in requests] == [True, False]


async def test_download_request_without_credentials_is_refused_before_sending():
    with pytest.raises(AuthError, match="--auth"):
        await Peps(Http(Config()), Lookup.of(None), ROOT).download_request(ITEM)


@pytest.mark.parametrize(("status", "error"), [(200, None), (401, AuthError), (403, AuthError)])
async def test_the_account_is_checked_by_asking_for_a_token(status, error):
    provider = peps(lambda request: httpx.Response(status if request.url.path.endswith("/users/connect") else 404))

    with pytest.raises(error) if error else contextlib.nullcontext():
        assert (await provider.account()).quota_left is None


@pytest.mark.parametrize(
    ("answer", "outcome", "retry_after"),
    [
        pytest.param(httpx.Response(202, headers={"Retry-After": "900000"}), StagingOutcome.ACCEPTED, 900, id="tape"),
        pytest.param(httpx.Response(200, content=b"PK"), StagingOutcome.ONLINE, None, id="online"),
        pytest.param(httpx.Response(420, content=b"{}"), StagingOutcome.QUOTA, None, id="quota"),
        pytest.param(httpx.Response(429, headers={"Retry-After": "7"}), StagingOutcome.QUOTA, 7, id="rate"),
    ],
)
async def test_request_staging(answer, outcome, retry_after):
    reply = await peps(lambda request: answer).request_staging(ITEM)

    assert (outcome, retry_after) == (reply.outcome, reply.retry_after)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b"{}", AuthError),
        (403, b"{}", ForbiddenError),
        (404, b"{}", NotFoundError),
        (420, error_body("instant|2000", 420), ForbiddenError),
        (500, b"{}", ServerError),
    ],
)
async def test_request_staging_refused(status, body, expected):
    with pytest.raises(expected):
        await peps(lambda request: httpx.Response(status, content=body)).request_staging(ITEM)


def modest(count, served):
    """A server that gives fewer a page than it is asked for; all its products are of one instant, and on disk."""

    def answer(request):
        first = served * (int(request.url.params["page"]) - 1)
        found = [feature(number) for number in range(count)][first : first + served]
        links = [{"rel": "next"}] if len(found) == served else []
        described = {"totalResults": count, "startIndex": first + 1, "links": links}
        return httpx.Response(200, json={"features": found, "properties": described})

    return answer


def feature(number):
    start, disk = "2020-06-10T10:50:31Z", {"mode": "disk"}
    return {"id": f"id-P{number}", "properties": {"collection": "S1", "startDate": start, "storage": disk}}


@pytest.mark.parametrize(("count", "pages"), [(350, 4), (300, 4), (99, 1)])
async def test_search_finds_everything_where_pages_are_short(count, pages):
    seen = []
    provider = peps(lambda request: seen.append(request) or modest(count, 100)(request))

    async with search(Query(collection="S1"), provider, lambda _: None) as found:
        ids = [one.id for page in [page async for page in found] for one in page]

    assert [f"id-P{number}" for number in range(count)] == ids
    assert pages == len(seen)


async def test_tiers_are_searched_for_where_pages_are_short():
    seen = []
    provider = peps(lambda request: seen.append(request) or modest(350, 100)(request))
    start = datetime(2020, 6, 10, 10, 50, 31, tzinfo=UTC)
    waiting = [product(f"P{number}", start=start) for number in range(350)]

    assert {one.id: StorageTier.DISK for one in waiting} == await provider.tiers(waiting)
    assert 4 == len(seen)


async def test_tiers_of_a_server_that_goes_in_circles_are_asked_for_one_by_one():
    def answer(request):
        if request.url.path.endswith("/search.json"):
            return httpx.Response(200, json={"features": [feature(0)], "properties": {"links": [{"rel": "next"}]}})
        return httpx.Response(200, json=feature(1))

    waiting = [product(f"P{number}", start=datetime(2020, 6, 10, tzinfo=UTC)) for number in range(5)]

    assert {one.id: StorageTier.DISK for one in waiting} == await peps(answer).tiers(waiting)


async def test_search_page_public_service_is_closed():
    def gone(request):
        raise httpx.ConnectError("no route", request=request)

    provider = peps(gone, root="https://peps.cnes.fr/resto")
    [query] = provider.slices(Query(collection="S1"))

    with pytest.raises(ServerError, match=r"closed in March 2026.*GEODES"):
        await provider.search_page(query, 1)
