"""All commands, put together."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from pepsasync.cli.flatten import GroupedCommand
from pepsasync.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS = {
    "fetch": ("fetch", "Search, stage, wait, download and verify."),
    "search": ("search", "List what matches."),
    "plan": ("plan", "Tell what a fetch would take; fetch nothing."),
    "stage": ("stage", "Ask for staging only; download nothing."),
    "download": ("download", "Bring the products of a saved search, or by name."),
    "status": ("status", "Tell what a folder's journal knows."),
    "resume": ("resume", "Go on with everything unfinished in a folder."),
    "verify": ("verify", "Check everything in a folder again; --repair fetches the bad ones."),
    "collections": ("search", "Show collections, types and filters of an archive."),
    "login": ("login", "Store your account for an archive."),
    "logout": ("login", "Remove what login stored."),
    "sandbox": ("sandbox", "Run the embedded archive on this machine."),
    "demo": ("sandbox", "Run a real fetch against an embedded archive."),
}
"""Module in this folder and short help by command, in the order in which the help lists them."""


def make_command(arguments: Sequence[str]) -> Any:
    """Return the program as one command, ready to parse.

    Args:
        arguments: What it will parse; only modules of commands that occur in it are loaded.
    """
    app = typer.Typer(
        name="pepsasync",
        epilog="pepsasync COMMAND --help tells more. The same command run again goes on where it stopped.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_program)
    for name, (module, line) in COMMANDS.items():
        command = _load(module, name) if name in arguments else _not_loaded
        app.command(name, cls=GroupedCommand, short_help=line)(command)
    return get_command(app)


def _load(module: str, name: str) -> Callable[..., None]:
    command: Callable[..., None] = getattr(import_module(f"pepsasync.cli.{module}"), name)
    return command


def _not_loaded() -> None:
    """Stand in for a command that is only listed."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pepsasync {__version__}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="show the version and exit")
    ] = False,
) -> None:
    """Find Sentinel products, bring them from tape, download and verify them."""
