"""An order carried out: look at the archive, bring what is new, take out what was replaced or withdrawn."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from pepsasync.errors import FATAL, ConfigError, DeliveryError, ProviderError
from pepsasync.events import ProductDelivered, ProductMoved, ProductRemoved, ProductSkipped, SearchFellShort
from pepsasync.folder.journal import JournalReader
from pepsasync.folder.layout import Folder
from pepsasync.folder.names import safe_name
from pepsasync.model import Product, Query
from pepsasync.paths import in_home
from pepsasync.query.saved import wanted_as_json
from pepsasync.sync.changes import Changes, decide, next_marker
from pepsasync.sync.memory import Memory, read_memory, write_memory
from pepsasync.transfer.existing import holds, stands

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from pepsasync.client import Client
    from pepsasync.events import Emit, Event
    from pepsasync.model import Delivery
    from pepsasync.query.members import Selection

LOOK_BACK = timedelta(days=3)
"""Time before the latest publication that is looked at again: archives publish late and out of order."""

MOST_NAMES = 200
"""Products that are looked up one by one; for more of them everything is looked at."""

_SHOWS_NOTHING = (
    "the archive lists nothing of this order, of which {} are here: they are kept, and not treated as withdrawn"
)


@dataclass(slots=True)
class Sync:
    """One time that an order is carried out; made by `opened`, or by `look_only` for a plan."""

    client: Client
    query: Query
    name: str
    """Of the order, under which it remembers."""
    folder: Folder
    memory: Memory
    look_back: timedelta = LOOK_BACK
    emit: Emit = lambda _: None
    """Gets what was taken out."""
    selection: Selection | None = None
    """Members that are wanted of each product; None for whole products."""
    changes: Changes = field(default_factory=Changes)
    removed: list[str] = field(default_factory=list)
    """Names of products that were taken out of the folder."""
    trouble: ProviderError | None = None
    """Why the search saw only a part; it is over for this time, and the next one looks again."""
    deliveries: list[Delivery] = field(default_factory=list)
    """What became of what was wanted."""
    notices: list[str] = field(default_factory=list)
    """What the user should know."""
    failures: int = 0
    """Products that should have been taken out and could not be."""
    _products: dict[str, Product] = field(default_factory=dict)
    _here: set[str] = field(default_factory=set)
    _listed: list[Product] = field(default_factory=list)
    _wanted: set[str] = field(default_factory=set)
    _fell_short: bool = False

    def take(self, event: Event) -> None:
        """Note what becomes of products, and whether a search saw everything."""
        match event:
            case ProductDelivered() | ProductSkipped():
                self._here.add(event.name)
            case ProductMoved():
                self.memory.moved.add(event.name)
            case SearchFellShort():
                self._fell_short = True

    async def look(self, *, is_complete: bool = False, with_replaced: bool = False) -> Changes:
        """Ask the archive, and compare with what is here.

        Args:
            is_complete: Look at everything, not only at what was published lately: tells what is gone.
            with_replaced: Look up newer processings that were told of before and not brought.

        Raises:
            ConfigError: The archive cannot answer such a query.
            AuthError, UnreachableError: It does not answer.
        """
        archive = {"provider": self.client.provider.name, "root": self.client.root}
        asked = {"query": wanted_as_json(self.query)} | archive
        # Orders of before the root was noted keep to the one that they meet first.
        before = {"root": self.client.root} | self.memory.wanted if isinstance(self.memory.wanted, dict) else {}
        is_same_archive = archive.items() <= before.items()
        if before != asked:
            self.memory.marker = None
        self.memory.wanted = asked
        here, missing = await to_thread.run_sync(_products_here, self.folder, self.memory, self.selection)
        self._products = {product.name: product for product in here}
        self._here = set(self._products)
        names = [*missing, *(new for old, new in self.memory.replaced.items() if with_replaced and old in self._here)]
        is_known = all(product.provider for product in here)  # else the journal was lost, and dates with it
        is_complete |= self.memory.marker is None or len(names) > MOST_NAMES or not is_known
        is_complete |= bool(self.query.per)  # the best of a day or tile is known only among all
        self._listed = [product async for product in self._search(self._narrowed(is_complete=is_complete))]
        is_complete &= self.trouble is None and not self._fell_short
        shown = {product.name: product for product in self._listed}
        if not is_complete and (unknown := [name for name in names if name not in shown]):
            shown |= {product.name: product async for product in self._search(Query(names=tuple(unknown)))}
        self.changes = decide(here, shown.values(), is_complete=is_complete)
        if not is_same_archive:
            self._leave_to_archive_before(shown)
        if self.changes.gone:
            await self._confirm_gone(shown)
        return self.changes

    def wanted(self, *, replaces: bool) -> list[Product]:
        """What is to be brought, each product once."""
        newer = [new for _, new in self.changes.replace] if replaces else []
        return list({product.name: product for product in [*self.changes.add, *newer]}.values())

    async def perform(
        self, bring: Callable[[list[Product]], Awaitable[None]], *, replaces: bool = False, prunes: bool = False
    ) -> None:
        """Look, bring, take out, note.

        Args:
            bring: Fetches products into the folder.
            replaces: Bring newer processings of what is here, and then set the older ones aside.
            prunes: Remove what the archive has withdrawn, and what was replaced.

        Raises:
            ProviderError: The search broke off; what it had found was brought, and the next time looks again.
            PepsasyncError: As `Client.fetch`.
        """
        await self.look(is_complete=prunes, with_replaced=replaces)
        wanted = self.wanted(replaces=replaces)
        await self.begin(wanted)
        if wanted:
            await bring(wanted)
        await self.settle(replaces=replaces, prunes=prunes)
        if self.trouble:
            raise self.trouble

    async def begin(self, wanted: Iterable[Product]) -> None:
        """Note on the disk what will be brought: from then on the order knows it, whatever ends the run."""
        self._wanted = {product.name for product in wanted}
        if self.trouble is None:  # else it is not known whether what is missing is still to be had
            self.memory.names &= self._here
        self.memory.names |= self._wanted
        self.memory.moved -= self._wanted
        await self._remember()

    async def settle(self, *, replaces: bool = False, prunes: bool = False) -> None:
        """Take out what was replaced or is gone, as far as that is allowed, and note how far the archive was followed.

        Args:
            replaces: Set products aside whose newer processing is here.
            prunes: Remove withdrawn products, and replaced ones instead of setting them aside.
        """
        for old, new in self.changes.replace:
            if replaces and new.name in self._here:
                await self._take_out(old, keep=not prunes)
            else:
                self.memory.replaced[old] = new.name
        for name in self.changes.gone if prunes else ():
            await self._take_out(name, keep=False)
        self.memory.replaced = {old: new for old, new in self.memory.replaced.items() if old in self._here}
        if self.trouble is None and not self._fell_short:
            undelivered = self._wanted - self._here
            self.memory.marker = next_marker(self.memory.marker, self._listed, undelivered)
        await self._remember()

    async def _search(self, query: Query) -> AsyncIterator[Product]:
        """Products that match, as far as the archive tells."""
        try:
            async for product in self.client.search(query):
                yield product
        except FATAL:
            raise
        except ProviderError as error:
            self.trouble = error

    def _narrowed(self, *, is_complete: bool) -> Query:
        """The query, for what was published lately."""
        if is_complete or self.memory.marker is None:
            return self.query
        since = self.memory.marker - self.look_back
        return replace(self.query, published_since=max(since, self.query.published_since or since))

    def _leave_to_archive_before(self, shown: Collection[str]) -> None:
        """Forget what only another archive has shown: this one cannot tell whether it is withdrawn."""
        self.memory.names &= {*shown, *(old for old, _ in self.changes.replace)}
        self.changes = replace(self.changes, gone=())

    async def _confirm_gone(self, shown: dict[str, Product]) -> None:
        """Look up by name what seems to be gone: it may only not match any more."""
        if not shown:
            self.notices.append(_SHOWS_NOTHING.format(len(self.changes.gone)))
            self.changes = replace(self.changes, gone=())
            return
        found = {product.name async for product in self._search(Query(names=self.changes.gone))}
        self.changes = replace(self.changes, gone=()) if self.trouble else self.changes.without_gone(found)

    async def _take_out(self, name: str, *, keep: bool) -> None:
        try:
            taken = await to_thread.run_sync(lambda: self.folder.take_out(name, keep=keep))
        except DeliveryError as error:
            self.failures += 1
            self.notices.append(str(error))
            return
        for path, aside in taken:
            self.emit(ProductRemoved(id=self._products[name].id, name=name, path=str(path), kept=str(aside or "")))
        self.removed.append(name)
        self._here.discard(name)
        self.memory.names.discard(name)
        self.memory.moved.discard(name)

    async def _remember(self) -> None:
        path = memory_path(self.folder, self.name)
        await to_thread.run_sync(write_memory, path, self.memory)


@contextlib.asynccontextmanager
async def opened(
    client: Client,
    query: Query,
    directory: str | os.PathLike[str],
    *,
    name: str = "sync",
    look_back: timedelta = LOOK_BACK,
    selection: Selection | None = None,
) -> AsyncIterator[Sync]:
    """Be the one program that works in a folder, with what an order remembers, while the block lasts.

    Args:
        client: Open.
        query: What the folder shall hold.
        directory: Which folder.
        name: Of the order: several may be in one folder.
        look_back: See `LOOK_BACK`.
        selection: Members that are wanted of each product; None for all.

    Raises:
        JournalBusyError: Another program works in the folder.
        ConfigError: The query has a limit; or the folder cannot be used.
        DiskFullError: There is no room at all.
    """
    check_query(query)
    async with client.hold(directory) as (folder, emit):
        memory = await to_thread.run_sync(read_memory, memory_path(folder, name))
        sync = Sync(client, query, name, folder, memory, look_back, emit, selection)
        with client.listen(sync.take):
            yield sync


async def look_only(
    client: Client,
    query: Query,
    directory: str | os.PathLike[str],
    *,
    name: str = "sync",
    selection: Selection | None = None,
) -> Sync:
    """Look at everything that the archive shows, and change nothing, here or in what the order remembers.

    Raises:
        ConfigError, ProviderError: As `Sync.look`; what it saw of a search that broke off is no plan.
    """
    check_query(query)
    folder = Folder(in_home(directory, "directory"))
    memory = await to_thread.run_sync(read_memory, memory_path(folder, name))
    sync = Sync(client, query, name, folder, memory, selection=selection)
    with client.listen(sync.take):
        await sync.look(is_complete=True)
    if sync.trouble:
        raise sync.trouble
    return sync


async def carry_out(
    client: Client,
    query: Query,
    directory: str | os.PathLike[str],
    *,
    name: str = "sync",
    look_back: timedelta = LOOK_BACK,
    replaces: bool = False,
    prunes: bool = False,
    extract: bool = False,
    selection: Selection | None = None,
    on_delivered: Callable[[Delivery], Awaitable[None]] | None = None,
) -> Sync:
    """Bring what is new since the last time; what became of it is in `Sync.deliveries`.

    Args:
        client: Open.
        query: What the folder shall hold.
        directory: Which folder.
        name: Of the order.
        look_back: See `LOOK_BACK`.
        replaces: Bring newer processings of what is here, and then set the older ones aside.
        prunes: Remove what the archive has withdrawn, and what was replaced.
        extract: As for `Client.fetch`.
        selection: Members that are wanted of each product; None for all.
        on_delivered: As for `Client.fetch`.

    Raises:
        PepsasyncError: As `Client.fetch`; the next time goes on.
    """
    some: Mapping[str, Any] = selection.as_dict() if selection else {}
    async with opened(client, query, directory, name=name, look_back=look_back, selection=selection) as sync:

        async def bring(wanted: list[Product]) -> None:
            async for delivery in client.fetch(
                wanted,
                directory,
                extract=extract,
                on_delivered=on_delivered,
                found_by=query,
                **some,
            ):
                sync.deliveries.append(delivery)

        await sync.perform(bring, replaces=replaces, prunes=prunes)
        return sync


def memory_path(folder: Folder, name: str) -> Path:
    """Where an order of a folder remembers."""
    return folder.state / "orders" / f"{safe_name(name)}.json"


def check_query(query: Query) -> None:
    """Refuse a query that no folder can follow.

    Raises:
        ConfigError: It has a limit, or depends on what is online.
    """
    if query.twins:
        what = "an order that is kept up to date cannot have twins: which of the two is online changes"
        raise ConfigError(what, hint="Leave out --twins")
    if query.limit is not None:
        raise ConfigError(
            "an order that is kept up to date cannot have a limit", hint="Leave out the limit, or narrow the query"
        )


def _products_here(folder: Folder, memory: Memory, selection: Selection | None) -> tuple[list[Product], list[str]]:
    """Products of an order that stand in its folder, as the journal knows them, and names of those that do not."""
    here, missing = list[Product](), list[str]()
    with contextlib.ExitStack() as closing:
        reader = None
        with contextlib.suppress(ConfigError):
            reader = closing.enter_context(JournalReader(folder.directory))
        for name in sorted(memory.names):
            row = reader.product(name) if reader else None
            if name not in memory.moved and not (stands(name, folder) and holds(name, folder, selection)):
                missing.append(name)
            elif row and row.product:
                here.append(row.product)
            else:
                here.append(Product(id=name, name=name, provider="", collection="", download_url=""))
    return here, missing
