"""JSON Web Tokens, whoever signs them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def web_token(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """Return a token: header and claims, and the signature that `sign` makes of both."""
    signed = ".".join(to_base64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{signed}.{to_base64(sign(signed.encode()))}"


def claims_of(token: str) -> Any:
    """Return the claims of a token that has been found good."""
    claims = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))


def to_base64(data: bytes) -> str:
    """Return data in the alphabet of web addresses, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
