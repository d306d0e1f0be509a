"""Which error leaves a task group, and what becomes of the others."""

import gc
import threading
import traceback

import anyio
import pytest
from anyio import to_thread

from pepsasync.groups import Background, chosen_error, task_group

pytestmark = pytest.mark.anyio


async def fail_together(*errors):
    """Tasks that fail at the same moment, so that none is cancelled by another."""
    together = anyio.Event()

    async def fail(error):
        with anyio.CancelScope(shield=True):
            await together.wait()
        raise error

    async with task_group() as tasks:
        for error in errors:
            tasks.start_soon(fail, error)
        await anyio.wait_all_tasks_blocked()
        together.set()


class Ending(BaseException):
    """As KeyboardInterrupt, which the event loops of tests would not survive."""


async def test_what_is_no_exception_wins_and_the_others_are_noted():
    end = Ending("stop")

    with pytest.raises(Ending) as caught:
        await fail_together(ValueError("one"), end, OSError("two"))

    assert caught.value is end
    assert sorted(end.__notes__) == ["at the same time: OSError: two", "at the same time: ValueError: one"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_interruptions_win_however_deep_they_are(kind):
    end, first = kind(), ValueError("one")
    first.add_note("at the same time: TypeError: three")

    chosen = chosen_error(BaseExceptionGroup("", [first, BaseExceptionGroup("", [OSError("two"), end])]))

    assert chosen is end
    assert end.__notes__ == [
        "at the same time: ValueError: one\nat the same time: TypeError: three",
        "at the same time: OSError: two",
    ]


async def test_the_first_of_several_exceptions_leaves_and_the_others_are_noted():
    errors = [ValueError("one"), OSError("two"), KeyError("three")]

    with pytest.raises((ValueError, OSError, KeyError)) as caught:
        await fail_together(*errors)

    others = [f"{type(error).__name__}: {error}" for error in errors if error is not caught.value]
    assert all(any(other in note for note in caught.value.__notes__) for other in others)


async def test_a_lone_error_keeps_its_cause():
    cause = OSError("disk")

    async def fail():
        raise ValueError("one") from cause

    with pytest.raises(ValueError, match="one") as caught:
        async with task_group() as tasks:
            tasks.start_soon(fail)
            await anyio.sleep_forever()

    assert caught.value.__cause__ is cause
    assert not hasattr(caught.value, "__notes__")
    assert "ExceptionGroup" not in "".join(traceback.format_exception(caught.value))


async def test_an_error_in_the_background_keeps_its_cause():
    cause = OSError("disk")

    async def fail(send):
        raise ValueError("one") from cause

    async with anyio.create_task_group() as tasks:
        with pytest.raises(ValueError, match="one") as caught:
            async for _ in Background(tasks, fail, 0):
                pass

    assert caught.value.__cause__ is cause


async def test_cancellation_leaves_as_it_came():
    with anyio.move_on_after(0) as scope:
        async with task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            await anyio.sleep_forever()

    assert scope.cancelled_caught


async def test_a_loop_that_another_thread_collects_is_cancelled_on_its_event_loop():
    """Garbage is collected in whichever thread runs just then, and circles only so."""
    ended, threads = anyio.Event(), []

    async def work(items):
        try:
            await items.send(1)
            await anyio.sleep_forever()
        finally:
            threads.append(threading.current_thread())
            ended.set()

    async with task_group() as tasks:
        items = Background(tasks, work, 1)
        items.itself = items
        assert await anext(items) == 1
        gc.disable()
        try:
            del items
            await to_thread.run_sync(gc.collect)
        finally:
            gc.enable()
        with anyio.fail_after(30):
            await ended.wait()

    assert threads == [threading.current_thread()]


async def test_a_loop_that_outlives_its_event_loop_is_closed_in_silence(anyio_backend_name):
    def elsewhere():
        async def begin():
            async with task_group() as tasks:
                return Background(tasks, anyio.sleep_forever, 1)

        return anyio.run(begin, backend=anyio_backend_name)

    items = await to_thread.run_sync(elsewhere)
    del items  # warnings are errors
    gc.collect()
