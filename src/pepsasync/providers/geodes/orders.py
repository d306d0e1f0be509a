"""Orders of products at a REGARDS server, which ordinary users may make (GEODES notes, section 12).

Requests, status codes and bodies are those of REGARDS' own guides "Create Order REST" and "Get Order status"
(https://regardsoss.github.io/docs). The public GEODES was not seen to offer them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ProtocolError, RefusedError
from pepsasync.http.errors import safe_url
from pepsasync.http.replies import parse_json
from pepsasync.model import StorageTier
from pepsasync.providers.reading import as_integer, as_mapping, as_text

if TYPE_CHECKING:
    import httpx

ORDERS = "/api/v1/rs-order/user/orders"
"""Under the root of the server."""

_SPECIAL = re.compile(r'(["\\])')
_STATES = {200: StorageTier.DISK, 204: StorageTier.STAGING, 206: StorageTier.STAGING}
"""What the status of an answer about an order of one product says: it is over, or nothing, or not all, is there."""


def order_body(name: str) -> dict[str, Any]:
    """What an order of one product is asked for with.

    Args:
        name: Of the product, which is its identifier there; a phrase in the query language, so that no character of it
            means anything.
    """
    escaped = _SPECIAL.sub(r"\\\1", name)
    return {"queries": [f'productId:"{escaped}"'], "filters": {"dataTypes": ["RAWDATA"]}}


def order_of(response: httpx.Response) -> str:
    """Number of the order that an answer is about.

    Raises:
        RefusedError: The order was not granted.
        ProtocolError: It has no number, or the answer is no JSON.
    """
    url = safe_url(response)
    try:
        reply = as_mapping(parse_json(response.content))
    except ValueError as error:
        raise ProtocolError("expected JSON about the order", url=url) from error
    number, status = as_integer(reply.get("orderId")), as_text(reply.get("status")) or "GRANTED"
    if status.upper() != "GRANTED":
        raise RefusedError("the archive refuses the order", url=url)
    if number is None:
        raise ProtocolError("the archive took the order and did not name it", url=url)
    return str(number)


def state_of(response: httpx.Response) -> StorageTier | None:
    """Where the product of an order is; None when the answer does not tell."""
    return _STATES.get(response.status_code)
