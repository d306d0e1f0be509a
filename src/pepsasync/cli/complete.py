"""What the shell may write at the end of a command line. Nothing is asked of an archive: a key was pressed.

Values of an option that takes several, with commas between them, are completed one by one; after `@`, files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from typer import Context  # noqa: TC002 - typer evaluates the annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FINALS = (".zip", ".SAFE")
"""What products in a folder are called."""


def words(*known: str) -> Callable[[str], list[str]]:
    """Complete one of a few words, or several of them."""

    def complete_word(incomplete: str) -> list[str]:
        return _several(known, incomplete)

    return complete_word


def complete_provider(incomplete: str) -> list[str]:
    """Archives."""
    from pepsasync.providers import provider_names  # noqa: PLC0415 - only when a key was pressed

    return _several(provider_names(), incomplete)


def complete_collection(ctx: Context, incomplete: str) -> list[str]:
    """Collections of the archive that is used; as an argument, also archives."""
    from pepsasync.providers import provider_names  # noqa: PLC0415
    from pepsasync.providers.collections import names_of  # noqa: PLC0415

    archives = provider_names() if ctx.info_name == "collections" else ()
    return _several((*archives, *names_of(_provider(ctx))), incomplete)


def complete_type(ctx: Context, incomplete: str) -> list[str]:
    """Product types of the archive that is used."""
    from pepsasync.providers.collections import COLLECTIONS  # noqa: PLC0415

    types = (name for row in COLLECTIONS.get(_provider(ctx), ()) for name in row[2].split())
    return _several(dict.fromkeys(types), incomplete)


def complete_tile(incomplete: str) -> list[str]:
    """Zones, then bands, then tiles."""
    from pepsasync.area.tile_grid import BANDS, tiles_of  # noqa: PLC0415

    last = incomplete.rpartition(",")[2].upper()
    mark, begun = ("T", last[1:]) if last.startswith("T") else ("", last)
    if len(begun) < 2:
        names = tuple(f"{zone:02}" for zone in range(1, 61))
    else:
        names = tuple(begun[:2] + band for band in BANDS) if len(begun) == 2 else tiles_of(begun[:3])
    return _several((mark + name for name in names), incomplete)


def complete_name(ctx: Context, incomplete: str) -> list[str]:
    """Names of products in the folder."""
    folder = ctx.params.get("write_dir") or "."
    try:
        files = [entry.name for entry in os.scandir(folder)]
    except OSError:
        files = []
    names = {name.removesuffix(ending) for name in files for ending in FINALS if name.endswith(ending)}
    return _several(sorted(names), incomplete)


def complete_file_or_name(ctx: Context, incomplete: str) -> list[str]:
    """The same, and files that may be saved searches."""
    return complete_name(ctx, incomplete) + [path for path in _paths(incomplete) if not path.endswith(FINALS)]


def complete_attribute(ctx: Context, incomplete: str) -> list[str]:
    """Attributes that the archive that is used is known to have, with the sign that follows."""
    from pepsasync.providers.completion import attributes_of  # noqa: PLC0415

    return _beginning((f"{name}=" for name in attributes_of(_provider(ctx))), incomplete)


def _provider(ctx: Context) -> str:
    """The archive that the command would use; the usual one when the config file is wrong."""
    from pepsasync.errors import ConfigError  # noqa: PLC0415
    from pepsasync.providers import DEFAULT_PROVIDER  # noqa: PLC0415
    from pepsasync.settings import read_settings  # noqa: PLC0415

    try:
        return read_settings(os.environ).choose_all(ctx.params.get("provider") or None)[0]
    except ConfigError:
        return DEFAULT_PROVIDER


def _several(names: Iterable[str], text: str) -> list[str]:
    """Names that begin with what stands behind the last comma, with all before it; after `@`, files."""
    before, comma, last = text.rpartition(",")
    if last.startswith("@"):
        return [f"{before}{comma}@{path}" for path in _paths(last[1:])]
    given = before.split(",") if comma else []
    return [f"{before}{comma}{name}" for name in _beginning(names, last) if name not in given]


def _paths(text: str) -> list[str]:
    folder, slash, begun = text.rpartition("/")
    try:
        entries = sorted(os.scandir(folder + slash or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    found = (entry for entry in entries if entry.name.startswith(begun) and (begun or not entry.name.startswith(".")))
    return [f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}" for entry in found]


def _beginning(names: Iterable[str], text: str) -> list[str]:
    """As far as it is written in the letters of the user: shells offer nothing else."""
    return [text + name[len(text) :] for name in names if name.lower().startswith(text.lower())]
