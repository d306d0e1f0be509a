"""The command line: the only part that prints, and the only one that ends the process.

Nothing is loaded before it is needed: `pepsasync --help` must answer at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

READER_GONE = 141
"""Exit code when nobody reads the output any more: 128 and the number of SIGPIPE."""

COMPLETION = "_PEPSASYNC_COMPLETE"
"""Environment variable with which a shell asks for words that complete a command line."""

INTERRUPTED = "interrupted; run the same command again to go on"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: Without the program's name; None for those of this process.

    Returns:
        The exit code: 0 done, 1 some product failed, 2 bad usage or configuration, 3 credentials refused,
        4 archive unreachable, 5 disk full, 130 interrupted, 141 nobody read the output any more.
    """
    arguments = [*(sys.argv[1:] if arguments is None else arguments)]
    _fill_streams()
    try:
        _end_on_signals()
        with _warnings_as_lines():
            code = _run(arguments or _being_completed() or ["--help"])
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:  # so typer ends when nobody reads the output any more, and when it is about completion
        code = READER_GONE if end.code and COMPLETION not in os.environ else 0
    except Exception as error:  # noqa: BLE001 - every error ends in one line and an exit code
        if _wants_traceback(arguments):
            _show_traceback(error)
        code = _explain(error, arguments)
    if code == 130:
        _say(INTERRUPTED)
    _empty_streams()
    return code


def _run(arguments: list[str]) -> int:
    from pepsasync.cli.app import make_command  # noqa: PLC0415 - only now is anything loaded

    code: Any = make_command(arguments).main(arguments, prog_name="pepsasync", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _being_completed() -> list[str]:
    """The command line that a shell asks to complete, as far as it is written; empty when none does."""
    if COMPLETION not in os.environ:
        return []
    written = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    return written.split()[1:]


def _explain(error: Exception, arguments: list[str]) -> int:
    """Print in one line what went wrong, and return the exit code that it means."""
    from pepsasync.cli.exits import exit_code, output_problem, usage_problem  # noqa: PLC0415 - only when something went wrong
    from pepsasync.errors import PepsasyncError  # noqa: PLC0415
    from pepsasync.threads import explained  # noqa: PLC0415

    error = explained(error)
    if isinstance(error, PepsasyncError):
        _say(f"error: {error}")
    elif (problem := usage_problem(error) or output_problem(error)) is not None:
        _say(f"error: {problem}")
    elif type(error).__name__ == "Abort":  # older typer turns Ctrl-C into this
        return 130
    else:
        again = f"pepsasync {' '.join(arguments[:1])} ... -vv"
        _say(f"error: unexpected {type(error).__name__}: {error}. This is a bug in pepsasync; {again} shows details")
    return exit_code(error)


def _show_traceback(error: Exception) -> None:
    import traceback  # noqa: PLC0415 - hardly ever

    from pepsasync.display.output import tell  # noqa: PLC0415

    for line in "".join(traceback.format_exception(error)).rstrip("\n").split("\n"):
        tell(line)


def _fill_streams() -> None:
    """Put something harmless in the place of streams that are closed: else our files would get their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for as long as we run


def _empty_streams() -> None:
    """Write what is still in a buffer; where that is not possible the interpreter must not try it again."""
    if "pepsasync.display.output" in sys.modules:
        from pepsasync.display.output import settle  # noqa: PLC0415 - something was printed already

        settle()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(text: str) -> None:
    from pepsasync.display.output import tell  # noqa: PLC0415 - only when there is something to say

    tell(f"pepsasync: {text}")


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print our own warnings as all other lines, each once; others are for developers and stay as they are."""
    with warnings.catch_warnings():
        show, printed = warnings.showwarning, set[str]()

        def show_ours(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not category.__module__.startswith("pepsasync."):
                show(message, category, *where, **more)
            elif str(message) not in printed:
                printed.add(str(message))
                _say(f"warning: {message}")

        warnings.showwarning = show_ours
        # Also where whoever started us wants warnings to be errors.
        warnings.filterwarnings("always", r"others may read the credentials", UserWarning)
        yield


def _wants_traceback(arguments: list[str]) -> bool:
    count = sum(1 if a == "--verbose" else a.count("v") for a in arguments if re.fullmatch(r"-v+|--verbose", a))
    return count > 1 or bool(os.environ.get("PEPSASYNC_DEBUG"))


def ending_signals() -> list[signal.Signals]:
    """Signals that end a run as Ctrl-C does, unless whoever started us ignores them, as `nohup` does."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def _end_on_signals() -> None:
    """Let other signals end the program as Ctrl-C does, also outside of event loops."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the shape of a handler
        raise KeyboardInterrupt

    try:
        for number in ending_signals():
            signal.signal(number, interrupt)
    except ValueError:
        return  # not the main thread: whoever runs us there has handlers of their own
