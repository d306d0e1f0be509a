"""Archives whose products are ordered: the order reaches whoever needs it, and outlives the run."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import anyio
import pytest

from fakes import FakeProvider, archive_of, product
from pepsasync import Config, StorageTier
from pepsasync.engine import several_archives
from pepsasync.engine.one_archive import OneArchive
from pepsasync.engine.order import InProgress, Log, Order
from pepsasync.engine.recorder import Recorder
from pepsasync.engine.several_archives import Candidates
from pepsasync.engine.several_slots import Copy, Holder
from pepsasync.errors import ServerError
from pepsasync.folder.journal import open_journal
from pepsasync.folder.layout import Folder
from pepsasync.model import Limits
from pepsasync.providers.base import StagingOutcome, StagingReply
from pepsasync.transfer.destination import IntoFolder

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

LIMITS = Limits(page_size=10, downloads=2, staging_requests=2, poll_batch=1, bounded_ranges=False, orders=True)
UNKNOWN = product("A", tier=StorageTier.UNKNOWN)


class Orders(FakeProvider):
    """Makes an order of each request; one that is `ready` is on disk, one that is `gone` on tape."""

    def __init__(self, *, expires=None, outcome=StagingOutcome.ACCEPTED):
        super().__init__({}, limits=LIMITS)
        self.expires, self.outcome = expires, outcome
        self.ready, self.gone, self.seen = set(), set(), []
        self.was_looked_at = anyio.Event()

    async def request_staging(self, product):
        self.staged[product.name] += 1
        self.seen.append(product.order)
        return StagingReply(self.outcome, order=f"order-{self.staged.total()}", expires=self.expires)

    async def tiers(self, products):
        self.was_looked_at.set()
        words = {True: StorageTier.DISK, False: StorageTier.STAGING}
        return {
            each.id: StorageTier.TAPE if each.order in self.gone else words[each.order in self.ready]
            for each in products
        }


@asynccontextmanager
async def run(provider, directory):
    """One archive in a run of its own, with a journal, and its watch."""
    async with open_journal(directory, tell=print) as journal:
        recorder = Recorder(journal, lambda event: None, ["fake"], {}, in_progress=InProgress())
        config = Config(poll_interval=1.0)
        archive = archive_of(provider, SimpleNamespace(was_reached=True), config, lambda event: None)
        await recorder.found(None, [UNKNOWN])
        asked = await recorder.asked_before()
        order = Order(
            folder := Folder(directory),
            IntoFolder(folder),
            config,
            lambda event: None,
            source="fake",
            asked_before=asked,
        )
        one = OneArchive(await recorder.recorded(archive), order)
        async with anyio.create_task_group() as watching:
            watching.start_soon(one.watch)
            yield one
            watching.cancel_scope.cancel()


async def ended_while_it_waits(provider, directory):
    """A run that ends when it has looked at its order once."""
    async with run(provider, directory) as one, anyio.create_task_group() as waiting:
        waiting.start_soon(one.bring_online, UNKNOWN, Log(UNKNOWN, source="fake"))
        await provider.was_looked_at.wait()
        waiting.cancel_scope.cancel()


async def test_an_order_is_waited_for_and_in_the_log(tmp_path):
    provider, log = Orders(), Log(UNKNOWN, source="fake")
    provider.ready.add("order-1")
    async with run(provider, tmp_path) as one:
        await one.bring_online(UNKNOWN, log)

    assert "order-1" == log.archive_order
    assert {"A": 1} == provider.staged


async def test_an_order_that_is_ready_at_once_is_kept_too(tmp_path):
    provider, log = Orders(outcome=StagingOutcome.ONLINE), Log(UNKNOWN, source="fake")
    async with run(provider, tmp_path) as one:
        await one.bring_online(UNKNOWN, log)
    provider.ready.add("order-1")
    async with run(provider, tmp_path) as one:
        await one.bring_online(UNKNOWN, again := Log(UNKNOWN, source="fake"))

    assert ("order-1", "order-1") == (log.archive_order, again.archive_order)
    assert {"A": 1} == provider.staged


async def test_a_later_run_goes_on_with_the_order(tmp_path):
    provider = Orders()
    await ended_while_it_waits(provider, tmp_path)
    provider.ready.add("order-1")
    log = Log(UNKNOWN, source="fake")
    async with run(provider, tmp_path) as one:
        await one.bring_online(UNKNOWN, log)

    assert "order-1" == log.archive_order
    assert {"A": 1} == provider.staged


async def test_an_order_that_has_ended_is_made_again(tmp_path):
    provider = Orders(expires=datetime.now(UTC) - timedelta(hours=1))
    await ended_while_it_waits(provider, tmp_path)
    provider.ready |= {"order-1", "order-2"}
    log = Log(UNKNOWN, source="fake")
    async with run(provider, tmp_path) as one:
        await one.bring_online(UNKNOWN, log)

    assert "order-2" == log.archive_order


async def test_an_order_that_is_gone_is_made_again(tmp_path):
    provider, log = Orders(), Log(UNKNOWN, source="fake")
    provider.gone.add("order-1")
    provider.ready.add("order-2")
    async with run(provider, tmp_path) as one:
        await one.bring_online(UNKNOWN, log)

    assert "order-2" == log.archive_order
    assert [None, "order-1"] == provider.seen


async def test_orders_at_other_archives_are_given_up(tmp_path):
    provider = Orders()
    async with run(provider, tmp_path) as one:
        ordered = Copy(Holder(one), replace(UNKNOWN, order="order-7"))
        downloaded = Copy(Holder(one), replace(UNKNOWN, order="order-8"))
        never_ordered = Copy(Holder(one), UNKNOWN)
        candidates = Candidates(Log(UNKNOWN, source="fake"), [downloaded, never_ordered], [ordered])
        candidates.came_from = downloaded
        await candidates.give_up()

    assert ["order-7"] == provider.given_up


@pytest.mark.parametrize("trouble", ["error", "silence"])
async def test_a_run_does_not_depend_on_giving_up(tmp_path, trouble):
    class Broken(Orders):
        async def give_up(self, product):
            if trouble == "error":
                raise ServerError("not now")
            await anyio.sleep_forever()

    async with run(Broken(), tmp_path) as one:
        await one.give_up(replace(UNKNOWN, order="order-1"))


@pytest.mark.parametrize(
    ("theirs", "is_found"),
    [("S1A_X.SAFE", True), ("s1a_x", True), ("S1A_X.zip", True), ("S1A_X_COG", False), ("S1A_Y", False)],
)
async def test_other_archives_may_write_a_name_in_another_way(theirs, is_found):
    there = product(theirs, size=7, tier=StorageTier.DISK)
    found = await several_archives._look_up("S1A_X", FakeProvider({}, pages=[[there]]))

    assert found == (replace(there, name="S1A_X") if is_found else None)
