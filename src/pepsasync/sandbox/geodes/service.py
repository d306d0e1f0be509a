"""What the protocol keeps beside the shared archive: ids, restored files and quotas."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from pepsasync.sandbox.catalogue import ID_NAMESPACE, REMEMBERED
from pepsasync.sandbox.limits import RateLimit
from pepsasync.sandbox.selection import Index

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct

KEPT_SECONDS = 86_400.0
"""Archive seconds for which a restored file is said to stay (section 5.2)."""
AVAILABLE = frozenset({"disk", "tier2"})
"""Storage modes from which a file can be downloaded."""


@lru_cache(maxsize=REMEMBERED)
def urn(product: CatalogueProduct) -> str:
    """Return the id of a product's item (section 4)."""
    return f"URN:FEATURE:DATA:gdh:{uuid.uuid5(ID_NAMESPACE, f'geodes:{product.name}')}:V1"


class Orders:
    """Orders of one product each, by number; may be called from any thread."""

    def __init__(self) -> None:
        self._made: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def add(self, name: str, email: str) -> int:
        """Return the number of a new order."""
        with self._lock:
            self._made.append((name, email))
            return len(self._made)

    def find(self, number: str, email: str) -> str | None:
        """Return the product that an account has ordered; None for other numbers."""
        with self._lock:
            made = dict(enumerate(self._made, 1)).get(int(number)) if number.isdecimal() else None
        return made[0] if made and made[1] == email else None


class Service:
    """The protocol on an archive; every method may be called from any thread.

    Args:
        archive: What is shared with the other protocols.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.options = archive.options
        self.quota = RateLimit(archive.clock, archive.options.geodes_quota, archive.options.geodes_quota_seconds)
        self._opened = datetime.now(UTC) - timedelta(seconds=archive.clock.real(archive.clock.now()))
        self._lock = threading.Lock()
        self.find = Index(archive, urn).find
        self.orders = Orders()
        self._expiry: dict[str, datetime] = {}

    def is_available(self, product: CatalogueProduct) -> bool:
        """Return whether a product can be downloaded now; who sees one that cannot may order it in the portal."""
        if self.archive.mode(product) in AVAILABLE:
            return True
        self.archive.portal.seen(product.name)
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
