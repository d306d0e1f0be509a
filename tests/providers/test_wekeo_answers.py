"""Requests to WEkEO, where its tokens go, and what its answers mean."""

import json
import os
import time
from pathlib import Path

import httpx
import pytest

from fakes import product
from pepsasync.config import Config
from pepsasync.credentials import Credentials
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import (
    AuthError,
    ForbiddenError,
    NotFoundError,
    OfflineError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RefusedError,
    ServerError,
    UnavailableError,
)
from pepsasync.http.client import Http
from pepsasync.model import Query, StorageTier
from pepsasync.providers.base import HasTerms, StagingOutcome
from pepsasync.providers.wekeo import MOST_FAILURES, Wekeo
from pepsasync.providers.wekeo.answers import quota_of, words_of_error

pytestmark = pytest.mark.anyio
ROOT = "https://gateway.prod.wekeo2.eu"
API = f"{ROOT}/hda-broker/api/v1"
ITEM = product(
    "A", id="A.SAFE", collection="EO:ESA:DAT:SENTINEL-1", download_url=f"{API}/dataaccess/download", storage_url="x://1"
)
ORDERED = product("A", id="A.SAFE", download_url=f"{API}/dataaccess/download", order="0a0b")
TASK_ERROR = {"status_code": 500, "title": "Task Error", "detail": "Impossible to retrieve product on dataprovider"}
ORDER = "POST /hda-broker/api/v1/dataaccess/download"
STATE = "HEAD /hda-broker/api/v1/dataaccess/download/0a0b"
WORDS = "GET /hda-broker/api/v1/dataaccess/downloads"
FILE = "GET /hda-broker/api/v1/dataaccess/download/0a0b"


class Service:
    """Answers by method and path, from a script; the last answer for ever."""

    def __init__(self, **answers):
        self.seen, self.logins = [], []
        self.answers = {"TOKEN": [token(1), token(2), token(3)], **answers}

    def __call__(self, request):
        key = f"{request.method} {request.url.path}"
        self.seen.append((key, request.url.host, request.headers.get("Authorization")))
        if request.url.path.endswith("gettoken"):
            self.logins.append((request.url.path, json.loads(request.content)))
            key = "TOKEN"
        script = self.answers.get(key, [httpx.Response(404)])
        answer = script.pop(0) if len(script) > 1 else script[0]
        return answer(request) if callable(answer) else answer


def token(number):
    return httpx.Response(200, json={"access_token": f"token-{number}", "expires_in": 3600})


def answers(**named):
    """A service by short names."""
    paths = {"order": ORDER, "state": STATE, "words": WORDS, "file": FILE}
    return Service(**{paths.get(name, name): script for name, script in named.items()})


def wekeo(served=None):
    account = Credentials(username="who", password="secret-password")
    http = Http(Config(retries=1), transport=httpx.MockTransport(served or Service()))
    return Wekeo(http, Lookup.of(account), ROOT)


TAKEN = httpx.Response(200, json={"download_id": "0a0b"})


async def test_an_order_names_the_product_as_the_archive_did():
    def look(request):
        assert json.loads(request.content) == {
            "dataset_id": "EO:ESA:DAT:SENTINEL-1",
            "product_id": "A.SAFE",
            "location": "x://1",
        }
        return TAKEN

    reply = await wekeo(answers(order=[look], state=[httpx.Response(202)])).request_staging(ITEM)

    assert (reply.outcome, reply.order) == (StagingOutcome.ACCEPTED, "0a0b")


async def test_an_order_that_is_ready_is_online():
    reply = await wekeo(answers(order=[TAKEN], state=[httpx.Response(200)])).request_staging(ITEM)

    assert (reply.outcome, reply.order) == (StagingOutcome.ONLINE, "0a0b")


@pytest.mark.parametrize(
    ("state", "words", "tier"),
    [
        (200, None, StorageTier.DISK),
        (202, None, StorageTier.STAGING),
        (404, None, StorageTier.TAPE),
        (410, None, StorageTier.TAPE),
        (500, {"status": "Error", "message": "no"}, StorageTier.TAPE),
        (500, {"status": "failed"}, StorageTier.TAPE),
        (500, {"status": "Done"}, StorageTier.DISK),
        (500, {"status": "running"}, StorageTier.STAGING),
        (429, {"status": "started"}, StorageTier.STAGING),
        (500, None, None),
        (503, {}, None),
    ],
)
async def test_states_of_an_order(state, words, tier):
    listed = httpx.Response(200, json={"features": [] if words is None else [words]})
    provider = wekeo(answers(state=[httpx.Response(state)], words=[listed]))

    assert await provider.tiers([ORDERED]) == ({} if tier is None else {"A.SAFE": tier})


async def test_what_was_not_ordered_is_nowhere():
    served = Service()

    assert await wekeo(served).tiers([ITEM]) == {}
    assert served.seen == []


@pytest.mark.parametrize("is_same", [True, False])
async def test_orders_that_are_lost_are_made_again_only_so_often(is_same):
    served = answers(order=[TAKEN], state=[httpx.Response(404)])
    provider = wekeo(served)
    await provider.request_staging(ITEM)
    for number in range(1, MOST_FAILURES):
        lost = product("A", id="A.SAFE", order="0a0b" if is_same else f"order-{number}")
        await provider.tiers([lost])
        await provider.tiers([lost])
        await provider.request_staging(ITEM)
    await provider.tiers([product("A", id="A.SAFE", order="0a0b" if is_same else "last")])

    for _ in range(2):
        with pytest.raises(ProviderError, match="could not make it available: the order was lost"):
            await provider.request_staging(ITEM)
    assert [key for key, *_ in served.seen].count(ORDER) == MOST_FAILURES


async def test_a_product_that_is_forbidden_fails_alone():
    served = answers(
        file=[httpx.Response(403)],
        **{"GET /hda-broker/api/v1/termsaccepted": [httpx.Response(200, json={"features": []})]},
    )
    provider = wekeo(served)
    found = []
    for _ in range(3):
        async with provider._http.stream(await provider.download_request(ORDERED)) as response:
            found.append(type(provider.judge_download(ORDERED, response, b"")))
    await provider.account()

    assert found == [ServerError, ForbiddenError, ForbiddenError]


async def test_an_order_that_is_forbidden_fails_alone():
    accepted = "GET /hda-broker/api/v1/termsaccepted"
    served = answers(order=[httpx.Response(403)], **{accepted: [httpx.Response(200, json={"features": []})]})
    provider = wekeo(served)
    for _ in range(2):
        with pytest.raises(ForbiddenError):
            await provider.request_staging(ITEM)

    assert len(served.logins) == 1


async def test_a_token_that_is_refused_with_403_for_everything_ends_the_run():
    accepted = "GET /hda-broker/api/v1/termsaccepted"
    provider = wekeo(answers(order=[httpx.Response(403)], **{accepted: [httpx.Response(403)]}))
    with pytest.raises(AuthError, match="refuses the token that it has issued"):
        await provider.request_staging(ITEM)


async def test_all_terms_are_read_however_many_there_are():
    every = [{"term_id": f"term-{number}", "title": f"Title {number}"} for number in range(120)]

    def page(entries):
        def answer(request):
            start, size = (int(request.url.params[name]) for name in ("startIndex", "itemsPerPage"))
            return httpx.Response(200, json={"features": entries[start : start + min(size, 40)]})

        return [answer]

    api = "/hda-broker/api/v1"
    put = {f"PUT {api}/termsaccepted/term-{number}": [httpx.Response(200)] for number in range(120)}
    told = [{"term_id": each["term_id"], "accepted": True} for each in every[:60]]
    served = answers(**{f"GET {api}/terms": page(every), f"GET {api}/termsaccepted": page(told), **put})
    provider = wekeo(served)
    missing = await provider.missing_terms()
    for term in missing:
        await provider.accept_term(term)

    assert missing == {f"term-{number}": f"Title {number}" for number in range(60, 120)}
    assert [key for key, *_ in served.seen if key.startswith("PUT")] == [*put][60:]


async def test_lists_of_terms_that_never_end_are_read_once():
    same = {"features": [{"term_id": "A", "title": "a"}] * 50}
    api = "GET /hda-broker/api/v1"
    served = answers(
        **{f"{api}/terms": [httpx.Response(200, json=same)], f"{api}/termsaccepted": [httpx.Response(200, json={})]}
    )

    assert await wekeo(served).missing_terms() == {"A": "a"}
    assert len(served.seen) < 6


@pytest.mark.parametrize("factor", [1, 1000])
async def test_a_used_up_quota_is_waited_for(factor):
    headers = {
        "X-Quota-Limit": "100",
        "X-Quota-Remaining": "0",
        "X-Quota-Reset": str(int((time.time() + 900) * factor)),
    }
    served = answers(order=[httpx.Response(429, headers=headers)])
    provider = wekeo(served)
    first, second = [await provider.request_staging(ITEM) for _ in range(2)]

    assert first.outcome is second.outcome is StagingOutcome.QUOTA
    assert 800 < first.retry_after <= 900
    assert 800 < second.retry_after <= 900
    assert [key for key, *_ in served.seen].count(ORDER) == 1


async def test_a_used_up_quota_without_any_moment():
    reply = await wekeo(answers(order=[httpx.Response(429)])).request_staging(ITEM)

    assert (reply.outcome, reply.retry_after) == (StagingOutcome.QUOTA, 300.0)


async def test_a_product_that_cannot_be_had_is_said_to_be():
    served = answers(order=[httpx.Response(500, json=TASK_ERROR)])
    with pytest.raises(RefusedError, match="Task Error: Impossible to retrieve product"):
        await wekeo(served).request_staging(ITEM)

    assert len([key for key, *_ in served.seen if key == ORDER]) == 1


async def test_tokens_go_to_the_hosts_of_the_archive_only():
    def elsewhere(request):
        return httpx.Response(307, headers={"Location": "https://store.example/A.zip"})

    served = answers(file=[elsewhere], **{"GET /A.zip": [httpx.Response(200, content=b"PK\3\4...")]})
    provider = wekeo(served)
    async with provider._http.stream(await provider.download_request(ORDERED)) as response:
        assert provider.judge_download(ORDERED, response, await response.aread()) is None

    assert served.seen[1:] == [
        (FILE, "gateway.prod.wekeo2.eu", "Bearer token-1"),
        ("GET /A.zip", "store.example", None),
    ]


@pytest.mark.parametrize(
    ("url", "is_own"),
    [
        (f"{API}/x", True),
        ("https://other.prod.wekeo2.eu/x", True),
        ("https://wekeo2.eu.example/x", False),
        ("https://notwekeo2.eu/x", False),
        ("http://gateway.prod.wekeo2.eu/x", False),
    ],
)
def test_hosts_of_the_archive(url, is_own):
    assert wekeo().is_own(httpx.URL(url)) is is_own


async def test_a_product_without_order_is_not_asked_for():
    with pytest.raises(OfflineError, match="wants an order first"):
        await wekeo().download_request(ITEM)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"PK\3\4", type(None)),
        (206, b"PK\3\4", type(None)),
        (416, b"", type(None)),
        (202, b"", OfflineError),
        (404, b"", OfflineError),
        (410, b"", OfflineError),
        (401, b"", ServerError),
        (403, b"", ServerError),
        (429, b"", QuotaError),
        (500, b"", ServerError),
        (500, json.dumps(TASK_ERROR).encode(), RefusedError),
        (503, b"", UnavailableError),
        (200, b"<html>", ProtocolError),
    ],
)
def test_each_answer_has_its_error(status, body, expected):
    kind = "text/html" if body.startswith(b"<html>") else "application/zip"
    url = f"{API}/dataaccess/download/0a0b"
    response = httpx.Response(status, headers={"Content-Type": kind}, request=httpx.Request("GET", url))

    assert type(wekeo().judge_download(ORDERED, response, body)) is expected


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_followed_by_one_other(status):
    served = answers(**{"GET /hda-broker/api/v1/termsaccepted": [httpx.Response(status), httpx.Response(200, json={})]})
    provider = wekeo(served)
    provider._tokens.accept(await provider._tokens.access())
    await provider.account()

    assert [shown for key, _, shown in served.seen if "terms" in key] == ["Bearer token-1", "Bearer token-2"]


async def test_a_token_that_is_refused_at_once_ends_the_run():
    served = answers(**{"GET /hda-broker/api/v1/termsaccepted": [httpx.Response(401)]})
    for _ in range(2):
        with pytest.raises(AuthError, match="refuses the token that it has issued"):
            await wekeo(served).account()


async def test_the_login_is_looked_for_where_it_was_before():
    served = answers(TOKEN=[httpx.Response(404), token(1)])
    await wekeo(served)._tokens.access()

    assert [path for path, _ in served.logins] == ["/identity/gettoken", "/hda-broker/gettoken"]


async def test_each_origin_is_tried_once():
    served = answers(TOKEN=[httpx.Response(401), httpx.Response(200, json={"error": "x"}), httpx.Response(403)])
    provider = wekeo(served)
    for _ in range(3):
        with pytest.raises(AuthError, match="refuses user name or password"):
            await provider._tokens.access()

    assert [body.get("origin") for _, body in served.logins] == [None, "eumetsat", "cmems"]


async def test_the_identity_service_leads_nobody_elsewhere():
    served = answers(TOKEN=[httpx.Response(307, headers={"Location": "https://elsewhere.example/gettoken"})])
    with pytest.raises(ProtocolError, match="redirects to another host"):
        await wekeo(served)._tokens.access()

    assert {host for _, host, _ in served.seen} == {"gateway.prod.wekeo2.eu"}


async def test_an_unknown_data_set_is_not_about_terms():
    with pytest.raises(NotFoundError):
        await wekeo(Service()).search_page(Query(collection="EO:NO:SUCH"), 1)


def test_it_has_terms():
    assert isinstance(wekeo(), HasTerms)


def response_of(body, **headers):
    return httpx.Response(500, json=body, headers=headers, request=httpx.Request("GET", API))


def test_words_are_found_however_deep_they_are():
    inner = {"title": "Inner", "detail": "text message='the real reason' url='https://x.example/?key=1'"}
    body = {"title": "Task Error", "detail": json.dumps({"title": "Middle", "detail": json.dumps(inner)})}
    response = response_of(body)

    assert words_of_error(response, response.content) == "Inner: the real reason"


@pytest.mark.parametrize("body", ["<html>", 3, None, {"detail": None}, {"detail": ["x"]}, {"title": "\x1b[2J"}])
def test_odd_words_raise_nothing(body):
    response = response_of(body)

    assert words_of_error(response, response.content).isprintable()


@pytest.mark.parametrize("reset", ["soon", "", "nan", "1e400"])
def test_odd_quotas_raise_nothing(reset):
    assert quota_of(response_of({}, **{"X-Quota-Reset": reset, "X-Quota-Remaining": "x"})) == (None, None, None)


@pytest.fixture
def recordings():
    folder = os.environ.get("PEPSASYNC_RECORDINGS")
    if not folder:
        pytest.skip("PEPSASYNC_RECORDINGS names no folder with recorded replies")
    return Path(folder) / "wekeo"


async def test_the_recorded_refusal_of_an_order(recordings):
    body = json.loads((recordings / "order.500.task_error.2026-03.json").read_text())["body"]
    with pytest.raises(RefusedError, match="Impossible to retrieve product on dataprovider"):
        await wekeo(answers(order=[httpx.Response(500, json=body)])).request_staging(ITEM)


async def test_the_recorded_parameters_of_a_data_set(recordings):
    listed = json.loads((recordings / "queryable.COP-DEM.2024.json").read_text())
    path = "GET /hda-broker/api/v1/dataaccess/queryable/EO:ESA:DAT:COP-DEM"
    known = await wekeo(answers(**{path: [httpx.Response(200, json=listed)]})).attributes("EO:ESA:DAT:COP-DEM")

    assert known.keys() == listed["properties"].keys() - {
        *("dataset_id", "bbox", "startdate", "enddate", "itemsPerPage", "startIndex", "sortOrder")
    }
    assert any(each.values for each in known.values())
