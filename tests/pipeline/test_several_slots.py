"""Which of the products that wait gets the slot that becomes free at one of several archives."""

from types import SimpleNamespace

import anyio
import pytest

from fakes import product
from pepsasync.engine.several_slots import Copy, Holder, SeveralSlots
from pepsasync.limits.slots import CHOICE
from pepsasync.model import StorageTier

pytestmark = pytest.mark.anyio


def archive(total=1, *, is_open=True):
    gate = SimpleNamespace(slots=SimpleNamespace(total=total), is_open=is_open)
    return Holder(SimpleNamespace(archive=SimpleNamespace(gate=gate)))


def copies_of(size, *holders):
    return [Copy(holder, product(str(size), size=size, tier=StorageTier.DISK)) for holder in holders]


class Taking:
    """Products that take slots; each gives its own back on command, and tells where it had it."""

    def __init__(self, tasks):
        self._tasks = tasks
        self._slots = SeveralSlots()
        self._done = {}
        self.served = []

    async def want(self, size, *holders):
        self._tasks.start_soon(self._hold, size, holders)
        await anyio.wait_all_tasks_blocked()

    async def leave(self, size):
        self._done.pop(size).set()
        await anyio.wait_all_tasks_blocked()

    async def _hold(self, size, holders):
        async with self._slots.take(copies_of(size, *holders)) as copy:
            self.served.append((size, holders.index(copy.holder)))
            done = self._done[size] = anyio.Event()
            await done.wait()


async def served(sizes, holder):
    """The order in which products of some sizes, all different, get the only slot of an archive."""
    async with anyio.create_task_group() as tasks:
        taking = Taking(tasks)
        await taking.want(-1, holder)
        for size in sizes:
            await taking.want(size, holder)
        for n in range(len(sizes) + 1):
            await taking.leave(taking.served[n][0])
    return [size for size, _ in taking.served[1:]]


async def test_the_largest_gets_the_slot_of_those_who_wait_longest():
    assert await served([1, 5, 3, 9], archive()) == [9, 5, 3, 1]


async def test_only_so_many_are_chosen_from():
    assert (await served([1, 2, 3, 4, *range(10, 10 + CHOICE)], archive()))[0] == 4


async def test_nobody_is_passed_over_for_ever():
    assert (await served([1, *range(10, 40)], archive())).index(1) == CHOICE


async def test_a_slot_is_for_those_who_may_use_it():
    async with anyio.create_task_group() as tasks:
        taking, here, there = Taking(tasks), archive(), archive()
        await taking.want(1, here)
        await taking.want(2, there)
        await taking.want(3, there)
        await taking.want(9, there)
        await taking.want(5, here, there)
        await taking.want(4, here)
        for size in (1, 2, 5, 9, 3, 4):
            await taking.leave(size)

    assert taking.served == [(1, 0), (2, 0), (5, 0), (9, 0), (4, 0), (3, 0)]


async def test_who_waits_elsewhere_longer_does_not_use_up_the_choice():
    async with anyio.create_task_group() as tasks:
        taking, here, there = Taking(tasks), archive(), archive()
        await taking.want(1, here)
        await taking.want(2, there)
        for size in range(100, 100 + CHOICE):
            await taking.want(size, there)
        await taking.want(10, here)
        await taking.want(11, here)
        await taking.leave(1)
        assert taking.served[-1] == (11, 0)
        tasks.cancel_scope.cancel()


async def test_a_slot_whose_quota_is_used_up_is_taken_when_there_is_no_other():
    async with anyio.create_task_group() as tasks:
        taking, closed, free = Taking(tasks), archive(is_open=False), archive()
        await taking.want(1, free)
        await taking.want(2, closed, free)
        await taking.want(3, closed)
        assert taking.served == [(1, 0), (3, 0)]
        await taking.leave(3)
        assert taking.served == [(1, 0), (3, 0)]
        await taking.leave(1)
        assert taking.served[2:] == [(2, 1)]
        await taking.leave(2)


async def test_the_least_busy_archive_is_taken():
    async with anyio.create_task_group() as tasks:
        taking, busy, idle = Taking(tasks), archive(2), archive(3)
        for size in (1, 2, 3):
            await taking.want(size, busy, idle)
        assert taking.served == [(1, 1), (2, 0), (3, 1)]
        tasks.cancel_scope.cancel()


async def test_the_size_that_any_archive_tells_counts():
    slots, holder, order = SeveralSlots(), archive(), []

    async def hold(*sizes):
        async with slots.take([Copy(holder, product(size=size, tier=StorageTier.DISK)) for size in sizes]):
            order.append(sizes)

    async with anyio.create_task_group() as tasks, slots.take(copies_of(1, holder)):
        for sizes in ((None,), (5,), (None, 7)):
            tasks.start_soon(hold, *sizes)
            await anyio.wait_all_tasks_blocked()

    assert order == [(None, 7), (5,), (None,)]


async def test_who_is_cancelled_has_no_slot():
    holder = archive()
    async with anyio.create_task_group() as tasks:
        taking = Taking(tasks)
        for size in (1, 2, 3):
            await taking.want(size, holder)
        tasks.cancel_scope.cancel()

    assert holder.free == 1


async def test_who_is_cancelled_when_called_hands_the_slot_on():
    holder, slots, order = archive(), SeveralSlots(), []

    async def hold(size):
        async with slots.take(copies_of(size, holder)):
            order.append(size)

    async with (
        anyio.create_task_group() as tasks,
        anyio.create_task_group() as impatient,
        slots.take(copies_of(1, holder)),
    ):
        impatient.start_soon(hold, 9)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(hold, 2)
        await anyio.wait_all_tasks_blocked()
        impatient.cancel_scope.cancel()

    assert (order, holder.free) == ([2], 1)


async def test_one_that_leaves_lets_all_in_for_whom_there_is_room():
    async with anyio.create_task_group() as tasks:
        taking, closed, busy = Taking(tasks), archive(3, is_open=False), archive()
        for size in (1, 2, 3, 4, 5):
            await taking.want(size, closed, busy)
        assert taking.served == [(1, 1)]
        closed.one.archive.gate.is_open = True
        await taking.leave(1)
        assert sorted(taking.served[1:]) == [(2, 1), (3, 0), (4, 0), (5, 0)]
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_slots_of_an_archive_whose_quota_opens_are_taken_at_once():
    async with anyio.create_task_group() as tasks:
        taking, closed, busy = Taking(tasks), archive(2, is_open=False), archive()
        for size in (1, 2, 3, 4):
            await taking.want(size, closed, busy)
        await anyio.sleep(3600)
        assert taking.served == [(1, 1)]
        closed.one.archive.gate.is_open = True
        await anyio.sleep(2)
        assert sorted(taking.served[1:]) == [(3, 0), (4, 0)]
        tasks.cancel_scope.cancel()

    assert (closed.free, busy.free) == (2, 1)
