"""How many downloads at once an account gets, learned from refusals."""

import anyio
import pytest

from pepsasync.errors import TooManyAtOnceError
from pepsasync.events import Noticed
from pepsasync.limits.connections import FIRST_LOOK, Connections
from pepsasync.limits.slots import DownloadSlots
from virtual_time import backend

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return backend(request.param)


TOO_MANY = TooManyAtOnceError("too many", hint="why")


def made(total=4):
    events, slots = [], DownloadSlots(total)
    return Connections("cdse", slots, events.append), slots, events


async def test_slots_become_as_many_as_are_served():
    connections, slots, events = made()
    with connections.counted() as served:
        served()
        served()
        assert [connections.refuse(TOO_MANY) for _ in range(3)] == [True] * 3
        assert slots.total == 1

    assert [event.message for event in events] == ["cdse gives this account 1 download at once, not 4 (why)"]
    assert isinstance(events[0], Noticed)


async def test_nobody_waits_for_others_when_there_are_none():
    connections, slots, _ = made()
    with connections.counted():
        assert not connections.refuse(TOO_MANY)

    assert slots.total == 4


async def test_one_more_is_tried_now_and_then():
    connections, slots, events = made()
    with connections.counted() as served:
        served()
        connections.refuse(TOO_MANY)
        totals = []
        for _ in range(4):
            await anyio.sleep(2 * FIRST_LOOK + 1)
            connections.look()
            totals.append(slots.total)

    assert totals == [2, 3, 4, 4]
    assert events == []


async def test_who_waits_gets_a_slot_that_is_added():
    slots = DownloadSlots(1)
    entered = []

    async def download(name):
        async with slots.take(1):
            entered.append(name)
            await anyio.sleep(100 if name == "A" else 0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(download, "A")
        await anyio.sleep(1)
        tasks.start_soon(download, "B")
        await anyio.sleep(1)
        assert entered == ["A"]
        slots.resize(2)
        await anyio.sleep(1)
        assert entered == ["A", "B"]


async def test_slots_that_are_too_many_are_not_given_out_again():
    slots = DownloadSlots(2)
    assert [slots.try_take() for _ in range(2)] == [True, True]
    slots.resize(1)
    slots.give_back()

    assert not slots.try_take()
    slots.give_back()
    assert slots.try_take()
