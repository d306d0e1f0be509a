"""PEPS: the resto protocol of the CNES archive, and of servers that run its software.

Facts are from the PEPS protocol notes; the section numbers in comments are theirs.
"""

from __future__ import annotations

import base64
import contextlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from pepsasync.errors import (
    AuthError,
    ForbiddenError,
    NoCredentialsError,
    NotFoundError,
    OfflineError,
    ProtocolError,
    ProviderError,
    QuotaError,
    ReplacedError,
    ServerError,
    UnreachableError,
)
from pepsasync.http.client import on_each_hop, origin_of
from pepsasync.http.errors import error_for_status, safe_url, words_of
from pepsasync.limits.schedule import parse_retry_after
from pepsasync.model import Account, Limits, StorageTier, only
from pepsasync.providers.answers import Acceptance, not_a_zip
from pepsasync.providers.attributes import KnownAttributes
from pepsasync.providers.base import SearchPage, StagingOutcome, StagingReply
from pepsasync.providers.peps.attributes import parse_description
from pepsasync.providers.peps.query import covering_parameters, search_parameters, slices
from pepsasync.providers.peps.reply import is_last, parse_features, parse_page, parse_tier, parse_tiers, parse_total

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pepsasync.credentials import Credentials
    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http
    from pepsasync.model import Attribute, Product, Query

CLOSED = (
    "PEPS closed in March 2026; its archive is now in GEODES (https://geodes.cnes.fr), and the Copernicus Data Space "
    "holds the same products. For a private resto server give --base-url; to try everything run 'pepsasync sandbox'"
)

MILLISECONDS_FROM = 10_000.0
"""A Retry-After of so many "seconds" or more is in milliseconds: 180000 or 900000 for 3 or 15 minutes (5.2)."""

FEW = 2
"""Up to so many waiting products are asked for one by one."""

_TOO_LARGE = "instant|"
"""How the complaint about one product begins; that about the account is `week|<MB>` (5.5)."""
_TOO_LARGE_HINT = "Ask the archive's help desk for a higher limit, or get the product from another archive (--provider)"
_HINTS = {
    403: "This account has no right on the collection; ask the archive's help desk",
    404: "The archive lists the product but does not have its file; ask the archive's help desk",
}


class Peps:
    """The PEPS provider.

    Args:
        http: Connection pool.
        credentials: E-mail and password; searching needs none.
        root: `https://host/resto`, without a slash at its end.
    """

    name = "peps"
    limits = Limits(
        page_size=500,  # clamped silently above (2.1)
        downloads=4,  # nothing published (5.5); 8 were fine on the server software (8)
        staging_requests=4,
        search_pages=2,  # nothing published; one is read while the other is made
        poll_batch=500,  # one search page
        bounded_ranges=False,  # in PHP mode the body runs to the end of the file (5.4)
        knows_places=True,
    )

    def __init__(self, http: Http, credentials: Lookup, root: str) -> None:
        self._http = http
        self._root = root
        self._origin = origin_of(httpx.URL(root))
        self._is_public = self._origin[1] == "peps.cnes.fr"
        self._credentials = credentials
        self._authorization = ""
        self._acceptance = Acceptance()
        self._attributes = KnownAttributes(self._ask_attributes)

    def slices(self, query: Query) -> Sequence[Query]:
        """One query for each name, collection and part of the area; see `Provider.slices`."""
        return slices(query)

    async def search_page(self, query: Query, page: int) -> SearchPage:
        """Fetch one page; see `Provider.search_page`."""
        reply = await self._search(only(query.collection), search_parameters(query), page, is_search=True)
        return parse_page(reply, self.limits.page_size, self._root, query)

    async def attributes(self, collection: str | None) -> Mapping[str, Attribute]:
        """Ask for the description of a search (1); see `Provider.attributes`."""
        return await self._attributes.of([collection or ""])

    async def _ask_attributes(self, collection: str) -> Mapping[str, Attribute]:
        where = f"/{quote(collection, safe='')}" if collection else ""
        request = self._http.build("GET", f"{self._root}/api/collections{where}/describe.xml")
        with self._closed():
            response = await self._http.send_patiently(request, error_for_status)
        return parse_description(response.text)

    async def _search(
        self, collection: str | None, parameters: Mapping[str, str | list[str]], page: int, *, is_search: bool = False
    ) -> Any:
        where = f"/{quote(collection, safe='')}" if collection else ""
        url = f"{self._root}/api/collections{where}/search.json"
        paging = {"maxRecords": str(self.limits.page_size), "page": str(page)}
        with self._closed():
            request = self._http.build("GET", url, params={**parameters, **paging})
            return await self._http.json(request, is_search=is_search)

    async def request_staging(self, product: Product) -> StagingReply:
        """Ask for the download, which is what starts staging (4); the body of a product is not read."""
        async with self._http.stream(await self.download_request(product)) as response:
            if response.status_code in (200, 202):
                self._acceptance.accept()
            if response.status_code == 200:
                return StagingReply(StagingOutcome.ONLINE)
            body = await self._http.error_body(response)
        if response.status_code == 202:
            return StagingReply(StagingOutcome.ACCEPTED, _retry_after(response))
        error = self._refusal(product, response, body)
        if isinstance(error, QuotaError):
            return StagingReply(StagingOutcome.QUOTA, error.retry_after)
        raise error

    async def give_up(self, product: Product) -> None:
        """Nothing: requests of this archive have no names."""

    async def tiers(self, products: Collection[Product]) -> Mapping[str, StorageTier]:
        """Ask by search or by item, whichever takes fewer calls; see `Provider.tiers`."""
        groups: dict[str, list[Product]] = {}
        for product in products:
            groups.setdefault(product.collection, []).append(product)
        found: dict[str, StorageTier] = {}
        for collection, group in groups.items():
            found |= await self._tiers_in(collection, group)
        return found

    async def _tiers_in(self, collection: str, products: Sequence[Product]) -> dict[str, StorageTier]:
        """Page through one search that covers all products, as long as that is cheaper than one call for each."""
        missing = {product.id: product for product in products}
        found: dict[str, StorageTier] = {}
        parameters = covering_parameters(products)
        page, is_over = 1, parameters is None
        while not is_over and len(missing) > FEW and page <= len(products):
            reply = await self._search(collection, parameters or {}, page)
            found |= {i: tier for i, tier in parse_tiers(parse_features(reply)).items() if missing.pop(i, None)}
            pages_left = -(-(parse_total(reply) or 0) // self.limits.page_size) - page
            is_over = is_last(reply, self.limits.page_size) or pages_left > len(missing)
            page += 1
        for product in missing.values():
            found[product.id] = await self._tier_of(product)
        return found

    async def _tier_of(self, product: Product) -> StorageTier:
        url = f"{self._root}/collections/{quote(product.collection, safe='')}/{quote(product.id, safe='')}.json"
        try:
            return parse_tier(await self._http.json(self._http.build("GET", url)))
        except NotFoundError:
            return StorageTier.UNKNOWN

    async def download_request(self, product: Product) -> httpx.Request:
        """GET with the credentials sent at once, since the archive never challenges (5.1), and to its origin only."""
        return await self._request("GET", product.download_url)

    def is_own(self, url: httpx.URL) -> bool:
        """Whether an address is on the archive's origin; see `Provider.is_own`."""
        return origin_of(url) == self._origin

    async def account(self) -> Account:
        """Ask for a session token, which needs good credentials (1); see `Provider.account`."""
        request = await self._request("GET", f"{self._root}/api/users/connect")
        with self._closed():
            await self._http.send_patiently(request, self._judge)
        return Account()

    def _judge(self, response: httpx.Response) -> ProviderError | None:
        error = error_for_status(response)
        if isinstance(error, ForbiddenError):  # so a wrong password is told here, by downloads with 401
            error = AuthError("the archive refused the credentials", url=error.url, hint="Check user name and password")
        return self._credentials.name_source(error)

    async def _request(self, method: str, url: str) -> httpx.Request:
        if not self._authorization and (login := await self._credentials.find()):
            self._authorization = _basic(login)
            self._http.secrets.add(login.password, self._authorization.removeprefix("Basic "))
        if not self._authorization:
            raise NoCredentialsError(
                "no credentials for PEPS",
                hint="Give a file with 'email password' with --auth, run 'pepsasync login peps', or set "
                "PEPSASYNC_PEPS_USERNAME and PEPSASYNC_PEPS_PASSWORD",
            )
        return self._http.build(method, url, extensions=on_each_hop(self._authorize))

    def _authorize(self, request: httpx.Request) -> None:
        if self.is_own(request.url):
            request.headers["Authorization"] = self._authorization
        else:
            request.headers.pop("Authorization", None)

    def judge_download(self, product: Product, response: httpx.Response, head: bytes) -> ProviderError | None:
        """Say what is wrong with an answer; see `Provider.judge_download`."""
        status = response.status_code
        if status in (200, 202, 206):
            self._acceptance.accept()
        if status == 202:
            return OfflineError(
                "the archive has the product on tape",
                retry_after=_retry_after(response),
                product=product.name,
                url=safe_url(response),
            )
        if status == 416:
            return None
        if status not in (200, 206):
            return self._refusal(product, response, head)
        return not_a_zip(product, response, head)

    def _refusal(self, product: Product, response: httpx.Response, body: bytes) -> ProviderError:
        """The error behind a status and its JSON body (5.2)."""
        url, said = safe_url(response), words_of(response, body)
        moved = re.search(r"new feature id is : (\S+)", said)
        if response.status_code == 404 and moved:
            new = None if moved[1] == "unavailable" else moved[1]
            what = f"was replaced by {new}" if new else "was withdrawn and has no new version"
            return ReplacedError(
                f"the product {what}",
                replaced_by=new,
                product=product.name,
                url=url,
                hint="Search for the new one later: the catalogue lags behind",
            )
        if response.status_code == 420 and said.startswith(_TOO_LARGE):
            most = said.removeprefix(_TOO_LARGE)
            what = f"the product is larger than what this account may download at once ({most} MB)"
            return ForbiddenError(what, product=product.name, url=url, hint=_TOO_LARGE_HINT)
        error = error_for_status(response, body)
        if error is None:
            return ProtocolError(f"unexpected answer HTTP {response.status_code}", product=product.name, url=url)
        if isinstance(error, ServerError):
            error.retry_after = _retry_after(response)
        error.product = product.name
        error.hint = error.hint or _HINTS.get(response.status_code, "")
        return self._acceptance.excuse(product, self._credentials.name_source(error))

    @contextlib.contextmanager
    def _closed(self) -> Iterator[None]:
        """Say that the public service is closed when it does not answer as it did."""
        try:
            yield
        except (ServerError, NotFoundError, ProtocolError) as error:
            if not self._is_public:
                raise
            raise UnreachableError(error.message, url=error.url, hint=CLOSED) from error


def _basic(credentials: Credentials) -> str:
    if not credentials.username or credentials.password is None:
        return ""
    pair = f"{credentials.username}:{credentials.password}".encode()  # UTF-8 (8)
    return "Basic " + base64.b64encode(pair).decode("ascii")


def _retry_after(response: httpx.Response) -> float | None:
    return parse_retry_after(response.headers.get("Retry-After"), milliseconds_from=MILLISECONDS_FROM)
