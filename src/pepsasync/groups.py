"""Task groups that raise a lone error as itself, and loops over work that goes on in the background."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import math
import threading
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import anyio
import sniffio

from pepsasync.threads import explained

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from anyio.abc import TaskGroup
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

T = TypeVar("T")


@contextlib.asynccontextmanager
async def task_group() -> AsyncIterator[TaskGroup]:
    """Open an anyio task group whose error leaves it without an `ExceptionGroup` around it.

    Callers then catch `ServerError` and the like as if the group were a plain block. Of several errors one leaves, see
    `chosen_error`. Cancellation is re-raised as it came.
    """
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as errors:
        error = chosen_error(errors)
    else:
        return
    raise error  # out of the handler, so that its cause and context stay its own


def chosen_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that stands for a group: what is no `Exception` before what is, the first of several.

    The others are noted at it. Cancellations do not count where there is anything else.
    """
    _, rest = group.split(anyio.get_cancelled_exc_class())
    errors = list(_leaves(rest or group))
    chosen = next((error for error in errors if not isinstance(error, Exception)), errors[0])
    if rest is None:
        return chosen
    known = [note.strip() for note in getattr(chosen, "__notes__", ())]
    for error in errors:
        lines = [f"at the same time: {type(error).__name__}: {error}", *getattr(error, "__notes__", ())]
        if error is not chosen and lines[0] not in known:
            chosen.add_note("\n".join(lines))
            known.append(lines[0])
    return chosen


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


@contextlib.contextmanager
def told_when_cancelled(what: str) -> Iterator[None]:
    """Around code of the user: a cancellation that it raises and nobody asked for is an error like any other.

    The event loop takes every cancellation for its own: the task would end without a word.

    Raises:
        RuntimeError: A cancellation came, and nothing around the block was cancelled.
    """
    try:
        yield
    except anyio.get_cancelled_exc_class() as error:
        if anyio.current_effective_deadline() == -math.inf:
            raise
        raise RuntimeError(f"{what} was cancelled, though its run was not") from error


class Background(Generic[T]):
    """An async iterator over what a background task sends.

    Not a generator, so that a loop may be left with `break` on every event loop: whoever drops the iterator, or calls
    `aclose`, cancels the task.

    Args:
        tasks: Group that runs the task; outlives the loop.
        work: Sends items; started by the first step of the loop, its stream is closed for it when it ends.
        ahead: Items that may wait for the loop.
    """

    def __init__(
        self, tasks: TaskGroup, work: Callable[[MemoryObjectSendStream[T]], Awaitable[None]], ahead: float
    ) -> None:
        self._tasks = tasks
        self._work = work
        self._send, self._receive = anyio.create_memory_object_stream[T](ahead)
        self._scope = anyio.CancelScope()
        self._thread, self._post = threading.get_ident(), poster()
        self._errors: list[Exception] = []
        self._is_started = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if not self._is_started:
            self._start()
        try:
            return await self._receive.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self.cancel()
        except BaseException:
            self.cancel()
            raise
        if self._errors:
            raise self._errors.pop()
        raise StopAsyncIteration

    def _start(self) -> None:
        try:
            self._tasks.start_soon(_run, self._work, self._send, self._receive, self._scope, self._errors)
        except RuntimeError as error:
            raise RuntimeError("the client is closed: loop inside 'async with Client(...) as client:'") from error
        self._is_started = True

    def cancel(self) -> None:
        """Cancel the task; the loop ends. To be called on the event loop."""
        _end(self._scope, self._receive, self._send, self._is_started)

    async def aclose(self) -> None:
        """The same, for `contextlib.aclosing`."""
        self.cancel()

    def __del__(self) -> None:
        if threading.get_ident() == self._thread:
            with contextlib.suppress(RuntimeError):  # the event loop is gone, and the task with it
                self.cancel()
            return
        # The garbage collector of another thread: a task that still runs can only be cancelled on its event loop.
        if self._is_started and self._receive.statistics().open_send_streams:
            with contextlib.suppress(RuntimeError):  # the event loop is gone
                self._post(functools.partial(_end, self._scope, self._receive, self._send, self._is_started))
                return
        _close(self._receive, self._send, self._is_started)


def _end(scope: anyio.CancelScope, *streams: Any) -> None:
    scope.cancel()
    _close(*streams)


def _close(receive: Any, send: Any, is_started: bool) -> None:
    receive.close()
    if not is_started:
        send.close()


def poster() -> Callable[[Callable[[], object]], object]:
    """What has this event loop call a function soon, from any thread; waits for nothing and takes no lock.

    It raises RuntimeError when the event loop has ended.
    """
    if sniffio.current_async_library() == "trio":
        import trio  # noqa: PLC0415 - an extra

        return trio.lowlevel.current_trio_token().run_sync_soon
    return asyncio.get_running_loop().call_soon_threadsafe


async def _run(
    work: Callable[[MemoryObjectSendStream[T]], Awaitable[None]],
    send: MemoryObjectSendStream[T],
    receive: MemoryObjectReceiveStream[T],  # noqa: ARG001 - else it were garbage together with the iterator
    scope: anyio.CancelScope,
    errors: list[Exception],
) -> None:
    # A function of its own: it must not keep the iterator alive.
    async with send:
        with scope:
            try:
                with told_when_cancelled("what the loop waits for"):
                    await work(send)
            except Exception as error:  # noqa: BLE001 - raised again where the loop is
                errors.append(explained(error))


class Flattened(Generic[T]):
    """An async iterator over the items of batches."""

    def __init__(self, batches: Background[list[T]]) -> None:
        self._batches = batches
        self._items: collections.deque[T] = collections.deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            self._items.extend(await anext(self._batches))
        return self._items.popleft()

    def cancel(self) -> None:
        """Cancel what sends the batches; the loop ends. To be called on the event loop."""
        self._items.clear()
        self._batches.cancel()

    async def aclose(self) -> None:
        """The same, for `contextlib.aclosing`."""
        self.cancel()
