"""The one seam between the engine and an archive.

A provider turns neutral words into the archive's requests and the archive's replies into neutral words. It never
sleeps, retries, opens a file or sees a task group: the engine does all that, in the same way for every archive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pepsasync.model import products_as_html

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    import httpx

    from pepsasync.errors import PepsasyncError
    from pepsasync.model import Account, Attribute, Limits, Product, Query, StorageTier


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of catalogue results."""

    products: tuple[Product, ...]
    is_last: bool | None
    """True when the archive has no further page; a full page is never known to be the last. None where the archive does
    not say: the page with which as many different results were sent as `total` says is the last."""
    total: int | None = None
    """Matches in the whole catalogue; None when the archive does not say."""
    total_is_estimate: bool = False
    """Whether `total` is only a guess; otherwise fewer results are an error."""
    rest: Query | None = None
    """On the last page of an archive that pages only so deep: the query that finds what follows."""
    sent: tuple[str, ...] = ()
    """Ids of all results on the page, wanted or not, to count them against `total`; empty for one that has none."""
    unread: tuple[str, ...] = ()
    """Names or ids of results that could not be read; empty for one that has neither."""
    unclear: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By product id, which of `start` and `footprint` its record holds in a form that could not be read."""

    def _repr_html_(self) -> str:
        """The products, as notebooks show them."""
        return products_as_html(self.products)


class StagingOutcome(Enum):
    """What a staging request led to."""

    ACCEPTED = "accepted"
    """The archive works on it, or already did."""
    ONLINE = "online"
    """Nothing to do: the product can be downloaded now."""
    QUOTA = "quota"
    """Not now: a quota or rate limit was reached."""
    BY_HAND = "by hand"
    """The archive takes no such requests from programs: somebody has to ask in its portal, see `advice`."""


@dataclass(frozen=True, slots=True)
class StagingReply:
    """Answer to a staging request."""

    outcome: StagingOutcome
    retry_after: float | None = None
    """Seconds after which the archive wants to be asked again."""
    advice: str = ""
    """What the user can do, the same words for every product; told once a run."""
    order: str | None = None
    """What the archive calls the order that the request led to: the engine writes it down, also for later runs, and
    gives it back as `Product.order`. None where requests have no name."""
    expires: datetime | None = None
    """When that order ends, UTC, aware: a later run does not go on with it. None when the archive does not say."""


@runtime_checkable
class ServesFiles(Protocol):
    """An archive that serves the files of a product one by one, too."""

    async def files(self, product: Product) -> Mapping[str, int]:
        """Size of each file of a product by its path in the product's folder.

        Raises:
            ProviderError: The archive did not answer as it should.
        """

    async def file_request(self, product: Product, path: str) -> httpx.Request:
        """The request that returns one file; see `Provider.download_request`."""


class Provider(Protocol):
    """What the engine needs of an archive."""

    @property
    def name(self) -> str:
        """Of the registry, see `pepsasync.providers.provider_names`."""

    @property
    def limits(self) -> Limits:
        """What the archive bears."""

    def slices(self, query: Query) -> Sequence[Query]:
        """Split a query into queries that the archive can answer one by one.

        Their union holds every match of `query`, possibly some more and some twice.

        Raises:
            ConfigError: The archive cannot answer such a query.
        """

    async def search_page(self, query: Query, page: int) -> SearchPage:
        """Fetch one page (1-based) of one slice, newest acquisition first.

        Raises:
            ProviderError: The archive did not answer as it should.
        """

    async def attributes(self, collection: str | None) -> Mapping[str, Attribute]:
        """Attributes that products can be searched by, by the name that the archive has for them.

        They are asked for once; `Product.attributes` has those of them that a query names.

        Args:
            collection: As in a `Query`; None for all that are known.

        Returns:
            Nothing when the archive does not tell.

        Raises:
            ProviderError: The archive serves nobody at the moment.
        """

    async def request_staging(self, product: Product) -> StagingReply:
        """Ask the archive to make a product available: from tape, or by an order. A quota is a reply, not an error.

        Args:
            product: Its `order` is that of an earlier request, if there was one.

        Raises:
            ProviderError: The product cannot be had.
        """

    async def give_up(self, product: Product) -> None:
        """Take back the order of a product that has come from elsewhere; nothing where that cannot be done.

        Raises:
            ProviderError: The archive did not take it back. The run does not depend on it.
        """

    async def tiers(self, products: Collection[Product]) -> Mapping[str, StorageTier]:
        """Ask where products are, with as few calls as the archive allows.

        Args:
            products: At most `limits.poll_batch`, each with its `order`, if there is one. One whose order has failed,
                has ended or is not known any more is on tape: it is asked for again.

        Returns:
            Tier by product id; a product that the archive does not mention is missing.
        """

    async def download_request(self, product: Product) -> httpx.Request:
        """The request that returns the product's bytes; the engine adds `Range` and owns retries and bytes.

        Credentials are put on it hop by hop, see `pepsasync.http.client.on_each_hop`, so that no other host sees them.

        Raises:
            AuthError: There are no credentials, or the archive refused them.
            OfflineError: It has to be ordered first, and has no `order`.
            ProviderError: The archive did not hand out what the request needs.
        """

    def is_own(self, url: httpx.URL) -> bool:
        """Whether an address is on a host of the archive itself, which may see the credentials.

        When such a host does not respond, the archive is out; another one fails the products whose links lead there.
        """

    def judge_download(self, product: Product, response: httpx.Response, head: bytes) -> PepsasyncError | None:
        """Say what is wrong with the answer to a download request.

        Args:
            product: What was asked for.
            response: Status and headers.
            head: For an error status the whole body (at most 64 KiB), else its first bytes.

        Returns:
            None when the body that follows is the product. Of an `OfflineError` with `if_online` the engine asks
            `tiers` which of the two it is.
        """

    async def account(self) -> Account:
        """Check the credentials against the archive.

        Raises:
            AuthError: There are none, or the archive refused them.
            ProviderError: The archive did not answer as it should.
        """


@runtime_checkable
class HasTerms(Protocol):
    """A provider whose archive gives nothing to accounts that have not accepted its terms."""

    async def missing_terms(self) -> Mapping[str, str]:
        """Terms that the account has not accepted yet: title by id.

        Raises:
            AuthError: There are no credentials, or the archive refused them.
            ProviderError: The archive did not answer as it should.
        """

    async def accept_term(self, term: str) -> None:
        """Accept one of them, by its id, on the word of the user. Cancelled, it may be accepted or not.

        Raises:
            AuthError: There are no credentials, or the archive refused them.
            ProviderError: The archive did not answer as it should.
        """
