"""Addresses that archives name and that cannot be used, or lead nowhere: they are one product's trouble."""

from dataclasses import replace

import anyio
import httpx
import pytest

from archives import connect, everything, sandbox
from pepsasync import Client, ConfigError, DeliveryStatus, TransferError
from pepsasync.errors import AddressError
from pepsasync.limits.attempts import Attempts
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


async def test_a_host_that_nobody_reaches_uses_up_no_quota(tmp_path, monkeypatch):
    monkeypatch.setitem(Attempts.__init__.__kwdefaults__, "patience", 0.5)
    settings = {"jobs": 2, "limit_rate": 1_000_000, "quota": Quota(6, 3600.0)}  # one is left for it
    async with sandbox(6, tape_fraction=0) as archive, connect(archive, "geodes", **settings) as client:
        first, *others = await everything(client)
        with anyio.fail_after(30):
            found = await outcomes(client, [replace(first, download_url="http://127.0.0.1:9/x"), *others], tmp_path)

    assert isinstance(found[first.name].error, TransferError)
    assert {found[one.name].status for one in others} == {DELIVERED}


async def test_a_host_that_nobody_reaches_fails_its_product_only(tmp_path, monkeypatch):
    monkeypatch.setitem(Attempts.__init__.__kwdefaults__, "patience", 0.5)
    async with sandbox(12, tape_fraction=0) as archive, connect(archive, jobs=2, limit_rate=1_000_000) as client:
        first, *others = await everything(client)
        with anyio.fail_after(30):
            found = await outcomes(client, [replace(first, download_url="http://127.0.0.1:9/x"), *others], tmp_path)

    assert isinstance(found[first.name].error, TransferError)
    assert {found[one.name].status for one in others} == {DELIVERED}
