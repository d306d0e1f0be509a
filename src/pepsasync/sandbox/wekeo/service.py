"""What the protocol keeps beside the shared archive: tokens, accepted terms, orders and their quota."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pepsasync.sandbox.limits import RateLimit
from pepsasync.sandbox.selection import Index

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct

SENTINEL_TERMS = "Copernicus_Sentinel_License"
TERMS = {
    SENTINEL_TERMS: "Copernicus Sentinel Data Terms and Conditions",
    "EUMETSAT_Copernicus_Data_Licence": "EUMETSAT Copernicus Data Licence",
}
"""Titles of all terms."""


CACHEABLE = 10
"""How many times longer an order takes that the service shall keep: how much is not known."""


@dataclass(slots=True)
class Order:
    """An order of a product."""

    name: str
    email: str
    made: float
    """Archive seconds."""
    has_failed: bool = False
    takes: float = 0.0
    """Archive seconds until it can be ready."""


class Service:
    """The protocol on an archive; every method may be called from any thread.

    Args:
        archive: What is shared with the other protocols.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.options = archive.options
        self.items = Index(archive, identifier)
        self._quota = RateLimit(archive.clock, self.options.wekeo_quota, self.options.wekeo_quota_seconds)
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}
        self._refresh: dict[str, str] = {}
        self._accepted: dict[str, set[str]] = {}
        self._orders: dict[str, Order] = {}
        self._keys: dict[str, tuple[str, str]] = {}

    def grant(self, email: str) -> dict[str, Any]:
        """Return the reply that begins or continues a session."""
        token, refresh = (secrets.token_hex(16) for _ in range(2))
        clock, seconds = self.archive.clock, self.options.token_seconds
        with self._lock:
            self._tokens[token] = (email, clock.now() + seconds)
            self._refresh[refresh] = email
        return {
            "access_token": token,
            "refresh_token": refresh,
            "scope": "openid",
            "id_token": "none",
            "token_type": "Bearer",
            "expires_in": max(1, round(clock.real(seconds))),
        }

    def continued(self, refresh: str) -> str | None:
        """Return the account of a refresh token, which is good once."""
        with self._lock:
            return self._refresh.pop(refresh, None)

    def by_token(self, token: str) -> str | None:
        """Return the account of a token, None for one that is wrong or too old."""
        with self._lock:
            email, ends = self._tokens.get(token, (None, 0.0))
        return email if self.archive.clock.now() < ends else None

    def accepted(self, email: str) -> set[str]:
        """Return the terms that an account has accepted; it may be changed."""
        with self._lock:
            return self._accepted.setdefault(email, set(TERMS) if self.options.wekeo_terms else set())

    def order(self, product: CatalogueProduct, email: str, *, cacheable: bool = False) -> str | None:
        """Order a product, or find its order again; None when the quota of the account is used up.

        Args:
            product: What is wanted.
            email: The account.
            cacheable: Whether the service shall keep the file, which makes it many times slower.
        """
        now = self.archive.clock.now()
        with self._lock:
            known = next((key for key, one in self._orders.items() if self._is_good(one, product.name, email)), None)
            if known is not None:
                if not self.options.wekeo_new_ids:
                    return known
                other = f"{int(time.time()):08x}{secrets.token_hex(8)}"
                self._orders[other] = self._orders[known]
                return other
            if not self._quota.take(email):
                return None
            key = f"{int(time.time()):08x}{secrets.token_hex(8)}"
            takes = self.options.wekeo_order_seconds * (CACHEABLE if cacheable else 1)
            self._orders[key] = Order(product.name, email, now, takes=takes)
        self.archive.ledger.count_event("orders")
        self.archive.stage(product.name)
        return key

    def find_order(self, key: str, email: str) -> Order | None:
        """Return an order of an account, None for one that is unknown or has ended."""
        with self._lock:
            order = self._orders.get(key)
        return order if order is not None and order.email == email and not self._is_over(order) else None

    def _is_good(self, order: Order, name: str, email: str) -> bool:
        """Return whether an order is one of a product and an account, and neither failed nor over."""
        return (order.name, order.email) == (name, email) and not order.has_failed and not self._is_over(order)

    def _is_over(self, order: Order) -> bool:
        return self.archive.clock.now() >= order.made + self.options.wekeo_order_life

    def lose(self, key: str) -> None:
        """Forget an order."""
        with self._lock:
            self._orders.pop(key, None)

    def is_ready(self, order: Order) -> bool:
        """Return whether the file of an order can be had: it waits for the tape, and a while in any case."""
        archive = self.archive
        if archive.clock.now() < order.made + order.takes:
            return False
        mode = archive.robot.mode(order.name)
        if mode == "tape":
            archive.stage(order.name)
        return mode == "disk"

    def quota_headers(self, email: str) -> list[tuple[str, str]]:
        """Return what is told about the quota; the moment is in milliseconds."""
        left = self._quota.remaining(email)
        if left is None or not self.options.wekeo_quota_headers:
            return []
        seconds = self.archive.clock.real(self.options.wekeo_quota_seconds)
        return [
            ("X-Quota-Limit", str(self.options.wekeo_quota)),
            ("X-Quota-Remaining", str(left)),
            ("X-Quota-Reset", str(int((time.time() + seconds) * 1000))),
        ]

    def key(self, order: str, email: str) -> str:
        """Return a key with which a file can be had elsewhere."""
        made = secrets.token_hex(8)
        with self._lock:
            self._keys[made] = (order, email)
        return made

    def by_key(self, key: str) -> tuple[str, str] | None:
        """Return order and account of a key."""
        with self._lock:
            return self._keys.get(key)


def identifier(product: CatalogueProduct) -> str:
    """Return the id of a product, which is its name with the suffix of its folder."""
    return f"{product.name}.SAFE"
