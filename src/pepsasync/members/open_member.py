"""Files of a product that stays in its archive, to be listed, and to be read from threads."""

from __future__ import annotations

import io
import threading
import zipfile
from collections import OrderedDict
from concurrent.futures import CancelledError
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from anyio import to_thread

from pepsasync.errors import IntegrityError, NotFoundError
from pepsasync.members.remote_zip import NoRangesError, RemoteZip
from pepsasync.members.zip_members import HEADER, Run, Unpacker, content_begins
from pepsasync.model import Member
from pepsasync.providers.base import ServesFiles

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from pepsasync.members.zip_members import Entry
    from pepsasync.model import Product
    from pepsasync.transfer.context import ArchiveContext

PAGE = 1 << 20
"""Bytes that are fetched at once at least."""

PAGES_KEPT = 32
"""Pages of one file in memory."""

IN_MEMORY = 1 << 25
"""Bytes of a member that was compressed, up to which it is in memory; larger ones are in a temporary file."""


async def list_members(product: Product, archive: ArchiveContext) -> list[Member]:
    """Files of a product, as the directory of its zip lists them; see `Client.members`."""
    try:
        entries = await RemoteZip(product, archive).read_directory()
    except NoRangesError:
        if not isinstance(archive.provider, ServesFiles):
            raise
        files = await archive.provider.files(product)
        return [
            Member(path=path, size=size, packed_size=size, crc=None, is_packed=False) for path, size in files.items()
        ]
    return [
        Member(
            path=entry.path,
            size=entry.info.file_size,
            packed_size=entry.info.compress_size,
            crc=entry.info.CRC,
            is_packed=entry.info.compress_type != zipfile.ZIP_STORED,
        )
        for entry in entries.values()
    ]


async def open_member(
    product: Product, member: str | None, archive: ArchiveContext, portal: BlockingPortal
) -> BinaryIO:
    """A file of a product; see `Client.open`."""
    remote = RemoteZip(product, archive)
    entries = await remote.read_directory()
    raw: io.RawIOBase
    if member is None:
        raw = _Pages(remote, 0, remote.size or 0, portal)
    elif entry := entries.get(member):
        if entry.info.compress_type == zipfile.ZIP_STORED:
            raw = _Pages(remote, await _begin(remote, entry), entry.info.file_size, portal)
        else:
            raw = _Whole(remote, entry, portal)
    else:
        hint = f"'pepsasync ls {product.name}' lists its members"
        raise NotFoundError(f"it has no member {member!r}", product=product.name, hint=hint)
    return cast("BinaryIO", io.BufferedReader(raw))


async def _begin(remote: RemoteZip, entry: Entry) -> int:
    """First byte of the content of a member: its header is as long as it says itself."""
    header = bytearray()

    async def take(block: bytes) -> None:
        header.extend(block)

    await remote.fetch(entry.first, entry.first + HEADER, take)
    try:
        return content_begins(entry, bytes(header))
    except zipfile.BadZipFile as error:
        raise IntegrityError(str(error), product=remote.product.name) from error


class _Read(io.RawIOBase):
    """What readers of part of a remote file have in common: a place, and a way to the event loop.

    Several threads may use one file, one after the other.
    """

    def __init__(self, size: int, portal: BlockingPortal) -> None:
        self._size = size
        self._portal = portal
        self._at = 0
        self._lock = threading.Lock()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if place < 0:
            raise OSError(22, "negative position")
        self._at = place
        return place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        with self._lock:
            count = max(0, min(len(view), self._size - self._at))
            if count:
                view[:count] = self._bytes(self._at, self._at + count)
                self._at += count
        return count

    def _bytes(self, first: int, end: int) -> bytes:
        """Some bytes of the file; at least one, and none behind its end."""
        raise NotImplementedError

    def _call(self, *arguments: Any) -> Any:
        """Call into the event loop of the client and wait for what comes of it.

        Raises:
            RuntimeError: This is the thread of the event loop, or the client is closed, be it meanwhile.
        """
        try:
            return self._portal.call(*arguments)
        except CancelledError:  # the portal's own: this thread was not cancelled
            raise RuntimeError("the client of this file is closed") from None
        except RuntimeError as error:
            if "event loop thread" in str(error):
                raise RuntimeError(
                    "this file blocks: read it in a thread, as in await anyio.to_thread.run_sync(file.read)"
                ) from None
            if "not running" in str(error):
                raise RuntimeError("the client of this file is closed") from None
            raise


class _Pages(_Read):
    """A stretch of a remote zip that is stored as it is: pages of it are fetched as they are read."""

    def __init__(self, remote: RemoteZip, begin: int, size: int, portal: BlockingPortal) -> None:
        super().__init__(size, portal)
        self._remote = remote
        self._begin = begin
        self._pages: OrderedDict[int, bytes] = OrderedDict()

    def _bytes(self, first: int, end: int) -> bytes:
        numbers = range(first // PAGE, (end - 1) // PAGE + 1)
        pages = {number: self._pages[number] for number in numbers if number in self._pages}
        missing = [number for number in numbers if number not in pages]
        if missing:
            whole = self._call(self._fetch, missing[0] * PAGE, min((missing[-1] + 1) * PAGE, self._size))
            for number in range(missing[0], missing[-1] + 1):
                pages[number] = whole[(number - missing[0]) * PAGE : (number - missing[0] + 1) * PAGE]
        for number in numbers:
            self._pages[number] = pages[number]
            self._pages.move_to_end(number)
        while len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        content = b"".join(pages[number] for number in numbers)
        return content[first - numbers[0] * PAGE : end - numbers[0] * PAGE]

    async def _fetch(self, first: int, end: int) -> bytes:
        content = bytearray()

        async def take(block: bytes) -> None:
            content.extend(block)

        await self._remote.fetch(self._begin + first, self._begin + end, take)
        return bytes(content)


class _Whole(_Read):
    """A compressed member: it is fetched whole when it is first read, and compared with its CRC."""

    def __init__(self, remote: RemoteZip, entry: Entry, portal: BlockingPortal) -> None:
        super().__init__(entry.info.file_size, portal)
        self._remote = remote
        self._entry = entry
        self._content: SpooledTemporaryFile[bytes] | None = None

    def _bytes(self, first: int, end: int) -> bytes:
        if self._content is None:
            self._content = self._call(self._fetch)
        self._content.seek(first)
        return self._content.read(end - first)

    async def _fetch(self) -> SpooledTemporaryFile[bytes]:
        content = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with this file
        run = Run((self._entry,))
        unpacker = Unpacker(run, lambda _: cast("Any", content), lambda _: None)

        async def take(block: bytes) -> None:
            await to_thread.run_sync(unpacker.feed, block)

        try:
            await self._remote.fetch(run.first, run.end, take)
        except BaseException as error:
            content.close()
            if isinstance(error, zipfile.BadZipFile):
                raise IntegrityError(str(error), product=self._remote.product.name) from error
            raise
        return content

    def close(self) -> None:
        if self._content is not None:
            self._content.close()
        super().close()
