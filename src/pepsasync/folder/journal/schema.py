"""Tables of the journal, and how an older file becomes a new one."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TABLES = """
CREATE TABLE about (schema INTEGER NOT NULL);
INSERT INTO about VALUES (1);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    wanted TEXT NOT NULL,
    providers TEXT NOT NULL,
    options TEXT NOT NULL,
    created REAL NOT NULL,
    searched INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE now (name TEXT PRIMARY KEY, value REAL) WITHOUT ROWID;

CREATE TABLE products (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL DEFAULT '',
    source TEXT NOT NULL DEFAULT '',
    order_id INTEGER,
    state TEXT NOT NULL
        CHECK (state IN ('found', 'staging', 'downloading', 'delivered', 'skipped', 'failed', 'left_out')),
    size INTEGER,
    tier TEXT NOT NULL DEFAULT 'unknown',
    attempts INTEGER NOT NULL DEFAULT 0,
    staging_requests INTEGER NOT NULL DEFAULT 0,
    first_asked_at REAL,
    last_asked_at REAL,
    bytes INTEGER,
    path TEXT,
    checksum TEXT,
    error_type TEXT,
    error_message TEXT,
    updated REAL NOT NULL,
    record TEXT,
    record_crc INTEGER
);
CREATE INDEX products_by_state ON products (state, key);

CREATE TABLE counts (state TEXT PRIMARY KEY, products INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counts VALUES ('found', 0, 0), ('staging', 0, 0), ('downloading', 0, 0), ('delivered', 0, 0),
    ('skipped', 0, 0), ('failed', 0, 0), ('left_out', 0, 0);

CREATE TRIGGER product_added AFTER INSERT ON products BEGIN
    UPDATE counts SET products = products + 1, bytes = bytes + coalesce(NEW.bytes, NEW.size, 0)
    WHERE state = NEW.state;
END;
CREATE TRIGGER product_changed AFTER UPDATE OF state, bytes, size ON products
WHEN NEW.state IS NOT OLD.state OR coalesce(NEW.bytes, NEW.size, 0) <> coalesce(OLD.bytes, OLD.size, 0) BEGIN
    UPDATE counts SET products = products - 1, bytes = bytes - coalesce(OLD.bytes, OLD.size, 0)
    WHERE state = OLD.state;
    UPDATE counts SET products = products + 1, bytes = bytes + coalesce(NEW.bytes, NEW.size, 0)
    WHERE state = NEW.state;
END;

CREATE TABLE downloads (account TEXT NOT NULL, started REAL NOT NULL);
CREATE INDEX downloads_by_account ON downloads (account, started);
"""

_ASKED = """
CREATE TABLE asked (source TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, requests INTEGER NOT NULL,
    PRIMARY KEY (source, id)) WITHOUT ROWID;
INSERT INTO asked SELECT source, id, name, staging_requests
    FROM products WHERE staging_requests > 0 GROUP BY source, id;
"""
"""Staging requests by archive: products of one name are several to the archives that have them."""

_PROVENANCE = """
CREATE TABLE provenance (name TEXT PRIMARY KEY, source TEXT NOT NULL, checksum TEXT, bytes INTEGER NOT NULL,
    came REAL NOT NULL, order_id INTEGER) WITHOUT ROWID;
"""
"""Of each product that a run has brought; a later order, or a look at what is here, changes nothing of it."""

_ARCHIVE_ORDERS = """
ALTER TABLE asked ADD COLUMN archive_order TEXT;
ALTER TABLE asked ADD COLUMN expires REAL;
"""
"""What an archive calls the order that a staging request led to, and the wall time of its end."""

MIGRATIONS: tuple[str, ...] = (_TABLES, _ASKED, _PROVENANCE, _ARCHIVE_ORDERS)
"""Script number N makes schema N+1 of schema N. Published scripts never change, and hold only statements whose text
SQLite keeps as it is (CREATE, DROP, ADD COLUMN), because the tables of a journal are compared with them."""


class DamagedError(sqlite3.DatabaseError):
    """What SQLite reads is not what we wrote."""


@contextlib.contextmanager
def unreadable_is_damage() -> Iterator[None]:
    """Turn what Python makes of text and lengths that nobody wrote into `DamagedError`."""
    try:
        yield
    except (UnicodeDecodeError, MemoryError) as error:
        raise DamagedError(f"it has unreadable content: {type(error).__name__}") from error


class MigrationError(sqlite3.DatabaseError):
    """A whole journal cannot be brought to a newer schema."""


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring a journal to the newest schema; each step is done whole or not at all.

    Raises:
        sqlite3.Error: A step failed; the journal has the schema of the step before.
    """
    version = schema_version(connection)
    for number, script in enumerate(migrations[version:], version + 1):
        try:
            stamp = f"UPDATE about SET schema = {number}; PRAGMA user_version = {number}"  # noqa: S608 - a number
            connection.executescript(f"BEGIN IMMEDIATE; {script}; {stamp}; COMMIT;")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # the script is wrong for this file, not the file
                raise MigrationError(f"cannot migrate schema {number - 1} to schema {number}: {error}") from error
            raise


def schema_version(connection: sqlite3.Connection) -> int:
    """Number of migrations that made this file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def refuse_newer(connection: sqlite3.Connection, known: int, path: object) -> None:
    """Refuse a journal that a newer pepsasync wrote; the file is left as it is.

    The number stands in the file twice: when the two differ it is damage and not a newer schema.

    Raises:
        ConfigError: The journal is newer.
        DamagedError: The numbers contradict each other.
    """
    version = schema_version(connection)
    if version <= known:
        return
    row = connection.execute("SELECT schema FROM about").fetchone()
    if row is None or row[0] != version:
        raise DamagedError("the schema number is damaged")
    raise ConfigError(
        f"the journal {path} has schema {version}, this pepsasync knows schema {known}",
        hint="Use the pepsasync that wrote it or a newer one, or another folder with -w DIR; "
        "deleting the journal loses no product",
    )


def tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Names and definitions of all tables, indexes and triggers, to compare."""
    rows = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY name")
    return [(str(name), str(sql)) for name, sql in rows]


def tables_of(version: int, migrations: Sequence[str] = MIGRATIONS) -> list[tuple[str, str]]:
    """What `tables` returns for an undamaged journal of a schema."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection, migrations[:version])
        return tables(connection)
    finally:
        connection.close()
