"""Pages of a catalogue, requested while earlier ones are read, as many at once as the archive allows."""

from __future__ import annotations

import math
from collections import deque
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio

from pepsasync.engine.seen import Seen
from pepsasync.errors import (
    FATAL,
    AuthError,
    IncompleteError,
    PepsasyncError,
    ProtocolError,
    ProviderError,
    QuotaError,
    UnavailableError,
)
from pepsasync.events import PageSearched, ProductFailed, SearchFellShort
from pepsasync.limits.circuit_breaker import CircuitBreaker
from pepsasync.model import Query, several
from pepsasync.query.select import why_unwanted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from anyio.abc import TaskGroup

    from pepsasync.events import Emit
    from pepsasync.model import Product, StorageTier
    from pepsasync.providers.base import Provider, SearchPage

UNREAD = 2
"""Pages asked for and not read, for each request that the archive allows at once: as many may wait as are under way."""

MOST_PAGES = 100_000
"""Limit for an archive that never returns an empty page."""

MOST_EMPTY = 3
"""Empty pages in a row that end a search, whatever the archive had announced."""

MOST_FULL = 200
"""Full pages that are asked for once more when results are missing, because others may have come twice."""

MOST_MERGED = 100
"""Slices that are read at the same time, so that the newest of all come first; of each a page is held."""

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

LEAST_OF_ESTIMATE = 0.5
"""Share of an estimated number of results with which a search counts as complete: databases guess that badly."""

_UNCLEAR = {"start": "an acquisition date", "footprint": "a footprint"}

UNREAD_HINT = "Look for a newer pepsasync, or report the name; other archives may have the product"

Failures = dict[str, ProviderError]
"""By name, why it could not be looked up or read."""


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
        self._unread = set[str]()
        self.shortfall: IncompleteError | None = None
        """Of a slice that sent fewer results than were announced; the others go on."""
        self._breaker = CircuitBreaker()
        self._turns = anyio.CapacityLimiter(provider.limits.search_pages)
        self._whole = Query()
        self._arrived = Seen()
        self._verdicts: dict[str, str | None] = {}

    async def products(self, query: Query) -> AsyncGenerator[tuple[Product, ...], None]:
        """Products of all slices: newest first, as far as slices are read at the same time; names one by one.

        Raises:
            ProviderError: The archive did not answer as it should.
        """
        self._whole = query
        trouble: PepsasyncError | None = None
        most, read = 1 if query.names else MOST_MERGED, list[_Slice]()
        async with aclosing(self._slices(query)) as waiting:
            try:
                while True:
                    while len(read) < most and (opened := await anext(waiting, None)):
                        read.append(_Slice(opened[0], self._pages(*opened)))
                        await self._turn_page(read[-1], query)
                    if not read:
                        break
                    yield _merged(read, max(part.oldest for part in read))
                    for part in read:
                        if not part.held and not part.is_over:
                            await self._turn_page(part, query)
                    read = [part for part in read if part.held or not part.is_over]
            except PepsasyncError as error:
                trouble = error
            finally:
                for part in read:
                    await part.pages.aclose()
        if trouble:
            yield _merged(read, _FIRST)
            raise trouble

    def judged(self, products: Iterable[Product]) -> list[tuple[Product, str | None]]:
        """Products that had not come before, each with the criterion that it fails, or None."""
        return [(product, self._verdicts.pop(product.id)) for product in products if product.id in self._verdicts]

    async def _turn_page(self, part: _Slice, query: Query) -> None:
        """Read the next page of a slice, unless there is none or names of it could not be looked up.

        Raises:
            ProviderError: The archive did not answer as it should.
        """
        try:
            page = await anext(part.pages, None)
        except FATAL:
            raise
        except ProviderError as error:
            part.is_over = True
            if isinstance(error, IncompleteError) and not part.query.names:
                self.shortfall = self.shortfall or error
            else:
                self._take_failure(part.query, error)
            return
        if page is None:
            part.is_over = True
        else:
            self._breaker.answered()
            part.held += self._checkable(page, query)

    def _take_unread(self, page: SearchPage, number: int) -> None:
        """Note results that could not be read, or report them as failed products; each once."""
        for place, known in enumerate(page.unread, 1):
            name = known or f"record {place} without a name on page {number}"
            self._tell_unread(name, name, "a record that cannot be read")

    def _checkable(self, page: SearchPage, query: Query) -> tuple[Product, ...]:
        """Products that can be compared with the query; the others are told of as records that cannot be read."""
        if not page.unclear:
            return page.products
        clear = []
        for product in page.products:
            is_placed = product.tile in several(query.tile)
            asked = {
                "start": query.start is not None or query.end is not None,
                "footprint": query.area is not None and not is_placed,
            }
            if words := [word for word in page.unclear.get(product.id, ()) if asked[word]]:
                what = " and ".join(_UNCLEAR[word] for word in words)
                self._tell_unread(
                    product.id, product.name, f"{what} that cannot be read, so it is unknown whether it matches"
                )
            else:
                clear.append(product)
        return tuple(clear)

    def _tell_unread(self, identity: str, name: str, what: str) -> None:
        if identity in self._unread:
            return
        self._unread.add(identity)
        error = ProtocolError(f"{self._provider.name} lists it with {what}", product=name, hint=UNREAD_HINT)
        if self._failures is None:
            kind = type(error).__name__
            self._emit(ProductFailed(id=identity, name=name, error=kind, message=str(error)))
        else:
            self._failures[name] = error

    def _take_failure(self, part: Query, error: ProviderError) -> None:
        """Note that names could not be looked up.

        Raises:
            ProviderError: The query has no names, or the archive does not respond to any of them.
        """
        if isinstance(error, (QuotaError, UnavailableError)):
            self._breaker.failed()
        else:
            self._breaker.answered()
        if self._failures is None or not part.names or self._breaker.is_on:
            raise error
        self._failures.update(dict.fromkeys(part.names, error))

    async def _slices(self, query: Query) -> AsyncGenerator[tuple[Query, _Asked], None]:
        """Slices, with their first page, which was asked for: it is all there is of most."""
        parts, ahead = self._provider.slices(query), _Ahead()
        for number, part in enumerate(parts):
            for other in parts[number + len(ahead) : number + self._room(number)]:
                ahead.append(self._ask(other, 1))
            yield part, ahead.popleft()

    async def _pages(self, query: Query, first: _Asked) -> AsyncGenerator[SearchPage, None]:
        """Pages of a slice from the first one on, and of what follows the last that an archive gives out.

        Raises:
            IncompleteError: Fewer results came than the archive had announced, also when it was asked again.
        """
        told = 0
        part, asked = query, first
        while True:
            sent = _Sent(self._provider.limits.page_size)
            async with aclosing(self._part(part, asked, sent)) as pages:
                async for page in pages:
                    told += 1
                    if told > MOST_PAGES:
                        raise ProtocolError(f"{self._provider.name} returned more than {MOST_PAGES:,} pages")
                    self._emit(PageSearched(page=told, products=len(page.products), total=page.total))
                    yield page
            if sent.falls_short:
                self._tell_shortfall(sent)
            if sent.rest is None:
                return
            part, asked = sent.rest, self._ask(sent.rest, 1)

    async def _part(self, query: Query, asked: _Asked, sent: _Sent) -> AsyncGenerator[SearchPage, None]:
        """Pages up to the last that the archive gives out; what it says is there is asked for ahead.

        An archive that returns the same page twice in a row is taken to loop. A page with which a search would end
        too soon is asked for once more; at the end so are those that were shorter than others, and then the rest.
        """
        ahead, number, before = _Ahead(), 1, tuple[str, ...]()
        while True:
            page = await asked.read()
            if any(ids := _ids(page)) and ids == before:
                raise ProtocolError(f"{self._provider.name} returned page {number} repeatedly")
            before = ids
            yield self._counted(page, number, sent)
            if sent.ends_too_soon(page):
                page = await self._ask(query, number).read()
                yield self._counted(page, number, sent)
            if sent.is_over(page, number):
                break
            last = max(number + 1, min(number + self._room(number), sent.pages))
            for other in range(number + len(ahead) + 1, last + 1):
                ahead.append(self._ask(query, other))
            asked, number = ahead.popleft(), number + 1
        for doubtful in sent.doubtful_pages():
            yield self._counted(await self._ask(query, doubtful).read(), doubtful, sent)

    def _counted(self, page: SearchPage, number: int, sent: _Sent) -> SearchPage:
        self._take_unread(page, number)
        sent.take(page, number)
        return page

    def _tell_shortfall(self, sent: _Sent) -> None:
        """Say how many results came; an archive that only guesses may have been wrong.

        Raises:
            IncompleteError: It had counted them.
        """
        if not sent.is_estimate:
            raise IncompleteError(sent.announced, len(sent), self._provider.name)
        self._emit(SearchFellShort(announced=sent.announced, sent=len(sent)))

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
                if not self._provider.limits.tiers_in_search:
                    page = await _located(page, self._provider)
                self._judge(page)
                asked.come(page)
            except PepsasyncError as error:
                asked.come(error)

    def _judge(self, page: SearchPage) -> None:
        """Compare products with the whole query as they come: the archive makes other pages meanwhile."""
        for product in page.products:
            if self._arrived.add(product.id):
                self._verdicts[product.id] = why_unwanted(product, self._whole)


class _Slice:
    """A slice that is read, and what of it was not handed on yet.

    Args:
        query: What it looks for.
        pages: Of it.
    """

    def __init__(self, query: Query, pages: AsyncGenerator[SearchPage, None]) -> None:
        self.query, self.pages = query, pages
        self.held: list[Product] = []
        self.is_over = False

    @property
    def oldest(self) -> datetime:
        """Acquisition of the oldest product that is known; what follows is not newer."""
        if self.is_over:
            return _FIRST
        return min((product.start for product in self.held if product.start), default=_LAST)


def _merged(slices: Iterable[_Slice], oldest: datetime) -> tuple[Product, ...]:
    """Take what was acquired at an instant or later out of slices, newest first."""
    ready: list[Product] = []
    for part in slices:
        ready += [product for product in part.held if _acquired(product) >= oldest]
        part.held = [product for product in part.held if _acquired(product) < oldest]
    return tuple(sorted(ready, key=_acquired, reverse=True))


def _acquired(product: Product) -> datetime:
    """When it was acquired; what does not tell is not held back."""
    return product.start or _LAST


class _Sent:
    """What the pages of one search held, counted against what the archive had announced.

    Args:
        page_size: Results of a full page.
    """

    def __init__(self, page_size: int) -> None:
        self._page_size = page_size
        self._seen = Seen()
        self._lengths: dict[int, int] = {}
        self._is_told = False
        self.announced = 0
        """Results, as the first page that had any said: later ones also count what was published meanwhile."""
        self.is_estimate = False
        self.rest: Query | None = None
        """Finds what follows the last page that the archive gives out."""

    def __len__(self) -> int:
        """Different results that came."""
        return len(self._seen)

    @property
    def pages(self) -> int:
        """Pages that there are at least."""
        return max(1, -(-self.announced // self._page_size))

    @property
    def falls_short(self) -> bool:
        """Whether results are missing; of an estimate, whether so many that it cannot have been so wrong."""
        least = math.ceil(self.announced * LEAST_OF_ESTIMATE) if self.is_estimate else self.announced
        if self.rest is not None:
            least = min(least, len(self._lengths) * self._page_size)
        return len(self) < least

    def take(self, page: SearchPage, number: int) -> None:
        """Count the results of a page."""
        ids = _ids(page)
        if page.total is not None and not self._is_told:
            self.announced, self._is_told = page.total, bool(ids)
        for place, identity in enumerate(ids):
            self._seen.add(identity or f"{number}/{place}")
        self._lengths[number] = max(len(ids), self._lengths.get(number, 0))
        self.is_estimate |= page.total_is_estimate
        self.rest = page.rest or self.rest

    def ends_too_soon(self, page: SearchPage) -> bool:
        """Whether a page is the last, or empty, although more was announced."""
        return (bool(page.is_last) or not _ids(page)) and page.rest is None and len(self) < self.announced

    def is_over(self, page: SearchPage, number: int) -> bool:
        """Whether no page follows: what looks like the last one is not while more pages were announced."""
        if page.is_last is None:
            return 0 < self.announced <= len(self)
        if self.is_estimate or page.rest is not None or number >= self.pages:
            return page.is_last
        is_empty = not any(self._lengths.get(near, 1) for near in range(number - MOST_EMPTY + 1, number + 1))
        return page.is_last and (is_empty or len(self) >= self.announced)

    def doubtful_pages(self) -> Iterator[int]:
        """Pages to ask for once more while results are missing: those that were shorter than others, then the rest."""
        longest = max(self._lengths.values())
        short = [number for number, length in self._lengths.items() if length < longest]
        full = [number for number, length in self._lengths.items() if length == longest][:MOST_FULL]
        for number in [*short, *full]:
            if self.is_estimate or not self.falls_short:
                return
            yield number


def _ids(page: SearchPage) -> tuple[str, ...]:
    """Ids of all results on a page."""
    return page.sent or tuple(product.id for product in page.products)


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
