"""The path of ONE product, top to bottom.

Resources are held only while they are used: waiting for tape holds no slot.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from pepsasync.decide.schedule import LONGEST_ADVICE
from pepsasync.errors import FATAL, IntegrityError, OfflineError, PepsasyncError
from pepsasync.events import (
    Noticed,
    ProductAwaited,
    ProductDelivered,
    ProductExtracted,
    ProductFailed,
    ProductFound,
    ProductLeftOut,
    ProductSkipped,
    ProductStaged,
    ProductVerified,
    StagingRequested,
)
from pepsasync.model import Delivery, DeliveryStatus, StorageTier
from pepsasync.providers.base import StagingOutcome
from pepsasync.stages.download import download
from pepsasync.stages.extract import extract
from pepsasync.stages.stage import request_staging
from pepsasync.stages.verify import find_present, promote, verify
from pepsasync.stages.watch import too_late

if TYPE_CHECKING:
    from pathlib import Path

    from pepsasync.model import Product
    from pepsasync.stages.download import Received
    from pepsasync.stages.line import Line
    from pepsasync.stages.watch import OnlineWatch


@dataclass(frozen=True, slots=True)
class Run:
    """What all products of a run share."""

    line: Line
    watch: OnlineWatch
    extract: bool = False
    asked_before: dict[str, int] = field(default_factory=dict)
    """Staging requests of an earlier run, by name of products that it waited for; taken out as they are used."""
    advised: set[str] = field(default_factory=set)
    """What the user was told to do; each piece of advice is told once."""

    def advise(self, advice: str) -> None:
        """Tell the user what to do, unless it was told before."""
        if advice and advice not in self.advised:
            self.advised.add(advice)
            self.line.emit(Noticed(message=advice))


@dataclass(slots=True)
class Log:
    """What is worth telling of one product's path, filled on the way."""

    product: Product
    staging_requests: int = 0
    asked_at: float | None = None
    staged_seconds: float = 0.0
    download_began: float | None = None
    fallbacks: int = 0
    fresh_tries: int = 0
    attempts: int = 0
    received: Received | None = field(default=None)

    @property
    def who(self) -> dict[str, str]:
        """Id and name, for events."""
        return {"id": self.product.id, "name": self.product.name}

    def deadline(self, run: Run) -> float:
        """When the archive has had long enough to bring the product online, counted from the first call of this."""
        self.asked_at = anyio.current_time() if self.asked_at is None else self.asked_at
        return self.asked_at + run.line.config.staging_timeout


async def deliver(product: Product, run: Run) -> Delivery | None:
    """Bring one product from wherever it is to its final name.

    Args:
        product: As the catalogue described it.
        run: Archive, folder, limiters, the shared watch.

    Returns:
        The outcome; errors of this product are in it. None when the product is on tape and the run skips those.

    Raises:
        ConfigError, AuthError, UnreachableError, DiskFullError: The next product would meet the same.

    Cancellation: slots are free, the part is resumable, no final name is wrong.
    """
    log, shelf, emit = Log(product), run.line.shelf, run.line.emit
    emit(ProductFound(**log.who, tier=product.tier, size=product.size))
    try:
        present = await find_present(product, shelf, extract=run.extract)
        if present.wrong:
            emit(Noticed(message=f"{product.name}: what is there is wrong and will be replaced: {present.wrong}"))
        path = present.path
        if path is not None and (path.is_dir() or not run.extract):
            return _skipped(log, run, path, present.bytes)
        while path is None:
            if run.line.config.skip_tape and not _can_try(product, run):
                run.line.emit(ProductLeftOut(**log.who, tier=product.tier, size=product.size))
                return None
            if product.tier is not StorageTier.DISK:
                await bring_online(product, run, log)
            try:
                path = await _fetch(product, run, log)
            except OfflineError:  # back on tape before we came, or never online
                product = replace(product, tier=StorageTier.TAPE)
                await _back_off(run, log)
        if run.extract:
            async with run.line.slots.unpack:
                path = await extract(product, shelf)
            emit(ProductExtracted(**log.who, path=str(path)))
        return _delivered(log, run, path, present.bytes)
    except FATAL:
        raise
    except PepsasyncError as error:
        return fail(log, run, error)


async def bring_online(product: Product, run: Run, log: Log) -> None:
    """Ask for staging and wait, again while the archive leaves the product on tape.

    Raises:
        StagingTimeout: It took longer than `Config.staging_timeout`, or nothing moved.
        ProviderError: The archive refuses the product.

    Cancellation: nothing to undo; the archive may go on staging.
    """
    began, deadline = anyio.current_time(), log.deadline(run)
    is_waiting = _was_asked_before(product, run, log)
    while not (is_waiting and await run.watch.until_online(product, log.staging_requests, deadline)):
        reply = await request_staging(product, run.line)
        if reply.outcome is StagingOutcome.ONLINE:
            break
        is_waiting = reply.outcome is not StagingOutcome.QUOTA
        if not is_waiting:
            await _pause(reply.retry_after or LONGEST_ADVICE, product, run, log)
            continue
        log.staging_requests += 1
        if reply.outcome is StagingOutcome.BY_HAND:
            run.advise(reply.advice)
            run.line.emit(ProductAwaited(**log.who))
        else:
            run.line.emit(StagingRequested(**log.who, times=log.staging_requests, retry_after=reply.retry_after))
    log.staged_seconds += anyio.current_time() - began
    run.line.emit(ProductStaged(**log.who, seconds=log.staged_seconds))


def _was_asked_before(product: Product, run: Run, log: Log) -> bool:
    """Whether an earlier run asked for a product that this one has not touched yet: it need not be asked for again."""
    asked = run.asked_before.pop(product.name, 0)
    if not asked:
        return False
    log.staging_requests = asked
    run.line.emit(ProductAwaited(**log.who))
    return True


async def _fetch(product: Product, run: Run, log: Log) -> Path:
    """Download, verify, promote; once more from the start when what came is wrong."""
    shelf = run.line.shelf
    log.download_began = log.download_began or anyio.current_time()
    while True:
        try:
            received = await download(product, run.line)
            log.attempts += received.attempts
            await verify(product, received, shelf)
            break
        except IntegrityError as error:
            await anyio.to_thread.run_sync(shelf.discard_part, product)
            log.fresh_tries += 1
            if log.fresh_tries > 1:
                error.hint = error.hint or "It was fetched twice; report it to the archive if it stays so"
                raise
            run.line.emit(Noticed(message=f"{product.name}: {error.message}; fetching it afresh"))
    log.received = received
    run.line.emit(ProductVerified(**log.who, checksum=str(received.checksum) if received.checksum else None))
    return await promote(product, shelf)


async def _back_off(run: Run, log: Log) -> None:
    """Wait before asking again for a product that was said to be online and was not."""
    log.fallbacks += 1
    pause = min(run.line.poll_interval * 2 ** min(log.fallbacks - 1, 20), LONGEST_ADVICE)
    await _pause(pause, log.product, run, log)


async def _pause(seconds: float, product: Product, run: Run, log: Log) -> None:
    if anyio.current_time() + seconds > log.deadline(run):
        raise too_late(product, run.line.config.staging_timeout)
    await anyio.sleep(seconds)


def _can_try(product: Product, run: Run) -> bool:
    """Whether a product is online, or may be and asking for it does not stage it."""
    if product.tier is StorageTier.UNKNOWN:
        return not run.line.provider.limits.stages
    return product.tier is StorageTier.DISK


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
        source=run.line.provider.name,
    )


def _skipped(log: Log, run: Run, path: Path, size: int) -> Delivery:
    run.line.emit(ProductSkipped(**log.who, path=str(path), bytes=size))
    return Delivery(
        product=log.product,
        status=DeliveryStatus.SKIPPED,
        path=path,
        bytes=size,
        checksum=log.product.checksum,
        source=run.line.provider.name,
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
        source=run.line.provider.name,
        error=error,
    )
