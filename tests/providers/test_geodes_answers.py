"""What GEODES answers, and what is made of it: keys, quotas, tape."""

import json
from dataclasses import replace

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
    ServerError,
)
from pepsasync.http.client import Http
from pepsasync.model import Account, Checksum, Query, StorageTier
from pepsasync.providers.base import StagingOutcome
from pepsasync.providers.geodes import ADVICE, Geodes
from pepsasync.providers.geodes.orders import order_body

ROOT = "https://archive.example"
MD5 = "86f828c4c7e921615d1cd0476604f780"
STORE = "https://s3.example/bucket/A.zip"
ITEM = product(
    "A", download_url=f"{ROOT}/api/download/URN:1/files/{MD5}", checksum=Checksum("md5", MD5), storage_url=STORE
)
QUOTA = b'{"messages": ["Downloading products per hour exceeds quota limit"]}'
pytestmark = pytest.mark.anyio


def geodes(handler=lambda request: httpx.Response(200), *, key="the-key", **options):
    http = Http(Config(retries=1), transport=httpx.MockTransport(handler))
    return Geodes(http, Lookup.of(Credentials(api_key=key) if key else None), ROOT, **options)


@pytest.mark.parametrize(
    ("status", "body", "kind", "expected"),
    [
        pytest.param(200, b"PK\3\4zip", "application/zip", type(None), id="zip"),
        pytest.param(200, b"PK\3\4zip", "application/octet-stream", type(None), id="attachment"),
        pytest.param(206, b"PK\3\4zip", "application/zip", type(None), id="part"),
        pytest.param(416, b"", "text/html", type(None), id="416"),
        pytest.param(200, b"<html>Log in to continue", "text/html", AuthError, id="login page"),
        pytest.param(200, b"<html>Gateway", "text/html", ProtocolError, id="other page"),
        pytest.param(200, QUOTA, "application/json", QuotaError, id="quota with 200"),
        pytest.param(200, b"{}", "application/json", ProtocolError, id="json"),
        pytest.param(202, b"", "", OfflineError, id="202"),
        pytest.param(401, b"", "", AuthError, id="401"),
        pytest.param(403, b'{"messages": ["no right"]}', "application/json", ForbiddenError, id="403"),
        pytest.param(403, QUOTA, "application/json", QuotaError, id="403 quota"),
        pytest.param(404, b"", "", NotFoundError, id="404"),
        pytest.param(410, b"", "", OfflineError, id="410 on tape"),
        pytest.param(423, b"{}", "application/json", ForbiddenError, id="licence"),
        pytest.param(429, b"Download quota of 5 exceeded", "text/plain", QuotaError, id="429"),
        pytest.param(400, b"", "", RefusedError, id="400"),
        pytest.param(500, b"", "", ServerError, id="500"),
        pytest.param(302, b"", "", ProtocolError, id="redirect that leads nowhere"),
    ],
)
def test_each_answer_has_its_error(status, body, kind, expected):
    response = httpx.Response(status, headers={"Content-Type": kind}, request=httpx.Request("GET", ITEM.download_url))
    error = geodes().judge_download(ITEM, response, body)

    assert type(error) is expected
    assert error is None or (error.product == "A" and "the-key" not in f"{error!r} {error}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_search_that_is_sent_on_keeps_its_criteria(status):
    def archive(request):
        if request.url.path == "/api/stac/search":
            return httpx.Response(status, headers={"Location": f"{ROOT}/api/stac/items"})
        assert request.method == "POST"
        assert {"eq": "GRD"} == json.loads(request.content)["query"]["product:type"]
        return httpx.Response(200, json={"features": [], "context": {"matched": 0}})

    async with search(Query(collection="S1", product_type="GRD"), geodes(archive), print) as pages:
        assert [] == [one async for page in pages for one in page]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 423, 429, 500, 503])
@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", "text/html"])
def test_the_words_of_the_quota_count_whatever_comes_with_them(status, kind):
    headers = {"Content-Type": kind, "Retry-After": "14400"}
    response = httpx.Response(status, headers=headers, request=httpx.Request("GET", ITEM.download_url))
    error = geodes().judge_download(ITEM, response, QUOTA)

    assert type(error) is QuotaError
    assert error.retry_after == 14_400


@pytest.mark.parametrize("status", [202, 410])
def test_a_product_on_tape_is_no_quota(status):
    response = httpx.Response(status, request=httpx.Request("GET", ITEM.download_url))

    assert type(geodes().judge_download(ITEM, response, QUOTA)) is OfflineError


def test_a_product_may_hold_the_word_quota():
    response = httpx.Response(200, request=httpx.Request("GET", ITEM.download_url))

    assert geodes().judge_download(ITEM, response, b"PK\3\4 quota.txt") is None


@pytest.mark.parametrize(("served", "pages"), [(20, 10), (80, 3)])
async def test_everything_is_found_whatever_the_server_says_of_its_pages(served, pages):
    asked = []

    def answer(request):
        if request.url.path == "/fastavailability":
            return httpx.Response(200, json={})
        page = json.loads(request.content)["page"]
        asked.append(page)
        found = [feature(number) for number in range(200)][served * (page - 1) : served * page]
        return httpx.Response(200, json={"features": found, "context": {"matched": 200, "limit": 80}})

    async with search(Query(collection="X"), geodes(answer), lambda _: None) as found:
        products = [one async for page in found for one in page]

    assert [f"P{number}" for number in range(200)] == [one.name for one in products]
    assert list(range(1, pages + 1)) == sorted(asked)


async def test_items_that_come_twice_do_not_end_a_search_too_soon():
    def answer(request):
        if request.url.path == "/fastavailability":
            return httpx.Response(200, json={})
        page = json.loads(request.content)["page"]
        found = [feature(number) for number in {1: (1, 1, 2), 2: (2, 3)}.get(page, ())]
        return httpx.Response(200, json={"features": found, "context": {"matched": 3, "limit": 80}})

    async with search(Query(collection="X"), geodes(answer), lambda _: None) as found:
        products = [one async for page in found for one in page]

    assert ["P1", "P2", "P3"] == [one.name for one in products]


def feature(number):
    asset = {"href": f"/files/{number}", "roles": ["data"], "type": "application/zip"}
    properties = {"identifier": f"P{number}", "dataset": "X", "endpoint_url": STORE}
    return {"id": f"id-{number}", "properties": properties, "assets": {"x": asset}}


async def test_search_is_anonymous():
    requests = []

    def answer(request):
        requests.append(request)
        return httpx.Response(200, json={"features": []})

    page = await geodes(answer).search_page(Query(collection="X"), 2)

    assert page.is_last
    assert "X-API-Key" not in requests[0].headers
    assert json.loads(requests[0].content)["page"] == 2


@pytest.mark.parametrize(
    ("status", "error"), [(400, RefusedError), (404, NotFoundError), (405, RefusedError), (410, NotFoundError)]
)
async def test_a_refused_search_is_explained(status, error):
    with pytest.raises(error, match=r"newer pepsasync.*--base-url"):
        await geodes(lambda request: httpx.Response(status)).search_page(Query(collection="X"), 1)


def availability(request, available):
    if request.url.path == "/fastavailability":
        (asked,) = json.loads(request.content)["availability"]
        assert asked == {"href": ITEM.download_url, "endpointURL": STORE}
        return httpx.Response(
            200, json={"products": [{"id": ITEM.id, "files": [{"checksum": MD5, "available": available}]}]}
        )
    assert request.url.path == "/restore"
    return httpx.Response(200)


@pytest.mark.parametrize(("available", "tier"), [(True, StorageTier.DISK), (False, StorageTier.TAPE)])
async def test_tiers_are_asked_for_many_at_once(available, tier):
    provider = geodes(lambda request: availability(request, available))

    assert await provider.tiers([ITEM]) == {ITEM.id: tier}


def one_by_one(status, unknown=()):
    """Answers only about one product at a time, and only to who has a key."""

    def answer(request):
        if request.url.path == "/fastavailability":
            return httpx.Response(status)
        name = request.url.path.removeprefix("/availability/")
        assert request.headers["X-API-Key"] == "the-key"
        if name in unknown:
            return httpx.Response(404)
        return httpx.Response(200, json={"id": name, "files": [{"checksum": MD5, "available": True}]})

    return answer


@pytest.mark.parametrize(("status", "keyless"), [(500, ServerError), (401, ForbiddenError)])
async def test_tiers_are_asked_for_one_by_one_when_that_fails(status, keyless):
    assert await geodes(one_by_one(status)).tiers([ITEM]) == {ITEM.id: StorageTier.DISK}
    with pytest.raises(keyless):
        await geodes(one_by_one(status), key=None).tiers([ITEM])


async def test_products_without_an_address_in_the_store_are_asked_for_one_by_one():
    asked = []

    def answer(request):
        asked.append(request.url.path)
        if request.url.path == "/fastavailability":
            return availability(request, available=False)
        return httpx.Response(200, json={"id": "B", "files": [{"checksum": MD5, "available": True}]})

    other = product("B", checksum=Checksum("md5", MD5))

    assert await geodes(answer).tiers([ITEM, other]) == {ITEM.id: StorageTier.TAPE, other.id: StorageTier.DISK}
    assert asked == ["/fastavailability", "/availability/B"]
    assert await geodes(answer, key=None).tiers([other]) == {}


@pytest.mark.parametrize(
    ("collection", "there", "words"),
    [
        ("MUSCATE_SENTINEL2_L2A", ["PEPS_S1_L1", "THEIA_SENTINEL2_L2A"], "it has THEIA_SENTINEL2_L2A"),
        ("Q", ["A_1", "B_2"], "it has A_1, B_2$"),
        ("A_1", ["A_1"], "newer pepsasync"),
        ("S1", ["A_1"], "newer pepsasync"),
        ("Q", [], "newer pepsasync"),
    ],
)
async def test_an_unknown_collection_is_told_with_those_that_there_are(collection, there, words):
    def answer(request):
        if request.url.path.endswith("/collections"):
            return httpx.Response(200, json={"collections": [{"id": name} for name in there]})
        return httpx.Response(400)

    with pytest.raises(RefusedError, match=words):
        await geodes(answer).search_page(Query(collection=collection), 1)


async def test_a_product_that_is_not_known_one_by_one_is_missing():
    items = [product(name, checksum=Checksum("md5", MD5), storage_url=STORE) for name in "ABC"]

    tiers = await geodes(one_by_one(500, unknown="B")).tiers(items)

    assert tiers == {"id-A": StorageTier.DISK, "id-C": StorageTier.DISK}


@pytest.mark.parametrize(("key", "tier"), [("the-key", StorageTier.DISK), (None, StorageTier.UNKNOWN)])
async def test_a_search_goes_on_where_only_a_key_tells_where_products_are(key, tier):
    listed = {"features": [feature(1)], "context": {"matched": 1}}
    told = one_by_one(401)

    def answer(request):
        return httpx.Response(200, json=listed) if request.url.path == "/api/stac/search" else told(request)

    async with search(Query(collection="X"), geodes(answer, key=key), lambda _: None) as found:
        assert [tier] == [one.tier for page in [page async for page in found] for one in page]


async def test_products_on_tape_are_asked_for_by_hand():
    reply = await geodes(lambda request: availability(request, False)).request_staging(ITEM)

    assert (reply.outcome, reply.advice) == (StagingOutcome.BY_HAND, ADVICE)


async def test_a_regards_server_restores():
    def answer(request):
        return httpx.Response(404) if request.url.path.endswith("/apply") else availability(request, False)

    reply = await geodes(answer, restore=True).request_staging(ITEM)

    assert reply.outcome is StagingOutcome.ACCEPTED


def regards(status, reply, state=204):
    """A server that takes orders, and what it was sent."""
    seen = []

    def answer(request):
        seen.append(request)
        if request.url.path.endswith("/apply"):
            return httpx.Response(status, json=reply)
        if request.url.path.endswith("/files/available"):
            return httpx.Response(state)
        if request.url.path == "/restore":
            return httpx.Response(200)
        return availability(request, False)

    return geodes(answer, restore=True), seen


async def test_a_regards_server_takes_orders():
    provider, seen = regards(201, {"orderId": 54, "status": "GRANTED"})
    reply = await provider.request_staging(ITEM)
    [order] = [request for request in seen if request.url.path == "/api/v1/rs-order/user/orders/apply"]

    assert (reply.outcome, reply.order) == (StagingOutcome.ACCEPTED, "54")
    assert json.loads(order.content)["queries"] == [f'productId:"{ITEM.name}"']
    assert order.headers["Authorization"] == f"Bearer {order.headers['X-API-Key']}"
    assert "/restore" not in {request.url.path for request in seen}


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_without_orders_is_asked_to_restore(status):
    provider, seen = regards(status, {})
    replies = [await provider.request_staging(ITEM) for _ in range(2)]

    assert {(reply.outcome, reply.order) for reply in replies} == {(StagingOutcome.ACCEPTED, None)}
    assert [request.url.path for request in seen].count("/api/v1/rs-order/user/orders/apply") == 1


@pytest.mark.parametrize(
    ("reply", "error"), [({"orderId": 1, "status": "DENIED"}, RefusedError), ({"status": "GRANTED"}, ProtocolError)]
)
async def test_an_order_that_was_not_granted_is_told(reply, error):
    provider, _ = regards(201, reply)
    with pytest.raises(error):
        await provider.request_staging(ITEM)


@pytest.mark.parametrize(
    ("state", "tier"),
    [(204, StorageTier.STAGING), (206, StorageTier.STAGING), (500, StorageTier.STAGING), (200, StorageTier.TAPE),
     (404, StorageTier.TAPE)],
)  # fmt: skip
async def test_an_order_that_is_under_way_is_not_made_again(state, tier):
    provider, _ = regards(201, {}, state)

    assert await provider.tiers([replace(ITEM, order="54")]) == {ITEM.id: tier}


def test_names_mean_nothing_in_the_query_of_an_order():
    assert order_body('A" OR *')["queries"] == [r'productId:"A\" OR *"']


@pytest.mark.parametrize(
    ("tier", "outcome"),
    [(StorageTier.UNKNOWN, StagingOutcome.ONLINE), (StorageTier.TAPE, StagingOutcome.BY_HAND)],
)
async def test_a_product_that_is_not_mentioned_is_tried_once(tier, outcome):
    provider = geodes(lambda request: httpx.Response(200, json={"products": []}))

    assert (await provider.request_staging(product("A", tier=tier))).outcome is outcome


async def test_the_account_tells_what_is_left():
    def answer(request):
        assert request.url.path == "/processing/download/get"
        return httpx.Response(200, json={"maxQuota": 50, "remainingQuota": 7})

    assert await geodes(answer).account() == Account(quota_left=7, quota_products=50)
