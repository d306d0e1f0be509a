"""The staging window: what is asked from tape at once."""

from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from pepsasync.limits.staging_window import CACHE_SECONDS, StagingWindow

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


async def take(window, size, log, release):
    await window.enter(size)
    try:
        log.append(size)
        await release.wait()
    finally:
        window.leave(size, arrived=True)


async def test_products_wait_for_room_in_their_order():
    window, log = StagingWindow(100), []
    first, rest = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, window, 60, log, first)
        await anyio.wait_all_tasks_blocked()
        for size in (50, 40, 30):
            tasks.start_soon(take, window, size, log, rest)
            await anyio.wait_all_tasks_blocked()
        assert log == [60], "nobody overtakes"
        first.set()
        await anyio.wait_all_tasks_blocked()
        assert sorted(log[1:]) == [40, 50]
        rest.set()
    assert log[3:] == [30]


async def test_what_was_acquired_first_is_let_in_first():
    window, log, release = StagingWindow(10), [], anyio.Event()

    async def bring(day, *, goes_first=False):
        await window.enter(10, acquired=datetime(2015, 11, day, tzinfo=UTC), goes_first=goes_first)
        log.append(day)
        await release.wait()
        window.leave(10, arrived=True)

    async with anyio.create_task_group() as tasks:
        for day in (5, 9, 3, 4):
            tasks.start_soon(bring, day)
            await anyio.wait_all_tasks_blocked()
        tasks.start_soon(lambda: bring(7, goes_first=True))
        await anyio.wait_all_tasks_blocked()
        assert log == [5]
        release.set()

    assert log == [5, 7, 3, 4, 9]


async def test_who_comes_first_now_is_let_in_when_there_is_room():
    """Whoever was next before is too large for it."""
    window, log, release = StagingWindow(10), [], anyio.Event()

    async def bring(day, size):
        await window.enter(size, acquired=datetime(2015, 11, day, tzinfo=UTC))
        log.append(day)
        await release.wait()
        window.leave(size, arrived=True)

    async with anyio.create_task_group() as tasks:
        for day, size in ((1, 6), (9, 5), (3, 4)):
            tasks.start_soon(bring, day, size)
            await anyio.wait_all_tasks_blocked()
        assert log == [1, 3]
        release.set()

    assert log == [1, 3, 9]


async def test_a_product_larger_than_the_window_goes_alone():
    window, log, release = StagingWindow(10), [], anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, window, 1000, log, release)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(take, window, 1, log, release)
        await anyio.wait_all_tasks_blocked()
        assert log == [1000]
        release.set()
    assert log == [1000, 1]


async def test_whoever_gives_up_waiting_lets_others_in():
    window, log, release = StagingWindow(10), [], anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, window, 8, log, release)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(take, window, 9, log, release)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(take, window, 2, log, release)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert log == [8, 2]
        release.set()


async def test_the_window_follows_the_rate():
    window = StagingWindow(smallest=100)
    assert window.size == 100
    await window.enter(10_000_000)
    window.leave(10_000_000, arrived=True)
    await anyio.sleep(0.01)

    assert window.size == pytest.approx(10_000_000 / 0.01 * CACHE_SECONDS)
