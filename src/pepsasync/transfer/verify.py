"""Verify: check all bytes of a product and give it its final name, or raise an `IntegrityError`."""

from __future__ import annotations

import contextlib
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from anyio import to_thread

from pepsasync.errors import IntegrityError
from pepsasync.folder.files import disk_errors
from pepsasync.folder.names import is_single_file
from pepsasync.folder.parts import stamp_of
from pepsasync.folder.zips import ZIP_START, check_end, open_zip, read_members
from pepsasync.transfer.digest import Digest, digest_file
from pepsasync.transfer.verified import remember

if TYPE_CHECKING:
    import anyio

    from pepsasync.folder.layout import Folder
    from pepsasync.model import Checksum, Product
    from pepsasync.transfer.part import Part


async def verify_and_promote(part: Part, folder: Folder, limiter: anyio.CapacityLimiter | None = None) -> Path:
    """Check size, checksum and zip structure of a product, give it its final name, and note that it is right.

    The checksum of a part was computed while the bytes came, and is computed again when somebody else has written to
    it; that of a small product is computed here. When the archive announced none, every member of the zip is read and
    its CRC checked instead.

    Args:
        part: Complete.
        folder: Where it is named.
        limiter: Of the threads that do this.

    Returns:
        `DIR/NAME.zip`, on the disk; `DIR/NAME` of a product that is one file and no zip.

    Raises:
        IntegrityError: Something is wrong; the part is still there.
        DiskFullError, ConfigError, TransferError: The disk failed.

    Cancellation: the rename is done or not done; nothing in between. A disk that takes long to take the bytes of a part
    is not waited for.
    """
    if part.memory is None:
        await to_thread.run_sync(folder.sync_part, part.product, limiter=limiter, abandon_on_cancel=True)
    return await to_thread.run_sync(_verify_and_promote, part, folder, limiter=limiter)


def _verify_and_promote(part: Part, folder: Folder) -> Path:
    product, body = part.product, part.memory
    if body is None:
        with part.on_disk():
            stamp = stamp_of(part.path)
        check_size(product, stamp.size)
        if stamp.size != part.received:
            raise IntegrityError(
                f"its part has {stamp.size:,} bytes, {part.received:,} were received: another program has changed it",
                product=product.name,
            )
        found = part.checksum() if stamp == part.stamp else None
        if product.checksum is not None and found is None:  # others have written to it
            value = digest_file(part.path, product.checksum.algorithm, stamp.size).hexdigest()
            found = replace(product.checksum, value=value or "")
    else:
        check_size(product, len(body))
        found = _checksum_of(body, product.checksum)
    if product.checksum is not None and found != product.checksum:
        raise IntegrityError(f"checksum is {found}, the archive announced {product.checksum}", product=product.name)
    is_zip = not is_single_file(product.name) or _begins_as_zip(part)
    if is_zip:
        check_zip(product, part.path if body is None else BytesIO(body), product.checksum is None)
    final = folder.promote(product, stamp if body is None else body, is_zip=is_zip)
    remember(product, final, folder)
    return final


def _begins_as_zip(part: Part) -> bool:
    """Whether what came begins as zips do, whatever the product is called."""
    if part.memory is not None:
        return part.memory.startswith(ZIP_START)
    with part.on_disk(), part.path.open("rb") as file:
        return file.read(len(ZIP_START)) == ZIP_START


def _checksum_of(body: bytearray, announced: Checksum | None) -> Checksum | None:
    if announced is None:
        return None
    digest = Digest(announced.algorithm)
    digest.update(body)
    return replace(announced, value=digest.hexdigest() or "")


def check_size(product: Product, length: int) -> None:
    """Compare a number of bytes with what the archive announced.

    Raises:
        IntegrityError: They differ.
    """
    size = product.exact_size
    if size is not None and length != size:
        raise IntegrityError(f"{length:,} bytes instead of {size:,}", product=product.name)


def check_zip(product: Product, zipped: Path | BinaryIO, every_member: bool) -> None:
    """Open a zip, and read all of it when asked to; blocks.

    Raises:
        IntegrityError: It is not a zip; or, when all of it is read, a member is damaged or something is behind its end.
        ConfigError, TransferError: It cannot be read.
    """
    reading = disk_errors(zipped) if isinstance(zipped, Path) else contextlib.nullcontext()
    try:
        with reading, open_zip(zipped) as archive:
            if every_member:
                check_end(archive)
                read_members(archive)
    except zipfile.BadZipFile as error:
        raise IntegrityError(f"not a readable zip: {error}", product=product.name) from error
