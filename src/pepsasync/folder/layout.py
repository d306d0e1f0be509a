"""The folder that a run fills: parts, their notes, final names.

`DIR/NAME.zip` and `DIR/NAME.SAFE` are complete and verified. Everything unfinished lives in `DIR/.pepsasync/`. All
functions here block and are called in worker threads.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import json
import os
import secrets
import shutil
import stat
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError, DeliveryError, DiskFullError
from pepsasync.folder.files import (
    NEW,
    disk_error,
    disk_errors,
    foreign,
    kind,
    make_own_folder,
    make_way,
    new_file,
    read_own,
    remove_own,
    remove_tree,
    removed_on_error,
    replace_text,
    sync,
    write_new,
)
from pepsasync.folder.names import safe_name
from pepsasync.folder.parts import is_locked, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pepsasync.folder.parts import Stamp
    from pepsasync.model import Product

STATE = ".pepsasync"
"""Folder in the target folder that holds all unfinished things."""


@dataclass(frozen=True, slots=True)
class PartNote:
    """Which file a part belongs to; a part is continued only when all of it is the same."""

    source: str
    id: str
    size: int | None
    checksum: str | None
    validator: str | None = None
    """Strong ETag or Last-Modified of the answer that the part began with; not compared, sent as If-Range."""

    def is_same_file(self, other: PartNote | None) -> bool:
        """Whether both describe the same bytes."""
        return other is not None and _identity(self) == _identity(other)


def _identity(note: PartNote) -> tuple[object, ...]:
    """Files of the same size and checksum are the same in every archive."""
    return (note.size, note.checksum) if note.checksum else (note.source, note.id, note.size)


@dataclass(frozen=True)
class Folder:
    """Where the products of a run stand.

    Args:
        directory: The user's folder; made when it does not exist.
        tell: Gets a sentence for the user about what was found in the state folder and is not ours; called from worker
            threads.
        check_owner: Blocks; raises when another program has the folder now. Called before anything in it is changed.
    """

    directory: Path
    tell: Callable[[str], None] = field(default=lambda _: None, compare=False)
    check_owner: Callable[[], None] = field(default=lambda: None, compare=False)

    def check(self) -> None:
        """Refuse a folder that cannot be one; nothing is written.

        Raises:
            ConfigError: A file is in its place, or in that of a folder above it.
        """
        there = next((path for path in (self.directory, *self.directory.parents) if path.exists()), None)
        if there is not None and not there.is_dir():
            raise ConfigError(f"{there} is a file, not a folder")

    def open(self) -> None:
        """Make the folders and try to write.

        Raises:
            ConfigError: The folder cannot be made or written.
            DiskFullError: There is no space left at all.
        """
        self.check()
        try:
            for folder in (self.state, self.parts, self.records):
                make_own_folder(folder, self.tell)
            self._check_disk()
            probe = self.state / f"probe.{secrets.token_hex(8)}"
            write_new(probe, b"")
            probe.unlink()
        except OSError as error:
            ours = disk_error(self.directory, error)
            if isinstance(ours, DiskFullError) or error.errno == errno.EXDEV:
                raise ours from error
            hint = "Choose another folder with -w DIR"
            raise ConfigError(f"cannot write to {self.directory}: {error.strerror or error}", hint=hint) from error

    def _check_disk(self) -> None:
        if self.parts.stat().st_dev != self.directory.stat().st_dev:
            raise OSError(errno.EXDEV, "", str(self.parts))

    @functools.cached_property
    def state(self) -> Path:
        """`DIR/.pepsasync`."""
        return self.directory / STATE

    @functools.cached_property
    def parts(self) -> Path:
        """Unfinished downloads."""
        return self.state / "parts"

    @functools.cached_property
    def records(self) -> Path:
        """What is known of finished products, so that they need not be hashed again."""
        return self.state / "verified"

    @functools.cached_property
    def unpacking(self) -> Path:
        """What is being unpacked."""
        return self.state / "unpack"

    @functools.cached_property
    def kept(self) -> Path:
        """What others have put under final names, or changed there, and was replaced since."""
        return self.state / "kept"

    def check_names(self, name: str) -> None:
        """Refuse to look at or to replace what is neither a file nor a folder of ours under a final name.

        Raises:
            DeliveryError: A link, a device, a folder in place of a zip, or a file in place of a folder stands there.
        """
        for path, is_right in zip(self.final_paths(name), (stat.S_ISREG, stat.S_ISDIR), strict=True):
            with disk_errors(path):
                try:
                    mode = os.lstat(path).st_mode
                except FileNotFoundError:
                    continue
            if not is_right(mode):
                raise DeliveryError(
                    f"{path} is {kind(mode)}; nothing was read or written there",
                    product=name,
                    hint="Move it away and run the same command again",
                )

    def final_paths(self, name: str) -> tuple[Path, Path]:
        """Final names of the zip and of the folder of a product of a name."""
        plain = safe_name(name)
        return self.directory / f"{plain}.zip", self.directory / f"{plain}.SAFE"

    def zip_path(self, product: Product) -> Path:
        """Final name of a product's zip."""
        return self.final_paths(product.name)[0]

    def folder_path(self, product: Product) -> Path:
        """Final name of a product's folder."""
        return self.final_paths(product.name)[1]

    def record_path(self, final: Path) -> Path:
        """What is known of a zip or folder under its final name."""
        return self.records / f"{final.name}.json"

    def part_path(self, product: Product) -> Path:
        """Unfinished bytes of a product."""
        return self.parts / f"{safe_name(product.name)}.part"

    def unpack_path(self, product: Product) -> Path:
        """Where a product is unpacked before its folder gets its name."""
        return self.unpacking / safe_name(product.name)

    def note_path(self, product: Product) -> Path:
        """The note beside a part."""
        return self.part_path(product).with_suffix(".part.json")

    def segments_path(self, product: Product) -> Path:
        """Folder of what further connections brought; each file is named by the offset of its first byte."""
        return self.parts / f"{safe_name(product.name)}.segments"

    def segment_path(self, product: Product, start: int) -> Path:
        """What a further connection brought from an offset on."""
        return self.segments_path(product) / str(start)

    def segments(self, product: Product) -> list[tuple[int, int]]:
        """Offset and length of each segment that is there, by offset."""
        folder = self.segments_path(product)
        with disk_errors(folder), contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            found = [(entry.name, os.lstat(entry.path)) for entry in entries if entry.name.isdecimal()]
            return sorted((int(name), of.st_size) for name, of in found if not foreign(of))
        return []

    def discard_segment(self, product: Product, start: int) -> None:
        """Remove a segment that may not be there."""
        path = self.segment_path(product, start)
        self.check_owner()
        with disk_errors(path):
            path.unlink(missing_ok=True)

    def note_for(self, product: Product) -> PartNote:
        """The note that describes a product's bytes."""
        checksum = str(product.checksum) if product.checksum else None
        return PartNote(product.provider, product.id, product.size, checksum)

    def claim_part(self, product: Product) -> PartNote:
        """Keep the part that belongs to this product, remove one that does not.

        A part that another program keeps locked, which was stopped and has lost the folder meanwhile, is copied: that
        one may still write into its own when it goes on.

        Returns:
            The note that now describes the part; its validator is that of the answer the part began with.
        """
        self.check_owner()
        with disk_errors(self.part_path(product)):
            self._make_way_for_part(product)
            if is_locked(self.part_path(product)):
                self._copy_part(product)
            old = _read_note(self.note_path(product))
            note = self.note_for(product)
            if old is not None and note.is_same_file(old):
                if old.source == note.source:
                    return old
            else:
                self.discard_part(product)
            self.write_note(product, note)
            return note

    def _make_way_for_part(self, product: Product) -> None:
        """Rename what stands in the place of a part, its note and its segments, and is not ours."""
        segments = self.segments_path(product)
        for path in (self.part_path(product), self.note_path(product)):
            make_way(path, self.tell)
        make_way(segments, self.tell, is_folder=True)
        with contextlib.suppress(FileNotFoundError):
            for path in segments.iterdir():
                make_way(path, self.tell)

    def _copy_part(self, product: Product) -> None:
        part = self.part_path(product)
        new = new_file(part)
        try:
            shutil.copyfile(part, new)
            new.replace(part)
        finally:
            new.unlink(missing_ok=True)

    def begin_part(self, product: Product, note: PartNote) -> None:
        """Remove a part for one with another note, which never stands beside a part of another answer."""
        self.check_owner()
        with disk_errors(self.part_path(product)):
            self.part_path(product).unlink(missing_ok=True)
        self.write_note(product, note)

    def write_note(self, product: Product, note: PartNote) -> None:
        """Write the note of a part, whole or not at all."""
        with disk_errors(self.note_path(product)):
            replace_text(self.note_path(product), json.dumps(asdict(note)), self.tell)

    def part_length(self, product: Product) -> int:
        """Bytes of a part, 0 when there is none."""
        part = self.part_path(product)
        with disk_errors(part), contextlib.suppress(FileNotFoundError):
            return os.lstat(part).st_size
        return 0

    def unfinished_length(self, product: Product) -> int:
        """Bytes of a product that an unfinished download has left: its part, and its segments."""
        return self.part_length(product) + sum(length for _, length in self.segments(product))

    def discard_part(self, product: Product) -> None:
        """Remove a part, its segments, and its note."""
        self.check_owner()
        part, note = self.part_path(product), self.note_path(product)
        with disk_errors(part):
            for path in (part, note):
                remove_own(path, self.tell)
        remove_tree(self.segments_path(product))

    def remove_leftovers(self) -> None:
        """Remove what killed runs left half written; for the one who has just got the folder."""
        for folder in (self.parts, self.records):
            with contextlib.suppress(OSError):
                for path in folder.glob(f"*{NEW}"):
                    path.unlink(missing_ok=True)

    def promote(self, product: Product, stamp: Stamp) -> Path:
        """Give a verified part its final name; on return it is on the disk, not only in its cache.

        Replaces a file of that name: it was looked at before and found wrong. One that pepsasync never found right
        is kept, see `put_aside`.

        Args:
            product: Whose part.
            stamp: Of the file that was verified.

        Raises:
            TransferError: Another program has changed the part meanwhile.
            JournalBusyError: Another program has the folder now.
            DiskFullError, ConfigError: The disk failed.
        """
        part = self.part_path(product)
        with disk_errors(part):
            if what := foreign(os.lstat(part)):
                raise OSError(errno.EBUSY, f"it is {what}, which pepsasync did not make")
            sync(part)
        final = self._name(product, part, stamp)
        with disk_errors(final):
            sync(self.directory)
        self._forget_part(product)
        return final

    def store(self, product: Product, body: bytes) -> Path:
        """Write a verified small product, and give it its final name; the bytes are on the disk, the name is not yet.

        What could not be written leaves nothing behind.
        """
        new = new_file(self.part_path(product))
        with disk_errors(self.part_path(product)):
            try:
                write_new(new, body, is_synced=True)
            except FileNotFoundError:
                self.check_owner()  # knows whether the whole folder is gone
                raise
        with removed_on_error(new):
            final = self._name(product, new, None)
        self._forget_part(product)
        return final

    def _name(self, product: Product, file: Path, stamp: Stamp | None) -> Path:
        final = self.zip_path(product)
        self.check_owner()
        with disk_errors(final):
            if stamp is not None and stamp_of(file) != stamp:
                raise OSError(errno.EBUSY, "another program has changed it")
            if os.path.lexists(final) and not os.path.lexists(self.record_path(final)):
                aside = self.put_aside(final)
                self.tell(f"{final} was wrong, and not written by pepsasync; it was replaced, and is kept as {aside}")
            file.replace(final)
        return final

    def put_aside(self, final: Path) -> Path:
        """Rename what others have put under a final name; returns its new name.

        Raises:
            OSError: It cannot be renamed.
        """
        make_own_folder(self.kept, self.tell)
        names = (self.kept / f"{final.name}-{number}" for number in itertools.count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        final.rename(aside)
        return aside

    def _forget_part(self, product: Product) -> None:
        if self.note_path(product).exists():
            self.discard_part(product)


def _read_note(path: Path) -> PartNote | None:
    try:
        return PartNote(**json.loads(read_own(path)))
    except (OSError, ValueError, TypeError):
        return None
