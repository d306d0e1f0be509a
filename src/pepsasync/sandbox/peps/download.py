"""Downloads: checks in the archive's order, staging, and the file itself (PEPS protocol notes, sections 5 and 8.13)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.sandbox.peps.login import user
from pepsasync.sandbox.peps.replies import (
    PepsError,
    Reply,
    error_reply,
    html_reply,
    json_reply,
    retry_reply,
    wire_of,
)
from pepsasync.sandbox.peps.search import ITEM_TIMEOUT, front_end_fault, storage_down
from pepsasync.sandbox.ranges import Slice, answer
from pepsasync.sandbox.wire import EXTENSION, Wire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.content import ProductContent
    from pepsasync.sandbox.peps.replies import Headers
    from pepsasync.sandbox.statistics import Running

STAGING_WAIT = 30.0
"""Archive seconds that the fault `slow-202` holds a 202 back."""
QUOTA = "week|10000000"
"""Complaint of the fault `quota-420`."""
APACHE_416 = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\n'
    "<html><head>\n<title>416 Requested Range Not Satisfiable</title>\n</head><body>\n"
    "<h1>Requested Range Not Satisfiable</h1>\n"
    "<p>None of the range-specifier values in the Range\nrequest-header field overlap the current extent\n"
    "of the selected resource.</p>\n</body></html>\n"
)
NGINX_416 = (
    "<html>\r\n<head><title>416 Requested Range Not Satisfiable</title></head>\r\n<body>\r\n"
    "<center><h1>416 Requested Range Not Satisfiable</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n"
    "</body>\r\n</html>\r\n"
)


async def download(archive: Archive, request: Request) -> Reply:
    """Answer a download, by GET or HEAD: both start the staging of a product on tape.

    Raises:
        PepsError: Any of the checks fails.
    """
    product = _product(archive, request)
    failure = front_end_fault(archive, product.name)
    if failure is not None:
        return failure
    down = await storage_down(archive, request, product.name, ITEM_TIMEOUT)
    mode = "unknown" if down and not product.nrt else archive.mode(product)
    _check(archive, request, product)
    if mode == "disk" and not product.nrt and archive.faults.strikes("fall-back", product.name):
        archive.robot.set_mode(product.name, mode := "tape")
    if mode != "disk":
        return await _come_again(archive, request, product, mode)
    return _instead_of_file(archive, product.name) or await _file(archive, request, product)


async def check(archive: Archive, request: Request) -> Reply:
    """Answer `check/download`: the checks of a download, without staging or sending anything.

    Raises:
        PepsError: Any of the checks fails.
    """
    product = _product(archive, request)
    _check(archive, request, product)
    return json_reply({"status": "success", "message": "Download is allowed"})


def _product(archive: Archive, request: Request) -> CatalogueProduct:
    product = archive.find(request.path_params["collection"], request.path_params["item"])
    if product is None:
        raise PepsError(404, "Not Found")
    return product


def _check(archive: Archive, request: Request, product: CatalogueProduct) -> None:
    """Make the checks of section 8.13 in their order; the id has been found."""
    if "_tk" in request.query_params:
        raise PepsError(403, "Forbidden")  # no shared links are given out, so every one is wrong
    email = user(archive.accounts, request)
    if not archive.has_file(product.name):
        raise PepsError(404, "Not Found")
    if not product.visible:
        raise PepsError(404, f"Feature has been moved, new feature id is : {product.new_version or 'unavailable'}")
    if not archive.accounts.allows(email, product.collection):
        raise PepsError(403, "Forbidden")


async def _come_again(archive: Archive, request: Request, product: CatalogueProduct, mode: str) -> Reply:
    if mode == "tape":
        if archive.faults.strikes("slow-202", product.name):
            await wire_of(request).pause(archive.clock.real(STAGING_WAIT))
        archive.stage(product.name)
    milliseconds = math.ceil(archive.clock.real(archive.retry_after_ms))
    return retry_reply(milliseconds, head=request.method == "HEAD")


def _instead_of_file(archive: Archive, name: str) -> Reply | None:
    if archive.faults.strikes("quota-420", name):
        return error_reply(420, QUOTA)
    if archive.faults.strikes("html-200", name):
        return html_reply(200, "Maintenance")
    if archive.faults.strikes("json-200", name):
        return json_reply({"ErrorMessage": "User has to sign license", "ErrorCode": 3002})
    return None


async def _file(archive: Archive, request: Request, product: CatalogueProduct) -> Reply:
    content = archive.content(product.name)
    await to_thread.run_sync(content.prepare)
    validators = _validators(archive.streaming, product)
    asked = request.headers.get("range")
    part = answer(
        archive.streaming,
        asked,
        product.size,
        if_range=request.headers.get("if-range"),
        validators=validators,
    )
    if part.status == 416:
        return _not_satisfiable(archive.streaming, product, part)
    damage = Damage()
    if request.method != "HEAD":
        damage = Damage.plan(archive, product.name, part.sent)
    return FileReply(
        archive,
        content,
        part,
        damage=damage,
        asked=asked,
        headers=_headers(archive.streaming, product, part, validators),
    )


def _validators(streaming: str, product: CatalogueProduct) -> tuple[str, str]:
    """Return `ETag` and `Last-Modified` as the web server makes them."""
    moment = product.published or product.start
    seconds = int(moment.timestamp())
    modified = format_datetime(moment.replace(microsecond=0), usegmt=True)
    if streaming == "nginx":
        return f'"{seconds:x}-{product.size:x}"', modified
    return f'"{product.size:x}-{seconds * 1_000_000:x}"', modified


def _headers(streaming: str, product: CatalogueProduct, part: Slice, validators: tuple[str, str]) -> Headers:
    etag, modified = validators
    kind, length = ("Content-Type", "application/zip"), ("Content-Length", str(part.declared))
    cache = [("Cache-Control", "public, must-revalidate, post-check=0, pre-check=0"), ("Expires", "0")]
    name = ("Content-Disposition", f'attachment; filename="{product.name}.zip"')
    binary = [("Content-Transfer-Encoding", "binary"), ("Accept-Ranges", "bytes")]
    ranged = [("Content-Range", part.content_range)] if part.content_range else []
    pragma = ("Pragma", "public")
    if streaming == "php":
        return [pragma, *cache, name, *binary, length, *ranged, kind]
    if streaming == "php-behind-nginx":
        return [kind, length, pragma, *cache, name, *binary, *ranged]
    dated, tagged = ("Last-Modified", modified), ("ETag", etag)
    if streaming == "xsendfile":
        return [pragma, *cache, name, *binary, dated, tagged, length, *ranged, kind]
    # nginx repeats Accept-Ranges on a whole file: once copied from the software, once its own.
    twice = [] if ranged else [("Accept-Ranges", "bytes")]
    return [kind, length, dated, *cache, name, ("Accept-Ranges", "bytes"), tagged, *twice, *ranged]


def _not_satisfiable(streaming: str, product: CatalogueProduct, part: Slice) -> Reply:
    reason = "Requested Range Not Satisfiable"
    if streaming == "xsendfile":
        kind = ("Content-Type", "text/html; charset=iso-8859-1")
        return Reply(416, [kind], APACHE_416.encode(), reason=reason, unframed=True)
    headers = [
        ("Content-Type", "text/html"),
        ("Content-Length", str(len(NGINX_416))),
        ("Cache-Control", "public, must-revalidate, post-check=0, pre-check=0"),
        ("Expires", "0"),
        ("Content-Disposition", f'attachment; filename="{product.name}.zip"'),
        ("Content-Range", part.content_range or ""),
    ]
    return Reply(416, headers, NGINX_416.encode(), reason=reason)


@dataclass(frozen=True, slots=True)
class Damage:
    """What goes wrong with one body; positions are bytes from its start."""

    cut: int | None = None
    """The connection closes here."""
    stall: int | None = None
    """Nothing is sent for a while from here."""
    flip: int | None = None
    """This byte is wrong."""
    keep: int | None = None
    """The body ends here, and its declared length with it."""

    @classmethod
    def plan(cls, archive: Archive, name: str, length: int) -> Damage:
        """Ask the faults what happens to a body of `length` bytes."""

        def place(fault: str) -> int | None:
            faults = archive.faults
            return faults.position(fault, name, length) if faults.strikes(fault, name) else None

        return cls(place("cut"), place("stall"), place("flip"), place("truncate"))


class FileReply(Reply):
    """A product's bytes, with whatever is wrong about them."""

    def __init__(
        self,
        archive: Archive,
        content: ProductContent,
        part: Slice,
        *,
        damage: Damage,
        asked: str | None,
        headers: Headers,
    ) -> None:
        sent, declared = part.sent, part.declared
        if damage.keep is not None:
            sent = declared = damage.keep
            headers = [(name, str(sent) if name == "Content-Length" else value) for name, value in headers]
        super().__init__(part.status, headers)
        self._archive, self._content, self._part, self._damage, self._asked = archive, content, part, damage, asked
        self._sent, self._declared = sent, declared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send head and body; return when the last byte is handed over or the client is gone."""
        head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(head)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        wire: Wire = scope["extensions"][EXTENSION]
        archive, name = self._archive, self._content.product.name
        ledger, part = archive.ledger, self._part
        with archive.robot.reading(name), ledger.transfer(name, part.status, part.start, self._asked) as running:
            await self._body(wire, send, running)

    async def _body(self, wire: Wire, send: Send, running: Running) -> None:
        damage = self._damage
        marks = {self._sent, self._declared, damage.stall, damage.cut} - {None}
        for mark in sorted(mark for mark in marks if mark is not None and mark <= self._sent):
            await self._until(mark, wire, send, running)
            if mark == damage.stall:
                seconds = self._archive.stall_seconds
                await wire.pause(None if seconds is None else self._archive.clock.real(seconds))
            if wire.gone:
                return
            if mark == damage.cut:
                wire.close()
                return
        if self._sent < self._declared:
            wire.close()
        else:
            await send({"type": "http.response.body", "body": b""})

    async def _until(self, mark: int, wire: Wire, send: Send, running: Running) -> None:
        """Send up to `mark` bytes; those beyond the declared length go onto the wire as they are."""
        start = self._part.start
        for block in self._content.blocks(start + running.sent, start + mark):
            data = self._flipped(block, running.sent)
            if running.sent < self._declared:
                await send({"type": "http.response.body", "body": data, "more_body": True})
            else:
                await wire.write(data)
            if wire.gone:
                return
            running.add(len(block))

    def _flipped(self, block: bytes, offset: int) -> bytes:
        at = self._damage.flip
        if at is None or not offset <= at < offset + len(block):
            return block
        wrong = bytearray(block)
        wrong[at - offset] ^= 0xFF
        return bytes(wrong)
