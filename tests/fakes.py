"""An archive in memory: a `Provider` without network, whose tape moves on command of a test."""

from collections import Counter

from pepsasync.limits.quota import QuotaLimiter
from pepsasync.limits.throttle import Throttle
from pepsasync.model import Product, StorageTier
from pepsasync.providers.base import Limits, SearchPage, StagingOutcome, StagingReply
from pepsasync.transfer.line import Line, make_slots


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

    def slices(self, query):
        return [query]

    async def search_page(self, query, page):
        found = self.pages[page - 1] if page <= len(self.pages) else ()
        return SearchPage(tuple(found), is_last=len(found) < self.limits.page_size)

    async def request_staging(self, product):
        self.staged[product.name] += 1
        return self.replies.get(product.name, StagingReply(StagingOutcome.ACCEPTED))

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

    def judge_download(self, product, response, head):
        return None


def plain_line(http, shelf, config, emit, *, downloads=64):
    """A line along which the download stage brings whatever stands under a URL."""
    provider = PlainArchive(http, downloads)
    slots, pace = make_slots(config, provider.limits), QuotaLimiter(provider, config, emit)
    return Line(provider, http, shelf, Throttle(config.limit_rate), config, emit, slots, pace)
