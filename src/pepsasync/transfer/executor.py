"""Who brings a product that is online to its final name: this process (`Here`), or workers elsewhere (`cluster`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from pepsasync.errors import PepsasyncError
from pepsasync.transfer.download import download

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    import anyio

    from pepsasync.events import Emit
    from pepsasync.folder.journal import Owner
    from pepsasync.folder.layout import Folder
    from pepsasync.model import FinalName, Product
    from pepsasync.transfer.context import ArchiveContext
    from pepsasync.transfer.destination import Destination
    from pepsasync.transfer.incoming import DataPath


class Brought(NamedTuple):
    """A product under its final name."""

    path: FinalName
    bytes: int
    resumed_bytes: int
    """Of them, those that an earlier run had received."""
    data_path: DataPath
    attempts: int
    seconds: float | None = None
    """From its first byte until it had its final name, on the clock of its worker; None when it was this process."""
    worker: str | None = None
    """Address of the worker that brought it; None when it was this process."""


class Executor(Protocol):
    """Downloads, verifies and names products; staging, limits and the journal are not its business."""

    async def bring(
        self, product: Product, archive: ArchiveContext, destination: Destination, verifiers: anyio.CapacityLimiter
    ) -> Brought:
        """Bring a product that is online to its final name; see `download` and `Destination.finish`.

        Args:
            product: Believed to be online.
            archive: Its connection and limits: each download passes its gate.
            destination: Where it is put.
            verifiers: Products verified at once in this process.

        Raises:
            PepsasyncError: It cannot be had; what was received is kept. `attempts` says how often it was asked for.

        Cancellation: nothing is held; bytes already received can be continued.
        """


class Cluster(Protocol):
    """Where an executor beyond this process comes from; see `pepsasync.cluster.Dask`."""

    def working(self, folder: Folder, owner: Owner, emit: Emit) -> AbstractAsyncContextManager[Executor]:
        """Be connected as long as the block lasts.

        Args:
            folder: That the products of a run are put into.
            owner: Who holds the lease of the folder: workers stop when it is another one.
            emit: Told what becomes of the workers.

        Raises:
            ConfigError: No worker can be used, and why.
            UnreachableError: Nobody answers there.
        """


class Here:
    """Brings products in this process."""

    async def bring(
        self, product: Product, archive: ArchiveContext, destination: Destination, verifiers: anyio.CapacityLimiter
    ) -> Brought:
        """See `Executor.bring`."""
        part = await download(product, archive, destination)
        try:
            path = await destination.finish(part, verifiers)
        except PepsasyncError as error:
            error.attempts += part.attempts
            raise
        return Brought(path, part.received, part.resumed_bytes, part.data_path, part.attempts)
