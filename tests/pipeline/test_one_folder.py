"""One folder and several who want it; a search that fails beside deliveries that do not."""

import json
from collections import Counter
from dataclasses import asdict

import anyio
import pytest

from archives import connect, everything, right_files, sandbox
from pepsasync import DeliveryStatus, Query, ServerError
from pepsasync.engine import recorder as record
from pepsasync.engine.order import InProgress
from pepsasync.events import DownloadStarted, Noticed, ProductStaged, TiersWatched
from pepsasync.folder.journal import JournalBusyError, Owner
from pepsasync.folder.journal.reading import LEASE

pytestmark = pytest.mark.anyio


async def test_two_fetches_at_once_bring_each_product_once(tmp_path):
    statuses, started = Counter(), Counter()
    async with sandbox(6, tape_fraction=0.5, product_size=1 << 20) as archive, connect(archive) as client:
        products = await everything(client)

        def see(event):
            started.update([event.name] if isinstance(event, DownloadStarted) else [])

        async def fetch():
            async for delivery in client.fetch(products, tmp_path):
                statuses[delivery.status] += 1

        with client.listen(see):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fetch)
                tasks.start_soon(fetch)

        assert {DeliveryStatus.DELIVERED: 6, DeliveryStatus.SKIPPED: 6} == statuses
        assert {product.name: 1 for product in products} == started
        assert right_files(archive, tmp_path) == 6


async def test_claim_is_handed_on_when_its_owner_is_cancelled():
    in_progress, order = InProgress(), []

    async def bring(name, *, task_status=anyio.TASK_STATUS_IGNORED):
        async with in_progress.alone(name):
            order.append(name)
            task_status.started()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as others:
        async with anyio.create_task_group() as first:
            await first.start(bring, "A")
            await first.start(bring, "B")
            others.start_soon(bring, "A")
            await anyio.wait_all_tasks_blocked()
            first.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        others.cancel_scope.cancel()

    assert order == ["A", "B", "A"]


async def test_run_ends_when_another_program_has_taken_over_its_folder(tmp_path, monkeypatch):
    """As after it was stopped for minutes and goes on."""
    monkeypatch.setattr(record, "GUARD_EVERY", 0.01)
    elsewhere = Owner("node12", "node12 boot pid:[1]", 4711, "00", 1_700_000_000.0)

    def take_over(event):
        if isinstance(event, TiersWatched):
            (tmp_path / ".pepsasync" / LEASE).write_text(f"{7:020}\n{json.dumps(asdict(elsewhere))}\n")

    async with (
        sandbox(2, tape_fraction=1, staging_seconds=3600) as archive,
        connect(archive, poll_interval_max=0.05) as client,
    ):
        products = await everything(client)
        with anyio.fail_after(120), client.listen(take_over), pytest.raises(JournalBusyError, match="process 4711"):
            async for _ in client.fetch(products, tmp_path):
                pass


async def test_search_that_fails_does_not_take_the_deliveries_along(tmp_path, monkeypatch):
    events, outcomes = [], []
    async with sandbox(8, tape_fraction=1) as archive, connect(archive) as client:
        found = [product async for product in client.search(collection="S1")]
        ask = client.provider.search_page

        async def search_page(query, page):
            if query.collection != "S1":
                raise ServerError("the server failed with HTTP 503")
            return await ask(query, page)

        monkeypatch.setattr(client.provider, "search_page", search_page)
        with client.listen(events.append), pytest.raises(ServerError, match="HTTP 503"):
            async for delivery in client.fetch([Query(collection="S1"), Query(collection="S2ST")], tmp_path):
                outcomes.append(delivery)  # noqa: PERF401 - the loop ends with an error

        assert {product.id for product in found} == {delivery.product.id for delivery in outcomes}
        assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in outcomes}
    notices = [event for event in events if isinstance(event, Noticed) and "still downloaded" in event.message]
    assert len(notices) == 1
    assert events.index(notices[0]) < next(n for n, event in enumerate(events) if isinstance(event, ProductStaged))
