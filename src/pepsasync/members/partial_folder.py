"""The folder of a product while some of its members come into it, under its final name and noted to be partial.

Each member gets its name by one rename, when it is complete, compared with its CRC, and on the disk. The note in the
state folder (`transfer/verified.py`) lists all members of the product, those that are here, and what was asked for; it
is there before the first member is, so that no killed run leaves a partial folder that passes for a whole one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from pepsasync.errors import DeliveryError, NotFoundError
from pepsasync.folder.files import disk_errors, foreign_member, make_way, remove_tree, sync, write_all
from pepsasync.folder.zips import crc_of
from pepsasync.threads import check_cancelled
from pepsasync.transfer.digest import digest_file
from pepsasync.transfer.extract import SYNC_EVERY, refused_names
from pepsasync.transfer.verified import Partial, is_marked_wrong, members_of, partial_of, remember_partial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pepsasync.folder.layout import Folder
    from pepsasync.members.zip_members import Entry
    from pepsasync.model import Checksum, Product
    from pepsasync.query.members import Selection


UNKNOWN = -1
"""Stands for a CRC that nobody has told."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What was brought of a product."""

    path: Path
    members: tuple[str, ...] | None
    """That were asked for; all of them are here. None for a product that has none: it is one file."""
    bytes: int
    """Of these members, unpacked."""
    requests: int = 0


class PartialFolder:
    """The folder of a product while members come into it. Everything blocks; several threads may bring members.

    Args:
        product: Whose members.
        folder: Where it stands.
        selection: What is asked for.
    """

    def __init__(self, product: Product, folder: Folder, selection: Selection) -> None:
        self.final = folder.folder_path(product)
        self._product = product
        self._folder = folder
        self._selection = selection
        self._scratch = folder.unpack_path(product) / secrets.token_hex(8)
        self._open: dict[str, _File] = {}
        self._ready: dict[Entry, Path] = {}
        self._settling, self._counting = threading.Lock(), threading.Lock()
        self.left = 0
        """Bytes of members that are still to be written."""
        self._ours: set[str] = set()
        self._goal: dict[str, tuple[int, int]] = {}
        self._chosen: tuple[str, ...] = ()
        self._partial = Partial({}, ())

    def prepare(self, everything: Mapping[str, tuple[int, int]]) -> list[str]:
        """Look at what is here and note what the folder will hold.

        What stands there under the name of a member counts when it has its bytes, whoever put it there.

        Args:
            everything: Size and CRC of all members of the product, by path.

        Returns:
            Members that are to be brought: those that were asked for, now or before, and are not here.

        Raises:
            NotFoundError: No member matches.
            DeliveryError: What stands in the folder leads elsewhere.
            DiskFullError, ConfigError: It cannot be written.
        """
        name, folder, final = self._product.name, self._folder, self.final
        self._chosen = self._selection.chosen(everything)
        if not self._chosen:
            hint = f"'pepsasync ls {name}' lists its members"
            raise NotFoundError(f"no member matches {self._selection}", product=name, hint=hint)
        folder.check_owner()
        folder.check_names(name)
        noted, before = members_of(final, folder), partial_of(final, folder)
        # The note may be of somebody else: what it names outside the folder is neither read nor removed.
        known = {path: member for path, member in noted.items() if not foreign_member(final, [path])}
        self._ours = {path for path, member in known.items() if member.is_untouched(final / path)}
        self._goal = {path: facts for path, facts in everything.items() if path in known or path in self._chosen}
        if what := foreign_member(final, self._goal):
            raise DeliveryError(what, product=name, hint="Move it away and run the same command again")
        with disk_errors(final):
            trusted = set() if final.is_dir() and is_marked_wrong(final, folder) else self._ours
            here = dict[str, tuple[int, int]]()
            for path, (size, crc) in self._goal.items():
                if path in trusted and known[path].size == size and crc in (UNKNOWN, known[path].crc):
                    here[path] = size, known[path].crc
                elif self._is_here(path, size, crc):
                    here[path] = size, crc
            self._goal |= here
            for path in self._ours - everything.keys():  # of an earlier file of the archive
                (final / path).unlink()
            selections = dict.fromkeys((*(before.selections if before else ()), self._selection))
            self._partial = Partial(everything, tuple(selections))
            remember_partial(self._product.provider, final, here, self._partial, folder)
            for place in (folder.unpacking, self._scratch.parent):
                make_way(place, folder.tell, is_folder=True)
            remove_tree(self._scratch.parent)  # of a killed run
            self._scratch.mkdir(parents=True)
            final.mkdir(exist_ok=True)
            sync(final.parent)
        missing = [path for path in self._goal if path not in here]
        self.left = sum(everything[path][0] for path in missing)
        return missing

    def _is_here(self, path: str, size: int, crc: int) -> bool:
        """Whether a file has the bytes of a member; reads it."""
        check_cancelled()
        file = self.final / path
        return crc != UNKNOWN and _is_file_of(file, size) and crc_of(file) == crc

    def take_over(self, entry: Entry, checksum: Checksum) -> bool:
        """Whether a member of which no CRC is known stands there with its bytes; then it counts as brought."""
        file, size = self.final / entry.path, entry.info.file_size
        with disk_errors(file):
            if not _is_file_of(file, size) or digest_file(file, checksum.algorithm, size).hexdigest() != checksum.value:
                return False
            self._goal[entry.path] = size, crc_of(file)
        self._count(size)
        return True

    def begin(self, entry: Entry) -> IO[bytes]:
        """Where the content of a member is written."""
        file = _File(self._scratch / secrets.token_hex(8), self._count)
        self._open[entry.path] = file
        return file  # type: ignore[return-value]

    def _count(self, written: int) -> None:
        with self._counting:
            self.left -= written

    def done(self, entry: Entry) -> None:
        """Take a member as complete and right; `settle` gives it its name."""
        file = self._open.pop(entry.path)
        file.file.close()  # not forced to the disk yet, but many may wait for that
        self._goal[entry.path] = entry.info.file_size, entry.info.CRC
        self._ready[entry] = file.path

    def settle(self) -> None:
        """Force the members that are complete to the disk, and give them their final names."""
        with self._settling, disk_errors(self.final):
            while self._ready:
                check_cancelled()
                entry, path = self._ready.popitem()
                with path.open("r+b") as file:
                    os.fsync(file.fileno())
                self._folder.check_owner()
                with refused_names(self._product, entry.info.filename):
                    self._name(path, entry)

    def _name(self, file: Path, entry: Entry) -> None:
        path = entry.path
        target = self.final / path
        target.parent.mkdir(parents=True, exist_ok=True)
        is_foreign = path not in self._ours and os.path.lexists(target)
        if is_foreign and not self._is_here(path, entry.info.file_size, entry.info.CRC):
            aside = self._folder.put_aside(target)
            self._folder.tell(f"{target} differs from the product's; it was replaced, and is kept as {aside}")
        file.replace(target)

    def finish(self, requests: int = 0) -> Brought:
        """Note what is here, with everything on the disk.

        Args:
            requests: That it took.
        """
        with disk_errors(self.final):
            folders = {parent for path in self._goal for parent in (self.final / path).parents}
            for place in sorted(place for place in folders if place.is_relative_to(self.final)):
                sync(place)
            self._folder.check_owner()
            remember_partial(self._product.provider, self.final, self._goal, self._partial, self._folder)
        size = sum(self._goal[path][0] for path in self._chosen)
        return Brought(self.final, self._chosen, size, requests)

    def close(self) -> None:
        """Remove what was begun and is not complete."""
        for file in self._open.values():
            with contextlib.suppress(OSError):
                file.file.close()
        remove_tree(self._scratch)
        with contextlib.suppress(OSError):  # not there, or another program works in it
            self._scratch.parent.rmdir()


def _is_file_of(path: Path, size: int) -> bool:
    """Whether a regular file of a size stands there."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


class _File:
    """A file that is forced to the disk now and then, so that the end does not take long.

    Args:
        path: Made new.
        count: Called with the number of bytes that were written.
    """

    def __init__(self, path: Path, count: Callable[[int], None]) -> None:
        self.path = path
        self.file = path.open("xb", buffering=0)
        self._count = count
        self._waiting = 0

    def write(self, block: bytes | memoryview) -> None:
        write_all(self.file, memoryview(block))
        self._count(len(block))
        self._waiting += len(block)
        if self._waiting >= SYNC_EVERY:
            os.fsync(self.file.fileno())
            self._waiting = 0
