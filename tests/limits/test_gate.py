"""The gate of an archive: who enters when, what is counted, and that nobody who leaves keeps anything."""

import contextlib
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import product
from pepsasync.config import Config
from pepsasync.errors import (
    AuthError,
    NotFoundError,
    NotNowError,
    QuotaError,
    ServerError,
    UnavailableError,
    UnreachableError,
)
from pepsasync.events import Noticed, QuotaReached
from pepsasync.limits.circuit_breaker import FAILURES
from pepsasync.limits.gate import Gate
from pepsasync.model import Account, Limits, Quota
from virtual_time import backend

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

DAY = datetime(2020, 1, 1, tzinfo=UTC)


class Accounts:
    """What the archive says of an account, from a list, the last one for ever; None when it says nothing."""

    def __init__(self, *left):
        self.left, self.asked = [*left] or [None], 0

    async def __call__(self):
        self.asked += 1
        left = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(left, Exception):
            raise left
        return Account(left, None)


def make_gate(account=None, *, downloads=2, staging=2, quota=None, events=None, **settings):
    limits = Limits(
        page_size=1, downloads=downloads, staging_requests=staging, poll_batch=1, bounded_ranges=False, quota=quota
    )
    config = Config(**({"retry_wait": 1.0, "retry_wait_max": 60.0} | settings))
    return Gate("any", limits, account or Accounts(), config, [].append if events is None else events.append)


async def pass_through(gate, *, size=0, seconds=0.0, error=None, begins=True, entered=None, **options):
    """Download something that begins, comes for some time, and ends or fails."""
    async with gate.download(size, **options) as permit:
        if entered is not None:
            entered.append((size, anyio.current_time()))
        if begins:
            permit.begin()
            if error is None:
                permit.accept()
        await anyio.sleep(seconds)
        if error is not None:
            raise error


async def is_free(gate, slots):
    """Whether nobody holds a slot or a place in a quota."""
    with anyio.move_on_after(0.001) as late:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(slots):
                await stack.enter_async_context(gate.download(0))
            assert not gate.slots.try_take()
    return not late.cancelled_caught


async def test_only_so_many_are_inside_at_once():
    gate, entered, began = make_gate(), [], anyio.current_time()

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(lambda: pass_through(gate, seconds=10, entered=entered))

    assert [when - began for _, when in entered] == [0, 0, 10, 10, 20, 20]


@pytest.mark.parametrize("narrow", [{"downloads": 1}, {"downloads": 2, "jobs": 1}])
async def test_the_largest_enters_first(narrow):
    gate, entered = make_gate(**narrow), []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: pass_through(gate, seconds=1))
        await anyio.wait_all_tasks_blocked()
        for size in (3, 9, 0, 5):
            tasks.start_soon(lambda size=size: pass_through(gate, size=size, seconds=1, entered=entered))

    assert [size for size, _ in entered] == [9, 5, 3, 0]


@pytest.mark.parametrize("waits_for", ["slot", "quota", "pause", "account"])
async def test_who_is_cancelled_while_waiting_holds_nothing(waits_for):
    account = Accounts(None)
    gate = make_gate(account, downloads=2, quota=Quota(3, 100.0))
    may_answer = anyio.Event()

    async def slow():
        await may_answer.wait()
        return Account(None, None)

    async with anyio.create_task_group() as tasks:
        match waits_for:
            case "slot":
                for _ in range(2):
                    tasks.start_soon(lambda: pass_through(gate, seconds=50, begins=False))
            case "quota":
                for _ in range(3):
                    await pass_through(gate)
            case "pause":
                with contextlib.suppress(ServerError):
                    await pass_through(gate, error=ServerError("busy", retry_after=50.0))
            case "account":
                gate.quota._ask = slow
        await anyio.wait_all_tasks_blocked()

        async with anyio.create_task_group() as waiting:
            for _ in range(5):
                waiting.start_soon(pass_through, gate)
            await anyio.wait_all_tasks_blocked()
            waiting.cancel_scope.cancel()
        may_answer.set()

    await anyio.sleep(100)
    assert await is_free(gate, 2)
    assert gate.quota._window.begun == {"slot": 0, "quota": 3, "pause": 1, "account": 0}[waits_for]


async def test_who_is_cancelled_inside_holds_nothing():
    gate = make_gate(quota=Quota(2, 100.0))

    for begins in (False, False, False, True):
        with anyio.move_on_after(1):
            await pass_through(gate, seconds=50, begins=begins)

    assert gate.quota._window.begun == 1
    assert await is_free(gate, 2) is False  # one of two places is used up, by whoever got an answer
    await anyio.sleep(100)
    assert await is_free(gate, 2)


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.floats(0, 5), st.sampled_from(["no answer", "answer", "error", "refusal"])),
        max_size=20,
    ),
    st.integers(1, 3),
)
def test_whoever_gives_up_all_is_free_in_the_end(visitors, downloads):
    inside = []

    async def visit(gate, patience, seconds, outcome):
        errors = {"error": ServerError("broken"), "refusal": QuotaError("enough", retry_after=2.0)}
        with anyio.move_on_after(patience), contextlib.suppress(ServerError):
            async with gate.download(0) as permit:
                inside.append(None)
                assert len(inside) <= downloads
                try:
                    if outcome != "no answer":
                        permit.begin()
                    await anyio.sleep(seconds)
                    if outcome in errors:
                        raise errors[outcome]
                finally:
                    inside.pop()

    async def main():
        gate = make_gate(downloads=downloads, quota=Quota(4, 10.0))
        async with anyio.create_task_group() as tasks:
            for visitor in visitors:
                tasks.start_soon(visit, gate, *visitor)
        await anyio.sleep(1000)
        assert gate.is_open
        assert gate.quota._window.wait(anyio.current_time()) == 0
        assert await is_free(gate, downloads)

    name, options = backend("asyncio")
    anyio.run(main, backend=name, backend_options=options)


async def test_the_quota_counts_answers_only():
    gate, counted = make_gate(quota=Quota(2, 100.0)), []

    for _ in range(5):
        await pass_through(gate, begins=False, counted=lambda: counted.append(None))
    assert (counted, gate.is_open) == ([], True)
    for _ in range(2):
        await pass_through(gate, counted=lambda: counted.append(None))

    assert len(counted) == 2
    assert not gate.is_open


async def test_further_answers_of_one_download_count_once():
    gate, counted = make_gate(quota=Quota(2, 100.0)), []

    async with gate.download(0, counted=lambda: counted.append(None)) as permit:
        for _ in range(3):
            permit.begin()

    assert len(counted) == 1
    assert gate.is_open


async def test_requests_under_way_are_counted_until_it_is_known_what_becomes_of_them():
    gate, entered, began = make_gate(downloads=9, quota=Quota(2, 100.0)), [], anyio.current_time()

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(lambda: pass_through(gate, seconds=7, begins=False))
        await anyio.wait_all_tasks_blocked()
        assert not gate.is_open
        tasks.start_soon(lambda: pass_through(gate, entered=entered))

    assert entered == [(0, began + 7)]


async def test_what_is_not_counted_by_a_quota_is_not_told():
    gate, counted = make_gate(), []

    await pass_through(gate, counted=lambda: counted.append(None))

    assert counted == []


@pytest.mark.parametrize(("advice", "seconds"), [(20.0, 20.0), (None, 25.0)])
async def test_a_refusal_makes_everybody_wait(advice, seconds):
    """Those who hold a slot let others have it, and find the gate closed."""
    events, entered = [], []
    gate = make_gate(downloads=2, quota=Quota(50, 100.0), events=events)

    async def refused():
        with pytest.raises(QuotaError):
            await pass_through(gate, error=QuotaError("enough", retry_after=advice))

    began = anyio.current_time()
    await refused()
    assert not gate.is_open
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(lambda: pass_through(gate, entered=entered))

    assert [when - began for _, when in entered] == pytest.approx([seconds] * 4)
    assert [event.wait for event in events if isinstance(event, QuotaReached)] == pytest.approx([seconds])


async def test_who_got_a_slot_when_somebody_was_refused_gives_it_back_and_waits():
    gate, entered = make_gate(downloads=1, quota=Quota(50, 100.0)), []

    async def refused():
        with pytest.raises(QuotaError):
            await pass_through(gate, seconds=5, error=QuotaError("enough", retry_after=30.0))

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refused)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(lambda: pass_through(gate, entered=entered))
        await anyio.sleep(6)
        assert gate.slots.try_take()  # nobody sits on it
        gate.slots.give_back()

    assert entered == [(0, began + 35)]


async def test_who_does_not_wait_is_told():
    gate = make_gate(quota=Quota(1, 100.0))
    await pass_through(gate)

    with pytest.raises(NotNowError, match="any"):
        await pass_through(gate, wait=False)
    assert await is_free(make_gate(), 2)


async def test_who_does_not_wait_is_told_also_when_another_was_faster():
    gate, told = make_gate(downloads=1, quota=Quota(1, 100.0)), []

    async def asks():
        try:
            await pass_through(gate, seconds=1, wait=False)
        except NotNowError:
            told.append(None)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(asks)

    assert len(told) == 2


async def test_an_answer_ends_an_outage_and_is_remembered():
    gate, before = make_gate(), anyio.current_time()
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await pass_through(gate, error=UnavailableError("no"), begins=False)
    assert gate.backoff.breaker.is_on
    assert not gate.has_served_since(before - 1)

    await anyio.sleep(60)
    await pass_through(gate)

    assert not gate.backoff.breaker.is_on
    assert gate.has_served_since(before)
    assert not gate.has_served_since(None)


@pytest.mark.parametrize("accepts", [True, False])
async def test_a_download_that_begins_ends_an_outage_though_it_breaks(accepts):
    gate, before = make_gate(), anyio.current_time()
    for _ in range(FAILURES):
        with pytest.raises(UnavailableError):
            await pass_through(gate, error=UnavailableError("no"), begins=False)
    assert gate.backoff.breaker.is_on

    with contextlib.suppress(UnreachableError):
        async with gate.download(0) as permit:
            if accepts:
                permit.accept()
            raise UnreachableError("cut")

    assert gate.has_served_since(before) is accepts


async def test_the_account_is_asked_once_before_the_first_download():
    account = Accounts(5)
    gate = make_gate(account, quota=Quota(9, 100.0))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(pass_through, gate)

    assert account.asked == 1


async def test_an_account_that_is_refused_ends_it_for_everybody():
    gate = make_gate(Accounts(AuthError("no")), quota=Quota(9, 100.0))

    for _ in range(2):
        with pytest.raises(AuthError):
            await pass_through(gate)


@pytest.mark.parametrize("error", [ServerError("broken"), NotFoundError("gone")])
async def test_an_account_is_looked_at_once_before_products_are_waited_for(error):
    asked, gate = [], make_gate(Accounts(5), quota=Quota(9, 100.0))

    async def request():
        asked.append(None)
        raise error

    for _ in range(3):
        await gate.check_account(request)

    assert len(asked) == 1


async def test_an_account_is_looked_at_once_however_many_ask():
    account, asked = Accounts(5), []
    gate = make_gate(account, quota=Quota(9, 100.0))

    async def request():
        asked.append(None)
        await anyio.sleep(1.0)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(gate.check_account, request)

    assert (len(asked), account.asked) == (1, 1)


@pytest.mark.parametrize("refused_by", ["request", "account"])
async def test_an_account_that_is_refused_is_looked_at_again(refused_by):
    refusal, asked = AuthError("no"), []
    gate = make_gate(Accounts(refusal if refused_by == "account" else 5), quota=Quota(9, 100.0))

    async def request():
        asked.append(None)
        if refused_by == "request":
            raise refusal

    for _ in range(2):
        with pytest.raises(AuthError):
            await gate.check_account(request)

    assert len(asked) == 2


async def ask_tape(gate, day, seconds=1.0, *, entered=None, error=None, **options):
    async with gate.staging(product(start=DAY.replace(day=day)), **options):
        if entered is not None:
            entered.append((day, anyio.current_time()))
        await anyio.sleep(seconds)
        if error is not None:
            raise error


@pytest.mark.parametrize("narrow", [{"staging": 1}, {"staging": 2, "staging_jobs": 1}])
async def test_only_so_many_ask_for_staging_at_once_and_the_earliest_acquisition_is_first(narrow):
    gate, entered, began = make_gate(**narrow), [], anyio.current_time()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask_tape, gate, 30)
        await anyio.wait_all_tasks_blocked()
        for day in (9, 3, 7):
            tasks.start_soon(lambda day=day: ask_tape(gate, day, entered=entered))
        tasks.start_soon(lambda: ask_tape(gate, 20, entered=entered, goes_first=True))

    assert entered == [(20, began + 1), (3, began + 2), (7, began + 3), (9, began + 4)]


async def test_a_pause_of_staging_is_everybodys_and_not_one_of_downloads():
    events, entered = [], []
    gate = make_gate(staging=2, events=events)
    began = anyio.current_time()
    with pytest.raises(ServerError):
        await ask_tape(gate, 1, 0.0, error=ServerError("busy", retry_after=30.0))

    async with anyio.create_task_group() as tasks:
        for day in (1, 2):
            tasks.start_soon(lambda day=day: ask_tape(gate, day, entered=entered))
        await anyio.wait_all_tasks_blocked()
        assert gate.is_open

    assert sorted(entered) == [(1, began + 30), (2, began + 30)]
    assert events == [Noticed(message="any asks for a pause; staging requests pause for 30 s")]


@pytest.mark.parametrize("waits_for", ["slot", "pause"])
async def test_who_is_cancelled_while_waiting_for_staging_holds_nothing(waits_for):
    gate = make_gate(staging=2)

    async with anyio.create_task_group() as tasks:
        if waits_for == "slot":
            for day in (1, 2):
                tasks.start_soon(ask_tape, gate, day, 50)
        else:
            with contextlib.suppress(ServerError):
                await ask_tape(gate, 1, 0.0, error=ServerError("busy", retry_after=50.0))
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as waiting:
            for day in (3, 4, 5):
                waiting.start_soon(ask_tape, gate, day)
            await anyio.wait_all_tasks_blocked()
            waiting.cancel_scope.cancel()

    await anyio.sleep(60)
    began, entered = anyio.current_time(), []
    async with anyio.create_task_group() as tasks:
        for day in (6, 7):
            tasks.start_soon(lambda day=day: ask_tape(gate, day, entered=entered))
    assert sorted(entered) == [(6, began), (7, began)]


async def test_who_is_cancelled_or_fails_while_asking_for_staging_holds_nothing():
    gate = make_gate(staging=1)

    with anyio.move_on_after(1):
        await ask_tape(gate, 1, 50)
    with pytest.raises(NotFoundError):
        await ask_tape(gate, 2, error=NotFoundError("gone"))

    with anyio.fail_after(2):
        await ask_tape(gate, 3)


async def test_a_staging_request_with_an_answer_ends_an_outage():
    gate = make_gate()
    for _ in range(FAILURES):
        with pytest.raises(UnavailableError):
            await ask_tape(gate, 1, 0.0, error=UnavailableError("no"))
    assert gate.staging_backoff.breaker.is_on

    await ask_tape(gate, 1)

    assert not gate.staging_backoff.breaker.is_on


@pytest.mark.parametrize("enter", [lambda gate: gate.download(0), lambda gate: gate.staging(product())])
async def test_when_all_are_cancelled_at_once_nobody_holds_anything(enter):
    gate = make_gate(downloads=1, staging=1)

    async def use():
        async with enter(gate):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    with anyio.fail_after(1):
        async with enter(gate):
            pass
