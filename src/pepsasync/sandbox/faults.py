"""Faults by name: what real archives do wrong, at a rate, reproducibly.

Whether a fault strikes depends on the seed, the fault, the product and how often the fault was tried on it, never on
the order in which products are asked for.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "availability-gap": "the answer about availability leaves the product out (GEODES)",
        "checksum-lower": "the MD5 is announced in lower case",
        "checksum-null": "no MD5 is announced: size is the only check",
        "checksum-upper": "the MD5 is announced in upper case (GEODES)",
        "cut": "the connection is closed after a random part of the body",
        "empty-zip": "200 with a zip file of 22 bytes for a product on tape (CDSE)",
        "error-500": "500 with an empty body",
        "error-502": "502 with an HTML body",
        "error-503": "503 with an HTML body and Retry-After in seconds",
        "estimate": "the number of results is an estimate (exactCount false)",
        "fall-back": "a product on disk went back to tape just before its download",
        "flip": "one byte of the body is wrong",
        "hidden": "the feature is replaced before its download: 404 with the new id, visible 0 (PEPS)",
        "html-200": "an HTML page with status 200 instead of the file",
        "json-200": "a JSON error with status 200 instead of the file",
        "length-32": "Content-Length above 2 GiB is cut to 32 bits, and the body with it (GEODES)",
        "length-none": "no Content-Length: the body comes in chunks (GEODES)",
        "missing-file": "404 of 44 bytes for a product that is listed as available",
        "missing-properties": "properties of the feature are null or absent, storage too",
        "next-missing": "a page of a search says neither how many there are nor where the next begins (WEkEO)",
        "octet-stream": "the file is sent as application/octet-stream (GEODES)",
        "order-failed": "the order of the product fails (WEkEO)",
        "order-lost": "404 for an order that was taken (WEkEO)",
        "page-shift": "a new product is published between two pages of a search",
        "quota-420": "420 week|<MB>: the weekly volume is used up",
        "quota-json": "the quota's complaint with status 200 instead of the file (GEODES)",
        "range-refused": "400 to a request for a range (CDSE)",
        "search-cut": "half of a page of a search, because the catalogue ran out of time (ASF)",
        "search-failed": "400 with HTTP 504 in its words (ASF's own search)",
        "session-ended": "the session cookie is not good any more (ASF)",
        "short-page": "a page of a search has half of its results (ASF)",
        "signature-ended": "403 for a signed address that has ended (ASF)",
        "size-text": "resourceSize is a string",
        "size-unknown": "the size is ND (WEkEO)",
        "size-zero": "ContentLength is 0 (CDSE)",
        "slow-202": "the answer 202 takes 30 s",
        "stall": "the body stops in the middle",
        "still-tape": "the request to stage is forgotten: still on tape, to be asked again",
        "storage-down": "the tape storage service does not answer: every mode is unknown",
        "store-trouble": "400 with a page: the store cannot be reached (ASF)",
        "task-error": "500 Task Error in place of an order (WEkEO)",
        "token-refused": "401 for a token that is good (CDSE)",
        "too-large": "420 instant|<MB>: the product is larger than the account may have at once (PEPS)",
        "trace-forged": "the signature of the trace is of something else (CDSE)",
        "trace-missing": "there is no trace of the product (CDSE)",
        "trace-other": "the trace is of a file with another checksum (CDSE)",
        "truncate": "the body is shorter than the product, and Content-Length agrees with it",
        "unknown-once": "the mode is unknown for one look",
        "xml-asset": "the product has one more data file, of XML (GEODES)",
        "zipped-late": "the zip is made while it is sent: no checksum, another length than announced, no ranges (CDSE)",
        "zipper-busy": "429 as if too many downloads were under way (CDSE)",
    }
)
"""Every fault and what it does. Rates are probabilities: 0 never, 1 always."""
LASTING = frozenset(
    {
        "checksum-lower",
        "checksum-null",
        "checksum-upper",
        "hidden",
        "length-32",
        "length-none",
        "missing-properties",
        "next-missing",
        "octet-stream",
        "range-refused",
        "size-text",
        "size-unknown",
        "size-zero",
        "too-large",
        "trace-forged",
        "trace-missing",
        "trace-other",
        "xml-asset",
        "zipped-late",
    }
)
"""Faults that a product has or has not, for good; the others strike at most `limit` times per product."""


class FaultPlan:
    """Decides when faults strike.

    Args:
        rates: Probability by fault name.
        seed: Seed of the decisions.
        limit: Times that a passing fault strikes the same product at most, so that a patient client gets everything.

    Raises:
        ValueError: Unknown name, or a rate outside 0 to 1.
    """

    def __init__(self, rates: Mapping[str, float], *, seed: int = 1, limit: int = 2) -> None:
        for name, rate in rates.items():
            if name not in FAULTS:
                raise ValueError(f"unknown fault {name!r}, known: {', '.join(FAULTS)}")
            if not 0 <= rate <= 1:
                raise ValueError(f"rate of fault {name!r} must be from 0 to 1, not {rate}")
        self._rates = dict(rates)
        self._seed = seed
        self._limit = limit
        self._tries: Counter[tuple[str, str]] = Counter()
        self._hits: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def strikes(self, fault: str, key: str) -> bool:
        """Return whether a fault strikes `key` (a product name, a query) this time."""
        if not self._rates.get(fault):
            return False
        if fault in LASTING:
            return self._draw(fault, key, 0)
        with self._lock:
            self._tries[fault, key] += 1
            hit = self._hits[fault, key] < self._limit and self._draw(fault, key, self._tries[fault, key])
            self._hits[fault, key] += hit
        return hit

    def position(self, fault: str, key: str, length: int) -> int:
        """Return where in `length` bytes the fault strikes: at least 0, below `length`."""
        return self._rng(f"{fault}:{key}:at:{self._tries[fault, key]}").randrange(max(1, length))

    def hits(self) -> Mapping[str, int]:
        """Return how often each passing fault has struck."""
        total: Counter[str] = Counter()
        with self._lock:
            for (fault, _), number in self._hits.items():
                total[fault] += number
        return dict(total)

    def _draw(self, fault: str, key: str, number: int) -> bool:
        return self._rng(f"{fault}:{key}:{number}").random() < self._rates[fault]

    def _rng(self, text: str) -> random.Random:
        return random.Random(f"{self._seed}:{text}")
