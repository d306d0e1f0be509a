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
import re
import secrets
import shutil
import stat
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError, DeliveryError, DiskFullError, IntegrityError
from pepsasync.folder.files import (
    NEW,
    disk_error,
    disk_errors,
    foreign,
    kind,
    make_own_folder,
    make_way,
    new_file,
    open_own,
    read_own,
    remove_own,
    remove_tree,
    removed_on_error,
    replace_text,
    sync,
    write_new,
)
from pepsasync.folder.names import is_single_file, safe_name
from pepsasync.folder.parts import is_locked, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pepsasync.folder.parts import Stamp
    from pepsasync.folder.space import Space
    from pepsasync.model import Product

STATE = ".pepsasync"
"""Folder in the target folder that holds all unfinished things."""


@dataclass(frozen=True, slots=True)
class PartNote:
    """Which file a part belongs to; a part is continued only when all of it is the same."""

    source: str
    id: str
    size: int | None
    checksums: tuple[str, ...] = ()
    """As `algorithm:digits`; all that the archive announces."""
    validator: str | None = None
    """Strong ETag or Last-Modified of the answer that the part began with; not compared, sent as If-Range."""

    def is_same_file(self, other: PartNote | None) -> bool:
        """Whether both describe the same bytes: files of one size and checksum are the same in every archive."""
        if other is None or self.size != other.size:
            return False
        ours, theirs = (dict(each.partition(":")[::2] for each in note.checksums) for note in (self, other))
        if ours or theirs:
            common = ours.keys() & theirs.keys()
            return bool(common) and all(ours[algorithm] == theirs[algorithm] for algorithm in common)
        return (self.source, self.id) == (other.source, other.id)


@dataclass(frozen=True, slots=True)
class PartRecord:
    """What is known of a part."""

    note: PartNote
    filled: list[tuple[int, int]]
    """First and behind the last byte of each stretch that is there, by first byte, without overlaps."""


@dataclass(frozen=True)
class Folder:
    """Where the products of a run stand.

    Args:
        directory: The user's folder; made when it does not exist.
        tell: Gets a sentence for the user about what was found in the state folder and is not ours; called from worker
            threads.
        check_owner: Blocks; raises when another program has the folder now. Called before anything in it is changed.
        space: Room set aside on its disk; None when it is not watched.
    """

    directory: Path
    tell: Callable[[str], None] = field(default=lambda _: None, compare=False)
    check_owner: Callable[[], None] = field(default=lambda: None, compare=False)
    space: Space | None = field(default=None, compare=False)

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
    def leases(self) -> Path:
        """Products that workers of a cluster bring, see `folder.leases`."""
        return self.state / "leases"

    @functools.cached_property
    def kept(self) -> Path:
        """What others have put under final names, or changed there, and was replaced since."""
        return self.state / "kept"

    @functools.cached_property
    def replaced(self) -> Path:
        """Products in whose place a newer processing was brought."""
        return self.state / "replaced"

    @functools.cached_property
    def removed(self) -> Path:
        """What is about to be removed: it has lost its final name as a whole."""
        return self.state / "removed"

    def check_names(self, name: str) -> None:
        """Refuse to look at or to replace what is neither a file nor a folder of ours under a final name.

        Raises:
            DeliveryError: A link, a device, a folder in place of a zip, or a file in place of a folder stands there.
        """
        for path, is_right in zip(self.final_paths(name), (stat.S_ISREG, stat.S_ISDIR, stat.S_ISREG), strict=False):
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

    def final_paths(self, name: str) -> tuple[Path, ...]:
        """Final names that a product of a name may have: of its zip, of its folder, and of a file that is no zip."""
        plain = safe_name(name)
        files = (f"{plain}.zip", f"{plain}.SAFE", *([plain] if is_single_file(plain) else []))
        return tuple(self.directory / file for file in files)

    def zip_path(self, product: Product) -> Path:
        """Final name of a product's zip."""
        return self.final_paths(product.name)[0]

    def folder_path(self, product: Product) -> Path:
        """Final name of a product's folder."""
        return self.final_paths(product.name)[1]

    def file_path(self, product: Product) -> Path | None:
        """Final name of a product that is one file and no zip; None for those whose names are not such."""
        return next(iter(self.final_paths(product.name)[2:]), None)

    def record_path(self, final: Path) -> Path:
        """What is known of a zip or folder under its final name."""
        return self.records / f"{final.name}.json"

    def part_path(self, product: Product) -> Path:
        """Unfinished bytes of a product."""
        return self.parts / f"{safe_name(product.name)}.part"

    def unpack_path(self, product: Product) -> Path:
        """Where a product is unpacked before its folder gets its name."""
        return self.unpacking / safe_name(product.name)

    def part_record_path(self, product: Product) -> Path:
        """Which file a part belongs to, and which stretches of it are filled."""
        return self.part_path(product).with_suffix(".part.record")

    def note_for(self, product: Product) -> PartNote:
        """The note that describes a product's bytes."""
        checksums = product.checksums if product.checksum else ()
        return PartNote(product.provider, product.id, product.size, tuple(map(str, checksums)))

    def read_record(self, product: Product) -> PartRecord | None:
        """What is known of a product's part; None when there is none, or nobody can tell what it is."""
        try:
            return _read_record(self.part_record_path(product), self.part_path(product))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def write_record(self, product: Product, record: PartRecord) -> None:
        """Write the record of a part anew, with as few lines as there can be: all of it or nothing."""
        lines = [json.dumps(asdict(record.note)), *(f"{start} {end}" for start, end in record.filled), ""]
        replace_text(self.part_record_path(product), "\n".join(lines), self.tell)

    def prepare_part(self, product: Product) -> None:
        """Make way for a part and its record: rename what stands in their place and is not ours.

        A part that another program keeps locked, which was stopped and has lost the folder meanwhile, is copied: that
        one may still write into its own when it goes on.

        Raises:
            OSError: It cannot be looked at, renamed or copied.
            JournalBusyError: Another program has the folder now.
        """
        self.check_owner()
        part = self.part_path(product)
        for path in (part, self.part_record_path(product)):
            make_way(path, self.tell)
        if is_locked(part):
            new = new_file(part)
            with removed_on_error(new):
                shutil.copyfile(part, new)
                new.replace(part)

    @contextlib.contextmanager
    def has_part(self, product: Product) -> Iterator[None]:
        """To be put around what needs a part that was just there; blocks.

        Raises:
            IntegrityError: It was removed meanwhile; the product can be downloaded again.
            ConfigError: The whole folder was removed.
        """
        try:
            yield
        except FileNotFoundError as error:
            self.check_owner()  # knows whether the whole folder is gone
            raise IntegrityError("its part was removed meanwhile", product=product.name) from error

    def unfinished_length(self, product: Product) -> int:
        """Bytes of a product that an unfinished download has left."""
        part = self.part_path(product)
        with disk_errors(part):
            try:
                os.lstat(part)
            except FileNotFoundError:
                return 0
        record = self.read_record(product)
        return sum(end - start for start, end in record.filled) if record else 0

    def has_complete_part(self, product: Product) -> bool:
        """Whether every byte of a product is in its part, as far as its record tells; blocks for a moment."""
        record = self.read_record(product)
        whole = [(0, product.exact_size)]
        return record is not None and record.filled == whole and record.note.is_same_file(self.note_for(product))

    def unfinished_lengths(self) -> dict[str, int]:
        """Bytes that unfinished downloads have left, by `safe_name` of their products; others may write meanwhile.

        What the records say: the length of a part with gaps tells nothing.
        """
        lengths = {}
        for part in self.parts.glob("*.part"):
            with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
                record = _read_record(part.with_suffix(".part.record"), part)
                lengths[part.name.removesuffix(".part")] = sum(end - start for start, end in record.filled)
        return lengths

    def discard_part(self, product: Product) -> None:
        """Remove a part and its record."""
        self.check_owner()
        part, record = self.part_path(product), self.part_record_path(product)
        with disk_errors(part):
            for path in (part, record, record.with_suffix(".json")):
                remove_own(path, self.tell)
        remove_tree(part.with_suffix(".segments"))  # of version 0.1

    def remove_leftovers(self) -> None:
        """Remove what killed runs left half written or half unpacked; for the one who has just got the folder."""
        for folder in (self.parts, self.records):
            with contextlib.suppress(OSError):
                for path in folder.glob(f"*{NEW}"):
                    path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if not self.unpacking.is_symlink():
                for path in self.unpacking.iterdir():
                    remove_tree(path)

    def sync_part(self, product: Product) -> None:
        """Force the bytes of a part to the disk; changes nothing, so that nobody has to wait for the end.

        Raises:
            IntegrityError: The part was removed meanwhile.
            DiskFullError, ConfigError, TransferError: The disk failed, or it is no file of ours.
        """
        part = self.part_path(product)
        with disk_errors(part), self.has_part(product), open(part, "rb", opener=open_own) as file:
            os.fsync(file.fileno())

    def promote(self, product: Product, verified: Stamp | bytearray, *, is_zip: bool = True) -> Path:
        """Give a verified product its final name; on return it is on the disk, not only in its cache.

        Replaces a file of that name: it was looked at before and found wrong. One that pepsasync never found right
        is kept, see `put_aside`.

        Args:
            product: Whose bytes.
            verified: Stamp of the part that was verified after `sync_part`; or the bytes of a small product, of which
                nothing is left behind when they cannot be written.
            is_zip: Otherwise it keeps the name that the archive gave it.

        Raises:
            TransferError: Another program has changed the part meanwhile.
            IntegrityError: The part was removed meanwhile.
            JournalBusyError: Another program has the folder now.
            DiskFullError, ConfigError: The disk failed.
        """
        part, final = self.part_path(product), self.zip_path(product)
        if not is_zip:
            final = self.file_path(product) or final
        with disk_errors(part), self.has_part(product), contextlib.ExitStack() as stack:
            if isinstance(verified, bytearray):
                part = new_file(part)
                stack.enter_context(removed_on_error(part))
                self._write_small(part, verified)
            elif what := foreign(os.lstat(part)):
                raise OSError(errno.EBUSY, f"it is {what}, which pepsasync did not make")
            self.check_owner()
            if not isinstance(verified, bytearray) and stamp_of(part) != verified:
                raise OSError(errno.EBUSY, "another program has changed it")
            with disk_errors(final):
                if os.path.lexists(final) and not os.path.lexists(self.record_path(final)):
                    aside = self.put_aside(final)
                    self.tell(
                        f"{final} was wrong, and not written by pepsasync; it was replaced, and is kept as {aside}"
                    )
                with self.has_part(product):
                    part.replace(final)
        with disk_errors(final):
            sync(self.directory)
        if any(map(os.path.lexists, (self.part_path(product), self.part_record_path(product)))):
            self.discard_part(product)
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

    def take_out(self, name: str, *, keep: bool) -> list[tuple[Path, Path | None]]:
        """Take a product out of the folder: its zip, its unpacked folder, and what is known of them.

        Args:
            name: Of the product.
            keep: Move it to `replaced`, in place of nothing that is there; else it is removed.

        Returns:
            Where each stood, and where it is now.

        Raises:
            DeliveryError: What stands there is not ours.
            JournalBusyError: Another program has the folder now.
            DiskFullError, ConfigError: The disk failed.
        """
        self.check_owner()
        self.check_names(name)
        taken: list[tuple[Path, Path | None]] = []
        for final in self.final_paths(name):
            goal = self.replaced if keep else self.removed
            with disk_errors(final):
                if not os.path.lexists(final):
                    continue
                make_own_folder(goal, self.tell)
                names = itertools.chain([goal / final.name], (goal / f"{final.name}-{n}" for n in itertools.count(1)))
                aside = next(path for path in names if not os.path.lexists(path))
                final.rename(aside)
                remove_own(self.record_path(final), self.tell)
                taken.append((final, aside if keep else None))
        with disk_errors(self.directory):
            if taken:
                sync(self.directory)
            remove_tree(self.removed)  # and what a killed run has left of it
        return taken

    def _write_small(self, path: Path, body: bytearray) -> None:
        try:
            write_new(path, body, is_synced=True)
        except FileNotFoundError:
            self.check_owner()  # knows whether the whole folder is gone
            make_own_folder(self.parts, self.tell)
            write_new(path, body, is_synced=True)


_STRETCH = re.compile(r"(\d{1,18}) (\d{1,18})", re.ASCII)
"""A line of a record."""


def _read_record(path: Path, part: Path) -> PartRecord:
    """Read a record, without stretches beyond the end of the part and lines that a killed run or a full disk cut."""
    length, filled = os.lstat(part).st_size, list[tuple[int, int]]()
    try:
        head, *lines = read_own(path).split("\n")
    except FileNotFoundError:  # of version 0.1, whose parts have no gaps
        head, lines = read_own(path.with_suffix(".json")), [f"0 {length}", ""]
    stretches = (map(int, found.groups()) for line in lines[:-1] if (found := _STRETCH.fullmatch(line)))
    for start, end in sorted((start, min(end, length)) for start, end in stretches):
        if filled and start <= filled[-1][1]:
            filled[-1] = (filled[-1][0], max(end, filled[-1][1]))
        elif 0 <= start < end:
            filled.append((start, end))
    return PartRecord(_parse_note(json.loads(head)), filled)


def _parse_note(head: dict[str, Any]) -> PartNote:
    """Read the note of a record; earlier versions knew one checksum."""
    values = {**head}
    listed = values.pop("checksums", None) or filter(None, [values.pop("checksum", None)])
    return PartNote(**values, checksums=tuple(map(str, listed)))
