"""CDSE: the Copernicus Data Space Ecosystem; OData search and download, OpenID tokens.

Facts are from the CDSE protocol notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from anyio import to_thread

from pepsasync.errors import (
    ForbiddenError,
    NotFoundError,
    OfflineError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RefusedError,
    TooManyAtOnceError,
)
from pepsasync.http.client import on_each_hop, origin_of
from pepsasync.http.errors import error_for_status, safe_url
from pepsasync.model import Account, Limits, StorageTier, only
from pepsasync.providers.answers import is_empty_zip, not_a_zip
from pepsasync.providers.attributes import KnownAttributes
from pepsasync.providers.base import SearchPage, StagingOutcome, StagingReply
from pepsasync.providers.cdse.lists import LIST_SIZE, Lists
from pepsasync.providers.cdse.query import COLLECTIONS, LAST_PAGE, PAGE_SIZE, search_parameters, slices
from pepsasync.providers.cdse.reply import parse_attributes, parse_nodes, parse_page, parse_tier, product_url
from pepsasync.providers.cdse.tokens import Tokens
from pepsasync.providers.cdse.traces import parse_traces, traced_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http
    from pepsasync.model import Attribute, Product, Query, Trace

MOST_NODES = 20_000
"""Files and folders of one product; Sentinel products stay under 1,000."""

DOMAIN = "dataspace.copernicus.eu"
"""Under which all hosts of the public service are."""

ADVICE = (
    "The Copernicus Data Space keeps some of the products offline, and programs cannot order them: log in at "
    f"https://{DOMAIN}, find the products by name in the Data Workspace and order them there. This run goes on by "
    "itself as they come online; with --skip-tape it leaves them out. Of many GRD products that are offline a "
    "cloud-optimised copy is online: --twins takes that"
)

_BEARER = "Bearer "
_TOO_MANY = b"DAT-ZIP-100"
"""Code of the download service for too many connections at once."""


class Cdse:
    """The CDSE provider.

    Args:
        http: Connection pool.
        credentials: E-mail and password; searching needs none.
        root: Of another instance, `https://host`, without a slash at its end, under which `/odata/v1` and
            `/auth/realms/CDSE` stand; None for the public service, which has a host for each.
        ask_code: Asks the user for the code of a second factor.
    """

    name = "cdse"
    limits = Limits(
        page_size=PAGE_SIZE,
        downloads=4,  # connections of one general user
        staging_requests=4,
        poll_batch=LIST_SIZE,
        bounded_ranges=True,
        search_pages=4,
        sessions=True,
        stages=False,
        poll_interval=300.0,
    )

    def __init__(
        self,
        http: Http,
        credentials: Lookup,
        root: str | None,
        ask_code: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._http = http
        own = None if root and _is_public(httpx.URL(root)) else root
        self._origin = origin_of(httpx.URL(own)) if own else None
        self._catalogue = own or f"https://catalogue.{DOMAIN}"
        self._lists = Lists(http, f"{self._catalogue}/odata/v1/Products")
        self._attributes = KnownAttributes(self._ask_attributes)
        self._traces = f"{own or f'https://trace.{DOMAIN}'}/api/v1/traces/name"
        self._downloads = own or f"https://download.{DOMAIN}"
        identity = own or f"https://identity.{DOMAIN}"
        url = f"{identity}/auth/realms/CDSE/protocol/openid-connect/token"
        self._tokens = Tokens(http, url, credentials, ask_code)

    def slices(self, query: Query) -> Sequence[Query]:
        """One query for each name and part of the area; see `Provider.slices`. Names are asked for several at once."""
        self._lists.expect(query.names)
        return slices(query)

    async def search_page(self, query: Query, page: int) -> SearchPage:
        """Fetch one page; see `Provider.search_page`. The archive has none behind the last that it gives out."""
        if page > LAST_PAGE:
            return SearchPage((), is_last=True)
        if query.names and page == 1 and (records := await self._lists.records(query.names[0])):
            return parse_page({"value": records}, query, page, self._downloads)
        url = f"{self._catalogue}/odata/v1/Products"
        known = await self.attributes(only(query.collection)) if query.property else {}
        request = self._http.build("GET", url, params=search_parameters(query, page, known))
        return parse_page(await self._http.json(request, is_search=True), query, page, self._downloads)

    async def attributes(self, collection: str | None) -> Mapping[str, Attribute]:
        """Ask for names and types; see `Provider.attributes`. Which values there are the archive does not tell."""
        names = [COLLECTIONS.get(collection, collection)] if collection else dict.fromkeys(COLLECTIONS.values())
        return await self._attributes.of(names)

    async def _ask_attributes(self, collection: str) -> Mapping[str, Attribute]:
        url = f"{self._catalogue}/odata/v1/Attributes({quote(collection, safe='')})"
        return parse_attributes(await self._http.json(self._http.build("GET", url)))

    async def traces(self, name: str, authorities: Sequence[Any] | None = None) -> list[Trace]:
        """Ask the traceability service what happened to a product, and check the signatures; nothing when it has none.

        Args:
            name: Product name.
            authorities: As for `parse_traces`.

        Raises:
            ConfigError: The library that checks signatures is missing.
            ProviderError: The service did not answer as it should.
        """
        file = traced_name(name)
        try:
            reply = await self._http.json(self._http.build("GET", f"{self._traces}/{quote(file, safe='')}"))
        except NotFoundError:
            return []
        return await to_thread.run_sync(parse_traces, reply, file, authorities)

    async def request_staging(self, product: Product) -> StagingReply:
        """Look whether the product is online: programs cannot order it."""
        try:
            tier = parse_tier(await self._record(product))
        except QuotaError as error:
            return StagingReply(StagingOutcome.QUOTA, error.retry_after)
        if tier is StorageTier.DISK:
            return StagingReply(StagingOutcome.ONLINE)
        return StagingReply(StagingOutcome.BY_HAND, advice=ADVICE)

    async def give_up(self, product: Product) -> None:
        """Nothing: requests of this archive have no names."""

    async def tiers(self, products: Collection[Product]) -> Mapping[str, StorageTier]:
        """Ask for all at once, and for what that leaves out one by one; see `Provider.tiers`."""
        wanted, found = {product.id for product in products}, dict[str, StorageTier]()
        for record in await self._lists.ask([product.name for product in products], {"$top": str(LIST_SIZE)}):
            if (identity := str(record.get("Id"))) in wanted and isinstance(record.get("Online"), bool):
                found[identity] = parse_tier(record)
        for product in products:
            if product.id in found:
                continue
            try:
                found[product.id] = parse_tier(await self._record(product))
            except NotFoundError:
                continue
        return found

    async def _record(self, product: Product) -> Any:
        try:
            return await self._http.json(self._http.build("GET", product_url(self._catalogue, product.id)))
        except NotFoundError as error:
            error.product = product.name
            raise

    async def account(self) -> Account:
        """Get a token, which needs good credentials; see `Provider.account`."""
        await self._tokens.access()
        return Account()

    async def files(self, product: Product) -> Mapping[str, int]:
        """Walk through the folders of a product; see `ServesFiles.files`."""
        found, waiting, seen = dict[str, int](), [""], 0
        while waiting:
            folder = waiting.pop()
            reply = await self._http.json(self._http.build("GET", f"{self._node(product, folder)}/Nodes"))
            for name, size, is_folder in parse_nodes(reply):
                path, seen = (f"{folder}/{name}" if folder else name), seen + 1
                if is_folder:
                    waiting.append(path)
                else:
                    found[path] = size
            if seen > MOST_NODES:
                raise ProtocolError(f"the archive lists more than {MOST_NODES:,} files", product=product.name)
        return found

    async def file_request(self, product: Product, path: str) -> httpx.Request:
        """GET of one node, with a token; see `ServesFiles.file_request`."""
        return await self._get(f"{self._node(product, path)}/$value")

    def _node(self, product: Product, path: str) -> str:
        """Address of a file or folder of a product; of its own folder for an empty path."""
        top = f"{product.name}.{'SEN3' if product.name.startswith('S3') else 'SAFE'}"
        nodes = "".join(f"/Nodes({quote(name, safe='')})" for name in (top, *filter(None, path.split("/"))))
        return f"{product_url(self._downloads, product.id)}{nodes}"

    async def download_request(self, product: Product) -> httpx.Request:
        """GET with a token for the archive's hosts, among which it redirects; see `Provider.download_request`."""
        return await self._get(product.download_url)

    async def _get(self, url: str) -> httpx.Request:
        token = await self._tokens.access()

        def authorize(request: httpx.Request) -> None:
            if self.is_own(request.url):
                request.headers["Authorization"] = _BEARER + token
            else:
                request.headers.pop("Authorization", None)

        return self._http.build("GET", url, extensions=on_each_hop(authorize))

    def is_own(self, url: httpx.URL) -> bool:
        """Whether an address is on one of the archive's hosts; see `Provider.is_own`."""
        return _is_public(url) if self._origin is None else origin_of(url) == self._origin

    def judge_download(self, product: Product, response: httpx.Response, head: bytes) -> ProviderError | None:
        """Say what is wrong with an answer; see `Provider.judge_download`."""
        status = response.status_code
        token = _token_of(response)
        error: ProviderError | None
        if status == 401:
            error = self._tokens.refuse(_token_in(response))
            error.url = safe_url(response)
        elif status in (200, 206):
            error = self._wrong_body(product, response, head)
        else:
            error = None if status == 416 else self._refusal(product, response, head)
        if status < 500 and status != 401:
            self._tokens.accept(token)
        if error is not None:
            error.product = product.name
        return error

    def _wrong_body(self, product: Product, response: httpx.Response, head: bytes) -> ProviderError | None:
        """What a body is when it is not a zip; nobody has recorded what the archive sends for offline products."""
        if is_empty_zip(response, head):
            return _offline(response)
        error = not_a_zip(product, response, head)
        if error is not None and _TOO_MANY in head:
            return _too_many(response)
        return _offline(response) if error is not None and product.tier is not StorageTier.DISK else error

    def _refusal(self, product: Product, response: httpx.Response, body: bytes) -> ProviderError:
        """The error behind a status and its body."""
        if _TOO_MANY in body:
            return _too_many(response)
        error = error_for_status(response, body)
        if error is None:
            error = ProtocolError(f"unexpected answer HTTP {response.status_code}", url=safe_url(response))
        if response.status_code != 202 and not isinstance(error, ForbiddenError | NotFoundError | RefusedError):
            return error
        error.product = product.name
        if isinstance(error, NotFoundError):
            error.hint = "Its record may be out of date: run the same command again later"
        # Nobody has recorded how offline products are refused: of one that was online, or where the account may have
        # no right, only the record can tell.
        is_certain = product.tier is not StorageTier.DISK and not isinstance(error, ForbiddenError)
        return _offline(response, None if is_certain else error)


def _offline(response: httpx.Response, if_online: ProviderError | None = None) -> OfflineError:
    message = "the archive does not have the product online"
    return OfflineError(message, url=safe_url(response), if_online=if_online)


def _too_many(response: httpx.Response) -> TooManyAtOnceError:
    hint = "It slows accounts down to one after 12 TB in 30 days; other archives may have the products, see --provider"
    return TooManyAtOnceError("too many downloads of this account at once", url=safe_url(response), hint=hint)


def _token_of(response: httpx.Response) -> str:
    """The token that was sent, on whichever of the redirects; empty when none was."""
    return next((token for hop in (response, *response.history) if (token := _token_in(hop))), "")


def _token_in(response: httpx.Response) -> str:
    header: str = response.request.headers.get("Authorization", "")
    return header.removeprefix(_BEARER)


def _is_public(url: httpx.URL) -> bool:
    return url.scheme == "https" and (url.host == DOMAIN or url.host.endswith(f".{DOMAIN}"))
