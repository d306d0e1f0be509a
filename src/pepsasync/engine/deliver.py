"""The path of one product, top to bottom: look for it in the folder, bring it, unpack it, report the outcome.

How it is staged, downloaded and verified stands in `one_archive.bring`, and with several archives in
`several_archives.bring`. Waiting for tape holds no slot; room on the disk and in the staging window is held from before
the wait to the end.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.engine.order import Log
from pepsasync.errors import FATAL, PepsasyncError, TransferError
from pepsasync.events import Noticed, ProductDelivered, ProductExtracted, ProductFailed, ProductFound, ProductSkipped
from pepsasync.folder.space import UNPACKED
from pepsasync.members.fetch import keep_members
from pepsasync.model import Delivery, DeliveryStatus
from pepsasync.threads import FEWER_THREADS, lacks_threads
from pepsasync.transfer.existing import Existing
from pepsasync.transfer.extract import extract
from pepsasync.transfer.part import is_small

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pepsasync.engine.order import Order, Sources
    from pepsasync.model import FinalName, Product
    from pepsasync.query.members import Selection


async def deliver(product: Product, sources: Sources, order: Order, *, is_absent: bool = False) -> Delivery | None:
    """Bring one product from wherever it is to its final name.

    Args:
        product: As the catalogue described it.
        sources: One archive, or several.
        order: Folder, limiters, what is wanted.
        is_absent: Whether it is known that nothing of that name is in the folder.

    Returns:
        The outcome; errors of this product are in it. None when the product is on tape and the order leaves those out.

    Raises:
        ConfigError, AuthError, UnreachableError, DiskFullError: The next product would meet the same.

    Cancellation: slots are free, the part is resumable, no final name is wrong.
    """
    log, emit = Log(product, source=order.source), order.emit
    emit(ProductFound(**log.who, tier=product.tier, size=product.size))
    try:
        existing = Existing(None)
        if not is_absent:
            existing = await order.destination.find(
                product, extract=order.extract, selection=order.selection, limiter=order.looks
            )
        if existing.wrong:
            emit(Noticed(message=f"{product.name}: the existing file is wrong and will be replaced: {existing.wrong}"))
        path = existing.path
        if path is not None and (existing.is_folder or not order.extract):
            log.members = existing.members
            return _skipped(log, path, existing.bytes, order)
        async with _room(product, sources, order, path):
            is_new, path = path is None, path or await sources.bring(product, log)
            if path is None:
                return None
            if is_new and log.is_whole and order.selection:  # the wanted members could not come alone
                path = await _keep_members(log, order.selection, order)
            elif log.is_whole and order.extract:
                path = await _unpack(log, order)
            return _delivered(log, path, existing.bytes, order)
    except FATAL:
        raise
    except (PepsasyncError, RuntimeError) as error:
        return fail(log, _of_product(error), order)


async def _keep_members(log: Log, selection: Selection, order: Order) -> Path:
    """Unpack the wanted members of a zip, and remove it; what is no zip stays whole."""
    async with order.unpackers:
        brought = await keep_members(log.product, order.folder, selection)
    log.members, log.bytes = brought.members, brought.bytes
    order.emit(ProductExtracted(**log.who, path=str(brought.path)))
    return brought.path


async def _unpack(log: Log, order: Order) -> Path:
    async with order.unpackers:
        path = await extract(log.product, order.folder)
    order.emit(ProductExtracted(**log.who, path=str(path)))
    return path


def _of_product(error: PepsasyncError | RuntimeError) -> PepsasyncError:
    """The error of one product; raises what is a bug of the program."""
    if isinstance(error, PepsasyncError):
        return error
    if lacks_threads(error):
        return TransferError(f"cannot start a thread: {error}", hint=FEWER_THREADS)
    raise error


@contextlib.asynccontextmanager
async def _room(product: Product, sources: Sources, order: Order, zipped: FinalName | None) -> AsyncIterator[None]:
    """Reserve the disk space that a product still needs; one that is left out because it is on tape needs none."""
    space, size = order.destination.space, product.size or 0
    if order.selection and not zipped:
        size = 0  # how much its members need is known when the archive has told which it has
    if space is None or (zipped is None and order.config.skip_tape and not sources.may_be_online(product)):
        yield
        return
    here = size if zipped else 0
    if not (zipped or is_small(product)):
        here = await to_thread.run_sync(order.folder.unfinished_length, product)
    needed, later = max(0, size - here), int(size * UNPACKED) if order.extract else 0
    if space.must_look(needed + later):
        await to_thread.run_sync(space.look)
    try:
        space.reserve(product.name, needed, later=later)
        yield
    finally:
        space.release(product.name)


def _delivered(log: Log, path: FinalName, size: int, order: Order) -> Delivery:
    size = size if log.bytes is None else log.bytes
    order.emit(ProductDelivered(**log.who, path=str(path), bytes=size))
    return replace(
        _stands(log, DeliveryStatus.DELIVERED, path, size),
        checksum=log.checksum if log.bytes is not None else log.product.checksum,
        staged_seconds=log.staged_seconds,
        download_seconds=log.download_seconds,
        attempts=log.attempts,
        resumed_bytes=log.resumed_bytes,
        data_path=log.data_path,
        worker=log.worker,
    )


def _skipped(log: Log, path: FinalName, size: int, order: Order) -> Delivery:
    order.emit(ProductSkipped(**log.who, path=str(path), bytes=size))
    return _stands(log, DeliveryStatus.SKIPPED, path, size)


def _stands(log: Log, status: DeliveryStatus, path: FinalName, size: int) -> Delivery:
    """The outcome of a product that has its final name: a path, or the URL of what is in a bucket."""
    return Delivery(
        product=log.product,
        status=status,
        path=None if isinstance(path, str) else path,
        url=path if isinstance(path, str) else None,
        bytes=size,
        checksum=log.product.checksum,
        source=log.source,
        members=log.members,
    )


def fail(log: Log, error: PepsasyncError, order: Order) -> Delivery:
    """Report that a product cannot be delivered, and why."""
    error.product = error.product or log.product.name
    order.emit(ProductFailed(**log.who, error=type(error).__name__, message=str(error)))
    return Delivery(
        product=log.product,
        status=DeliveryStatus.FAILED,
        staged_seconds=log.staged_seconds,
        attempts=log.attempts,
        source=log.source,
        error=error,
    )
