"""Sends products to workers, one task for each attempt, and keeps what the archive allows while they are under way.

An attempt enters the gate here, as one of this process would: it has a slot, counts against the quota, and has a share
of the rate, until the worker says that all bytes are here, or has stopped. When a worker is lost, it may still be
sending: slot and share are held until its lease is over (`folder.leases`).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from pepsasync.cluster.connection import Ended
from pepsasync.cluster.errand import Errand, Sealed, event_from, ticket_for
from pepsasync.errors import ConfigError, PepsasyncError, TransferError, UnreachableError
from pepsasync.events import DownloadProgressed, DownloadStarted, Noticed, ProductDownloaded
from pepsasync.folder.leases import Leases
from pepsasync.http.client import put_credentials
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.download import keep_trying
from pepsasync.transfer.executor import Brought
from pepsasync.transfer.part import is_small

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from typing import Any, NoReturn

    import httpx

    from pepsasync.cluster.connection import Connection, News
    from pepsasync.cluster.errand import Outcome, Ticket
    from pepsasync.events import Emit
    from pepsasync.folder.journal import Owner
    from pepsasync.folder.layout import Folder
    from pepsasync.limits.quota import Permit
    from pepsasync.model import Product
    from pepsasync.transfer.context import ArchiveContext
    from pepsasync.transfer.destination import Destination

SILENT = 30.0
"""Seconds without news of a product that a worker has begun with after which the worker counts as lost."""

LOOK = 1.0
"""Seconds between two looks at the workers."""

GONE = 600.0
"""Seconds for which a cluster without scheduler or workers is waited for."""

LOSSES = 5
"""Workers that may be lost with one product: it may be the product that ends them."""

STOP = 5.0
"""Seconds that a cancelled run waits for its workers to stop."""


class WorkerLostError(TransferError):
    """The worker that had the product is gone; it is sent to another one."""


@dataclass(slots=True, eq=False)
class Task:
    """A product that was sent out."""

    token: str
    product: Product
    archive: ArchiveContext
    folder: Folder
    workers: frozenset[str]
    """That may take it."""
    last_news: float
    """When it was last heard of, on the clock of the event loop."""
    told: int = 0
    """Pieces of news that were passed on."""
    received: anyio.Event = field(default_factory=anyio.Event)
    """All bytes are here, or it has ended."""
    ended: anyio.Event = field(default_factory=anyio.Event)
    outcome: Outcome | None = None
    """None when its worker was lost."""

    def end(self, outcome: Outcome | None) -> None:
        """Note how it ended; only the first time counts."""
        if not self.ended.is_set():
            self.outcome = outcome
            self.received.set()
            self.ended.set()


@dataclass(slots=True)
class Journey:
    """What is known of a product over all of its attempts."""

    began: float
    furthest: int = 0
    present: int | None = None
    """Bytes that were here before the first one."""
    has_restarted: bool = False
    failed_ranges: int = 0
    brought: Brought | None = None

    def note(self, outcome: Outcome) -> None:
        """Take note of how an attempt ended."""
        self.furthest = max(self.furthest, outcome.received)
        self.present = outcome.present if self.present is None else self.present
        self.has_restarted |= outcome.has_restarted
        self.failed_ranges = outcome.failed_ranges


class OnWorkers:
    """Brings products on the workers of a cluster; see `pepsasync.transfer.executor.Executor`.

    Args:
        connection: Open.
        folder: That workers see, too; absolute.
        owner: Who holds the folder: this process.
        emit: Told what becomes of the cluster.
    """

    def __init__(self, connection: Connection, folder: Folder, owner: Owner, emit: Emit) -> None:
        self._connection = connection
        self._directory = folder.directory
        self._owner = owner
        self._emit = emit
        self._leases = Leases(folder)
        self._tasks: dict[str, Task] = {}
        self._places = anyio.CapacityLimiter(max(1, sum(connection.fit.values())))
        self._shares = _Shares()
        self._threads = anyio.CapacityLimiter(8)
        self._has_workers = anyio.Event()
        self._told_gone = False
        self._told_unfit: set[str] = set()

    async def bring(
        self,
        product: Product,
        archive: ArchiveContext,
        destination: Destination,
        verifiers: anyio.CapacityLimiter,  # noqa: ARG002 - workers have their own
    ) -> Brought:
        """See `Executor.bring`."""
        if not isinstance(destination, IntoFolder):
            raise ConfigError("workers of a cluster put products into a folder only", hint="Leave out --dask")
        folder, journey = destination.folder, Journey(anyio.current_time())
        attempts = archive.attempts(product, lambda: journey.furthest)
        for is_last in (False,) * (LOSSES - 1) + (True,):
            try:
                await keep_trying(lambda: self._attempt(product, archive, folder, journey), attempts, product, archive)
            except WorkerLostError as error:
                if found := await _found(product, destination):
                    journey.brought = found
                    break
                if is_last:
                    raise TransferError(
                        f"{LOSSES} workers were lost while they had it", product=product.name, hint=error.hint
                    ) from error
                archive.emit(Noticed(message=f"{product.name}: {error.message}; it is sent to another one"))
            else:
                break
        assert journey.brought is not None  # noqa: S101 - what has not raised has brought it
        resumed = 0 if journey.has_restarted else journey.present or 0
        brought = journey.brought._replace(resumed_bytes=resumed, attempts=attempts.count)
        archive.emit(
            ProductDownloaded(
                id=product.id,
                name=product.name,
                bytes=brought.bytes,
                seconds=anyio.current_time() - journey.began,
                resumed_bytes=resumed,
                data_path=brought.data_path,
            )
        )
        return brought

    async def _attempt(self, product: Product, archive: ArchiveContext, folder: Folder, journey: Journey) -> None:
        """Send a product to a worker once; as `transfer.download.fill_gaps`, and then the checks.

        Raises:
            WorkerLostError: Its worker is gone, and sends no more.
            PepsasyncError: Why it could not be brought.

        Cancellation: the worker has stopped, or has been told to.
        """
        async with contextlib.AsyncExitStack() as held:
            if not is_small(product) and await to_thread.run_sync(folder.has_complete_part, product):
                await held.enter_async_context(self._places)
                task = await self._send(product, archive, folder, journey, None, None, held)
                await self._until(task.ended, task)
                await self._see_it_end(task)
                self._judge(task, journey, None)
                return
            async with archive.gate.download(
                product.size or 0, product.id, wait=archive.waits_for_quota, counted=archive.counted
            ) as permit:
                # A worker is waited for with the slot: nobody else could use either.
                await held.enter_async_context(self._places)
                async with self._shares.taken(archive.throttle.rate, self._places_of(archive)) as rate:
                    with archive.foreign_hosts_fail_alone(product):
                        request = await archive.provider.download_request(product)
                        ticket = ticket_for(request)
                        _refuse_password(ticket, archive)
                        if archive.gate.shared:
                            archive.gate.shared.check()
                        task = await self._send(product, archive, folder, journey, ticket, rate, held)
                        await self._until(task.received, task)
                        if task.ended.is_set():
                            await self._see_it_end(task)
                            _count(task, permit)
                            self._judge(task, journey, request)
                            return
                        permit.begin()
                        permit.accept()
            await self._until(task.ended, task)
            await self._see_it_end(task)
            self._judge(task, journey, request)

    async def _send(
        self,
        product: Product,
        archive: ArchiveContext,
        folder: Folder,
        journey: Journey,
        ticket: Ticket | None,
        rate: int | None,
        held: contextlib.AsyncExitStack,
    ) -> Task:
        """Give a lease to whoever begins, and send the product out; `held` forgets it in the end."""
        await self._has_workers.wait()
        workers = frozenset(self._connection.fit)
        task = Task(secrets.token_hex(16), product, archive, folder, workers, anyio.current_time())
        errand = Errand(
            token=task.token,
            product=product,
            directory=self._directory,
            owner=self._owner,
            topic=self._connection.topic,
            provider=archive.name,
            root=archive.root,
            config=replace(
                archive.config, jobs=1, segments=1, quota=None, shard=None, limit_rate=None, share_limits=None
            ),
            rate=rate,
            ticket=ticket,
            serves_ranges=dict(archive.serves_ranges),
            has_sent=frozenset(archive.has_sent),
            failed_ranges=journey.failed_ranges,
        )
        self._tasks[task.token] = task
        held.callback(self._forget, task)
        await to_thread.run_sync(self._give_and_send, errand, workers, limiter=self._threads)
        return task

    def _places_of(self, archive: ArchiveContext) -> int:
        """Products of an archive that are under way at once, at most."""
        return min(int(self._places.total_tokens), archive.gate.slots.total)

    def _give_and_send(self, errand: Errand, workers: frozenset[str]) -> None:
        self._leases.give(errand.token, errand.product.name)
        self._connection.send(errand, Sealed(errand.product.name, errand), workers)

    def _forget(self, task: Task) -> None:
        del self._tasks[task.token]
        self._connection.forget(task.token)

    async def _until(self, event: anyio.Event, task: Task) -> None:
        """Wait for news of a task; when this is cancelled, its worker stops first."""
        try:
            await event.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._leases.recall([task.token], STOP)
            raise

    async def _see_it_end(self, task: Task) -> None:
        """Wait, when a worker was lost, until nobody works on the product; forget its lease."""
        outcome = task.outcome
        if outcome is not None and not outcome.was_begun_before:
            return  # whoever tells how it ended has given the lease back
        if self._connection.is_ours:
            await to_thread.run_sync(self._end_own_worker, task)
        await self._leases.recall([task.token])

    def _end_own_worker(self, task: Task) -> None:
        """A process of ours that stands still has to end: its connection would count at the archive."""
        worker = self._leases.worker(task.token)
        # The lease is a file, in which anybody may have written: only a child of this process is ended.
        for child in multiprocessing.active_children():
            if worker is not None and child.pid == worker.pid:
                child.kill()

    def _judge(self, task: Task, journey: Journey, request: httpx.Request | None) -> None:
        """Take note of how an attempt ended.

        Args:
            task: Ended.
            journey: Takes it up.
            request: That the ticket was made from; None when nothing was asked for.

        Raises:
            WorkerLostError: Its worker was lost.
            PepsasyncError: It was not brought.
        """
        outcome, archive, product = task.outcome, task.archive, task.product
        if outcome is None or outcome.was_begun_before or outcome.was_stopped:
            why = outcome.was_stopped if outcome else ""
            raise WorkerLostError(
                f"the worker stopped: {why}" if why else "its worker was lost",
                product=product.name,
                hint="Look at the log of the workers; run the same command again to go on",
            )
        journey.note(outcome)
        archive.serves_ranges.update(outcome.serves_ranges)
        archive.has_sent.update(outcome.has_sent)
        error = None
        if outcome.answer is not None:
            archive.http.was_reached = True
        if request is not None:
            error = _refusal_of_login(outcome, request, archive)
            if outcome.answer is not None:
                response = outcome.answer.as_response(ticket_for(request), archive.http)
                error = error or archive.provider.judge_download(product, response, outcome.answer.head)
        if outcome.error is not None:
            raise error or outcome.error
        if brought := outcome.brought:
            journey.brought = brought._replace(path=task.folder.directory / Path(brought.path).name)

    async def receive(self) -> NoReturn:
        """Take news and results of workers, until cancelled."""
        own = anyio.CapacityLimiter(1)
        while True:
            for item in await to_thread.run_sync(self._connection.receive, abandon_on_cancel=True, limiter=own):
                if task := self._tasks.get(item.token):
                    self._take(item, task)

    def _take(self, item: News | Ended, task: Task) -> None:
        task.last_news = anyio.current_time()
        if isinstance(item, Ended):
            if item.outcome is not None:
                _pass_on(item.outcome.news, 0, task, is_over=True)
            task.end(item.outcome)
            return
        _pass_on(item.message.get("events", ()), int(item.message.get("from", 0)), task)
        progress = event_from(item.message.get("progress") or {})
        if isinstance(progress, DownloadProgressed):
            task.archive.gate.backoff.served()
            task.archive.emit(progress)
            if task.folder.space and task.product.size:
                task.folder.space.shrink(task.product.name, max(0, task.product.size - progress.received))
        if item.message.get("is_received"):
            task.received.set()

    async def look_after(self) -> NoReturn:
        """Look at scheduler and workers now and then, until cancelled: who is new, who is lost.

        Raises:
            UnreachableError: None was there for too long.
        """
        gone_since: float | None = None
        while True:
            self._take_up_workers()
            now = anyio.current_time()
            gone_since = None if self._has_workers.is_set() else gone_since or now
            if gone_since is not None and now - gone_since > GONE:
                raise UnreachableError(
                    f"the Dask cluster had no workers for {GONE / 60:.0f} minutes",
                    hint="Look at its logs; run the same command again to go on",
                )
            await anyio.sleep(LOOK)
            if self._connection.is_lost:
                for task in self._tasks.values():
                    task.end(None)
                self._connection.fit = {}
            with anyio.move_on_after(SILENT):
                await to_thread.run_sync(self._reconnect_and_look, abandon_on_cancel=True, limiter=self._threads)
            await self._lose_silent_ones()

    def _reconnect_and_look(self) -> None:
        if not self._connection.is_lost or self._connection.reconnect():
            self._connection.look()

    def _take_up_workers(self) -> None:
        fit, unfit = self._connection.fit, self._connection.unfit
        self._places.total_tokens = max(1, sum(fit.values()))
        if fit and not self._has_workers.is_set():
            self._has_workers.set()
            if self._told_gone:
                self._emit(Noticed(message="the Dask cluster has workers again"))
        elif not fit and self._has_workers.is_set():
            self._has_workers, self._told_gone = anyio.Event(), True
            self._emit(Noticed(message="the Dask cluster has no workers, or its scheduler is gone; waiting for it"))
        for worker, why in unfit.items():
            if worker not in self._told_unfit:
                self._told_unfit.add(worker)
                self._emit(Noticed(message=f"the Dask worker {worker} is not used: {why}"))

    async def _lose_silent_ones(self) -> None:
        """Give up workers that are gone, and those that have begun and are not heard of any more."""
        now = anyio.current_time()
        for task in self._tasks.values():
            if not task.workers & self._connection.fit.keys():  # Dask would wait for them for ever
                task.end(None)
        silent = [task for task in self._tasks.values() if now - task.last_news > SILENT and not task.ended.is_set()]

        def have_begun() -> list[Task]:
            return [task for task in silent if self._leases.has_begun(task.token)]

        for task in await to_thread.run_sync(have_begun) if silent else []:
            task.end(None)


async def _found(product: Product, destination: Destination) -> Brought | None:
    """What a worker that was lost had brought before."""
    existing = await destination.find(product)
    return Brought(existing.path, existing.bytes, 0, "plain", 0) if existing.path else None


class _Shares:
    """Divides a rate among the products that are under way, so that all together never have more."""

    def __init__(self) -> None:
        self._given: list[int] = []
        self._given_back = anyio.Event()

    @contextlib.asynccontextmanager
    async def taken(self, rate: int | None, places: int) -> AsyncIterator[int | None]:
        """Have a share as long as the block lasts; waits while less than half of a fair one is left.

        Several archives, and workers that came later, make more places than were known when others got their share.

        Args:
            rate: Bytes a second of all together; None for no limit.
            places: Products under way at once, at most.
        """
        if rate is None:
            yield None
            return
        fair = max(1, rate // max(1, places))
        while self._given and 2 * (rate - sum(self._given)) < fair:
            await self._given_back.wait()
        share = max(1, (rate - sum(self._given)) // max(1, places - len(self._given)))
        self._given.append(share)
        try:
            yield share
        finally:
            self._given.remove(share)
            self._given_back.set()
            self._given_back = anyio.Event()


def _pass_on(news: Sequence[Mapping[str, Any]], first: int, task: Task, *, is_over: bool = False) -> None:
    """Emit pieces of news that are new."""
    for number, data in enumerate(news, first):
        if number >= task.told:
            task.told = number + 1
            event = event_from(data)
            # A beginning that comes together with the end would tell a wrong speed.
            if event and not (is_over and isinstance(event, DownloadStarted) and is_small(task.product)):
                task.archive.emit(event)


def _count(task: Task, permit: Permit) -> None:
    """Count a download as the archive has, as far as is known: rather once too often."""
    outcome = task.outcome
    if outcome is None or outcome.was_begun_before or outcome.was_stopped or outcome.is_answered:
        permit.begin()
    if outcome is not None and any(one["kind"] == DownloadStarted.__name__ for one in outcome.news):
        permit.accept()


def _refuse_password(ticket: Ticket, archive: ArchiveContext) -> None:
    if ticket.holds_password:
        raise ConfigError(
            f"{archive.name} wants the password with every download, and workers get no password",
            hint="Use another archive (--provider), or leave out --dask; --shard divides an order among machines",
        )


def _refusal_of_login(outcome: Outcome, request: httpx.Request, archive: ArchiveContext) -> PepsasyncError | None:
    """What the provider says to a redirect to its login, if there was one."""
    if outcome.sent_on_to is None:
        return None
    try:
        put_credentials(archive.http.build("GET", outcome.sent_on_to, extensions=request.extensions))
    except PepsasyncError as error:
        return error
    return None
