"""The public names as users meet them. Checked by mypy, never run."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_type

import geopandas

import pepsasync
from pepsasync import Client, Config, Credentials, Delivery, DeliveryStatus, Product, Query, StorageTier
from pepsasync.events import Event


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
        events: AsyncIterator[Event] = client.events()
        async for event in events:
            assert_type(event.event, str)


error: type[Exception] = pepsasync.PepsasyncError
