"""Quicklooks: the small pictures that archives show of products, as files.

They are shown to everybody, so no account is sent for them, wherever a link leads.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from typing import TYPE_CHECKING

import anyio
from anyio import CapacityLimiter, to_thread

from pepsasync.errors import NotFoundError, PepsasyncError, ProtocolError, UnreachableError
from pepsasync.folder.files import NEW, disk_errors, removed_on_error, write_new
from pepsasync.folder.names import safe_name
from pepsasync.groups import task_group
from pepsasync.html import web_link
from pepsasync.model import Quicklook

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectSendStream

    from pepsasync.http.client import Http
    from pepsasync.model import Product

AT_ONCE = 6
"""Requests under way; archives serve quicklooks beside downloads."""

SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png", b"GIF87a": ".gif", b"GIF89a": ".gif"}
"""By the first bytes of a picture: what a server calls it does not count."""

_RIFF, _WEBP = b"RIFF", b"WEBP"

LOOKED_AT = 12
"""First bytes of a picture that is here, which are not all zero."""

LEFT_OVER = 3600.0
"""Seconds after which nobody writes a picture any more that was begun."""

_LEFT_OVER = re.compile(rf"\.[0-9a-f]{{16}}{re.escape(NEW)}")
"""Names of pictures that are being written."""


async def bring_quicklooks(
    products: Iterable[Product],
    directory: Path,
    http: Http,
    done: MemoryObjectSendStream[Quicklook],
    *,
    is_local: bool = False,
) -> None:
    """Bring the quicklook of each product, a few at once; those that are here are not fetched again.

    Args:
        products: From a search.
        directory: Folder for the pictures, made when it does not exist: `DIRECTORY/NAME.jpg`.
        http: For the requests.
        done: Gets each outcome as soon as it is known.
        is_local: Whether the archive is on this machine, where alone plain http is allowed.

    Raises:
        ConfigError, DiskFullError: The folder cannot be written.

    Cancellation leaves whole pictures only.
    """
    limiter, out = CapacityLimiter(AT_ONCE), dict[str, UnreachableError]()

    async def bring(product: Product) -> None:
        async with limiter:
            outcome = await _bring(product, directory, http, out, is_local=is_local)
        await done.send(outcome)

    with disk_errors(directory):
        await to_thread.run_sync(_prepare, directory)
    async with task_group() as tasks:
        for product in products:
            tasks.start_soon(bring, product)
            await anyio.lowlevel.checkpoint()


async def _bring(
    product: Product, directory: Path, http: Http, out: dict[str, UnreachableError], *, is_local: bool
) -> Quicklook:
    """One quicklook; `out` has the hosts that could not be reached, which are not tried again."""
    if here := await to_thread.run_sync(_find, directory, product.name):
        return Quicklook(product=product, path=here)
    try:
        content = await _fetch(product, http, out, is_local=is_local)
    except PepsasyncError as error:
        return Quicklook(product=product, error=error)
    path = directory / f"{safe_name(product.name)}{suffix_of(content)}"
    with disk_errors(path):
        await to_thread.run_sync(_write, path, content)
    return Quicklook(product=product, path=path)


async def _fetch(product: Product, http: Http, out: dict[str, UnreachableError], *, is_local: bool) -> bytes:
    """The bytes of a picture.

    Raises:
        NotFoundError: The product has none.
        ProtocolError: What came is no picture, or the link leads elsewhere than to the web.
        ProviderError: The archive did not answer as it should.
    """
    url = web_link(product.quicklook_url)
    if not product.quicklook_url:
        raise NotFoundError("the archive shows no quicklook", product=product.name)
    if not url or (url.lower().startswith("http:") and not is_local):
        raise ProtocolError("the link of the quicklook is not https", product=product.name)
    request = http.build("GET", url)
    if known := out.get(request.url.host):
        raise known
    try:
        content = (await http.send_patiently(request, patience=0.0)).content
    except UnreachableError as error:
        out[request.url.host] = error
        raise
    if suffix_of(content) is None:
        raise ProtocolError("what came as quicklook is no picture", product=product.name, url=url.partition("?")[0])
    return content


def suffix_of(content: bytes) -> str | None:
    """Return the suffix of a picture by its first bytes; None for anything that browsers do not show as a picture."""
    if content.startswith(_RIFF) and content[8:12] == _WEBP:
        return ".webp"
    return next((suffix for start, suffix in SUFFIXES.items() if content.startswith(start)), None)


def _find(directory: Path, name: str) -> Path | None:
    """A picture that is here already."""
    paths = (directory / f"{safe_name(name)}{suffix}" for suffix in (*dict.fromkeys(SUFFIXES.values()), ".webp"))
    return next((path for path in paths if path.is_file() and _is_written(path)), None)


def _is_written(path: Path) -> bool:
    """Whether a file has bytes: a crash may leave none, or zeros in their place."""
    try:
        with path.open("rb") as file:
            return any(file.read(LOOKED_AT))
    except OSError:
        return False


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f".{secrets.token_hex(8)}{NEW}")
    write_new(new, content, is_synced=True)
    with removed_on_error(new):
        new.replace(path)


def _prepare(directory: Path) -> None:
    """Make the folder, and remove what killed runs left half written; another run may write there now."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob(f".*{NEW}"):
        with contextlib.suppress(OSError):
            if _LEFT_OVER.fullmatch(path.name) and time.time() - path.lstat().st_mtime > LEFT_OVER:
                path.unlink()
