"""Refusals and redirects as the catalogue, the zipper and Keycloak write them."""

from __future__ import annotations

from typing import Any

from pepsasync.sandbox.replies import Refused, Reply, empty_reply, json_reply


class CdseError(Refused):
    """A request that is answered by an error.

    Args:
        status: HTTP status.
        body: What the JSON body says; a text becomes its `detail`.
    """

    def __init__(self, status: int, body: str | dict[str, Any]) -> None:
        super().__init__(json_reply({"detail": body} if isinstance(body, str) else body, status))


def redirect(status: int, address: str) -> Reply:
    """Return an answer that leads elsewhere."""
    return empty_reply(status, [("Location", address)])
