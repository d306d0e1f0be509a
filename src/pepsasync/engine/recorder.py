"""Writes what a run does to the journal as it happens, and reads what earlier runs left there."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import anyio
from anyio import to_thread

from pepsasync import events
from pepsasync.engine.order import InProgress
from pepsasync.folder.journal import Asked, State, open_journal
from pepsasync.folder.layout import Folder
from pepsasync.folder.leases import recall_all
from pepsasync.query.saved import wanted_as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from pepsasync.events import Emit
    from pepsasync.folder.journal import Journal, Owner
    from pepsasync.model import Product, Wanted
    from pepsasync.providers.base import StagingReply
    from pepsasync.transfer.context import ArchiveContext


SPEED_EVERY = 5.0
"""Seconds over which the speed is averaged."""

GUARD_EVERY = 1.0
"""Seconds between two checks that this program still owns the folder."""


class Recorder:
    """Notes one run in the journal of its folder.

    Args:
        journal: Of the folder.
        emit: Gets every event, after it was noted.
        providers: Names of the archives.
        options: What a later run must know to go on.
        in_progress: Shared by all runs into the folder.
        wall: Seconds since 1970.
    """

    def __init__(
        self,
        journal: Journal,
        emit: Emit,
        providers: Sequence[str],
        options: Mapping[str, Any],
        *,
        in_progress: InProgress,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._emit = emit
        self._providers = providers
        self._options = options
        self.has_found = False
        """Whether the search found anything."""
        self.in_progress = in_progress
        """Products under way in the folder."""
        self._wall = wall
        self._received: dict[str, int] = {}
        self._verified: dict[str, tuple[str, str | None]] = {}
        self._came = 0
        self._speed_since = wall()

    def take(self, event: events.Event) -> None:
        """Note an event and pass it on; neither waits."""
        match event:
            case events.DownloadStarted():
                # Other connections may be ahead of the offset.
                self._count(event.name, max(event.offset, self._received.get(event.name, 0)) if event.offset else 0)
                self._note(event)
            case events.DownloadProgressed():
                self._note_speed(event)
            case events.ProductDownloaded():
                self._count(event.name, event.bytes)
                self._received.pop(event.name, None)
            case events.ProductFailed():
                self._received.pop(event.name, None)
                self._verified.pop(event.name, None)
                self._note(event)
            case events.ProductEvent():
                self._note(event)
            case events.TiersWatched():
                self._note_look(event)
        self._emit(event)

    def _take_of(self, archive: str, event: events.Event) -> None:
        """Take an event of an archive: the one whose bytes were verified is where the product is from."""
        if isinstance(event, events.ProductVerified):
            self._verified[event.name] = (archive, event.checksum)
        self.take(event)

    def note_quota(self, event: events.Event) -> None:
        """Note when the next download may begin; the quota limiter sends this event to the client, not to the run."""
        if isinstance(event, events.QuotaReached):
            self._journal.note_now(quota_until=self._wall() + event.wait, updated=self._wall())

    def _note_look(self, event: events.TiersWatched) -> None:
        """Note when the next look at the tape comes, and what was learned of how long tape takes."""
        now, note = self._wall(), self._journal.note_now
        note(next_poll=now + event.next_poll, updated=now)
        if event.online:
            note(arrival=now)
        if event.usual_wait:
            note(wait_low=event.usual_wait[0], wait_high=event.usual_wait[1])
        if event.usual_interval:
            note(interval_low=event.usual_interval[0], interval_high=event.usual_interval[1])

    async def guard(self) -> NoReturn:
        """End the run once another program has taken over the folder: two must not write the same parts.

        Raises:
            JournalBusyError: It has.
        """
        while True:
            self._journal.check_owner()
            await anyio.sleep(GUARD_EVERY)

    async def recorded(self, archive: ArchiveContext) -> ArchiveContext:
        """An archive whose events, downloads and staging requests are noted, and whose quota knows of earlier runs."""
        limiter = archive.gate.quota
        is_only = len(self._providers) == 1
        self._journal.note_now(
            quota_products=limiter.quota.products if limiter.quota and is_only else None,
            quota_seconds=limiter.quota.seconds if limiter.quota and is_only else None,
        )
        if limiter.quota:
            limiter.remember(await self._earlier_downloads(archive.name, limiter.quota.seconds))
        counted = partial(self._download_began, archive.name)
        return replace(archive, emit=partial(self._take_of, archive.name), counted=counted, asked=self._asked)

    @property
    def owner(self) -> Owner:
        """Who holds the folder: this process."""
        return self._journal.owner

    def owned(self, folder: Folder) -> Folder:
        """A folder in which nothing is changed once another program has it."""
        return replace(folder, check_owner=self._journal.confirm_owner)

    async def order(self, wanted: Wanted) -> int:
        """Note what was asked for, on the disk before anything is done; returns the order's number."""
        order = self._journal.record_order(wanted_as_json(wanted), self._providers, self._options)
        await self._journal.flush()
        return order

    async def found(self, order: int | None, products: Iterable[Product]) -> None:
        """Note products that were found; waits when the disk cannot follow."""
        self.has_found = True
        await self._journal.note_products(order, products)

    def search_finished(self, order: int | None) -> None:
        """Note that no further product will be found for an order."""
        if order is not None:
            self._journal.note_searched(order)

    async def asked_before(self) -> dict[tuple[str, str], Asked]:
        """What an earlier run asked for and waited for, by archive and id of products."""
        with await self._journal.reader() as reader:
            asked = await to_thread.run_sync(reader.asked)
        now = self._wall()
        ended = {key for key, each in asked.items() if each.expires is not None and each.expires <= now}
        return {key: each._replace(order=None) if key in ended else each for key, each in asked.items()}

    async def _asked(self, product: Product, times: int, reply: StagingReply) -> None:
        """Note a staging request; an order is on the disk before it is waited for, since it may cost a quota."""
        expires = reply.expires.timestamp() if reply.expires else None
        self._journal.note_asked(product, Asked(times, reply.order, expires))
        if reply.order is not None:
            await self._journal.flush()

    def _download_began(self, provider: str) -> None:
        """Note that the quota of an archive counts one more download."""
        self._journal.note_download_started(provider, self._wall())

    async def _earlier_downloads(self, provider: str, seconds: float) -> list[float]:
        """How many seconds ago downloads from an archive began, within so many seconds, oldest first.

        A clock that was set back makes them younger than they are: too late is better than too early.
        """
        now = self._wall()
        with await self._journal.reader() as reader:
            starts = await to_thread.run_sync(reader.downloads_since, provider, now - seconds)
        return [max(0.0, now - start) for start in starts]

    def _count(self, name: str, received: int) -> None:
        """Count the bytes of a product since the last event; bytes that were there before its download do not count."""
        self._came += max(0, received - self._received.get(name, received))
        self._received[name] = received

    def _note_speed(self, event: events.DownloadProgressed) -> None:
        """Note the speed of all downloads together, now and then."""
        now = self._wall()
        self._count(event.name, event.received)
        if now - self._speed_since >= SPEED_EVERY or now < self._speed_since:
            self._journal.note_now(speed=self._came / max(now - self._speed_since, SPEED_EVERY), updated=now)
            self._came, self._speed_since = 0, now

    def _note(self, event: events.ProductEvent) -> None:  # noqa: C901 - one line for each event
        note, name = self._journal.note, event.name
        match event:
            case events.StagingRequested():
                note(name, State.STAGING, staging_requests=event.times, last_asked_at=self._wall())
            case events.ProductAwaited():
                note(name, State.STAGING, last_asked_at=self._wall())
            case events.ProductStaged():
                note(name, State.FOUND)
            case events.DownloadStarted():
                note(name, State.DOWNLOADING)
            case events.ProductVerified():
                note(name, checksum=event.checksum)
            case events.ProductDelivered():
                note(name, State.DELIVERED, path=event.path, bytes=event.bytes)
                if verified := self._verified.pop(name, None):
                    self._journal.note_came(name, *verified, event.bytes)
            case events.ProductMoved() | events.ProductRemoved():
                note(name, path="")
            case events.ProductSkipped():
                note(name, State.SKIPPED, path=event.path, bytes=event.bytes)
            case events.ProductLeftOut():
                note(name, State.LEFT_OUT)
            case events.ProductFailed():
                note(name, State.FAILED, error_type=event.error, error_message=event.message)


class Journals:
    """The journals that a client has open: several runs into one folder share one.

    Args:
        emit: Gets the messages of the journals.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._open: dict[Path, _Shared] = {}
        self._lock = anyio.Lock()

    @contextlib.asynccontextmanager
    async def recorder(
        self, directory: Path, providers: Sequence[str], options: Mapping[str, Any]
    ) -> AsyncIterator[Recorder]:
        """Open the journal of a folder, which only one program may use at a time.

        Args:
            directory: The user's folder.
            providers: Names of the archives.
            options: What a later run must know to go on.

        Raises:
            JournalBusyError: Another program works in this folder.
            ConfigError, DiskFullError: The journal cannot be opened.

        Cancellation: what was noted is written.
        """
        where = await to_thread.run_sync(directory.resolve)
        async with self._lock:
            shared = self._open.get(where) or _Shared(self._emit)
            if not shared.users:
                await shared.open(directory)
            shared.users += 1
            shared.in_progress.is_shared |= shared.users > 1
            self._open[where] = shared
        try:
            yield Recorder(shared.journal, shared.pass_on, providers, options, in_progress=shared.in_progress)
        finally:
            with anyio.CancelScope(shield=True):
                async with self._lock:
                    shared.users -= 1
                    if not shared.users:
                        del self._open[where]
                        await shared.close()


class _Shared:
    """One open journal, and the messages of its thread, which the event loop emits."""

    journal: Journal

    def __init__(self, emit: Emit) -> None:
        self.users = 0
        self.in_progress = InProgress()
        self._emit = emit
        self._told: deque[str] = deque()
        self._loop_thread = threading.get_ident()
        self._stack = contextlib.AsyncExitStack()

    async def open(self, directory: Path) -> None:
        async with contextlib.AsyncExitStack() as stack:
            self.journal = await stack.enter_async_context(open_journal(directory, tell=self._tell))
            await to_thread.run_sync(Folder(directory).remove_leftovers)
            await recall_all(Folder(directory), self._tell)
            self._stack = stack.pop_all()

    async def close(self) -> None:
        await self._stack.aclose()
        self._flush()

    def pass_on(self, event: events.Event) -> None:
        """Emit the messages of the journal's thread, then an event."""
        self._flush()
        self._emit(event)

    def _tell(self, text: str) -> None:
        self._told.append(text)
        if threading.get_ident() == self._loop_thread:
            self._flush()

    def _flush(self) -> None:
        while self._told:
            self._emit(events.Noticed(message=self._told.popleft()))
