"""What the journal is to be told and was not yet, and the statements that write it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pepsasync.folder.journal.rows import State, product_text, storable, text_crc

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from pepsasync.model import Product

_LATEST = 1 << 63
"""SQLite's integers end before this."""

_COLUMNS = (
    "id", "source", "size", "tier", "attempts", "staging_requests", "last_asked_at", "bytes", "path", "checksum",
    "error_type", "error_message",
)  # fmt: skip
_NOTE = f"""
INSERT INTO products (name, state, updated, first_asked_at, size, last_asked_at, bytes, path, checksum, error_type,
    error_message, id, source, tier, attempts, staging_requests)
VALUES (:name, coalesce(:state, 'found'), :updated, :first_asked_at, :size, :last_asked_at, :bytes, :path, :checksum,
    :error_type, :error_message, coalesce(:id, ''), coalesce(:source, ''), coalesce(:tier, 'unknown'),
    coalesce(:attempts, 0), coalesce(:staging_requests, 0))
ON CONFLICT (name) DO UPDATE SET
    state = coalesce(:state, state), updated = :updated,
    first_asked_at = coalesce(first_asked_at, :first_asked_at),
    error_type = CASE WHEN :state IS NULL THEN coalesce(:error_type, error_type) ELSE :error_type END,
    error_message = CASE WHEN :state IS NULL THEN coalesce(:error_message, error_message) ELSE :error_message END,
    {", ".join(f"{name} = coalesce(:{name}, {name})" for name in _COLUMNS if not name.startswith("error_"))}
"""  # noqa: S608 - made of the names above
_RECORD = """
INSERT INTO products (name, id, source, order_id, state, size, tier, checksum, updated, record, record_crc)
VALUES (?, ?, ?, ?, 'found', ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    id = excluded.id, source = excluded.source, order_id = coalesce(excluded.order_id, order_id), size = excluded.size,
    tier = excluded.tier, checksum = excluded.checksum, updated = excluded.updated, record = excluded.record,
    record_crc = excluded.record_crc,
    error_type = CASE WHEN state IN ('failed', 'left_out') THEN NULL ELSE error_type END,
    error_message = CASE WHEN state IN ('failed', 'left_out') THEN NULL ELSE error_message END,
    state = CASE WHEN state IN ('failed', 'left_out') THEN 'found' ELSE state END
"""


_CAME = """
INSERT OR REPLACE INTO provenance
VALUES (?, ?, ?, ?, ?, (SELECT order_id FROM products WHERE name = ?))
"""

_SEARCHED = """
UPDATE orders SET searched = 1 WHERE (json_remove(wanted, '$.version'), providers) =
    (SELECT json_remove(wanted, '$.version'), providers FROM orders WHERE id = ?)
"""
"""Of the same order to the same archives given again, the earlier ones are over, too."""


@dataclass(slots=True)
class Pending:
    """What is not written yet. Of a product only the latest is kept, however often it changes."""

    orders: list[tuple[Any, ...]] = field(default_factory=list)
    """Made by `order_row`."""
    products: dict[str, tuple[int | None, Product, float]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    downloads: list[tuple[str, float]] = field(default_factory=list)
    asked: dict[tuple[str, str], tuple[str, int, str | None, float | None]] = field(default_factory=dict)
    """Name, staging requests, order and its end, of products by archive and id."""
    searched: list[int] = field(default_factory=list)
    """Orders for which everything was found."""
    now: dict[str, float | None] = field(default_factory=dict)
    came: dict[str, tuple[str, str | None, int, float]] = field(default_factory=dict)
    """Archive, checksum, bytes and wall time of products that were brought, by name."""

    def __len__(self) -> int:
        parts = (self.orders, self.products, self.notes, self.downloads, self.asked, self.searched, self.now, self.came)
        return sum(map(len, parts))

    def record(self, order: int | None, products: Iterable[Product], now: float) -> None:
        """Take products as the catalogue described them; those that failed before are wanted anew."""
        for product in products:
            name = storable(product.name)
            self.products[name] = (order, product, now)
            note = self.notes.get(name)
            if note is not None and note.get("state") in (State.FAILED, State.LEFT_OUT):
                note.update(state=State.FOUND, error_type=None, error_message=None)

    def note(self, name: str, state: State | None, changes: dict[str, Any], now: float) -> None:
        """Take a change of one product."""
        note = self.notes.setdefault(storable(name), {})
        if state is not None:
            note.update(state=state, error_type=None, error_message=None)
        note.update(changes, updated=now)
        if "last_asked_at" in changes:
            note.setdefault("first_asked_at", changes["last_asked_at"])

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all of it, within the caller's transaction.

        Raises:
            sqlite3.Error: The journal cannot be written.
        """
        run = connection.executemany
        run("INSERT INTO orders VALUES (?, ?, ?, ?, ?, 0)", self.orders)
        run(_RECORD, map(_record_row, self.products.items()))
        run(_NOTE, map(_note_row, self.notes.items()))
        run(_CAME, ((name, *came, name) for name, came in self.came.items()))
        run("INSERT INTO downloads VALUES (?, ?)", self.downloads)
        run(
            "INSERT OR REPLACE INTO asked VALUES (?, ?, ?, ?, ?, ?)",
            ((*key, *asked) for key, asked in self.asked.items()),
        )
        run(_SEARCHED, ((order,) for order in self.searched))
        run("INSERT OR REPLACE INTO now VALUES (?, ?)", self.now.items())


def order_row(number: int, wanted: Any, providers: Sequence[str], options: Any, created: float) -> tuple[Any, ...]:
    """An order as it is stored; the values are free of secrets already."""
    return number, _json(wanted), _json(list(providers)), _json(options), created


def _json(value: Any) -> str:
    return json.dumps(value, default=str)


def _record_row(item: tuple[str, tuple[int | None, Product, float]]) -> tuple[Any, ...]:
    name, (order, product, now) = item
    text = product_text(product)
    checksum = str(product.checksum) if product.checksum else None
    values = (storable(product.id), product.provider, order, _number(product.size), str(product.tier), checksum)
    return name, *values, now, text, text_crc(text)


def _note_row(item: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    name, note = item
    row = dict.fromkeys((*_COLUMNS, "state", "first_asked_at", "updated"))
    row.update({key: _storable_value(value) for key, value in note.items()}, name=name)
    return row


def _storable_value(value: Any) -> Any:
    return _number(value) if value is None or isinstance(value, int | float) else storable(str(value))


def _number(value: Any) -> Any:
    return None if isinstance(value, int) and abs(value) >= _LATEST else value
