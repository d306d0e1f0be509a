"""Some members of a product: a folder under its final name that is noted to be partial.

`NAME.SAFE/` gets each member by one rename, when it is complete, compared with its CRC, and on the disk. The note in
the state folder (`verified.py`) lists all members of the product, those that are here, and what was asked for; it is
there before the first member is, so that no killed run leaves a partial folder that passes for a whole one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import stat
import threading
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from anyio import to_thread

from pepsasync.errors import DeliveryError, IntegrityError, NotFoundError, PepsasyncError
from pepsasync.events import DownloadStarted, Noticed, ProductDownloaded
from pepsasync.folder.files import disk_errors, foreign_member, make_way, remove_tree, sync, write_all
from pepsasync.folder.zips import UnsafeZipError, blocks, crc_of, open_zip
from pepsasync.groups import task_group
from pepsasync.providers.base import ServesFiles
from pepsasync.threads import check_cancelled, clean_up
from pepsasync.transfer.digest import Digest
from pepsasync.transfer.extract import SYNC_EVERY, refuse_unsafe_names, refused_names
from pepsasync.transfer.manifest import MANIFESTS, listed_checksums
from pepsasync.transfer.progress import Progress
from pepsasync.transfer.remote_zip import (
    GAP,
    LONGEST,
    Entry,
    NoRangesError,
    RemoteZip,
    Run,
    Unpacker,
    entries_of,
    join,
)
from pepsasync.transfer.verified import Partial, is_marked_wrong, members_of, partial_of, remember_partial

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from pepsasync.folder.layout import Folder
    from pepsasync.model import Checksum, Product
    from pepsasync.query.members import Selection
    from pepsasync.transfer.context import ArchiveContext


LARGEST_MANIFEST = 1 << 24
"""Bytes; those of Sentinel products have less than one of them in a hundred."""

UNKNOWN = -1
"""Stands for a CRC that nobody has told."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What was brought of a product."""

    path: Path
    members: tuple[str, ...]
    """That were asked for; all of them are here."""
    bytes: int
    """Of these members, unpacked."""
    requests: int = 0


async def fetch_members(product: Product, archive: ArchiveContext, folder: Folder, selection: Selection) -> Brought:
    """Bring some members of a product that is online into its folder, beside those that are there.

    Args:
        product: Believed to be online.
        archive: Its connection and limits.
        folder: Where it is put.
        selection: Which members.

    Raises:
        NoRangesError: The archive serves no parts of this product; nothing was changed.
        NotFoundError: No member matches.
        IntegrityError: A member is not what the directory of the zip says, or the file was changed meanwhile.
        PepsasyncError: As `download`.

    Cancellation: members that are complete stay, others leave nothing.
    """
    remote, provider = RemoteZip(product, archive), archive.provider
    try:
        entries = await remote.read_directory()
    except NoRangesError:
        if not isinstance(provider, ServesFiles):
            raise
        entries = _listed(product, await provider.files(product))
    place = PartialFolder(product, folder, selection)
    try:
        missing = await to_thread.run_sync(place.prepare, _sizes(entries))
        if bands := selection.missing_bands(entries):
            archive.emit(Noticed(message=f"{product.name} has no {', '.join(bands)}; its other members are brought"))
        if folder.space:
            needed = sum(entries[path].info.file_size for path in missing)
            if folder.space.must_look(needed):
                await to_thread.run_sync(folder.space.look)
            folder.space.reserve(product.name, needed)
        wanted = [entries[path] for path in missing]
        if wanted and wanted[0].info.CRC == UNKNOWN and isinstance(provider, ServesFiles):
            await _fetch_files(remote, provider, entries, wanted, place)
        elif wanted:
            await _fetch_runs(remote, wanted, place)
        return await to_thread.run_sync(place.finish, remote.requests)
    finally:
        await clean_up(place.close)


async def _fetch_runs(remote: RemoteZip, wanted: list[Entry], place: PartialFolder) -> None:
    """Bring members, several requests at a time, as the gate of the archive allows."""
    product, archive = remote.product, remote.archive
    # Where downloads are counted, one request for more than is needed is the cheaper one.
    is_counted = archive.gate.quota.quota is not None
    runs = join(wanted, *((float("inf"),) * 2 if is_counted else (GAP, LONGEST)))
    remote.received = 0
    remote.progress = progress = Progress(remote, archive, None)
    archive.emit(
        DownloadStarted(id=product.id, name=product.name, offset=0, size=sum(run.end - run.first for run in runs))
    )

    async def bring(run: Run) -> None:
        unpacker = Unpacker(run, place.begin, place.done)

        async def take(block: bytes) -> None:
            with disk_errors(place.final):
                await to_thread.run_sync(unpacker.feed, block)

        try:
            await remote.fetch(run.first, run.end, take)
        except PepsasyncError:
            await to_thread.run_sync(place.settle)  # what came whole before is right
            raise
        except zipfile.BadZipFile as error:
            await to_thread.run_sync(place.settle)
            raise IntegrityError(str(error), product=product.name) from error
        await to_thread.run_sync(place.settle)  # not sooner: the disk would be waited for with a slot

    async with task_group() as bringing:
        for run in runs:
            bringing.start_soon(bring, run)
    archive.emit(
        ProductDownloaded(
            id=product.id,
            name=product.name,
            bytes=remote.received,
            seconds=progress.seconds,
            resumed_bytes=0,
            data_path="plain",
        )
    )


def _listed(product: Product, files: Mapping[str, int]) -> dict[str, Entry]:
    """Files that an archive serves one by one, as members of a zip of which no CRC is known.

    Raises:
        IntegrityError: Some must not be written.
    """
    entries = dict[str, Entry]()
    for path, size in files.items():
        info = zipfile.ZipInfo(path)
        info.file_size, info.CRC = size, UNKNOWN
        entries[path] = Entry(path, info, size)
    try:
        refuse_unsafe_names([entry.info for entry in entries.values()])
    except UnsafeZipError as error:
        raise IntegrityError(str(error), product=product.name) from error
    return entries


async def _fetch_files(
    remote: RemoteZip, provider: ServesFiles, entries: Mapping[str, Entry], wanted: list[Entry], place: PartialFolder
) -> None:
    """Bring files that the archive serves one by one; they are compared with the checksums of the manifest."""
    product, archive = remote.product, remote.archive
    remote.received = 0
    remote.progress = progress = Progress(remote, archive, None)
    archive.emit(
        DownloadStarted(id=product.id, name=product.name, offset=0, size=sum(entry.info.file_size for entry in wanted))
    )
    checksums = await _checksums(remote, provider, entries)

    async def bring(entry: Entry) -> None:
        checksum, crc, file = checksums.get(entry.path), 0, None
        digest = Digest(checksum.algorithm if checksum else None)

        def write(block: bytes) -> None:
            nonlocal crc, file
            file = file or place.begin(entry)
            file.write(block)
            digest.update(block)
            crc = zlib.crc32(block, crc)

        async def take(block: bytes) -> None:
            with disk_errors(place.final):
                await to_thread.run_sync(write, block)

        await _fetch_file(remote, provider, entry, take)
        if checksum and digest.hexdigest() != checksum.value:
            raise IntegrityError(f"{entry.path} differs from its manifest", product=product.name)
        entry.info.CRC = crc
        place.done(entry)
        await to_thread.run_sync(place.settle)

    async with task_group() as bringing:
        for entry in wanted:
            bringing.start_soon(bring, entry)
    archive.emit(
        ProductDownloaded(
            id=product.id,
            name=product.name,
            bytes=remote.received,
            seconds=progress.seconds,
            resumed_bytes=0,
            data_path="plain",
        )
    )


async def _checksums(remote: RemoteZip, provider: ServesFiles, entries: Mapping[str, Entry]) -> dict[str, Checksum]:
    """Checksums of the files of a product, as its manifest lists them."""
    manifest = bytearray()

    async def keep(block: bytes) -> None:
        manifest.extend(block)

    listing = next((entries[name] for name in MANIFESTS if name in entries), None)
    if listing is None or listing.info.file_size > LARGEST_MANIFEST:
        return {}
    await _fetch_file(remote, provider, listing, keep)
    try:
        return listed_checksums(bytes(manifest))
    except ValueError as error:
        raise IntegrityError(str(error), product=remote.product.name) from error


async def _fetch_file(
    remote: RemoteZip, provider: ServesFiles, entry: Entry, take: Callable[[bytes], Awaitable[None]]
) -> None:
    """Hand over one file; an empty one is handed over without being asked for."""
    request = functools.partial(provider.file_request, remote.product, entry.path)
    one = RemoteZip(remote.product, remote.archive, request, entry.info.file_size)
    one.counts_for, one.progress = remote, remote.progress
    if entry.info.file_size:
        await one.fetch(0, entry.info.file_size, take)
    else:
        await take(b"")


async def keep_members(product: Product, folder: Folder, selection: Selection) -> Brought:
    """Unpack some members of a product's verified zip into its folder, then remove the zip.

    For archives that serve no parts of products.

    Raises:
        NotFoundError: No member matches; the zip stays.
        DeliveryError, ConfigError, DiskFullError: As `extract`; the zip stays.

    Cancellation: ends at the next block; members that are complete stay, and so does the zip.
    """
    return await to_thread.run_sync(_keep, product, folder, selection)


def _keep(product: Product, folder: Folder, selection: Selection) -> Brought:
    zipped = folder.zip_path(product)
    place = PartialFolder(product, folder, selection)
    try:
        with disk_errors(zipped), open_zip(zipped) as archive:
            entries = entries_of(archive)
            for path in place.prepare(_sizes(entries)):
                with contextlib.closing(blocks(archive, entries[path].info)) as content:
                    file = place.begin(entries[path])
                    for block in content:
                        file.write(block)
                    place.done(entries[path])
                    place.settle()
            brought = place.finish()
            zipped.unlink()
            return brought
    except zipfile.BadZipFile as error:
        raise DeliveryError(f"cannot unpack: {error}", product=product.name, hint="The zip was kept") from error
    finally:
        place.close()


def _sizes(entries: Mapping[str, Entry]) -> dict[str, tuple[int, int]]:
    return {path: (entry.info.file_size, entry.info.CRC) for path, entry in entries.items()}


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
        self._ready: dict[Entry, _File] = {}
        self._settling = threading.Lock()
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
        known, before = members_of(final, folder), partial_of(final, folder)
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
        return [path for path in self._goal if path not in here]

    def _is_here(self, path: str, size: int, crc: int) -> bool:
        """Whether a file has the bytes of a member; reads it."""
        check_cancelled()
        file = self.final / path
        try:
            found = os.lstat(file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == size and crc_of(file) == crc

    def begin(self, entry: Entry) -> IO[bytes]:
        """Where the content of a member is written."""
        file = _File(self._scratch / secrets.token_hex(8))
        self._open[entry.path] = file
        return file  # type: ignore[return-value]

    def done(self, entry: Entry) -> None:
        """Take a member as complete and right; `settle` gives it its name."""
        self._goal[entry.path] = entry.info.file_size, entry.info.CRC
        self._ready[entry] = self._open.pop(entry.path)

    def settle(self) -> None:
        """Force the members that are complete to the disk, and give them their final names."""
        with self._settling, disk_errors(self.final):
            while self._ready:
                check_cancelled()
                entry, file = self._ready.popitem()
                file.close()
                self._folder.check_owner()
                with refused_names(self._product, entry.info):
                    self._name(file.path, entry.path)

    def _name(self, file: Path, path: str) -> None:
        target = self.final / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path not in self._ours and os.path.lexists(target):
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
        for file in (*self._open.values(), *self._ready.values()):
            with contextlib.suppress(OSError):
                file.file.close()
        remove_tree(self._scratch)
        with contextlib.suppress(OSError):  # not there, or another program works in it
            self._scratch.parent.rmdir()


class _File:
    """A file that is on the disk when it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("xb", buffering=0)
        self._waiting = 0

    def write(self, block: bytes | memoryview) -> None:
        write_all(self.file, memoryview(block))
        self._waiting += len(block)
        if self._waiting >= SYNC_EVERY:
            os.fsync(self.file.fileno())
            self._waiting = 0

    def close(self) -> None:
        with self.file:
            os.fsync(self.file.fileno())
