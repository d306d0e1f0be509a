"""All commands put together, and how they read a command line and write their help.

A command is a function of the same name in a module of this folder, decorated by `flatten`, and a line in `COMMANDS`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from pepsasync.errors import ConfigError
from pepsasync.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COMMANDS = {
    "fetch": ("fetch", "Search, stage, wait, download and verify."),
    "search": ("search", "List matching products."),
    "plan": ("plan", "Estimate size, time and disk space of a fetch; fetch nothing."),
    "stage": ("stage", "Request staging only; download nothing."),
    "download": ("download", "Download the products of a saved search, or products by name."),
    "ls": ("ls", "List the files of a product; fetch nothing."),
    "sync": ("sync", "Download what is new since the last run of an order."),
    "order": ("order", "Write an order for sync."),
    "status": ("status", "Show the state of a folder from its journal."),
    "watch": ("watch", "Show the progress of the run in a folder, from another terminal."),
    "resume": ("resume", "Continue everything unfinished in a folder."),
    "verify": ("verify", "Verify all products in a folder again; --repair fetches the bad ones."),
    "clean": ("clean", "Remove unfinished downloads of a folder, or unfinished uploads of a bucket."),
    "catalog": ("catalog", "Write a STAC catalogue of what is on disk."),
    "collections": ("collections", "Show collections, types and filters of an archive."),
    "check": ("check", "Check everything that a fetch needs."),
    "login": ("login", "Store your account for an archive."),
    "logout": ("login", "Remove what login stored."),
    "sandbox": ("sandbox", "Run the embedded archive on this machine."),
    "demo": ("sandbox", "Run a real fetch against an embedded archive."),
}
"""Module in this folder and short help by command, in the order in which the help lists them."""


GROUPS = {
    "Find and fetch": ("fetch", "search", "plan", "stage", "download", "ls"),
    "Repeated orders": ("order", "sync"),
    "What is in a folder": ("status", "watch", "resume", "verify", "clean", "catalog"),
    "Archives and accounts": ("collections", "check", "login", "logout"),
    "Without an account": ("demo", "sandbox"),
}
"""Commands as the help shows them; those that are missing here come last."""

SHORT_OPTIONS = {
    "-m": "-m mode",
    "-d": "-d début, French for start",
    "-f": "-f fin, French for end",
    "-x": "-x extract",
    "-0": "-0 zero byte",
}
"""What short options stand for that are not the first letter of their long one."""

WIDEST = 120
"""Columns that help takes of a wide terminal."""

NEEDS_VALUE = "option {option} needs a value, but {value} follows, which is an option itself"

ONE_VALUE = "Give it once; for several values run the command once for each of them"


EXAMPLES = {
    "pepsasync": (
        "pepsasync demo",
        "pepsasync search -c S2ST -t 31TCJ -d 2017-01 -f 2017-02 --clouds 20",
        "pepsasync fetch -c S2ST -t 31TCJ -d 2017-01 -f 2017-02 --clouds 20 -w data",
    ),
    "fetch": (
        "pepsasync fetch -c S2ST -t 31TCJ -d 2017-01 -f 2017-02 --clouds 20 -w data",
        "pepsasync fetch -c S2ST -t 31TCJ,31TDJ -d 2017 -f P1Y --months 1-3 --per day,tile",
        "pepsasync fetch -c S1 -p GRD,SLC -l Toulouse -d 2015-11-01 -f P2W --polarisation VV+VH",
        "pepsasync fetch -c S1,S2ST -t @tiles.txt --published-since 2017-01-15 -w data",
        "pepsasync fetch -c S2ST -t 31TCJ -d 2017-01 -f 2017-02 --bands B02,B03,B04 -w data",
    ),
    "search": (
        "pepsasync search -c S1 --bbox 1,43,2,44 --orbit-direction ascending --cover 50",
        "pepsasync search -c S2ST --shape parcels.gpkg --clouds 5..40 --sort clouds -o found.geojson",
        "pepsasync search -c S2ST --orbit 8,51 --limit 5 --format ids",
        "pepsasync search -c S1 --property processing:level=L1 --property 'sat:absolute_orbit>8600' --sort size",
    ),
    "collections": (
        "pepsasync collections geodes",
        "pepsasync collections geodes S1",
    ),
    "stage": ("pepsasync stage -c S2ST -t 31TCJ -d 2017-01 -f 2017-02 --wait",),
    "download": (
        "pepsasync download found.geojson -w data",
        "pepsasync download S2A_MSIL1C_20170105T105433_N0204_R051_T31TCJ_20170105T105433 -w data -x",
    ),
    "ls": ("pepsasync ls S2A_MSIL1C_20170105T105433_N0204_R051_T31TCJ_20170105T105433 --provider cdse",),
    "order": ("pepsasync order new toulouse.toml -c S2ST -t 31TCJ -d 2017 -f P1Y --latest -w data",),
    "sync": ("pepsasync sync toulouse.toml --plan", "pepsasync sync toulouse.toml --replace"),
    "watch": ("pepsasync watch data",),
    "check": ("pepsasync check geodes",),
    "logout": ("pepsasync logout geodes",),
    "demo": ("pepsasync demo",),
    "status": ("pepsasync status data", "pepsasync status data --format json"),
    "resume": ("pepsasync resume data",),
    "verify": ("pepsasync verify data", "pepsasync verify data --repair"),
    "clean": ("pepsasync clean data",),
    "catalog": ("pepsasync catalog data",),
    "login": ("pepsasync login geodes",),
    "sandbox": ("pepsasync sandbox --port 8765 --products 50 --tape-fraction 0.5",),
    "plan": ("pepsasync plan -c S2ST -t 31TCJ -t 31TDJ -d 2017 -f 2018 --latest",),
}
"""Command lines for the help of some commands."""


class GroupedCommand(TyperCommand):
    """A command whose help shows options by group, and that never takes an option for another one's value."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Refuse empty values, and `--collection --start 2017-01-01`, where the first value was forgotten."""
        takes_value = {name: not option.is_flag and not option.count for name, option in self._options()}
        self._check_empty(args, [name for name, takes in takes_value.items() if takes])
        for option, value in itertools.pairwise(args):
            if option == "--":
                break
            if takes_value.get(option) and value in takes_value:
                raise ConfigError(NEEDS_VALUE.format(option=option, value=value))
        self._check_repeated(ctx, args)
        return super().parse_args(ctx, args)

    def _check_repeated(self, ctx: Any, args: list[str]) -> None:
        """Refuse several values of an option that takes one: the parser would keep the last, without a word."""
        _, _, order = self.make_parser(ctx).parse_args([*args])
        options = {id(option): option for _, option in self._options()}
        for key, times in Counter(map(id, order)).items():
            option = options.get(key)
            if times > 1 and option and not (option.multiple or option.count or option.is_flag):
                name = max(option.opts, key=len)
                raise ConfigError(f"{name} was given {times} times and takes one value", hint=ONE_VALUE)

    def _check_empty(self, args: list[str], options: list[str]) -> None:
        """Refuse what an unset variable of a script leaves behind: nobody wants the default who writes a value."""
        argument = next((param.metavar or "" for param in self.params if param.param_type_name == "argument"), "")
        for before, text in itertools.pairwise(["", *args]):
            name, is_joined, value = text.partition("=")
            if before in options:
                name, value = before, text
            elif not is_joined or name not in options:
                name, value = argument, text
            if name and not value.strip():
                raise ConfigError(f"{name} is empty", hint="Leave it out, or give it a value")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, then one section a group of options, in the order of their first options."""
        _write_examples(ctx.info_name, formatter)
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                title = getattr(param, "rich_help_panel", None)
                title = title or ("Arguments" if param.param_type_name == "argument" else "General")
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=34)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the signature of click
        """Explain short options that are not the first letter of their long one."""
        names = {name for name, _ in self._options()}
        if told := [why for short, why in SHORT_OPTIONS.items() if short in names]:
            formatter.write_paragraph()
            formatter.write_text(f"Short options are the first letter of the long one, but for {'; '.join(told)}.")

    def _options(self) -> Iterator[tuple[str, Any]]:
        for param in self.params:
            if param.param_type_name == "option":
                for name in (*param.opts, *param.secondary_opts):
                    yield name, param


class GroupedCommands(TyperGroup):
    """The program, whose help shows commands by group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write examples, then the commands by group, then the options."""
        _write_examples(ctx.info_name, formatter)
        grouped = {name for names in GROUPS.values() for name in names}
        others = {"More": tuple(name for name in COMMANDS if name not in grouped)}
        for title, names in (GROUPS | others).items():
            if names:
                with formatter.section(title):
                    formatter.write_dl([(name, COMMANDS[name][1]) for name in names])
        records = [record for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(records)


def _write_examples(command: str | None, formatter: Any) -> None:
    """Each on a line that can be copied."""
    if examples := EXAMPLES.get(command or ""):
        with formatter.section("Examples"):
            for line in examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def make_command(arguments: Sequence[str]) -> Any:
    """Return the program as one command, ready to parse.

    Args:
        arguments: What it will parse; only modules of commands that occur in it are loaded.
    """
    app = typer.Typer(
        name="pepsasync",
        cls=GroupedCommands,
        epilog="pepsasync COMMAND --help lists its options. A command that is run again continues where it stopped.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
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
