"""Embedded archives for tests, and what to check of a folder that was filled from one."""

import contextlib
import hashlib
import zipfile
from collections import Counter
from io import BytesIO

from pepsasync import Client, Config, Credentials
from pepsasync.events import ProductAwaited
from pepsasync.sandbox import Sandbox

QUICK = {"poll_interval": 0.05, "poll_interval_max": 0.2, "retry_wait": 0.01, "retry_wait_max": 0.05, "jobs": 4}
"""Settings that make minutes of an archive's life pass in a second."""


HOLDS = {"asf": ("S1",)}
"""Collections of the sandbox that an archive has, where it has not all of them."""
ALWAYS_ONLINE = {"asf"}
"""Archives that have everything on disk."""
ORDERS = {"wekeo"}
"""Archives that do not say what is on disk before it is ordered, and have no checksums."""


def holds(provider, collection):
    """Whether an archive has products of a collection of the sandbox."""
    return collection in HOLDS.get(provider, ("S1", "S2ST"))


def held(archive, provider):
    """Products of the sandbox that an archive has."""
    return [product for product in archive.catalogue if holds(provider, product.collection)]


def sandbox(products=8, **options):
    """A small archive whose tape robot is quick and whose advice to wait is short."""
    quick = {"product_size": 200_000, "staging_seconds": 0.1, "mount_seconds": 0.02, "retry_after_ms": 200}
    return Sandbox(products=products, **(quick | options))


@contextlib.contextmanager
def running(products=8, **options):
    """The same archive for tests that are not async."""
    archive = sandbox(products, **options)
    archive.start()
    try:
        yield archive
    finally:
        archive.stop()


def account_file(archive, path, provider="peps", *, secret=None):
    """Write the file for `-a`: what a provider wants to know of the sandbox's user, or another secret. Return its path."""
    known = credentials(archive, provider, secret=secret)
    path.write_text(f"{known.api_key or f'{known.username} {known.password}'}\n")
    path.chmod(0o600)
    return path


def root(archive, provider):
    """Where a sandbox speaks the protocol of a provider."""
    return getattr(archive, f"{provider}_url")


def credentials(archive, provider, *, secret=None):
    """What a provider wants to know of the sandbox's user, or with another secret."""
    if provider == "geodes":
        return Credentials(api_key=secret or archive.api_key)
    return Credentials(username=archive.username, password=secret or archive.password)


def connect(archive, provider="peps", *, password=None, **settings):
    return Client(
        provider,
        base_url=root(archive, provider),
        credentials=credentials(archive, provider, secret=password),
        config=Config(**(QUICK | settings)),
    )


def portal(archive):
    """A listener that asks in the archive's portal for whatever a run waits for."""

    def ask(event):
        if isinstance(event, ProductAwaited):
            archive.restore(event.name)

    return ask


async def everything(client):
    """All products of the collections that the archive has."""
    collections = [each for each in ("S1", "S2ST") if holds(client.provider.name, each)]
    return [product for collection in collections async for product in client.search(collection=collection)]


async def fetch_all(archive, folder, provider="peps", *, extract=False, settings=None):
    """Outcome by product name, and the events."""
    events = []
    async with connect(archive, provider, **(settings or {})) as client:
        with client.listen(events.append):
            products = await everything(client)
            outcomes = {d.product.name: d async for d in client.fetch(products, folder, extract=extract)}
    return outcomes, events


def right_files(archive, folder):
    """How many products of the archive stand in the folder with exactly their bytes."""
    return sum(
        _md5(folder / f"{product.name}.zip") == archive.content(product.name).md5.lower()
        for product in archive.catalogue
    )


def final_names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".pepsasync")


def members_of(archive, name):
    """Content of the members of a product by path, as they should stand in its folder."""
    with zipfile.ZipFile(BytesIO(archive.content(name).read())) as zipped:
        return {info.filename.partition("/")[2]: zipped.read(info) for info in zipped.infolist()}


def bytes_by_name(archive):
    return Counter(archive.statistics.bytes_sent)


def _md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest() if path.exists() else None
