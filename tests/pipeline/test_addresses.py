"""Addresses that archives name and that cannot be used, or lead nowhere: they are one product's trouble."""

import contextlib
from dataclasses import replace

import anyio
import httpx
import pytest

from archives import connect, everything, sandbox
from pepsasync import Client, Config, ConfigError, DeliveryStatus, TransferError
from pepsasync.errors import AddressError
from pepsasync.model import Quota

pytestmark = pytest.mark.anyio

DELIVERED, FAILED = DeliveryStatus.DELIVERED, DeliveryStatus.FAILED
WRONG = ["ftp://127.0.0.1/x", "http://archive.example/x", "", "https://☃.example/x", "s3://bucket/x", "https://[::1/x"]


def lead_away(client, name, where):
    """Have the archive redirect the download of a product."""
    send = client._http._transport.handle_async_request

    async def handle(request):
        if name in str(request.url):
            return httpx.Response(302, headers={"Location": where}, request=request)
        return await send(request)

    client._http._transport.handle_async_request = handle


async def outcomes(client, products, folder):
    return {d.product.name: d async for d in client.fetch(products, folder)}


@pytest.mark.parametrize("address", WRONG)
@pytest.mark.parametrize("size", [20_000, 1_000_000])
async def test_a_wrong_address_in_the_catalogue_fails_its_product_only(tmp_path, size, address):
    async with sandbox(4, tape_fraction=0, product_size=size) as archive, connect(archive) as client:
        first, *others = await everything(client)
        found = await outcomes(client, [replace(first, download_url=address), *others], tmp_path)

    assert [found[first.name].status, *(found[one.name].status for one in others)] == [FAILED, *[DELIVERED] * 3]
    assert isinstance(found[first.name].error, AddressError)
    assert first.name in str(found[first.name].error)
    assert found[first.name].attempts == 1


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/x", "http://archive.example/x", "https://[::1/x"])
@pytest.mark.parametrize("provider", ["peps", "geodes", "cdse"])
async def test_a_wrong_address_in_a_redirect_fails_its_product_only(tmp_path, provider, address):
    async with sandbox(4, tape_fraction=0) as archive, connect(archive, provider) as client:
        first, *others = await everything(client)
        lead_away(client, first.download_url.rpartition("/")[0], address)
        found = await outcomes(client, [first, *others], tmp_path)

    assert [found[first.name].status, *(found[one.name].status for one in others)] == [FAILED, *[DELIVERED] * 3]


@pytest.mark.parametrize("root", ["http://archive.example/resto", "https://archive.example:99999/resto"])
async def test_a_root_that_cannot_be_used_is_the_users_mistake(root):
    with pytest.raises(ConfigError):
        Client("peps", base_url=root)


NOBODY = "http://127.0.0.1:9"
"""The port of a service that no machine runs any more; where one does, `elsewhere` comes before it."""


@contextlib.contextmanager
def elsewhere(client, answer, others=(), may_begin=None):
    """Have a function answer what is sent to `NOBODY`; some other products have to wait for an event."""
    send = client._http._transport.handle_async_request

    async def handle(request):
        if request.url.port == 9:
            return await answer(request)
        if request.url in [one.download_url for one in others]:
            await may_begin.wait()
        return await send(request)

    client._http._transport.handle_async_request = handle
    yield
    client._http._transport.handle_async_request = send


async def refuse(request):
    raise httpx.ConnectError("Connection refused")


async def say_503(request):
    return httpx.Response(503, headers={"Retry-After": "3600"}, request=request)


def lead_to_nobody(products, count, **changes):
    return [replace(one, download_url=f"{NOBODY}/{one.id}", **changes) for one in products[:count]] + products[count:]


@pytest.mark.parametrize("answer", [refuse, say_503])
@pytest.mark.parametrize("provider", ["peps", "geodes", "cdse"])
async def test_links_to_a_host_that_serves_nobody_are_no_outage_of_the_archive(tmp_path, provider, answer):
    """Also when they are several, and nobody else is served before they have failed."""
    failed = anyio.Event()
    async with sandbox(6, tape_fraction=0) as archive, connect(archive, provider, retry_wait_max=60.0) as client:
        products = lead_to_nobody(await everything(client), 3)
        with elsewhere(client, answer, products[3:], failed), anyio.fail_after(120):
            found = {}
            async for delivery in client.fetch(products, tmp_path):
                found[delivery.product.name] = delivery
                if len(found) == 3:
                    failed.set()

    assert [type(one.error) for one in [*found.values()][:3]] == [TransferError] * 3
    assert {one.product.name for one in [*found.values()][:3]} == {one.name for one in products[:3]}
    assert {one.attempts for one in [*found.values()][:3]} == {Config().retries}
    assert [one.status for one in [*found.values()][3:]] == [DELIVERED] * 3


async def test_a_run_whose_only_link_leads_to_nobody_does_not_end(tmp_path):
    async with sandbox(2, tape_fraction=0) as archive, connect(archive) as client:
        products = lead_to_nobody(await everything(client), 2)
        with anyio.fail_after(120):
            found = await outcomes(client, products, tmp_path)

    assert {type(one.error) for one in found.values()} == {TransferError}


async def test_tape_products_whose_links_lead_to_nobody_fail_alone(tmp_path):
    async with sandbox(6, tape_fraction=1) as archive, connect(archive) as client:
        products = lead_to_nobody(await everything(client), 3)
        with elsewhere(client, refuse), anyio.fail_after(120):
            found = await outcomes(client, products, tmp_path)

    assert [found[one.name].status for one in products] == [FAILED] * 3 + [DELIVERED] * 3


async def test_a_host_that_has_sent_products_may_be_out_as_the_archive_may(tmp_path):
    """An archive may keep its products on another host than its catalogue."""
    left, sent = 9, []
    async with sandbox(3, tape_fraction=0) as archive, connect(archive, jobs=1, retries=3) as client:
        send = client._http._transport.handle_async_request
        products = await everything(client)
        links = {one.id: httpx.URL(one.download_url) for one in products}

        async def answer(request):
            nonlocal left
            if left and request.url not in (sent or [request.url]):
                left -= 1
                raise httpx.ConnectError("Connection refused")
            sent.append(request.url)
            link = links[request.url.path[1:]]
            headers = {**archive_login(archive), "Host": f"{link.host}:{link.port}"}
            return await send(httpx.Request("GET", link, headers=headers, extensions=request.extensions))

        with elsewhere(client, answer), anyio.fail_after(120):
            found = [delivery.status async for delivery in client.fetch(lead_to_nobody(products, 3), tmp_path)]

    assert found == [DELIVERED] * 3
    assert not left


def archive_login(archive):
    return {"Authorization": httpx._auth.BasicAuth(archive.username, archive.password)._auth_header}


async def test_a_host_that_nobody_reaches_uses_up_no_quota(tmp_path):
    quota = Quota(6, 3600.0)  # one is left for it
    async with sandbox(6, tape_fraction=0) as archive, connect(archive, "geodes", quota=quota) as client:
        first, *others = await everything(client)
        with anyio.fail_after(120):
            found = await outcomes(client, [*lead_to_nobody([first], 1), *others], tmp_path)

    assert isinstance(found[first.name].error, TransferError)
    assert {found[one.name].status for one in others} == {DELIVERED}
