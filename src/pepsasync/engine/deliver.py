"""The path of ONE product, top to bottom.

Resources are held only while they are used: waiting for tape holds no slot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from pepsasync.engine.bring import bring, can_try
from pepsasync.engine.run import Log
from pepsasync.errors import FATAL, PepsasyncError, TransferError
from pepsasync.events import Noticed, ProductDelivered, ProductExtracted, ProductFailed, ProductFound, ProductSkipped
from pepsasync.folder.space import UNPACKED
from pepsasync.model import Delivery, DeliveryStatus
from pepsasync.threads import lacks_threads
from pepsasync.transfer.blocks import FEWER_THREADS
from pepsasync.transfer.existing import Present, find_present
from pepsasync.transfer.extract import extract
from pepsasync.transfer.old_download import is_small

if TYPE_CHECKING:
    from pathlib import Path

    from pepsasync.engine.run import Run
    from pepsasync.model import Product


async def deliver(product: Product, run: Run, *, is_absent: bool = False) -> Delivery | None:
    """Bring one product from wherever it is to its final name.

    Args:
        product: As the catalogue described it.
        run: Archive, folder, limiters, the shared watch.
        is_absent: Whether it is known that nothing of that name is in the folder.

    Returns:
        The outcome; errors of this product are in it. None when the product is on tape and the run skips those.

    Raises:
        ConfigError, AuthError, UnreachableError, DiskFullError: The next product would meet the same.

    Cancellation: slots are free, the part is resumable, no final name is wrong.
    """
    log, shelf, emit = Log(product), run.line.shelf, run.line.emit
    emit(ProductFound(**log.who, tier=product.tier, size=product.size))
    try:
        present = Present(None)
        if not is_absent:
            present = await find_present(product, shelf, extract=run.extract, limiter=run.line.slots.looks)
        if present.wrong:
            emit(Noticed(message=f"{product.name}: what is there is wrong and will be replaced: {present.wrong}"))
        path = present.path
        if path is not None and (present.is_folder or not run.extract):
            return _skipped(log, run, path, present.bytes)
        await _reserve_room(product, run, path)
        path = path or await (run.sources.bring(product, log) if run.sources else bring(product, run, log))
        if path is None:
            return None
        if run.extract:
            async with run.line.slots.unpack:
                path = await extract(product, shelf)
            emit(ProductExtracted(**log.who, path=str(path)))
        return _delivered(log, run, path, present.bytes)
    except FATAL:
        raise
    except (PepsasyncError, RuntimeError) as error:
        return fail(log, run, _of_product(error))
    finally:
        if run.line.space:
            run.line.space.release(product.name)


def _of_product(error: PepsasyncError | RuntimeError) -> PepsasyncError:
    """What went wrong with one product; raises what is a fault of the program."""
    if isinstance(error, PepsasyncError):
        return error
    if lacks_threads(error):
        return TransferError(f"no thread is to be had: {error}", hint=FEWER_THREADS)
    raise error


async def _reserve_room(product: Product, run: Run, zipped: Path | None) -> None:
    """Set aside what a product still needs on the disk; one that is left out for being on tape needs nothing."""
    line, size = run.line, product.size or 0
    if line.space is None or (zipped is None and line.config.skip_tape and not can_try(product, run)):
        return
    here = size if zipped else 0
    if not (zipped or is_small(product)):
        here = await to_thread.run_sync(line.shelf.unfinished_length, product)
    needed, later = max(0, size - here), int(size * UNPACKED) if run.extract else 0
    if line.space.must_look(needed + later):
        await to_thread.run_sync(line.space.look)
    line.space.reserve(product.name, needed, later=later)


def _delivered(log: Log, run: Run, path: Path, size: int) -> Delivery:
    received, now = log.received, anyio.current_time()
    size = received.length if received else size
    run.line.emit(ProductDelivered(**log.who, path=str(path), bytes=size))
    return Delivery(
        product=log.product,
        status=DeliveryStatus.DELIVERED,
        path=path,
        bytes=size,
        checksum=(received.checksum if received else None) or log.product.checksum,
        staged_seconds=log.staged_seconds,
        download_seconds=now - log.download_began if log.download_began is not None else 0.0,
        attempts=log.attempts,
        resumed_bytes=received.resumed_bytes if received else 0,
        data_path=received.data_path if received else None,
        source=log.source or run.line.provider.name,
    )


def _skipped(log: Log, run: Run, path: Path, size: int) -> Delivery:
    run.line.emit(ProductSkipped(**log.who, path=str(path), bytes=size))
    return Delivery(
        product=log.product,
        status=DeliveryStatus.SKIPPED,
        path=path,
        bytes=size,
        checksum=log.product.checksum,
        source=log.source or run.line.provider.name,
    )


def fail(log: Log, run: Run, error: PepsasyncError) -> Delivery:
    """Tell that a product cannot be delivered, and why."""
    error.product = error.product or log.product.name
    run.line.emit(ProductFailed(**log.who, error=type(error).__name__, message=str(error)))
    return Delivery(
        product=log.product,
        status=DeliveryStatus.FAILED,
        staged_seconds=log.staged_seconds,
        attempts=log.attempts,
        source=log.source or run.line.provider.name,
        error=error,
    )
