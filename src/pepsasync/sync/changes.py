"""What has to change in a folder so that it holds what the archive shows. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pepsasync.query.processings import latest, newer_processings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from pepsasync.model import Product


@dataclass(frozen=True, slots=True)
class Changes:
    """What is new, what was replaced, and what the archive has no more."""

    add: tuple[Product, ...] = ()
    """Shown, not here, and not a newer processing of what is here."""
    replace: tuple[tuple[str, Product], ...] = ()
    """Name of a product that is here, and the newest processing of its acquisition that the archive shows."""
    gone: tuple[str, ...] = ()
    """Names of products that are here and that the archive does not show any more, in no processing."""

    def __bool__(self) -> bool:
        return bool(self.add or self.replace or self.gone)

    def as_json(self) -> dict[str, Any]:
        """By product name, as `sync --plan --format json` prints it."""
        return {
            "add": [product.name for product in self.add],
            "replace": [{"old": old, "new": new.name} for old, new in self.replace],
            "gone": list(self.gone),
        }


def decide(here: Iterable[Product], shown: Iterable[Product], *, is_complete: bool) -> Changes:
    """Compare a folder with an archive.

    Of several processings of one acquisition the newest is wanted, see `query.processings.latest`.

    Args:
        here: Products of the order that stand in the folder.
        shown: What a search has found.
        is_complete: Whether the search has looked at everything. Else nothing is gone, and what is here counts as
            shown.

    Returns:
        Products of `add` and `replace` in the order of `shown`, names of `gone` in the order of `here`.
    """
    known = {product.name: product for product in shown}
    held = {product.name: known.get(product.name, product) for product in here}
    newer = newer_processings(held.values(), known.values())
    brought = {product.name for product in newer.values()}
    compared = known if is_complete else held | known
    add = [
        product
        for product in latest(compared.values())
        if product.name in known and product.name not in held and product.name not in brought
    ]
    gone = [name for name in held if is_complete and name not in known and name not in newer]
    return Changes(tuple(add), tuple(newer.items()), tuple(gone))


def next_marker(marker: datetime | None, shown: Iterable[Product], undelivered: Collection[str]) -> datetime | None:
    """Return the publication date up to which everything was delivered; the next search begins before it.

    Args:
        marker: The one before; None when there was none.
        shown: What a search has found.
        undelivered: Names of those that were wanted and are not here.

    Returns:
        The latest publication; the earliest of the undelivered ones when there are some. `marker` when the archive does
        not say when those were published.
    """
    products = list(shown)
    owed = [product.published for product in products if product.name in undelivered]
    if any(published is None for published in owed):
        return marker
    dates = [product.published for product in products if product.published]
    if owed:
        return min(published for published in owed if published)
    return max([*dates, *([marker] if marker else [])], default=None)
