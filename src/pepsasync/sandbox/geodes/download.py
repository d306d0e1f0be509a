"""Downloads: the checks, the quota and the file itself (GEODES protocol notes, section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.sandbox.front_end import maintenance_page, pass_front_end, strike
from pepsasync.sandbox.geodes.items import File, files
from pepsasync.sandbox.geodes.replies import GeodesError, error_reply, user
from pepsasync.sandbox.quicklooks import MEDIA_TYPE
from pepsasync.sandbox.ranges import Slice, by_web_server
from pepsasync.sandbox.replies import Reply, content_reply, empty_reply
from pepsasync.sandbox.sending import FileReply, file_headers

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.geodes.service import Service

QUOTA = "DownloadQuotaPlugin: Downloading products per hour exceeds quota limit"
"""What the 403 of the quota says."""


async def download(service: Service, request: Request) -> Reply:
    """Answer a download. That of a product on tape fails and stages nothing.

    Raises:
        LoginRequired: No key, or a wrong one.
        GeodesError: Unknown product or file, a quota that is used up, or a range that the server cannot bear.
    """
    archive = service.archive
    email = user(service, request)
    product, file = await _find(service, request)
    pass_front_end(archive, product.name)
    if file.data is not None:
        return _small(file)
    if not archive.has_file(product.name):
        raise GeodesError(404, f"File {file.md5} not found")
    if not archive.accounts.allows(email, product.collection):
        raise GeodesError(403, "Access to this file is not granted")
    if service.is_available(product):
        archive.falls_back(product)
    if not service.is_available(product):
        return empty_reply(410)
    if request.method == "HEAD":
        return Reply(200, [])
    return _start(service, request, product, email)


async def quicklook(service: Service, request: Request) -> Reply:
    """Answer a picture, to anybody.

    Raises:
        GeodesError: Unknown product or file.
    """
    _, file = await _find(service, request)
    if file.kind != MEDIA_TYPE:
        raise GeodesError(404, f"File {file.md5} not found")
    return _small(file)


async def _find(service: Service, request: Request) -> tuple[CatalogueProduct, File]:
    identity, md5 = request.path_params["item"], request.path_params["md5"].lower()
    product = service.find(identity)
    if product is None:
        raise GeodesError(404, f"Product {identity} not found")
    listed = await to_thread.run_sync(lambda: list(files(service.archive, product)))
    file = next((each for each in listed if each.md5 == md5), None)
    if file is None:
        raise GeodesError(404, f"File {md5} not found")
    return product, file


def _start(service: Service, request: Request, product: CatalogueProduct, email: str) -> Reply:
    archive, asked = service.archive, request.headers.get("range")
    if asked is not None and service.options.geodes_ranges == "error":
        return empty_reply(500)
    works = service.options.geodes_ranges == "works"
    part = by_web_server(asked if works else None, product.size)
    if part.status == 416:
        return empty_reply(416, part.range_headers)
    if not service.take(email):
        raise GeodesError(403, QUOTA)
    _instead_of_file(archive, product.name)
    part, has_length = _framed(archive, product, part)
    kind = "application/octet-stream" if archive.faults.strikes("octet-stream", product.name) else "application/zip"
    name = f'attachment; filename="{product.name}.zip"'
    headers = file_headers(part, kind, name, has_length=has_length, has_ranges=works)
    return FileReply(archive, request, product, part, headers)


def _instead_of_file(archive: Archive, name: str) -> None:
    strike(
        archive,
        name,
        {
            "quota-json": lambda: error_reply(200, QUOTA),
            "html-200": maintenance_page,
            "json-200": lambda: error_reply(200, "The file cannot be delivered"),
        },
    )


def _framed(archive: Archive, product: CatalogueProduct, part: Slice) -> tuple[Slice, bool]:
    """Return what is sent, and whether its length is told.

    In a signed number of 32 bits a length becomes another one, or a negative one, which is left out.
    """
    if archive.faults.strikes("length-none", product.name):
        return part, False
    told = (product.size + (1 << 31)) % (1 << 32) - (1 << 31)
    if part.status == 206 or told == product.size or not archive.faults.strikes("length-32", product.name):
        return part, True
    return (Slice(200, 0, told, told, None), True) if told > 0 else (part, False)


def _small(file: File) -> Reply:
    return content_reply(file.kind, file.data or b"")
