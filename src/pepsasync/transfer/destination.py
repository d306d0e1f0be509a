"""Where products are put: a folder (`IntoFolder`), or a bucket (`pepsasync.bucket`). What both can do is `Destination`.

A final name, or a final key, means complete and verified in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from anyio import to_thread

from pepsasync.transfer.existing import find_absent, find_existing
from pepsasync.transfer.part import Part, open_part
from pepsasync.transfer.verify import verify_and_promote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    import anyio

    from pepsasync.folder.layout import Folder
    from pepsasync.folder.space import Space
    from pepsasync.model import FinalName, Product
    from pepsasync.query.members import Selection
    from pepsasync.transfer.existing import Existing
    from pepsasync.transfer.incoming import Incoming


class Destination(Protocol):
    """Where the products of a run are put."""

    @property
    def space(self) -> Space | None:
        """Room set aside on its disk; None where none is watched."""

    async def absent(self, products: Sequence[Product]) -> frozenset[str]:
        """Names of products of which nothing is there.

        Raises:
            PepsasyncError: It cannot be looked at.
        """

    async def find(
        self,
        product: Product,
        *,
        extract: bool = False,
        selection: Selection | None = None,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> Existing:
        """Look for a product that is there and right; see `find_existing`."""

    async def has_every_byte(self, product: Product) -> bool:
        """Whether an earlier run has received all of a product, and was ended before it was verified."""

    def incoming(self, product: Product) -> AbstractAsyncContextManager[Incoming]:
        """Open what is here of a product, and take the rest of its bytes.

        Raises:
            PepsasyncError: It cannot be opened.

        Cancellation: what came can be continued.
        """

    async def finish(self, incoming: Incoming, limiter: anyio.CapacityLimiter | None = None) -> FinalName:
        """Check size, checksum and zip structure of a product, and give it its final name.

        Args:
            incoming: Complete; of `incoming`, closed.
            limiter: Of the threads that do this.

        Raises:
            IntegrityError: Something is wrong; nothing has the final name.
            PepsasyncError: It cannot be read or named.

        Cancellation: the final name is given or not; nothing in between.
        """

    async def discard(self, product: Product) -> None:
        """Remove what is here of a product and has no final name."""


class IntoFolder:
    """A folder on a disk.

    Args:
        folder: Of the products.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    @property
    def space(self) -> Space | None:
        """See `Destination.space`."""
        return self.folder.space

    async def absent(self, products: Sequence[Product]) -> frozenset[str]:
        """See `Destination.absent`."""
        return await find_absent(products, self.folder)

    async def find(
        self,
        product: Product,
        *,
        extract: bool = False,
        selection: Selection | None = None,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> Existing:
        """See `Destination.find`."""
        return await find_existing(product, self.folder, extract=extract, selection=selection, limiter=limiter)

    async def has_every_byte(self, product: Product) -> bool:
        """See `Destination.has_every_byte`."""
        return await to_thread.run_sync(self.folder.has_complete_part, product)

    def incoming(self, product: Product) -> AbstractAsyncContextManager[Incoming]:
        """See `Destination.incoming`."""
        return open_part(product, self.folder)

    async def finish(self, incoming: Incoming, limiter: anyio.CapacityLimiter | None = None) -> FinalName:
        """See `Destination.finish`."""
        assert isinstance(incoming, Part)  # noqa: S101 - it comes from `incoming`
        return await verify_and_promote(incoming, self.folder, limiter)

    async def discard(self, product: Product) -> None:
        """See `Destination.discard`."""
        await to_thread.run_sync(self.folder.discard_part, product)
