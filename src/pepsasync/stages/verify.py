"""Verify: a complete part goes in; it leaves with its final name, or as an `IntegrityError`.

Also looks at what an earlier run left under a final name, with the same eyes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from anyio import to_thread

from pepsasync.errors import IntegrityError
from pepsasync.io.blocks import digest_file
from pepsasync.io.files import disk_errors, replace_text
from pepsasync.model import Checksum

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import anyio

    from pepsasync.io.files import Shelf
    from pepsasync.model import Product
    from pepsasync.stages.download import Received


async def verify(product: Product, received: Received, shelf: Shelf) -> Path:
    """Check size, checksum and zip structure of what came, give it its final name, and remember that it is right.

    The checksum of a part was computed while the bytes came, that of a small product is computed here. When the archive
    announced none, every member of the zip is read and its CRC checked instead.

    Returns:
        `DIR/NAME.zip`, on the disk.

    Raises:
        IntegrityError: Something is wrong; the part is still there.
        DiskFullError, ConfigError, TransferError: A small product cannot be written.

    Cancellation: the rename is done or not done; nothing in between.
    """
    return await to_thread.run_sync(_verify, product, received, shelf)


def _verify(product: Product, received: Received, shelf: Shelf) -> Path:
    _check_size(product, received.length)
    if received.body is None:
        _check_checksum(product, received.checksum)
        check_zip(product, shelf.part_path(product), product.checksum is None)
        final = shelf.promote(product)
    else:
        _check_checksum(product, _checksum_of(received.body, product))
        check_zip(product, BytesIO(received.body), product.checksum is None)
        final = shelf.store(product, received.body)
    remember(product, final, shelf)
    return final


def _checksum_of(body: bytes, product: Product) -> Checksum | None:
    algorithm = product.checksum.algorithm if product.checksum else None
    return Checksum(algorithm, hashlib.new(algorithm, body, usedforsecurity=False).hexdigest()) if algorithm else None


def _check_size(product: Product, length: int) -> None:
    if product.size is not None and length != product.size:
        raise IntegrityError(f"{length:,} bytes instead of {product.size:,}", product=product.name)


def _check_checksum(product: Product, found: Checksum | None) -> None:
    if product.checksum is not None and found != product.checksum:
        raise IntegrityError(f"checksum is {found}, the archive announced {product.checksum}", product=product.name)


def check_zip(product: Product, zipped: Path | BytesIO, every_member: bool) -> None:
    """Open a zip, and read all of it when asked to; blocks.

    Raises:
        IntegrityError: It is not a zip, or a member is damaged.
        ConfigError, TransferError: It cannot be read.
    """
    reading = contextlib.nullcontext() if isinstance(zipped, BytesIO) else disk_errors(zipped)
    try:
        with reading, zipfile.ZipFile(zipped) as archive:
            damaged = archive.testzip() if every_member else None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, zlib.error) as error:
        raise IntegrityError(f"not a readable zip: {error}", product=product.name) from error
    if damaged is not None:
        raise IntegrityError(f"member {damaged} is damaged", product=product.name)


@dataclass(frozen=True, slots=True)
class Present:
    """What already stands under a final name."""

    path: Path | None
    """A complete and verified zip or folder, None when there is none."""
    wrong: str | None = None
    """Why a zip of that name cannot be trusted; it will be replaced."""
    bytes: int = 0


async def find_absent(products: Iterable[Product], shelf: Shelf) -> frozenset[str]:
    """Names of products of which nothing is there: most are quickly known, all at once, to need no closer look."""

    def work() -> frozenset[str]:
        return frozenset(product.name for product in products if _is_absent(product, shelf))

    return await to_thread.run_sync(work)


async def find_present(
    product: Product, shelf: Shelf, *, extract: bool, limiter: anyio.CapacityLimiter | None = None
) -> Present:
    """Look for a product that is already there and right.

    A folder counts whether or not `extract` was asked for; a zip counts in both cases too, and is unpacked by the
    caller. A zip that pepsasync did not verify itself is hashed once.

    Raises:
        PepsasyncError: The folder cannot be read.
    """

    def work() -> Present:
        present = _look(product, shelf, extract)
        if present.path is not None:
            shelf.discard_part(product)  # left by a run that was killed after the rename
        return present

    return await to_thread.run_sync(work, limiter=limiter)


def is_here(product: Product, shelf: Shelf) -> bool:
    """Whether a product is there and known to be right, without reading it; blocks for a moment."""
    folder, zipped = shelf.folder_path(product), shelf.zip_path(product)
    return _is_right_folder(folder, shelf) or _is_remembered(product, zipped, shelf)


def _is_absent(product: Product, shelf: Shelf) -> bool:
    try:
        return not (shelf.zip_path(product).exists() or shelf.folder_path(product).exists())
    except OSError:
        return False  # a closer look will tell


def _look(product: Product, shelf: Shelf, extract: bool) -> Present:
    folder, zipped = shelf.folder_path(product), shelf.zip_path(product)
    if (extract or not zipped.exists()) and _is_right_folder(folder, shelf):
        return Present(folder, bytes=product.size or 0)
    if not zipped.is_file():
        return Present(None)
    with disk_errors(zipped):
        length = zipped.stat().st_size
    if _is_remembered(product, zipped, shelf):
        return Present(zipped, bytes=length)
    try:
        _check_size(product, length)
        _check_digest(product, zipped, length)
        check_zip(product, zipped, every_member=product.checksum is None)
    except IntegrityError as error:
        return Present(None, wrong=error.message)
    remember(product, zipped, shelf)
    return Present(zipped, bytes=length)


def _check_digest(product: Product, path: Path, length: int) -> None:
    if product.checksum is None:
        return
    found = digest_file(path, product.checksum.algorithm, length).hexdigest()
    if found != product.checksum.value:
        raise IntegrityError(f"its checksum is {found}, the archive announced {product.checksum}", product=product.name)


def remember(product: Product, path: Path, shelf: Shelf) -> None:
    """Note that a file was found right, so that it need not be hashed again while it is untouched; blocks."""
    stat = path.stat()
    record = {
        "bytes": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "checksum": str(product.checksum or ""),
        "source": product.provider,
    }
    with contextlib.suppress(OSError):  # the file is right without it; it would only be hashed once more
        replace_text(_record(path, shelf), json.dumps(record))


def _is_remembered(product: Product, path: Path, shelf: Shelf) -> bool:
    note = read_note(path, shelf)
    try:
        stat = path.stat()
    except OSError:
        return False
    if (note.get("bytes"), note.get("mtime_ns")) != (stat.st_size, stat.st_mtime_ns) or note.get("wrong"):
        return False
    if note.get("source") not in (None, product.provider):
        return True  # right as another archive has it: sizes and checksums of archives differ
    return note.get("checksum") == str(product.checksum or "") and product.size in (None, stat.st_size)


def distrust(path: Path, shelf: Shelf) -> None:
    """Note that what stands under a final name is wrong, so that the next run replaces it; blocks.

    What is known of the right file is kept, to compare with. What takes its place is not meant by the note.
    """
    _rewrite(path, shelf, read_note(path, shelf) | {"wrong": _stamp(path)})


def trust(path: Path, shelf: Shelf) -> None:
    """Take back what `distrust` has noted; blocks."""
    note = read_note(path, shelf)
    if note.pop("wrong", None):
        _rewrite(path, shelf, note)


def read_note(path: Path, shelf: Shelf) -> dict[str, Any]:
    """What is noted of a file or folder with a final name; empty when nothing is, or nobody can read it."""
    try:
        note = json.loads(_record(path, shelf).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _rewrite(path: Path, shelf: Shelf, note: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a folder that cannot be written is not filled by a next run either
        shelf.records.mkdir(parents=True, exist_ok=True)
        replace_text(_record(path, shelf), json.dumps(note))


def _stamp(path: Path) -> list[int]:
    """Tells what stands there now from what takes its place."""
    stat = path.stat()
    return [stat.st_ino, stat.st_mtime_ns]


def _record(path: Path, shelf: Shelf) -> Path:
    return shelf.records / f"{path.name}.json"


def _is_right_folder(folder: Path, shelf: Shelf) -> bool:
    return folder.is_dir() and read_note(folder, shelf).get("wrong") != _stamp(folder) and _is_whole_folder(folder)


def _is_whole_folder(folder: Path) -> bool:
    """Whether every file that the SAFE manifest lists is there with its size.

    A folder gets its name only when it is complete, so this guards against what others did to it since.
    """
    manifest = folder / "manifest.safe"
    try:
        root = ET.parse(manifest).getroot()  # noqa: S314 - written by us, from a verified zip
    except (OSError, ET.ParseError, LookupError, ValueError):  # the last two for encodings
        return False
    for stream in root.iter("byteStream"):
        location = stream.find("fileLocation")
        if location is None or not _has_size(folder, location.get("href", ""), stream.get("size")):
            return False
    return True


def _has_size(folder: Path, href: str, size: str | None) -> bool:
    path = folder / href.removeprefix("./")
    return path.is_file() and (size is None or not size.isdigit() or path.stat().st_size == int(size))
