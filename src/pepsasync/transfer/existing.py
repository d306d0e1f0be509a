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
    partial_of,
    read_note,
    remember,
    remember_folder,
    remember_partial,
)
from pepsasync.transfer.verify import check_size, check_zip

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import anyio

    from pepsasync.folder.layout import Folder
    from pepsasync.model import FinalName, Product
    from pepsasync.query.members import Selection


@dataclass(frozen=True, slots=True)
class Existing:
    """What already stands under a final name."""

    path: FinalName | None
    """Of a complete and verified zip or folder, None when there is none."""
    wrong: str | None = None
    """Why a zip of that name cannot be trusted; it will be replaced."""
    bytes: int = 0
    is_folder: bool = False
    members: tuple[str, ...] | None = None
    """Of a folder that holds some members, those that were asked for; None for whole products."""


async def find_absent(products: Iterable[Product], folder: Folder) -> frozenset[str]:
    """Names of products of which nothing is there: most are quickly known, all at once, to need no closer look."""

    def work() -> frozenset[str]:
        return frozenset(product.name for product in products if _is_absent(product, folder))

    return await to_thread.run_sync(work)


async def find_existing(
    product: Product,
    folder: Folder,
    *,
    extract: bool,
    selection: Selection | None = None,
    limiter: anyio.CapacityLimiter | None = None,
) -> Existing:
    """Look for a product that is already there and right.

    A folder counts whether or not `extract` was asked for; a zip counts in both cases too, and is unpacked by the
    caller. A zip that pepsasync did not verify itself is hashed once. Of some members, a folder counts that has them.

    Raises:
        DeliveryError: What stands under a final name is neither a zip nor a folder, but a link or the like.
        PepsasyncError: The folder cannot be read.
    """

    def work() -> Existing:
        folder.check_names(product.name)
        existing = _look(product, folder, extract, selection)
        if existing.path is not None:
            folder.discard_part(product)  # left by a run that was killed after the rename
        return existing

    return await to_thread.run_sync(work, limiter=limiter)


def is_here(product: Product, folder: Folder, selection: Selection | None = None) -> bool:
    """Whether a product, or what is selected of it, is there and known to be right, without reading it.

    Blocks for a moment.
    """
    unpacked, zipped = folder.folder_path(product), folder.zip_path(product)
    try:
        folder.check_names(product.name)
    except PepsasyncError:
        return False
    files = [path for path in (zipped, folder.file_path(product)) if path is not None]
    return _is_wanted_folder(unpacked, folder, selection, may_read=False) or any(
        is_remembered(product, path, folder) for path in files
    )


def stands(name: str, folder: Folder, put: str | None = None) -> bool:
    """Whether a product that was delivered is there still, as far as sizes and times tell; blocks for a moment.

    Where it is not noted any more what was verified, only reading could tell, as the next run does: it does not count.

    Args:
        name: Of the product.
        folder: Where it should stand.
        put: Where the journal says that it was put: some members do not pass for a file.
    """
    if was_whole(put) and is_partial(name, folder):
        return False
    zipped, unpacked, *single = folder.final_paths(name)
    is_there = any(_is_noted_file(path, folder) for path in (zipped, *single))
    return is_there or _is_right_folder(unpacked, folder, may_read=False)


def was_whole(put: str | None) -> bool:
    """Whether the journal says that a product was put as one file, so that a folder with some members is less."""
    return bool(put) and not str(put).endswith(".SAFE")


def is_partial(name: str, folder: Folder) -> bool:
    """Whether a folder with some members is all that is here of a product; blocks for a moment."""
    zipped, unpacked, *single = folder.final_paths(name)
    if partial_of(unpacked, folder) is None:
        return False
    return not any(_is_noted_file(path, folder) for path in (zipped, *single))


def _is_noted_file(path: Path, folder: Folder) -> bool:
    """Whether a file is as it was when it was found right."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    note = read_note(path, folder)
    is_right = (note.get("bytes"), note.get("mtime_ns")) == (found.st_size, found.st_mtime_ns) and "wrong" not in note
    return stat.S_ISREG(found.st_mode) and is_right


def holds(name: str, folder: Folder, selection: Selection | None) -> bool:
    """Whether a product that stands is noted to be whole, or to hold what is selected; blocks for a moment."""
    zipped, unpacked, *single = folder.final_paths(name)
    return any(path.exists() for path in (zipped, *single)) or _has_selected(unpacked, folder, selection)


def _is_absent(product: Product, folder: Folder) -> bool:
    try:
        return not any(map(_stands, folder.final_paths(product.name)))
    except OSError:
        return False  # a closer look will tell


def _stands(path: Path) -> bool:
    """Whether anything has this name, be it a link to nowhere."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _look(product: Product, folder: Folder, extract: bool, selection: Selection | None) -> Existing:
    unpacked, zipped = folder.folder_path(product), folder.zip_path(product)
    if (extract or not zipped.exists()) and _is_wanted_folder(unpacked, folder, selection, may_read=True):
        partial = partial_of(unpacked, folder)
        if selection is None or partial is None:
            return Existing(unpacked, bytes=product.size or 0, is_folder=True)
        chosen = selection.chosen(partial.everything)
        size = sum(partial.everything[path][0] for path in chosen)
        return Existing(unpacked, bytes=size, is_folder=True, members=chosen)
    if zipped.is_file():
        return _look_at_file(product, zipped, folder, is_zip=True)
    single = folder.file_path(product)
    if single is not None and single.is_file():
        return _look_at_file(product, single, folder, is_zip=False)
    return Existing(None)


def _look_at_file(product: Product, path: Path, folder: Folder, *, is_zip: bool) -> Existing:
    """Look at a product that is one file. Only size and checksum can tell whether one is right that is no zip."""
    with disk_errors(path):
        length = path.stat().st_size
    if is_remembered(product, path, folder):
        return Existing(path, bytes=length)
    try:
        check_size(product, length)
        _check_digest(product, path, length)
        if is_zip:
            check_zip(product, path, every_member=product.checksum is None)
    except IntegrityError as error:
        return Existing(None, wrong=error.message)
    if not is_zip and product.exact_size is None and product.checksum is None:
        return Existing(None, wrong="neither its size nor a checksum is known")
    remember(product, path, folder)
    return Existing(path, bytes=length)


def _check_digest(product: Product, path: Path, length: int) -> None:
    if product.checksum is None:
        return
    found = digest_file(path, product.checksum.algorithm, length).hexdigest()
    if found != product.checksum.value:
        raise IntegrityError(f"its checksum is {found}, the archive announced {product.checksum}", product=product.name)


def _is_wanted_folder(unpacked: Path, folder: Folder, selection: Selection | None, *, may_read: bool) -> bool:
    """Whether a folder is right, and holds all of its product, or what is selected of it."""
    return _has_selected(unpacked, folder, selection) and _is_right_folder(unpacked, folder, may_read=may_read)


def _has_selected(unpacked: Path, folder: Folder, selection: Selection | None) -> bool:
    """Whether a folder is noted to hold all of its product, or what is selected of it."""
    partial = partial_of(unpacked, folder)
    if partial is None:
        return True
    chosen = selection.chosen(partial.everything) if selection else ()
    return bool(chosen) and members_of(unpacked, folder).keys() >= set(chosen)


def _is_right_folder(unpacked: Path, folder: Folder, *, may_read: bool) -> bool:
    """Whether all that was unpacked is there; of a folder of which that is not noted, all that its manifest lists.

    A partial folder is right with the members that are noted to be in it.

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
            note = read_note(unpacked, folder)
            if "partial" in note:
                return False  # a killed run noted what it was about to bring
            if note.get("members") == {}:
                return True  # nothing but folders was unpacked
            return may_read and _is_whole_folder(unpacked, folder)
        touched = [name for name, member in members.items() if not member.is_untouched(unpacked / name)]
        if touched and not (may_read and all(members[name].is_same(unpacked / name) for name in touched)):
            return False
        if touched:
            source = str(read_note(unpacked, folder).get("source") or "")
            known = {name: (one.size, one.crc) for name, one in members.items()}
            if partial := partial_of(unpacked, folder):
                remember_partial(source, unpacked, known, partial, folder)
            else:
                remember_folder(source, unpacked, known, folder)
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
