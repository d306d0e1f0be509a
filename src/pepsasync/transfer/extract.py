"""Extract: a verified zip goes in, a folder `NAME.SAFE` comes out and the zip is removed. So it is with a tar or gzip.

Nothing is unpacked to where it will stand: the folder gets its name when it is complete, by one rename.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.errors import ExtractError
from pepsasync.folder.files import disk_errors, make_way, remove_tree, sync
from pepsasync.folder.tars import is_packed, open_tar
from pepsasync.folder.zips import UnsafeZipError, blocks, open_zip, refuse_overlap
from pepsasync.text import one_line
from pepsasync.threads import check_cancelled
from pepsasync.transfer.verified import is_ours, members_of, remember_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pepsasync.folder.layout import Folder
    from pepsasync.model import Product
    from pepsasync.transfer.verified import Member

DEEPEST = 100
"""Folders in each other; those of Sentinel products stay under 10."""

_FOREIGN = re.compile(
    r"[:*?\"<>|\x00-\x1f]|[. ]$|^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\.|$)", re.IGNORECASE
)
"""Parts of a path that Windows takes for devices, streams or other names, or that no terminal should be shown. Source:
https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file."""

SYNC_EVERY = 1 << 26
"""Bytes of a file after which they are forced to the disk: a cancellation has to wait for as many at most."""

_NAME_REFUSED = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
"""What the system says to a member whose name no disk takes, or whose folder is a file."""


async def extract(product: Product, folder: Folder) -> Path:
    """Unpack a product's zip, tar or gzip into its folder, then remove it. A product that is none of them stays.

    Raises:
        ExtractError: It holds absolute names, `..`, links, names that the disk does not take, or unpacks to too much,
            or is damaged; it stays.
        DiskFullError, ConfigError: The folder cannot be written; it stays.

    Cancellation: ends at the next block, and removes the half-unpacked folder.
    """
    return await to_thread.run_sync(unpack, product, folder)


def unpack(product: Product, folder: Folder) -> Path:
    """The blocking work of `extract`."""
    packed, unpacked, final = folder.zip_path(product), folder.unpack_path(product), folder.folder_path(product)
    folder.check_owner()
    folder.check_names(product.name)
    single = folder.file_path(product)
    if single is not None and single.is_file() and not packed.exists():
        if not is_packed(single.name):
            return single
        packed = single
    with disk_errors(unpacked):
        for place in (folder.unpacking, unpacked):
            make_way(place, folder.tell, is_folder=True)
    remove_tree(unpacked)
    scratch = unpacked / secrets.token_hex(8)  # nobody else unpacks into it, whoever has the folder
    try:
        with disk_errors(final):
            scratch.parent.mkdir(parents=True, exist_ok=True)
            write = _write_zip if packed.suffix == ".zip" else _write_tar
            written = write(packed, scratch, product)
            whole = _single_folder(scratch)
            for directory, _, _ in os.walk(whole):
                check_cancelled()
                sync(Path(directory))
            folder.check_owner()
            ours = members_of(final, folder) if is_ours(final, folder) else {}
            old = folder.put_aside(final) if final.exists() else None
            whole.rename(final)
            sync(final.parent)
            top = whole.relative_to(scratch).as_posix()
            new = {_below(top, name): known for name, known in written.items()}
            remember_folder(product.provider, final, new, folder)
            if old:
                _keep_what_others_wrote(old, final, ours, folder)
            packed.unlink()
    except UnsafeZipError as error:
        hint = f"{packed.name} was kept, nothing was unpacked"
        raise ExtractError(str(error), product=product.name, hint=hint) from error
    except zipfile.BadZipFile as error:
        raise ExtractError(f"cannot unpack: {error}", product=product.name, hint=f"{packed.name} was kept") from error
    finally:
        remove_tree(scratch)
        with contextlib.suppress(OSError):  # not empty: another program unpacks the same
            scratch.parent.rmdir()
    return final


def _write_zip(zipped: Path, scratch: Path, product: Product) -> dict[str, tuple[int, int]]:
    """Write the members of a zip; size and CRC of each file by its path."""
    with open_zip(zipped) as archive:
        members = safe_members(archive)
        scratch.mkdir()
        for info in members:
            with refused_names(product, info.filename), contextlib.closing(blocks(archive, info)) as content:
                _write_member(info.filename, content, scratch, is_folder=info.is_dir())
    return {info.filename: (info.file_size, info.CRC) for info in members if not info.is_dir()}


def _write_tar(packed: Path, scratch: Path, product: Product) -> dict[str, tuple[int, int]]:
    """Write the members of a tar, or the one file of a gzip; size and CRC of each file by its path."""
    with open_tar(packed) as tar:
        names = [entry.name for entry in tar.entries()]
        _refuse_names_that_meet(names, "tar")
        if trouble := next((text for name in names if (text := _unsafe_name(name))), None):
            raise UnsafeZipError(f"unsafe tar: {trouble}")
        if len({PurePosixPath(name) for name in names}) < len(names):
            raise UnsafeZipError("unsafe tar: two members of one name")
        scratch.mkdir()
        written = {}
        for entry, content in tar.contents():
            known = [0, 0]
            with refused_names(product, entry.name), contextlib.closing(content):
                _write_member(entry.name, _summed(content, known), scratch, is_folder=entry.is_folder)
            if not entry.is_folder:
                written[entry.name] = (known[0], known[1])
    return written


def _summed(content: Iterator[bytes], known: list[int]) -> Iterator[bytes]:
    """The same blocks; `known` becomes their length and CRC."""
    for block in content:
        known[:] = known[0] + len(block), zlib.crc32(block, known[1])
        yield block


def safe_members(archive: zipfile.ZipFile) -> Sequence[zipfile.ZipInfo]:
    """Members of a zip, none of which must not be written.

    Raises:
        UnsafeZipError: Names that lead elsewhere or meet, links, or members that overlap.
    """
    members = archive.infolist()
    refuse_unsafe_names(members)
    refuse_overlap(archive)
    return members


def refuse_unsafe_names(members: Sequence[zipfile.ZipInfo]) -> None:
    """See that members can be written where their names say, on every system.

    Raises:
        UnsafeZipError: Names that lead elsewhere or meet, or links.
    """
    _refuse_names_that_meet([info.filename for info in members], "zip")
    if trouble := next((text for info in members if (text := unsafe_member(info))), None):
        raise UnsafeZipError(f"unsafe zip: {trouble}")


def _refuse_names_that_meet(names: Sequence[str], kind: str) -> None:
    """Refuse paths that are one path where letters are compared without case, or in their composed form."""
    known: dict[str, str] = {}
    for name in names:
        parts = PurePosixPath(name).parts
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            other = known.setdefault(unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold()), path)
            if other != path:
                raise UnsafeZipError(f"unsafe {kind}: {other!r} and {path!r} are one name on other systems")


def unsafe_member(info: zipfile.ZipInfo) -> str | None:
    """Say why a member must not be written, None when it may; the same on every system, since folders travel.

    Args:
        info: From the central directory of the zip.
    """
    name = info.filename
    if "\0" in info.orig_filename:
        return f"absolute or foreign name {name!r}"
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return f"{name!r} is a link or a special file"
    return _unsafe_name(name)


def _unsafe_name(name: str) -> str | None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or "\0" in name:
        return f"absolute or foreign name {name!r}"
    if ".." in parts or not parts:
        return f"name {name!r} points outside the folder"
    if any(_FOREIGN.search(part) or one_line(part) != part for part in parts):
        return f"name {name!r} means something else on other systems"
    if len(parts) > DEEPEST:
        return f"{len(parts):,} nested folders"
    return None


@contextlib.contextmanager
def refused_names(product: Product, name: str) -> Iterator[None]:
    """Tell what is wrong with a packed product from what is wrong with the folder, which the next would meet, too."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NAME_REFUSED:
            raise
        what = f"cannot unpack {name[:100]!r}: {error.strerror}"
        raise ExtractError(what, product=product.name, hint="What was to be unpacked was kept") from error


def _write_member(name: str, content: Iterator[bytes], scratch: Path, *, is_folder: bool) -> None:
    """Write one file or folder, on the disk."""
    target = scratch.joinpath(*PurePosixPath(name).parts)
    block = next(content, b"")  # first: it knows a damaged name, also of a folder
    if is_folder:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    waiting = 0
    with target.open("xb") as out:
        while block:
            out.write(block)
            waiting += len(block)
            if waiting >= SYNC_EVERY:
                os.fsync(out.fileno())
                waiting = 0
            block = next(content, b"")
        out.flush()
        os.fsync(out.fileno())


def _below(top: str, name: str) -> str:
    """The path of a member in the product's folder."""
    path = PurePosixPath(name)
    return (path if top == "." else path.relative_to(top)).as_posix()


def _keep_what_others_wrote(old: Path, final: Path, ours: Mapping[str, Member], folder: Folder) -> None:
    """Move the user's own files from a folder to the one that takes its place, and remove what was unpacked.

    What was changed since it was unpacked, and what stands where the product has a file, stays in the old folder.

    Args:
        old: Where it was put aside.
        final: The new one, complete.
        ours: What was unpacked into the old one, by path.
        folder: Where both stand.
    """
    new = members_of(final, folder)
    for place, folders, files in os.walk(old, topdown=False):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        for path in (here / name for name in (*files, *links)):
            name = path.relative_to(old).as_posix()
            if name in ours and ours[name].is_untouched(path):
                path.unlink()
            elif not os.path.lexists(final / name):
                with contextlib.suppress(OSError):  # the product has a file in the place of its folder: it is kept
                    (final / name).parent.mkdir(parents=True, exist_ok=True)
                    path.rename(final / name)
            elif name in new and new[name].is_same(path):
                path.unlink()
        with contextlib.suppress(OSError):  # something is kept in it
            here.rmdir()
            if not folders and not files:
                (final / here.relative_to(old)).mkdir(parents=True, exist_ok=True)
    if old.exists():
        folder.tell(f"{final.name} was replaced; what was changed in it since it was unpacked is kept in {old}")


def _single_folder(scratch: Path) -> Path:
    """The one folder at the top of the zip, else the whole."""
    entries = list(scratch.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else scratch
