"""The public names as users meet them. Checked by mypy, never run."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import assert_type

import geopandas

import pepsasync
from pepsasync import Client, Config, Credentials, Delivery, DeliveryStatus, Product, Query, StorageTier
from pepsasync.events import Event
from pepsasync.model import Attribute
from pepsasync.sync.changes import Changes
from pepsasync.sync.order import Order, read_order, write_order
from pepsasync.sync.run import Sync, carry_out, look_only


async def use() -> None:
    credentials = Credentials(username="who@example.org", password="secret")
    async with Client(
        "peps", credentials=credentials, config=Config(jobs=2), base_url="https://a.example/resto"
    ) as client:
        async for product in client.search(collection="S1", product="GRD", location="Toulouse", start="2015-11-01"):
            assert_type(product, Product)
            assert_type(product.tier, StorageTier)
            assert_type(product.size, int | None)
            assert_type(await client.download(product, "data/"), Path)
        assert_type(await client.download("S1A_X", Path("data"), extract=True), Path)
        query = Query(collection="S1")
        async for delivery in client.fetch(query, "data/"):
            assert_type(delivery, Delivery)
            assert_type(delivery.status, DeliveryStatus)
            assert_type(delivery.path, Path | None)
        for fetched in (
            client.fetch(["S1A_X", product]),
            client.fetch("S1A_X"),
            client.fetch(product),
            client.fetch({"collection": "S1"}),
            client.fetch(geopandas.GeoDataFrame()),
        ):
            async for _ in fetched:
                pass
        assert_type(await client.tiers([product]), dict[str, StorageTier])
        assert_type(await client.attributes("S1"), dict[str, Attribute])
        events: AsyncIterator[Event] = client.events()
        async for event in events:
            assert_type(event.event, str)


def use_without_await() -> None:
    received: list[Delivery] = []
    events: list[Event] = []
    with pepsasync.blocking.Client("peps", config=Config(jobs=2), ask_code=lambda: "123456") as client:
        for product in client.search(collection="S1", product="GRD"):
            assert_type(product, Product)
        products = list(client.search({"collection": "S1"}))
        assert_type(products, list[Product])
        assert_type(client.download(products[0], "data/"), Path)
        assert_type(client.download("S1A_X", Path("data"), extract=True), Path)
        assert_type(client.tiers(products), dict[str, StorageTier])
        assert_type(client.attributes(), dict[str, Attribute])
        with client.fetch(products, "data/", extract=True, on_delivered=received.append) as outcomes:
            assert_type(next(outcomes), Delivery)
        for online in client.wait_online(products):
            assert_type(online, Product)
        for event in client.events():
            assert_type(event, Event)
        with client.listen(events.append):
            client.download(1)  # type: ignore[arg-type]
            client.download("S1A_X", unpack=True)  # type: ignore[call-arg]
        client.close()


async def stay_true(client: Client, query: Query) -> None:
    done = await carry_out(
        client, query, "data", name="toulouse", replaces=True, prunes=True, look_back=timedelta(days=5)
    )
    assert_type(done, Sync)
    assert_type(done.deliveries, list[Delivery])
    plan = await look_only(client, query, Path("data"))
    assert_type(plan.changes, Changes)
    assert_type(plan.changes.gone, tuple[str, ...])
    order = read_order(Path("toulouse.toml"))
    assert_type(order, Order)
    assert_type(order.query, Query)
    write_order(Path("other.toml"), order)


error: type[Exception] = pepsasync.PepsasyncError
