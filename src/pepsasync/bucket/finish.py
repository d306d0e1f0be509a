"""Check a product that was sent to a bucket, and give it its final key. Everything here blocks.

What was sent in parts becomes an object under a key of its own first: only an object can be read. When all of it is
right, the store copies it to its final key, and it is removed. A product of one part is checked in memory.
"""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pepsasync.bucket.keys import KEPT, final_keys, unfinished_prefix
from pepsasync.bucket.reader import ObjectFile, digest_object
from pepsasync.bucket.store import GoneError, TakenError
from pepsasync.errors import IntegrityError, PepsasyncError, TransferError
from pepsasync.folder.zips import ZIP_START
from pepsasync.transfer.digest import Digest
from pepsasync.transfer.verify import check_size, check_zip
from pepsasync.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pepsasync.bucket.store import Object, Store
    from pepsasync.bucket.upload import Upload
    from pepsasync.model import Product

COPIED_AT_ONCE = 256 << 20
"""Bytes of an object that the store copies in one request."""

TRIES = 3
"""To give a product its final key, when others write it at the same time."""

CHECKSUM, SOURCE, TIME, VERSION = (f"pepsasync-{what}" for what in ("checksum", "source", "time", "version"))
"""Metadata of an object: what was compared, as `algorithm:digits`, or `none`; the archive; when; which pepsasync."""


class Finisher:
    """Gives products their final keys.

    Args:
        store: Of the bucket.
        wrong: Says why an object under a final key is not a product; None when it is.
        tell: Gets a sentence for the user; called from threads.
        check_owner: Raises when another program has the journal of this destination.
    """

    def __init__(
        self,
        store: Store,
        wrong: Callable[[Product, Object], str | None],
        tell: Callable[[str], None],
        check_owner: Callable[[], None],
    ) -> None:
        self._store, self._wrong, self._tell, self._check_owner = store, wrong, tell, check_owner

    def finish(self, upload: Upload, must_stop: Callable[[], bool]) -> str:
        """Check a product and give it its final key.

        Args:
            upload: Complete.
            must_stop: Asked before each request for what is read back.

        Returns:
            The final key.

        Raises:
            IntegrityError: It is wrong; nothing has the final key.
            PepsasyncError: The store does not do what is needed; what was sent is kept.
        """
        product, body, store = upload.product, upload.body, self._store
        if body is not None:
            check_size(product, len(body))
            found = _digest_of(body, product) if upload.memory is not None else upload.hashed
            _compare(product, found)
            key = self._final_key(product, bytes(body[: len(ZIP_START)]))
            if key.endswith(".zip"):
                check_zip(product, io.BytesIO(body), product.checksum is None)
            self._place(product, key, lambda over: store.write(key, body, metadata_of(product), over=over))
            return key
        staged, is_as_sent = (upload.staged, False) if upload.staged else self._stage(upload)
        check_size(product, staged.size)
        digits = upload.hashed if is_as_sent else None
        if product.checksum and digits is None:
            digits = digest_object(store, staged, product.checksum.algorithm, must_stop).hexdigest()
        _compare(product, digits)
        file = io.BufferedReader(ObjectFile(store, staged, must_stop=must_stop), 1 << 20)
        key = self._final_key(product, file.peek(len(ZIP_START))[: len(ZIP_START)])
        if key.endswith(".zip"):
            check_zip(product, file, product.checksum is None)
        if upload.resumed_bytes:  # a killed run may have begun to copy
            for left in [*store.unfinished(key)]:
                if left.key == key:
                    store.abort(key, left.id)
        self._place(product, key, lambda over: self._copy(staged, key, metadata_of(product), over))
        with contextlib.suppress(TransferError):  # `clean` removes it
            store.remove(staged.key)
        return key

    def _stage(self, upload: Upload) -> tuple[Object, bool]:
        """Make an object of the parts.

        Returns:
            The object, and whether it is certainly made of the parts that were sent: another program that brings the
            same product at the same time may have written it, and what it received may be wrong.
        """
        store, (identity, parts) = self._store, upload.sent
        try:
            etag = store.complete(upload.key, identity, parts)
        except GoneError:
            found = store.head(upload.key)
            if found is None or found.size != upload.received:
                raise
            return found, False
        found = store.head(upload.key)
        if found is None:
            raise TransferError("the store has lost what was sent", url=store.address.url(upload.key))
        return found, found.etag.strip('"') == etag.strip('"')

    def _final_key(self, product: Product, start: bytes) -> str:
        """Its final key, by how it begins: products that are one file keep their names unless they are zips."""
        zipped, *single = final_keys(self._store.address, product.name)
        return single[0] if single and start != ZIP_START else zipped

    def _place(self, product: Product, key: str, write: Callable[[str | None], None]) -> None:
        """Write under a final key, unless what is there is right."""
        for _ in range(TRIES):
            found = self._store.head(key)
            if found is not None:
                if self._wrong(product, found) is None:
                    return
                self._check_owner()
                if CHECKSUM not in found.metadata:
                    self._put_aside(found)
            self._check_owner()
            try:
                write(found.etag if found else None)
            except TakenError:
                continue
            return
        url = self._store.address.url(key)
        raise TransferError("other programs keep writing this object", product=product.name, url=url)

    def _put_aside(self, found: Object) -> None:
        """Copy what others have put under a final key."""
        store = self._store
        name = found.key.removeprefix(store.address.prefix)
        aside = f"{store.address.prefix}{KEPT}{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        with contextlib.suppress(TakenError):  # it was changed meanwhile: then it is not replaced either
            self._copy(found, aside, found.metadata, None)
            where, kept = store.address.url(found.key), store.address.url(aside)
            self._tell(f"{where} was wrong, and not written by pepsasync; it was replaced, and is kept as {kept}")

    def _copy(self, source: Object, key: str, metadata: Mapping[str, str], over: str | None) -> None:
        """Have the store copy an object."""
        store = self._store
        if not source.size:
            store.write(key, b"", metadata, over=over)
            return
        upload = store.begin(key, metadata)
        try:
            parts = [
                store.copy_part(key, upload, number, source, first, min(first + COPIED_AT_ONCE, source.size) - 1)
                for number, first in enumerate(range(0, source.size, COPIED_AT_ONCE), 1)
            ]
            store.complete(key, upload, parts, over=over)
        except BaseException:
            with contextlib.suppress(PepsasyncError):
                store.abort(key, upload)
            raise


def metadata_of(product: Product) -> dict[str, str]:
    """What an object tells of its product."""
    return {
        CHECKSUM: " ".join(map(str, product.checksums)) if product.checksum else "none",
        SOURCE: product.provider,
        TIME: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        VERSION: __version__,
    }


def leftovers(store: Store, name: str) -> None:
    """Remove everything unfinished of a product.

    Raises:
        PepsasyncError: The store does not let us.
    """
    prefix = unfinished_prefix(store.address, name)
    for upload in [*store.unfinished(prefix)]:
        store.abort(upload.key, upload.id)
    for found in [*store.listed(prefix, deep=True)]:
        store.remove(found.key)


def _digest_of(body: bytearray, product: Product) -> str | None:
    digest = Digest(product.checksum.algorithm if product.checksum else None)
    digest.update(body)
    return digest.hexdigest()


def _compare(product: Product, digits: str | None) -> None:
    announced = product.checksum
    if announced is not None and digits != announced.value:
        found = f"{announced.algorithm}:{digits}"
        raise IntegrityError(f"checksum is {found}, the archive announced {announced}", product=product.name)
