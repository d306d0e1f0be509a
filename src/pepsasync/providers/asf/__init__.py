"""ASF: Sentinel-1 at the Alaska Satellite Facility, with Earthdata Login; the catalogue is NASA's CMR.

Facts are from the ASF protocol notes; the section numbers in comments are theirs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx

from pepsasync.errors import (
    AuthError,
    ForbiddenError,
    NotFoundError,
    OfflineError,
    PepsasyncError,
    ProtocolError,
    ProviderError,
    QuotaError,
    ServerError,
)
from pepsasync.http.client import on_each_hop
from pepsasync.http.errors import error_for_status, safe_url
from pepsasync.model import Account, Limits, StorageTier
from pepsasync.providers.answers import not_a_zip
from pepsasync.providers.asf.hosts import CATALOGUE, DATAPOOL, EGRESS, Hosts
from pepsasync.providers.asf.query import BURST, PAGE_SIZE, search_parameters, slices
from pepsasync.providers.asf.reply import parse_page
from pepsasync.providers.asf.session import Entry, Session, is_about_licence, licence_missing
from pepsasync.providers.base import SearchPage, StagingOutcome, StagingReply

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http
    from pepsasync.model import Attribute, Product, Query

_BURST_FILE = re.compile(r"S1_\w+-BURST\.tiff")
_NO_FILE = "ASF lists the product but does not have its file; try --provider cdse"


class Asf:
    """The ASF provider.

    Args:
        http: Connection pool.
        credentials: An Earthdata token, or user name and password; searching needs none.
        root: Of another instance, under which each host of the service stands as a folder of its name, without a slash
            at its end; None for the public service.
    """

    name = "asf"
    limits = Limits(
        page_size=PAGE_SIZE,
        downloads=4,  # nothing published
        staging_requests=4,
        poll_batch=20,  # each is a request of its own
        bounded_ranges=True,  # (5.3)
        poll_interval=2.0,  # bursts take seconds (6)
    )

    def __init__(self, http: Http, credentials: Lookup, root: str | None) -> None:
        self._http = http
        own = None if root is None or httpx.URL(root).host == DATAPOOL else root
        self._hosts = Hosts(own)
        self._session = Session(http, self._hosts, credentials)
        self._after: dict[tuple[Query, int], str | None] = {}

    def slices(self, query: Query) -> Sequence[Query]:
        """One query for each name, season, orbit, mode and part of the area; see `Provider.slices`."""
        return slices(query)

    async def search_page(self, query: Query, page: int) -> SearchPage:
        """Fetch one page; the one before told where it begins (4). See `Provider.search_page`."""
        after: str | None = None
        if page > 1:
            if (query, page) not in self._after:
                await self.search_page(query, page - 1)
            after = self._after.get((query, page))
            if after is None:
                return SearchPage((), is_last=True)
        request = self._http.build(
            "POST",
            self._hosts.url(CATALOGUE, "/search/granules.umm_json"),
            content=urlencode(search_parameters(query)).encode(),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                **({"CMR-Search-After": after} if after else {}),
            },
        )
        reply, headers = await self._http.json_with_headers(request, is_search=True, judge=_partial)
        following = headers.get("CMR-Search-After")
        found = parse_page(reply, query, is_last=following is None or not reply.get("items"))
        is_whole = found.total is not None and page == 1 and len(found.sent) >= found.total
        self._after[query, page + 1] = following
        return SearchPage(
            found.products,
            bool(found.is_last) or is_whole,
            found.total,
            sent=found.sent,
            unread=found.unread,
            unclear=found.unclear,
        )

    async def attributes(self, collection: str | None) -> Mapping[str, Attribute]:  # noqa: ARG002
        """Nothing: the catalogue does not list them. Those that a record has can be asked for by name."""
        return {}

    async def request_staging(self, product: Product) -> StagingReply:
        """Have a burst made, which its download begins (6); whole products are on disk (5.5)."""
        if product.product_type != BURST:
            return StagingReply(StagingOutcome.ONLINE)
        async with self._http.stream(await self.download_request(product)) as response:
            head = b"" if response.status_code in (200, 202) else await self._http.error_body(response)
            error = self.judge_download(product, response, head)
        if error is None:
            return StagingReply(StagingOutcome.ONLINE)
        if isinstance(error, OfflineError):
            return StagingReply(StagingOutcome.ACCEPTED, error.retry_after)
        if isinstance(error, QuotaError):
            return StagingReply(StagingOutcome.QUOTA, error.retry_after)
        raise error

    async def give_up(self, product: Product) -> None:
        """Nothing: requests of this archive have no names."""

    async def tiers(self, products: Collection[Product]) -> Mapping[str, StorageTier]:
        """Bursts are asked for one by one; everything else is on disk. See `Provider.tiers`."""
        found: dict[str, StorageTier] = {}
        for product in products:
            if product.product_type != BURST:
                found[product.id] = StorageTier.DISK
                continue
            try:
                reply = await self.request_staging(product)
            except AuthError:
                raise
            except ProviderError:
                continue
            found[product.id] = StorageTier.DISK if reply.outcome is StagingOutcome.ONLINE else StorageTier.STAGING
        return found

    async def account(self) -> Account:
        """Log in, or have the token looked at; see `Provider.account`."""
        await self._session.check()
        return Account()

    async def download_request(self, product: Product) -> httpx.Request:
        """GET with cookie or token for the hosts of ASF only, none of which sends the bytes (5.2)."""
        entry = await self._session.entry()
        if product.product_type == BURST and entry.header != "Cookie":
            entry = await self._cookie_for(product, entry)
        return self._request(product.download_url, entry)

    async def _cookie_for(self, product: Product, token: Entry) -> Entry:
        """A session for a token, which the service that makes bursts does not take: the egress gives one (6).

        Raises:
            ProviderError: It does not.
        """
        scene = next((part for part in httpx.URL(product.download_url).path.split("/") if part.startswith("S1")), "")
        url = self._hosts.url(EGRESS, f"/SLC/S{scene[2:3]}/{scene}.zip")
        request = self._request(url, token)
        request.headers["Range"] = "bytes=0-0"
        async with self._http.stream(request) as response:
            self._session.take(response)
            head = b"" if response.status_code in (200, 206) else await self._http.error_body(response)
            error = None if response.status_code in (200, 206) else self._refusal(response, head)
        if error is not None:
            error.product = product.name
            raise error
        return await self._session.entry()

    def _request(self, url: str, entry: Entry) -> httpx.Request:
        def authorize(request: httpx.Request) -> None:
            for header in ("Authorization", "Cookie"):
                request.headers.pop(header, None)
            if self._hosts.is_asf(request.url):
                request.headers[entry.header] = entry.value
            elif self._hosts.is_login(request.url):
                raise self._session.refuse(entry)

        return self._http.build("GET", url, extensions=on_each_hop(authorize))

    def is_own(self, url: httpx.URL) -> bool:
        """Whether an address is at ASF, the login or the catalogue; see `Provider.is_own`."""
        return self._hosts.is_own(url)

    def judge_download(self, product: Product, response: httpx.Response, head: bytes) -> PepsasyncError | None:
        """Say what is wrong with an answer; see `Provider.judge_download`."""
        status = response.status_code
        error: ProviderError | None
        if status in (200, 206, 416):
            self._session.take(response)
            error = None if status == 416 else _another_burst(product, response) or not_a_zip(product, response, head)
        elif status == 202:
            self._session.take(response)
            error = OfflineError("ASF is making the product", url=safe_url(response))
        else:
            error = self._refusal(response, head)
        if error is not None:
            error.product = product.name
        return error

    def _refusal(self, response: httpx.Response, body: bytes) -> ProviderError:
        """The error behind a status and its body (5.4)."""
        status, url = response.status_code, safe_url(response)
        if not self._hosts.is_asf(response.url) and status in (400, 403):  # the object store
            if b"InvalidObjectState" in body:
                return OfflineError("ASF does not have the product on disk", url=url)
            return ServerError("the signed address of the product is not accepted any more", url=url)
        if is_about_licence(response, body):
            return licence_missing(url)
        if status == 401:
            error = self._session.refuse_shown(response.request)
            error.url = url
            return error
        if status == 400:
            return ServerError("ASF cannot reach its store at the moment", url=url)
        error_of_status = error_for_status(response, body)
        if error_of_status is None:
            return ProtocolError(f"unexpected answer HTTP {status}", url=url)
        if isinstance(error_of_status, NotFoundError):
            error_of_status.hint = _NO_FILE
        if isinstance(error_of_status, ForbiddenError):
            error_of_status.hint = "ASF does not give out this product at the moment"
        return error_of_status


def _partial(response: httpx.Response) -> ServerError | None:
    """Whether the catalogue ran out of time and sent what it had found by then, with status 200 (4)."""
    if response.headers.get("CMR-Timed-Out", "false").lower() == "false":
        return None
    return ServerError("the catalogue ran out of time and sent only a part", url=safe_url(response))


def _another_burst(product: Product, response: httpx.Response) -> ServerError | None:
    """Whether the service sent the file of another burst, which it was seen to do when it makes several at once (6)."""
    told = _BURST_FILE.search(response.headers.get("Content-Disposition", ""))
    if product.product_type != BURST or told is None or told[0] == product.name:
        return None
    return ServerError(f"ASF sent {told[0]} instead", url=safe_url(response))
