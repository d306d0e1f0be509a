"""Which of several towns of one name is meant: the user says."""

from __future__ import annotations

import os
import sys

from pepsasync.area.places import AmbiguousPlaceError, find_one, find_place, rivals
from pepsasync.display.output import answer, tell
from pepsasync.errors import AreaError, ConfigError
from pepsasync.model import several
from pepsasync.providers.collections import KNOW_PLACES
from pepsasync.query.criteria import build_query
from pepsasync.settings import read_settings


def settle(given: list[str], provider: str | None, *, with_area: bool, is_quiet: bool = False) -> list[str]:
    """Return places with those in full of which there are several.

    Where the archive looks places up itself, it is only said that it chooses.

    Args:
        given: As on the command line.
        provider: Archives as the command line names them. The first is searched: some know places themselves.
        with_area: Whether the archive is asked for an area all the same.
        is_quiet: Whether only errors are to be said.

    Raises:
        AreaError: There is no such place; or several, and there is no terminal.
        ConfigError: A value is empty, or the answer is none of those.
    """
    archive = read_settings(os.environ).choose_all(provider)[0]
    if archive in KNOW_PLACES and not with_area:
        for text in several(build_query(location=given).location) if not is_quiet else ():
            _note_several(text, archive)
        return given
    return [_one(text) for text in several(build_query(location=given).location)]


def _one(text: str) -> str:
    try:
        find_one(text)
    except AmbiguousPlaceError:
        if not _is_terminal():
            raise
        return _chosen(text)
    return text


def _note_several(text: str, archive: str) -> None:
    try:
        find_one(text)
    except AmbiguousPlaceError as error:
        tell(f"note: {archive} looks places up itself, and {error.message}; --bbox or --tile leave no doubt")
    except AreaError:
        return  # the archive may know it


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _chosen(text: str) -> str:
    place = find_place(text)
    towns = (place, *rivals(place, text))
    tell(f"the place {text!r} may be")
    for number, town in enumerate(towns, 1):
        tell(f"  {number}  {town} (longitude {town.longitude:g}, latitude {town.latitude:g})")
    said = answer(f"Which one (1-{len(towns)})").strip()
    if not said.isdecimal() or not 1 <= int(said) <= len(towns):
        raise ConfigError(f"{said!r} is none of the places", hint=f"Name one in full, such as {str(place)!r}")
    return str(towns[int(said) - 1])
