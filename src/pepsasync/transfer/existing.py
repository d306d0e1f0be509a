"""What already stands under a final name, and whether it is right: the checks are those of a new download."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.errors import IntegrityError, PepsasyncError
from pepsasync.folder.files import disk_errors, foreign_member
from pepsasync.folder.zips import crc_of
from pepsasync.transfer.digest import digest_file
from pepsasync.transfer.manifest import MANIFESTS, listed_files, manifest_of
from pepsasync.transfer.verified import (
    is_marked_wrong,
    is_remembered,
    members_of,
    read_note,
    remember,
    remember_folder,
)
from pepsasync.transfer.verify import check_size, check_zip

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import anyio

    from pepsasync.folder.layout import Folder
    from pepsasync.model import Product


@dataclass(frozen=True, slots=True)
class Existing:
    """What already stands under a final name."""

    path: Path | None
    """A complete and verified zip or folder, None when there is none."""
    wrong: str | None = None
    """Why a zip of that name cannot be trusted; it will be replaced."""
    bytes: int = 0
    is_folder: bool = False


async def find_absent(products: Iterable[Product], folder: Folder) -> frozenset[str]:
    """Names of products of which nothing is there: most are quickly known, all at once, to need no closer look."""

    def work() -> frozenset[str]:
        return frozenset(product.name for product in products if _is_absent(product, folder))

    return await to_thread.run_sync(work)


async def find_existing(
    product: Product, folder: Folder, *, extract: bool, limiter: anyio.CapacityLimiter | None = None
) -> Existing:
    """Look for a product that is already there and right.

    A folder counts whether or not `extract` was asked for; a zip counts in both cases too, and is unpacked by the
    caller. A zip that pepsasync did not verify itself is hashed once.

    Raises:
        DeliveryError: What stands under a final name is neither a zip nor a folder, but a link or the like.
        PepsasyncError: The folder cannot be read.
    """

    def work() -> Existing:
        folder.check_names(product.name)
        existing = _look(product, folder, extract)
        if existing.path is not None:
            folder.discard_part(product)  # left by a run that was killed after the rename
        return existing

    return await to_thread.run_sync(work, limiter=limiter)


def is_here(product: Product, folder: Folder) -> bool:
    """Whether a product is there and known to be right, without reading it; blocks for a moment."""
    unpacked, zipped = folder.folder_path(product), folder.zip_path(product)
    try:
        folder.check_names(product.name)
    except PepsasyncError:
        return False
    return _is_right_folder(unpacked, folder, may_read=False) or is_remembered(product, zipped, folder)


def stands(name: str, folder: Folder) -> bool:
    """Whether a product that was delivered is there still, as far as sizes and times tell; blocks for a moment.

    Where it is not noted any more what was verified, only reading could tell, as the next run does: it does not count.

    Args:
        name: Of the product.
        folder: Where it should stand.
    """
    zipped, unpacked = folder.final_paths(name)
    try:
        found = os.lstat(zipped)
    except OSError:
        return _is_right_folder(unpacked, folder, may_read=False)
    note = read_note(zipped, folder)
    is_right = (note.get("bytes"), note.get("mtime_ns")) == (found.st_size, found.st_mtime_ns) and "wrong" not in note
    return (stat.S_ISREG(found.st_mode) and is_right) or _is_right_folder(unpacked, folder, may_read=False)


def _is_absent(product: Product, folder: Folder) -> bool:
    try:
        return not any(_stands(path) for path in (folder.zip_path(product), folder.folder_path(product)))
    except OSError:
        return False  # a closer look will tell


def _stands(path: Path) -> bool:
    """Whether anything has this name, be it a link to nowhere."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _look(product: Product, folder: Folder, extract: bool) -> Existing:
    unpacked, zipped = folder.folder_path(product), folder.zip_path(product)
    if (extract or not zipped.exists()) and _is_right_folder(unpacked, folder, may_read=True):
        return Existing(unpacked, bytes=product.size or 0, is_folder=True)
    if not zipped.is_file():
        return Existing(None)
    with disk_errors(zipped):
        length = zipped.stat().st_size
    if is_remembered(product, zipped, folder):
        return Existing(zipped, bytes=length)
    try:
        check_size(product, length)
        _check_digest(product, zipped, length)
        check_zip(product, zipped, every_member=product.checksum is None)
    except IntegrityError as error:
        return Existing(None, wrong=error.message)
    remember(product, zipped, folder)
    return Existing(zipped, bytes=length)


def _check_digest(product: Product, path: Path, length: int) -> None:
    if product.checksum is None:
        return
    found = digest_file(path, product.checksum.algorithm, length).hexdigest()
    if found != product.checksum.value:
        raise IntegrityError(f"its checksum is {found}, the archive announced {product.checksum}", product=product.name)


def _is_right_folder(unpacked: Path, folder: Folder, *, may_read: bool) -> bool:
    """Whether all that was unpacked is there; of a folder of which that is not noted, all that its manifest lists.

    Args:
        unpacked: Under its final name.
        folder: Where it stands.
        may_read: Whether files may be read; what only reading could tell counts as wrong otherwise.
    """
    try:
        if not unpacked.is_dir() or is_marked_wrong(unpacked, folder):
            return False
        members = members_of(unpacked, folder)
        if foreign_member(unpacked, members or MANIFESTS):
            return False
        if not members:
            if read_note(unpacked, folder).get("members") == {}:
                return True  # nothing but folders was unpacked
            return may_read and _is_whole_folder(unpacked, folder)
        touched = [name for name, member in members.items() if not member.is_untouched(unpacked / name)]
        if touched and not (may_read and all(members[name].is_same(unpacked / name) for name in touched)):
            return False
        if touched:
            source = str(read_note(unpacked, folder).get("source") or "")
            remember_folder(source, unpacked, {name: (one.size, one.crc) for name, one in members.items()}, folder)
    except (OSError, ValueError, PepsasyncError):  # it cannot be read, or lists what no disk takes
        return False
    return True


def _is_whole_folder(unpacked: Path, folder: Folder) -> bool:
    """Whether every file that the manifest lists is there with its size and checksum; reads all of them.

    What was found is noted, so that they are read once. A manifest that lists nothing tells nothing.

    Raises:
        OSError, ValueError, PepsasyncError: The folder cannot be looked into.
    """
    manifest = manifest_of(unpacked)
    if manifest is None:
        return False
    members: dict[str, tuple[int, int]] = {}
    for name, is_right in listed_files(unpacked, manifest):
        if not is_right:
            return False
        members[name] = (0, 0)
    if not members:
        return False
    for name in (*members, manifest.name):
        members[name] = ((unpacked / name).stat().st_size, crc_of(unpacked / name))
    remember_folder("", unpacked, members, folder, is_ours=False)
    return True
