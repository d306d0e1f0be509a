"""Requests to the Copernicus Data Space, where tokens go, and what its answers mean."""

import json
import math
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from fakes import product
from pepsasync.config import Config
from pepsasync.credentials import Credentials
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import (
    AddressError,
    AuthError,
    ForbiddenError,
    NotFoundError,
    OfflineError,
    ProtocolError,
    QuotaError,
    RefusedError,
    ServerError,
    TooManyAtOnceError,
    UnavailableError,
)
from pepsasync.http.client import Http
from pepsasync.model import Account, Query, StorageTier
from pepsasync.providers.base import StagingOutcome
from pepsasync.providers.cdse import Cdse
from pepsasync.providers.cdse.query import LAST_PAGE

ROOT = "https://archive.example/cdse"
TOKEN_PATH = "/auth/realms/CDSE/protocol/openid-connect/token"
ITEM = product("A", download_url=f"{ROOT}/odata/v1/Products(id-A)/$value", tier=StorageTier.DISK)
TAPE = product("A", download_url=ITEM.download_url, tier=StorageTier.TAPE)
NEWEST = datetime(2020, 6, 10, 10, 50, 31, 24000, tzinfo=UTC)
ZIP, EMPTY_ZIP = b"PK\3\4....", b"PK\5\6" + bytes(18)
pytestmark = pytest.mark.anyio


class Archive:
    """Hands out tokens, and answers everything else from a script by host and path, the last answer for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.granted = 0

    def __call__(self, request):
        if request.url.path.endswith(TOKEN_PATH):
            self.granted += 1
            return httpx.Response(
                200, json={"access_token": f"secret-{self.granted}", "refresh_token": "r", "expires_in": 600}
            )
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request) if callable(answer) else answer

    @property
    def sent(self):
        """Host and token of each request."""
        return [(request.url.host, request.headers.get("Authorization")) for request in self.requests]


def redirect(url):
    return httpx.Response(302, headers={"Location": url})


def cdse(archive=None, *, root=ROOT):
    http = Http(Config(retries=1), transport=httpx.MockTransport(archive or Archive(httpx.Response(200))))
    return Cdse(http, Lookup.of(Credentials(username="who@example.org", password="secret-password")), root)


def judge(status, body=b"", content_type="application/json", *, of=ITEM, **headers):
    response = httpx.Response(
        status, headers={"Content-Type": content_type, **headers}, request=httpx.Request("GET", of.download_url)
    )
    return cdse().judge_download(of, response, body)


async def fetch(provider, item=ITEM):
    """Download as the engine does: the error, or None."""
    async with provider._http.stream(await provider.download_request(item)) as response:
        head = b"" if response.status_code in (200, 206) else await response.aread()
        return provider.judge_download(item, response, head)


MAX_SESSIONS = json.dumps({"code": "DAT-ZIP-100", "message": "Max session number exceeded"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "content_type", "expected"),
    [
        pytest.param(401, b"{}", "application/json", ServerError, id="401-session-ended"),
        pytest.param(429, b"", "text/plain", QuotaError, id="429-rate"),
        pytest.param(429, MAX_SESSIONS, "application/json", TooManyAtOnceError, id="429-connections"),
        pytest.param(403, MAX_SESSIONS, "application/json", TooManyAtOnceError, id="403-connections"),
        pytest.param(200, MAX_SESSIONS, "application/json", TooManyAtOnceError, id="200-connections"),
        pytest.param(503, b"<html>", "text/html", UnavailableError, id="503-front"),
        pytest.param(302, b"", "text/plain", ProtocolError, id="302-to-nowhere"),
        pytest.param(200, b"{}", "application/json", ProtocolError, id="200-json"),
        pytest.param(200, b"<html>login", "text/html", ProtocolError, id="200-html"),
        pytest.param(200, b"<html>login", "application/zip", ProtocolError, id="200-html-called-zip"),
        pytest.param(200, EMPTY_ZIP, "application/zip", OfflineError, id="200-empty-zip"),
    ],
)
def test_judge_download_each_answer_has_its_error(status, body, content_type, expected):
    error = judge(status, body, content_type)

    assert expected is type(error)
    assert ("A", ITEM.download_url) == (error.product, error.url)


@pytest.mark.parametrize(
    ("status", "tier", "if_online"),
    [
        pytest.param(202, StorageTier.DISK, ProtocolError, id="202"),
        pytest.param(403, StorageTier.DISK, ForbiddenError, id="403"),
        pytest.param(404, StorageTier.DISK, NotFoundError, id="404"),
        pytest.param(410, StorageTier.DISK, NotFoundError, id="410"),
        pytest.param(422, StorageTier.DISK, RefusedError, id="422"),
        pytest.param(403, StorageTier.TAPE, ForbiddenError, id="403-on-tape"),
        pytest.param(403, StorageTier.UNKNOWN, ForbiddenError, id="403-unknown"),
    ],
)
def test_judge_download_refusal_that_only_the_record_explains(status, tier, if_online):
    error = judge(status, b'{"detail":"x"}', of=product("A", download_url=ITEM.download_url, tier=tier))

    assert (OfflineError, if_online) == (type(error), type(error.if_online))
    assert [("A", ITEM.download_url)] * 2 == [(one.product, one.url) for one in (error, error.if_online)]


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        pytest.param(202, b"", "text/plain", id="202"),
        pytest.param(404, b'{"detail":"x"}', "application/json", id="404"),
        pytest.param(410, b"", "text/plain", id="410"),
        pytest.param(422, b"{}", "application/json", id="4xx-json"),
        pytest.param(200, b"{}", "application/json", id="200-json"),
        pytest.param(200, EMPTY_ZIP, "application/zip", id="empty-zip"),
    ],
)
@pytest.mark.parametrize("tier", [StorageTier.TAPE, StorageTier.UNKNOWN])
def test_judge_download_product_not_known_to_be_online_is_offline(status, body, content_type, tier):
    item = product("A", download_url=ITEM.download_url, tier=tier)

    error = judge(status, body, content_type, of=item)

    assert (OfflineError, None) == (type(error), error.if_online)


@pytest.mark.parametrize(("status", "expected"), [(429, QuotaError), (500, ServerError)])
def test_judge_download_offline_product_other_errors_stay(status, expected):
    assert expected is type(judge(status, b"{}", of=TAPE))


@pytest.mark.parametrize("head", [b"", ZIP, b"P", b"PK\3\4"])
@pytest.mark.parametrize("status", [200, 206])
def test_judge_download_zip_is_right(head, status):
    assert judge(status, head, "application/zip") is None
    assert judge(status, head, "application/octet-stream", of=TAPE) is None


def test_judge_download_empty_zip_is_known_by_its_length():
    assert OfflineError is type(judge(200, b"", "application/zip", **{"Content-Length": "22"}))
    assert judge(206, b"", "application/zip", **{"Content-Length": "22"}) is None


def test_judge_download_range_beyond_the_end_is_no_error():
    assert judge(416, b"{}") is None


def test_judge_download_retry_after_is_kept():
    assert 7.0 == judge(429, **{"Retry-After": "7"}).retry_after
    assert 14_400.0 == judge(429, **{"Retry-After": "14400"}).retry_after


async def test_download_401_of_a_moment_ends_nothing():
    archive = Archive(*[httpx.Response(401, json={"code": "DAT-ZIP-109"})] * 11, httpx.Response(200, content=ZIP))
    provider = cdse(archive)

    assert [*[ServerError] * 11, type(None)] == [type(await fetch(provider)) for _ in range(12)]
    assert {("archive.example", "Bearer secret-1")} == set(archive.sent)


async def test_download_401_for_long_is_final():
    provider = cdse(Archive(httpx.Response(401)))

    first = await fetch(provider)
    provider._tokens._clock = lambda: math.inf
    second = await fetch(provider)

    assert (ServerError, AuthError) == (type(first), type(second))


async def test_download_401_then_accepted_goes_on():
    archive = Archive(httpx.Response(401), httpx.Response(200, content=ZIP), httpx.Response(401), httpx.Response(200))
    provider = cdse(archive)

    assert [ServerError, type(None), ServerError, type(None)] == [type(await fetch(provider)) for _ in range(4)]
    assert 2 == archive.granted


async def test_download_token_accepted_by_a_redirect_counts():
    away, end = redirect("https://storage.example/x"), httpx.Response(401)
    provider = cdse(Archive(end, away, httpx.Response(200, content=ZIP), end, away, httpx.Response(200)))

    assert [ServerError, type(None)] * 2 == [type(await fetch(provider)) for _ in range(4)]


async def test_download_401_of_another_host_does_not_end_the_session():
    archive = Archive(redirect("https://storage.example/x"), httpx.Response(401))
    provider = cdse(archive)
    archive.answers += archive.answers * 2

    assert [ServerError] * 3 == [type(await fetch(provider)) for _ in range(3)]
    assert 1 == archive.granted


async def test_download_token_is_in_no_error_even_if_the_server_echoes_it():
    def echo(request):
        return httpx.Response(400, text=f"bad header {request.headers['Authorization']}")

    error = await fetch(cdse(Archive(echo)))

    assert "bad header Bearer ***" in str(error.if_online)
    assert "secret" not in f"{error}{error!r}{error.if_online}"


PUBLIC = product("A", download_url="https://download.dataspace.copernicus.eu/odata/v1/Products(id-A)/$value")


@pytest.mark.parametrize(
    ("hops", "carries"),
    [
        pytest.param([], [True], id="direct"),
        pytest.param(["https://zipper.dataspace.copernicus.eu/x?token=secret"], [True, True], id="own-host"),
        pytest.param(["https://dataspace.copernicus.eu/x"], [True, True], id="the-domain-itself"),
        pytest.param(["https://storage.example/x"], [True, False], id="foreign"),
        pytest.param(["https://dataspace.copernicus.eu.evil.example/x"], [True, False], id="looks-alike"),
        pytest.param(["https://evildataspace.copernicus.eu/x"], [True, False], id="ends-alike"),
        pytest.param(["https://dataspace.copernicus.eu@evil.example/x"], [True, False], id="user-part"),
        pytest.param(
            ["https://storage.example/x", "https://download.dataspace.copernicus.eu/y"],
            [True, False, True],
            id="there-and-back",
        ),
    ],
)
async def test_download_token_goes_to_the_archive_only(hops, carries):
    archive = Archive(*map(redirect, hops), httpx.Response(200, content=ZIP))

    error = await fetch(cdse(archive, root=None), PUBLIC)

    assert error is None
    assert ["Bearer secret-1" if carried else None for carried in carries] == [token for _, token in archive.sent]


async def test_download_is_not_redirected_to_plain_http_on_this_machine():
    archive = Archive(redirect("http://127.0.0.1:9/x"), httpx.Response(200, content=ZIP))

    with pytest.raises(AddressError, match="from https to plain http"):
        await fetch(cdse(archive, root=None), PUBLIC)
    assert 1 == len(archive.sent)


@pytest.mark.parametrize(
    ("location", "carries"),
    [
        pytest.param("https://archive.example/zipper/x", True, id="same-origin"),
        pytest.param("https://archive.example:444/x", False, id="other-port"),
        pytest.param("https://download.dataspace.copernicus.eu/x", False, id="public-service"),
        pytest.param("https://localhost/x", False, id="other-name"),
    ],
)
async def test_download_token_of_another_instance_stays_at_its_origin(location, carries):
    archive = Archive(redirect(location), httpx.Response(200, content=ZIP))

    await fetch(cdse(archive))

    assert [True, carries] == [token is not None for _, token in archive.sent]


async def test_download_product_of_another_host_gets_no_token():
    archive = Archive(httpx.Response(200, content=ZIP))

    await fetch(cdse(archive), product("A", download_url="https://elsewhere.example/A"))

    assert [("elsewhere.example", None)] == archive.sent


async def test_download_without_credentials_is_refused_before_sending():
    archive = Archive(httpx.Response(200))
    http = Http(Config(), transport=httpx.MockTransport(archive))

    with pytest.raises(AuthError, match="--auth"):
        await Cdse(http, Lookup.of(None), ROOT).download_request(ITEM)
    assert (0, []) == (archive.granted, archive.requests)


async def test_account_checks_the_credentials():
    archive = Archive(httpx.Response(500))

    assert Account() == await cdse(archive).account()
    assert (1, []) == (archive.granted, archive.requests)


@pytest.mark.parametrize(
    ("root", "host", "download"),
    [
        pytest.param(
            None, "catalogue.dataspace.copernicus.eu", "https://download.dataspace.copernicus.eu", id="public"
        ),
        pytest.param(
            "https://catalogue.dataspace.copernicus.eu",
            "catalogue.dataspace.copernicus.eu",
            "https://download.dataspace.copernicus.eu",
            id="public-by-name",
        ),
        pytest.param(ROOT, "archive.example", ROOT, id="another"),
    ],
)
async def test_search_page_asks_the_catalogue_anonymously(root, host, download):
    archive = Archive(httpx.Response(200, json={"value": [{"Id": "1", "Online": True}], "@odata.count": 1}))
    provider = cdse(archive, root=root)
    raw = []
    provider._http.on_search_reply = lambda url, body: raw.append((url, json.loads(body)["@odata.count"]))

    page = await provider.search_page(Query(collection="S1"), 1)

    [found] = page.products
    [request] = archive.requests
    assert (f"{download}/odata/v1/Products(1)/$value", "SENTINEL-1", 1) == (
        found.download_url, found.collection, page.total,
    )  # fmt: skip
    assert [(host, None)] == archive.sent
    assert "Collection/Name eq 'SENTINEL-1'" == request.url.params["$filter"]
    assert ["Attributes", "Assets"] == request.url.params.get_list("$expand")
    assert [(str(request.url).partition("?")[0], 1)] == raw


async def test_search_page_behind_the_last_is_empty_and_not_asked_for():
    archive = Archive(httpx.Response(422))

    page = await cdse(archive).search_page(Query(), LAST_PAGE + 1)

    assert ((), True, None, []) == (page.products, page.is_last, page.rest, archive.requests)


def catalogue_of(count):
    """A catalogue that gives out no more than 11,000 products of a query; three share each acquisition instant."""
    starts = [f"{NEWEST - timedelta(seconds=n // 3):%Y-%m-%dT%H:%M:%S.%fZ}" for n in range(count)]

    def answer(request):
        skip, wanted = int(request.url.params["$skip"]), request.url.params["$filter"]
        if skip > 10_000:
            return httpx.Response(422, json={"detail": ["$skip"]})
        before = wanted.partition("ContentDate/Start lt ")[2] or "9999"
        found = [(str(n), start) for n, start in enumerate(starts) if start < before][skip : skip + 1000]
        return httpx.Response(200, json={"value": [{"Id": i, "ContentDate": {"Start": start}} for i, start in found]})

    return answer


async def test_search_page_rest_lists_more_than_the_archive_pages_through():
    archive = Archive(catalogue_of(12_345))
    provider, query, page, found = cdse(archive), Query(collection="S1"), 0, []
    while query is not None:
        page += 1
        reply = await provider.search_page(query, page)
        found += [int(item.id) for item in reply.products]
        if reply.is_last:
            query, page = reply.rest, 0

    assert set(range(12_345)) == set(found)
    assert len(found) <= 12_345 + 3
    assert LAST_PAGE + 2 == len(archive.requests)


def record_of(products):
    """Answers by id in the URL; a product without an answer is unknown."""

    def answer(request):
        identity = request.url.path.rpartition("(")[2].removesuffix(")")
        return httpx.Response(200, json=products[identity]) if identity in products else httpx.Response(404, json={})

    return answer


async def test_tiers_one_by_one_and_the_unknown_is_missing():
    archive = Archive(record_of({"id-A": {"Online": True}, "id-B": {"Online": False}, "id-C": []}))

    tiers = await cdse(archive).tiers([product(name) for name in "ABCD"])

    assert {"id-A": StorageTier.DISK, "id-B": StorageTier.TAPE, "id-C": StorageTier.UNKNOWN} == tiers
    assert [("archive.example", None)] * 4 == archive.sent


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(httpx.Response(200, json={"Online": True}), StagingOutcome.ONLINE, id="online"),
        pytest.param(httpx.Response(200, json={"Online": False}), StagingOutcome.BY_HAND, id="offline"),
        pytest.param(httpx.Response(200, json={}), StagingOutcome.BY_HAND, id="silent"),
        pytest.param(httpx.Response(429, headers={"Retry-After": "7"}), StagingOutcome.QUOTA, id="rate"),
    ],
)
async def test_request_staging(answer, expected):
    reply = await cdse(Archive(answer)).request_staging(TAPE)

    assert expected is reply.outcome
    assert (7 if expected is StagingOutcome.QUOTA else None) == reply.retry_after
    assert (expected is StagingOutcome.BY_HAND) == ("Data Workspace" in reply.advice)


@pytest.mark.parametrize(("status", "expected"), [(404, NotFoundError), (500, ServerError)])
async def test_request_staging_refused(status, expected):
    with pytest.raises(expected):
        await cdse(Archive(httpx.Response(status, json={}))).request_staging(TAPE)
