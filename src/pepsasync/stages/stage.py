"""Stage: a product that is not online goes in; the archive has been asked to bring it from tape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.io.retries import Retries

if TYPE_CHECKING:
    from pepsasync.config import Config
    from pepsasync.io.http import Http
    from pepsasync.model import Product
    from pepsasync.providers.base import Provider, StagingReply


async def request_staging(product: Product, provider: Provider, http: Http, config: Config) -> StagingReply:
    """Ask the archive once, again only after passing failures.

    Asking twice is harmless: a product that is already on its way stays so.

    Raises:
        ProviderError: The product cannot be had, or the archive does not answer.
    """
    retries = Retries(config, was_reached=lambda: http.was_reached)
    return await retries.call(lambda: provider.request_staging(product))
