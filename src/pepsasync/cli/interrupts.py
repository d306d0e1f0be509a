"""Ctrl-C, SIGTERM and a closed terminal while an event loop runs: work is cancelled, cleans up, and stays resumable."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from pepsasync.cli import ending_signals
from pepsasync.groups import task_group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")


async def interruptible(work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Run `work`; the first signal cancels it at its next await, a second one ends it wherever it is.

    Raises:
        KeyboardInterrupt: A signal came, and the work has cleaned up.
        Exception: What the work raised.
    """
    arrived: list[int] = []
    result: list[T] = []
    async with task_group() as tasks:
        if signals := _wanted_signals():
            tasks.start_soon(_cancel_on, signals, tasks.cancel_scope, arrived)
        result.append(await work(*arguments))
        tasks.cancel_scope.cancel()
    if arrived:
        raise KeyboardInterrupt("the run was interrupted")
    return result[0]


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Put the handlers of signals back afterwards: event loops leave the system's default behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _cancel_on(signals: list[signal.Signals], scope: anyio.CancelScope, arrived: list[int]) -> None:
    with anyio.open_signal_receiver(*signals) as stream:
        async for number in stream:
            arrived.append(number)
            break
    scope.cancel()


def _wanted_signals() -> list[signal.Signals]:
    """Those that whoever started us did not tell us to ignore; none where event loops cannot receive any."""
    if os.name == "nt" or threading.current_thread() is not threading.main_thread():
        return []
    interrupt = [] if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else [signal.SIGINT]
    return interrupt + ending_signals()
