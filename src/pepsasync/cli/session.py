"""What every command that talks to an archive does around its work: event loop, signals, display, log of events.

On Ctrl-C, SIGTERM or a closed terminal the work is cancelled, cleans up, and can be resumed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pepsasync.cli import ending_signals
from pepsasync.display.output import NORMAL, QUIET, VERBOSE, log_as_lines, tell
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import anyio
    from rich.console import Console

    from pepsasync.cli.options import OutputOptions
    from pepsasync.client import Client
    from pepsasync.display.lines import Lines
    from pepsasync.display.live import Progress
    from pepsasync.display.records import EventLog

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """How one command talks to its user."""

    output: OutputOptions

    @property
    def level(self) -> int:
        """How much is printed."""
        if self.output.quiet:
            return QUIET
        return VERBOSE if self.output.verbose else NORMAL

    def say(self, text: str = "", *, level: int = NORMAL) -> None:
        """Print a line on standard error."""
        if level <= self.level:
            tell(text)

    def run(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run an async function on the chosen event loop.

        Raises:
            ConfigError: There is no such event loop here.
            KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP came.
        """
        import anyio  # noqa: PLC0415 - not needed for help

        if self.output.backend not in ("asyncio", "trio"):
            raise ConfigError(f"--backend must be asyncio or trio, not {self.output.backend!r}")
        try:
            with handlers_kept(), log_as_lines():
                return anyio.run(interruptible, work, *arguments, backend=self.output.backend)
        except LookupError as error:
            if "backend" in str(error):
                raise ConfigError("trio is not installed", hint="Try: pip install 'pepsasync[trio]'") from error
            raise

    @contextlib.contextmanager
    def watch(
        self, client: Client, log: EventLog | None = None, *, level: int | None = None
    ) -> Iterator[Lines | Progress]:
        """Show what a client does, on a terminal as a live display, else as lines; both on standard error.

        Args:
            client: Whose events are shown.
            log: Gets every event as well.
            level: Instead of the user's.
        """
        with contextlib.ExitStack() as stack:
            from pepsasync.display.lines import Lines  # noqa: PLC0415 - not needed for help

            view: Lines | Progress
            if self._is_live(log) and level is None:
                from pepsasync.display.live import Progress  # noqa: PLC0415 - loads the display

                view = stack.enter_context(Progress(self.console(), level=self.level))
            else:
                view = stack.enter_context(Lines(tell, level=self.level if level is None else level))
            stack.enter_context(client.listen(view.take))
            if log is not None:
                stack.enter_context(client.listen(log.take))
            yield view

    def console(self) -> Console:
        """A console on standard error."""
        from rich.console import Console  # noqa: PLC0415 - not needed for help

        return Console(stderr=True, no_color=self.output.is_plain or None, highlight=False)

    @property
    def has_terminal(self) -> bool:
        """Whether standard error is a terminal that can be drawn on, and the user wants to see anything."""
        # A console takes FORCE_COLOR, which many CI services set, for a terminal; colours in a log are one thing.
        console = self.console()
        is_able = sys.stderr.isatty() and not console.is_dumb_terminal and not console.legacy_windows
        return self.level > QUIET and is_able

    def _is_live(self, log: EventLog | None) -> bool:
        # Events on the same terminal would be drawn over.
        is_shared = log is not None and log.is_on(sys.stdout) and sys.stdout.isatty()
        return not is_shared and self.has_terminal


async def interruptible(work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Run `work`; the first signal cancels it at its next await, a second one ends it wherever it is.

    Raises:
        KeyboardInterrupt: A signal came, and the work has cleaned up.
        Exception: What the work raised.
    """
    from pepsasync.groups import task_group  # noqa: PLC0415 - not needed for help

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
    import anyio  # noqa: PLC0415

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
