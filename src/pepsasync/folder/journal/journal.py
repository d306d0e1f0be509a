"""The journal of a folder, as a run uses it: open, note, flush, close."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack, cast

import anyio
from anyio import to_thread

from pepsasync.errors import ConfigError
from pepsasync.folder.files import disk_errors, make_own_folder, make_way
from pepsasync.folder.journal.lease import Heartbeat, JournalBusyError, Lease, LeaseWatch, busy, look
from pepsasync.folder.journal.opening import JOURNAL
from pepsasync.folder.journal.pending import order_row
from pepsasync.folder.journal.reading import LEASE, JournalReader
from pepsasync.folder.journal.rows import Changes, Now, State, storable, without_account, without_secrets
from pepsasync.folder.journal.schema import MIGRATIONS
from pepsasync.folder.journal.writer import INTERVAL, Writer
from pepsasync.folder.layout import STATE
from pepsasync.threads import clean_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pepsasync.folder.journal.lease import Owner
    from pepsasync.folder.journal.pending import Pending
    from pepsasync.folder.journal.rows import Asked
    from pepsasync.model import Product

_SLICE = 1_000
"""Products taken from an iterable before the memory is looked at again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How owners show that they live, and the clocks by which that is judged. Times are seconds."""

    beat: float = 3.0
    """Longest pause between two signs of life."""
    patience: float = 30.0
    """Silence after which the owner on another machine is taken for dead."""
    look: float = 0.5
    """Pause between two looks at the lease of another."""
    settle: float = 1.0
    """Pause after which it is clear who won when two take over the same lease."""
    clock: Callable[[], float] = anyio.current_time
    """Monotonic."""
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    wall: Callable[[], float] = time.time
    """Seconds since 1970; only stored and shown."""


class Journal:
    """Writes what happens in a folder. Made by `open_journal`.

    The journal observes: what is complete is what has a final name on disk. Losing it costs no product.
    """

    def __init__(self, directory: Path, lease: Lease, writer: Writer, wall: Callable[[], float]) -> None:
        self.directory = directory
        self._lease = lease
        self._writer = writer
        self._wall = wall

    @property
    def is_quiet(self) -> bool:
        """True when nothing is written any more in this run: disk full, or the folder has another owner now."""
        return self._writer.is_quiet

    @property
    def owner(self) -> Owner:
        """This process, as the lease names it."""
        return self._lease.owner

    def check_owner(self) -> None:
        """Look whether the folder is still ours, as far as is known; never waits.

        Raises:
            JournalBusyError: Another process has taken it over.
            ConfigError: It was removed, or something else stands in its place.
        """
        if not self._lease.is_lost:
            return
        if self._lease.taken_by is not None:
            raise JournalBusyError(
                f"another pepsasync has taken over {self.directory}, because this one did not renew its lease: "
                f"{self._lease.taken_by}",
                hint="Leave it to that one, or stop it and run the same command again",
            )
        if self._lease.had_successor:
            raise JournalBusyError(
                f"another pepsasync had taken over {self.directory}, because this one did not renew its lease, "
                "and has ended",
                hint="Run the same command again to continue where it stopped",
            )
        if self._lease.was_replaced:
            raise ConfigError(
                f"something else was put in the place of {self._lease.path.parent} while pepsasync worked in it",
                hint="Put the folder back, or move away what stands there, and run the same command again",
            )
        raise ConfigError(
            f"{self._lease.path.parent} was removed while pepsasync worked in it",
            hint="Run the same command again; products under their final names are complete",
        )

    def confirm_owner(self) -> None:
        """Look at the lease itself whether the folder is still ours; blocks for a moment.

        Raises:
            JournalBusyError, ConfigError: As `check_owner`.
        """
        with contextlib.suppress(OSError):  # not to be read at this moment: what is wrong with the folder shows soon
            self._lease.is_ours()
        self.check_owner()

    def record_order(self, wanted: Any, providers: Sequence[str], options: Mapping[str, Any]) -> int:
        """Take what the user asked for; never waits.

        Args:
            wanted: The query as a JSON-like mapping, or a list of names.
            providers: Archives, in the order of preference.
            options: Of the run; entries named like secrets are left out, at any depth.

        Returns:
            The order's number, for `note_products`.
        """
        number = self._writer.next_order()
        row = order_row(number, without_secrets(wanted), providers, without_secrets(options), self._wall())
        self._writer.add(lambda pending: pending.orders.append(row))
        return number

    def note_searched(self, order: int) -> None:
        """Take that the search of an order is over: whatever it wants is recorded; never waits."""
        self._writer.add(lambda pending: pending.searched.append(order))

    def note_now(self, **values: Unpack[Now]) -> None:
        """Take figures of the running run, for `status`; never waits. The latest of each wins."""
        self._writer.add(lambda pending: pending.now.update(cast("dict[str, float | None]", values)))

    async def note_products(self, order: int | None, products: Iterable[Product]) -> None:
        """Take products that were found; those that failed or were left out before are `found` again.

        Waits while more than `writer.ROOM` products are not written yet, so that a search cannot outrun the disk.

        Cancellation: what was taken is written.
        """
        source = iter(products)
        while part := list(itertools.islice(source, _SLICE)):
            now = self._wall()
            self._writer.add(functools.partial(_record, order=order, products=part, now=now))
            if not self._writer.has_room():
                await to_thread.run_sync(self._writer.wait_for_room, abandon_on_cancel=True)

    def note(self, name: str, state: State | None = None, **changes: Unpack[Changes]) -> None:
        """Take a change of one product; never waits and never fails. The latest of several wins, field by field.

        Args:
            name: Product name; a product that was never recorded gets a row.
            state: None keeps it. A new state removes the error of the one before.
            **changes: See `Changes`.

        Raises:
            TypeError: There is no such field.
        """
        unknown = changes.keys() - Changes.__annotations__.keys()
        if unknown:
            raise TypeError(f"a product has no {', '.join(sorted(unknown))}")
        if "error_message" in changes:
            changes["error_message"] = without_account(changes["error_message"])
        now = self._wall()
        self._writer.add(lambda pending: pending.note(name, state, dict(changes), now))

    def note_download_started(self, account: str, when: float) -> None:
        """Take the start of a download, for quotas that outlive a run; never waits.

        Args:
            account: Whose quota; stored as it is.
            when: Wall time, seconds since 1970.
        """
        self._writer.add(lambda pending: pending.downloads.append((storable(account), when)))

    def note_came(self, name: str, source: str, checksum: str | None, size: int) -> None:
        """Take where a product came from just now, for its provenance; never waits.

        Args:
            name: Of the product.
            source: Name of the archive.
            checksum: That was verified.
            size: Bytes of the verified file.
        """
        came = (storable(source), checksum and storable(checksum), size, self._wall())
        self._writer.add(lambda pending: pending.came.update({storable(name): came}))

    def note_asked(self, product: Product, asked: Asked) -> None:
        """Take that an archive was asked to make its product available; never waits."""
        key, order = (storable(product.provider), storable(product.id)), asked.order and storable(asked.order)
        row = storable(product.name), asked.requests, order, asked.expires
        self._writer.add(lambda pending: pending.asked.update({key: row}))

    async def flush(self) -> None:
        """Wait until everything taken so far is on the disk; returns at once when the journal is quiet."""
        await to_thread.run_sync(self._writer.flush, abandon_on_cancel=True)

    async def reader(self) -> JournalReader:
        """Open the journal for reading, after a flush; the caller closes it. Its methods block.

        Raises:
            ConfigError: It cannot be read.
        """
        await self.flush()
        return await to_thread.run_sync(JournalReader, self.directory)


def _record(pending: Pending, *, order: int | None, products: list[Product], now: float) -> None:
    pending.record(order, products, now)


@contextlib.asynccontextmanager
async def open_journal(
    directory: Path,
    *,
    tell: Callable[[str], None],
    pulse: Pulse | None = None,
    interval: float = INTERVAL,
    migrations: Sequence[str] = MIGRATIONS,
) -> AsyncIterator[Journal]:
    """Become the one owner of a folder's journal, and write it in a thread of its own until the block is left.

    Args:
        directory: The user's folder.
        tell: Gets a sentence for the user when the journal was damaged, cannot be written any more, or when it has to
            be waited for. Called from any thread; must neither wait nor raise.
        pulse: See there.
        interval: Longest pause between a change and its commit, seconds.
        migrations: See `schema.MIGRATIONS`.

    Raises:
        JournalBusyError: Another process works in this folder.
        ConfigError: The folder cannot be written, or a newer pepsasync wrote the journal.
        DiskFullError: There is no room for it.

    Cancellation: what was taken is written, the lease is given back.
    """
    pulse = pulse or Pulse()
    state = directory / STATE
    await to_thread.run_sync(_make, state, tell)
    lease = Lease(state / LEASE, pulse.wall)
    await _acquire(lease, directory, pulse, tell)
    heartbeat = Heartbeat(lease.beat, pulse.beat)
    try:
        heartbeat.start()
        make = functools.partial(
            Writer, tell=tell, beat=lease.beat, beat_seconds=pulse.beat, interval=interval, migrations=migrations
        )
        writer = await to_thread.run_sync(make, state / JOURNAL)
        try:
            yield Journal(directory, lease, writer, pulse.wall)
        finally:
            await clean_up(writer.close)
    finally:
        await clean_up(_end, heartbeat, lease)


def _end(heartbeat: Heartbeat, lease: Lease) -> None:
    heartbeat.stop()
    lease.release()


def _make(folder: Path, tell: Callable[[str], None]) -> None:
    lease = folder / LEASE
    with disk_errors(folder):
        make_own_folder(folder, tell)
        if not lease.is_file() or lease.is_symlink():
            make_way(lease, tell)  # not one with another name: whoever has it may live


async def _acquire(lease: Lease, directory: Path, pulse: Pulse, tell: Callable[[str], None]) -> None:
    """Take the lease, or take it over once its owner is seen to be dead."""
    watch, told = LeaseWatch(pulse.patience), False
    while not await to_thread.run_sync(lease.take):
        with disk_errors(lease.path):
            sight = await to_thread.run_sync(look, lease.path)
        if sight is None:
            continue
        match watch.judge(sight, pulse.clock()):
            case True:
                raise busy(directory, sight.owner)
            case False:
                await _take_over(lease, directory, pulse)
                return
        if not told:
            told = True
            tell(f"checking whether {sight.owner or 'the last owner of the journal'} is still running in {directory}")
        await pulse.sleep(pulse.look)


async def _take_over(lease: Lease, directory: Path, pulse: Pulse) -> None:
    """Replace a dead lease, and wait until it is clear that nobody did the same after us."""
    await to_thread.run_sync(lease.take_over)
    try:
        await pulse.sleep(pulse.settle)
    except BaseException:
        await clean_up(lease.release)
        raise
    if not await to_thread.run_sync(lease.is_ours):
        raise busy(directory, None)
