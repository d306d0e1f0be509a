"""What the journal holds, as frozen values, and the text form of a `Product`."""

from __future__ import annotations

import json
import operator
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypedDict

from pepsasync.hashes import fastest
from pepsasync.model import Checksum, Product, StorageTier


class State(StrEnum):
    """Where a product is on its way."""

    FOUND = "found"
    """Wanted, nothing asked yet."""
    STAGING = "staging"
    """Waits for tape."""
    DOWNLOADING = "downloading"
    """Bytes are on their way."""
    DELIVERED = "delivered"
    """Under its final name, verified."""
    SKIPPED = "skipped"
    """Was already there, complete and verified."""
    FAILED = "failed"
    """Not there; the error says why."""
    LEFT_OUT = "left_out"
    """Not wanted after all, such as tape products of a run that takes none."""


UNFINISHED = (State.FOUND, State.STAGING, State.DOWNLOADING)
"""States that `resume` goes on from."""


class Changes(TypedDict, total=False):
    """What may be noted of a product beside its state; what is not named stays as it is."""

    id: str
    source: str
    size: int | None
    tier: str
    attempts: int
    staging_requests: int
    last_asked_at: float
    """Wall time of the latest staging request, seconds since 1970; the first one is kept too."""
    bytes: int
    path: str
    checksum: str | None
    error_type: str
    error_message: str


class Now(TypedDict, total=False):
    """Figures of the run under way; wall times in seconds since 1970, None when there is nothing to tell."""

    speed: float | None
    """Bytes a second over the last while."""
    next_poll: float | None
    """When the archive is asked for waiting products again."""
    quota_until: float | None
    """When the account may have the next product."""
    wait_low: float | None
    """Seconds that tape takes from the request of a product until it is online, shortest of those that are known."""
    wait_high: float | None
    interval_low: float | None
    """Usual seconds between two products that come from tape, low end."""
    interval_high: float | None
    arrival: float | None
    """When the latest product came from tape."""
    quota_products: float | None
    """Products that the account may have in `quota_seconds`."""
    quota_seconds: float | None
    updated: float


class Asked(NamedTuple):
    """What an archive was asked to bring from tape, or to make available by an order."""

    requests: int
    """How often so far."""
    order: str | None = None
    """What the archive calls the order; None where requests have no name."""
    expires: float | None = None
    """Wall time at which the order ends, seconds since 1970; None when that is not known."""


class Here(NamedTuple):
    """What should stand in the folder."""

    name: str
    state: State
    path: str | None
    """Where it was put; empty when it was taken away on purpose, None when that is not known."""
    bytes: int | None
    """Of the verified file."""
    counted: int
    """Bytes with which it is in the counts."""


class Provenance(NamedTuple):
    """Where a product in the folder is from."""

    name: str
    source: str
    """Archive that its bytes came from; of a product that was here before, the one that describes it."""
    checksum: str | None
    bytes: int | None
    path: str | None
    came: float | None
    """Wall time, seconds since 1970; None when it was here before, or that was not noted yet."""
    order: int | None
    """That it was brought for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the journal knows of one product. Times are wall times in seconds since 1970, sizes are bytes."""

    name: str
    id: str
    source: str
    """Name of the archive."""
    order: int | None
    """The latest order that wants it; None when it was never ordered by a search."""
    state: State
    size: int | None
    """As the catalogue announced."""
    tier: str
    attempts: int
    staging_requests: int
    first_asked_at: float | None
    last_asked_at: float | None
    bytes: int | None
    """Of the verified file."""
    path: str | None
    checksum: str | None
    error_type: str | None
    error_message: str | None
    updated: float
    product: Product | None
    """As the catalogue described it; None when it was not recorded or what was recorded is damaged."""


@dataclass(frozen=True, slots=True)
class Count:
    """Products in one state."""

    products: int = 0
    bytes: int = 0
    """Sum of the verified sizes, of the announced sizes for products that are not here."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a user asked for."""

    id: int
    wanted: Any
    """The query or the list of names, as it was recorded."""
    providers: tuple[str, ...]
    options: Mapping[str, Any]
    created: float
    """Wall time, seconds since 1970."""
    is_searched: bool
    """Whether all that it wants is recorded."""


_SECRET_WORDS = ("password", "key", "token", "auth")
_ACCOUNT_IN_URL = re.compile(r"(?<=://)[^/\s@\"]+@")


def without_secrets(value: Any) -> Any:
    """Return a JSON-like value without entries named like secrets, and its URLs without accounts."""
    if isinstance(value, Mapping):
        kept = {str(name): item for name, item in value.items() if not _is_secret(str(name))}
        return {name: without_secrets(item) for name, item in kept.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [without_secrets(item) for item in value]
    return without_account(value) if isinstance(value, str) else value


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


def without_account(text: str) -> str:
    """Return text whose URLs name no user and no password."""
    return _ACCOUNT_IN_URL.sub("", text) if "://" in text and "@" in text else text


def storable(text: str) -> str:
    """Return text that SQLite takes: names in replies may hold halves of surrogate pairs."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


_FIELDS = tuple(field.name for field in fields(Product))
_values_of = operator.attrgetter(*_FIELDS)
_INSTANTS = frozenset(field.name for field in fields(Product) if "datetime" in str(field.type))


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _parse_checksum(text: str) -> Checksum:
    return Checksum(*text.split(":", 1))


_encode = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


def product_text(product: Product) -> str:
    """Return all that is needed to make the product again, as JSON; unknown values, and flags not set, are left out."""
    named = zip(_FIELDS, _values_of(product), strict=True)
    values = {name: value for name, value in named if value is not None and value is not False and value != ()}
    if product.checksums == (product.checksum,):
        del values["checksums"]
    for name in _INSTANTS:
        if name in values:
            values[name] = values[name].isoformat()
    return without_account(_encode(values))


def parse_product(text: str | None, crc: int | None) -> Product | None:
    """Return the product that `product_text` wrote, None when the text is not what was written.

    Fields that this version does not know are ignored, so that a journal of a newer version can be read.
    """
    if text is None or text_crc(text) != crc:
        return None
    try:
        values = {name: value for name, value in json.loads(text).items() if name in _FIELDS}
        for name in _INSTANTS & values.keys():
            values[name] = datetime.fromisoformat(values[name])
        checksums = tuple(map(_parse_checksum, values.get("checksums", ())))
        if "checksum" in values:  # chosen anew: this may be another machine
            checksums = checksums or (_parse_checksum(values["checksum"]),)
            values["checksum"] = fastest(checksums)
        values["checksums"] = checksums
        return Product(**values | {"tier": StorageTier(values["tier"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def text_crc(text: str) -> int:
    """CRC-32 that tells a damaged record."""
    return zlib.crc32(text.encode("utf-8", "replace"))
