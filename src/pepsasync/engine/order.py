"""What the products of a run share, and what is remembered of each."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from pepsasync.events import Noticed
from pepsasync.transfer.executor import Here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Protocol

    from pepsasync.config import Config
    from pepsasync.events import Emit
    from pepsasync.folder.journal import Asked
    from pepsasync.folder.layout import Folder
    from pepsasync.model import Checksum, Delivery, FinalName, Product
    from pepsasync.query.members import Selection
    from pepsasync.transfer.destination import Destination
    from pepsasync.transfer.executor import Executor
    from pepsasync.transfer.incoming import DataPath

    class Sources(Protocol):
        """One archive, or several that hold the same products."""

        async def bring(self, product: Product, log: Log) -> FinalName | None:
            """Bring a product to its final name; None when it is on tape and the order leaves such products out."""

        def may_be_online(self, product: Product) -> bool:
            """Whether a product can be downloaded without staging, as far as is known."""

        async def watch(self) -> None:
            """Poll the tiers of the waiting products, until cancelled."""


LOOKS = 2
"""Products at once that are looked for in the folder; each further thread takes memory."""

HOOKS = 4
"""Hooks (`on_delivered`) that run at once."""

VERIFIERS = 4
"""Products verified and named at once: some wait for the disk while others hash."""

IN_MEMORY = 64
"""Small products at once that are in memory, or wait to be; each stays there until it is on the disk."""

UNPACKERS = 2
"""Zips unpacked at once: it is disk and processor work, more would only take turns."""


class InProgress:
    """Products in progress in one folder: a lock for each, since two runs of a client must not write the same part."""

    def __init__(self) -> None:
        self.is_shared = False
        """Whether more than one run has ever worked in the folder: what one has not found there, another may have
        brought since."""
        self._names: set[str] = set()
        self._one_ended: anyio.Event | None = None

    @contextlib.asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """Hold the lock of a product; waits while another run holds it.

        Yields:
            Whether another run may have brought it meanwhile.

        Cancellation: nothing is held.
        """
        while name in self._names:
            self._one_ended = self._one_ended or anyio.Event()
            await self._one_ended.wait()
        self._names.add(name)
        try:
            yield self.is_shared
        finally:
            self._names.discard(name)
            if self._one_ended is not None:
                self._one_ended.set()
                self._one_ended = None


@dataclass(frozen=True, slots=True)
class Order:
    """What all products of a run share."""

    folder: Folder
    """Of the products; of an order into a bucket, where its journal is."""
    destination: Destination
    config: Config
    emit: Emit
    source: str
    """Name of the archive that is searched."""
    extract: bool = False
    selection: Selection | None = None
    """Members of each product that are wanted; None for whole products."""
    on_delivered: Callable[[Delivery], Awaitable[None]] | None = None
    """Awaited for each product that this run delivered; what it raises is reported and changes nothing."""
    asked_before: dict[tuple[str, str], Asked] = field(default_factory=dict)
    """What an earlier run asked for and waited for, by archive and id of products; taken out as it is used."""
    in_progress: InProgress = field(default_factory=InProgress)
    """Products under way in this folder, of this and other runs of the client."""
    executor: Executor = field(default_factory=Here)
    """Downloads and verifies products that are online."""
    small: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(IN_MEMORY))
    verifiers: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(VERIFIERS))
    unpackers: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(UNPACKERS))
    hooks: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(HOOKS))
    looks: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(LOOKS))
    advised: set[str] = field(default_factory=set)
    """What the user was advised to do; each piece of advice is given once."""

    def was_asked_before(self, product: Product) -> bool:
        """Whether an earlier run asked this archive for a product that this one has not touched yet."""
        return (product.provider, product.id) in self.asked_before

    def advise(self, advice: str) -> None:
        """Tell the user what to do, unless that was done before."""
        if advice and advice not in self.advised:
            self.advised.add(advice)
            self.emit(Noticed(message=advice))


@dataclass(slots=True)
class Log:
    """What the report says about one product; filled while the product is brought."""

    product: Product
    source: str
    """Archive that the bytes come from."""
    staging_requests: int = 0
    archive_order: str | None = None
    """What the archive calls its order of the product."""
    asked_at: float | None = None
    """When it was first waited for, on the clock of the event loop."""
    staged_seconds: float = 0.0
    download_began: float | None = None
    """When the first bytes of its first body arrived."""
    download_seconds: float = 0.0
    """From then until it was verified and had its final name."""
    returns_to_tape: int = 0
    attempts: int = 0
    bytes: int | None = None
    """Bytes of the product; None when none arrived."""
    resumed_bytes: int = 0
    data_path: DataPath | None = None
    worker: str | None = None
    """Who brought it, when it was not this process."""
    members: tuple[str, ...] | None = None
    """Those that were asked for and are here; None for a whole product."""
    checksum: Checksum | None = None
    """That was verified, as the archive of the bytes announced it."""

    @property
    def is_whole(self) -> bool:
        """Whether all of the product was brought, and not only the members that were asked for."""
        return self.members is None

    @property
    def who(self) -> dict[str, str]:
        """Id and name, for events."""
        return {"id": self.product.id, "name": self.product.name}

    def begin_wait(self) -> float:
        """When the product was first waited for: at the first call of this."""
        self.asked_at = anyio.current_time() if self.asked_at is None else self.asked_at
        return self.asked_at
