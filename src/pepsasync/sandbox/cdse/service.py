"""What the protocol keeps beside the shared archive: sessions, connections and request rate."""

from __future__ import annotations

import importlib
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from pepsasync.sandbox.cdse import ids
from pepsasync.sandbox.cdse.sessions import Sessions
from pepsasync.sandbox.limits import RateLimit
from pepsasync.sandbox.selection import Index

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct

RATE_SECONDS = 60.0
"""Archive seconds over which requests to the catalogue are counted."""


class Service:
    """The protocol on an archive; every method may be called from any thread.

    Args:
        archive: What is shared with the other protocols.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.options = archive.options
        self.sessions = Sessions(archive.clock, archive.options)
        self.requests = RateLimit(archive.clock, archive.options.cdse_requests, RATE_SECONDS)
        self.items = Index(archive, lambda product: ids.identifier(product.name))
        self.assets = Index(archive, lambda product: ids.quicklook(product.name))
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._volume: Counter[str] = Counter()
        self._blake3: dict[str, str] = {}

    def is_online(self, product: CatalogueProduct) -> bool:
        """Return whether a product is on disk now."""
        self.archive.portal.settle()
        return product.nrt or self.archive.robot.mode(product.name) == "disk"

    def shown_online(self, product: CatalogueProduct) -> bool:
        """Return what the catalogue says about that, which a fault can make wrong."""
        return self.archive.mode(product) == "disk"

    def is_available(self, product: CatalogueProduct) -> bool:
        """Return whether a product can be downloaded now; who sees one that cannot may order it in the portal."""
        if self.is_online(product):
            return True
        self.archive.portal.seen(product.name)
        return False

    def connect(self, email: str, length: int) -> bool:
        """Take one of an account's connections; False if all are taken. `disconnect` gives it back.

        Args:
            email: The account.
            length: Bytes that it asks for: after so many there is one connection.
        """
        most = self.options.cdse_volume
        with self._lock:
            is_slowed = most is not None and self._volume[email] >= most
            if self._connections[email] >= (1 if is_slowed else self.options.cdse_connections):
                return False
            self._connections[email] += 1
            self._volume[email] += length
            return True

    def disconnect(self, email: str) -> None:
        """Give back a connection."""
        with self._lock:
            self._connections[email] -= 1

    def blake3(self, product: CatalogueProduct) -> str | None:
        """Return the BLAKE3 digest of a product, lower-case hexadecimal; reads all of it the first time.

        None where its package is missing.
        """
        if product.name not in self._blake3:
            try:
                digest: Any = importlib.import_module("blake3").blake3()
            except ImportError:
                return None
            for block in self.archive.content(product.name).blocks():
                digest.update(block)
            self._blake3[product.name] = str(digest.hexdigest())
        return self._blake3[product.name]
