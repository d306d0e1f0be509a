"""What the archive was asked for and what it sent, counted where it happens."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Transfer:
    """One answered download of a file."""

    name: str
    """Product name."""
    status: int
    """HTTP status."""
    offset: int
    """First byte sent."""
    sent: int
    """Bytes of body given to the network."""
    range: str | None
    """`Range` header of the request."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """A snapshot of the archive's counters."""

    requests: Mapping[str, int]
    """Requests by kind: search, list, item, download, check, connect, describe, zipper, nodes, token, other, ..."""
    stagings: Mapping[str, int]
    """Stagings started, by product name."""
    transfers: tuple[Transfer, ...]
    """Downloads that sent a body, in the order in which they ended."""
    bytes_sent: Mapping[str, int]
    """Bytes of body by product name, running downloads included."""
    peak_downloads: int
    """Most bodies under way at once."""
    faults: Mapping[str, int]
    """Strikes of each passing fault."""
    tokens: int = 0
    """OpenID sessions opened with a password."""
    refreshes: int = 0
    """OpenID sessions continued with a refresh token."""
    leaked_tokens: int = 0
    """Access tokens that arrived at a host that must not see them."""
    orders: int = 0
    """Orders that WEkEO took and counted; one that was there already does not count."""
    asf_sessions: int = 0
    """Sessions that ASF began, by a login or for a token."""
    refused_logins: int = 0
    """Passwords that Earthdata Login refused."""
    quota_refusals: int = 0
    """Downloads refused because the account had started too many (GEODES)."""


class Running:
    """One download under way."""

    def __init__(self, ledger: Ledger, name: str, status: int, offset: int, header: str | None) -> None:
        self._ledger = ledger
        self._name, self._status, self._offset, self._header = name, status, offset, header
        self._is_over = False
        self.sent = 0

    def add(self, number: int) -> None:
        """Count `number` more bytes sent."""
        self.sent += number
        self._ledger.count_bytes(self._name, number)

    def end(self) -> None:
        """Count the download as ended, once."""
        if not self._is_over:
            self._is_over = True
            self._ledger.count_transfer(Transfer(self._name, self._status, self._offset, self.sent, self._header))


class Ledger:
    """Thread-safe counters behind `Statistics`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._stagings: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._transfers: list[Transfer] = []
        self._running = 0
        self._peak = 0

    def count_request(self, kind: str) -> None:
        """Count one request."""
        with self._lock:
            self._requests[kind] += 1

    def count_staging(self, name: str) -> None:
        """Count one staging of a product."""
        with self._lock:
            self._stagings[name] += 1

    def count_event(self, name: str) -> None:
        """Count one event: a field of `Statistics`."""
        with self._lock:
            self._events[name] += 1

    def count_bytes(self, name: str, number: int) -> None:
        """Count bytes of body of a product."""
        with self._lock:
            self._bytes[name] += number

    @contextmanager
    def transfer(self, name: str, status: int, offset: int, header: str | None) -> Iterator[Running]:
        """Count one download from its first to its last byte; it ends here at the latest."""
        with self._lock:
            self._running += 1
            self._peak = max(self._peak, self._running)
        running = Running(self, name, status, offset, header)
        try:
            yield running
        finally:
            running.end()

    def count_transfer(self, transfer: Transfer) -> None:
        """Count the end of one download."""
        with self._lock:
            self._running -= 1
            self._transfers.append(transfer)

    def snapshot(self, faults: Mapping[str, int]) -> Statistics:
        """Return the counters as they are now."""
        with self._lock:
            return Statistics(
                dict(self._requests),
                dict(self._stagings),
                tuple(self._transfers),
                dict(self._bytes),
                self._peak,
                faults,
                **self._events,
            )
