"""The one thread that writes the journal: takes changes without making anybody wait, commits them in batches."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

from pepsasync.errors import PepsasyncError
from pepsasync.folder.journal.opening import is_busy, is_damage, open_for_writing, put_aside
from pepsasync.folder.journal.pending import Pending
from pepsasync.folder.journal.schema import MIGRATIONS, unreadable_is_damage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

INTERVAL = 0.2
"""Seconds between a change and its commit."""

BATCH = 500
"""Changes that are committed without waiting for that."""

ROOM = 5_000
"""Products recorded and not yet written, beyond which `Journal.note_products` waits; bounds memory."""

_BUSY_TRIES = 12
"""Times SQLite's own patience of 5 s after which a journal that others keep reading is given up."""


class Writer:
    """Owns the connection that writes.

    Args:
        path: The journal; opened here, so making a writer blocks.
        tell: Gets a sentence for the user when something is wrong; called from any thread, each thing once.
        beat: Gives a sign of life and returns False when another process owns the journal now.
        beat_seconds: Longest pause between two signs.
        interval: Longest pause between a change and its commit, seconds.
        migrations: See `schema.MIGRATIONS`.

    Raises:
        ConfigError, DiskFullError: The journal cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        tell: Callable[[str], None],
        beat: Callable[[], bool],
        beat_seconds: float = 3.0,
        interval: float = INTERVAL,
        migrations: Sequence[str] = MIGRATIONS,
    ) -> None:
        self._path, self._tell, self._beat, self._migrations = path, tell, beat, migrations
        self._beat_seconds, self._interval = beat_seconds, interval
        self._connection = open_for_writing(path, tell, migrations)
        self._last_order = int(self._connection.execute("SELECT coalesce(max(id), 0) FROM orders").fetchone()[0])
        self._changed = threading.Condition()
        self._pending = Pending()
        self._asked = self._written = 0  # flushes
        self._is_ending = self._is_dropped = self._is_quiet = self._is_over = self._was_damaged = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def is_quiet(self) -> bool:
        """True when the journal was given up for this run; what is there stays as it is."""
        return self._is_quiet

    def add(self, change: Callable[[Pending], None]) -> None:
        """Take a change; never waits for the disk."""
        with self._changed:
            if self._is_quiet or self._is_ending:
                return
            was_empty = not self._pending
            change(self._pending)
            if was_empty or len(self._pending) >= BATCH:
                self._changed.notify_all()

    def next_order(self) -> int:
        """A number that no order of this journal has."""
        with self._changed:
            self._last_order += 1
            return self._last_order

    def has_room(self) -> bool:
        """Whether more products can be taken without the memory growing."""
        return len(self._pending.products) < ROOM or self._is_quiet

    def wait_for_room(self) -> None:
        """Block until `has_room`."""
        with self._changed:
            self._changed.wait_for(self.has_room)

    def flush(self) -> None:
        """Block until everything taken so far is written, or the journal has gone quiet."""
        with self._changed:
            self._asked += 1
            ticket = self._asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._written >= ticket or self._is_over)

    def close(self, *, drop: bool = False) -> None:
        """Write what is left and end; `drop` leaves it unwritten, as a killed process would."""
        with self._changed:
            self._is_ending, self._is_dropped = True, drop
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not (self._is_ending and (self._is_dropped or not self._pending)):
                self._step()
        finally:
            with self._changed:
                self._is_quiet = self._is_over = True
                self._changed.notify_all()
            self._connection.close()

    def _step(self) -> None:
        with self._changed:
            if not self._pending:
                self._changed.wait_for(self._is_due, self._beat_seconds)
            if self._pending:
                self._changed.wait_for(self._is_urgent, self._interval)
            if self._is_dropped:
                return
            batch, self._pending, asked = self._pending, Pending(), self._asked
        if not self._beat():
            self._go_quiet(
                "another pepsasync has the journal now, or its folder is gone; this one writes no more to it"
            )
        if batch and not self._is_quiet:
            self._write(batch)
        with self._changed:
            self._written = asked
            self._changed.notify_all()

    def _is_due(self) -> bool:
        return bool(self._pending) or self._asked > self._written or self._is_ending

    def _is_urgent(self) -> bool:
        return len(self._pending) >= BATCH or self._asked > self._written or self._is_ending

    def _write(self, batch: Pending) -> None:
        for attempt in range(1, _BUSY_TRIES + 1):
            try:
                with unreadable_is_damage():
                    self._commit(batch)
            except sqlite3.Error as error:
                if is_busy(error) and attempt < _BUSY_TRIES and self._beat():
                    continue
                if not (is_damage(error) and self._began_anew(error)):
                    self._go_quiet(f"the journal cannot be written: {error}; the run goes on without it")
                    return
            else:
                return

    def _commit(self, batch: Pending) -> None:
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        try:
            batch.write(run)
            run.execute("COMMIT")
        except BaseException:
            if run.in_transaction:
                run.execute("ROLLBACK")
            raise

    def _began_anew(self, damage: sqlite3.Error) -> bool:
        """Put a journal aside that turned out to be damaged; once a run, and not when it is the disk that fails."""
        if self._was_damaged:
            return False
        self._was_damaged = True
        self._connection.close()
        try:
            aside = put_aside(self._path)
            self._connection = open_for_writing(self._path, self._tell, self._migrations)
        except PepsasyncError:
            return False
        self._tell(f"the journal was damaged ({damage}) and is now {aside}; a new one was started; no product is lost")
        return True

    def _go_quiet(self, why: str) -> None:
        if not self._is_quiet:
            with self._changed:
                self._is_quiet, self._pending = True, Pending()
            self._tell(why)
