"""Who gets a download slot next."""

from datetime import UTC, datetime

import anyio
import pytest
from anyio.lowlevel import checkpoint

from pepsasync.limits.slots import CHOICE, DownloadSlots, StagingSlots

pytestmark = pytest.mark.anyio


async def served(slots, sizes):
    """Take one slot after the other for some sizes; the order in which they were served."""
    order = []

    async def one(size):
        async with slots.take(size):
            order.append(size)

    async with anyio.create_task_group() as tasks, slots.take(0):
        for size in sizes:
            tasks.start_soon(one, size)
            for _ in range(3):
                await checkpoint()
    return order


async def test_the_largest_goes_first_of_those_who_wait_longest():
    assert await served(DownloadSlots(1), [1, 5, 3, 9]) == [9, 5, 3, 1]


async def test_only_so_many_are_chosen_from():
    assert (await served(DownloadSlots(1), [1, 2, 3, 4, *[9] * CHOICE]))[0] == 4


async def test_nobody_is_passed_over_for_ever():
    order = await served(DownloadSlots(1), [1, *[9] * 50])

    assert order.index(1) <= CHOICE


async def test_a_slot_is_only_tried_for_when_nobody_waits():
    slots = DownloadSlots(1)
    assert slots.try_take()
    assert not slots.try_take()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(served, slots, [])
        for _ in range(3):
            await checkpoint()
        assert slots.is_wanted
        slots.give_back()
        assert not slots.try_take()

    assert slots.try_take()


async def test_who_is_cancelled_holds_no_slot():
    slots = DownloadSlots(1)

    async with anyio.create_task_group() as tasks, slots.take(1):
        tasks.start_soon(served, slots, [1])
        for _ in range(3):
            await checkpoint()
        tasks.cancel_scope.cancel()

    assert not slots.is_wanted
    assert slots.try_take()


async def request(slots, day, order, *, until=None, goes_first=False):
    await slots.enter(acquired=day and datetime(2015, 11, day, tzinfo=UTC), goes_first=goes_first)
    try:
        order.append(day)
        if until:
            await until.wait()
    finally:
        slots.leave()


async def test_what_was_acquired_first_is_asked_for_first():
    slots, order, until = StagingSlots(1), [], anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: request(slots, 7, order, until=until))
        await anyio.wait_all_tasks_blocked()
        for day in (5, 3, None, 9, 4):
            tasks.start_soon(request, slots, day, order)
        tasks.start_soon(lambda: request(slots, 8, order, goes_first=True))
        await anyio.wait_all_tasks_blocked()
        assert order == [7]
        until.set()

    assert order == [7, 8, 3, 4, 5, 9, None]


async def test_who_gives_up_asking_holds_no_slot():
    slots, order, until = StagingSlots(1), [], anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: request(slots, 1, order, until=until))
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as impatient:
            for day in (2, 3):
                impatient.start_soon(request, slots, day, order)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(request, slots, 4, order)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        until.set()

    assert order == [1, 4]


async def test_only_so_many_ask_at_once():
    slots, order, until = StagingSlots(2), [], anyio.Event()
    async with anyio.create_task_group() as tasks:
        for day in (1, 2, 3):
            tasks.start_soon(lambda day=day: request(slots, day, order, until=until))
        await anyio.wait_all_tasks_blocked()
        assert len(order) == 2
        until.set()

    assert sorted(order) == [1, 2, 3]


async def test_who_gives_up_when_called_hands_the_slot_on():
    slots, order = StagingSlots(1), []
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as impatient:
        await slots.enter()
        impatient.start_soon(request, slots, 2, order)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(request, slots, 3, order)
        await anyio.wait_all_tasks_blocked()
        impatient.cancel_scope.cancel()
        slots.leave()

    assert order == [3]
