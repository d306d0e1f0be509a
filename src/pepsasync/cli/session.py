"""What every command that talks to an archive does around its work: event loop, display, log of events."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pepsasync.cli.lines import NORMAL, QUIET, VERBOSE, Lines
from pepsasync.cli.terminal import log_as_lines, tell
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from rich.console import Console

    from pepsasync.cli.options import OutputOptions
    from pepsasync.cli.progress import Progress
    from pepsasync.cli.records import EventLog
    from pepsasync.client import Client

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """How one command talks to its user."""

    output: OutputOptions

    @property
    def level(self) -> int:
        """How much is told."""
        if self.output.quiet:
            return QUIET
        return VERBOSE if self.output.verbose else NORMAL

    def say(self, text: str = "", *, level: int = NORMAL) -> None:
        """Tell a line on standard error."""
        if level <= self.level:
            tell(text)

    def run(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run an async function on the chosen event loop.

        Raises:
            ConfigError: There is no such event loop here.
            KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP came.
        """
        import anyio  # noqa: PLC0415 - not needed for help

        from pepsasync.cli.interrupts import handlers_kept, interruptible  # noqa: PLC0415

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
            view: Lines | Progress
            if self._is_live(log) and level is None:
                from pepsasync.cli.progress import Progress  # noqa: PLC0415 - loads the display

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

    def _is_live(self, log: EventLog | None) -> bool:
        # Events on the same terminal would be drawn over.
        is_shared = log is not None and log.is_on(sys.stdout) and sys.stdout.isatty()
        return (
            self.level > QUIET and not is_shared and self.console().is_terminal and not self.console().is_dumb_terminal
        )
