"""Moments as the archives write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def timestamp(moment: datetime | None, decimals: int = 3) -> str | None:
    """Return a moment in UTC with this many decimals of a second, cut and not rounded; None for None."""
    if moment is None:
        return None
    fraction = f"{moment.microsecond:06d}"[:decimals]
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}Z"
