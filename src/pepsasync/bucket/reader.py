"""An object as a binary file that can be searched: what is read comes by requests for ranges. Everything blocks."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pepsasync.bucket.store import TakenError
from pepsasync.errors import IntegrityError, TransferError
from pepsasync.transfer.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from pepsasync.bucket.store import Object, Store

AHEAD = 1 << 20
"""Bytes that a request asks for at least."""

AT_ONCE = 8 << 20
"""Bytes that are asked for at once when all of an object is read."""


class ObjectFile(io.RawIOBase):
    """An object that does not change.

    Args:
        store: Of its bucket.
        found: The object.
        ahead: Bytes that a request asks for at least.
        must_stop: Asked before each request.
    """

    def __init__(
        self, store: Store, found: Object, *, ahead: int = AHEAD, must_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._store, self._found, self._ahead, self._must_stop = store, found, ahead, must_stop
        self._position = 0
        self._start, self._block = 0, b""

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._found.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read as much as there is in one answer.

        Raises:
            TransferError: It cannot be read, or the work was cancelled.
        """
        room = memoryview(buffer).cast("B")
        length = min(len(room), self._found.size - self._position)
        if length <= 0:
            return 0
        begin = self._position - self._start
        if not 0 <= begin < len(self._block):
            self._fetch(length)
            begin = 0
        piece = self._block[begin : begin + length]
        room[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _fetch(self, length: int) -> None:
        if self._must_stop():
            raise TransferError("the work was cancelled")
        found = self._found
        wanted = min(max(length, self._ahead), found.size - self._position)
        try:
            self._block = self._store.read(found.key, self._position, wanted, found.etag)
        except TakenError:
            raise IntegrityError(
                "somebody else has written it meanwhile", url=self._store.address.url(found.key)
            ) from None
        self._start = self._position
        if not self._block:
            raise TransferError("the store sent nothing of it", url=self._store.address.url(found.key))


def digest_object(store: Store, found: Object, algorithm: str | None, must_stop: Callable[[], bool]) -> Digest:
    """Read all of an object and hash it.

    Raises:
        PepsasyncError: It cannot be read.
    """
    digest = Digest(algorithm)
    file = ObjectFile(store, found, ahead=AT_ONCE, must_stop=must_stop)
    block = memoryview(bytearray(AT_ONCE))
    while count := file.readinto(block):
        digest.update(block[:count])
    return digest
