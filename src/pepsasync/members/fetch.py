"""Some members of a product that is online, or of a whole zip that is here: brought into its folder."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import zipfile
import zlib
from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.errors import DeliveryError, IntegrityError
from pepsasync.events import Noticed
from pepsasync.folder.files import disk_errors
from pepsasync.folder.zips import UnsafeZipError, blocks, open_zip
from pepsasync.groups import task_group
from pepsasync.members.partial_folder import UNKNOWN, Brought, PartialFolder
from pepsasync.members.remote_zip import NoRangesError, RemoteZip
from pepsasync.members.zip_members import GAP, LONGEST, Entry, Run, Unpacker, entries_of, join
from pepsasync.model import Checksum
from pepsasync.providers.base import ServesFiles
from pepsasync.threads import clean_up
from pepsasync.transfer.digest import Digest
from pepsasync.transfer.extract import refuse_unsafe_names
from pepsasync.transfer.manifest import MANIFESTS, listed_checksums

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pepsasync.folder.layout import Folder
    from pepsasync.model import Product
    from pepsasync.query.members import Selection
    from pepsasync.transfer.context import ArchiveContext


LARGEST_MANIFEST = 1 << 24
"""Bytes; those of Sentinel products have less than one of them in a hundred."""


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
        entries = await to_thread.run_sync(_listed, product, await provider.files(product))
    place = PartialFolder(product, folder, selection)
    try:
        missing = await to_thread.run_sync(place.prepare, _sizes(entries))
        if bands := await to_thread.run_sync(selection.missing_bands, entries):
            archive.emit(Noticed(message=f"{product.name} has no {', '.join(bands)}; its other members are brought"))
        if folder.space:
            if folder.space.must_look(place.left):
                await to_thread.run_sync(folder.space.look)
            folder.space.reserve(product.name, place.left)
        if wanted := [entries[path] for path in missing]:
            with remote.reporting(place.left, folder.space, lambda: place.left):
                if wanted[0].info.CRC == UNKNOWN and isinstance(provider, ServesFiles):
                    await _fetch_files(remote, provider, entries, wanted, place)
                else:
                    await _fetch_runs(remote, wanted, place)
        return await to_thread.run_sync(place.finish, remote.requests)
    finally:
        await clean_up(place.close)


async def _fetch_runs(remote: RemoteZip, wanted: list[Entry], place: PartialFolder) -> None:
    """Bring members, several requests at a time, as the gate of the archive allows."""
    # Where downloads are counted, one request for more than is needed is the cheaper one.
    is_counted = remote.archive.gate.quota.quota is not None

    async def bring(run: Run) -> None:
        unpacker = Unpacker(run, place.begin, place.done)

        async def take(block: bytes) -> None:
            with disk_errors(place.final):
                await to_thread.run_sync(unpacker.feed, block)

        try:
            await remote.fetch(run.first, run.end, take)
        except zipfile.BadZipFile as error:
            raise IntegrityError(str(error), product=remote.product.name) from error
        finally:  # what came whole is right; not sooner: the disk would be waited for with a slot
            await clean_up(place.settle)

    async with task_group() as bringing:
        for run in join(wanted, *((float("inf"),) * 2 if is_counted else (GAP, LONGEST))):
            bringing.start_soon(bring, run)


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
    manifest, content = await _manifest(remote, provider, entries)
    checksums = await to_thread.run_sync(_checksums, remote.product, manifest, content)

    async def bring(entry: Entry) -> None:
        checksum, crc, file = checksums.get(entry.path), 0, None
        is_here = checksum is not None and await to_thread.run_sync(place.take_over, entry, checksum)
        if is_here:
            return
        digest = Digest(checksum.algorithm if checksum else None)

        def write(block: bytes) -> None:
            nonlocal crc, file
            file = file or place.begin(entry)  # not sooner: all files wait for a slot at once
            file.write(block)
            digest.update(block)
            crc = zlib.crc32(block, crc)

        async def take(block: bytes) -> None:
            with disk_errors(place.final):
                await to_thread.run_sync(write, block)

        def end() -> None:
            write(b"")  # an empty file begins here
            if checksum and digest.hexdigest() != checksum.value:
                raise IntegrityError(f"{entry.path} differs from its manifest", product=remote.product.name)
            entry.info.CRC = crc
            place.done(entry)
            place.settle()

        if entry is manifest:
            await take(content)
        else:
            await _fetch_file(remote, provider, entry, take)
        await clean_up(end)

    async with task_group() as bringing:
        for entry in wanted:
            bringing.start_soon(bring, entry)


async def _manifest(
    remote: RemoteZip, provider: ServesFiles, entries: Mapping[str, Entry]
) -> tuple[Entry | None, bytes]:
    """The manifest of a product and its bytes; none where there is none, or one too large to be one."""
    content = bytearray()

    async def keep(block: bytes) -> None:
        content.extend(block)

    manifest = next((entries[name] for name in MANIFESTS if name in entries), None)
    if manifest is None or manifest.info.file_size > LARGEST_MANIFEST:
        return None, b""
    await _fetch_file(remote, provider, manifest, keep)
    return manifest, bytes(content)


def _checksums(product: Product, manifest: Entry | None, content: bytes) -> dict[str, Checksum]:
    """Checksums of the files of a product, as its manifest lists them, and its own.

    Raises:
        IntegrityError: The manifest cannot be understood.
    """
    if manifest is None:
        return {}
    try:
        listed = listed_checksums(content)
    except ValueError as error:
        raise IntegrityError(str(error), product=product.name) from error
    return listed | {manifest.path: Checksum("sha256", hashlib.sha256(content).hexdigest())}


async def _fetch_file(
    remote: RemoteZip, provider: ServesFiles, entry: Entry, take: Callable[[bytes], Awaitable[None]]
) -> None:
    """Hand over one file; an empty one is not asked for."""
    if entry.info.file_size:
        request = functools.partial(provider.file_request, remote.product, entry.path)
        await remote.of_file(request, entry.info.file_size).fetch(0, entry.info.file_size, take)


async def keep_members(product: Product, folder: Folder, selection: Selection) -> Brought:
    """Unpack some members of a product's verified zip into its folder, then remove the zip.

    For archives that serve no parts of products. A product that is no zip has no members, and stays as it is.

    Raises:
        NotFoundError: No member matches; the zip stays.
        DeliveryError, ConfigError, DiskFullError: As `extract`; the zip stays.

    Cancellation: ends at the next block; members that are complete stay, and so does the zip.
    """
    return await to_thread.run_sync(_keep, product, folder, selection)


def _keep(product: Product, folder: Folder, selection: Selection) -> Brought:
    zipped, single = folder.zip_path(product), folder.file_path(product)
    if single is not None and single.is_file() and not zipped.exists():
        return Brought(single, None, single.stat().st_size)
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
