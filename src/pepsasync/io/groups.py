"""Task groups that raise a lone error as itself, and loops over work that goes on in the background."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from anyio.abc import TaskGroup
    from anyio.streams.memory import MemoryObjectSendStream

T = TypeVar("T")


@contextlib.asynccontextmanager
async def task_group() -> AsyncIterator[TaskGroup]:
    """Open an anyio task group whose first real error leaves it without an `ExceptionGroup` around it.

    Callers then catch `ServerError` and the like as if the group were a plain block. Cancellation is re-raised as it
    came.
    """
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group that is not a cancellation; the first of all when there is no other."""
    _, rest = group.split(anyio.get_cancelled_exc_class())
    error: BaseException = rest or group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def background(
    tasks: TaskGroup, work: Callable[[MemoryObjectSendStream[T]], Awaitable[None]], ahead: int
) -> AsyncGenerator[T, None]:
    """Loop over what a background task sends, without a task group inside the generator.

    Args:
        tasks: Outlives the loop.
        work: Sends items; the stream is closed for it when it ends.
        ahead: Items that may wait for the loop.

    Raises:
        Exception: What `work` raised, after the items that it had sent.

    Leaving the loop early, or closing the generator, cancels the work.
    """
    send, receive = anyio.create_memory_object_stream[T](ahead)
    scope, errors = anyio.CancelScope(), list[Exception]()

    async def run() -> None:
        async with send:
            with scope:
                try:
                    await work(send)
                except Exception as error:  # noqa: BLE001 - raised again where the loop is
                    errors.append(error)

    tasks.start_soon(run)
    try:
        async for item in receive:
            yield item
    finally:
        scope.cancel()
        receive.close()
    if errors:
        raise errors[0]
