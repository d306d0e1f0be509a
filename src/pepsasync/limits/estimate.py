"""How long an order takes at least: pure arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pepsasync.model import Quota


def quota_seconds(products: int, quota: Quota | None, left: int | None = None) -> float:
    """Seconds until an account may have had so many products.

    Args:
        products: To be downloaded.
        quota: Of the account; None for none.
        left: Products that it may have now; None for all of the quota.
    """
    if quota is None or products <= 0:
        return 0.0
    later = products - (quota.products if left is None else left)
    windows = -(-max(0, later) // quota.products)
    return windows * quota.seconds


def transfer_seconds(size: int, rate: float | None) -> float | None:
    """Seconds that so many bytes take; None when the rate (bytes a second) is not known."""
    return size / rate if rate else None
