"""From wherever an archive keeps a product to its final name in the folder."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from pepsasync.engine.staging import request_staging
from pepsasync.engine.watch import too_late
from pepsasync.errors import IntegrityError, OfflineError, PepsasyncError
from pepsasync.events import (
    DownloadStarted,
    Noticed,
    ProductAwaited,
    ProductLeftOut,
    ProductStaged,
    ProductVerified,
    StagingRequested,
)
from pepsasync.limits.schedule import LONGEST_ADVICE
from pepsasync.model import StorageTier
from pepsasync.providers.base import StagingOutcome
from pepsasync.transfer.old_download import download
from pepsasync.transfer.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from pepsasync.engine.run import Log, Run
    from pepsasync.events import Event
    from pepsasync.model import Product


async def bring(product: Product, run: Run, log: Log) -> Path | None:
    """Stage if need be, wait, download, verify, promote; again from the start when it went back to tape meanwhile.

    Returns:
        Where it is, under its final name; None when it is on tape and the run leaves such products out.

    Raises:
        PepsasyncError: It cannot be had from this archive; what was received is kept.
    """
    while True:
        if run.line.config.skip_tape and not can_try(product, run):
            run.line.emit(ProductLeftOut(**log.who, tier=product.tier, size=product.size))
            return None
        try:
            if product.tier is StorageTier.DISK:
                return await fetch_verified(product, run, log)
            await run.line.pace.check_account(product)
            return await _stage_and_fetch(product, run, log)
        except OfflineError:  # back on tape before we came, or never online
            product = replace(product, tier=StorageTier.TAPE)
            if not run.line.config.skip_tape:
                await back_off(run, log)


async def _stage_and_fetch(product: Product, run: Run, log: Log) -> Path:
    """Bring a product from tape, within the staging window."""
    window, size, path = run.line.slots.window, product.size or 0, None
    await window.enter(size, acquired=product.start, goes_first=run.was_asked_before(product))
    try:
        await bring_online(product, run, log)
        path = await fetch_verified(product, run, log)
    finally:
        window.leave(size, arrived=path is not None)
    return path


async def bring_online(product: Product, run: Run, log: Log) -> None:
    """Ask for staging and wait, again while the archive leaves the product on tape.

    Raises:
        StagingTimeout: It took longer than `Config.staging_timeout`, or nothing moved.
        OfflineError: It is on tape after all, nobody can ask for it from here, and the run leaves such products out.
        ProviderError: The archive refuses the product.

    Cancellation: nothing to undo; the archive may go on staging.
    """
    began, deadline = anyio.current_time(), log.deadline(run)
    is_waiting = goes_first = _was_asked_before(product, run, log)
    while not (is_waiting and await run.watch.until_online(product, log.staging_requests, deadline)):
        reply = await request_staging(product, run.line, goes_first=goes_first)
        if reply.outcome is StagingOutcome.ONLINE:
            break
        is_waiting = reply.outcome is not StagingOutcome.QUOTA
        if not is_waiting:
            await _pause(reply.retry_after or LONGEST_ADVICE, product, run, log)
            continue
        if reply.outcome is StagingOutcome.BY_HAND and run.line.config.skip_tape:
            raise OfflineError("the archive has the product on tape", product=product.name)
        product = replace(product, tier=StorageTier.UNKNOWN)  # by the next time it may have come, mentioned or not
        log.staging_requests += 1
        if reply.outcome is StagingOutcome.BY_HAND:
            run.advise(reply.advice)
            run.line.emit(ProductAwaited(**log.who))
        else:
            run.line.asked(product, log.staging_requests)
            run.line.emit(StagingRequested(**log.who, times=log.staging_requests, retry_after=reply.retry_after))
    log.staged_seconds += anyio.current_time() - began
    run.line.emit(ProductStaged(**log.who, seconds=log.staged_seconds))


def _was_asked_before(product: Product, run: Run, log: Log) -> bool:
    """Whether an earlier run asked this archive for a product: it need not be asked for again."""
    asked = run.asked_before.pop((product.provider, product.id), 0)
    if not asked:
        return False
    log.staging_requests = asked
    run.line.emit(ProductAwaited(**log.who))
    return True


async def fetch_verified(product: Product, run: Run, log: Log) -> Path:
    """Download, verify; once more from the start when what came is wrong."""
    shelf = run.line.shelf
    line = replace(run.line, emit=partial(_note_start, run, log))
    while True:
        try:
            received = await download(product, line)
            log.attempts += received.attempts
            path = await verify(product, received, run.line)
            break
        except PepsasyncError as error:
            log.attempts += error.attempts
            if not isinstance(error, IntegrityError):
                raise
            await anyio.to_thread.run_sync(shelf.discard_part, product)
            log.fresh_tries += 1
            if log.fresh_tries > 1:
                error.hint = error.hint or "It was fetched twice; report it to the archive if it stays so"
                raise
            run.line.emit(Noticed(message=f"{product.name}: {error.message}; fetching it afresh"))
    log.received = replace(received, checksum=product.checksum, body=None)
    run.line.emit(ProductVerified(**log.who, checksum=str(product.checksum) if product.checksum else None))
    return path


def _note_start(run: Run, log: Log, event: Event) -> None:
    """Pass on an event; the first start is when downloading began: what is waited for before is something else."""
    if log.download_began is None and isinstance(event, DownloadStarted):
        log.download_began = anyio.current_time()
    run.line.emit(event)


async def back_off(run: Run, log: Log) -> None:
    """Wait before asking again for a product that was said to be online and was not."""
    log.fallbacks += 1
    pause = min(run.line.poll_interval * 2 ** min(log.fallbacks - 1, 20), LONGEST_ADVICE)
    await _pause(pause, log.product, run, log)


async def _pause(seconds: float, product: Product, run: Run, log: Log) -> None:
    if anyio.current_time() + seconds > log.deadline(run):
        raise too_late(product, run.line.config.staging_timeout)
    await anyio.sleep(seconds)


def can_try(product: Product, run: Run) -> bool:
    """Whether a product is online, or may be and asking for it does not stage it."""
    if product.tier is StorageTier.UNKNOWN:
        return not run.line.provider.limits.stages
    return product.tier is StorageTier.DISK
