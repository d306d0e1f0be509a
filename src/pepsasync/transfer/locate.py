"""Locate: find out whether a refused product is on tape or refused for another reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.errors import ProviderError
from pepsasync.model import StorageTier

if TYPE_CHECKING:
    from pepsasync.errors import OfflineError
    from pepsasync.model import Product
    from pepsasync.transfer.archive import Archive


async def what_is_wrong(refusal: OfflineError, product: Product, archive: Archive) -> ProviderError:
    """Ask the archive where a product is now; holds a staging slot while it asks.

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
