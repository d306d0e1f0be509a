"""The web server in front of every protocol: its own pages, and what it says when the software behind it is broken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pepsasync.sandbox.replies import Reply

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


def front_end_fault(archive: Archive, key: str) -> Reply | None:
    """Return the error of a broken server for a product or a query, None if all is well."""
    return first_fault(
        archive,
        key,
        {
            "error-500": lambda: Reply(500, [("Content-Length", "0"), ("Content-Type", "text/html; charset=UTF-8")]),
            "error-502": lambda: html_reply(502, "502 Proxy Error"),
            "error-503": lambda: html_reply(503, "503 Service Unavailable", [_come_back(archive)]),
        },
    )


def first_fault(archive: Archive, key: str, replies: Mapping[str, Callable[[], Reply]]) -> Reply | None:
    """Return the reply of the first of these faults that strikes a product or a query, None if none does."""
    return next((reply() for fault, reply in replies.items() if archive.faults.strikes(fault, key)), None)


def _come_back(archive: Archive) -> tuple[str, str]:
    return "Retry-After", str(max(1, math.ceil(archive.clock.real(5))))
