"""What archives tell of their attributes, asked for once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pepsasync.errors import ProviderError, QuotaError, UnavailableError, UnreachableError
from pepsasync.model import Attribute, AttributeKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping


class KnownAttributes:
    """Attributes by collection, kept as long as the client.

    Args:
        ask: Asks the archive for those of one of its collections.
    """

    def __init__(self, ask: Callable[[str], Awaitable[Mapping[str, Attribute]]]) -> None:
        self._ask = ask
        self._known: dict[str, Mapping[str, Attribute]] = {}
        self._turn = anyio.Lock()

    async def of(self, collections: Iterable[str]) -> dict[str, Attribute]:
        """Attributes of some of the archive's collections together; none of one that it does not tell about.

        Raises:
            ProviderError: The archive serves nobody at the moment.
        """
        found: dict[str, Attribute] = {}
        async with self._turn:
            for collection in collections:
                if collection not in self._known:
                    try:
                        self._known[collection] = await self._ask(collection)
                    except (QuotaError, UnavailableError, UnreachableError):
                        raise
                    except ProviderError:
                        self._known[collection] = {}
                found |= {name: _joined(found.get(name), own) for name, own in self._known[collection].items()}
        return found


def _joined(one: Attribute | None, other: Attribute) -> Attribute:
    """An attribute of two collections: with the values of both, unless those of one are not told."""
    if one is None or one == other:
        return other
    values = tuple(sorted({*one.values, *other.values})) if one.values and other.values else ()
    return Attribute(
        other.name,
        other.kind if one.kind is other.kind else AttributeKind.TEXT,
        values,
        _outer(min, one.lowest, other.lowest),
        _outer(max, one.highest, other.highest),
    )


def _outer(choose: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else choose(one, other)
