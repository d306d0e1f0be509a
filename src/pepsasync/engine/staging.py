"""Stage: a product that is not online goes in; the archive has been asked to bring it from tape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.limits.attempts import Attempts
from pepsasync.limits.schedule import LONGEST_ADVICE
from pepsasync.providers.base import StagingOutcome

if TYPE_CHECKING:
    from pepsasync.model import Product
    from pepsasync.providers.base import StagingReply
    from pepsasync.transfer.line import Line


async def request_staging(product: Product, line: Line, *, goes_first: bool = False) -> StagingReply:
    """Ask the archive once, again only after passing failures; holds a staging slot while it asks.

    Asking twice is harmless: a product that is already on its way stays so.

    Args:
        product: On tape, as far as is known.
        line: Archive, connection, slots.
        goes_first: Whether it gets a slot before others that were acquired earlier.

    Raises:
        ProviderError: The product cannot be had, or the archive does not answer.
    """

    async def ask() -> StagingReply:
        await line.slots.staging.enter(acquired=product.start, goes_first=goes_first)
        try:
            await line.pace.staging.over()  # with the slot: nobody else could use it
            with line.pace.staging.obeyed():
                reply = await line.provider.request_staging(product)
            line.pace.staging.answered()
            if reply.outcome is StagingOutcome.QUOTA:
                line.pace.staging.keep(reply.retry_after or LONGEST_ADVICE)
            return reply
        finally:
            line.slots.staging.leave()

    outage = line.pace.staging.outage
    retries = Attempts(line.config, was_reached=lambda: line.http.was_reached, outage=lambda: outage.is_on)
    return await retries.call(ask)
