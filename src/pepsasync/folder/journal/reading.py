"""Read the journal beside a running owner, or after a killed one; nothing here writes to the folder.

All functions block. Each read is short, so that the owner never waits for long.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pepsasync.errors import ConfigError
from pepsasync.folder.files import foreign
from pepsasync.folder.journal.lease import look
from pepsasync.folder.journal.opening import (
    JOURNAL,
    check_tables,
    connect,
    error_code,
    files_of,
    is_busy,
    is_damage,
    journal_error,
    side_file,
)
from pepsasync.folder.journal.rows import (
    UNFINISHED,
    Asked,
    Count,
    Here,
    Order,
    Provenance,
    Row,
    State,
    parse_product,
    storable,
)
from pepsasync.folder.journal.schema import MIGRATIONS, DamagedError, schema_version, unreadable_is_damage
from pepsasync.folder.layout import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pepsasync.folder.journal.lease import Owner, Sight

T = TypeVar("T")

LEASE = "journal.lease"
"""In `DIR/.pepsasync`, while a run writes the journal."""

BATCH = 1000
"""Rows read at once."""

_TRIES = 4
"""Reads before damage is believed: where locks do not work, half of a change can be seen for a moment."""

_PAUSE = 0.05
"""Seconds between them."""

_PRODUCTS = """
SELECT key, name, id, source, order_id, state, size, tier, attempts, staging_requests, first_asked_at, last_asked_at,
    bytes, path, checksum, error_type, error_message, updated, record, record_crc
FROM products
"""


_FROM = """
FROM products {} WHERE products.state IN ('delivered', 'skipped') AND products.path <> '' AND products.key > ?
ORDER BY products.key LIMIT ?
"""
_PROVENANCE = f"""
SELECT products.key, products.name, coalesce(provenance.source, products.source),
    coalesce(provenance.checksum, products.checksum), coalesce(products.bytes, provenance.bytes), products.path,
    provenance.came, coalesce(provenance.order_id, products.order_id)
{_FROM.format("LEFT JOIN provenance ON provenance.name = products.name")}
"""
_NO_PROVENANCE = f"SELECT key, name, source, checksum, bytes, path, NULL, order_id {_FROM.format('')}"
_WITH_PROVENANCE = 3
"""Schema that has the table; older journals are read as they are."""

_ASKED = """
SELECT asked.source, asked.id, requests, archive_order, expires FROM asked JOIN products ON products.name = asked.name
WHERE state = 'staging' OR (archive_order IS NOT NULL AND state NOT IN ('delivered', 'skipped'))
"""

_STATES = frozenset(State)


class JournalReader:
    """What a journal knows. Every call sees the latest commit; closed by `close` or as a context manager.

    Args:
        directory: The user's folder, that which holds `.pepsasync`.
        migrations: See `schema.MIGRATIONS`.
        pause: Sleeps for seconds.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """

    def __init__(
        self,
        directory: Path,
        migrations: Sequence[str] = MIGRATIONS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.directory = directory
        self._pause = pause
        self.path = directory / STATE / JOURNAL
        self._migrations = migrations
        self._connection: sqlite3.Connection | None = None
        self._copy: _Copy | None = None
        self._file: tuple[int, int] | None = None
        self._has_locks = True
        self._one_at_a_time = threading.RLock()
        self._check_file()
        self._read(lambda _: None)

    def _check_file(self) -> None:
        """Refuse what only leads to a journal, or to anything else."""
        try:
            is_folder, what = stat.S_ISDIR(os.lstat(self.path.parent).st_mode), foreign(os.lstat(self.path))
        except FileNotFoundError:
            raise ConfigError(f"{self.directory} has no journal", hint="pepsasync fetch -w DIR makes one") from None
        except OSError as error:
            raise ConfigError(f"cannot read the journal {self.path}: {error.strerror or error}") from error
        file, wrong = self.path, what or ("" if is_folder else "in a folder that is a link")
        for beside in files_of(self.path)[1:]:
            with contextlib.suppress(OSError):
                if not wrong and (what := foreign(os.lstat(beside))):
                    file, wrong = beside, what
        if wrong:
            raise ConfigError(
                f"the journal {file} is {wrong}; it is not read",
                hint="pepsasync fetch -w DIR renames it and begins a new one; no product is lost",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._one_at_a_time:
            self._disconnect()
            if self._copy is not None:
                self._copy.folder.cleanup()
                self._copy = None

    def counts(self) -> dict[State, Count]:
        """Products and bytes in every state, those with none too; takes the same time for any number of products."""
        rows = self._rows("SELECT state, products, bytes FROM counts")
        known = {state: Count(products, size) for state, products, size in rows}
        return {state: known.get(state, Count()) for state in State}

    def product(self, name: str) -> Row | None:
        """What is known of one product, by its name."""
        rows = self._products(f"{_PRODUCTS} WHERE name = ?", storable(name))
        return rows[0][1] if rows else None

    def unfinished(self, *, with_failed: bool = False, batch: int = BATCH) -> Iterator[list[Row]]:
        """Batches of the products that are not done, begun ones first, else in the order in which they were found.

        A product that changes its state meanwhile may come twice or not at all.
        """
        for state in (*reversed(UNFINISHED), *([State.FAILED] if with_failed else [])):
            yield from self.in_state(state, batch=batch)

    def in_state(self, state: State, *, batch: int = BATCH) -> Iterator[list[Row]]:
        """Batches of the products in a state, in the order in which they were found."""
        query = f"{_PRODUCTS} WHERE state = ? AND key > ? ORDER BY key LIMIT ?"
        last = -1
        while rows := self._products(query, state, last, batch):
            last = rows[-1][0]
            yield [row for _, row in rows]

    def here(self, *, batch: int = BATCH) -> Iterator[list[Here]]:
        """Batches of the products that are done, in the order in which they were found; little of each, and quickly."""
        query = """SELECT key, name, state, path, bytes, coalesce(bytes, size, 0) FROM products
            WHERE state IN ('delivered', 'skipped') AND key > ? ORDER BY key LIMIT ?"""
        last = -1
        while rows := self._rows(query, last, batch):
            last = rows[-1][0]
            yield [Here(str(name), State(state), path, size, counted) for _, name, state, path, size, counted in rows]

    def provenance(self, *, batch: int = BATCH) -> Iterator[list[Provenance]]:
        """Batches of where the products in the folder are from, in the order in which they were found."""
        query = _PROVENANCE if self._read(schema_version) >= _WITH_PROVENANCE else _NO_PROVENANCE
        last = -1
        while rows := self._rows(query, last, batch):
            last = rows[-1][0]
            yield [Provenance(*row[1:]) for row in rows]

    def failures(self, limit: int = 20) -> list[Row]:
        """Products that failed, the latest recorded first."""
        query = f"{_PRODUCTS} WHERE state = ? ORDER BY key DESC LIMIT ?"
        return [row for _, row in self._products(query, State.FAILED, limit)]

    def orders(self) -> list[Order]:
        """What was asked for in this folder, oldest first."""
        rows = self._rows("SELECT id, wanted, providers, options, created, searched FROM orders ORDER BY id")
        return [
            Order(id_, _json(wanted), tuple(_json(providers) or ()), _json(options) or {}, created, bool(searched))
            for id_, wanted, providers, options, created, searched in rows
        ]

    def now(self) -> dict[str, float | None]:
        """Figures of the latest run, see `rows.Now`; old ones when no run is under way."""
        return dict(self._rows("SELECT name, value FROM now"))

    def downloads_since(self, account: str, when: float) -> list[float]:
        """Wall times at which downloads of an account were started, oldest first, seconds since 1970."""
        query = "SELECT started FROM downloads WHERE account = ? AND started >= ? ORDER BY started"
        return [started for (started,) in self._rows(query, storable(account), when)]

    def asked(self) -> dict[tuple[str, str], Asked]:
        """What archives were asked for, by archive and id: products that wait for tape, or are ordered and not here."""
        return {(source, id_): Asked(*asked) for source, id_, *asked in self._rows(_ASKED)}

    def tape_share(self) -> float:
        """Part of the products that nothing was done for yet that are on tape, as the first thousand of them tell."""
        query = "SELECT avg(tier IN ('tape', 'staging')) FROM (SELECT tier FROM products WHERE state = ? LIMIT ?)"
        return float(self._rows(query, State.FOUND, BATCH)[0][0] or 0.0)

    def waits(self) -> tuple[float | None, float | None]:
        """When the first and the latest of those that wait for tape were asked for or awaited, wall times."""
        query = "SELECT min(first_asked_at), max(first_asked_at) FROM products WHERE state = ?"
        oldest, latest = self._rows(query, State.STAGING)[0]
        return oldest, latest

    def owner(self) -> Owner | None:
        """Who writes the journal; None when nobody does, as far as this machine can tell."""
        sight = self.lease()
        return None if sight is None or sight.owner is None or sight.owner.is_dead else sight.owner

    def lease(self) -> Sight | None:
        """The lease of the latest run, also of one that was killed; None when it has ended and let others in."""
        try:
            return look(self.path.with_name(LEASE))
        except OSError:
            return None

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._read(lambda connection: connection.execute(query, values).fetchall())

    def _products(self, query: str, *values: Any) -> list[tuple[int, Row]]:
        return self._read(lambda connection: [(row[0], _row(row[1:])) for row in connection.execute(query, values)])

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._one_at_a_time:
            for attempt in range(1, _TRIES + 1):
                try:
                    with unreadable_is_damage():
                        return work(self._connected())
                except sqlite3.Error as error:
                    self._disconnect()
                    if attempt == _TRIES:
                        raise self._explained(error) from error
                    self._adapt(error)
                    self._pause(_PAUSE)
        raise AssertionError  # the last attempt returns or raises

    def _adapt(self, error: sqlite3.Error) -> None:
        """Choose another way to read the file."""
        if error_code(error) == sqlite3.SQLITE_READONLY_ROLLBACK:
            self._copy = _Copy(self.path)
        elif is_busy(error):
            self._has_locks = False  # SQLite has waited for seconds: no change takes that long, so it is no lock

    def _explained(self, error: sqlite3.Error) -> ConfigError:
        if is_damage(error):
            hint = (
                "No product is lost: files under their final names are complete. Run pepsasync fetch in this folder "
                "again; it puts the journal aside and begins a new one"
            )
            return ConfigError(f"the journal {self.path} is damaged: {error}", hint=hint)
        return ConfigError(journal_error(self.path, error).message, hint="Try again, or look at the folder's rights")

    def _connected(self) -> sqlite3.Connection:
        if self._copy is not None and self._copy.is_outdated():
            self._disconnect()
            self._copy.folder.cleanup()
            self._copy = None
        if (file := _identity(self.path)) != self._file:  # put aside by its owner, who has begun a new one
            self._disconnect()
            self._file = file
        if self._connection is None:
            path = self._copy.path if self._copy else self.path
            connection = connect(path, write=self._copy is not None, locks=self._has_locks)
            try:
                check_tables(connection, path, self._migrations)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Copy:
    """A journal whose owner was killed within a commit, copied so that the commit can be undone without writing."""

    def __init__(self, path: Path) -> None:
        self._original = path
        self._seen = self._state()
        self.folder = tempfile.TemporaryDirectory(prefix="pepsasync-")
        self.path = Path(self.folder.name) / path.name
        with contextlib.suppress(OSError):
            shutil.copyfile(side_file(path), side_file(self.path))
            shutil.copyfile(path, self.path)

    def is_outdated(self) -> bool:
        """Whether somebody has written since."""
        return self._seen != self._state()

    def _state(self) -> list[tuple[int, int]]:
        found = []
        for path in (self._original, side_file(self._original)):
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size))
        return found


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _row(values: tuple[Any, ...]) -> Row:
    if values[4] not in _STATES:
        raise DamagedError(f"a product is {values[4]!r}")
    name, id_, source, order, state, size, *rest, record, crc = values
    tier, attempts, requests, first_asked, last_asked, length, path, checksum, error_type, message, updated = rest
    return Row(
        name=name,
        id=id_,
        source=source,
        order=order,
        state=State(state),
        size=size,
        tier=tier,
        attempts=attempts,
        staging_requests=requests,
        first_asked_at=first_asked,
        last_asked_at=last_asked,
        bytes=length,
        path=path,
        checksum=checksum,
        error_type=error_type,
        error_message=message,
        updated=updated,
        product=parse_product(record, crc),
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
