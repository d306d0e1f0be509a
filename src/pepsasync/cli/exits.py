"""Errors as exit codes, and the words for wrong command lines."""

from __future__ import annotations

from typing import Any

from pepsasync.errors import (
    AuthError,
    ConfigError,
    DestinationError,
    DiskFullError,
    ServerError,
    StoreRefusedError,
    StoreUnreachableError,
)
from pepsasync.folder.files import FULL
from pepsasync.nearest import meant

EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (ConfigError, 2),
    (StoreRefusedError, 3),
    (StoreUnreachableError, 4),
    (DestinationError, 2),
    (AuthError, 3),
    (ServerError, 4),
    (DiskFullError, 5),
)
"""Of errors that end a run. An archive that answers nothing but failures is as good as unreachable."""


def exit_code(error: Exception) -> int:
    """Return the exit code of an error that ends the program."""
    if usage_problem(error) is not None:
        return 2
    if output_problem(error) is not None:
        return 5
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def usage_problem(error: Exception) -> str | None:
    """Return what is wrong with a command line; None when the error is about something else.

    The parser's classes have changed their home between versions of typer, so they are known by their method.
    """
    wording: Any = getattr(error, "format_message", None)
    if wording is None:
        return None
    text = _unknown_option(error) or " ".join(str(wording()).split()).rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return text
    return f"{text}{'' if text.endswith('?') else '.'} See {context.command_path} --help"


def output_problem(error: Exception) -> str | None:
    """Return what is wrong with standard output; None when the error is about something else.

    Errors of all other files are ours by the time they end the program.
    """
    if isinstance(error, OSError) and error.errno in FULL:
        return f"cannot write to standard output: {error.strerror}"
    return None


def _unknown_option(error: Exception) -> str | None:
    option: str | None = getattr(error, "option_name", None)
    if not option or not hasattr(error, "possibilities"):
        return None
    context = getattr(error, "ctx", None)
    params = context.command.params if context else ()
    known = [name for param in params for name in sorted(param.opts, key=len, reverse=True) if name.startswith("--")]
    words = {name.strip("-"): name for name in known}
    word = meant(option.strip("-"), words) if len(option.strip("-")) > 1 else None
    return f"there is no option {option}; did you mean {words[word]}?" if word else f"there is no option {option}"
