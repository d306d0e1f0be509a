"""A client that reaches nothing, and a real sandbox for whole commands."""

import contextlib
import subprocess
import sys
from types import SimpleNamespace

import pytest

from archives import account_file
from fakes import product
from pepsasync.events import ProductDelivered, ProductFailed, ProductFound, SearchFinished
from pepsasync.model import Delivery, DeliveryStatus, Limits
from pepsasync.providers.base import StagingOutcome, StagingReply

PRODUCTS = (product("A", tier="disk", size=1_000_000), product("B", size=2_000_000))


@pytest.fixture(autouse=True)
def _on_peps(monkeypatch):
    """Commands speak with the archive that stages by request, unless a test says otherwise."""
    monkeypatch.setenv("PEPSASYNC_PROVIDER", "peps")


class FakeClient:
    """Remembers how it was made and what it was asked; has two products, `B` on tape."""

    def __init__(self, provider=None, *, credentials=None, config=None, base_url=None):
        self.made_with = SimpleNamespace(provider=provider, credentials=credentials, config=config, base_url=base_url)
        limits = Limits(page_size=10, downloads=2, staging_requests=2, poll_batch=9, bounded_ranges=False)
        self.provider = SimpleNamespace(name="peps", limits=limits)
        self.products = PRODUCTS
        self.errors = {}
        self.fatal = None
        self.outcome = StagingOutcome.ACCEPTED
        self.listeners = []
        self.quota = None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        pass

    @contextlib.contextmanager
    def listen(self, listener):
        self.listeners.append(listener)
        yield

    @contextlib.contextmanager
    def raw_replies(self, listener):
        listener("https://archive.example/search", b'{"features": []}')
        yield

    def emit(self, event):
        for listener in self.listeners:
            listener(event)

    async def search(self, query):
        self.query = query
        for item in self.products:
            yield item
        self.emit(SearchFinished(products=len(self.products), bytes=3_000_000))
        if self.fatal:
            raise self.fatal

    async def fetch(self, wanted, directory=".", *, extract=False, on_delivered=None):
        self.query, self.directory, self.extract = wanted, directory, extract
        self.emit(SearchFinished(products=len(self.products), bytes=3_000_000))
        for item in self.products:
            self.emit(ProductFound(id=item.id, name=item.name, tier=item.tier, size=item.size))
        for item in self.products:
            yield self._deliver(item, directory)
        if self.fatal:
            raise self.fatal

    async def stage(self, item):
        if item.name in self.errors:
            raise self.errors[item.name]
        return StagingReply(self.outcome)

    async def wait_online(self, items):
        for item in items:
            if item.name in self.errors:
                self.emit(ProductFailed(id=item.id, name=item.name, error="StagingTimeout", message="too slow"))
            else:
                yield item

    def _deliver(self, item, directory):
        who, error = {"id": item.id, "name": item.name}, self.errors.get(item.name)
        if error:
            self.emit(ProductFailed(**who, error=type(error).__name__, message=str(error)))
            return Delivery(product=item, status=DeliveryStatus.FAILED, error=error)
        path = directory / f"{item.name}.zip"
        self.emit(ProductDelivered(**who, path=str(path), bytes=item.size))
        return Delivery(product=item, status=DeliveryStatus.DELIVERED, path=path, bytes=item.size, source="peps")


@pytest.fixture
def clients(monkeypatch):
    """Every client that a command makes, newest last; `clients.prepare` changes the next one."""
    made = SimpleNamespace(all=[], prepare=id)

    def make(*arguments, **options):
        client = FakeClient(*arguments, **options)
        made.prepare(client)
        made.all.append(client)
        return client

    monkeypatch.setattr("pepsasync.client.Client", make)
    return made


@pytest.fixture(scope="session")
def archive():
    """A sandbox with the products of the old command lines' places and periods, half of them on tape."""
    sandbox = pytest.importorskip("pepsasync.sandbox")
    running = sandbox.Sandbox(
        products=16, product_size=60_000, staging_seconds=0.05, mount_seconds=0.05, tape_drives=4, time_scale=5
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def auth(archive, tmp_path):
    """The old program's credentials file."""
    return account_file(archive, tmp_path / "peps.txt")


@pytest.fixture
def spawn():
    """Start the program as a process of its own."""
    processes = []

    def start(*arguments, **options):
        # Cancelled on trio, httpx leaves generators of its own to the garbage collector, which trio warns about.
        warnings = ["-W", "error", "-W", "ignore::ResourceWarning"]
        command = [sys.executable, *warnings, "-m", "pepsasync", *map(str, arguments)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, **options
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
