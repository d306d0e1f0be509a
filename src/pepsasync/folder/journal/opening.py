"""Open the journal file: look whether it is whole, put a damaged one aside, begin a new one. Everything here blocks."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import sqlite3
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError, DiskFullError, PepsasyncError
from pepsasync.folder.files import NEW, disk_error, disk_errors, make_way, new_file, write_new
from pepsasync.folder.journal.rows import State
from pepsasync.folder.journal.schema import (
    MIGRATIONS,
    DamagedError,
    migrate,
    refuse_newer,
    schema_version,
    tables,
    tables_of,
    unreadable_is_damage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

JOURNAL = "journal.db"
"""In `DIR/.pepsasync`."""

BUSY_SECONDS = 5.0
"""How long SQLite itself waits for others before it gives up a read or a change."""

WHOLE_CHECK = 256 << 20
"""Bytes up to which every page is looked at when the journal is opened; a larger file is only looked at here and
there, because it would take seconds. Damage that shows later is dealt with then."""

_CACHE_KIB = 1_024

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG})
"""Result codes of a file that is not what we wrote; our statements are right, so plain errors come from the file."""

_RECOUNT = """
REPLACE INTO counts VALUES (?, (SELECT count(*) FROM products WHERE state = ?),
    (SELECT coalesce(sum(coalesce(bytes, size, 0)), 0) FROM products WHERE state = ?))
"""


def connect(path: Path, *, write: bool, locks: bool = True) -> sqlite3.Connection:
    """Open the file without creating it.

    Args:
        path: The journal.
        write: Whether changes are allowed.
        locks: False where the file system has none; then only the lease keeps writers apart.
    """
    address = f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}{'' if locks else '&nolock=1'}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def open_for_writing(
    path: Path, tell: Callable[[str], None], migrations: Sequence[str] = MIGRATIONS
) -> sqlite3.Connection:
    """Open the journal, or begin a new one; the caller holds the lease.

    Args:
        path: `DIR/.pepsasync/journal.db`.
        tell: Gets a sentence for the user when a damaged journal was put aside.
        migrations: See `schema.MIGRATIONS`.

    Raises:
        ConfigError: The journal is of a newer schema, or cannot be opened.
        DiskFullError: There is no room for it.
    """
    locks = has_locks(path.parent)
    try:
        with disk_errors(path):
            for file in files_of(path):
                make_way(file, tell)
        if path.exists():
            try:
                with unreadable_is_damage():
                    return _open_whole(path, locks, migrations)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                aside = put_aside(path)
                tell(f"the journal was damaged ({error}) and is now {aside}; a new one was started; no product is lost")
        _create(path, locks, migrations)
        return _open_whole(path, locks, migrations)
    except sqlite3.Error as error:
        raise journal_error(path, error) from error


def _open_whole(path: Path, locks: bool, migrations: Sequence[str]) -> sqlite3.Connection:
    connection = connect(path, write=True, locks=locks)
    try:
        # WAL needs shared memory, which network file systems do not have.
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        check_tables(connection, path, migrations)
        if is_small := path.stat().st_size <= WHOLE_CHECK:
            _check_pages(connection)
        migrate(connection, migrations)
        _begin_again(connection, recount=is_small)
    except BaseException:
        connection.close()
        raise
    return connection


def check_tables(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """See that the schema is one that we know and that its tables are as they should be.

    Raises:
        ConfigError: It is a newer one.
        DamagedError: They are not, or the file is shorter than it says.
    """
    refuse_newer(connection, len(migrations), path)
    version = schema_version(connection)
    if version == 0 or tables(connection) != tables_of(version, migrations):
        raise DamagedError("its tables are not those of a journal")
    pages, size = (connection.execute(f"PRAGMA page_{what}").fetchone()[0] for what in ("count", "size"))
    if path.stat().st_size < pages * size:
        raise DamagedError("its end is missing")


def _check_pages(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise DamagedError(found)


def _begin_again(connection: sqlite3.Connection, *, recount: bool) -> None:
    """Leave nothing that only a living run can be: downloads that a killed run left are to be done again."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE products SET state = 'found' WHERE state = 'downloading'")
    if recount:
        connection.executemany(_RECOUNT, [(state, state, state) for state in State])
    connection.execute("COMMIT")


def _create(path: Path, locks: bool, migrations: Sequence[str]) -> None:
    """Make an empty journal aside and give it its name when it is whole."""
    new = new_file(path)
    with disk_errors(path):
        for rest in (*path.parent.glob(f"*{NEW}"), *path.parent.glob(f"*{NEW}-journal"), *files_of(path)[1:]):
            make_way(rest)
            rest.unlink(missing_ok=True)
        write_new(new, b"")
    with contextlib.closing(connect(new, write=True, locks=locks)) as connection:
        migrate(connection, migrations)
    with disk_errors(path):
        new.replace(path)


def put_aside(path: Path) -> Path:
    """Rename a damaged journal to `journal.db.damaged-N`, with what SQLite keeps beside it."""
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(1))
    aside = next(name for name in names if not any(map(os.path.lexists, files_of(name))))
    with disk_errors(path):
        for file, new in reversed([*zip(files_of(path), files_of(aside), strict=True)]):
            # The journal last: what is left behind would be played into the next one.
            with contextlib.suppress(FileNotFoundError):
                file.rename(new)
    return aside


def files_of(path: Path) -> list[Path]:
    """A journal, and the files that SQLite would read with it; those of a write-ahead log are never ours."""
    return [path, side_file(path), *(path.with_name(f"{path.name}-{name}") for name in ("wal", "shm"))]


def side_file(path: Path) -> Path:
    """SQLite's rollback journal of a file."""
    return path.with_name(f"{path.name}-journal")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, as opposed to busy, forbidden or without room."""
    code = error_code(error)
    return isinstance(error, DamagedError) or code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else reads or writes at this moment."""
    return error_code(error) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def error_code(error: sqlite3.Error) -> int:
    """SQLite's extended result code, 0 for an error that Python itself raised."""
    return getattr(error, "sqlite_errorcode", 0) or 0


def journal_error(path: Path, error: sqlite3.Error) -> PepsasyncError:
    """Our error for one of SQLite about the journal."""
    if error_code(error) & 0xFF == sqlite3.SQLITE_FULL:
        return DiskFullError(f"no space left while writing {path}", hint="Free some space and run the same again")
    if is_busy(error):
        hint = "End the program that keeps it locked, such as a pepsasync that was stopped, and run the same again"
        return ConfigError(f"cannot use the journal {path}: {error}", hint=hint)
    return ConfigError(f"cannot use the journal {path}: {error}", hint="Choose another folder with -w DIR")


def has_locks(folder: Path) -> bool:
    """Whether the file system has record locks at all; some network file systems refuse every one.

    Raises:
        ConfigError, DiskFullError: The folder cannot be written.
    """
    if os.name == "nt":
        return True
    import fcntl  # noqa: PLC0415 - not on Windows

    probe = folder / f"locks.{secrets.token_hex(8)}"
    try:
        with probe.open("xb") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
    except OSError as error:
        raise disk_error(folder, error) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return True
