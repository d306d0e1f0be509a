"""The async front door: `Client` owns the connection pool and runs the pipeline."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, Self

import anyio
from anyio import from_thread, to_thread

from pepsasync.archives import open_archives, run_options
from pepsasync.arguments import as_folder, as_products, as_query, as_wanted
from pepsasync.engine.search import PAGES_AHEAD, search
from pepsasync.errors import NotFoundError
from pepsasync.events import DownloadProgressed, Event, Noticed
from pepsasync.folder.layout import Folder
from pepsasync.folder.space import Space
from pepsasync.groups import Background, Flattened, poster, task_group
from pepsasync.http.client import Http
from pepsasync.http.errors import safe_url
from pepsasync.limits.throttle import Throttle
from pepsasync.model import Product
from pepsasync.providers import public_url
from pepsasync.query.members import build_selection
from pepsasync.query.product_names import bare_name
from pepsasync.query.saved import wanted_as_json
from pepsasync.settings import read_settings
from pepsasync.text import reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from anyio.abc import TaskGroup, TaskStatus
    from anyio.from_thread import BlockingPortal
    from anyio.streams.memory import MemoryObjectSendStream

    from pepsasync.arguments import Given
    from pepsasync.config import Config
    from pepsasync.credentials import Credentials
    from pepsasync.engine.check import Finding
    from pepsasync.engine.recorder import Journals
    from pepsasync.events import Emit
    from pepsasync.http.recording import Recording
    from pepsasync.model import Attribute, Delivery, Member, Query, Quicklook, Quota, StorageTier
    from pepsasync.providers.base import Provider, StagingReply
    from pepsasync.transfer.executor import Cluster

OUTCOMES_AHEAD = 64
"""Outcomes that wait for the consumer of `fetch` before finished products wait for it."""

EVENTS_AHEAD = 1_000
"""Events that wait for the consumer of `events` before download progress is dropped for it."""


class Client:
    """Finds products in an archive and brings them to disk, complete and verified.

    An async context manager; runs on asyncio and on trio.

    Args:
        provider: `geodes`, `cdse` or `peps`; None takes `PEPSASYNC_PROVIDER`, else the config file's, else the default.
            Several, `geodes,cdse` or a list: the first is searched, and each product is taken from whichever has it.
        credentials: None looks for them in the environment, the keyring or what `login` kept, `~/.netrc` and the config
            file. With several providers a mapping by name.
        config: How to work; None for what the config file says.
        base_url: Root of another instance; plain http to loopback only. With several providers a mapping by name.
        ask_code: Returns the code of a second factor, when an archive wants one; None for programs without a user.

    Raises:
        ConfigError: There is no such provider, or a setting is wrong.
    """

    def __init__(
        self,
        provider: str | Sequence[str] | None = None,
        *,
        credentials: Credentials | Mapping[str, Credentials] | None = None,
        config: Config | None = None,
        base_url: str | Mapping[str, str] | None = None,
        ask_code: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        settings = read_settings(os.environ)
        names = settings.choose_all(provider or os.environ.get("PEPSASYNC_PROVIDER"))
        self._config = config or settings.config()
        rate, shard = self._config.limit_rate, self._config.shard
        self._throttle = Throttle(max(1, shard.share(rate)) if rate and shard else rate)
        self._http = Http(self._config)
        self._listeners: list[Callable[[Event], None]] = []
        self._stack = contextlib.AsyncExitStack()
        self._running: TaskGroup | None = None
        self._portal: BlockingPortal | None = None
        self._was_opened = False
        self._archives = open_archives(
            names,
            settings,
            self._config,
            self._http,
            self._emit,
            self._throttle,
            credentials=credentials,
            base_url=base_url,
            ask_code=ask_code,
        )
        self.provider: Provider = self._archives[0].provider
        """The archive that is searched."""

    def __repr__(self) -> str:
        state = "open" if self._running else "closed" if self._was_opened else "not opened yet"
        return f"<pepsasync.Client of {', '.join(archive.name for archive in self._archives)}, {state}>"

    def __enter__(self) -> NoReturn:
        raise RuntimeError("write 'async with Client(...) as client:', not 'with'")

    def __exit__(self, *exc: object) -> None:
        """Never reached; without it Python would not come to `__enter__`."""

    async def __aenter__(self) -> Self:
        if self._was_opened:
            raise RuntimeError("this client was opened before: make another one, 'async with Client(...) as client:'")
        self._was_opened = True
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._http)
            for archive in self._archives:
                if archive.gate.shared:
                    await stack.enter_async_context(archive.gate.shared.running())
            self._running = await stack.enter_async_context(task_group())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        self._tasks.cancel_scope.cancel()
        self._running = None
        return await self._stack.__aexit__(*exc)  # type: ignore[arg-type]

    @property
    def _tasks(self) -> TaskGroup:
        if self._running is None:
            raise RuntimeError("use the client inside 'async with Client(...) as client:'")
        return self._running

    def _check_open(self) -> None:
        """Raises RuntimeError outside of `async with`."""
        _ = self._tasks

    @functools.cached_property
    def _journals(self) -> Journals:
        from pepsasync.engine.recorder import Journals  # noqa: PLC0415 - whoever only searches need not wait for it

        return Journals(self._emit)

    @property
    def quota(self) -> Quota | None:
        """Products that the account may have in a window of time, as given or published.

        None where that is no limit for all together: with several archives each has its own.
        """
        return self._archives[0].gate.quota.quota if len(self._archives) == 1 else None

    @property
    def root(self) -> str:
        """URL of the archive that is searched, without account and query."""
        return safe_url(self._archives[0].root or public_url(self.provider.name))

    def search(self, query: Query | Mapping[str, Any] | None = None, /, **criteria: object) -> Flattened[Product]:
        """Loop over products that match, newest acquisition first, each once.

        Args:
            query: What to look for, also as a mapping of criteria; or the same as keyword criteria.
            **criteria: `collection`, `product`, `start`, `end`, `tile`, `location`, `bbox`, ...; see
                `pepsasync.query.criteria.build_query`.

        Raises:
            ConfigError: A criterion makes no sense, or the archive cannot answer it.
            ProviderError: The archive did not answer as it should.
        """
        wanted = as_query(query, criteria)

        async def work(pages: MemoryObjectSendStream[list[Product]]) -> None:
            async with search(wanted, self.provider, self._emit) as found:
                async for page in found:
                    await pages.send(page)

        return Flattened(Background(self._tasks, work, PAGES_AHEAD))

    async def attributes(self, collection: str | None = None) -> dict[str, Attribute]:
        """Return what products can be searched by with `property`, by the names that the archive has.

        Args:
            collection: `S1`, `S2`, ..., or the archive's own name; None for all together.

        Returns:
            Nothing when the archive does not tell. Of several archives the first is asked.

        Raises:
            ProviderError: The archive did not answer as it should.
        """
        self._check_open()
        return dict(await self.provider.attributes(collection))

    async def stage(self, product: Product) -> StagingReply:
        """Ask the archive to bring a product from tape; asking again is harmless.

        Raises:
            ProviderError: The product cannot be had, or the archive does not answer.
        """
        if not isinstance(product, Product):
            raise TypeError(f"stage() takes a product from a search, not {product!r}")
        self._check_open()
        return await self._archives[0].request_staging(product)

    async def tiers(self, products: Product | Iterable[Product]) -> dict[str, StorageTier]:
        """Ask where products are now, many with one request.

        Returns:
            Storage tier by product id.

        Raises:
            ProviderError: The archive did not answer as it should.
        """
        self._check_open()
        everything, batch = as_products(products, "tiers"), self.provider.limits.poll_batch
        tiers: dict[str, StorageTier] = {}
        for first in range(0, len(everything), batch):
            tiers |= await self.provider.tiers(everything[first : first + batch])
        return tiers

    def wait_online(self, products: Product | Iterable[Product]) -> Background[Product]:
        """Stage products and loop over them as they come online; one that fails is a `ProductFailed` event.

        Raises:
            AuthError, UnreachableError: No product can be staged.
        """
        from pepsasync.engine.fetch import bring_all_online  # noqa: PLC0415 - as for journals
        from pepsasync.engine.one_archive import OneArchive  # noqa: PLC0415
        from pepsasync.engine.order import Order  # noqa: PLC0415
        from pepsasync.transfer.destination import IntoFolder  # noqa: PLC0415

        wanted = list({product.id: product for product in as_products(products, "wait_online")}.values())

        async def work(online: MemoryObjectSendStream[Product]) -> None:
            archive = self._archives[0]
            folder = Folder(Path())
            order = Order(folder, IntoFolder(folder), self._config, self._emit, source=archive.name)
            await bring_all_online(wanted, online, OneArchive(archive, order), order)

        return Background(self._tasks, work, OUTCOMES_AHEAD)

    def quicklooks(
        self, products: Product | Iterable[Product], directory: str | os.PathLike[str] = "."
    ) -> Background[Quicklook]:
        """Bring the pictures that the archive shows of products, and loop over the outcomes as they are known.

        What is no picture by its first bytes is not written; pictures that are here are not fetched again.

        Args:
            products: From a search.
            directory: Folder for them, made when it does not exist: `DIRECTORY/NAME.jpg`; `~` is the home folder.

        Raises:
            ConfigError, DiskFullError: The folder cannot be written.

        Cancellation, or leaving the loop early, leaves whole pictures only.
        """
        from pepsasync.transfer.quicklooks import bring_quicklooks  # noqa: PLC0415 - as for journals

        wanted, path = as_products(products, "quicklooks"), as_folder(directory)
        is_local = self.root.startswith("http://")

        async def work(done: MemoryObjectSendStream[Quicklook]) -> None:
            await bring_quicklooks(wanted, path, self._http, done, is_local=is_local)

        return Background(self._tasks, work, OUTCOMES_AHEAD)

    async def download(
        self,
        product: Product | str,
        directory: str | os.PathLike[str] = ".",
        *,
        extract: bool = False,
        include: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        bands: str | Iterable[str] | None = None,
    ) -> Path:
        """Bring one product to disk: stage, wait, resume, verify.

        Args:
            product: From a search, or a product's name.
            directory: Folder to put it in, made when it does not exist; `~` is the home folder.
            extract: Unpack the zip, tar or gzip and remove it.
            include: Bring only some members, see `fetch`.
            exclude: The same, without these.
            bands: The same, by band.

        Returns:
            `DIRECTORY/NAME.zip`, or `DIRECTORY/NAME.SAFE`.

        Raises:
            PepsasyncError: What went wrong; calling again goes on from there.

        Cancellation: everything received is kept and resumable.
        """
        if not isinstance(product, Product | str):
            raise TypeError(f"download() takes one product or its name, not {product!r}: fetch() takes several")
        found = self.fetch(
            product, as_folder(directory), extract=extract, include=include, exclude=exclude, bands=bands
        )
        async with contextlib.aclosing(found):  # else the error, which knows this frame, would keep it open
            async for delivery in found:
                if delivery.error is not None:
                    raise delivery.error
                if delivery.path is not None:
                    return delivery.path
        raise NotFoundError("the archive has no such product", product=str(product))

    def fetch(
        self,
        wanted: Given,
        directory: str | os.PathLike[str] = ".",
        *,
        extract: bool = False,
        include: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        bands: str | Iterable[str] | None = None,
        on_delivered: Callable[[Delivery], Awaitable[None]] | None = None,
        found_by: Query | None = None,
        executor: Cluster | None = None,
        state: str | os.PathLike[str] | None = None,
        endpoint_url: str | None = None,
    ) -> Background[Delivery]:
        """Bring many products to disk and loop over the outcomes, each as soon as it is known.

        A loop that falls behind holds up the run: few outcomes wait for it, and then `Config.in_flight` products.

        Args:
            wanted: A query, or criteria as a mapping; a product, or a product's name; products, names and queries, in
                any collection or iterator; a table of pandas or geopandas with a column `name`.
            directory: Folder to put them in, made when it does not exist; `~` is the home folder. Or a bucket as text,
                `s3://BUCKET/PREFIX`: whole products go there, with nothing of them on the disk; extra `s3`.
            extract: Unpack each zip, tar or gzip and remove it.
            include: Bring only members of products that match one of these patterns, such as `*.xml`, into a folder
                `NAME.SAFE` that is noted to be partial. A pattern without `/` is compared with the name of the file,
                others with its path in the folder of the product.
            exclude: Do not bring members that match one of these patterns.
            bands: Bring the members of these bands, with the metadata that is needed to read them: `B02`, `B02_10m`,
                `SCL`; `VV`; `Oa08`; several with commas or as a list.
            on_delivered: Awaited for each product that this run brought, a few at once. What it raises becomes a
                `HookFailed` event: the product stays delivered.
            found_by: The query that products were found by, for their provenance.
            executor: Who downloads and verifies: `pepsasync.cluster.Dask(...)`; None for this process. All limits are
                kept here, for all workers together.
            state: Folder for the journal of an order into a bucket; None for one of its own in the user's state folder.
            endpoint_url: Of the store of the bucket; None for what every S3 tool finds.

        Raises:
            TypeError: `wanted` or `executor` is something else.
            ConfigError, AuthError, UnreachableError, DiskFullError, DestinationError: The run cannot go on; the same
                call resumes it.
            ProviderError: The search failed, for more than some names; what it had found was brought.

        Cancellation, or leaving the loop early: everything under way stops and is resumable.
        """
        from pepsasync.engine.fetch import fetch  # noqa: PLC0415 - as for journals
        from pepsasync.engine.order import Order  # noqa: PLC0415
        from pepsasync.engine.several_archives import sources_of  # noqa: PLC0415
        from pepsasync.target import as_target  # noqa: PLC0415
        from pepsasync.transfer.executor import Here  # noqa: PLC0415

        products, target = as_wanted(wanted), as_target(directory, state, endpoint_url)
        selection, path = build_selection(include, exclude, bands), target.folder
        target.check(extract=extract, selection=selection)
        if executor is not None:
            if not hasattr(executor, "working"):
                raise TypeError(f"executor is a cluster, such as pepsasync.cluster.Dask('local:4'), not {executor!r}")
            target.refuse("a Dask cluster")

        async def work(outcomes: MemoryObjectSendStream[Delivery]) -> None:
            store = await target.open_store()
            space = None if on_delivered or store else Space(path)  # a hook may move files away
            folder = Folder(path, self._teller(), space=space)
            await to_thread.run_sync(folder.open)
            names = [archive.name for archive in self._archives]
            options = run_options(self._archives, self._config, extract=extract, selection=selection)
            if found_by is not None:
                options["found_by"] = wanted_as_json(found_by)
            async with (
                self._journals.recorder(folder.directory, names, options) as recorder,
                contextlib.AsyncExitStack() as stack,
            ):
                owned = recorder.owned(folder)
                working = executor.working(owned, recorder.owner, recorder.take) if executor else None
                order = Order(
                    owned,
                    target.destination(owned, store),
                    self._config,
                    recorder.take,
                    source=names[0],
                    extract=extract,
                    selection=selection,
                    on_delivered=on_delivered,
                    asked_before=await recorder.asked_before(),
                    in_progress=recorder.in_progress,
                    executor=await stack.enter_async_context(working) if working else Here(),
                )
                sources = sources_of([await recorder.recorded(archive) for archive in self._archives], order)
                with self.listen(recorder.note_quota):
                    await fetch(products, self.provider, sources, order, recorder, outcomes.clone())

        return Background(self._tasks, work, OUTCOMES_AHEAD)

    async def members(self, product: Product | str) -> list[Member]:
        """List the files of a product that is online, without downloading it.

        Where downloads are counted (a quota), this counts as one.

        Args:
            product: From a search, or a product's name.

        Raises:
            NotFoundError: The archive has no such product.
            OfflineError: It is on tape; stage it before.
            ProviderError: The archive serves no parts of this product, or does not answer as it should.
        """
        from pepsasync.members.open_member import list_members  # noqa: PLC0415 - as for journals

        self._check_open()
        return await list_members(await self._find(product), self._archives[0])

    async def open(self, product: Product | str, member: str | None = None) -> BinaryIO:
        """Open a file of a product that is online, to be read from a worker thread without downloading the product.

        The file can be read and searched by whatever takes a binary file: `zipfile`, `rasterio`, `xarray`, `json`.
        What is read comes by requests for ranges, of at least 1 MiB, and is kept in memory up to 32 MiB. A member
        that is compressed in the zip comes whole when it is first read, and is compared with its CRC; of others only
        what is read comes, and nothing is compared. Each request passes the limits of the archive: it waits for a slot
        and for pauses, and counts where downloads are counted.

        Args:
            product: From a search, or a product's name.
            member: Its path in the folder of the product, as `members` lists it; None for the zip itself.

        Returns:
            A binary file. Its methods block: call them in a thread (`anyio.to_thread.run_sync`, `asyncio.to_thread`),
            never on the event loop. It can be read as long as the client is open.

        Raises:
            NotFoundError: There is no such product or member.
            OfflineError: The product is on tape; stage it before.
            ProviderError: The archive serves no parts of this product, or does not answer as it should.
        """
        from pepsasync.members.open_member import open_member  # noqa: PLC0415 - as for journals

        self._check_open()
        return await open_member(await self._find(product), member, self._archives[0], await self._blocking_portal())

    async def _find(self, product: Product | str) -> Product:
        """A product by its name.

        Raises:
            NotFoundError: The archive has none.
        """
        if isinstance(product, Product):
            return product
        if not isinstance(product, str):
            raise TypeError(f"a product from a search, or its name, not {product!r}")
        async for found in self.search(id=bare_name(product)):
            return found
        raise NotFoundError("the archive has no such product", product=product)

    async def _blocking_portal(self) -> BlockingPortal:
        """What lets threads call into the event loop of this client, as long as it is open."""
        if self._portal is None:
            self._portal = await self._tasks.start(_serve_portal)
        return self._portal

    @contextlib.asynccontextmanager
    async def hold(self, directory: str | os.PathLike[str]) -> AsyncIterator[tuple[Folder, Emit]]:
        """Be the one program that works in a folder, as long as the block lasts; `fetch` works in it meanwhile.

        Yields:
            The folder, in which nothing is changed once another program has it, and what notes events in its journal.

        Raises:
            JournalBusyError: Another program works in this folder.
            ConfigError, DiskFullError: It cannot be written.
        """
        folder = Folder(as_folder(directory), self._teller())
        await to_thread.run_sync(folder.open)
        names = [archive.name for archive in self._archives]
        async with self._journals.recorder(folder.directory, names, {}) as recorder:
            yield recorder.owned(folder), recorder.take

    def events(self) -> Background[Event]:
        """Loop over everything that happens from the first step of the loop on; it ends with the client.

        A slow consumer misses download progress, never a change of state.
        """

        async def work(events: MemoryObjectSendStream[Event]) -> None:
            def take(event: Event) -> None:
                is_late = events.statistics().current_buffer_used >= EVENTS_AHEAD
                if not (is_late and isinstance(event, DownloadProgressed)):
                    with contextlib.suppress(anyio.BrokenResourceError):  # the loop was left just now
                        events.send_nowait(event)

            with self.listen(take):
                await anyio.sleep_forever()

        return Background(self._tasks, work, math.inf)

    @contextlib.contextmanager
    def listen(self, listener: Callable[[Event], None]) -> Iterator[None]:
        """Call a function with every event, on the event loop; it must not wait.

        One that raises is not called again; what it raised is told as a `Noticed` event.
        """
        self._listeners.append(listener)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):  # it has raised
                self._listeners.remove(listener)

    def check(self) -> Background[Finding]:
        """Look at everything that a fetch from the archive needs, and loop over what was found, step by step.

        The last step asks for the first kilobyte of one product, which may count as one download of the quota. With
        several archives the first is looked at.

        Cancellation leaves nothing behind.
        """
        from pepsasync.engine.check import check  # noqa: PLC0415 - hardly ever

        async def work(findings: MemoryObjectSendStream[Finding]) -> None:
            async for finding in check(self._archives[0], self.root):
                await findings.send(finding)

        return Background(self._tasks, work, OUTCOMES_AHEAD)

    @contextlib.contextmanager
    def recorded(self) -> Iterator[Recording]:
        """Keep what is asked and answered while the block lasts; `Recording.as_json()` shows it without secrets."""
        with self._http.recorded() as recording:
            yield recording

    @contextlib.contextmanager
    def raw_replies(self, listener: Callable[[str, bytes], None]) -> Iterator[None]:
        """Call a function with URL and body of each search reply, as the archive sent it.

        One that raises is not called again; what it raised is told as a `Noticed` event.
        """

        def take(url: str, body: bytes) -> None:
            try:
                listener(url, body)
            except (Exception, anyio.get_cancelled_exc_class()) as error:  # noqa: BLE001 - it is the user's code
                self._http.on_search_reply = None
                self._emit(Noticed(message=f"the reply listener failed and was removed: {reason(error)}"))

        self._http.on_search_reply = take
        try:
            yield
        finally:
            self._http.on_search_reply = None

    def _emit(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except (Exception, anyio.get_cancelled_exc_class()) as error:  # noqa: BLE001 - it is the user's code
                with contextlib.suppress(ValueError):  # it was removed meanwhile
                    self._listeners.remove(listener)
                self._emit(Noticed(message=f"a listener failed and was removed: {reason(error)}"))

    def _teller(self) -> Callable[[str], None]:
        """What tells the user something, from any thread, while this event loop runs."""
        post = poster()

        def tell(text: str) -> None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                post(lambda: self._emit(Noticed(message=text)))

        return tell


async def _serve_portal(*, task_status: TaskStatus[BlockingPortal]) -> None:
    """Let threads call into this event loop, until cancelled."""
    async with from_thread.BlockingPortal() as portal:
        task_status.started(portal)
        await portal.sleep_until_stopped()
