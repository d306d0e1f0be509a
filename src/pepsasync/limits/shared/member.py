"""One program's part in the limits of an account: how many of its downloads may go on, and when they must stop.

A task tells the ledger what is needed and takes what is given (`Book.settle`); a thread gives the signs of life. The
downloads of this program share what it has, as they share the limits of the archive where nobody else has the account.
"""

from __future__ import annotations

import contextlib
import functools
import random
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from pepsasync.errors import LeaseLostError, PepsasyncError, UnreachableError
from pepsasync.events import Noticed, QuotaReached
from pepsasync.folder.journal.lease import Heartbeat
from pepsasync.groups import task_group
from pepsasync.limits.backoff import NEWS
from pepsasync.limits.shared.book import Book, Pace, awake
from pepsasync.limits.shared.files import LedgerFiles, unusable
from pepsasync.limits.shared.state import Needs
from pepsasync.text import reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from pepsasync.events import Emit
    from pepsasync.limits.quota import Permit
    from pepsasync.limits.shared.book import View
    from pepsasync.limits.slots import DownloadSlots
    from pepsasync.model import Quota

PACE = Pace()
"""Of all programs."""

PATIENCE = 2.0
"""Seconds for which the end of a run waits until the ledger is told."""


WISH = 3.0
"""Seconds for which a permit is kept for those that do not wait, but ask again soon."""


class _Lease:
    """One download under way."""

    def __init__(self, permit: Permit, *, is_counted: bool) -> None:
        self.permit = permit
        self.is_counted = is_counted
        self.scope = anyio.CancelScope()


class Member:
    """What this program has of the limits of an account.

    Args:
        directory: Given by the user, on a file system that all programs see.
        name: Returns the name of the account in it, which tells nobody who that is.
        slots: Of this program, which get as many as it has.
        total: Slots of the account.
        quota: Returns that of the account, None for no limit.
        emit: Told of waits and losses.
        pace: The same for all programs.
    """

    def __init__(
        self,
        directory: Path,
        name: Callable[[], Awaitable[str]],
        slots: DownloadSlots,
        total: int,
        quota: Callable[[], Quota | None],
        emit: Emit,
        pace: Pace | None = None,
    ) -> None:
        self._directory = directory
        self._name = name
        self._slots = slots
        self._total = total
        self._quota = quota
        self._emit = emit
        self._pace = pace or PACE
        self._book: Book | None = None
        self._has_begun = anyio.Event()
        self._change = anyio.Event()
        self._news = anyio.Event()
        self._leases: set[_Lease] = set()
        self._has_slots = 0
        self._yields = False
        self._in_hand = 0
        self._begun = 0
        self._needing = 0
        self._wished = -float("inf")
        self._turn_since = awake()
        self._confirmed = -float("inf")
        self._error: PepsasyncError | None = None
        self._told: set[str] = set()
        self._told_until = -float("inf")
        self._others_wait = False
        slots.allow(0)
        slots.when_changed = self._slots_changed

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take part as long as the block lasts, from the first download on; everything is given back at the end."""
        async with task_group() as tasks:
            tasks.start_soon(self._run)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    @property
    def may_begin(self) -> bool:
        """Whether a download may begin now, as far as the quota goes; who asks is taken to need it."""
        if self._quota() is None or self._in_hand > 0:
            return True
        self._wished = awake()
        self._has_begun.set()
        self._poke()
        return False

    async def until_fresh(self) -> None:
        """Wait until we are known to others, as we are from the first download on.

        Raises:
            ConfigError: The folder cannot be used.
        """
        self._has_begun.set()
        await self._until(lambda: self._is_fresh)

    async def until_open(self) -> None:
        """Wait until a download may begin as far as the quota goes.

        Raises:
            ConfigError: The folder cannot be used.

        Cancellation: nothing is held.
        """
        self._needing += 1
        try:
            await self._until(lambda: self._quota() is None or self._in_hand > 0)
        finally:
            self._needing -= 1

    async def _until(self, is_so: Callable[[], bool]) -> None:
        is_first = True
        while not is_so():
            if self._error:
                raise self._error
            if is_first:
                self._poke()
            is_first = False
            await self._news.wait()

    @contextlib.contextmanager
    def download(self, permit: Permit) -> Iterator[None]:
        """Put around a download that has a slot; it is cancelled when we are found to have lost what we had.

        Args:
            permit: Of the quota, which tells when it was answered.

        Raises:
            LeaseLostError: We have; the download is to begin again at the gate.
        """
        is_counted = self._quota() is not None
        lease = _Lease(permit, is_counted=is_counted)
        self._in_hand -= is_counted
        self._leases.add(lease)
        was_sent = True
        try:
            with lease.scope:
                self.check()
                yield
        except (LeaseLostError, UnreachableError):
            was_sent = False
            raise
        finally:
            if lease in self._leases:
                self._leases.remove(lease)
                if lease.is_counted:
                    self._begun += was_sent or permit.has_begun
                    self._in_hand += not (was_sent or permit.has_begun)
                    self._poke()
        if lease.scope.cancelled_caught:
            raise _lost()

    def check(self) -> None:
        """To be called right before a request is sent.

        Raises:
            LeaseLostError: Others may have what we had: we stood still for too long.
        """
        if not self._is_fresh:
            self._poke()
            raise _lost()

    async def trace(self, step: str, info: dict[str, Any]) -> None:  # noqa: ARG002 - httpcore calls it
        """Hook of httpcore (extension `trace`): checks when a connection is there and the request is about to go."""
        if step.endswith("send_request_headers.started"):
            self.check()

    @property
    def _is_fresh(self) -> bool:
        return awake() - self._confirmed < self._pace.deadline / 2

    def _slots_changed(self) -> None:
        """Tell the others at once when they wait for what is given back, or when we need more than we have."""
        if self._others_wait or self._slots.used + self._slots.waiting > self._has_slots < self._total:
            self._poke()

    def _poke(self) -> None:
        self._change.set()

    async def _run(self) -> None:
        await self._has_begun.wait()
        try:
            await self._take_part()
        except PepsasyncError as error:
            self._fail(error)
        except OSError as error:
            self._fail(unusable(self._directory, error))

    def _fail(self, error: PepsasyncError) -> None:
        self._error = error
        self._give_up()

    async def _take_part(self) -> None:
        book = Book(LedgerFiles(self._directory, await self._name()), self._pace)
        await to_thread.run_sync(book.open)
        self._book = book
        heartbeat = Heartbeat(functools.partial(_beat, book), self._pace.beat)
        heartbeat.start()
        try:
            async with task_group() as tasks:
                tasks.start_soon(self._guard)
                while True:
                    pause = await self._settle(book)
                    with anyio.move_on_after(pause):
                        await self._change.wait()
                        await anyio.sleep(min(pause, self._pace.look / 4))  # several changes are told at once
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(PATIENCE):
                await to_thread.run_sync(self._leave, book, heartbeat, abandon_on_cancel=True)

    def _leave(self, book: Book, heartbeat: Heartbeat) -> None:
        heartbeat.stop()
        with contextlib.suppress(OSError):
            book.leave(self._begun + sum(lease.is_counted for lease in self._leases))

    async def _guard(self) -> None:
        """Stop all downloads when it is not known for too long that we have slots, whatever the disk does."""
        while True:
            await anyio.sleep(self._pace.deadline / 20)
            if not self._is_fresh and self._leases:
                self._give_up()

    async def _settle(self, book: Book) -> float:
        """Tell what is needed, and take what is given; returns seconds until the next look."""
        self._change = anyio.Event()
        needs = self._needs()
        begun_at = awake()
        try:
            view = await to_thread.run_sync(book.settle, needs, self._total, self._quota(), abandon_on_cancel=True)
        except OSError as error:
            self._tell(f"the ledger of limits in {self._directory} cannot be used: {reason(error)}")
            return self._pace.beat
        if view.news:
            self._tell(view.news)
        if view.is_lost:
            self._give_up()
            book.told = self._begun  # whoever gave us up has noted them
            return 0.0
        if view.is_settled:
            self._take(view, book.told, min(begun_at, book.beat_at))
        return self._pause(view)

    def _needs(self) -> Needs:
        """What is in use, and no more than that can be used until the ledger is told."""
        for lease in self._leases:
            if lease.is_counted and lease.permit.has_begun:
                lease.is_counted = False
                self._begun += 1
        slots = self._slots
        wants = min(slots.used + slots.waiting + slots.is_short, slots.total)
        slots.is_short = False
        keeps = max(slots.used, min(self._has_slots - self._yields, wants if self._others_wait else slots.total))
        slots.allow(keeps)
        asked = sum(lease.is_counted for lease in self._leases)
        needed = 0
        if self._quota() is not None:
            is_wished = awake() - self._wished < WISH
            needed = min(max(self._needing + slots.waiting, is_wished), max(1, self._has_slots))
            self._in_hand = min(self._in_hand, needed)
        return Needs(
            slots=keeps,
            permits=asked + self._in_hand,
            begun=self._begun,
            wants_slots=wants,
            wants_permits=asked + needed,
        )

    def _take(self, view: View, told: int, confirmed: float) -> None:
        self._confirmed = confirmed
        asked = sum(lease.is_counted for lease in self._leases)
        self._in_hand = max(0, view.mine.permits - asked - (self._begun - told))
        if view.mine.slots > self._has_slots:
            self._turn_since = awake()
        self._has_slots = view.mine.slots
        turn_is_over = awake() - self._turn_since >= self._pace.turn
        self._others_wait = view.others_wait
        self._yields = view.yields or (view.yields_after_turn and turn_is_over)
        self._slots.allow(self._has_slots - self._yields)
        if self._quota() is not None and self._needing and not self._in_hand:
            self._tell_wait(view.wait)
        for one in view.still:
            self._tell(f"{one} has {one.slots} of the account's {self._total} downloads at once and stands still")
        self._wake()

    def _pause(self, view: View) -> float:
        wants = self._slots.used + self._slots.waiting
        is_waiting = self._needing > 0 and self._in_hand == 0 and self._quota() is not None
        if wants > self._has_slots or self._yields or view.yields_after_turn or not view.is_settled:
            return self._pace.look * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load
        if is_waiting:
            return min(max(view.wait, self._pace.look), self._pace.beat)
        return self._pace.beat

    def _give_up(self) -> None:
        """Have nothing any more, and stop all downloads; what they asked for counts."""
        leases, self._leases = self._leases, set()
        self._confirmed = -float("inf")
        self._begun += sum(lease.is_counted for lease in leases)
        self._has_slots = self._in_hand = 0
        self._slots.allow(0)
        if leases and self._error is None:
            self._emit(
                Noticed(message="this run stood still, and others with the account go on; its downloads begin again")
            )
        for lease in leases:
            lease.scope.cancel()
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._emit(Noticed(message=message))

    def _tell_wait(self, wait: float) -> None:
        until = awake() + wait
        if wait > NEWS and until > self._told_until + NEWS:
            self._told_until = until
            self._emit(QuotaReached(wait=wait))


def _beat(book: Book) -> None:
    with contextlib.suppress(OSError):
        book.beat()


def _lost() -> LeaseLostError:
    return LeaseLostError("this run stood still for too long; others with the account may have its downloads")
