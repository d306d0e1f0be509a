"""Locate: a refusal that may mean that the product is on tape goes in; what is wrong for sure comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.errors import ProviderError
from pepsasync.model import StorageTier

if TYPE_CHECKING:
    from pepsasync.errors import OfflineError
    from pepsasync.model import Product
    from pepsasync.transfer.line import Line


async def what_is_wrong(refusal: OfflineError, product: Product, line: Line) -> ProviderError:
    """Ask the archive where a product is now; holds a staging slot while it asks.

    Args:
        refusal: Of its download.
        product: As it was found.
        line: Archive, connection, slots.

    Returns:
        The refusal itself when the product is on tape; else, or when the archive does not tell, `refusal.if_online`.
    """
    if refusal.if_online is None:
        return refusal
    await line.slots.staging.enter(acquired=product.start)
    try:
        await line.pace.staging.over()
        with line.pace.staging.obeyed():
            tiers = await line.provider.tiers([product])
    except ProviderError:
        return refusal.if_online
    finally:
        line.slots.staging.leave()
    is_on_tape = tiers.get(product.id) in (StorageTier.TAPE, StorageTier.STAGING)
    return refusal if is_on_tape else refusal.if_online
