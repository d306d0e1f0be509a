"""The web server in front of every protocol: its own pages, and what it says when the software behind it is broken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pepsasync.sandbox.replies import Refused, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.replies import Headers


def html_reply(status: int, title: str, extra: Headers = ()) -> Reply:
    """Return a short HTML page."""
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n".encode()
    headers = [("Content-Length", str(len(body))), ("Content-Type", "text/html; charset=iso-8859-1")]
    return Reply(status, [*extra, *headers], body)


def maintenance_page() -> Reply:
    """Return the page of the fault `html-200`."""
    return html_reply(200, "Maintenance")


def pass_front_end(archive: Archive, key: str) -> None:
    """Let a request for a product or a query pass.

    Raises:
        Refused: The server in front is broken.
    """
    strike(
        archive,
        key,
        {
            "error-500": lambda: Reply(500, [("Content-Length", "0"), ("Content-Type", "text/html; charset=UTF-8")]),
            "error-502": lambda: html_reply(502, "502 Proxy Error"),
            "error-503": lambda: html_reply(503, "503 Service Unavailable", [_come_back(archive)]),
        },
    )


def strike(archive: Archive, key: str, replies: Mapping[str, Callable[[], Reply]]) -> None:
    """Let faults strike a product or a query.

    Raises:
        Refused: One did; with its reply.
    """
    for fault, reply in replies.items():
        if archive.faults.strikes(fault, key):
            raise Refused(reply())


def _come_back(archive: Archive) -> tuple[str, str]:
    return "Retry-After", str(max(1, math.ceil(archive.clock.real(5))))
