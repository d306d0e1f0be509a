"""What the protocol keeps beside the shared archive: its options, ids, restored files and quotas."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from pepsasync.sandbox.catalogue import ID_NAMESPACE, REMEMBERED
from pepsasync.sandbox.checks import above_zero, at_least, one_of
from pepsasync.sandbox.limits import RateLimit
from pepsasync.sandbox.portal import Portal
from pepsasync.sandbox.selection import Index

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct

RANGES = ("ignored", "works", "error")
"""What becomes of a `Range` header: the whole file, the part, or 500 (section 6.2)."""
BAD_KEYS = ("login", "refuse")
"""What a wrong key leads to: redirects to the login page without end, or 401 (section 2)."""
VERSIONS = ("2.1", "2.2")
"""Versions of the STAC layer: what the portal runs, and the one after it (sections 3 and 4)."""
KEPT_SECONDS = 86_400.0
"""Archive seconds for which a restored file is said to stay (section 5.2)."""
AVAILABLE = frozenset({"disk", "tier2"})
"""Storage modes from which a file can be downloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeodesOptions:
    """How this protocol behaves.

    Raises:
        ValueError: An option makes no sense.
    """

    portal_seconds: float | None = None
    """Archive seconds after which a product that was seen on tape is asked for in the portal; None: never."""
    ranges: str = "ignored"
    """What becomes of a `Range` header, one of `RANGES`."""
    restore: bool = False
    """Whether `POST /restore` is offered."""
    quota: int | None = 50
    """Downloads that an account may start in a window of time, None for no limit."""
    quota_seconds: float = 3600.0
    """Length of that window in archive seconds."""
    bad_key: str = "login"
    """What a wrong key leads to, one of `BAD_KEYS`."""
    strict: bool = False
    """Whether pages that are too long and unknown attributes are refused, instead of capped and ignored."""
    version: str = "2.1"
    """Version of the STAC layer, one of `VERSIONS`."""

    def __post_init__(self) -> None:
        one_of(RANGES, ranges=self.ranges)
        one_of(BAD_KEYS, bad_key=self.bad_key)
        one_of(VERSIONS, version=self.version)
        at_least(0, portal_seconds=self.portal_seconds, quota=self.quota)
        above_zero(quota_seconds=self.quota_seconds)


@lru_cache(maxsize=REMEMBERED)
def urn(product: CatalogueProduct) -> str:
    """Return the id of a product's item (section 4)."""
    return f"URN:FEATURE:DATA:gdh:{uuid.uuid5(ID_NAMESPACE, f'geodes:{product.name}')}:V1"


class Service:
    """The protocol on an archive; every method may be called from any thread.

    Args:
        archive: What is shared with the other protocols.
        options: How this one behaves.
    """

    def __init__(self, archive: Archive, options: GeodesOptions) -> None:
        self.archive = archive
        self.options = options
        self.quota = RateLimit(archive.clock, options.quota, options.quota_seconds)
        self._opened = datetime.now(UTC) - timedelta(seconds=archive.clock.real(archive.clock.now()))
        self._lock = threading.Lock()
        self.find = Index(archive, urn).find
        self._portal = Portal(archive, options.portal_seconds)
        self._expiry: dict[str, datetime] = {}

    def is_available(self, product: CatalogueProduct) -> bool:
        """Return whether a product can be downloaded now; who sees one that cannot may order it in the portal."""
        self._portal.settle()
        if self.archive.mode(product) in AVAILABLE:
            return True
        self._portal.seen(product.name)
        with self._lock:
            self._expiry.pop(product.name, None)
        return False

    def expiry(self, product: CatalogueProduct) -> datetime | None:
        """Return until when an available product is kept, UTC; None for one that was always on disk."""
        if product.nrt or product.mode in AVAILABLE:
            return None
        clock = self.archive.clock
        end = self._opened + timedelta(seconds=clock.real(clock.now() + KEPT_SECONDS))
        with self._lock:
            return self._expiry.setdefault(product.name, end)

    def take(self, email: str) -> bool:
        """Count a download that starts; False if the account's quota is used up."""
        is_taken = self.quota.take(email)
        if not is_taken:
            self.archive.ledger.count_event("quota_refusals")
        return is_taken
