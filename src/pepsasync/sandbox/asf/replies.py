"""Refusals and pages as CMR, Earthdata Login and the egress write them (sections 2.3, 4 and 5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pepsasync.sandbox.replies import Refused, Reply, content_reply, empty_reply, json_reply

if TYPE_CHECKING:
    from pepsasync.sandbox.replies import Headers


class CatalogueError(Refused):
    """A search that is refused; CMR says why in a list."""

    def __init__(self, status: int, *errors: str, headers: Headers = ()) -> None:
        super().__init__(json_reply({"errors": list(errors)}, status, headers))


class SearchApiError(Refused):
    """A request that the search API refuses; it says why in a report."""

    def __init__(self, report: str, status: int = 400) -> None:
        super().__init__(json_reply({"error": {"type": "ERROR", "report": report}}, status))


class JsonRefusal(Refused):
    """A refusal with a JSON body, of Earthdata Login or the egress."""

    def __init__(self, status: int, body: dict[str, Any], headers: Headers = ()) -> None:
        super().__init__(json_reply(body, status, headers))


class PageRefusal(Refused):
    """A refusal with a page for people."""

    def __init__(self, status: int, title: str, text: str = "", headers: Headers = ()) -> None:
        super().__init__(page(status, title, text, headers))


class StoreError(Refused):
    """A refusal of the object store."""

    def __init__(self, status: int, code: str, message: str) -> None:
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
        super().__init__(content_reply("application/xml", body.encode(), status))


def page(status: int, title: str, text: str = "", headers: Headers = ()) -> Reply:
    """Return a page for people."""
    body = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><p>{text or title}</p></body></html>\n"
    return content_reply("text/html; charset=utf-8", body.encode(), status, headers)


def redirect(status: int, where: str, headers: Headers = ()) -> Reply:
    """Return an answer that leads elsewhere."""
    return empty_reply(status, [("Location", where), *headers])
