"""A bucket as the engine knows it: `transfer.destination.Destination`."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

from pepsasync.bucket.finish import CHECKSUM, SOURCE, Finisher, leftovers
from pepsasync.bucket.keys import PARTS, final_keys, unfinished_key
from pepsasync.bucket.reader import ObjectFile, digest_object
from pepsasync.bucket.store import SentPart, call
from pepsasync.bucket.upload import Upload, give_up, part_size
from pepsasync.errors import IntegrityError
from pepsasync.folder.files import make_own_folder, read_own, replace_text
from pepsasync.transfer.existing import Existing
from pepsasync.transfer.verify import check_size, check_zip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pepsasync.bucket.store import Object, Store
    from pepsasync.folder.layout import Folder
    from pepsasync.model import FinalName, Product
    from pepsasync.query.members import Selection
    from pepsasync.transfer.incoming import Incoming

T = TypeVar("T")

BODIES = 16
"""Products of one part that are in memory until they are verified, beside those that hold a download slot."""


class BucketDestination:
    """A bucket, or what of it begins with a prefix.

    Args:
        store: Of the bucket.
        state: Folder on this machine with the journal of this destination.
    """

    space = None

    def __init__(self, store: Store, state: Folder) -> None:
        self.store = store
        self._state = state
        self._names: set[str] | None = None
        self._listing = anyio.Lock()
        self._bodies = anyio.CapacityLimiter(BODIES)
        self._finisher = Finisher(store, self.wrong, state.tell, state.check_owner)

    async def absent(self, products: Sequence[Product]) -> frozenset[str]:
        """See `Destination.absent`: the bucket is listed once."""
        async with self._listing:
            if self._names is None:
                self._names = await call(self._list)
        there, address = self._names, self.store.address
        return frozenset(one.name for one in products if there.isdisjoint(final_keys(address, one.name)))

    def _list(self) -> set[str]:
        return {found.key for found in self.store.listed(self.store.address.prefix)}

    async def find(
        self,
        product: Product,
        *,
        extract: bool = False,  # noqa: ARG002 - refused before
        selection: Selection | None = None,  # noqa: ARG002 - refused before
        limiter: anyio.CapacityLimiter | None = None,
    ) -> Existing:
        """See `Destination.find`: one that pepsasync did not verify itself is read and hashed once."""
        async with limiter or contextlib.nullcontext():
            return await _stoppable(self._look, product)

    def _look(self, product: Product, must_stop: Callable[[], bool]) -> Existing:
        wrong = None
        for key in final_keys(self.store.address, product.name):
            found = self.store.head(key)
            if found is None:
                continue
            wrong = self.wrong(product, found, must_stop)
            if wrong is None:
                return Existing(self.store.address.url(key), bytes=found.size)
        return Existing(None, wrong=wrong)

    def wrong(self, product: Product, found: Object, must_stop: Callable[[], bool] = lambda: False) -> str | None:
        """Say why an object is not a product; None when it is. Blocks.

        Raises:
            PepsasyncError: It cannot be read.
        """
        told = {**found.metadata} if CHECKSUM in found.metadata else self._noted(found)
        if CHECKSUM in told:
            if told.get(SOURCE) not in (None, product.provider):
                return None  # right as another archive has it: sizes and checksums of archives differ
            ours = {str(one) for one in product.checksums} if product.checksum else {"none"}
            if not ours.isdisjoint(told[CHECKSUM].split()) and product.exact_size in (None, found.size):
                return None
        try:
            self._read(product, found, must_stop)
        except IntegrityError as error:
            return error.message
        self._note(product, found)
        return None

    def _read(self, product: Product, found: Object, must_stop: Callable[[], bool]) -> None:
        """Check an object as a new download is checked."""
        check_size(product, found.size)
        if product.checksum:
            digits = digest_object(self.store, found, product.checksum.algorithm, must_stop).hexdigest()
            if digits != product.checksum.value:
                raise IntegrityError(
                    f"its checksum is {digits}, the archive announced {product.checksum}", product=product.name
                )
        if found.key.endswith(".zip"):
            file = io.BufferedReader(ObjectFile(self.store, found, must_stop=must_stop), 1 << 20)
            check_zip(product, file, product.checksum is None)
        elif product.exact_size is None and product.checksum is None:
            raise IntegrityError("neither its size nor a checksum is known", product=product.name)

    def _noted(self, found: Object) -> dict[str, str]:
        """What an earlier run has found out about an object that pepsasync did not write."""
        path = self._state.records / f"{found.key.removeprefix(self.store.address.prefix)}.json"
        try:
            note = json.loads(read_own(path))
            return {name: str(note[name]) for name in (CHECKSUM, SOURCE)} if note["etag"] == found.etag else {}
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return {}

    def _note(self, product: Product, found: Object) -> None:
        path = self._state.records / f"{found.key.removeprefix(self.store.address.prefix)}.json"
        checksum = " ".join(map(str, product.checksums)) if product.checksum else "none"
        note = {"etag": found.etag, CHECKSUM: checksum, SOURCE: product.provider}
        with contextlib.suppress(OSError):  # it would only be read once more
            make_own_folder(self._state.records, self._state.tell)
            replace_text(path, json.dumps(note), self._state.tell)

    async def has_every_byte(self, product: Product) -> bool:
        """See `Destination.has_every_byte`."""
        upload = self._upload(product)
        await call(self._take_up, upload)
        return upload.is_complete

    @contextlib.asynccontextmanager
    async def incoming(self, product: Product) -> AsyncIterator[Incoming]:
        """See `Destination.incoming`."""
        upload = self._upload(product)
        try:
            await call(self._take_up, upload)
            yield upload
        except BaseException:
            self._give_back(upload)
            raise
        finally:
            upload.close()

    def _upload(self, product: Product) -> Upload:
        note = self._state.note_for(product)
        key = unfinished_key(self.store.address, product.name, note)
        return Upload(product, note, self.store, key, hold=self._hold)

    async def _hold(self, upload: Upload) -> None:
        """Count a product that is in memory until it is verified."""
        await self._bodies.acquire_on_behalf_of(upload)

    def _give_back(self, upload: Upload) -> None:
        with contextlib.suppress(RuntimeError):  # it was not counted
            self._bodies.release_on_behalf_of(upload)

    def _take_up(self, upload: Upload) -> None:
        """Find what an earlier run has left of a product, which is never less than a part.

        What has no checksum is not gone on with: nothing would tell whether the archive has the same file still.
        """
        product, store = upload.product, self.store
        if upload.memory is not None or 0 < (product.exact_size or 0) <= part_size(product):
            return
        left = [one for one in store.unfinished(upload.key) if one.key == upload.key]
        staged = store.head(upload.key)
        if product.checksum is None:
            for one in left:
                store.abort(one.key, one.id)
            if staged:
                give_up(store, upload.key)
            return
        size = product.exact_size
        if staged and size in (None, staged.size):
            upload.take_up(staged=staged)
            return
        best, parts = "", tuple[SentPart, ...]()
        for one in left:
            sent = store.parts(one.key, one.id)
            whole = tuple(part for number, part in enumerate(sent, 1) if part.number == number)
            if sum(part.size for part in whole) > sum(part.size for part in parts):
                best, parts = one.id, whole
        if size is not None and sum(part.size for part in parts) > size:
            store.abort(upload.key, best)
        elif best:
            upload.take_up(upload=best, parts=parts)

    async def finish(self, incoming: Incoming, limiter: anyio.CapacityLimiter | None = None) -> FinalName:
        """See `Destination.finish`."""
        assert isinstance(incoming, Upload)  # noqa: S101 - it comes from `incoming`
        try:
            async with limiter or contextlib.nullcontext():
                key = await _stoppable(self._finisher.finish, incoming)
        finally:
            self._give_back(incoming)
        if self._names is not None:
            self._names.add(key)
        return self.store.address.url(key)

    async def discard(self, product: Product) -> None:
        """See `Destination.discard`."""
        await call(leftovers, self.store, product.name)


async def _stoppable(work: Callable[..., T], argument: object) -> T:
    """Do blocking work that asks now and then whether it must stop: it does when this is cancelled."""
    stopped = threading.Event()
    try:
        return await call(work, argument, stopped.is_set)
    finally:
        stopped.set()


async def clean(store: Store) -> tuple[int, int]:
    """Abort what is unfinished in a bucket: uploads and what was completed and not verified.

    Returns:
        How many uploads, and how many objects.

    Raises:
        PepsasyncError: The store does not let us.
    """

    def work() -> tuple[int, int]:
        address, uploads, objects = store.address, 0, 0
        prefix = address.prefix + PARTS
        staged = [*store.listed(prefix, deep=True)]
        left = [*store.unfinished(prefix)]
        for found in staged:  # a killed run may have begun to copy it to its final key
            name = found.key.removeprefix(prefix).partition("/")[0]
            goals = (f"{address.prefix}{name}.zip", f"{address.prefix}{name}")
            left += [one for goal in goals for one in store.unfinished(goal) if one.key == goal]
        for one in left:
            store.abort(one.key, one.id)
            uploads += 1
        for found in staged:
            store.remove(found.key)
            objects += 1
        return uploads, objects

    return await to_thread.run_sync(work, abandon_on_cancel=True)
