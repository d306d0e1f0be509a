"""The archive behind every protocol: catalogue, contents, tape robot, accounts, faults, counters."""

from __future__ import annotations

import random
import threading
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pepsasync.sandbox.accounts import Accounts
from pepsasync.sandbox.catalogue import TRUE_MD5, feature_id, generate, next_processing, reprocessed
from pepsasync.sandbox.changes import Changes
from pepsasync.sandbox.clock import Clock
from pepsasync.sandbox.content import ProductContent
from pepsasync.sandbox.faults import FaultPlan
from pepsasync.sandbox.limits import RateLimit
from pepsasync.sandbox.portal import Portal
from pepsasync.sandbox.results import Results
from pepsasync.sandbox.robot import Robot
from pepsasync.sandbox.statistics import Ledger, Statistics

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.options import Options


class Archive:
    """State shared by the protocols; every method may be called from any thread.

    Args:
        options: What kind of archive.
        passwords: Password by e-mail address.
    """

    def __init__(self, options: Options, passwords: Mapping[str, str]) -> None:
        self.options = options
        self.clock = Clock(options.time_scale, options.clock)
        self.robot = Robot(
            self.clock,
            drives=options.tape_drives,
            mount_seconds=options.mount_seconds,
            staging_seconds=options.staging_seconds,
            tape_products=options.tape_products,
            cache_size=options.cache_size,
        )
        self.faults = FaultPlan(options.faults, seed=options.seed, limit=options.fault_limit)
        self.accounts = Accounts(passwords, self.clock, options.seed)
        self.portal = Portal(self.clock, lambda name, due: self.stage(name, at=due), options.portal_seconds)
        self.peps_quota = RateLimit(self.clock, options.peps_quota, options.peps_quota_seconds)
        self.ledger = Ledger()
        self._lock = threading.RLock()
        self._products: dict[str, CatalogueProduct] = {}
        self._names: dict[str, str] = {}
        self._contents: dict[str, ProductContent] = {}
        self._withdrawn: dict[str, CatalogueProduct] = {}
        self._dropped: set[str] = set()
        self._edition = 0
        self.results = Results()
        self._choice = random.Random(f"{options.seed}:changes")
        products = list(_generated(options) if options.catalogue is None else options.catalogue)
        opening = max(0, len(products) - options.held_back)
        for product in products[:opening]:
            self.publish(product)
        self._held_back = deque(products[opening:])
        self._changes = Changes(
            self.clock,
            {
                "publish": (options.publish_seconds, self._publish_any),
                "supersede": (options.supersede_seconds, self._supersede_any),
                "withdraw": (options.withdraw_seconds, self._withdraw_any),
            },
        )

    @property
    def edition(self) -> int:
        """Grows with each change of the catalogue."""
        self._changes.settle()
        return self._edition

    @property
    def products(self) -> tuple[CatalogueProduct, ...]:
        """Every product, those published later at the end."""
        self._changes.settle()
        with self._lock:
            return tuple(self._products.values())

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return self.ledger.snapshot(self.faults.hits())

    def publish(self, product: CatalogueProduct) -> None:
        """Add a product to the catalogue."""
        with self._lock:
            self._edition += 1
            self._withdrawn.pop(product.name, None)
            self._products[product.name] = product
            self._names[product.id] = product.name
            self.robot.add(product.name, product.size, product.mode)

    def publish_held_back(self, published: datetime | None = None) -> CatalogueProduct:
        """Publish the first product that was held back, now or at another moment; return it.

        Raises:
            LookupError: None is left.
        """
        with self._lock:
            if not self._held_back:
                raise LookupError("no product is held back")
            product = replace(self._held_back.popleft(), published=published or datetime.now(UTC))
            self.publish(product)
            return product

    def supersede(self, name: str, published: datetime | None = None) -> CatalogueProduct:
        """Publish a newer processing of a product, now or at another moment, and mark it as replaced; return the newer.

        Raises:
            KeyError: No product has this name.
        """
        with self._lock:
            newer = next_processing(self._products[name], {*self._products, *self._withdrawn})
            newer = replace(newer, published=published or datetime.now(UTC))
            self.publish(newer)
            self.hide(name, newer.id)
            return newer

    def withdraw(self, name: str) -> None:
        """Take a product out of the catalogue; a download under way goes on.

        Raises:
            KeyError: No product has this name.
        """
        with self._lock:
            self._edition += 1
            product = self._products.pop(name)
            self._withdrawn[name] = product
            self._names = {identity: named for identity, named in self._names.items() if named != name}

    def _publish_any(self, moment: datetime) -> None:
        with self._lock:
            if self._held_back:
                self.publish_held_back(moment)

    def _supersede_any(self, moment: datetime) -> None:
        with self._lock:
            if visible := [name for name, product in self._products.items() if product.visible]:
                self.supersede(self._choice.choice(visible), moment)

    def _withdraw_any(self, _: datetime) -> None:
        with self._lock:
            if self._products:
                self.withdraw(self._choice.choice(list(self._products)))

    def product(self, name: str) -> CatalogueProduct:
        """Return a product by name.

        Raises:
            KeyError: No product has this name.
        """
        self._changes.settle()
        return self._products[name]

    def find(self, collection: str, identifier: str) -> CatalogueProduct | None:
        """Return the feature of a collection with this id, None if there is none.

        The new id of a hidden product leads to the same file, visible again.
        """
        self._changes.settle()
        with self._lock:
            product = self._products.get(self._names.get(identifier, ""))
        if product is None or product.collection != collection:
            return None
        if product.id != identifier:
            return replace(product, id=identifier, visible=True, new_version=None)
        return product

    @property
    def listed(self) -> list[CatalogueProduct]:
        """Every product as searches of PEPS show it: not those that were replaced, but their new features."""
        self._changes.settle()
        with self._lock:
            newest = (self._newest(product) for product in self._products.values())
            return [product for product in newest if product is not None]

    def _newest(self, product: CatalogueProduct) -> CatalogueProduct | None:
        if product.visible:
            return product
        newer = self.find(product.collection, product.new_version or "")
        return newer if newer is not None and newer.name == product.name else None

    def at_download(self, product: CatalogueProduct) -> CatalogueProduct:
        """Return a feature as it is when it is downloaded: the fault `hidden` may just have replaced it."""
        known = self._products.get(product.name)
        original = product.visible and known is not None and product.id == known.id
        if not original or not self.faults.strikes("hidden", product.name):
            return product
        successor = feature_id(product.collection, product.name + ":new")
        with self._lock:
            self._names[successor] = product.name
        self.hide(product.name, successor)
        return self._products[product.name]

    def content(self, name: str) -> ProductContent:
        """Return the bytes of a product, even of one that was withdrawn.

        Raises:
            KeyError: No product has this name.
            ValueError: The product is too small to be a zip file.
        """
        with self._lock:
            if name not in self._contents:
                product = self._products.get(name) or self._withdrawn[name]
                self._contents[name] = ProductContent(product, self.options.seed)
            return self._contents[name]

    def checksum(self, product: CatalogueProduct) -> str | None:
        """Return the MD5 that the archive announces, upper case; reads the whole product the first time."""
        if product.checksum != TRUE_MD5 or self.faults.strikes("checksum-null", product.name):
            return product.checksum if product.checksum != TRUE_MD5 else None
        digest = self.content(product.name).md5
        return digest if self.faults.strikes("checksum-lower", product.name) else digest.upper()

    def mode(self, product: CatalogueProduct) -> str:
        """Return where a product is, as the storage service says; near-real-time products are always on disk."""
        self.portal.settle()
        if product.nrt:
            return "disk"
        if self.faults.strikes("unknown-once", product.name):
            return "unknown"
        return self.robot.mode(product.name)

    def shown(
        self, product: CatalogueProduct, properties: dict[str, Any], nulled: Collection[str], removed: Collection[str]
    ) -> dict[str, Any]:
        """Return properties as they are published: the fault `missing-properties` makes some null and removes some."""
        if not self.faults.strikes("missing-properties", product.name):
            return properties
        return {name: None if name in nulled else value for name, value in properties.items() if name not in removed}

    def stage(self, name: str, at: float | None = None) -> None:
        """Have a product brought from tape, asked for now or earlier; the fault `still-tape` forgets it."""
        if self.faults.strikes("still-tape", name):
            return
        if self.robot.request(name, at) is not None:
            self.ledger.count_staging(name)

    def falls_back(self, product: CatalogueProduct) -> bool:
        """Return whether the fault `fall-back` has just put a product on disk back on tape."""
        if product.nrt or not self.faults.strikes("fall-back", product.name):
            return False
        self.robot.set_mode(product.name, "tape")
        return True

    def hide(self, name: str, new_id: str | None = None) -> None:
        """Mark a product as replaced by the feature `new_id` (None: not available)."""
        with self._lock:
            self._edition += 1
            self._products[name] = replace(self._products[name], visible=False, new_version=new_id)

    def drop_file(self, name: str) -> None:
        """Lose the file of a product: it stays in the catalogue, downloads answer 404."""
        with self._lock:
            self._dropped.add(self._products[name].name)

    def has_file(self, name: str) -> bool:
        """Return whether a product's file is there."""
        return name not in self._dropped and not self.faults.strikes("missing-file", name)

    def publish_newer(self, product: CatalogueProduct) -> None:
        """Publish another processing of a product, newer than everything."""
        name = f"{product.name[:-4]}{len(self._products) % 0x10000:04X}"
        newest = max(other.start for other in self.products)
        self.publish(replace(reprocessed(product, name), start=newest, end=newest, published=None))

    @cached_property
    def collections(self) -> frozenset[str]:
        """Names of the collections that hold something, and those that PEPS always had."""
        return frozenset({"S1", "S2", "S2ST", "S3", *(product.collection for product in self.products)})


def _generated(options: Options) -> Iterable[CatalogueProduct]:
    return generate(
        options.products,
        size=options.product_size,
        vary=options.vary,
        tape_fraction=options.tape_fraction,
        seed=options.seed,
        area=options.area,
        start=options.start,
        end=options.end,
    )
