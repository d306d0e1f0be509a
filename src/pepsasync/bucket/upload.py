"""The bytes of one product on their way into a bucket: collected to parts, which a thread sends while more come.

Nothing of it is on the disk. In memory are the part that is being filled and the one that is being sent.
"""

from __future__ import annotations

import contextlib
import errno
import queue
import threading
from typing import TYPE_CHECKING

import anyio

from pepsasync.bucket.store import call
from pepsasync.errors import PepsasyncError, TransferError
from pepsasync.folder.zips import LONGEST_END, is_end
from pepsasync.text import reason
from pepsasync.transfer.division import Division
from pepsasync.transfer.incoming import Incoming
from pepsasync.transfer.part import is_small

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pepsasync.bucket.store import Object, SentPart, Store
    from pepsasync.folder.layout import PartNote
    from pepsasync.model import Product
    from pepsasync.transfer.division import Segment

PART = 16 << 20
"""Bytes of a part. A killed run loses what it has not sent: two parts of each product at most."""

MOST_PARTS = 10_000
"""Of an upload (S3 user guide, "Amazon S3 multipart upload limits")."""

LOOK_INTERVAL = 0.02
"""Seconds between two looks whether there is room."""


def part_size(product: Product) -> int:
    """Bytes of each part but the last: more than `PART` only for products that had too many parts otherwise."""
    needed = -(-(product.size or 0) * 11 // (10 * (MOST_PARTS - 1)))  # sizes in catalogues may be rounded
    return max(PART, -(-needed >> 20) << 20)


class Upload(Incoming):
    """What is here of one product in a bucket. Opened by `BucketDestination.incoming`.

    Args:
        product: Whose bytes.
        note: Which file they belong to.
        store: Of the bucket.
        key: Of its unfinished upload.
        hold: Awaited when all of it is in memory, and stays there until it is verified.
    """

    takes_several = False

    def __init__(
        self,
        product: Product,
        note: PartNote,
        store: Store,
        key: str,
        hold: Callable[[Upload], Awaitable[None]],
    ) -> None:
        super().__init__(product, note, is_in_memory=is_small(product))
        self.key = key
        self.staged: Object | None = None
        """All of it, when an earlier run was ended before it was verified."""
        self._hold = hold
        self._store = store
        self._size = part_size(product)
        self._buffer = bytearray()
        self._tail = b""
        self._sender = Sender(store, key)

    def take_up(self, *, staged: Object | None = None, upload: str = "", parts: tuple[SentPart, ...] = ()) -> None:
        """Go on with what an earlier run has left.

        Args:
            staged: All of it.
            upload: Id of an unfinished upload.
            parts: Of it, from the first on without a gap.
        """
        length = staged.size if staged else sum(part.size for part in parts)
        self.staged = staged
        self._sender = Sender(self._store, self.key, upload, parts)
        self.division = Division(self.product.exact_size, [(0, length)] if length else [])
        if staged and self.division.size is None:
            self.division.set_size(length)
        self._present = length

    @property
    def is_hashing(self) -> bool:
        """See `Incoming.is_hashing`: not behind parts of an earlier run, of which the digest knows nothing."""
        return self._algorithm is not None and self._digest.length == self.division.front

    @property
    def body(self) -> bytearray | None:
        """All bytes, while nothing of them was sent; else None."""
        if self.memory is not None:
            return self.memory
        return None if self.staged or self._sender.is_used else self._buffer

    @property
    def hashed(self) -> str | None:
        """Digits of the checksum when every byte was hashed as it came; else None."""
        return self._digest.hexdigest() if self._digest.length == self.division.front else None

    @property
    def sent(self) -> tuple[str, tuple[SentPart, ...]]:
        """Id of the upload, and its parts; to be asked when it is complete."""
        return self._sender.upload, tuple(self._sender.parts)

    def writer(self, segment: Segment) -> UploadWriter:
        """See `Incoming.writer`."""
        return UploadWriter(self, segment)

    def ends_as_zip(self) -> bool:
        """See `Incoming.ends_as_zip`."""
        return is_end(self.memory if self.memory is not None else self._tail)

    async def hash_what_is_here(self) -> None:
        """Nothing: parts cannot be read before they are an object; it is read then, see `finish`."""

    async def wait_for_room(self) -> None:
        """See `Incoming.wait_for_room`."""
        while not self._sender.has_room.is_set():  # noqa: ASYNC110 - a thread sets it
            await anyio.sleep(LOOK_INTERVAL)

    async def flush(self) -> None:
        """See `Incoming.flush`: send the last part, if others were sent."""
        if self.memory is not None or self.staged:
            return
        if self.body is not None:
            await self._hold(self)
            return
        if self._buffer:
            self._sender.put(self._buffer)
            self._buffer = bytearray()
        while not self._sender.is_idle:  # noqa: ASYNC110 - as above
            await anyio.sleep(LOOK_INTERVAL)
        self._sender.check()

    async def _keep_note(self) -> None:
        """Nothing: without a checksum a later run begins anew."""

    async def _begin_anew(self) -> None:
        self.close()
        await call(give_up, self._store, self.key, self._sender.upload)
        self.staged, self._buffer, self._tail = None, bytearray(), b""
        self._sender = Sender(self._store, self.key)

    def close(self) -> None:
        """Have the sending thread end after its part; nothing waits for it."""
        self._sender.close()

    def take(self, division: Division, segment: Segment, block: memoryview) -> int:
        """Take a block behind what is in a segment; see `Writer.write`."""
        start = segment.filled
        block = block[: max(0, segment.end - start)]
        with self._writing:
            if division is not self.division:
                raise OSError(errno.EBUSY, "the upload was restarted by another connection")
            if start != division.front:
                raise OSError(errno.EINVAL, f"bytes from {start:,} on, where {division.front:,} are here")
            self._sender.check()
            left = block
            while left:
                room = self._size - len(self._buffer)
                self._buffer += left[:room]
                left = left[room:]
                # The last byte may be in it: a product of one part is never sent before it is verified.
                if len(self._buffer) == self._size and start + len(block) != self.division.size:
                    self._sender.put(self._buffer)
                    self._buffer = bytearray()
            self._tail = (self._tail + bytes(block[-LONGEST_END:]))[-LONGEST_END:]
            segment.written += len(block)
        return len(block)

    def wait(self, must_stop: Callable[[], bool]) -> None:
        """See `Writer.wait_for_room`."""
        while not (self._sender.has_room.wait(LOOK_INTERVAL) or must_stop()):
            pass


class UploadWriter:
    """See `transfer.incoming.Writer`.

    Args:
        upload: Of which product.
        segment: Counts what was taken.
    """

    def __init__(self, upload: Upload, segment: Segment) -> None:
        self.segment = segment
        self._upload = upload
        self._division = upload.division

    def wait_for_room(self, must_stop: Callable[[], bool]) -> None:
        """While one part is sent, the next is filled; then there is no room."""
        self._upload.wait(must_stop)

    def write(self, block: memoryview, *, may_be_direct: bool = False) -> int:  # noqa: ARG002 - of disks
        """Take a block behind what was taken, up to the end of the segment."""
        return self._upload.take(self._division, self.segment, block)

    def hash(self, end: int, block: memoryview) -> None:
        """Hash a block that was taken, if it is the next one."""
        self._upload.hash(self._division, end - len(block), block)

    def explain(self, error: OSError) -> PepsasyncError:
        """Our error for one of `write`."""
        return TransferError(f"the upload cannot go on: {error.strerror}", product=self._upload.product.name)

    def close(self) -> None:
        """Nothing: the rest stays in memory for the next connection."""


class Sender:
    """Sends the parts of one upload in their order, in a thread of its own that nobody waits for.

    Args:
        store: Of the bucket.
        key: Of the upload.
        upload: Its id; empty when it is still to be begun, before the first part.
        parts: That it has.
    """

    def __init__(self, store: Store, key: str, upload: str = "", parts: tuple[SentPart, ...] = ()) -> None:
        self.upload = upload
        self.parts = [*parts]
        self.has_room = threading.Event()
        """Set while no more than one part waits or is sent."""
        self.has_room.set()
        self._store, self._key = store, key
        self._waiting: queue.SimpleQueue[bytearray | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open = 0
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._failure: PepsasyncError | None = None

    @property
    def is_used(self) -> bool:
        """Whether any part was sent, or is to be."""
        return bool(self.parts or self._thread)

    @property
    def is_idle(self) -> bool:
        """Whether every part was sent, or one has failed."""
        return self._open == 0 or self._failure is not None

    def check(self) -> None:
        """Raise what went wrong.

        Raises:
            PepsasyncError: A part could not be sent.
        """
        if self._failure is not None:
            raise self._failure

    def put(self, body: bytearray) -> None:
        """Send a part soon; it is not changed any more.

        Raises:
            RuntimeError: There is no thread to be had.
        """
        with self._lock:
            self._open += 1
            if self._open > 1:
                self.has_room.clear()
        self._waiting.put(body)
        if self._thread is None:
            thread = threading.Thread(target=self._run, daemon=True, name="pepsasync upload")
            thread.start()
            self._thread = thread

    def close(self) -> None:
        """Send nothing more after the part that is under way."""
        self._is_closed = True
        self._waiting.put(None)

    def _run(self) -> None:
        try:
            while (body := self._waiting.get()) is not None and not self._is_closed:
                if not self.upload:
                    self.upload = self._store.begin(self._key)
                self.parts.append(self._store.send(self._key, self.upload, len(self.parts) + 1, body))
                with self._lock:
                    self._open -= 1
                    self.has_room.set()
        except PepsasyncError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - whatever it was: others wait for this thread
            self._failure = TransferError(f"a thread of the upload failed: {reason(error)}")
        finally:
            self.has_room.set()  # who waits is to see the failure


def give_up(store: Store, key: str, upload: str = "") -> None:
    """Remove what is unfinished under a key; blocks.

    Raises:
        PepsasyncError: The store does not let us.
    """
    if upload:
        with contextlib.suppress(TransferError):
            store.abort(key, upload)
    store.remove(key)
