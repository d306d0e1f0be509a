"""Where the products of an order go, as users say it: a folder, or a bucket with a folder for its journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pepsasync.arguments import as_folder
from pepsasync.bucket.address import Address, is_address, parse_address, state_folder
from pepsasync.errors import ConfigError
from pepsasync.paths import in_home

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from pepsasync.bucket.store import Store
    from pepsasync.folder.layout import Folder
    from pepsasync.query.members import Selection
    from pepsasync.transfer.destination import Destination


@dataclass(frozen=True, slots=True)
class Target:
    """A folder or a bucket."""

    folder: Path
    """Of the products; of a bucket, where its journal is."""
    bucket: Address | None = None
    endpoint_url: str | None = None
    """Of the store of the bucket; None for what every S3 tool finds."""

    def __str__(self) -> str:
        """As users find it again."""
        return str(self.bucket or self.folder.absolute())

    def check(self, *, extract: bool, selection: Selection | None) -> None:
        """Refuse what needs a disk.

        Raises:
            ConfigError: Products are to be unpacked, or some members of them are wanted.
        """
        if self.bucket is None:
            return
        if extract:
            raise ConfigError(f"{self.bucket}: products are not unpacked in a bucket", hint="Leave out --extract")
        if selection is not None:
            hint = "Leave out --bands, --include and --exclude, or give a folder"
            raise ConfigError(f"{self.bucket}: only whole products go into a bucket", hint=hint)

    def refuse(self, what: str) -> Path:
        """The folder, for what cannot be done with a bucket.

        Args:
            what: `catalog`, ...

        Raises:
            ConfigError: It is a bucket.
        """
        if self.bucket is not None:
            raise ConfigError(f"{what} needs a folder on a disk, not {self.bucket}")
        return self.folder

    async def open_store(self) -> Store | None:
        """The store of the bucket, which answers; None for a folder.

        Raises:
            PepsasyncError: It cannot be used, and why.

        Cancellation leaves nothing behind.
        """
        if self.bucket is None:
            return None
        from pepsasync.bucket.store import Store, call  # noqa: PLC0415 - an extra

        store = await call(Store, self.bucket, self.endpoint_url)
        await call(store.check)
        return store

    def destination(self, folder: Folder, store: Store | None) -> Destination:
        """What the engine puts products into.

        Args:
            folder: Opened; `self.folder`.
            store: Of `open_store`.
        """
        from pepsasync.transfer.destination import IntoFolder  # noqa: PLC0415 - not needed for help

        if store is None:
            return IntoFolder(folder)
        from pepsasync.bucket.destination import BucketDestination  # noqa: PLC0415 - an extra

        return BucketDestination(store, folder)


def as_target(
    where: str | os.PathLike[str],
    state: str | os.PathLike[str] | None = None,
    endpoint_url: str | None = None,
    *,
    what: str = "directory",
) -> Target:
    """Read where products go.

    Args:
        where: A folder, or the address of a bucket, `s3://BUCKET/PREFIX`.
        state: Folder for the journal of a bucket.
        endpoint_url: Of its store.
        what: What to name in an error about a folder.

    Raises:
        ConfigError: It is neither, or something is said of a bucket that is none.
        TypeError: It is no path.
    """
    if isinstance(where, str) and is_address(where):
        address = parse_address(where)
        place = in_home(state, "--state") if state is not None else state_folder(address, endpoint_url)
        return Target(place, address, endpoint_url or None)
    folder = as_folder(where, what)
    for option, value in (("--state", state), ("--endpoint-url", endpoint_url)):
        if value is not None:
            raise ConfigError(f"{option} says something of a bucket (s3://BUCKET/PREFIX), and {where} is a folder")
    return Target(folder)
