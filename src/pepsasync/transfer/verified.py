"""Notes beside what has a final name: what was verified need not be hashed again, what is wrong is replaced.

Everything here blocks for a moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pepsasync.folder.files import make_own_folder, make_way, read_own, replace_text, sync, write_new
from pepsasync.folder.zips import crc_of
from pepsasync.query.members import selection_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pepsasync.folder.layout import Folder
    from pepsasync.model import Product
    from pepsasync.query.members import Selection


def remember(product: Product, path: Path, folder: Folder) -> None:
    """Note that a file was found right, so that it need not be hashed again while it is untouched.

    A note of which a crash leaves only half is as good as none.
    """
    with contextlib.suppress(OSError):  # the file is right without it; it would only be hashed once more
        found = path.stat()
        record = {
            "bytes": found.st_size,
            "mtime_ns": found.st_mtime_ns,
            "checksum": str(product.checksum or ""),
            "source": product.provider,
        }
        if len(_checksums(product)) > 1:
            record["checksums"] = _checksums(product)
        make_way(folder.record_path(path), folder.tell)
        _write_note(folder, path, record)


def _write_note(folder: Folder, final: Path, record: Mapping[str, object], *, is_synced: bool = False) -> None:
    path, text = folder.record_path(final), json.dumps(record).encode()
    try:
        write_new(path, text, is_synced=is_synced)
    except FileNotFoundError:  # somebody has removed the folder in mid-run
        make_own_folder(folder.records, folder.tell)
        write_new(path, text, is_synced=is_synced)


def _checksums(product: Product) -> list[str]:
    """Those of the file; an empty one when none was compared."""
    return [*map(str, product.checksums)] if product.checksum else [""]


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a folder, as it was unpacked."""

    size: int
    crc: int
    mtime_ns: int

    def is_untouched(self, path: Path) -> bool:
        """Whether a file has its size and time still; what was never there, or is no file, has not."""
        try:
            found = os.lstat(path)
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)

    def is_same(self, path: Path) -> bool:
        """Whether a file has the bytes that were unpacked; reads all of it.

        Raises:
            OSError: It cannot be read.
        """
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == self.size and crc_of(path) == self.crc


def remember_folder(
    source: str, unpacked: Path, members: Mapping[str, tuple[int, int]], folder: Folder, *, is_ours: bool = True
) -> None:
    """Note what was unpacked into a folder, on the disk: its zip goes next.

    Args:
        source: Archive that it came from.
        unpacked: Under its final name.
        members: Size and CRC of each file by its path in the folder.
        folder: Where it stands.
        is_ours: Whether it was unpacked here, so that its files may be removed when it is replaced.
    """
    with contextlib.suppress(OSError):  # it is right without it, and has a manifest nearly always
        path = folder.record_path(unpacked)
        times = {name: os.lstat(unpacked / name).st_mtime_ns for name in members}
        listed = {name: [*known, times[name]] for name, known in members.items()}
        record = {"source": source, "inode": unpacked.stat().st_ino if is_ours else None, "members": listed}
        make_way(path, folder.tell)
        _write_note(folder, unpacked, record, is_synced=True)


@dataclass(frozen=True, slots=True)
class Partial:
    """What is noted of a folder that holds some members of its product."""

    everything: Mapping[str, tuple[int, int]]
    """Size and CRC of all members of the product, by path."""
    selections: tuple[Selection, ...]
    """What was asked for."""


def remember_partial(
    source: str, unpacked: Path, members: Mapping[str, tuple[int, int]], partial: Partial, folder: Folder
) -> None:
    """Note which members of a product are in its folder, on the disk; without the note it must not be filled.

    Args:
        source: Archive that it came from.
        unpacked: Under its final name; need not be there yet.
        members: Size and CRC of each file that is there, by its path in the folder.
        partial: All that the product has. A folder with all of it is a whole one.
        folder: Where it stands.

    Raises:
        OSError: It cannot be written.
    """
    record: dict[str, object] = {
        "source": source,
        "inode": unpacked.stat().st_ino if unpacked.is_dir() else None,
        "members": {name: [*known, os.lstat(unpacked / name).st_mtime_ns] for name, known in members.items()},
    }
    if members.keys() != partial.everything.keys():
        record["partial"] = {
            "members": {name: [*facts] for name, facts in partial.everything.items()},
            "selections": [selection.as_dict() for selection in partial.selections],
        }
    for place in (folder.state, folder.records):
        make_own_folder(place, folder.tell)
    replace_text(folder.record_path(unpacked), json.dumps(record), folder.tell, is_synced=True)
    sync(folder.records)


def partial_of(unpacked: Path, folder: Folder) -> Partial | None:
    """What is noted of a folder that holds some members of its product; None for a whole one.

    A note that cannot be understood tells that it is partial, and nothing more.
    """
    noted = read_note(unpacked, folder).get("partial")
    if noted is None:
        return None
    try:
        everything = {str(name): (int(size), int(crc)) for name, (size, crc) in noted["members"].items()}
        selections = filter(None, map(selection_from, noted["selections"]))
        return Partial(everything, tuple(selections))
    except (AttributeError, KeyError, TypeError, ValueError):
        return Partial({}, ())


def members_of(unpacked: Path, folder: Folder) -> dict[str, Member]:
    """What was unpacked into a folder, by path; empty when that is not noted."""
    listed = read_note(unpacked, folder).get("members")
    try:
        return {name: Member(*map(int, known)) for name, known in (listed or {}).items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def is_ours(unpacked: Path, folder: Folder) -> bool:
    """Whether a folder is the one that was unpacked, and not another of its name."""
    try:
        return read_note(unpacked, folder).get("inode") == unpacked.stat().st_ino
    except OSError:
        return False


def is_remembered(product: Product, path: Path, folder: Folder) -> bool:
    """Whether a file was found right before and is untouched since."""
    note = read_note(path, folder)
    try:
        found = path.stat()
    except OSError:
        return False
    if (note.get("bytes"), note.get("mtime_ns")) != (found.st_size, found.st_mtime_ns) or note.get("wrong"):
        return False
    if note.get("source") not in (None, product.provider):
        return True  # right as another archive has it: sizes and checksums of archives differ
    return note.get("checksum") in _checksums(product) and product.exact_size in (None, found.st_size)


def distrust(path: Path, folder: Folder) -> None:
    """Note that what stands under a final name is wrong, so that the next run replaces it.

    What is known of the right file is kept, to compare with. What takes its place is not meant by the note.
    """
    _rewrite(path, folder, read_note(path, folder) | {"wrong": _stamp(path)})


def trust(path: Path, folder: Folder) -> None:
    """Take back what `distrust` has noted."""
    note = read_note(path, folder)
    if note.pop("wrong", None):
        _rewrite(path, folder, note)


def is_marked_wrong(path: Path, folder: Folder) -> bool:
    """Whether `distrust` has noted what stands there now."""
    return read_note(path, folder).get("wrong") == _stamp(path)


def read_note(path: Path, folder: Folder) -> dict[str, Any]:
    """What is noted of a file or folder with a final name; empty when nothing is, or nobody can read it."""
    try:
        note = json.loads(read_own(folder.record_path(path)))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _rewrite(path: Path, folder: Folder, note: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a folder that cannot be written is not filled by a next run either
        for place in (folder.state, folder.records):
            make_own_folder(place, folder.tell)
        replace_text(folder.record_path(path), json.dumps(note), folder.tell)


def _stamp(path: Path) -> list[int]:
    """Tells what stands there now from what takes its place."""
    found = path.stat()
    return [found.st_ino, found.st_mtime_ns]
