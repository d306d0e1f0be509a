"""Stage: a product that is not online goes in; the archive has been asked to bring it from tape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.limits.attempts import Attempts
from pepsasync.limits.schedule import LONGEST_ADVICE
from pepsasync.providers.base import StagingOutcome

if TYPE_CHECKING:
    from pepsasync.model import Product
    from pepsasync.providers.base import StagingReply
    from pepsasync.transfer.archive import Archive


async def request_staging(product: Product, archive: Archive, *, goes_first: bool = False) -> StagingReply:
    """Ask an archive once, again only after passing failures; holds a staging slot while it asks.

    Asking twice is harmless: a product that is already on its way stays so.

    Args:
        product: On tape, as far as is known.
        archive: Its connection and limits.
        goes_first: Whether it gets a slot before others that were acquired earlier.

    Raises:
        ProviderError: The product cannot be had, or the archive does not answer.
    """

    async def ask() -> StagingReply:
        async with archive.gate.staging(product, goes_first=goes_first):
            return await archive.provider.request_staging(product)

    backoff, http = archive.gate.staging_backoff, archive.http
    attempts = Attempts(
        archive.config,
        was_reached=lambda: http.was_reached,
        outage=lambda: backoff.breaker.is_on,
        serves_others=backoff.serves_others,
    )
    reply = await attempts.call(ask)
    if reply.outcome is StagingOutcome.QUOTA:
        backoff.keep(reply.retry_after or LONGEST_ADVICE)
    return reply
