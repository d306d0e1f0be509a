"""Members of a product: `ls`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

from typer import Argument

from pepsasync.cli.options import ArchiveOptions, Bands, Exclude, Include, OutputOptions, TextOrJson, flatten
from pepsasync.cli.session import Session
from pepsasync.display.output import show, show_json
from pepsasync.errors import ConfigError
from pepsasync.query.product_names import bare_name
from pepsasync.units import show_count, show_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pepsasync.model import Member


@flatten()
def ls(
    *,
    name: Annotated[str, Argument(metavar="NAME", help="the product")],
    archive: ArchiveOptions,
    include: Include = [],  # noqa: B006 - nobody changes it
    exclude: Exclude = [],  # noqa: B006
    bands: Bands = [],  # noqa: B006
    form: TextOrJson = "text",
    output: OutputOptions,
) -> None:
    """List the files of a product, with their sizes, without downloading it.

    The product must be online. With --include, --exclude or --bands those are listed that fetch would bring. Where
    downloads are counted (a quota), this counts as one.
    """
    from pepsasync.query.members import build_selection  # noqa: PLC0415 - not needed for help

    session, selection = Session(output), build_selection(include, exclude, bands)
    if not bare_name(name):
        raise ConfigError(f"{name!r} is not a product's name")
    members = session.run(_look, archive, bare_name(name))
    if selection:
        chosen = {*selection.chosen(member.path for member in members)}
        members = [member for member in members if member.path in chosen]
    if form == "json":
        show_json([dataclasses.asdict(member) for member in members])
        return
    for line in _lines(members):
        show(line)
    if selection and not members:
        session.say(f"nothing matches: no file of {bare_name(name)} fits {selection}")
        return
    size, packed = (sum(getattr(member, what) for member in members) for what in ("size", "packed_size"))
    session.say(f"{show_count(len(members), 'member')}, {show_size(size)}; {show_size(packed)} in the zip")


async def _look(archive: ArchiveOptions, name: str) -> Sequence[Member]:
    async with archive.client() as client:
        return await client.members(name)


def _lines(members: Sequence[Member]) -> list[str]:
    """A size and a path a line, as they stand in the zip."""
    sizes = [f"{member.size:,}" for member in members]
    width = max(map(len, sizes), default=0)
    return [f"{size:>{width}}  {member.path}" for size, member in zip(sizes, members, strict=True)]
