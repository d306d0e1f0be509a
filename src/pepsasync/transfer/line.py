"""What all products of a run share: archive, connection, folder, limits."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from pepsasync.limits.slots import DownloadSlots, StagingSlots
from pepsasync.limits.staging_window import StagingWindow
from pepsasync.transfer.verify import small_products

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pepsasync.config import Config
    from pepsasync.events import Emit
    from pepsasync.folder.layout import Folder
    from pepsasync.folder.space import Space
    from pepsasync.http.client import Http
    from pepsasync.limits.quota import QuotaLimiter
    from pepsasync.limits.throttle import Throttle
    from pepsasync.model import Product
    from pepsasync.providers.base import Limits, Provider
    from pepsasync.transfer.batches import Batches
    from pepsasync.transfer.verify import SmallProduct

LOOKS = 2
"""Products at once that are looked for in the folder; each thread more keeps memory of its own."""

HOOKS = 4
"""Calls at once of what the user wants done with delivered products."""

UNPACKERS = 2
"""Zips unpacked at once: it is disk and processor work, more would only take turns."""


@dataclass(frozen=True, slots=True)
class Slots:
    """What is scarce; each limiter is held only while the thing is used, never during a pause."""

    staging: StagingSlots
    download: DownloadSlots
    unpack: anyio.CapacityLimiter
    hooks: anyio.CapacityLimiter
    looks: anyio.CapacityLimiter
    window: StagingWindow
    small: Batches[SmallProduct, Path]


@dataclass(frozen=True, slots=True)
class Line:
    """The way from one archive to one folder."""

    provider: Provider
    http: Http
    shelf: Folder
    throttle: Throttle
    config: Config
    emit: Emit
    slots: Slots
    pace: QuotaLimiter
    space: Space | None = None
    """Room for what is under way; None when it is not watched."""
    waits_for_quota: bool = True
    """False where other archives may have the product: then downloads raise `NotNowError` instead of waiting."""
    download_began: Callable[[], None] = lambda: None
    """Called for each download that a quota counts."""
    asked: Callable[[Product, int], None] = lambda product, times: None  # noqa: ARG005
    """Called for each staging request that the archive took, with how many there were so far."""

    @property
    def poll_interval(self) -> float:
        """First pause between two looks at waiting products, seconds."""
        return self.config.poll_interval or self.provider.limits.poll_interval


def make_slots(config: Config, limits: Limits) -> Slots:
    """Limiters as configured, else as the archive bears."""
    return Slots(
        staging=StagingSlots(config.staging_jobs or limits.staging_requests),
        download=DownloadSlots(config.jobs or limits.downloads),
        unpack=anyio.CapacityLimiter(UNPACKERS),
        hooks=anyio.CapacityLimiter(HOOKS),
        looks=anyio.CapacityLimiter(LOOKS),
        # Where programs cannot ask for staging, somebody asks by hand: everything is waited for.
        window=StagingWindow(config.staging_window if limits.stages else sys.maxsize),
        small=small_products(),
    )
