"""What the protocol keeps beside the shared archive: its options, ids, restored files and quotas."""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from pepsasync.sandbox.catalogue import ID_NAMESPACE
from pepsasync.sandbox.portal import Portal

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
REMEMBERED = 1 << 16
"""Products whose ids and properties are kept: a search looks at all of them."""


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
        for name, known in (("ranges", RANGES), ("bad_key", BAD_KEYS), ("version", VERSIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name, low in (("portal_seconds", 0), ("quota", 0)):
            value = getattr(self, name)
            if value is not None and not value >= low:
                raise ValueError(f"{name} must be at least {low}, not {value}")
        if not self.quota_seconds > 0:
            raise ValueError(f"quota_seconds must be above 0, not {self.quota_seconds}")


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
        self._opened = datetime.now(UTC) - timedelta(seconds=archive.clock.real(archive.clock.now()))
        self._lock = threading.RLock()
        self._names: dict[str, str] = {}
        self._portal = Portal(archive, options.portal_seconds)
        self._expiry: dict[str, datetime] = {}
        self._started: defaultdict[str, deque[float]] = defaultdict(deque)

    def find(self, identity: str) -> CatalogueProduct | None:
        """Return the product with this URN, None if there is none."""
        with self._lock:
            if identity not in self._names:
                self._names = {urn(product): product.name for product in self.archive.products}
            name = self._names.get(identity)
        return None if name is None else self.archive.product(name)

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
        with self._lock:
            if self.remaining(email) == 0:
                self.archive.ledger.count_event("quota_refusals")
                return False
            self._started[email].append(self.archive.clock.now())
            return True

    def remaining(self, email: str) -> int | None:
        """Return how many downloads an account may still start, None for no limit."""
        if self.options.quota is None:
            return None
        with self._lock:
            started = self._started[email]
            while started and started[0] <= self.archive.clock.now() - self.options.quota_seconds:
                started.popleft()
            return max(0, self.options.quota - len(started))
