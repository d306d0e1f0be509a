"""What an archive has, and what it can be asked for: `collections`."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Context

from pepsasync.cli.complete import complete_collection
from pepsasync.cli.options import ArchiveOptions, OutputOptions, TextOrJson, flatten
from pepsasync.cli.session import Session
from pepsasync.display.output import show, show_json
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pepsasync.model import Attribute

ALL = "all"
"""Stands for every archive."""
_WORDS = {"on_tape": "on tape", "staging": "staging", "limits": "limits", "account": "account"}
MOST_VALUES = 8
"""Values of an attribute that are written out for people."""


@flatten(without=("-a", "--auth"))
def collections(
    *,
    context: Context,
    names: Annotated[
        list[str] | None,
        Argument(
            metavar="[PROVIDER|all] [COLLECTION]",
            help="which archive, or all of them; of a collection its attributes",
            autocompletion=complete_collection,
        ),
    ] = None,
    archive: ArchiveOptions,
    output: OutputOptions,
    form: TextOrJson = "text",
) -> None:
    """Show collections, types and filters of an archive; with COLLECTION its attributes, for --property.

    Beside them stand what is on tape there, what programs can do about that, limits, and where to get an account; for
    all archives one after the other with `all`. Neither needs an account.

    Attributes are asked of the archive, with their types and, where it tells them, their values.
    """
    from pepsasync.cli.resume import named_provider  # noqa: PLC0415 - not needed for help
    from pepsasync.providers import public_url  # noqa: PLC0415
    from pepsasync.providers.collections import COLLECTIONS, is_listed  # noqa: PLC0415
    from pepsasync.settings import read_settings  # noqa: PLC0415

    if names == [ALL]:
        _show_all(form)
        return
    provider, collection = _sort_out(names or [])
    named = named_provider(archive, context)
    if provider and named and provider != named:
        raise ConfigError(f"{provider} or {named}? Name one archive")
    name = read_settings(os.environ).choose_all(provider or archive.provider)[0]
    public_url(name)  # refuses unknown names
    if collection is None:
        if name not in COLLECTIONS:
            raise ConfigError(f"the collections of {name} are not listed here", hint="Search with -c and its own names")
        _show_collections(name, COLLECTIONS[name], form)
        return
    if not (provider or named or is_listed(name, collection)):
        hint = f"For a collection name the archive, too: pepsasync collections {name} {collection}"
        raise ConfigError(f"there is no provider {collection!r}, and {name} lists no such collection", hint=hint)
    own = ArchiveOptions(provider=name, base_url=archive.base_url, ca_bundle=archive.ca_bundle)
    known = Session(output).run(_ask, own, collection)
    if not known:
        raise ConfigError(f"{name} tells of no attributes of {collection}", hint=f"See pepsasync collections {name}")
    _show_attributes(name, collection, known, form)


def _sort_out(names: Sequence[str]) -> tuple[str | None, str | None]:
    """Archive and collection, in any order."""
    from pepsasync.providers import provider_names  # noqa: PLC0415

    archives = [name for name in names if name in provider_names()]
    others = [name for name in names if name not in archives]
    if len(archives) > 1 or len(others) > 1:
        raise ConfigError(f"{' or '.join(archives if len(archives) > 1 else others)}? Name one of them")
    return next(iter(archives), None), next(iter(others), None)


async def _ask(archive: ArchiveOptions, collection: str) -> dict[str, Attribute]:
    async with archive.client() as client:
        return await client.attributes(collection.upper() if re.fullmatch(r"s\d(st)?", collection) else collection)


def _show_all(form: str) -> None:
    """Show every archive."""
    from pepsasync.providers.collections import COLLECTIONS  # noqa: PLC0415 - not needed for help

    if form == "json":
        archives = [_as_dict(provider, rows) for provider, rows in COLLECTIONS.items()]
        show_json({"schema": 1, "archives": archives})
        return
    for number, (provider, rows) in enumerate(COLLECTIONS.items()):
        if number:
            show("")
        _show_collections(provider, rows, form)


def _show_collections(provider: str, rows: Iterable[tuple[str, ...]], form: str) -> None:
    from pepsasync.providers.collections import ARCHIVES  # noqa: PLC0415 - not needed for help

    if form == "json":
        show_json({"schema": 1, **_as_dict(provider, rows)})
        return
    _show_table([("COLLECTION", "WHAT", "PRODUCT TYPES", "FILTERS"), *rows])
    if about := ARCHIVES.get(provider):
        show("")
        _show_table([(provider, about.what), *((word, getattr(about, name)) for name, word in _WORDS.items())])


def _as_dict(provider: str, rows: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    from pepsasync.providers.collections import ARCHIVES  # noqa: PLC0415 - not needed for help

    told = [
        {"name": name, "what": what, "product_types": types.split(), "filters": filters}
        for name, what, types, filters in rows
    ]
    about = ARCHIVES.get(provider)
    return {"provider": provider, "collections": told, **(about._asdict() if about else {})}


def _show_attributes(provider: str, collection: str, known: dict[str, Attribute], form: str) -> None:
    listed = [known[name] for name in sorted(known, key=str.lower)]
    if form == "json":
        told: list[dict[str, Any]] = [
            {
                "name": one.name,
                "type": str(one.kind),
                "values": list(one.values),
                "lowest": one.lowest,
                "highest": one.highest,
            }
            for one in listed
        ]
        show_json({"schema": 1, "provider": provider, "collection": collection, "attributes": told})
        return
    _show_table([("ATTRIBUTE", "TYPE", "VALUES"), *((one.name, str(one.kind), _values(one)) for one in listed)])


def _values(attribute: Attribute) -> str:
    if attribute.values:
        shown = ", ".join(attribute.values[:MOST_VALUES])
        return shown if len(attribute.values) <= MOST_VALUES else f"{shown}, ..."
    ends = ["" if end is None else f"{end:g}" for end in (attribute.lowest, attribute.highest)]
    return "..".join(ends) if any(ends) else ""


def _show_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        show("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
