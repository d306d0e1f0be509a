"""Download: bring all bytes of a product that is online to its part, not yet verified.

`download` brings one product in as many attempts as it takes (`keep_trying`). `fill_gaps` is one attempt, `lead` one
request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.errors import (
    AddressError,
    ForbiddenError,
    IntegrityError,
    OfflineError,
    PepsasyncError,
    ProtocolError,
    ProviderError,
    RefusedError,
    ServerError,
    TransferError,
    UnreachableError,
)
from pepsasync.events import DownloadStarted, ProductDownloaded
from pepsasync.folder.names import is_single_file
from pepsasync.http.client import origin_of
from pepsasync.model import StorageTier
from pepsasync.transfer.part import is_small
from pepsasync.transfer.progress import Progress
from pepsasync.transfer.ranges import Action, are_failing, judge, range_request, refuse_errors, validator_of
from pepsasync.transfer.receive import body_of, receive
from pepsasync.transfer.segments import further_connections

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from pepsasync.limits.attempts import Attempts
    from pepsasync.limits.quota import Permit
    from pepsasync.model import Product
    from pepsasync.transfer.context import ArchiveContext
    from pepsasync.transfer.destination import Destination
    from pepsasync.transfer.division import Segment
    from pepsasync.transfer.incoming import Incoming


async def download(product: Product, archive: ArchiveContext, destination: Destination) -> Incoming:
    """Bring all bytes of a product to where they are put, continuing with what is there.

    A cut is a `ServerError` (`http.errors`): the slot is given back, further connections end, `Attempts` pauses, and
    the next try asks from the first gap on.

    Args:
        product: Believed to be online.
        archive: Its connection and limits.
        destination: Where its bytes are put.

    Raises:
        OfflineError: The product is on tape after all.
        NotNowError: The quota of the account is used up, and the archive is not waited for.
        TransferError: The tries are used up; the part is kept.
        IntegrityError: The archive has another file than it announced.
        ProviderError: The archive refuses the product.
        DiskFullError, ConfigError: The part cannot be written; it is kept.

    Cancellation: bytes already received are written; the part can be continued.
    """
    async with destination.incoming(product) as part:
        progress = Progress(part, archive, destination.space)
        attempts = archive.attempts(product, lambda: progress.furthest)
        if not part.is_complete:  # as an earlier run may have left it: then neither quota nor slot is needed
            await keep_trying(lambda: fill_gaps(part, archive, progress), attempts, product, archive)
        await part.hash_what_is_here()
        part.attempts = attempts.count
    archive.emit(
        ProductDownloaded(
            id=product.id,
            name=product.name,
            bytes=part.received,
            seconds=progress.seconds,
            resumed_bytes=part.resumed_bytes,
            data_path=part.data_path,
        )
    )
    return part


async def keep_trying(
    bring: Callable[[], Awaitable[object]], attempts: Attempts, product: Product, archive: ArchiveContext
) -> None:
    """Make attempts to bring a product until one succeeds or they are used up.

    Args:
        bring: One attempt, which holds a slot only while it lasts.
        attempts: How many, with which pauses.
        product: Which one.
        archive: Is asked whether the product is on tape when a refusal leaves that open.

    Raises:
        PepsasyncError: As `download`.
    """
    try:
        async for attempt in attempts:
            with attempt:  # which swallows errors until the next step of the loop: nothing may follow it there
                try:
                    await bring()
                except OfflineError as refusal:  # the slot is free again
                    raise await ask_whether_on_tape(refusal, product, archive) from refusal.__cause__
    except PepsasyncError as error:
        if given_up := await last_error(error, attempts, product, archive):
            raise given_up from error
        raise


async def fill_gaps(part: Incoming, archive: ArchiveContext, progress: Progress) -> None:
    """Make one attempt: enter the gate and bring what is missing, over one connection or several.

    Args:
        part: Of which product; complete afterwards.
        archive: Its connection and limits.
        progress: Told of every byte.

    Raises:
        OfflineError: The product is on tape after all, or seems to be.
        NotNowError: No download may begin now, and the archive is not waited for.
        PepsasyncError: As `lead`.
    """
    product = part.product
    await part.hash_what_is_here()
    async with (
        archive.gate.download(
            product.size or 0, product.id, wait=archive.waits_for_quota, counted=archive.counted
        ) as permit,
        further_connections(part, archive, progress) as others,
    ):
        with archive.foreign_hosts_fail_alone(product):
            while not part.is_complete:
                if segment := part.division.claim_front():
                    await lead(segment, part, archive, permit, progress)
                else:
                    await others.help()
            await part.flush()


async def lead(segment: Segment, part: Incoming, archive: ArchiveContext, permit: Permit, progress: Progress) -> None:
    """Request the bytes from the start of a segment on, and write what arrives.

    When the archive cannot send this range, the whole product is requested.

    Args:
        segment: The first gap of the part; released at the end.
        part: Of which product.
        archive: Its connection and limits.
        permit: Of the gate, for this attempt.
        progress: Told of every byte.

    Raises:
        ProviderError: What the archive said, or that the answer is not the product, or ended early.
        IntegrityError: The archive has another file than it announced.
        DiskFullError, ConfigError, TransferError: The part cannot be written.
    """
    product = part.product
    try:
        for offset in dict.fromkeys((segment.start, 0)):
            request = await range_request(part, archive, offset)
            async with archive.stream(request) as response, body_of(response) as chunks:
                permit.begin()
                if await _fails_at_ranges(part, response, archive, offset):
                    continue
                permit.accept()
                archive.has_sent.add(origin_of(request.url))
                answer = judge(response, part, offset)
                match answer.action:
                    case Action.ASK_WHOLE:
                        continue
                    case Action.COMPLETE if product.exact_size is None:
                        part.division.set_size(offset)
                        return
                    case Action.COMPLETE:
                        raise ServerError(
                            "the archive says that nothing is missing, but bytes are", product=product.name
                        )
                    case Action.CHANGED:
                        raise IntegrityError(
                            f"the archive now has {answer.total:,} bytes, the catalogue said {product.size:,}",
                            product=product.name,
                            hint="Search again: the product was probably replaced",
                        )
                    case Action.LATER:
                        raise ServerError(
                            f"the archive announces {answer.total} of {product.size} bytes", product=product.name
                        )
                archive.emit(
                    DownloadStarted(
                        id=product.id,
                        name=product.name,
                        offset=offset if answer.action is Action.APPEND else 0,
                        size=product.exact_size or answer.total or product.size,
                    )
                )
                head = await anext(chunks, b"")
                if answer.action is Action.FROM_START:
                    _refuse_wrong_start(head, product, response, archive)
                    segment = await part.begin(segment, validator_of(response))
                await part.hash_what_is_here()
                part.data_path = await receive(response, chunks, head, segment, part, archive, progress.watch())
                await _judge_end(segment, part, response, answer.total)
                return
        raise ServerError("the archive rejected both the partial and the full request", product=product.name)
    finally:
        part.release(segment)
        progress.count()


async def _fails_at_ranges(part: Incoming, response: httpx.Response, archive: ArchiveContext, offset: int) -> bool:
    """Whether the whole product has to be asked for, since the archive does not serve this range.

    Raises:
        ProviderError: The answer is not the product, for another reason.
    """
    if offset and are_failing(part, response.status_code, archive):
        return True
    try:
        await refuse_errors(part.product, response, archive)
    except (RefusedError, OfflineError):
        if offset and response.status_code == 400:  # as of a zip that is made while it is sent
            return True
        raise
    return False


def _refuse_wrong_start(head: bytes, product: Product, response: httpx.Response, archive: ArchiveContext) -> None:
    if not head:
        raise ServerError("the archive sent an empty file", product=product.name)
    if error := archive.provider.judge_download(product, response, head):
        raise error


async def _judge_end(segment: Segment, part: Incoming, response: httpx.Response, total: int | None) -> None:
    """Raise when a body ended too early; learn the size of a product without one."""
    product, front = part.product, segment.position
    expected = product.exact_size if product.exact_size is not None else total
    if expected is not None and front < min(expected, segment.end):
        raise ServerError(f"the transfer ended after {front:,} of {expected:,} bytes", product=product.name)
    if product.exact_size is not None:
        return
    if expected is None and product.checksum is None and "Transfer-Encoding" not in response.headers:
        if is_single_file(product.name):
            raise ServerError("the archive does not say how long the file is", product=product.name)
        if not await to_thread.run_sync(part.ends_as_zip):
            raise ServerError("the transfer ended before the end of the zip", product=product.name)
    part.division.set_size(front)


async def ask_whether_on_tape(refusal: OfflineError, product: Product, archive: ArchiveContext) -> ProviderError:
    """Ask the archive where a product is now when its refusal leaves that open; holds a staging slot while it asks.

    Args:
        refusal: Of its download.
        product: As it was found.
        archive: Asked for its tiers.

    Returns:
        The refusal itself when the product is on tape; else, or when the archive does not tell, `refusal.if_online`.
    """
    if refusal.if_online is None:
        return refusal
    try:
        async with archive.gate.staging(product):
            tiers = await archive.provider.tiers([product])
    except ProviderError:
        return refusal.if_online
    is_on_tape = tiers.get(product.id) in (StorageTier.TAPE, StorageTier.STAGING)
    return refusal if is_on_tape else refusal.if_online


async def last_error(
    error: PepsasyncError, attempts: Attempts, product: Product, archive: ArchiveContext
) -> TransferError | None:
    """The error of a download that has used up its tries; None when its last error says it all."""
    error.attempts = attempts.count
    if isinstance(error, ForbiddenError):  # for this product only, or was the account closed meanwhile?
        await archive.gate.quota.ask()
    if isinstance(error, AddressError):
        error.product = product.name
        return None
    is_out = isinstance(error, UnreachableError) and not archive.gate.has_served_since(attempts.out_since)
    if is_out or not isinstance(error, (ServerError, ProtocolError)):
        return None
    small = "Run the same command again"
    large = "What was received is kept; run the same command again to go on"
    given_up = TransferError(
        f"gave up after {attempts.count} tries: {error.message}",
        product=product.name,
        url=error.url,
        hint=small if is_small(product) else large,
    )
    given_up.attempts = attempts.count
    return given_up
