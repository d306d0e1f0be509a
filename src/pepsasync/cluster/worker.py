"""What runs on a worker: one attempt to bring one product, with the code of `transfer`.

Tasks of Dask are threads. The products of a worker share one event loop in a thread of its own, with one connection
pool, as long as the process lives.
"""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
from anyio import to_thread
from anyio.from_thread import BlockingPortal

from pepsasync.cluster.errand import Outcome, Sealed, answer_of, event_as_dict
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import PepsasyncError, ServerError, TransferError
from pepsasync.events import DownloadProgressed, DownloadStarted, Noticed
from pepsasync.folder.layout import Folder
from pepsasync.folder.leases import LOOK, Claim, TakenBackError
from pepsasync.groups import task_group
from pepsasync.http.client import Http, on_each_hop, origin_of
from pepsasync.http.errors import safe_url
from pepsasync.limits.gate import Gate
from pepsasync.limits.throttle import Throttle
from pepsasync.model import Account
from pepsasync.providers import make_provider
from pepsasync.text import reason
from pepsasync.threads import clean_up
from pepsasync.transfer.buffers import BufferPool
from pepsasync.transfer.context import ArchiveContext
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.download import fill_gaps
from pepsasync.transfer.executor import Brought
from pepsasync.transfer.part import is_small
from pepsasync.transfer.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from pepsasync.cluster.errand import Answer, Errand
    from pepsasync.config import Config
    from pepsasync.events import Event
    from pepsasync.model import Limits, Product
    from pepsasync.providers.base import Provider

    Say = Callable[[dict[str, Any]], None]

TELL = 0.5
"""Seconds between two pieces of news of one product; each is a sign of life."""

LONG_CHECK = 8 << 20
"""Bytes of a product from which on it is told when all of them are here: its check takes long enough for another
download to begin."""


def work(errand: Sealed[Errand]) -> Sealed[Outcome]:
    """Bring a product; called by Dask in a thread of a worker. Errors are in the outcome."""
    import distributed  # noqa: PLC0415 - an extra

    what, worker = errand.open(), distributed.get_worker()
    outcome = _station(what.config).call(what, partial(worker.log_event, what.topic))
    if outcome.brought is not None:
        outcome.brought = outcome.brought._replace(worker=str(worker.address))
    return Sealed(what.product.name, outcome)


def dask_setup(worker: object) -> None:  # noqa: ARG001 - so Dask calls it
    """Let Ctrl-C be for the coordinator alone, whose child this process is; called by Dask as it begins."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Station:
    """The event loop of a worker process, with a connection pool.

    Args:
        config: Timeouts and the like of the run.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._buffers = BufferPool()
        self._ready: Future[tuple[BlockingPortal, Http]] = Future()
        threading.Thread(target=self._live, name="pepsasync", daemon=True).start()

    def _live(self) -> None:
        try:
            anyio.run(self._serve)
        except BaseException as error:  # noqa: BLE001 - whoever waits for it has to know
            if not self._ready.done():
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        async with Http(self._config) as http, BlockingPortal() as portal:
            self._ready.set_result((portal, http))
            await portal.sleep_until_stopped()

    def call(self, errand: Errand, say: Say) -> Outcome:
        """Bring a product; blocks."""
        portal, http = self._ready.result()
        return portal.call(bring, errand, http, self._buffers, say)


_stations: dict[Config, Station] = {}
_starting = threading.Lock()


def _station(config: Config) -> Station:
    with _starting:
        if config not in _stations:
            _stations[config] = Station(config)
        return _stations[config]


async def bring(errand: Errand, http: Http, buffers: BufferPool, say: Say) -> Outcome:
    """Take the lease of a product and bring it; stop at once when the lease is lost.

    Args:
        errand: What is to be done.
        http: Connection pool.
        buffers: Of the process.
        say: Sends news to the coordinator; waits for nothing.
    """
    outcome = Outcome(token=errand.token)
    claim = Claim(Folder(errand.directory), errand.token, errand.owner, time.monotonic)
    if not await to_thread.run_sync(claim.take):
        outcome.was_begun_before = True
        return outcome
    news = News(errand, outcome, say)
    try:
        async with task_group() as watching:
            watching.start_soon(_watch, claim, outcome, watching.cancel_scope)
            watching.start_soon(news.flow)
            try:
                outcome.brought = await _bring(errand, http, buffers, claim, news)
            except TakenBackError as error:
                outcome.was_stopped = error.message
            except PepsasyncError as error:
                outcome.error = error
            except Exception as error:  # noqa: BLE001 - Dask would show it, with all that it holds
                outcome.error = TransferError(
                    f"a worker failed: {type(error).__name__}: {reason(error)}", product=errand.product.name
                )
            watching.cancel_scope.cancel()
    finally:
        await clean_up(claim.give_back)
    return outcome


async def _watch(claim: Claim, outcome: Outcome, scope: anyio.CancelScope) -> None:
    """Cancel the work once its lease is lost."""
    while True:
        await anyio.sleep(LOOK)
        try:
            await to_thread.run_sync(claim.check)
        except TakenBackError as error:
            outcome.was_stopped = error.message
            scope.cancel()


async def _bring(errand: Errand, http: Http, buffers: BufferPool, claim: Claim, news: News) -> Brought:
    product, outcome = errand.product, news.outcome
    destination = IntoFolder(Folder(errand.directory, news.tell, check_owner=claim.check))
    provider = Lent(errand, http)
    config = replace(errand.config, limit_rate=errand.rate)
    archive = ArchiveContext(
        cast("Provider", provider),
        http,
        Gate(errand.provider, provider.limits, provider.account, config, lambda _: None),  # the coordinator's counts
        Throttle(errand.rate),
        config,
        news.take,
        buffers,
        serves_ranges=dict(errand.serves_ranges),
        has_sent=set(errand.has_sent),
        root=errand.root,
        waits_for_quota=False,
    )
    async with destination.incoming(product) as part:
        progress = Progress(part, archive, None)
        part.failed_ranges, outcome.present = errand.failed_ranges, part.resumed_bytes
        try:
            if not part.is_complete:
                await fill_gaps(part, archive, progress)
            await part.hash_what_is_here()
        finally:
            outcome.received, outcome.has_restarted = progress.furthest, part.has_restarted
            outcome.failed_ranges = part.failed_ranges
            outcome.answer, outcome.sent_on_to = provider.answer, provider.sent_on_to
            outcome.is_answered = provider.answer is not None or part.failed_ranges > errand.failed_ranges
            outcome.serves_ranges, outcome.has_sent = archive.serves_ranges, frozenset(archive.has_sent)
    if not is_small(product) and part.received >= LONG_CHECK:
        news.received()
    path = await destination.finish(part)
    seconds = time.monotonic() - news.began if news.began else 0.0
    return Brought(path, part.received, part.resumed_bytes, part.data_path, 0, seconds)


class News:
    """Sends what happens to the coordinator, a few times a second.

    Args:
        errand: What it is about.
        outcome: Keeps every event but progress.
        say: Sends a message.
    """

    def __init__(self, errand: Errand, outcome: Outcome, say: Say) -> None:
        self.outcome = outcome
        self._token = errand.token
        self._say = say
        self._told = 0
        self._progress: DownloadProgressed | None = None
        self._is_small = is_small(errand.product)
        self.began: float | None = None
        """When the first body began, on the monotonic clock."""

    def take(self, event: Event) -> None:
        """Note an event; the beginning of a download is told at once, unless it is soon over."""
        if isinstance(event, DownloadProgressed):
            self._progress = event
            return
        self.outcome.news.append(event_as_dict(event))
        if isinstance(event, DownloadStarted):
            self.began = self.began or time.monotonic()
            if not self._is_small:
                self._send()

    def tell(self, text: str) -> None:
        """Note a sentence for the user; from any thread."""
        self.take(Noticed(message=text))

    async def flow(self) -> None:
        """Send news until cancelled."""
        while True:
            await anyio.sleep(TELL)
            self._send()

    def received(self) -> None:
        """Say at once that all bytes are here."""
        self._send(is_received=True)

    def _send(self, *, is_received: bool = False) -> None:
        events = self.outcome.news[self._told :]
        message: dict[str, Any] = {"token": self._token, "from": self._told, "events": events}
        self._told += len(events)
        if self._progress is not None:
            message["progress"] = event_as_dict(self._progress)
        self._progress = None
        self._say(message | {"is_received": is_received})


class Lent:
    """The provider of an archive as a worker has it: it knows no account, only how to ask for one product.

    Args:
        errand: Holds the ticket.
        http: Connection pool.
    """

    def __init__(self, errand: Errand, http: Http) -> None:
        self._provider: Provider = make_provider(errand.provider, http, Lookup.of(None), errand.root)
        self._ticket = errand.ticket
        self._http = http
        self.name = errand.provider
        self.limits: Limits = replace(self._provider.limits, quota=None, bounded_ranges=False, downloads=1)
        self.answer: Answer | None = None
        """What the archive answered last."""
        self.sent_on_to: str | None = None
        """See `Outcome`."""
        if self._ticket is not None:
            http.secrets.add(*(value.rpartition(" ")[2] for _, value in self._ticket.headers))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def account(self) -> Account:
        """Nothing is known of it here."""
        return Account()

    async def download_request(self, product: Product) -> httpx.Request:
        """The request of the ticket, whatever the product; see `Provider.download_request`."""
        ticket = self._ticket
        if ticket is None:
            raise ServerError("its part was changed after it was complete", product=product.name)
        first = self._http.build("GET", ticket.url)

        def authorize(request: httpx.Request) -> None:
            for name, _ in ticket.headers:
                request.headers.pop(name, None)
            if not self._provider.is_own(request.url):
                return
            if not is_akin(request.url, first.url):
                self.sent_on_to = str(request.url)
                raise ServerError("the archive asks for a login", product=product.name, url=safe_url(request.url))
            request.headers.update(dict(ticket.headers))

        first.extensions = {**first.extensions, **on_each_hop(authorize)}
        return first

    def judge_download(self, product: Product, response: httpx.Response, head: bytes) -> PepsasyncError | None:
        """Say what is wrong with an answer, and keep it for the coordinator; see `Provider.judge_download`."""
        if self._ticket is not None:
            self.answer = answer_of(response, head, self._ticket)
        return self._provider.judge_download(product, response, head)


def is_akin(url: httpx.URL, first: httpx.URL) -> bool:
    """Whether an own host of an archive may see the credentials that were meant for another: not its login, elsewhere.

    The same origin may, and over https a host of the same domain: `download.example.org` beside `data.example.org`.
    """
    if origin_of(url) == origin_of(first):
        return True
    domain = first.host.partition(".")[2]
    return url.scheme == first.scheme == "https" and "." in domain and url.host.endswith(f".{domain}")
