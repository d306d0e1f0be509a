"""Verify: all bytes of a product go in; they leave with their final name, or as an `IntegrityError`."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.errors import IntegrityError, PepsasyncError
from pepsasync.folder.files import disk_error, disk_errors, sync
from pepsasync.folder.parts import stamp_of
from pepsasync.folder.zips import check_end, open_zip, read_members
from pepsasync.model import Checksum
from pepsasync.transfer.batches import Batches
from pepsasync.transfer.blocks import digest_file
from pepsasync.transfer.verified import remember

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pepsasync.folder.layout import Folder
    from pepsasync.model import Product
    from pepsasync.transfer.line import Line
    from pepsasync.transfer.old_transfer import Received

THREADS = 2
"""That verify small products: one waits for the disk while the other hashes."""

BATCH = 16
"""Small products that are verified together, at most; as many may wait, in memory, before no more are asked for."""


@dataclass(frozen=True, slots=True)
class SmallProduct:
    """A product in memory, on its way to its folder."""

    product: Product
    body: bytes
    shelf: Folder


async def verify(product: Product, received: Received, line: Line) -> Path:
    """Check size, checksum and zip structure of what came, give it its final name, and remember that it is right.

    The checksum of a part was computed while the bytes came, and is computed again when somebody else has written to
    it; that of a small product is computed here. When the archive announced none, every member of the zip is read and
    its CRC checked instead.

    Returns:
        `DIR/NAME.zip`, on the disk.

    Raises:
        IntegrityError: Something is wrong; the part is still there.
        DiskFullError, ConfigError, TransferError: A small product cannot be written.

    Cancellation: reading ends at the next block; the rename is done or not done, nothing in between.
    """
    if received.body is not None:
        return await line.slots.small.do(SmallProduct(product, received.body, line.shelf))
    return await to_thread.run_sync(_verify_part, product, received, line.shelf)


def small_products() -> Batches[SmallProduct, Path]:
    """Verifies small products, many at a time."""
    return Batches(_verify_small, threads=THREADS, most=BATCH)


def _verify_part(product: Product, received: Received, shelf: Folder) -> Path:
    part = shelf.part_path(product)
    with disk_errors(part):
        stamp = stamp_of(part)
    check_size(product, stamp.size)
    if stamp.size != received.length:
        raise IntegrityError(
            f"{stamp.size:,} bytes are in its part, {received.length:,} came: another program has changed it",
            product=product.name,
        )
    found = received.checksum
    if product.checksum is not None and stamp != received.stamp:  # others have written to it
        value = digest_file(part, product.checksum.algorithm, stamp.size).hexdigest()
        found = replace(product.checksum, value=value or "")
    _check_checksum(product, found)
    check_zip(product, part, product.checksum is None)
    final = shelf.promote(product, stamp)
    remember(product, final, shelf)
    return final


def _verify_small(batch: Sequence[SmallProduct]) -> list[Path | PepsasyncError]:
    """Verify and store; the names are forced to the disk together, which takes as long as for one."""
    outcomes: list[Path | PepsasyncError] = []
    for small in batch:
        try:
            outcomes.append(_store(small))
        except PepsasyncError as error:
            outcomes.append(error)
    try:
        for directory in {small.shelf.directory for small in batch}:
            sync(directory)
    except OSError as error:
        return [outcome if isinstance(outcome, PepsasyncError) else disk_error(outcome, error) for outcome in outcomes]
    for small, outcome in zip(batch, outcomes, strict=True):
        if not isinstance(outcome, PepsasyncError):
            remember(small.product, outcome, small.shelf)
    return outcomes


def _store(small: SmallProduct) -> Path:
    product, body = small.product, small.body
    check_size(product, len(body))
    _check_checksum(product, _checksum_of(body, product))
    check_zip(product, BytesIO(body), product.checksum is None)
    return small.shelf.store(product, body)


def _checksum_of(body: bytes, product: Product) -> Checksum | None:
    algorithm = product.checksum.algorithm if product.checksum else None
    return Checksum(algorithm, hashlib.new(algorithm, body, usedforsecurity=False).hexdigest()) if algorithm else None


def check_size(product: Product, length: int) -> None:
    """Compare a number of bytes with what the archive announced.

    Raises:
        IntegrityError: They differ.
    """
    size = product.exact_size
    if size is not None and length != size:
        raise IntegrityError(f"{length:,} bytes instead of {size:,}", product=product.name)


def _check_checksum(product: Product, found: Checksum | None) -> None:
    if product.checksum is not None and found != product.checksum:
        raise IntegrityError(f"checksum is {found}, the archive announced {product.checksum}", product=product.name)


def check_zip(product: Product, zipped: Path | BytesIO, every_member: bool) -> None:
    """Open a zip, and read all of it when asked to; blocks.

    Raises:
        IntegrityError: It is not a zip; or, when all of it is read, a member is damaged or something is behind its end.
        ConfigError, TransferError: It cannot be read.
    """
    reading = contextlib.nullcontext() if isinstance(zipped, BytesIO) else disk_errors(zipped)
    try:
        with reading, open_zip(zipped) as archive:
            if every_member:
                check_end(archive)
                read_members(archive)
    except zipfile.BadZipFile as error:
        raise IntegrityError(f"not a readable zip: {error}", product=product.name) from error
