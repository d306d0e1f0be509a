"""GEODES: the CNES portal that holds the archive of PEPS today; STAC search in front of REGARDS.

Facts are from the GEODES protocol notes; the section numbers in comments are theirs.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from pepsasync.errors import (
    AuthError,
    ForbiddenError,
    NoCredentialsError,
    NotFoundError,
    OfflineError,
    PepsasyncError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RefusedError,
    UnreadableReplyError,
)
from pepsasync.http.client import on_each_hop, origin_of
from pepsasync.http.errors import error_for_status, safe_url, words_of
from pepsasync.http.replies import BoundsError, parse_json
from pepsasync.limits.schedule import parse_retry_after
from pepsasync.model import Account, Limits, Quota, StorageTier
from pepsasync.providers.answers import Acceptance, not_a_zip
from pepsasync.providers.attributes import KnownAttributes
from pepsasync.providers.base import StagingOutcome, StagingReply
from pepsasync.providers.completion import GEODES
from pepsasync.providers.geodes.attributes import parse_queryables
from pepsasync.providers.geodes.key import Key, key_of
from pepsasync.providers.geodes.orders import ORDERS, order_body, order_of, state_of
from pepsasync.providers.geodes.query import COLLECTIONS, collections_of, search_body, slices
from pepsasync.providers.geodes.reply import parse_availability, parse_files, parse_page
from pepsasync.providers.reading import as_integer, as_list, as_mapping, as_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pepsasync.credentials.lookup import Lookup
    from pepsasync.http.client import Http
    from pepsasync.model import Attribute, Product, Query
    from pepsasync.providers.base import SearchPage

ADVICE = (
    "GEODES keeps some of the products on tape, and programs cannot ask for them: open https://geodes.cnes.fr, find "
    "the products by name and request their transfer. This run goes on by itself as they come online; with "
    "--skip-tape it leaves them out"
)

KEY_HINT = (
    "Make a key in the GEODES portal (My Profile, Authentication, API Key) and run 'pepsasync login geodes', or set "
    "PEPSASYNC_GEODES_API_KEY"
)

CHANGED = "GEODES has probably changed its catalogue: look for a newer pepsasync, or check --base-url"

MOST_COLLECTIONS = 500
"""Collections that are asked for at once; the archive has fewer than a hundred (1)."""

MOST_NAMED = 20
"""Collections that are named in a message."""

LISTED_COLLECTIONS = frozenset(name for names in COLLECTIONS.values() for name in names)

_HINTS = {
    403: KEY_HINT,
    404: "GEODES lists the product but does not have its file; try --provider cdse, or ask its help desk",
}
_QUOTA = re.compile(rb"quota", re.IGNORECASE)
_LOGIN_PAGE = re.compile(rb"password|log ?in|sign ?in|connexion", re.IGNORECASE)


class Geodes:
    """The GEODES provider.

    Args:
        http: Connection pool.
        credentials: With an API key; searching needs none.
        root: `https://geodes-portal.cnes.fr`, without a slash at its end.
        restore: Order tape products, or have them restored, which REGARDS can and the public GEODES does not offer.
    """

    name = "geodes"

    def __init__(self, http: Http, credentials: Lookup, root: str, *, restore: bool = False) -> None:
        self._http = http
        self._root = root
        self._origin = origin_of(httpx.URL(root))
        self._restores = self._takes_orders = restore
        self._credentials = credentials
        self._acceptance = Acceptance()
        self._attributes = KnownAttributes(self._ask_attributes)
        self.limits = Limits(
            page_size=80,  # documented maximum (3)
            downloads=3,  # nothing published; what the official client uses (6.3)
            staging_requests=4,
            poll_batch=80,  # one search page, as eodag sends; REGARDS itself takes 100 (5.1)
            bounded_ranges=False,  # ranges are unreliable at all (6.2)
            search_pages=4,
            stages=restore,
            tiers_in_search=False,
            poll_interval=300.0,
            quota=Quota(50, 3600.0),  # (6.1)
        )

    def slices(self, query: Query) -> Sequence[Query]:
        """One query for each name, collection and part of the area; see `Provider.slices`."""
        return slices(query)

    async def search_page(self, query: Query, page: int) -> SearchPage:
        """Fetch one page, without the key: replies to a known caller hold session tokens (2)."""
        known = await self._attributes.of(collections_of(query)) if query.property else {}
        body = search_body(query, page, self.limits.page_size, known)
        request = self._http.build("POST", f"{self._root}/api/stac/search", json=body)
        try:
            reply = await self._http.json(request, is_search=True)
        except (RefusedError, NotFoundError) as error:
            error.hint = await self._unknown_collection(query) or CHANGED
            raise
        return parse_page(reply, self._root, query)

    async def _unknown_collection(self, query: Query) -> str | None:
        """What to say when there is no such collection (12); None when there is, or nobody knows."""
        asked = [name for name in collections_of(query) if name not in LISTED_COLLECTIONS]
        body = {"page": 1, "limit": MOST_COLLECTIONS}
        request = self._http.build("POST", f"{self._root}/api/stac/collections", json=body)
        try:
            reply = as_mapping(await self._http.json(request) if asked else None)
        except ProviderError:
            return None
        ids = [as_text(as_mapping(one).get("id")) for one in as_list(reply.get("collections"))]
        there = sorted(name for name in ids if name)
        unknown = [name for name in asked if name not in there]
        if not (there and unknown):
            return None
        near = get_close_matches(unknown[0].upper(), there, n=3, cutoff=0.5)
        more = "" if near or len(there) <= MOST_NAMED else ", ..."
        return f"GEODES has no collection {unknown[0]}; it has {', '.join(near or there[:MOST_NAMED])}{more}"

    async def attributes(self, collection: str | None) -> Mapping[str, Attribute]:
        """Ask for names, types and values; see `Provider.attributes`."""
        if collection:
            return await self._attributes.of(COLLECTIONS.get(collection, (collection,)))
        return await self._attributes.of(dict.fromkeys(name for names in COLLECTIONS.values() for name in names))

    async def _ask_attributes(self, collection: str) -> Mapping[str, Attribute]:
        """As STAC describes them; of servers that do not, those that are published (3.1)."""
        url = f"{self._root}/api/stac/collections/{quote(collection, safe='')}/queryables"
        try:
            return parse_queryables(await self._http.json(self._http.build("GET", url))) or GEODES
        except (RefusedError, NotFoundError, ProtocolError):
            return GEODES

    async def request_staging(self, product: Product) -> StagingReply:
        """Look where the product is; restoring is asked for only where the server offers it (5.2)."""
        tier = (await self.tiers([product])).get(product.id)
        if tier is StorageTier.DISK or (tier is None and product.tier is not StorageTier.TAPE):
            return StagingReply(StagingOutcome.ONLINE)  # not mentioned means: try (5.1)
        if not self._restores:
            return StagingReply(StagingOutcome.BY_HAND, advice=ADVICE)
        if (order := await self._order(product)) is not None:
            return StagingReply(StagingOutcome.ACCEPTED, order=order)
        request = await self._request("POST", f"{self._root}/restore", json={"product_ids": [product.id]})
        await self._http.send_patiently(request, self._judge)
        return StagingReply(StagingOutcome.ACCEPTED)

    async def _order(self, product: Product) -> str | None:
        """Order a product as its user (12); None where the server takes no orders. Sent once: each is a new order."""
        if not self._takes_orders:
            return None
        request = await self._request(
            "POST", f"{self._root}{ORDERS}/apply", as_user=True, json=order_body(product.name)
        )
        response = await self._http.send(request)
        if response.status_code in (404, 405, 501):
            self._takes_orders = False
            return None
        if error := self._judge(response):
            error.product = product.name
            raise error
        return order_of(response)

    async def _is_under_way(self, product: Product) -> bool:
        """Whether an order is not over yet; also when nobody tells, since asking for it again would order again."""
        url = f"{self._root}{ORDERS}/{quote(product.order or '', safe='')}/files/available?page=0&size=1"
        try:
            response = await self._http.send(await self._request("GET", url, as_user=True))
        except AuthError:
            raise
        except ProviderError:
            return True
        return response.status_code not in (404, 410) and state_of(response) is not StorageTier.DISK

    async def give_up(self, product: Product) -> None:
        """Nothing: an order of one product ends by itself."""

    async def tiers(self, products: Collection[Product]) -> Mapping[str, StorageTier]:
        """Ask for all at once, one by one when that fails and there is a key; see `Provider.tiers`.

        What has no address in the store is asked for one by one: what a list makes of such products is not known (12).
        """
        listed = [product for product in products if product.storage_url]
        alone = [product for product in products if not product.storage_url]
        found = dict(await self._tiers_together(listed)) if listed else {}
        if alone and key_of(await self._credentials.find()) is not None:
            found |= await self._tiers_one_by_one(alone)
        for product in products:
            if product.order and found.get(product.id) is not StorageTier.DISK and await self._is_under_way(product):
                found[product.id] = StorageTier.STAGING
        return found

    async def _tiers_together(self, products: Sequence[Product]) -> Mapping[str, StorageTier]:
        wanted = [{"href": product.download_url, "endpointURL": product.storage_url} for product in products]
        request = self._http.build("POST", f"{self._root}/fastavailability", json={"availability": wanted})
        try:
            reply = await self._http.json(request)
        except ProviderError as error:
            if key_of(await self._credentials.find()) is not None:
                return await self._tiers_one_by_one(products)
            if isinstance(error, AuthError):  # nobody's key was refused: a search needs none
                what = "GEODES reports storage tiers only with an API key"
                raise ForbiddenError(what, url=error.url, hint=KEY_HINT) from error
            raise
        return parse_availability(reply, products)

    async def _tiers_one_by_one(self, products: Collection[Product]) -> Mapping[str, StorageTier]:
        found: dict[str, StorageTier] = {}
        for product in products:
            url = f"{self._root}/availability/{quote(product.name, safe='')}"
            request = await self._request("GET", url)
            try:
                reply = parse_json((await self._http.send_patiently(request, self._judge_json)).content)
            except NotFoundError:
                continue
            if (tier := parse_files(reply, product)) is not None:
                found[product.id] = tier
        return found

    async def account(self) -> Account:
        """Ask for the rest of the quota, which needs a good key (6.1); see `Provider.account`."""
        request = await self._request("GET", f"{self._root}/processing/download/get")
        reply = as_mapping(parse_json((await self._http.send_patiently(request, self._judge_key)).content))
        self._acceptance.accept()
        return Account(as_integer(reply.get("remainingQuota")), as_integer(reply.get("maxQuota")))

    async def download_request(self, product: Product) -> httpx.Request:
        """GET with the key, to the archive's origin only; see `Provider.download_request`."""
        return await self._request("GET", product.download_url)

    def is_own(self, url: httpx.URL) -> bool:
        """Whether an address is on the archive's origin; see `Provider.is_own`."""
        return origin_of(url) == self._origin

    async def _request(self, method: str, url: str, *, as_user: bool = False, **options: Any) -> httpx.Request:
        """A request with the key; `as_user` also as the token that REGARDS itself wants (12)."""
        key = key_of(await self._credentials.find())
        if not key:
            raise NoCredentialsError("no API key for GEODES", hint=KEY_HINT)
        self._http.secrets.add(key)
        own = Key(key, self._origin, self._refused, is_token=as_user)
        return self._http.build(method, url, extensions=on_each_hop(own), **options)

    def judge_download(self, product: Product, response: httpx.Response, head: bytes) -> PepsasyncError | None:
        """Say what is wrong with an answer; see `Provider.judge_download`."""
        status = response.status_code
        if status == 416:
            return None
        if status not in (200, 206):
            error: ProviderError | None = self._refusal(response, head)
        else:
            error = self._not_for_us(response, head) or not_a_zip(product, response, head)
        if error is None:
            self._acceptance.accept()
            return None
        error.product = product.name
        return self._acceptance.excuse(product, error)

    def _refusal(self, response: httpx.Response, body: bytes) -> ProviderError:
        """The error behind a status and its body (6)."""
        status, url = response.status_code, safe_url(response)
        retry_after = parse_retry_after(response.headers.get("Retry-After"))
        if status in (202, 410):
            return OfflineError("the archive has the product on tape", retry_after=retry_after, url=url)
        if notice := _quota_notice(response, body):
            return notice
        if status == 401:
            return self._refused(response)
        if status == 423:
            return ForbiddenError("the licence of this collection has to be accepted in the GEODES portal", url=url)
        error = error_for_status(response, body) or ProtocolError(f"unexpected answer HTTP {status}", url=url)
        if status in _HINTS:
            error.hint = _HINTS[status]
        return error

    def _judge(self, response: httpx.Response) -> PepsasyncError | None:
        return self._refusal(response, response.content) if response.status_code >= 300 else None

    def _judge_json(self, response: httpx.Response) -> PepsasyncError | None:
        if error := self._judge(response):
            return error
        try:
            parse_json(response.content)
        except BoundsError as error:
            return UnreadableReplyError(f"invalid JSON: {error}", url=safe_url(response))
        except ValueError:
            url = safe_url(response)
            return self._not_for_us(response, response.content) or ProtocolError("expected JSON from GEODES", url=url)
        return None

    def _judge_key(self, response: httpx.Response) -> PepsasyncError | None:
        """Here a 403 can only mean the key, and so does a page (2), unless the key was good before."""
        is_page = response.status_code == 200 and _is_page(response) and not self._acceptance.was_accepted
        if is_page or response.status_code == 403:
            return self._refused(response)
        return self._judge_json(response)

    def _not_for_us(self, response: httpx.Response, body: bytes) -> ProviderError | None:
        """The login page, or a quota notice, in place of what was asked for (2, 6.1)."""
        if not body.startswith(b"PK") and (error := _quota_notice(response, body)):
            return error
        if _is_page(response) and _LOGIN_PAGE.search(body):
            return self._refused(response, ": it sent its login page")
        return None

    def _refused(self, of: httpx.Response | httpx.Request, how: str = "") -> AuthError:
        error = AuthError(f"GEODES does not accept the API key{how}", url=safe_url(of), hint=KEY_HINT)
        return self._credentials.name_source(error)


def _quota_notice(response: httpx.Response, body: bytes) -> QuotaError | None:
    """What says that the quota is used up: it comes with any status and type (6.1)."""
    if not _QUOTA.search(body):
        return None
    retry_after = parse_retry_after(response.headers.get("Retry-After"))
    message = f"the quota of the account is used up: {words_of(response, body)}"
    return QuotaError(message, retry_after=retry_after, url=safe_url(response))


def _is_page(response: httpx.Response) -> bool:
    kind: str = response.headers.get("Content-Type", "")
    return kind.partition(";")[0].strip().lower() == "text/html"
