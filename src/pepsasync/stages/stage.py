"""Stage: a product that is not online goes in; the archive has been asked to bring it from tape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.io.retries import Retries

if TYPE_CHECKING:
    from pepsasync.model import Product
    from pepsasync.providers.base import StagingReply
    from pepsasync.stages.line import Line


async def request_staging(product: Product, line: Line) -> StagingReply:
    """Ask the archive once, again only after passing failures; holds a staging slot while it asks.

    Asking twice is harmless: a product that is already on its way stays so.

    Raises:
        ProviderError: The product cannot be had, or the archive does not answer.
    """

    async def ask() -> StagingReply:
        async with line.slots.staging:
            return await line.provider.request_staging(product)

    return await Retries(line.config, was_reached=lambda: line.http.was_reached).call(ask)
