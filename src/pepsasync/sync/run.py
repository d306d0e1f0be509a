"""An order carried out: look at the archive, bring what is new, take out what was replaced or withdrawn."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from pepsasync.errors import FATAL, ConfigError, DeliveryError, ProviderError
from pepsasync.events import (
    ProductDelivered,
    ProductFailed,
    ProductMoved,
    ProductRemoved,
    ProductSkipped,
    SearchFellShort,
)
from pepsasync.folder.journal import JournalReader
from pepsasync.folder.layout import Folder
from pepsasync.folder.names import safe_name
from pepsasync.model import Product, Query, several
from pepsasync.paths import in_home
from pepsasync.query.missions import NEUTRAL
from pepsasync.query.saved import wanted_as_json
from pepsasync.sync.changes import Changes, decide, next_marker
from pepsasync.sync.memory import Memory, read_memory, rename_memory, write_memory
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

_UNDATED = datetime.max.replace(tzinfo=UTC)
"""Publication of what another archive has dated: nothing counts as newer by its date alone."""

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
    _unread: set[str] = field(default_factory=set)
    """Names and ids of what the archive lists with records that cannot be read."""
    _untold: set[str] = field(default_factory=set)
    """Names of products of which the archive cannot tell whether it has them."""

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
        newer = {new: old for old, new in self.memory.replaced.items() if with_replaced and old in self._here}
        names = [*missing, *newer]
        is_known = all(product.provider for product in here)  # else the journal was lost, and dates with it
        is_complete |= self.memory.marker is None or len(names) > MOST_NAMES or not is_known
        is_complete |= bool(self.query.per)  # the best of a day or tile is known only among all
        self._listed = [product async for product in self._search(self._narrowed(is_complete=is_complete))]
        is_complete &= self.trouble is None and not self._fell_short
        shown = {product.name: product for product in self._listed}
        if not is_complete:
            unknown = {name: missing.get(name) or self._products.get(newer.get(name, "")) for name in names}
            shown |= await self._look_up({name: known for name, known in unknown.items() if name not in shown})
        held = [self._as_dated_here(product, is_same_archive=is_same_archive) for product in here]
        shown = {product.name: product for product in held if self._is_unread(product)} | shown
        self._untold |= {name for name, known in missing.items() if name in self._unread or self._is_unread(known)}
        compare = partial(decide, held, shown.values(), is_complete=is_complete)
        self.changes = await to_thread.run_sync(compare)  # of a large order it takes seconds
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
            self.memory.names &= self._here | self._untold
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
        has_missed = bool(self._unread - _words_of(self._products.values()))
        if self.trouble is None and not self._fell_short and not has_missed:
            undelivered = self._wanted - self._here
            self.memory.marker = next_marker(self.memory.marker, self._listed, undelivered)
        await self._remember()

    async def _search(self, query: Query) -> AsyncIterator[Product]:
        """Products that match, as far as the archive tells; records that cannot be read are noted."""
        with self.client.listen(self._note_unread):
            try:
                async for product in self.client.search(query):
                    yield product
            except FATAL:
                raise
            except ProviderError as error:
                self.trouble = error

    def _note_unread(self, event: Event) -> None:
        if isinstance(event, ProductFailed):
            self._unread |= {event.name, event.id}

    def _is_unread(self, product: Product | None) -> bool:
        """Whether the archive lists a product, with a record that cannot be read."""
        return product is not None and not self._unread.isdisjoint((product.name, product.id))

    async def _look_up(self, known: Mapping[str, Product | None]) -> dict[str, Product]:
        """What the archive has under some names; those that it cannot be asked for are noted.

        Args:
            known: By name, a product that tells the collection.
        """
        by_collection = defaultdict[str | None, list[str]](list)
        for name, product in known.items():
            places = [place for place in self._collections(product) if self._can_ask(name, place)]
            if not places:
                self._untold.add(name)
            for place in places:
                by_collection[place].append(name)
        return {
            product.name: product
            for collection, names in by_collection.items()
            async for product in self._search(Query(names=tuple(names), collection=collection))
        }

    def _collections(self, product: Product | None) -> tuple[str | None, ...]:
        """Where to ask for a product: in its collection, or else where its name leads and in those of the order."""
        if product and product.provider == self.client.provider.name and product.collection not in ("", "unknown"):
            return (product.collection,)
        return (None, *(each for each in several(self.query.collection) if each not in NEUTRAL))

    def _can_ask(self, name: str, collection: str | None) -> bool:
        try:
            return bool(self.client.provider.slices(Query(names=(name,), collection=collection)))
        except ConfigError:
            return False

    def _as_dated_here(self, product: Product, *, is_same_archive: bool) -> Product:
        """A product without the date that another archive gave it: archives publish the same at different times."""
        if is_same_archive and product.provider in ("", self.client.provider.name):
            return product
        return replace(product, published=_UNDATED)

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
        """Look up by name what seems to be gone: it may only not match any more.

        A record that cannot be read and that no name tells may be of any of them.
        """
        if not shown:
            self.notices.append(_SHOWS_NOTHING.format(len(self.changes.gone)))
            self.changes = replace(self.changes, gone=())
            return
        known = {name: self._products[name] for name in self.changes.gone}
        before, self._unread = self._unread, set()
        found = {*await self._look_up(known), *self._untold}
        found |= {name for name, product in known.items() if self._is_unread(product)}
        is_unsure = self.trouble is not None or bool(self._unread - _words_of(known.values()))
        self._unread |= before
        gone = () if is_unsure else tuple(name for name in self.changes.gone if name not in found)
        self.changes = replace(self.changes, gone=gone)

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
    former_name: str = "",
    look_back: timedelta = LOOK_BACK,
    selection: Selection | None = None,
) -> AsyncIterator[Sync]:
    """Be the one program that works in a folder, with what an order remembers, while the block lasts.

    Args:
        client: Open.
        query: What the folder shall hold.
        directory: Which folder.
        name: Of the order: several may be in one folder.
        former_name: Under which it remembered before it had this name; empty for none.
        look_back: See `LOOK_BACK`.
        selection: Members that are wanted of each product; None for all.

    Raises:
        JournalBusyError: Another program works in the folder.
        ConfigError: The query has a limit; or the folder cannot be used.
        DiskFullError: There is no room at all.
    """
    check_query(query)
    async with client.hold(directory) as (folder, emit):
        if former_name:
            await to_thread.run_sync(rename_memory, memory_path(folder, former_name), memory_path(folder, name))
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
    former_name: str = "",
    selection: Selection | None = None,
) -> Sync:
    """Look at everything that the archive shows, and change nothing, here or in what the order remembers.

    Raises:
        ConfigError, ProviderError: As `Sync.look`; what it saw of a search that broke off is no plan.
    """
    check_query(query)
    folder = Folder(in_home(directory, "directory"))
    memory = await to_thread.run_sync(_recall, folder, name, former_name)
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


def _recall(folder: Folder, name: str, former_name: str) -> Memory:
    path = memory_path(folder, name)
    return read_memory(memory_path(folder, former_name) if former_name and not path.exists() else path)


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


def _words_of(products: Iterable[Product]) -> set[str]:
    """Names and ids: records that cannot be read are told by either."""
    return {word for product in products for word in (product.name, product.id)}


def _products_here(
    folder: Folder, memory: Memory, selection: Selection | None
) -> tuple[list[Product], dict[str, Product | None]]:
    """Products of an order that stand in its folder, and by name those that do not, as the journal knows them."""
    here, missing = list[Product](), dict[str, Product | None]()
    with contextlib.ExitStack() as closing:
        reader = None
        with contextlib.suppress(ConfigError):
            reader = closing.enter_context(JournalReader(folder.directory))
        for name in sorted(memory.names):
            row = reader.product(name) if reader else None
            if name not in memory.moved and not (stands(name, folder) and holds(name, folder, selection)):
                missing[name] = row.product if row else None
            elif row and row.product:
                here.append(row.product)
            else:
                here.append(Product(id=name, name=name, provider="", collection="", download_url=""))
    return here, missing
