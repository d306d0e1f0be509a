"""One archive as a client uses it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from pepsasync.errors import PepsasyncError, QuotaError, ServerError
from pepsasync.events import DownloadRetried
from pepsasync.http.client import origin_of
from pepsasync.limits.attempts import Attempts
from pepsasync.limits.schedule import LONGEST_ADVICE
from pepsasync.providers.base import StagingOutcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from pepsasync.config import Config
    from pepsasync.events import Emit
    from pepsasync.http.client import Http, Origin
    from pepsasync.limits.gate import Gate
    from pepsasync.limits.throttle import Throttle
    from pepsasync.model import Product
    from pepsasync.providers.base import Provider, StagingReply
    from pepsasync.transfer.buffers import BufferPool


async def _forget(product: Product, times: int, reply: StagingReply) -> None:
    """Note nothing of a staging request."""


@dataclass(frozen=True, slots=True)
class ArchiveContext:
    """An archive, the connection to it, and its limits."""

    provider: Provider
    http: Http
    gate: Gate
    """Limits of the archive and the account; every download and staging request enters here."""
    throttle: Throttle
    config: Config
    emit: Emit
    buffers: BufferPool
    """Memory of all large bodies that are being received."""
    serves_ranges: dict[str, bool] = field(default_factory=dict)
    """Whether a host serves parts of products, as far as it was seen to."""
    has_sent: set[Origin] = field(default_factory=set)
    """Where links led to that brought a product in this run."""
    root: str | None = None
    """Of another instance than the public one."""
    waits_for_quota: bool = True
    """False where other archives may have the product: then downloads raise `NotNowError` instead of waiting."""

    counted: Callable[[], None] = lambda: None
    """Called for each download that a quota counts."""
    asked: Callable[[Product, int, StagingReply], Awaitable[None]] = _forget
    """Awaited for each staging request that the archive took, with how many there were so far, and its reply."""

    @property
    def name(self) -> str:
        """`geodes`, `cdse`, ..."""
        return self.provider.name

    @property
    def poll_interval(self) -> float:
        """First pause between two looks at waiting products, seconds."""
        return self.config.poll_interval or self.provider.limits.poll_interval

    def stream(self, request: httpx.Request) -> AbstractAsyncContextManager[httpx.Response]:
        """Send a request for bytes of a product, as `Http.stream`; inside the gate only.

        Raises:
            LeaseLostError: Others have what this run had of the limits; nothing was sent.
        """
        if self.gate.shared:
            request.extensions = {**request.extensions, "trace": self.gate.shared.trace}
        return self.http.stream(request)

    async def check_account(self, product: Product) -> None:
        """Have the archive look at the account, once, before a product is waited for: that may take days.

        Raises:
            AuthError: There are no credentials, or the archive refused them.
        """
        await self.gate.check_account(lambda: self.provider.download_request(product))

    async def request_staging(self, product: Product, *, goes_first: bool = False) -> StagingReply:
        """Ask for a product to be brought from tape, again only after passing failures; with a staging slot.

        Asking twice is harmless: a product that is already on its way stays so.

        Args:
            product: On tape, as far as is known.
            goes_first: Whether it gets a slot before others that were acquired earlier.

        Raises:
            ProviderError: The product cannot be had, or the archive does not answer.
        """

        async def ask() -> StagingReply:
            async with self.gate.staging(product, goes_first=goes_first):
                with self.foreign_hosts_fail_alone(product):
                    return await self.provider.request_staging(product)

        backoff, http = self.gate.staging_backoff, self.http
        attempts = Attempts(
            self.config,
            was_reached=lambda: http.was_reached,
            outage=lambda: backoff.breaker.is_on,
            serves_others=backoff.serves_others,
        )
        reply = await attempts.call(ask)
        if reply.outcome is StagingOutcome.QUOTA:
            backoff.keep(reply.retry_after or LONGEST_ADVICE)
        return reply

    @contextlib.contextmanager
    def foreign_hosts_fail_alone(self, product: Product) -> Iterator[None]:
        """Put around requests for a product: when its link leads to a foreign host, its failure is its own.

        A foreign host is not the archive's own, and has sent no product in this run. An archive may keep its products
        on another host: one that has sent some can be out as the archive itself can.

        Raises:
            ServerError: In place of an `UnavailableError` or `UnreachableError` of such a host; without a Retry-After,
                which all downloads would obey.
        """
        try:
            yield
        except QuotaError:
            raise
        except ServerError as error:
            # The link tells, since what an archive redirects to is its own business; and where it failed, since a
            # product is not only asked for where its link leads.
            if not (self._is_foreign(product.download_url) and self._is_foreign(error.url or "")):
                raise
            raise ServerError(error.message, product=product.name, url=error.url, hint=error.hint) from error

    def _is_foreign(self, address: str) -> bool:
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL:
            return True
        return not self.provider.is_own(url) and origin_of(url) not in self.has_sent

    def attempts(self, product: Product, progress: Callable[[], int]) -> Attempts:
        """Attempts to download a product.

        Args:
            product: Named in events.
            progress: Most bytes of it that were ever here.
        """
        gate, http = self.gate, self.http

        def tell(error: Exception, attempt: int, wait: float) -> None:
            message = error.message if isinstance(error, PepsasyncError) else str(error)
            who = {"id": product.id, "name": product.name}
            self.emit(DownloadRetried(**who, error=message, attempt=attempt, wait=wait))

        return Attempts(
            self.config,
            on_retry=tell,
            progress=progress,
            was_reached=lambda: http.was_reached,
            outage=lambda: gate.backoff.breaker.is_on,
            serves_others=gate.backoff.serves_others,
            excuses_quota=gate.quota.is_patient_with,
        )
