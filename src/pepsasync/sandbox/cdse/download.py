"""Downloads: from the catalogue by redirect to the zipper, or to a signed address (CDSE protocol notes, Download)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pepsasync.sandbox.cdse import ids, records
from pepsasync.sandbox.cdse.replies import CdseError, redirect
from pepsasync.sandbox.cdse.search import named
from pepsasync.sandbox.cdse.sessions import SessionError
from pepsasync.sandbox.front_end import maintenance_page, pass_front_end, strike
from pepsasync.sandbox.ranges import by_web_server
from pepsasync.sandbox.replies import Reply, content_reply, json_reply, root_url
from pepsasync.sandbox.sending import FileReply, file_headers

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.cdse.service import Service

BUSY = {"code": "DAT-ZIP-100", "message": "Max session number exceeded"}
"""What the zipper says when an account has too many downloads."""
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
"""A zip file with nothing in it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a product's zip that a download gives: all of them, or those of one file."""

    start: int
    """First byte."""
    size: int
    """Number of bytes."""
    name: str
    """Name for the client's disk."""
    kind: str = "application/octet-stream"
    """Media type."""
    made_late: bool = False
    """Whether the zip is made while it is sent: without a length, and without ranges."""


async def download(service: Service, request: Request) -> Reply:
    """Answer a download where clients ask for it first: a redirect, or the file itself if there are none.

    Raises:
        CdseError: Unknown product, or any of the checks fails.
    """
    product = named(service, request)
    path = f"odata/v1/Products({ids.identifier(product.name)})/$value"
    if service.options.cdse_foreign:
        key = service.sessions.sign(_account(service, request))
        return redirect(302, f"{_elsewhere(request)}/elsewhere/{path}?key={key}")
    if service.options.cdse_redirect:
        query = f"?{request.url.query}" if request.url.query else ""
        return redirect(301, f"{root_url(request)}/zipper/{path}{query}")
    return await _deliver(service, request, product, _account(service, request), _whole(service.archive, product))


async def zipper(service: Service, request: Request) -> Reply:
    """Answer a download where the catalogue leads to: the token is needed here too.

    Raises:
        CdseError: Any of the checks fails.
    """
    product = named(service, request)
    return await _deliver(service, request, product, _account(service, request), _whole(service.archive, product))


async def one_file(service: Service, request: Request, product: CatalogueProduct, span: tuple[int, int]) -> Reply:
    """Answer the download of one file of a product.

    Args:
        service: The protocol.
        request: Who asks.
        product: The product.
        span: First byte and number of bytes of the file in the zip.

    Raises:
        CdseError: Any of the checks of a whole product fails.
    """
    part = Part(*span, request.path_params["path"].rpartition("(")[2].removesuffix(")/$value"))
    return await _deliver(service, request, product, _account(service, request), part)


async def elsewhere(service: Service, request: Request) -> Reply:
    """Answer a download by a signed address on a host that must not see the token.

    Raises:
        CdseError: Any of the checks fails.
    """
    if "authorization" in request.headers or "token" in request.query_params:
        service.archive.ledger.count_event("leaked_tokens")
    email = service.sessions.signed(request.query_params.get("key", ""))
    if email is None:
        raise CdseError(403, "Request has expired")
    product = named(service, request)
    return await _deliver(service, request, product, email, _whole(service.archive, product))


def _whole(archive: Archive, product: CatalogueProduct) -> Part:
    late = records.is_zipped_late(archive, product)
    return Part(0, product.size, f"{records.file_name(product)}.zip", "application/zip", made_late=late)


def _elsewhere(request: Request) -> str:
    """Return the URL of the service by the other of the two names of this machine."""
    address = urlsplit(root_url(request))
    host = "127.0.0.1" if address.hostname == "localhost" else "localhost"
    return f"http://{host}:{address.port or 80}{address.path}"


def _account(service: Service, request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = request.query_params.get("token", "")
    try:
        return service.sessions.account(token.strip())
    except SessionError as error:
        raise CdseError(401, str(error)) from error


async def _deliver(service: Service, request: Request, product: CatalogueProduct, email: str, wanted: Part) -> Reply:
    archive, name = service.archive, product.name
    pass_front_end(archive, name)
    if archive.faults.strikes("token-refused", name):
        raise CdseError(401, "Unauthorized")
    if not archive.accounts.allows(email, product.collection):
        raise CdseError(403, "Forbidden")
    if service.is_online(product):
        archive.falls_back(product)
    if not service.is_available(product):
        return _offline(service, product)
    if not archive.has_file(name):
        raise CdseError(404, "Product file not found")
    _instead_of_file(service.archive, name)
    return _file(service, request, product, email, wanted)


def _offline(service: Service, product: CatalogueProduct) -> Reply:
    """Answer for a product on tape; what the real archive says is not known, so that both guesses can be had."""
    if service.archive.faults.strikes("empty-zip", product.name):
        return content_reply("application/zip", EMPTY_ZIP)
    raise CdseError(404, "Product is offline")


def _instead_of_file(archive: Archive, name: str) -> None:
    strike(
        archive,
        name,
        {
            "html-200": maintenance_page,
            "json-200": lambda: json_reply({"detail": "Internal server error"}),
            "zipper-busy": lambda: json_reply(BUSY, 429),
        },
    )


def _file(service: Service, request: Request, product: CatalogueProduct, email: str, wanted: Part) -> Reply:
    # There are no validators, so that none that a client sends can be right.
    has_ranges = "if-range" not in request.headers and not wanted.made_late
    if "range" in request.headers and service.archive.faults.strikes("range-refused", product.name):
        return json_reply({"detail": "Range is not supported"}, 400)
    part = by_web_server(request.headers.get("range") if has_ranges else None, wanted.size)
    if part.status == 416:
        return json_reply({"detail": "Requested Range Not Satisfiable"}, 416, part.range_headers)
    if request.method != "HEAD" and not service.connect(email, part.sent):
        return json_reply(BUSY, 429)
    sized = not wanted.made_late
    name = f"attachment; filename={wanted.name}"
    headers = file_headers(part, wanted.kind, name, has_length=sized, has_ranges=sized)
    file = FileReply(service.archive, request, product, replace(part, start=wanted.start + part.start), headers)
    return file if request.method == "HEAD" else _Counted(file, service=service, email=email)


class _Counted(Reply):
    """A file that takes one of its account's connections until its last byte, or until the client is gone."""

    def __init__(self, reply: Reply, *, service: Service, email: str) -> None:
        super().__init__(reply.status_code, [])
        self._reply, self._service, self._email = reply, service, email

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        try:
            await self._reply(scope, receive, send)
        finally:
            self._service.disconnect(self._email)
