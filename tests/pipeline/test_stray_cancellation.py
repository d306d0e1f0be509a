"""Code of the user that raises a cancellation, though nobody cancelled the run: that is its failure, and ends no loop."""

import asyncio
from contextlib import ExitStack

import anyio
import pytest

from archives import connect, everything, right_files, sandbox
from pepsasync.events import HookFailed, Noticed

pytestmark = pytest.mark.anyio


def cancelled(*_):
    raise anyio.get_cancelled_exc_class()  # trio lets nobody make one: any other error there


async def after_a_cancelled_task(delivery):
    """As a program of asyncio does that has given up something that the hook waits for."""
    task = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await task


@pytest.fixture
async def archive():
    async with sandbox(3, tape_fraction=0) as archive:
        yield archive


async def test_a_hook_that_is_cancelled_by_itself_has_failed(archive, anyio_backend_name, tmp_path):
    events, seen = [], []

    async def hook(delivery):
        seen.append(delivery)
        await after_a_cancelled_task(delivery) if anyio_backend_name == "asyncio" else cancelled()

    async with connect(archive) as client:
        with client.listen(events.append), anyio.fail_after(60):
            products = await everything(client)
            outcomes = [each async for each in client.fetch(products, tmp_path, on_delivered=hook)]

    assert len(seen) == len(outcomes) == right_files(archive, tmp_path) == 3
    assert sum(isinstance(event, HookFailed) for event in events) == 3


async def test_a_hook_is_cancelled_with_its_run(archive, tmp_path):
    events, ended = [], []

    async def hook(delivery):
        try:
            scope.cancel()
            await anyio.sleep_forever()
        finally:
            ended.append(delivery)

    async with connect(archive) as client:
        with client.listen(events.append), anyio.CancelScope() as scope:
            async for _ in client.fetch(await everything(client), tmp_path, on_delivered=hook):
                pass

    assert scope.cancelled_caught
    assert ended
    assert not [event for event in events if isinstance(event, HookFailed)]


@pytest.mark.parametrize("way", ["listen", "raw_replies"])
async def test_a_listener_that_raises_a_cancellation_is_told_and_removed(archive, way, tmp_path):
    events = []
    async with connect(archive) as client:
        with ExitStack() as listening, anyio.fail_after(60):
            listening.enter_context(client.listen(events.append))
            listening.enter_context(getattr(client, way)(cancelled))
            products = await everything(client)
            online = [product async for product in client.wait_online(products)]
            path = await client.download(products[0], tmp_path)
            outcomes = [each async for each in client.fetch(products, tmp_path)]

    assert len(products) == len(online) == len(outcomes) == 3
    assert path.exists()
    told = [event.message for event in events if isinstance(event, Noticed)]
    assert len(told) == 1
    assert "failed and was removed" in told[0]


async def test_an_iterable_that_raises_a_cancellation_ends_no_loop_silently(archive, tmp_path):
    def wanted(products):
        yield products[0]
        cancelled()

    async with connect(archive) as client:
        with anyio.fail_after(60), pytest.raises((RuntimeError, TypeError)):
            async for _ in client.fetch(wanted(await everything(client)), tmp_path):
                pass
