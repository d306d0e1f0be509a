"""What the protocol keeps beside the shared archive: its options, sessions, connections and request rate."""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pepsasync.sandbox.cdse import records
from pepsasync.sandbox.cdse.sessions import Sessions
from pepsasync.sandbox.checks import above_zero, at_least
from pepsasync.sandbox.limits import RateLimit
from pepsasync.sandbox.portal import Portal
from pepsasync.sandbox.selection import Index

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct

RATE_SECONDS = 60.0
"""Archive seconds over which requests to the catalogue are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CdseOptions:
    """How this protocol behaves.

    Raises:
        ValueError: An option makes no sense.
    """

    totp: str | None = None
    """Second factor that every password grant needs; None: none is asked for."""
    token_seconds: float = 600.0
    """Life of an access token in archive seconds."""
    refresh_seconds: float = 3600.0
    """Life of a refresh token, and of the session if it is not refreshed, in archive seconds."""
    sessions: int = 100
    """Sessions that an account may have open."""
    connections: int = 4
    """Downloads that an account may have under way."""
    requests_per_minute: int | None = None
    """Requests to the catalogue per archive minute, None for no limit."""
    redirect: bool = True
    """Whether downloads are answered by a redirect to the zipper."""
    foreign: bool = False
    """Whether they are answered by a redirect to a signed address on another host, which must not see the token."""
    portal_seconds: float | None = None
    """Archive seconds after which a product that was looked at on tape is ordered elsewhere; None: never."""
    blake3: bool = False
    """Whether BLAKE3 checksums are announced too; needs the package `blake3`."""

    def __post_init__(self) -> None:
        above_zero(token_seconds=self.token_seconds, refresh_seconds=self.refresh_seconds)
        at_least(1, sessions=self.sessions, connections=self.connections, requests_per_minute=self.requests_per_minute)
        at_least(0, portal_seconds=self.portal_seconds)
        if self.blake3 and importlib.util.find_spec("blake3") is None:
            raise ValueError("blake3 needs one more package: pip install blake3")


class Service:
    """The protocol on an archive; every method may be called from any thread.

    Args:
        archive: What is shared with the other protocols.
        options: How this one behaves.
    """

    def __init__(self, archive: Archive, options: CdseOptions) -> None:
        self.archive = archive
        self.options = options
        self.sessions = Sessions(archive.clock, options)
        self.requests = RateLimit(archive.clock, options.requests_per_minute, RATE_SECONDS)
        self.items = Index(archive, lambda product: records.identifier(product.name))
        self.assets = Index(archive, lambda product: records.quicklook(product.name))
        self._portal = Portal(archive, options.portal_seconds)
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._blake3: dict[str, str] = {}

    def is_online(self, product: CatalogueProduct) -> bool:
        """Return whether a product is on disk now."""
        self._portal.settle()
        return product.nrt or self.archive.robot.mode(product.name) == "disk"

    def shown_online(self, product: CatalogueProduct) -> bool:
        """Return what the catalogue says about that, which a fault can make wrong."""
        self._portal.settle()
        return self.archive.mode(product) == "disk"

    def is_available(self, product: CatalogueProduct) -> bool:
        """Return whether a product can be downloaded now; who sees one that cannot may order it in the portal."""
        if self.is_online(product):
            return True
        self._portal.seen(product.name)
        return False

    def connect(self, email: str) -> bool:
        """Take one of an account's connections; False if all are taken. `disconnect` gives it back."""
        with self._lock:
            if self._connections[email] >= self.options.connections:
                return False
            self._connections[email] += 1
            return True

    def disconnect(self, email: str) -> None:
        """Give back a connection."""
        with self._lock:
            self._connections[email] -= 1

    def blake3(self, product: CatalogueProduct) -> str:
        """Return the BLAKE3 digest of a product, lower-case hexadecimal; reads all of it the first time."""
        if product.name not in self._blake3:
            digest: Any = importlib.import_module("blake3").blake3()
            for block in self.archive.content(product.name).blocks():
                digest.update(block)
            self._blake3[product.name] = str(digest.hexdigest())
        return self._blake3[product.name]
