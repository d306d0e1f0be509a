"""One product, several archives: whoever has it and is free delivers it."""

from collections import Counter
from contextlib import asynccontextmanager

import anyio
import pytest

from archives import QUICK, credentials, portal, right_files, root, sandbox
from pepsasync import AuthError, Client, Config, ConfigError, DeliveryStatus, NotFoundError, UnreachableError
from pepsasync.engine import several_archives as sources
from pepsasync.engine.several_slots import LOOKUPS
from pepsasync.events import Noticed, ProductDelivered, ProductLeftOut, StagingRequested
from pepsasync.model import Quota
from pepsasync.query.criteria import build_query

pytestmark = pytest.mark.anyio
QUERY = build_query(start="2015-01-01", end="2018-01-01")


@asynccontextmanager
async def several(providers, *archives, wrong=(), **settings):
    """A client of several providers, each with a sandbox of its own."""
    served = dict(zip(providers, archives, strict=True))
    known = {
        name: credentials(archive, name, secret="not-it" if name in wrong else None) for name, archive in served.items()
    }
    async with Client(
        providers,
        credentials=known,
        base_url={name: root(archive, name) for name, archive in served.items()},
        config=Config(**(QUICK | settings)),
    ) as client:
        yield client


async def bring(client, folder, wanted=QUERY):
    return {delivery.product.name: delivery async for delivery in client.fetch(wanted, folder)}


async def test_tape_here_and_online_there_is_not_waited_for(tmp_path):
    async with (
        sandbox(8, tape_fraction=1.0, staging_seconds=3600) as slow,
        sandbox(8, tape_fraction=0.0) as online,
        several(["geodes", "cdse"], slow, online) as client,
    ):
        outcomes = await bring(client, tmp_path)

        assert {(delivery.status, delivery.source) for delivery in outcomes.values()} == {
            (DeliveryStatus.DELIVERED, "cdse")
        }
        assert right_files(online, tmp_path) == 8


@pytest.mark.parametrize(("first", "second"), [("cdse", "geodes"), ("peps", "cdse")])
async def test_evicted_here_and_online_there_is_not_waited_for(first, second, tmp_path):
    async with (
        sandbox(6, tape_fraction=0.0, staging_seconds=3600) as evicting,
        sandbox(6, tape_fraction=0.0) as online,
        several([first, second], evicting, online, poll_interval=3600.0, poll_interval_max=3600.0) as client,
    ):
        products = [product async for product in client.search(QUERY)]
        for product in products:
            evicting.set_tier(product.name, "tape")
        with anyio.fail_after(120):
            outcomes = await bring(client, tmp_path, products)

        assert {(delivery.status, delivery.source) for delivery in outcomes.values()} == {
            (DeliveryStatus.DELIVERED, second)
        }
        assert right_files(online, tmp_path) == 6


async def test_what_one_archive_stages_first_comes_from_there(tmp_path):
    async with (
        sandbox(4, tape_fraction=1.0) as by_hand,
        sandbox(4, tape_fraction=1.0) as stages,
        several(["geodes", "peps"], by_hand, stages) as client,
    ):
        outcomes = await bring(client, tmp_path)

        assert {delivery.source for delivery in outcomes.values()} == {"peps"}
        assert all(times == 1 for times in stages.statistics.stagings.values())
        assert right_files(stages, tmp_path) == 4


async def test_no_more_is_staged_than_the_window_of_each_archive_takes(tmp_path):
    under_way, most = set(), 0

    def see(event):
        nonlocal most
        if isinstance(event, StagingRequested):
            under_way.add(event.name)
        elif isinstance(event, ProductDelivered):
            under_way.remove(event.name)
        most = max(most, len(under_way))

    async with (
        sandbox(6, tape_fraction=1.0) as first,
        sandbox(6, tape_fraction=1.0) as second,
        several(["peps", "cdse"], first, second, staging_window=1) as client,
    ):
        with client.listen(see):
            await bring(client, tmp_path)

        assert right_files(first, tmp_path) == 6
    assert 1 <= most <= 2


async def test_every_archive_works_at_once(tmp_path):
    async with (
        sandbox(30, tape_fraction=0.0) as first,
        sandbox(30, tape_fraction=0.0) as second,
        sandbox(30, tape_fraction=0.0) as third,
        several(["geodes", "cdse", "peps"], first, second, third, jobs=2) as client,
    ):
        outcomes = await bring(client, tmp_path)

        assert right_files(first, tmp_path) == 30
    assert min(Counter(delivery.source for delivery in outcomes.values()).values()) >= 2
    assert set(Counter(delivery.source for delivery in outcomes.values())) == {"geodes", "cdse", "peps"}


async def test_a_source_that_fails_is_left_for_another(tmp_path):
    async with (
        sandbox(6, tape_fraction=0.0, faults={"flip": 1.0}, fault_limit=99, geodes_quota=None) as broken,
        sandbox(6, tape_fraction=0.0) as good,
        several(["geodes", "cdse"], broken, good, quota=Quota(1000, 1.0)) as client,
    ):
        outcomes = await bring(client, tmp_path)

        assert {(delivery.error, delivery.source) for delivery in outcomes.values()} == {(None, "cdse")}
        assert right_files(good, tmp_path) == 6


async def test_an_archive_that_does_not_answer_keeps_nobody_waiting(tmp_path, monkeypatch):
    async def silent(query, page):
        await anyio.sleep_forever()

    monkeypatch.setattr(sources, "LOOK_UP", 0.05)
    async with (
        sandbox(8, tape_fraction=0.0) as good,
        sandbox(8, tape_fraction=0.0) as out,
        several(["geodes", "cdse"], good, out, jobs=1) as client,
    ):
        monkeypatch.setattr(client._archives[1].provider, "search_page", silent)
        with anyio.fail_after(120):
            outcomes = await bring(client, tmp_path)

        assert {delivery.source for delivery in outcomes.values()} == {"geodes"}
        assert right_files(good, tmp_path) == 8


@pytest.mark.parametrize("is_refused", [True, False])
async def test_an_archive_that_is_out_is_asked_now_and_then(tmp_path, monkeypatch, is_refused):
    monkeypatch.setattr(sources, "LOOK_UP", 0.3)
    asked = []

    async def out(query, page):
        asked.append(query.names)
        if is_refused:
            raise UnreachableError("cannot connect")
        await anyio.sleep_forever()

    async with (
        sandbox(40, tape_fraction=0.0) as good,
        sandbox(1) as silent,
        several(["geodes", "cdse"], good, silent, jobs=1) as client,
    ):
        monkeypatch.setattr(client._archives[1].provider, "search_page", out)
        outcomes = await bring(client, tmp_path)

        assert {delivery.source for delivery in outcomes.values()} == {"geodes"}
        assert right_files(good, tmp_path) == 40
    assert len(asked) <= LOOKUPS


async def test_the_last_word_is_had_by_the_archive_that_failed_first(tmp_path):
    """It is tried again when no other has the product."""
    async with (
        sandbox(3, tape_fraction=0.0, faults={"flip": 1.0}, fault_limit=2, geodes_quota=None) as flips,
        sandbox(0) as empty,
        several(["geodes", "cdse"], flips, empty, quota=Quota(1000, 1.0)) as client,
    ):
        outcomes = await bring(client, tmp_path)

        assert {(delivery.error, delivery.source) for delivery in outcomes.values()} == {(None, "geodes")}
        assert right_files(flips, tmp_path) == 3


async def test_an_archive_that_refuses_the_account_is_left_out(tmp_path):
    events = []
    async with (
        sandbox(4, tape_fraction=0.0) as refuses,
        sandbox(4, tape_fraction=0.0) as good,
        several(["geodes", "cdse"], refuses, good, wrong=["geodes"]) as client,
    ):
        with client.listen(events.append):
            outcomes = await bring(client, tmp_path)

        assert {(delivery.error, delivery.source) for delivery in outcomes.values()} == {(None, "cdse")}
    assert [event for event in events if isinstance(event, Noticed) and "geodes will not be used" in event.message]


async def test_when_all_refuse_the_run_ends(tmp_path):
    async with (
        sandbox(2, tape_fraction=0.0) as first,
        sandbox(2, tape_fraction=0.0) as second,
        several(["geodes", "cdse"], first, second, wrong=["geodes", "cdse"]) as client,
    ):
        with pytest.raises(AuthError):
            await bring(client, tmp_path)


async def test_a_quota_here_lets_others_work(tmp_path):
    async with (
        sandbox(12, tape_fraction=0.0, geodes_quota=2) as limited,
        sandbox(12, tape_fraction=0.0) as free,
        several(["geodes", "cdse"], limited, free, jobs=1) as client,
    ):
        with anyio.fail_after(120):
            outcomes = await bring(client, tmp_path)

    sources = Counter(delivery.source for delivery in outcomes.values())
    assert sources["geodes"] <= 2
    assert sum(sources.values()) == 12


@pytest.mark.parametrize(("other", "gaps"), [("peps", 0.0), ("peps", 1.0), ("cdse", 1.0)])
async def test_tape_everywhere_is_left_out(other, gaps, tmp_path):
    events = []
    async with (
        sandbox(4, tape_fraction=1.0, faults={"availability-gap": gaps}, fault_limit=1) as first,
        sandbox(4, tape_fraction=1.0) as second,
        several(["geodes", other], first, second, skip_tape=True) as client,
    ):
        with client.listen(events.append):
            assert await bring(client, tmp_path) == {}

    assert len([event for event in events if isinstance(event, ProductLeftOut)]) == 4


async def test_staging_by_hand_and_by_request_go_on_together(tmp_path):
    """The portal of one archive is quicker than the tape of the other."""
    async with (
        sandbox(3, tape_fraction=1.0) as by_hand,
        sandbox(3, tape_fraction=1.0, staging_seconds=3600) as slow,
        several(["geodes", "peps"], by_hand, slow) as client,
    ):
        with client.listen(portal(by_hand)):
            outcomes = await bring(client, tmp_path)

        assert {(delivery.error, delivery.source) for delivery in outcomes.values()} == {(None, "geodes")}


async def test_files_of_one_archive_count_in_another(tmp_path):
    async with sandbox(3, tape_fraction=0.0) as archive:
        async with several(["cdse"], archive) as client:
            await bring(client, tmp_path)
        async with several(["peps"], archive) as client:
            again = await bring(client, tmp_path)

    assert {delivery.status for delivery in again.values()} == {DeliveryStatus.SKIPPED}


async def test_unknown_names_fail_once(tmp_path):
    async with sandbox(1) as archive, several(["geodes", "cdse"], archive, archive) as client:
        outcomes = await bring(client, tmp_path, ["S1A_nothing"])

    assert [type(delivery.error) for delivery in outcomes.values()] == [NotFoundError]


@pytest.mark.parametrize("providers", ["geodes,geodes", "geodes,", ["peps", "nowhere"]])
def test_senseless_lists_of_archives_are_refused(providers):
    with pytest.raises(ConfigError):
        Client(providers)


def test_one_account_is_not_for_several_archives():
    with pytest.raises(ConfigError, match="by name"):
        Client("geodes,cdse", base_url="https://archive.example")
