"""The shared poller, on virtual time: hours pass in milliseconds."""

from dataclasses import replace

import anyio
import pytest

from fakes import FakeProvider, product
from pepsasync.config import Config
from pepsasync.engine.watch import OnlineWatch
from pepsasync.errors import AuthError, ForbiddenError, NotFoundError, ServerError, StagingTimeout
from pepsasync.model import Limits, StorageTier

DISK, TAPE, STAGING, UNKNOWN = StorageTier.DISK, StorageTier.TAPE, StorageTier.STAGING, StorageTier.UNKNOWN
pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


async def watched(provider, products, *, asked=1, **settings):
    """Wait for products in turn; their answers, the virtual seconds it took, and the events."""
    events, answers = [], {}
    watch = OnlineWatch(provider, Config(**settings), events.append, chance=lambda: 0.5)

    async def one(item):
        try:
            answers[item.name] = await watch.until_online(item, asked)
        except StagingTimeout as error:
            answers[item.name] = error

    began = anyio.current_time()
    async with anyio.create_task_group() as outer:
        outer.start_soon(watch.run)
        async with anyio.create_task_group() as inner:
            for item in products:
                inner.start_soon(one, item)
        outer.cancel_scope.cancel()
    return answers, anyio.current_time() - began, [event for event in events if event.looked]


async def test_until_online_disk_answers_true():
    provider = FakeProvider({"A": STAGING}, {"A": STAGING}, {"A": DISK})

    answers, seconds, _ = await watched(provider, [product("A")])

    assert {"A": True} == answers
    assert 5 + 7.5 + 11.25 == pytest.approx(seconds)


async def test_the_first_look_is_told_before_it_comes():
    events, clock = [], []
    watch = OnlineWatch(FakeProvider({"A": DISK}), Config(), events.append, chance=lambda: 0.5)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        for _ in range(2):
            await anyio.sleep(60)  # nobody waits
            began = anyio.current_time()
            assert await watch.until_online(product("A"), 1)
            clock.append(anyio.current_time() - began)
        tasks.cancel_scope.cancel()

    told = [(event.looked, event.waiting, event.next_poll) for event in events if not event.looked]
    assert told == [(False, 1, 5.0), (False, 1, 5.0)]
    assert clock == pytest.approx([5.0, 5.0])


async def test_until_online_many_products_are_one_question():
    products = [product(f"P{n}") for n in range(50)]
    provider = FakeProvider({item.name: STAGING for item in products}, {item.name: DISK for item in products})

    answers, _, events = await watched(provider, products)

    assert dict.fromkeys((item.name for item in products), True) == answers
    assert 2 == len(provider.asked)
    assert [(50, 0), (0, 50)] == [(event.waiting, event.online) for event in events]


async def test_until_online_products_of_one_id_are_all_answered():
    products = [product(name, id="one") for name in ("A", "B")]
    provider = FakeProvider({"A": STAGING, "B": STAGING}, {"A": DISK, "B": DISK})

    answers, _, _ = await watched(provider, products)

    assert {"A": True, "B": True} == answers


async def test_looks_tell_what_they_have_learned_of_the_tape():
    looks = [{name: DISK if number >= turn else STAGING for turn, name in enumerate("ABCDE", 1)} for number in range(6)]

    _, _, events = await watched(FakeProvider(*looks), [product(name) for name in "ABCDE"])

    assert (None, None) == (events[1].usual_wait, events[1].usual_interval)
    assert events[3].usual_wait is not None
    low, high = events[-1].usual_interval
    assert 5 <= low <= high
    assert events[-1].usual_wait[1] <= sum(event.next_poll for event in events) + 5


async def test_until_online_more_than_a_batch_is_split():
    limits = Limits(page_size=10, downloads=2, staging_requests=2, poll_batch=20, bounded_ranges=False)
    products = [product(f"P{n}") for n in range(50)]
    provider = FakeProvider({item.name: DISK for item in products}, limits=limits)

    await watched(provider, products)

    assert [20, 20, 10] == [len(names) for names in provider.asked]


async def test_until_online_still_on_tape_asks_for_staging_again():
    answers, _, _ = await watched(FakeProvider({"A": TAPE}), [product("A")])

    assert {"A": False} == answers


async def test_until_online_second_request_earns_more_patience():
    provider = FakeProvider({"A": TAPE})

    await watched(provider, [product("A")], asked=2)

    assert 6 == len(provider.asked)


async def test_until_online_unknown_for_a_while_is_waited_for():
    provider = FakeProvider({"A": UNKNOWN}, {"A": UNKNOWN}, {"A": DISK})

    answers, _, _ = await watched(provider, [product("A")])

    assert {"A": True} == answers


async def test_until_online_unknown_for_long_is_asked_for_again():
    """Only a download request can tell."""
    answers, _, _ = await watched(FakeProvider({}), [product("A")], asked=3)

    assert {"A": False} == answers


async def test_until_online_unknown_for_ever_is_given_up():
    answers, _, _ = await watched(FakeProvider({}), [product("A")], asked=4)

    assert isinstance(answers["A"], StagingTimeout)
    assert "after 4 requests" in str(answers["A"])


async def test_until_online_unknown_for_minutes_is_not_given_up_however_often_it_is_looked_for():
    """Once it is learned in which rhythm products come, dozens of looks fit into an outage of the tape storage."""
    products = [product(f"P{n:02}") for n in range(1, 40)]

    class Rhythmic(FakeProvider):
        async def tiers(self, products):
            now = anyio.current_time()
            self.asked.append(now)
            if 400 <= now < 900:
                return {}
            return {item.id: DISK if 20 * int(item.name[1:]) <= now else STAGING for item in products}

    provider = Rhythmic()
    answers, _, _ = await watched(provider, products, asked=4)

    assert sum(400 <= look < 900 for look in provider.asked) >= 24
    assert {True, False} >= set(answers.values())


async def test_until_online_one_unmentioned_product_is_let_go_at_each_look():
    """Where nobody can ask for staging, whoever is let go is tried, and each try may count against a quota."""
    limits = replace(FakeProvider({}).limits, stages=False)
    provider = FakeProvider({"D": TAPE}, limits=limits)

    answers, _, _ = await watched(provider, [product(name) for name in "ABCD"])

    assert dict.fromkeys("ABCD", False) == answers
    assert [4, 4, 4, 2, 1] == [len(names) for names in provider.asked]


async def test_until_online_no_movement_is_given_up_after_trials():
    answers, _, _ = await watched(FakeProvider({"A": STAGING}), [product("A")], trials=7)

    assert "still staging after 7 polls" in str(answers["A"])


async def test_until_online_one_stuck_product_does_not_disturb_others():
    provider = FakeProvider({"A": STAGING, "B": STAGING}, {"A": STAGING, "B": DISK})

    answers, _, _ = await watched(provider, [product("A"), product("B")], trials=5)

    assert answers["B"] is True
    assert isinstance(answers["A"], StagingTimeout)


@pytest.mark.parametrize("error", [ServerError("down"), NotFoundError("down"), ForbiddenError("down")], ids=repr)
async def test_run_failed_look_is_an_event_not_a_failed_product(error):
    provider = FakeProvider(error, {"A": DISK})

    answers, _, events = await watched(provider, [product("A")])

    assert {"A": True} == answers
    assert "down" == events[0].error


async def test_run_refused_credentials_end_the_run():
    with pytest.raises(ExceptionGroup) as caught:
        await watched(FakeProvider(AuthError("refused")), [product("A")])

    assert caught.group_contains(AuthError)


async def test_run_pauses_grow_to_the_longest_and_shrink_when_something_moves():
    looks = [{"A": STAGING, "B": STAGING}] * 12 + [{"A": DISK, "B": STAGING}, {"B": DISK}]
    provider = FakeProvider(*looks)

    _, _, events = await watched(provider, [product("A"), product("B")], poll_interval_max=60.0)

    pauses = [event.next_poll for event in events]
    assert max(pauses) == 60.0
    assert 5.0 == pauses[12]


async def test_until_online_newcomer_does_not_wait_for_a_long_pause():
    provider = FakeProvider({"A": STAGING, "B": DISK})
    watch = OnlineWatch(provider, Config(poll_interval_max=600.0), lambda event: None, chance=lambda: 0.5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        tasks.start_soon(watch.until_online, product("A"), 1)
        await anyio.sleep(3000)
        began = anyio.current_time()
        assert await watch.until_online(product("B"), 1)
        tasks.cancel_scope.cancel()

    assert anyio.current_time() - began <= 5.0


async def test_until_online_learns_how_long_the_archive_takes():
    class Slow(FakeProvider):
        """Brings each product a quarter of an hour after it was first asked for."""

        async def tiers(self, products):
            self.asked.append(anyio.current_time())
            since = began[products[0].name]
            return {products[0].id: DISK if anyio.current_time() - since >= 900 else STAGING}

    began, took = {}, []
    provider = Slow()
    watch = OnlineWatch(provider, Config(), lambda event: None, chance=lambda: 0.5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        for name in "ABCD":
            began[name] = anyio.current_time()
            provider.asked.clear()
            assert await watch.until_online(product(name), 1)
            took.append((anyio.current_time() - began[name], len(provider.asked)))
        tasks.cancel_scope.cancel()

    assert took[0] == took[1] == took[2]
    assert took[0][0] > 1000  # the pause had grown
    assert took[3][0] < 1000
    assert took[3][1] < took[0][1]  # nobody asks before the product can be there


async def test_until_online_cancelled_product_is_no_longer_asked_for():
    provider = FakeProvider({"A": STAGING, "B": STAGING})
    watch = OnlineWatch(provider, Config(), lambda event: None, chance=lambda: 0.5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        tasks.start_soon(watch.until_online, product("B"), 1)
        with anyio.move_on_after(20):
            await watch.until_online(product("A"), 1)
        provider.asked.clear()
        await anyio.sleep(600)
        tasks.cancel_scope.cancel()

    assert provider.asked
    assert all(names == ["B"] for names in provider.asked)


async def test_until_online_deadline_ends_the_wait_between_two_looks():
    provider = FakeProvider({"A": STAGING})
    watch = OnlineWatch(provider, Config(poll_interval=100.0), lambda event: None, chance=lambda: 0.5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        began = anyio.current_time()
        with pytest.raises(StagingTimeout, match="not online"):
            await watch.until_online(product("A"), 1, began + 30)
        assert 30 == pytest.approx(anyio.current_time() - began)
        tasks.cancel_scope.cancel()


async def test_until_online_deadline_holds_while_the_archive_is_down():
    watch = OnlineWatch(FakeProvider(ServerError("down")), Config(), lambda event: None, chance=lambda: 0.5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        with pytest.raises(StagingTimeout):
            await watch.until_online(product("A"), 1, anyio.current_time() + 60)
        tasks.cancel_scope.cancel()
