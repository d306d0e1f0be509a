"""Extract: a verified zip goes in, a folder `NAME.SAFE` comes out and the zip is removed.

Nothing is unpacked to where it will stand: the folder gets its name when it is complete, by one rename.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from anyio import to_thread

from pepsasync.errors import ExtractError
from pepsasync.io.blocks import BLOCK
from pepsasync.io.files import disk_errors, make_way, remove_tree, sync
from pepsasync.io.zips import open_zip, zip_damage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pepsasync.io.shelf import Shelf
    from pepsasync.model import Product

LARGEST_RATIO = 200
"""Unpacked bytes for one packed byte; Sentinel products stay under 10, zip bombs above 1,000."""

LARGEST_UNPACKED = 1 << 40
"""Bytes of one unpacked product: far above any, far below a disk filled by mistake."""

MOST_MEMBERS = 200_000

DEEPEST = 100
"""Folders in each other; those of Sentinel products stay under 10."""

_NAME_REFUSED = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
"""What the system says to a member whose name no disk takes, or whose folder is a file."""


async def extract(product: Product, shelf: Shelf) -> Path:
    """Unpack a product's zip into its folder, then remove the zip.

    Raises:
        ExtractError: The zip holds absolute names, `..`, links, names that the disk does not take, or unpacks to too
            much; the zip stays.
        DiskFullError, ConfigError: The folder cannot be written; the zip stays.

    Cancellation: waits for the file being written; the half-unpacked folder is removed by the next run.
    """
    return await to_thread.run_sync(unpack, product, shelf)


def unpack(product: Product, shelf: Shelf) -> Path:
    """The blocking work of `extract`."""
    zipped, scratch, final = shelf.zip_path(product), shelf.unpack_path(product), shelf.folder_path(product)
    with disk_errors(scratch):
        for place in (shelf.unpacking, scratch):
            make_way(place, shelf.tell, is_folder=True)
    remove_tree(scratch)
    try:
        with disk_errors(final), open_zip(zipped) as archive:
            members = _safe_members(product, archive, zipped.stat().st_size)
            scratch.mkdir(parents=True)
            for info in members:
                with _refused_names(product, info):
                    _write_member(archive, info, scratch)
            whole = _single_folder(scratch)
            for folder, _, _ in os.walk(whole):
                sync(Path(folder))
            if final.exists():
                remove_tree(final)
            whole.rename(final)
            sync(final.parent)
            zipped.unlink()
    except zipfile.BadZipFile as error:
        raise ExtractError(f"cannot unpack: {error}", product=product.name, hint="The zip was kept") from error
    finally:
        remove_tree(scratch)
    return final


def _safe_members(product: Product, archive: zipfile.ZipFile, packed: int) -> Sequence[zipfile.ZipInfo]:
    members = archive.infolist()
    total = sum(info.file_size for info in members)
    trouble = next((text for info in members if (text := unsafe_member(info))), None)
    if len({info.filename.rstrip("/") for info in members}) < len(members):
        trouble = "two members of one name"
    elif len(members) > MOST_MEMBERS:
        trouble = f"{len(members):,} members"
    elif total > min(LARGEST_UNPACKED, max(packed, 1) * LARGEST_RATIO):
        trouble = f"{packed:,} bytes that unpack to {total:,}"
    if trouble:
        raise ExtractError(
            f"unsafe zip: {trouble}", product=product.name, hint="The zip was kept, nothing was unpacked"
        )
    return members


def unsafe_member(info: zipfile.ZipInfo) -> str | None:
    """Say why a member must not be written, None when it may.

    Args:
        info: From the central directory of the zip.
    """
    name = info.filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or "\0" in info.orig_filename or (len(name) > 1 and name[1] == ":"):
        return f"absolute or foreign name {name!r}"
    if ".." in parts or not parts:
        return f"name {name!r} leaves the folder"
    if len(parts) > DEEPEST:
        return f"{len(parts):,} folders in each other"
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return f"{name!r} is a link or a special file"
    return None


@contextlib.contextmanager
def _refused_names(product: Product, info: zipfile.ZipInfo) -> Iterator[None]:
    """Tell what is wrong with this zip from what is wrong with the folder, which the next product would meet, too."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NAME_REFUSED:
            raise
        what = f"cannot unpack {info.filename[:100]!r}: {error.strerror}"
        raise ExtractError(what, product=product.name, hint="The zip was kept") from error


def _write_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    target = folder.joinpath(*PurePosixPath(info.filename).parts)
    with zip_damage():
        source = archive.open(info)  # first: it knows a damaged name, also of a folder
    with source:
        if info.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            while block := _read_block(source):
                out.write(block)
            out.flush()
            os.fsync(out.fileno())


def _read_block(source: IO[bytes]) -> bytes:
    with zip_damage():
        return source.read(BLOCK)


def _single_folder(scratch: Path) -> Path:
    """The one folder at the top of the zip, else the whole."""
    entries = list(scratch.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else scratch
