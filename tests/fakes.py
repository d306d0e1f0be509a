"""An archive in memory: a `Provider` without network, whose tape moves on command of a test."""

import json
from collections import Counter
from dataclasses import asdict

from pepsasync.limits.gate import Gate
from pepsasync.limits.throttle import Throttle
from pepsasync.model import Limits, Product, StorageTier
from pepsasync.providers.base import SearchPage, StagingOutcome, StagingReply
from pepsasync.transfer.buffers import BufferPool
from pepsasync.transfer.context import ArchiveContext


def product(name="A", **changes):
    values = {
        "id": f"id-{name}",
        "name": name,
        "provider": "fake",
        "collection": "S1",
        "download_url": f"https://archive.example/{name}",
        "tier": StorageTier.TAPE,
    }
    return Product(**(values | changes))


class FakeProvider:
    """Answers `tiers` from a script: one mapping of name to tier for each look, the last one for ever."""

    name = "fake"

    def __init__(self, *looks, limits=None, replies=None, pages=()):
        self.looks = [*looks]
        self.limits = limits or Limits(
            page_size=10, downloads=2, staging_requests=2, poll_batch=100, bounded_ranges=False
        )
        self.replies = replies or {}
        self.pages = pages
        self.asked = []
        self.staged = Counter()
        self.given_up = []

    def slices(self, query):
        return [query]

    async def search_page(self, query, page):
        found = self.pages[page - 1] if page <= len(self.pages) else ()
        return SearchPage(tuple(found), is_last=len(found) < self.limits.page_size)

    def is_own(self, url):
        return True

    async def attributes(self, collection):
        return {}

    async def request_staging(self, product):
        self.staged[product.name] += 1
        return self.replies.get(product.name, StagingReply(StagingOutcome.ACCEPTED))

    async def give_up(self, product):
        self.given_up.append(product.order)

    async def tiers(self, products):
        self.asked.append([product.name for product in products])
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        return {product.id: look[product.name] for product in products if product.name in look}


class PlainArchive:
    """The least provider of a real server: it makes requests of URLs, and finds nothing wrong."""

    name = "plain"

    def __init__(self, http, downloads):
        self._http = http
        self.limits = Limits(page_size=1, downloads=downloads, staging_requests=1, poll_batch=1, bounded_ranges=True)

    async def download_request(self, product):
        return self._http.build("GET", product.download_url)

    def is_own(self, url):
        return True

    def judge_download(self, product, response, head):
        return None


def gate_of(provider, config, emit):
    """The gate of an archive in memory."""
    return Gate(provider.name, provider.limits, getattr(provider, "account", None), config, emit)


def archive_of(provider, http, config, emit):
    """An archive as a client uses it, around a provider of a test."""
    gate = gate_of(provider, config, emit)
    return ArchiveContext(provider, http, gate, Throttle(config.limit_rate), config, emit, BufferPool())


def plain_archive(http, config, emit, *, downloads=64):
    """An archive from which the download brings whatever stands under a URL."""
    return archive_of(PlainArchive(http, downloads), http, config, emit)


def leave_part(folder, product, content, *stretches, **note):
    """Leave a part as a run that was killed would, with stretches `(first, behind the last)` of the content in it."""
    with folder.part_path(product).open("wb") as part:
        for start, end in stretches:
            part.seek(start)
            part.write(content[start:end])
    lines = [json.dumps(asdict(folder.note_for(product)) | note), *(f"{start} {end}" for start, end in stretches), ""]
    folder.part_record_path(product).write_text("\n".join(lines))
