"""Hash functions by name: those of Python, and BLAKE3 where its package can be imported."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pepsasync.model import Checksum

RATES = {"blake3": 6020, "sha1": 1880, "sha256": 1780, "sha512": 850, "md5": 740, "sha3_256": 500}
"""MB/s of one core (x86-64 with AVX-512 and SHA instructions, OpenSSL 3.0, blocks of 1 MiB); others come behind.

Only the order counts. `benchmarks/hashes.py` measures them.
"""


class Hash(Protocol):
    """What hash objects of all libraries have in common."""

    def update(self, block: bytes | bytearray | memoryview, /) -> object:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Hexadecimal digits, lower case."""


def new_hash(algorithm: str) -> Hash:
    """Begin a hash.

    Args:
        algorithm: `blake3`, or as hashlib names it.

    Raises:
        ValueError: Nothing here can compute it.
    """
    if algorithm == "blake3" and (blake3 := _blake3()):
        return blake3()
    return hashlib.new(algorithm, usedforsecurity=False)


def is_computable(algorithm: str) -> bool:
    """Whether something here can compute it."""
    return _blake3() is not None if algorithm == "blake3" else algorithm in hashlib.algorithms_available


def fastest(checksums: Iterable[Checksum]) -> Checksum | None:
    """The one of several checksums of a file that is computed in the shortest time; None when none can be computed."""
    computable = [checksum for checksum in checksums if is_computable(checksum.algorithm)]
    return max(computable, key=lambda checksum: RATES.get(checksum.algorithm, 0), default=None)


@functools.cache
def _blake3() -> Callable[[], Hash] | None:
    """The package has no wheel for some rare machines; the other checksum of the archive serves there."""
    try:
        from blake3 import blake3  # noqa: PLC0415 - for products only, and where it can be imported
    except ImportError:
        return None
    return blake3
