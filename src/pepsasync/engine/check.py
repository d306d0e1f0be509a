"""A live check of an archive: whether everything that a fetch needs works, and if not, what is in the way.

It takes a minute at most and asks for the first kilobyte of one product, which may count as one of the account's quota.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import anyio
import httpx
import shapely

from pepsasync.errors import AuthError, NoCredentialsError, OfflineError, PepsasyncError, TermsError, UnreachableError
from pepsasync.model import Query, StorageTier
from pepsasync.providers.base import StagingOutcome
from pepsasync.transfer.ranges import refuse_errors, validator_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pepsasync.model import Product
    from pepsasync.transfer.context import ArchiveContext

SOUGHT = Query(
    collection="S1",
    product_type="GRD",
    start=dt.datetime(2015, 11, 1, tzinfo=dt.UTC),
    end=dt.datetime(2015, 12, 1, tzinfo=dt.UTC),
    area=shapely.box(1, 43, 2, 44),
)
"""What is searched: every archive has these few products, around Toulouse."""

LOOKED_AT = 20
"""Products of a page whose tier is asked for."""

FIRST = 1024
"""Bytes that are asked for of a product."""

_NO_ORDERS = "Wait for the quota, or take another archive"
_LATER = "Orders take their time: run a fetch, which waits"
SLOW_CLOCK = 60.0
"""Seconds that this clock may be wrong: tokens are valid for minutes, and certificates from a certain instant on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step of a check led to."""

    step: str
    """`name`, `connection`, `clock`, `search`, `account`, `tape` or `download`."""
    expected: str
    found: str
    is_right: bool | None
    """None when it could not be looked at, or needs something that is not there."""
    advice: str = ""
    """What it means and what to do; empty where nothing is to be done."""
    error: PepsasyncError | None = None
    """What was raised, of a step that went wrong."""


_BUG = "This is a bug in pepsasync: report it, with the file of --record"

T = TypeVar("T")

LookUp: TypeAlias = "Callable[[str, int], Awaitable[list[str]]]"
"""Returns the addresses of a host."""


async def check(
    archive: ArchiveContext,
    root: str,
    *,
    look_up: LookUp | None = None,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> AsyncIterator[Finding]:
    """Look at each thing that a fetch needs, in the order in which it needs them.

    Args:
        archive: With the account to use.
        root: Its URL.
        look_up: Returns the addresses of a host; raises OSError. None for those of this system.
        now: What this machine takes for the time; UTC, aware.

    Cancellation: connections are closed; nothing is left behind.
    """
    url = httpx.URL(root)
    name, _ = await _surely("name", _check_name(url, archive.http.proxy_of(url), look_up or _addresses), None)
    yield name
    connection, told = await _surely("connection", _check_connection(archive, url), httpx.Headers())
    yield connection
    if isinstance(connection.error, UnreachableError):
        return  # nothing else could be said
    clock, _ = await _surely("clock", _check_clock(told, now()), None)
    yield clock
    search, products = await _surely("search", _check_search(archive), ())
    yield search
    account, _ = await _surely("account", _check_account(archive), None)
    yield account
    tape, tiers = await _surely("tape", _check_tape(archive, products), {})
    yield tape
    download = _check_download(archive, products, tiers, has_account=account.is_right is True)
    yield (await _surely("download", download, None))[0]


async def _surely(step: str, work: Awaitable[Finding | tuple[Finding, T]], otherwise: T) -> tuple[Finding, T]:
    """What a step found, and what the next ones need of it; also of one that fails as nobody foresaw.

    Args:
        step: Its name.
        work: The step.
        otherwise: What the next ones get from one that gives them nothing.
    """
    try:
        found = await work
    except Exception as error:  # noqa: BLE001 - a check is there to show what happens
        return Finding(step, "no such error", f"{type(error).__name__}: {error}", False, _BUG), otherwise
    return found if isinstance(found, tuple) else (found, otherwise)


async def _check_name(root: httpx.URL, proxy: str | None, look_up: LookUp) -> Finding:
    host = proxy.rpartition(":")[0] if proxy else root.host
    what, expected = (f"proxy {proxy}" if proxy else host), "an address of the host"
    try:
        found = await look_up(host, root.port or 443)
    except OSError as error:
        advice = (
            "The proxy of the environment (HTTPS_PROXY) has no address" if proxy else "Check network and name server"
        )
        problem = UnreachableError(f"no address is known of {host}", hint=advice)
        return Finding("name", expected, f"{what}: {error.strerror or error}", False, advice, problem)
    return Finding("name", expected, f"{what} is {', '.join(found)}", True)


async def _addresses(host: str, port: int) -> list[str]:
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(address[0] for *_, address in found))


async def _check_connection(archive: ArchiveContext, root: httpx.URL) -> tuple[Finding, httpx.Headers]:
    """Whether anything answers at the root, and the headers of its answer."""
    expected = "an answer over TLS" if root.scheme == "https" else "an answer"
    try:
        async with archive.http.stream(archive.http.build("GET", str(root))) as response:
            found = f"HTTP {response.status_code}{_tls_of(response)}"
            return Finding("connection", expected, found, True), response.headers
    except PepsasyncError as error:
        return _wrong("connection", expected, error), httpx.Headers()


def _tls_of(response: httpx.Response) -> str:
    connection: Any = response.extensions.get("network_stream")
    tls: ssl.SSLSocket | None = connection.get_extra_info("ssl_object") if connection else None
    if tls is None:
        return ""
    certificate: Any = tls.getpeercert() or {}
    names = dict(pair for part in certificate.get("issuer", ()) for pair in part)
    issuer = names.get("organizationName") or names.get("commonName") or "unknown"
    return f", {tls.version()}, certificate of {issuer}, valid until {certificate.get('notAfter', 'unknown')}"


async def _check_clock(headers: httpx.Headers, now: dt.datetime) -> Finding:
    expected = f"a difference of at most {SLOW_CLOCK:.0f} s"
    with contextlib.suppress(ValueError):
        told = parsedate_to_datetime(headers.get("Date", ""))
        seconds = (now - (told if told.tzinfo else told.replace(tzinfo=dt.UTC))).total_seconds()
        if abs(seconds) <= SLOW_CLOCK:
            return Finding("clock", expected, "the clocks agree", True)
        word = "ahead of" if seconds > 0 else "behind"
        advice = "Set the clock of this machine (NTP): tokens and certificates are refused when it is wrong"
        return Finding("clock", expected, f"this machine is {abs(seconds):.0f} s {word} the archive", False, advice)
    return Finding("clock", expected, "the archive does not tell its time", None)


async def _check_search(archive: ArchiveContext) -> tuple[Finding, tuple[Product, ...]]:
    expected = "Sentinel-1 products around Toulouse, November 2015"
    try:
        page = await archive.provider.search_page(archive.provider.slices(SOUGHT)[0], 1)
    except TermsError as error:
        return _wrong("search", expected, error), ()
    except AuthError as error:  # of an archive whose searches need an account, which the next step looks at
        return Finding("search", expected, error.message, None, error.hint, error), ()
    except PepsasyncError as error:
        return _wrong("search", expected, error), ()
    if page.unread:
        advice = "Records have a form that pepsasync cannot read: report it, with --record"
        return Finding("search", expected, f"{len(page.unread)} records cannot be read", False, advice), page.products
    if not page.products:
        return Finding("search", expected, "nothing", None, "A private archive may have none of them"), ()
    matches = "" if page.total is None else f" of {page.total:,}"
    return Finding(
        "search", expected, f"{len(page.products)}{matches}: {page.products[0].name}, ...", True
    ), page.products


async def _check_account(archive: ArchiveContext) -> Finding:
    expected = "an account that the archive accepts"
    try:
        account = await archive.provider.account()
    except NoCredentialsError as error:
        return Finding("account", expected, error.message, None, error.hint, error)
    except PepsasyncError as error:
        return _wrong("account", expected, error)
    left = "" if account.quota_left is None else f"; {account.quota_left} products may be downloaded now"
    advice = "Wait for the quota, or take another archive" if account.quota_left == 0 else ""
    return Finding("account", expected, f"accepted{left}", True, advice)


async def _check_tape(archive: ArchiveContext, products: tuple[Product, ...]) -> tuple[Finding, dict[str, StorageTier]]:
    expected = "where products are"
    asked = products[: min(LOOKED_AT, archive.provider.limits.poll_batch)]
    if not asked:
        return Finding("tape", expected, "no product to ask for", None), {}
    if archive.provider.limits.orders:
        return Finding("tape", expected, "not told: every product is ordered before its download", None), {}
    try:
        tiers = dict(await archive.provider.tiers(asked))
    except AuthError as error:
        return Finding("tape", expected, error.message, None, error.hint, error), {}
    except PepsasyncError as error:
        return _wrong("tape", expected, error), {}
    counts = [(tier.value, list(tiers.values()).count(tier)) for tier in StorageTier]
    told = ", ".join(f"{count} {tier}" for tier, count in counts if count) or "the archive mentions none of them"
    return Finding("tape", expected, told, bool(tiers)), tiers


async def _check_download(
    archive: ArchiveContext, products: tuple[Product, ...], tiers: dict[str, StorageTier], *, has_account: bool
) -> Finding:
    expected = f"the first {FIRST} bytes of a product"
    if not has_account:
        return Finding("download", expected, "not tried without an account", None)
    online = [one for one in products if tiers.get(one.id, one.tier) in (StorageTier.DISK, StorageTier.UNKNOWN)]
    if not online:
        return Finding("download", expected, "no product is online", None, "Try again later, or look at one yourself")
    product = min(online, key=lambda one: one.size or 1 << 62)
    try:
        if archive.provider.limits.orders:
            async with archive.gate.staging(product):
                reply = await archive.provider.request_staging(product)
            if reply.outcome is StagingOutcome.QUOTA:
                found = f"no order of {product.name} is taken now: the quota of the account is reached"
                return Finding("download", expected, found, None, _NO_ORDERS)
            product = replace(product, order=reply.order)
            if reply.outcome is not StagingOutcome.ONLINE:
                return await _look_at_order(archive, product, expected)
        return await _first_bytes(archive, product, expected)
    except OfflineError as error:
        return Finding("download", expected, error.message, None, "It has to be staged or ordered first", error)
    except PepsasyncError as error:
        return _wrong("download", expected, error)


async def _look_at_order(archive: ArchiveContext, product: Product, expected: str) -> Finding:
    """What became of an order that is not ready at once."""
    tier = (await archive.provider.tiers([product])).get(product.id)
    if tier is StorageTier.TAPE:
        what = f"the order of {product.name} was taken, and failed or is not known any more"
        return Finding("download", expected, what, False, "Check again; a fetch orders once more by itself")
    return Finding("download", expected, f"the order of {product.name} is not ready yet", None, _LATER)


async def _first_bytes(archive: ArchiveContext, product: Product, expected: str) -> Finding:
    request = await archive.provider.download_request(product)
    request.headers["Accept-Encoding"] = "identity"
    request.headers["Range"] = f"bytes=0-{FIRST - 1}"
    head = b""
    async with archive.http.stream(request) as response:
        await refuse_errors(product, response, archive)
        async with contextlib.aclosing(response.aiter_raw(FIRST)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                head += chunk
                if len(head) >= FIRST:
                    break
    if error := archive.provider.judge_download(product, response, head):
        raise error
    ranges = "ranges work" if response.status_code == 206 else "ranges are ignored: a cut download begins anew"
    validator = "a validator" if validator_of(response) else "no validator"
    return Finding(
        "download", expected, f"{min(len(head), FIRST)} bytes of {product.name}; {ranges}, {validator}", True
    )


def _wrong(step: str, expected: str, error: PepsasyncError) -> Finding:
    return Finding(step, expected, error.message, False, error.hint, error)
