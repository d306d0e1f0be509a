"""What a search found, for commands that look before they act: `search`, `plan`, `stage`, `fetch -n`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pepsasync.cli.lines import QUIET
from pepsasync.errors import IncompleteError

if TYPE_CHECKING:
    from pepsasync.cli.session import Session
    from pepsasync.cli.tally import Tally
    from pepsasync.client import Client
    from pepsasync.model import Product, Query


@dataclass(frozen=True, slots=True)
class Found:
    """Products, and whether they are all."""

    products: list[Product]
    is_complete: bool
    """False when a name is unknown, a record cannot be read, or fewer results came than were announced; it was told."""

    @property
    def exit_code(self) -> int:
        """1 when something is missing."""
        return 0 if self.is_complete else 1


async def look_for(client: Client, wanted: Query, session: Session, tally: Tally) -> Found:
    """Return what matches, and tell what is missing.

    Args:
        client: Of the archive.
        wanted: What to look for.
        session: Speaks with the user.
        tally: Counts the events of the client.

    Raises:
        PepsasyncError: The archive did not answer as it should, or cannot answer such a query.
    """
    products: list[Product] = []
    is_complete = True
    try:
        async with contextlib.aclosing(client.search(wanted)) as found:
            async for product in found:
                products.append(product)  # noqa: PERF401 - what came before an error counts
    except IncompleteError as error:
        session.say(f"error: {error}", level=QUIET)
        is_complete = False
    if len(products) != wanted.limit:
        for name in sorted({*wanted.names} - {product.name for product in products}):
            session.say(f"not found: {name}", level=QUIET)
            is_complete = False
    return Found(products, is_complete and not tally.is_incomplete)
