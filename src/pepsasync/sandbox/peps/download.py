"""Downloads: checks in the archive's order, staging, and the file itself (PEPS protocol notes, sections 5 and 8.13)."""

from __future__ import annotations

import math
from email.utils import format_datetime
from typing import TYPE_CHECKING

from pepsasync.sandbox.front_end import maintenance_page, pass_front_end, strike
from pepsasync.sandbox.peps.login import user
from pepsasync.sandbox.peps.replies import PepsError, error_reply, json_reply, retry_reply
from pepsasync.sandbox.peps.search import ITEM_TIMEOUT, storage_down
from pepsasync.sandbox.ranges import answer
from pepsasync.sandbox.replies import Reply, wire_of
from pepsasync.sandbox.sending import FileReply

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.ranges import Slice
    from pepsasync.sandbox.replies import Headers

STAGING_WAIT = 30.0
"""Archive seconds that the fault `slow-202` holds a 202 back."""
QUOTA = "week|10000000"
"""Complaint when an account has had what it may, and of the fault `quota-420`."""
INSTANT = "instant|2000"
"""Complaint of the fault `too-large`."""
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
    pass_front_end(archive, product.name)
    down = await storage_down(archive, request, product.name, ITEM_TIMEOUT)
    mode = "unknown" if down and not product.nrt else archive.mode(product)
    email = _check(archive, request, product)
    if mode == "disk" and archive.falls_back(product):
        mode = "tape"
    if mode != "disk":
        return await _come_again(archive, request, product, mode)
    _instead_of_file(archive, product.name)
    begins = request.method == "GET" and "range" not in request.headers
    if begins and not archive.peps_quota.take(email):
        archive.ledger.count_event("quota_refusals")
        return error_reply(420, QUOTA)
    return _file(archive, request, product)


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
    return archive.at_download(product)


def _check(archive: Archive, request: Request, product: CatalogueProduct) -> str:
    """Make the checks of section 8.13 in their order; the id has been found. Returns who asks."""
    if request.query_params.get("_tk"):
        raise PepsError(403, "Forbidden")  # no shared links are given out, so every one is wrong
    email = user(archive.accounts, request)
    if not archive.has_file(product.name):
        raise PepsError(404, "Not Found")
    if not product.visible:
        raise PepsError(404, f"Feature has been moved, new feature id is : {product.new_version or 'unavailable'}")
    if not archive.accounts.allows(email, product.collection):
        raise PepsError(403, "Forbidden")
    return email


async def _come_again(archive: Archive, request: Request, product: CatalogueProduct, mode: str) -> Reply:
    if mode == "tape":
        if archive.faults.strikes("slow-202", product.name):
            await wire_of(request).pause(archive.clock.real(STAGING_WAIT))
        archive.stage(product.name)
    milliseconds = math.ceil(archive.clock.real(archive.options.retry_after_ms))
    return retry_reply(milliseconds, head=request.method == "HEAD")


def _instead_of_file(archive: Archive, name: str) -> None:
    strike(
        archive,
        name,
        {
            "quota-420": lambda: error_reply(420, QUOTA),
            "too-large": lambda: error_reply(420, INSTANT),
            "html-200": maintenance_page,
            "json-200": lambda: json_reply({"ErrorMessage": "User has to sign license", "ErrorCode": 3002}),
        },
    )


def _file(archive: Archive, request: Request, product: CatalogueProduct) -> Reply:
    validators = _validators(archive.options.streaming, product)
    part = answer(
        archive.options.streaming,
        request.headers.get("range"),
        product.size,
        if_range=request.headers.get("if-range"),
        validators=validators,
    )
    if part.status == 416:
        return _not_satisfiable(archive.options.streaming, product, part)
    return FileReply(archive, request, product, part, _headers(archive.options.streaming, product, part, validators))


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
    ranged = part.range_headers
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
        *part.range_headers,
    ]
    return Reply(416, headers, NGINX_416.encode(), reason=reason)
