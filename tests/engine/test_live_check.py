"""The live check: over the embedded archive, healthy and with each thing that can be wrong, and over recordings."""

import base64
import contextlib
import datetime as dt
import json
import os
from pathlib import Path

import httpx
import pytest

from archives import connect, credentials, root, sandbox
from pepsasync import Client, Config
from pepsasync.engine import check as check_module
from pepsasync.engine.check import check
from pepsasync.providers import provider_names
from pepsasync.providers.base import StagingOutcome, StagingReply
from servers import port_of_nobody

pytestmark = pytest.mark.anyio

FOLDER = Path(os.environ.get("PEPSASYNC_RECORDINGS", "")) / "check"
RECORDED = sorted(FOLDER.glob("*.json")) if os.environ.get("PEPSASYNC_RECORDINGS") else []
STEPS = ["name", "connection", "clock", "search", "account", "tape", "download"]


@pytest.fixture(params=provider_names())
def provider(request):
    return request.param


async def findings(client):
    return {finding.step: finding async for finding in client.check()}


def wrong(found):
    return [finding.step for finding in found.values() if finding.is_right is False]


async def test_everything_is_right_at_a_healthy_archive(provider):
    async with sandbox(40, tape_fraction=0.3, staging_seconds=3600) as archive, connect(archive, provider) as client:
        found = await findings(client)
        orders = client.provider.limits.orders

    assert list(found) == STEPS
    assert [found[step].is_right for step in STEPS[:5]] == [True] * 5
    if orders:  # a check waits for no order
        assert [found[step].is_right for step in STEPS[5:]] == [None] * 2
        assert "not ready yet" in found["download"].found
    else:
        assert [found[step].is_right for step in STEPS[5:]] == [True] * 2
        assert "1024 bytes of S1" in found["download"].found


async def test_an_order_that_the_quota_refuses_is_told_as_such_and_asked_for_within_the_limits():
    async with sandbox(40, tape_fraction=0) as archive, connect(archive, "wekeo") as client:
        inside = []

        async def refuse(product):
            inside.append(client._archives[0].gate.staging_slots._used)
            return StagingReply(StagingOutcome.QUOTA, 60.0)

        client.provider.request_staging = refuse
        found = (await findings(client))["download"]

    assert [1] == inside
    assert found.is_right is None
    assert "quota" in found.found
    assert "not ready" not in found.found
    assert found.advice == "Wait for the quota, or take another archive"


async def test_a_check_costs_one_product_of_the_quota(provider):
    async with sandbox(40, tape_fraction=0) as archive, connect(archive, provider) as client:
        await findings(client)

    assert len(archive.statistics.bytes_sent) == 1


async def test_a_refused_account_is_named_and_nothing_is_downloaded(provider):
    async with sandbox(40) as archive, connect(archive, provider, password="wrong-secret") as client:
        found = await findings(client)

    assert wrong(found) == ["account"]
    assert found["download"].is_right is None


async def test_without_an_account_all_that_needs_none_is_looked_at(provider):
    async with sandbox(40) as archive, Client(provider, base_url=root(archive, provider), config=Config()) as client:
        found = await findings(client)
        needs_account = client.provider.limits.orders

    assert wrong(found) == []
    assert found["search"].is_right is (None if needs_account else True)
    assert found["account"].is_right is None
    assert found["account"].advice


@pytest.mark.parametrize("fault", ["html-200", "error-500", "json-200"])
async def test_an_answer_that_is_no_product_is_told(provider, fault):
    if (provider, fault) == ("wekeo", "json-200"):
        pytest.skip("the sandbox has no such fault there")
    async with (
        sandbox(40, tape_fraction=0, faults={fault: 1.0}, fault_limit=99) as archive,
        connect(archive, provider, retries=1) as client,
    ):
        found = await findings(client)

    assert "download" in wrong(found) or "search" in wrong(found)


FAULTS = [
    ("asf", {"faults": {"session-ended": 1.0}}, "download", "the session at ASF has ended"),
    ("asf", {"faults": {"signature-ended": 1.0}}, "download", "signed address"),
    ("asf", {"faults": {"store-trouble": 1.0}}, "download", "cannot reach its store"),
    ("asf", {"faults": {"missing-file": 1.0}}, "download", "not found"),
    ("asf", {"faults": {"cut": 1.0}}, "download", "the connection broke"),
    ("asf", {"faults": {"search-cut": 1.0}}, "search", "sent only a part"),
    ("asf", {"faults": {"error-503": 1.0}}, "search", "HTTP 503"),
    ("asf", {"asf_eula": False}, "account", "EULA"),
    ("wekeo", {"faults": {"task-error": 1.0}}, "download", "list index out of range"),
    ("wekeo", {"faults": {"order-failed": 1.0}}, "download", "was taken, and failed"),
    ("wekeo", {"faults": {"order-lost": 1.0}}, "download", "not known any more"),
    ("wekeo", {"wekeo_terms": False}, "search", "Copernicus_Sentinel_License"),
    ("wekeo", {"wekeo_terms": False, "wekeo_terms_status": 403}, "search", "Copernicus_Sentinel_License"),
    ("wekeo", {"faults": {"html-200": 1.0}}, "download", "text/html instead of a zip"),
    ("wekeo", {"faults": {"error-500": 1.0}}, "search", "HTTP 500"),
    ("cdse", {"faults": {"zipper-busy": 1.0}}, "download", "too many downloads of this account"),
]


@pytest.mark.parametrize(("provider", "options", "step", "words"), FAULTS)
async def test_the_table_names_the_fault(provider, options, step, words):
    options = {"tape_fraction": 0, "fault_limit": 99, **options}
    async with sandbox(40, **options) as archive, connect(archive, provider, retries=1) as client:
        found = await findings(client)

    assert wrong(found) == [step]
    assert words in found[step].found


async def test_ranges_that_are_ignored_are_told():
    async with sandbox(40, tape_fraction=0, geodes_ranges="ignored") as archive, connect(archive, "geodes") as client:
        found = await findings(client)

    assert "ranges are ignored" in found["download"].found


async def test_nothing_more_is_looked_at_when_nobody_answers(provider):
    account = credentials(sandbox(1), provider)
    with port_of_nobody() as port:
        async with Client(provider, base_url=f"http://127.0.0.1:{port}/x", credentials=account) as client:
            found = await findings(client)

    assert list(found) == ["name", "connection"]
    assert wrong(found) == ["connection"]


async def looked_at(archive_client, **given):
    archive = archive_client._archives[0]
    return {finding.step: finding async for finding in check(archive, archive.root, **given)}


async def test_a_host_without_address_is_told():
    async def nobody(host, port):
        raise OSError(-2, "Name or service not known")

    async with sandbox(4) as archive, connect(archive) as client:
        found = await looked_at(client, look_up=nobody)

    assert found["name"].is_right is False
    assert "Name or service not known" in found["name"].found


@pytest.mark.parametrize(("seconds", "words"), [(3600, "ahead of"), (-3600, "behind")])
async def test_a_clock_that_is_wrong_is_told(seconds, words):
    async with sandbox(4) as archive, connect(archive) as client:
        found = await looked_at(client, now=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds))

    assert found["clock"].is_right is False
    assert words in found["clock"].found
    assert "NTP" in found["clock"].advice


async def test_the_proxy_is_looked_up_instead_of_the_archive(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://ana:secret@proxy.example:3128")
    asked = []

    async def remember(host, port):
        asked.append(host)
        raise OSError(-2, "Name or service not known")

    async with Client("cdse", config=Config()) as client:
        archive = client._archives[0]
        steps = check(archive, "https://archive.example", look_up=remember)
        first = await anext(steps)
        await steps.aclose()

    assert asked == ["proxy.example"]
    assert "secret" not in first.found
    assert "HTTPS_PROXY" in first.advice


class Replay(httpx.AsyncBaseTransport):
    """Answers as was recorded, each exchange once and in its order."""

    def __init__(self, exchanges):
        self.left = list(exchanges)

    async def handle_async_request(self, request):
        for exchange in self.left:
            asked = exchange["request"]
            if asked["method"] == request.method and asked["path"].split("?")[0] == request.url.path:
                self.left.remove(exchange)
                body = exchange.get("body", "").encode() or base64.b64decode(exchange.get("body_base64", ""))
                kept = [
                    pair
                    for pair in exchange["headers"]
                    if not pair[0].lower().startswith(("content-enc", "content-len", "transfer"))
                ]
                return httpx.Response(
                    int(exchange["status_line"].split()[1]),
                    headers=kept,
                    stream=httpx.ByteStream(body),
                    request=request,
                )
        raise httpx.ConnectError(f"{request.method} {request.url.path} was not recorded")


async def replayed(document, provider, base):
    """What a check makes of a recording as far as no account is needed, about which everything is blank there."""
    account = credentials(sandbox(1), provider)
    async with Client(provider, base_url=base, credentials=account, config=Config(retries=1)) as client:
        client._http._client._transport = Replay(document["exchanges"])
        archive = client._archives[0]
        told = next(v for e in document["exchanges"] for k, v in e["headers"] if k.lower() == "date")
        moment = dt.datetime.strptime(told, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=dt.UTC)
        found = {}
        async with contextlib.aclosing(check(archive, base, look_up=_anywhere, now=lambda: moment)) as steps:
            async for one in steps:
                found[one.step] = one
                if one.step == "search":  # what follows needs an account
                    break
        return found


async def _anywhere(host, port):
    return ["192.0.2.1"]


async def test_a_recording_of_a_check_leads_to_the_same_findings(provider):
    async with sandbox(40, tape_fraction=0.3) as archive, connect(archive, provider) as client:
        base = root(archive, provider)
        with client.recorded() as recording:
            live = await findings(client)
        text = json.dumps({"exchanges": recording.as_json()})

    again = await replayed(json.loads(text), provider, base)

    for step in ("connection", "clock", "search"):
        assert (again[step].found, again[step].is_right) == (live[step].found, live[step].is_right)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_recordings_of_real_archives_are_understood_as_then(path):
    document = json.loads(path.read_text("utf-8"))

    again = await replayed(document, document["provider"], document["root"])

    for step in document["steps"]:
        if step["step"] in ("connection", "clock", "search"):
            assert again[step["step"]].is_right == step["is_right"], step


def test_what_is_sought_is_narrow():
    assert check_module.SOUGHT.area is not None
    assert check_module.FIRST <= 1024


@pytest.mark.parametrize("step", ["connection", "clock", "search", "account", "tape", "download"])
async def test_a_step_that_fails_as_nobody_foresaw_is_shown_and_the_others_follow(monkeypatch, step):
    async def fail(*_, **__):
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(check_module, f"_check_{step}", fail)
    async with sandbox(40, tape_fraction=0) as archive, connect(archive, "peps") as client:
        found = await findings(client)

    assert list(found) == STEPS
    assert (found[step].is_right, found[step].found) == (False, "ZeroDivisionError: surprise")
    assert "bug in pepsasync" in found[step].advice
