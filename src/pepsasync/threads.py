"""Blocking work in threads: cleaning up even where no thread is to be had, and stopping when it is cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVarTuple, Unpack

import anyio
from anyio import from_thread, to_thread

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

Arguments = TypeVarTuple("Arguments")

FEWER_THREADS = "Run the same command again to go on; with fewer downloads at once (-j) there are fewer threads"
"""What to do when a thread cannot be had."""

NO_THREAD = "can't start new thread"
"""What Python says when the system, or a limit of the account, gives no more threads."""


def lacks_threads(error: BaseException) -> bool:
    """Whether an error says that a thread could not be started."""
    return isinstance(error, RuntimeError) and NO_THREAD in str(error)


def explained(error: Exception) -> Exception:
    """Our error for one that says that a thread could not be started; others as they are."""
    if not lacks_threads(error):
        return error
    hint = "Raise the limit of processes of this account (ulimit -u), or end others; then run the same command again"
    return ConfigError(f"cannot start a thread: {error}", hint=hint)


async def clean_up(work: Callable[[Unpack[Arguments]], object], *arguments: *Arguments) -> None:
    """Do blocking work that has to be done whatever has happened: in a thread, or here when there is none.

    Cancellation: waits for the work.
    """
    with anyio.CancelScope(shield=True):
        try:
            await to_thread.run_sync(work, *arguments)
        except RuntimeError as error:
            if not lacks_threads(error):
                raise
            work(*arguments)


def check_cancelled() -> None:
    """In a thread, end work whose task was cancelled; to be called at every block. Elsewhere it does nothing."""
    try:
        from_thread.check_cancelled()
    except (RuntimeError, AttributeError):  # no thread of an event loop; anyio has no other words for it
        return
