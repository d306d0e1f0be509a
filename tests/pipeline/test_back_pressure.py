"""A consumer of outcomes that falls behind holds up the run, and nothing else does."""

import math
from contextlib import asynccontextmanager

import anyio
import pytest

from archives import QUICK, credentials, everything, right_files, root, sandbox
from fakes import plain_archive, product
from pepsasync import Client, DeliveryStatus, DiskFullError
from pepsasync import client as client_module
from pepsasync.config import Config
from pepsasync.engine import fetch as module
from pepsasync.engine.fetch import deliver_all
from pepsasync.engine.order import Order
from pepsasync.engine.several_archives import sources_of
from pepsasync.folder.layout import Folder
from pepsasync.http.client import Http
from pepsasync.model import Delivery
from pepsasync.transfer import destination
from pepsasync.transfer.destination import IntoFolder

pytestmark = pytest.mark.anyio

IN_FLIGHT, AHEAD, COUNT = 4, 3, 40


class Path:
    """The path of products, which takes no time and no threads; knows whose began."""

    def __init__(self):
        self.begun = []
        self.is_disk_full = anyio.Event()

    async def find_absent(self, products, folder):
        return {one.name for one in products}

    async def deliver(self, wanted, archives, order, *, is_absent):
        self.begun.append(wanted.name)
        if wanted.name == "FULL":
            await self.is_disk_full.wait()
            raise DiskFullError("no space left")
        return Delivery(product=wanted, status=DeliveryStatus.DELIVERED, source="plain")


@pytest.fixture
def path(monkeypatch):
    path = Path()
    monkeypatch.setattr(module, "deliver", path.deliver)
    monkeypatch.setattr(destination, "find_absent", path.find_absent)
    return path


@pytest.fixture
def running(tmp_path):
    @asynccontextmanager
    async def running(names, *, on_delivered=None, **known):
        """Outcomes of a run for products of these names."""
        config, folder = Config(in_flight=IN_FLIGHT), Folder(tmp_path)
        folder.open()
        outcomes, received = anyio.create_memory_object_stream(AHEAD)
        pages, to_bring = anyio.create_memory_object_stream(math.inf)
        pages.send_nowait([product(name, **known) for name in names])
        pages.close()
        async with Http(config) as http, received, module.task_group() as tasks:
            order = Order(folder, IntoFolder(folder), config, lambda event: None, "plain", on_delivered=on_delivered)
            archives = sources_of([plain_archive(http, config, lambda event: None)], order)
            tasks.start_soon(deliver_all, to_bring, outcomes, archives, order)
            yield received
            tasks.cancel_scope.cancel()

    return running


NAMES = [f"P{number}" for number in range(COUNT)]


async def test_no_more_is_delivered_than_the_window_and_the_outcomes_ahead(path, running):
    async with running(NAMES) as outcomes:
        await outcomes.receive()
        await anyio.wait_all_tasks_blocked()
        begun = len(path.begun)
        rest = [delivery async for delivery in outcomes]

    assert begun == 1 + AHEAD + IN_FLIGHT
    assert len(rest) == COUNT - 1
    assert sorted(path.begun) == sorted(NAMES)


async def test_a_hook_that_is_slow_holds_up_the_run(path, running):
    async def hook(delivery):
        await anyio.sleep_forever()

    async with running(NAMES, on_delivered=hook):
        await anyio.wait_all_tasks_blocked()

        assert len(path.begun) == IN_FLIGHT


async def test_what_ends_the_run_does_not_wait_for_the_consumer(path, running):
    with anyio.fail_after(120), pytest.raises(DiskFullError):
        async with running(["FULL", *NAMES]):
            await anyio.wait_all_tasks_blocked()
            path.is_disk_full.set()
            await anyio.sleep_forever()


async def test_products_of_one_id_are_both_in_the_window(path, running):
    async with running(["A", "B"], id="one") as outcomes:
        found = [delivery.product.name async for delivery in outcomes]

    assert sorted(found) == ["A", "B"]


@pytest.mark.parametrize("providers", [["peps"], ["geodes", "cdse"]], ids="-".join)
async def test_the_smallest_window_brings_everything_also_after_the_loop_was_left(providers, tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "OUTCOMES_AHEAD", 1)
    brought = []

    async def hook(delivery):
        brought.append(delivery.product.name)

    async with sandbox(12, tape_fraction=0) as archive:
        roots = {name: root(archive, name) for name in providers}
        accounts = {name: credentials(archive, name) for name in providers}
        config = Config(**QUICK, in_flight=1)
        async with Client(providers, credentials=accounts, base_url=roots, config=config) as client:
            products = await everything(client)
            with anyio.fail_after(120):
                async for _ in client.fetch(products, tmp_path, on_delivered=hook):
                    break
                outcomes = [delivery async for delivery in client.fetch(products, tmp_path, on_delivered=hook)]

        assert right_files(archive, tmp_path) == 12
    assert len(outcomes) == 12
    assert sorted(brought) == sorted(product.name for product in products)
