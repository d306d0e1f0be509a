"""`catalog`: a static STAC catalogue of what is on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.cli.options import Directory, OutputOptions, flatten
from pepsasync.cli.session import Session
from pepsasync.display.output import show
from pepsasync.units import show_count

if TYPE_CHECKING:
    from pathlib import Path

    from pepsasync.results.catalog import OnDisk


@flatten()
def catalog(*, directory: Directory = ".", output: OutputOptions) -> None:
    """Write a static STAC catalogue of the products in DIR, to DIR/stac.

    Its items say size, checksum, and which archive and search a product is from. With the extra parquet all items are
    also in DIR/stac/items.parquet. Written again, it is brought up to date.
    """
    from pepsasync.results.catalog import write_catalog  # noqa: PLC0415 - not needed for help
    from pepsasync.results.stac import load_pystac  # noqa: PLC0415
    from pepsasync.target import as_target  # noqa: PLC0415

    load_pystac()
    session = Session(output)
    folder = as_target(directory).refuse("catalog")
    products = on_disk(folder, session)
    path = write_catalog(folder, products)
    session.say(f"{show_count(len(products))} in the catalogue")
    show(str(path))


def on_disk(directory: Path, session: Session) -> list[OnDisk]:
    """Products that stand in a folder as they were verified, in the order in which they were found.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """
    from pepsasync.cli.status import found_by  # noqa: PLC0415
    from pepsasync.folder.journal import JournalReader, State  # noqa: PLC0415
    from pepsasync.folder.layout import Folder  # noqa: PLC0415
    from pepsasync.model import Product  # noqa: PLC0415
    from pepsasync.results.catalog import OnDisk  # noqa: PLC0415
    from pepsasync.transfer.existing import stands  # noqa: PLC0415
    from pepsasync.transfer.manifest import parse_checksum  # noqa: PLC0415

    folder, found, gone = Folder(directory), list[OnDisk](), 0
    with JournalReader(directory) as reader:
        queries = {order.id: found_by(order) for order in reader.orders()}
        origins = {one.name: one for batch in reader.provenance() for one in batch}
        for state in (State.DELIVERED, State.SKIPPED):
            for row in (row for batch in reader.in_state(state) for row in batch):
                origin = origins.get(row.name)
                if origin is None:  # a command of `--on-delivered` has taken it away
                    continue
                if not stands(row.name, folder):
                    gone += 1
                    continue
                bare = Product(id=row.id, name=row.name, provider=row.source, collection="", download_url="")
                one = OnDisk(
                    product=row.product or bare,
                    path=next(path for path in folder.final_paths(row.name) if path.exists()),
                    source=origin.source,
                    checksum=parse_checksum(origin.checksum),
                    came=origin.came,
                    query=queries.get(origin.order or 0, ""),
                )
                found.append(one)
    if gone:
        session.say(f"note: {show_count(gone)} gone, changed or unchecked; 'pepsasync resume' fetches them again")
    return found
