"""Pages of a catalogue, asked for while earlier ones are read, so that the archive has as much to do as it bears."""

from __future__ import annotations

from collections import deque
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from pepsasync.errors import (
    FATAL,
    AuthError,
    PepsasyncError,
    ProtocolError,
    ProviderError,
    QuotaError,
    UnavailableError,
)
from pepsasync.events import PageSearched
from pepsasync.io.outage import Outage
from pepsasync.stages.seen import Seen

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import TaskGroup

    from pepsasync.events import Emit
    from pepsasync.model import Product, Query, StorageTier
    from pepsasync.providers.base import Provider, SearchPage

UNREAD = 2
"""Pages asked for and not read, for each request that the archive bears at once: as many may wait as are under way."""

MOST_PAGES = 100_000
"""Guard against an archive that never sends an empty page."""

Failures = dict[str, ProviderError]
"""By name, why it could not be looked up."""


class Paging:
    """Slices of one search and their pages, in order.

    Args:
        provider: Which archive.
        emit: Gets a `PageSearched` for each page that is read.
        requests: Runs the requests; to be cancelled by whoever stops reading.
        failures: Gets the names that could not be looked up; None raises the first error.
    """

    def __init__(self, provider: Provider, emit: Emit, requests: TaskGroup, failures: Failures | None) -> None:
        self._provider = provider
        self._emit = emit
        self._requests = requests
        self._failures = failures
        self._outage = Outage()
        self._turns = anyio.CapacityLimiter(provider.limits.search_pages)

    async def products(self, query: Query) -> AsyncGenerator[tuple[Product, ...], None]:
        """Products of all slices, page by page."""
        async with aclosing(self._slices(query)) as parts:
            async for part, first in parts:
                try:
                    async with aclosing(self._pages(part, first)) as pages:
                        async for products in pages:
                            self._outage.answered()
                            yield products
                except FATAL:
                    raise
                except ProviderError as error:
                    self._take_failure(part, error)

    def _take_failure(self, part: Query, error: ProviderError) -> None:
        """Note that names could not be looked up.

        Raises:
            ProviderError: Names are not what it is about, or the archive answers none of them.
        """
        if isinstance(error, (QuotaError, UnavailableError)):
            self._outage.failed()
        else:
            self._outage.answered()
        if self._failures is None or not part.names or self._outage.is_on:
            raise error
        self._failures.update(dict.fromkeys(part.names, error))

    async def _slices(self, query: Query) -> AsyncGenerator[tuple[Query, _Asked], None]:
        """Slices, with their first page, which was asked for: it is all there is of most."""
        parts, ahead = self._provider.slices(query), _Ahead()
        for number, part in enumerate(parts):
            for other in parts[number + len(ahead) : number + self._room(number)]:
                ahead.append(self._ask(other, 1))
            yield part, ahead.popleft()

    async def _pages(self, query: Query, first: _Asked) -> AsyncGenerator[tuple[Product, ...], None]:
        """Products of a slice, page by page from the first one on; what the archive says is there is asked for ahead.

        An archive that sends a page twice in a row is believed to go in circles.
        """
        page = await first.read()
        ahead, number, known, before, sent = _Ahead(), 1, 1, tuple[str, ...](), Seen()
        for told in range(1, MOST_PAGES + 1):
            self._emit(PageSearched(page=told, products=len(page.products), total=page.total))
            ids = tuple(product.id for product in page.products)
            if ids and ids == before:
                raise ProtocolError(f"{self._provider.name} sends the same page {told} again and again")
            before = ids
            yield page.products
            known = max(known, -(-(page.total or 0) // self._provider.limits.page_size))
            for identity in page.sent:
                sent.add(identity)
            if page.is_last or 0 < (page.total or 0) <= len(sent):
                if page.rest is None:
                    return
                query, ahead, number, known, before, sent = page.rest, _Ahead(), 0, 1, (), Seen()
            last = max(number + 1, min(number + self._room(number), known))
            for other in range(number + len(ahead) + 1, last + 1):
                ahead.append(self._ask(query, other))
            page, number = await ahead.popleft().read(), number + 1
        raise ProtocolError(f"{self._provider.name} sends more than {MOST_PAGES:,} pages")

    def _room(self, read: int) -> int:
        """How many pages may be unread after so many: few at first, since many searches end soon."""
        at_once = self._provider.limits.search_pages
        return min(at_once + read, UNREAD * at_once)

    def _ask(self, query: Query, number: int) -> _Asked:
        asked = _Asked()
        self._requests.start_soon(self._fetch, query, number, asked)
        return asked

    async def _fetch(self, query: Query, number: int, asked: _Asked) -> None:
        async with self._turns:
            try:
                page = await self._provider.search_page(query, number)
                asked.come(page if self._provider.limits.tiers_in_search else await _located(page, self._provider))
            except PepsasyncError as error:
                asked.come(error)


class _Asked:
    """A page that was asked for."""

    page: SearchPage | PepsasyncError

    def __init__(self) -> None:
        self._has_come = anyio.Event()

    def come(self, page: SearchPage | PepsasyncError) -> None:
        self.page = page
        self._has_come.set()

    async def read(self) -> SearchPage:
        """The page; its error is raised only here, when all pages before it were read."""
        await self._has_come.wait()
        if isinstance(self.page, PepsasyncError):
            raise self.page
        return self.page


_Ahead = deque[_Asked]


async def _located(page: SearchPage, provider: Provider) -> SearchPage:
    """Products with the tier that another call tells; a call that fails leaves them as they are.

    Raises:
        AuthError: The archive refused the credentials.
    """
    products, batch = page.products, provider.limits.poll_batch
    tiers: dict[str, StorageTier] = {}
    for first in range(0, len(products), batch):
        try:
            tiers |= await provider.tiers(products[first : first + batch])
        except AuthError:
            raise
        except ProviderError:
            continue
    located = (replace(product, tier=tiers.get(product.id, product.tier)) for product in products)
    return replace(page, products=tuple(located))
