"""Who gets a download slot next."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from pepsasync.stages.slots import CHOICE, DownloadSlots

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
