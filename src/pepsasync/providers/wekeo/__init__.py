"""WEkEO: the Copernicus service whose HDA orders every product before it can be downloaded.

Facts are from the WEkEO protocol notes; the section numbers in comments are theirs.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

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
    RefusedError,
    ServerError,
    TermsError,
)
from pepsasync.http.client import on_each_hop, origin_of
from pepsasync.http.errors import error_for_status, safe_url
from pepsasync.http.replies import parse_json
from pepsasync.limits.schedule import parse_retry_after
from pepsasync.model import Account, Attribute, AttributeKind, Limits, StorageTier
from pepsasync.providers.answers import not_a_zip
from pepsasync.providers.attributes import KnownAttributes
from pepsasync.providers.base import SearchPage, StagingOutcome, StagingReply
from pepsasync.providers.reading import as_list, as_mapping, as_text
from pepsasync.providers.wekeo.answers import is_hopeless, quota_of, words_of_error
from pepsasync.providers.wekeo.query import ALWAYS, DATASETS, PAGE_SIZE, dataset_of, search_body, slices
from pepsasync.providers.wekeo.reply import parse_page
from pepsasync.providers.wekeo.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http
    from pepsasync.model import Product, Query

DOMAIN = "wekeo2.eu"
"""Under which all hosts of the public service are."""
QUOTA_PAUSE = 300.0
"""Seconds after which a used-up quota is tried again when the service does not say: an order comes back after an hour
at the latest."""
MOST_FAILURES = 2
"""Orders of one product that fail or are lost before it is given up."""
TERMS_PAGE = 50
"""Terms of a page, as clients ask for them."""
MOST_TERMS = 5_000
"""Entries of a list of terms that are read."""
_ACCEPTED = f"/termsaccepted?startIndex=0&itemsPerPage={TERMS_PAGE}"
"""What every account may ask for."""
_BEARER = "Bearer "


class Wekeo:
    """The WEkEO provider.

    Args:
        http: Connection pool.
        credentials: User name and password; searching needs them, too.
        root: `https://host`, without a slash at its end, under which `/hda-broker` and `/identity` stand.
    """

    name = "wekeo"
    limits = Limits(
        page_size=PAGE_SIZE,
        downloads=2,  # as the official client has (10.7)
        staging_requests=2,
        poll_batch=20,  # each is a request of its own
        bounded_ranges=False,  # not known at all (7)
        orders=True,
        poll_interval=3.0,
    )

    def __init__(self, http: Http, credentials: Lookup, root: str) -> None:
        self._http = http
        self._api = f"{root}/hda-broker/api/v1"
        url = httpx.URL(root)
        self._origin = None if url.scheme == "https" and url.host.endswith(f".{DOMAIN}") else origin_of(url)
        self._tokens = Tokens(http, root, credentials)
        self._attributes = KnownAttributes(self._ask_attributes)
        self._next: dict[tuple[Query, int], int | None] = {}
        self._lost_orders = dict[str, str]()
        self._failures = Counter[str]()
        self._forbidden = dict[str, str]()
        self._full_until = 0.0
        self._account = Account()

    def slices(self, query: Query) -> Sequence[Query]:
        """One query for each name, data set, value, tile and part of the area; see `Provider.slices`."""
        return slices(query)

    async def search_page(self, query: Query, page: int) -> SearchPage:
        """Fetch one page; the one before told where it begins, if there is no total (5). See `Provider.search_page`."""
        start: int | None = 0
        if page > 1:
            if (query, page) not in self._next:
                await self.search_page(query, page - 1)
            start = self._next.get((query, page))
            if start is None:
                return SearchPage((), is_last=True)
        dataset = dataset_of(query)
        listed = await self._attributes.of([dataset])
        body = search_body(query, start or 0, listed)
        reply = await self._ask("POST", "/dataaccess/search", of=dataset, json=body)
        if self._http.on_search_reply:
            self._http.on_search_reply(safe_url(reply), reply.content)
        found, self._next[query, page + 1] = parse_page(
            _decoded(reply), query, start or 0, f"{self._api}/dataaccess/download"
        )
        return found

    async def attributes(self, collection: str | None) -> Mapping[str, Attribute]:
        """Parameters of a data set (4); see `Provider.attributes`."""
        names = [DATASETS.get(collection, collection)] if collection else dict.fromkeys(DATASETS.values())
        return {name: each for name, each in (await self._attributes.of(names)).items() if name not in _NO_ATTRIBUTES}

    async def _ask_attributes(self, dataset: str) -> Mapping[str, Attribute]:
        reply = await self._ask("GET", f"/dataaccess/queryable/{quote(dataset, safe=':')}")
        listed = as_mapping(as_mapping(_decoded(reply)).get("properties"))
        return {name: _attribute(name, as_mapping(one)) for name, one in listed.items()}

    async def request_staging(self, product: Product) -> StagingReply:
        """Order a product, which costs the account one of its quota, unless it was ordered before (6, 8)."""
        if (why := self._lost_orders.get(product.id)) is not None and self._failures[product.id] + 1 >= MOST_FAILURES:
            raise ProviderError(
                f"WEkEO could not make it available: {why or 'the order was lost'}",
                product=product.name,
                hint="Try again later, or another archive, see --provider",
            )
        if (left := self._full_until - time.monotonic()) > 0:
            return StagingReply(StagingOutcome.QUOTA, left)
        body = {"dataset_id": product.collection, "product_id": product.id, "location": product.storage_url}
        try:
            reply = await self._ask("POST", "/dataaccess/download", of=product.collection, is_patient=False, json=body)
        except QuotaError as error:
            return StagingReply(StagingOutcome.QUOTA, error.retry_after or QUOTA_PAUSE)
        except ProviderError as error:
            error.product = product.name
            raise
        order = as_text(as_mapping(_decoded(reply)).get("download_id"))
        if order is None:
            raise ProtocolError("WEkEO took the order and did not name it", product=product.name)
        # Counted here and not where the loss was noticed: many may notice it, and the new order may have the same name.
        self._failures[product.id] += self._lost_orders.pop(product.id, None) is not None
        tier = await self._tier_of(order, replace(product, order=order))
        outcome = StagingOutcome.ONLINE if tier is StorageTier.DISK else StagingOutcome.ACCEPTED
        return StagingReply(outcome, order=order)

    async def give_up(self, product: Product) -> None:
        """Nothing: orders cannot be taken back (6)."""

    async def tiers(self, products: Collection[Product]) -> Mapping[str, StorageTier]:
        """Ask for the state of each order; what was not ordered is nowhere. See `Provider.tiers`."""
        found: dict[str, StorageTier] = {}
        for product in products:
            if product.order is not None:
                tier = await self._tier_of(product.order, product)
                if tier is not None:
                    found[product.id] = tier
        return found

    async def _tier_of(self, order: str, product: Product) -> StorageTier | None:
        """State of an order; None when the service does not tell now."""
        try:
            response = await self._ask("HEAD", f"/dataaccess/download/{quote(order, safe='')}", is_patient=False)
        except AuthError:
            raise
        except NotFoundError:
            return self._lost(product, "")
        except ProviderError:
            return await self._state_of(order, product)
        return StorageTier.STAGING if response.status_code == 202 else StorageTier.DISK

    async def _state_of(self, order: str, product: Product) -> StorageTier | None:
        """The same in words, which tell why an order has failed."""
        try:
            path = f"/dataaccess/downloads?download_id={quote(order, safe='')}"
            reply = await self._ask("GET", path, is_patient=False)
        except AuthError:
            raise
        except ProviderError:
            return None
        told = as_mapping(next(iter(as_list(as_mapping(_decoded(reply)).get("features"))), None))
        status = (as_text(told.get("status")) or "").lower()
        if status in ("done", "completed"):
            return StorageTier.DISK
        if status in ("error", "failed"):
            return self._lost(product, as_text(told.get("message")) or "the order failed")
        return StorageTier.STAGING if status else None

    def _lost(self, product: Product, why: str) -> StorageTier:
        """Take note that an order has failed or is not known any more: it is made again, so often."""
        self._lost_orders[product.id] = why or self._lost_orders.get(product.id, "")
        return StorageTier.TAPE

    async def account(self) -> Account:
        """Log in, and look what is left of the quota, if that is told; see `Provider.account`."""
        await self._ask("GET", _ACCEPTED)
        return self._account

    async def missing_terms(self) -> dict[str, str]:
        """Titles of what the account has not accepted, by id; see `pepsasync.providers.base.HasTerms`."""
        accepted = await self._accepted_terms()
        listed = {name: term for term in await self._listed("/terms") if (name := as_text(term.get("term_id")))}
        return {name: as_text(term.get("title")) or name for name, term in listed.items() if name not in accepted}

    async def accept_term(self, term: str) -> None:
        """Accept one of them; see `pepsasync.providers.base.HasTerms`."""
        await self._ask("PUT", f"/termsaccepted/{quote(term, safe='')}", json={"accepted": True})

    async def _accepted_terms(self) -> set[str]:
        listed = await self._listed("/termsaccepted")
        return {str(term.get("term_id")) for term in listed if term.get("accepted") is not False}

    async def _listed(self, path: str) -> list[Mapping[str, Any]]:
        """All entries of a list of terms, page by page, until one brings nothing new: terms are listed repeatedly."""
        found: list[Mapping[str, Any]] = []
        known: set[str] = set()
        while True:
            reply = await self._ask("GET", f"{path}?startIndex={len(found)}&itemsPerPage={TERMS_PAGE}")
            page = [as_mapping(term) for term in as_list(as_mapping(_decoded(reply)).get("features"))]
            new = {str(term.get("term_id")) for term in page} - known
            found += page
            known |= new
            if not new or len(found) > MOST_TERMS:
                return found

    async def _missing_terms(self, dataset: str) -> list[str]:
        """Terms of a data set that the account has not accepted; none when nobody tells."""
        try:
            reply = await self._ask("GET", f"/datasets/{quote(dataset, safe=':')}")
            accepted = await self._accepted_terms()
        except ProviderError:
            return []
        terms = as_list(as_mapping(_decoded(reply)).get("terms"))
        return [text for term in terms if (text := as_text(term)) and text not in accepted]

    async def _ask(
        self, method: str, path: str, *, of: str | None = None, is_patient: bool = True, **body: Any
    ) -> httpx.Response:
        """Send a request with a token, once more with another when it is refused.

        Args:
            method: Of the request.
            path: Under the root of the service.
            of: Data set whose terms may be what is missing.
            is_patient: Whether it is sent again after passing failures; otherwise that is left to the caller.
            **body: As for `httpx.Request`.

        Raises:
            AuthError: The account was refused, or has not accepted the terms.
            ProviderError: The service did not answer as it should.
        """
        is_again = False
        while True:
            token = await self._tokens.access()
            request = self._http.build(
                method, f"{self._api}{path}", extensions=on_each_hop(self._authorize(token)), **body
            )
            try:
                response = await self._send(request, is_patient=is_patient)
            except (AuthError, ForbiddenError, NotFoundError) as error:
                if of is not None and (missing := await self._missing_terms(of)):
                    raise _terms_missing(missing, error.url) from error
                if isinstance(error, NotFoundError):
                    raise
                if isinstance(error, ForbiddenError) and path != _ACCEPTED and await self._is_good(token):
                    raise
                refusal = self._tokens.refuse(token)
                if isinstance(refusal, AuthError) or is_again:
                    raise refusal from error
                is_again = True
                continue
            self._tokens.accept(token)
            return response

    async def _is_good(self, token: str) -> bool:
        """Whether a token is good for something: 403 may be about it, or about what was asked for (2)."""
        request = self._http.build("GET", f"{self._api}{_ACCEPTED}", extensions=on_each_hop(self._authorize(token)))
        try:
            await self._send(request, is_patient=False)
        except ProviderError:
            return False
        self._tokens.accept(token)
        return True

    async def _send(self, request: httpx.Request, *, is_patient: bool) -> httpx.Response:
        if is_patient:
            return await self._http.send_patiently(request, self._judge)
        response = await self._http.send(request)
        if error := self._judge(response):
            raise error
        return response

    def _judge(self, response: httpx.Response) -> ProviderError | None:
        left, most, seconds = quota_of(response)
        if most is not None or left is not None:
            self._account = Account(left, most)
        if left == 0 and seconds:
            self._full_until = time.monotonic() + seconds
        return _error_of(response, response.content, seconds)

    def _authorize(self, token: str) -> Callable[[httpx.Request], None]:
        """Puts a token on requests to the archive's own hosts, hop by hop."""

        def authorize(request: httpx.Request) -> None:
            if self.is_own(request.url):
                request.headers["Authorization"] = _BEARER + token
            else:
                request.headers.pop("Authorization", None)

        return authorize

    def is_own(self, url: httpx.URL) -> bool:
        """Whether an address is on one of the archive's hosts; see `Provider.is_own`."""
        if self._origin is not None:
            return origin_of(url) == self._origin
        return url.scheme == "https" and url.host.endswith(f".{DOMAIN}")

    async def download_request(self, product: Product) -> httpx.Request:
        """GET of what was ordered, with a token for the archive's hosts; see `Provider.download_request`."""
        token = await self._tokens.access()
        if product.order is None:
            raise OfflineError("WEkEO wants an order first", product=product.name)
        url = f"{product.download_url}/{quote(product.order, safe='')}"
        return self._http.build("GET", url, extensions=on_each_hop(self._authorize(token)))

    def judge_download(self, product: Product, response: httpx.Response, head: bytes) -> PepsasyncError | None:
        """Say what is wrong with an answer; see `Provider.judge_download`."""
        status, url = response.status_code, safe_url(response)
        token = next((token for hop in (*response.history, response) if (token := _token_in(hop))), "")
        error: ProviderError | None
        if status in (200, 206, 416):
            self._tokens.accept(token)
            self._forbidden.pop(product.id, None)
            error = None if status == 416 else not_a_zip(product, response, head)
        elif status == 202:
            error = OfflineError("the order is not ready yet", url=url)
        elif status in (404, 410):
            self._lost(product, "")
            error = OfflineError("WEkEO does not know the order any more", url=url)
        elif status == 403 and self.is_own(response.url):
            error = self._forbid(product, token)
            error.url = url
        elif status == 401 and self.is_own(response.url):
            error = self._tokens.refuse(token)
            error.url = url
        else:
            error = _error_of(response, head, quota_of(response)[2])
            error = error or ProtocolError(f"unexpected answer HTTP {status}", url=url)
        if error is not None:
            error.product = product.name
        return error

    def _forbid(self, product: Product, token: str) -> ProviderError:
        """What 403 for a file means: the token has ended, unless another one was refused for the same product (2)."""
        if self._forbidden.setdefault(product.id, token) != token:
            return ForbiddenError("WEkEO refuses this product to the account")
        self._tokens.drop(token)
        return ServerError("WEkEO refused the download; the next try has another token")


def _token_in(response: httpx.Response) -> str:
    header: str = response.request.headers.get("Authorization", "")
    return header.removeprefix(_BEARER)


def _error_of(response: httpx.Response, body: bytes, seconds: float | None) -> ProviderError | None:
    """The error behind a status and its body (8)."""
    error = error_for_status(response, b"")
    if error is None:
        return None
    if said := words_of_error(response, body):
        error.message = f"{error.message}: {said}"
    if isinstance(error, QuotaError):
        error.retry_after = parse_retry_after(response.headers.get("Retry-After")) or seconds
    if is_hopeless(body):
        return RefusedError(error.message, url=error.url, hint="WEkEO cannot get this product from its source")
    return error


def _terms_missing(terms: list[str], url: str | None) -> TermsError:
    names = ", ".join(terms)
    hint = (
        "Read them at https://www.wekeo.copernicus.eu, and accept them there, or with "
        "'pepsasync login wekeo --accept-terms'"
    )
    return TermsError(f"the account has not accepted the terms {names}", url=url, hint=hint)


def _decoded(response: httpx.Response) -> Any:
    """What a reply says.

    Raises:
        ProtocolError: It is not JSON.
    """
    try:
        return parse_json(response.content)
    except ValueError as error:
        raise ProtocolError("expected JSON from WEkEO", url=safe_url(response)) from error


_NO_ATTRIBUTES = ALWAYS | {"startdate", "enddate", "dtstart", "dtend", "sortOrder"}
"""Parameters for which there are criteria, and those that choose a page."""


def _attribute(name: str, told: Mapping[str, Any]) -> Attribute:
    """One parameter, with its values if they are told."""
    choices = [as_mapping(choice) for choice in as_list(told.get("oneOf"))]
    values = tuple(text for choice in choices if (text := as_text(choice.get("const"))))
    kinds = {"integer": AttributeKind.WHOLE, "number": AttributeKind.NUMBER, "boolean": AttributeKind.FLAG}
    return Attribute(name, kinds.get(str(told.get("type")), AttributeKind.TEXT), values)
