"""Asking for tape without downloading: `stage`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

from pepsasync.cli.options import DELIVERY, ArchiveOptions, OutputOptions, QueryOptions, StagingOptions, flatten
from pepsasync.cli.order import SaveOrder, save_order
from pepsasync.cli.search import look_for
from pepsasync.cli.session import Session
from pepsasync.display.output import QUIET, show, totals
from pepsasync.units import show_count

if TYPE_CHECKING:
    from pepsasync.client import Client
    from pepsasync.model import Product, Query


@flatten(without=("--wait",))
def stage(
    *,
    query: QueryOptions,
    archive: ArchiveOptions,
    staging: StagingOptions,
    output: OutputOptions,
    until_online: Annotated[
        bool, Option("--wait", rich_help_panel=DELIVERY, help="stay until everything is online")
    ] = False,
    order: SaveOrder = None,
) -> None:
    """Request staging only; download nothing.

    With --wait, the name of each product goes to standard output as soon as it is online.
    """
    query = query.settled(archive, output)
    if order:
        save_order(order, query, archive, staging)
    work = _Staging(Session(output), archive, staging)
    work.session.run(work.run, query.build(), until_online)
    raise Exit(1 if work.failed or not work.is_complete else 0)


@dataclass(slots=True)
class _Staging:
    session: Session
    archive: ArchiveOptions
    staging: StagingOptions
    asked: list[Product] = field(default_factory=list)
    by_hand: list[Product] = field(default_factory=list)
    """On tape, where programs cannot ask."""
    advice: str = ""
    is_complete: bool = True
    """Whether the search found all that it should."""
    online: int = 0
    failed: int = 0

    async def run(self, wanted: Query, until_online: bool) -> None:
        """Search, then stage everything that is not online, and wait when that is wanted."""
        async with self.archive.client(self.staging) as client:
            found = await look_for(client, wanted, self.session)
            products, self.is_complete = found.products, found.is_complete
            self.session.say(totals(products))
            if until_online:
                await self._wait(client, products)
            else:
                await self._ask(client, products)
        if products:
            self._say_end(until_online)

    async def _wait(self, client: Client, products: list[Product]) -> None:
        """Print each product as it comes online, those first that are."""
        waiting = self._sort_out(products, show_them=True)
        with self.session.watch(client) as view:
            async with contextlib.aclosing(client.wait_online(waiting)) as arrivals:
                async for product in arrivals:
                    self.online += 1
                    show(product.name)
            self.failed = view.counters.failed

    async def _ask(self, client: Client, products: list[Product]) -> None:
        """Send one request for each product that is not online; the client sends a few at a time."""
        from pepsasync.groups import task_group  # noqa: PLC0415 - not needed for help

        async with task_group() as requests:
            for product in self._sort_out(products, show_them=False):
                requests.start_soon(self._ask_one, client, product)

    async def _ask_one(self, client: Client, product: Product) -> None:
        from pepsasync.errors import FATAL, PepsasyncError  # noqa: PLC0415
        from pepsasync.providers.base import StagingOutcome  # noqa: PLC0415

        try:
            reply = await client.stage(product)
        except FATAL:
            raise
        except PepsasyncError as error:
            self.failed += 1
            self.session.say(f"failed {product.name}: {error}", level=QUIET)
            return
        match reply.outcome:
            case StagingOutcome.ONLINE:
                self.online += 1
            case StagingOutcome.QUOTA:
                self.failed += 1
                self.session.say(f"not now {product.name}: a quota of the archive is used up", level=QUIET)
            case StagingOutcome.BY_HAND:
                self.by_hand.append(product)
                self.advice = reply.advice
            case _:
                self.asked.append(product)

    def _sort_out(self, products: list[Product], *, show_them: bool) -> list[Product]:
        """Count what is online, return the rest."""
        online = [product for product in products if product.tier == "disk"]
        self.online += len(online)
        for product in online if show_them else ():
            show(product.name)
        return [product for product in products if product.tier != "disk"]

    def _say_end(self, is_waiting: bool) -> None:
        words = [f"online: {show_count(self.online)}"]
        if self.by_hand:
            for product in self.by_hand:
                show(product.name)
            words.append(f"on tape: {show_count(len(self.by_hand))}, listed above. {self.advice}")
        elif not is_waiting:
            words.append(f"staging requested: {show_count(len(self.asked))}")
        if self.failed:
            words.append(f"failed: {show_count(self.failed)}; run the same command again to ask once more")
        self.session.say("; ".join(words))
