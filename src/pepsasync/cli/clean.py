"""Remove what unfinished downloads have left: `clean`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.cli.options import BucketOptions, Directory, OutputOptions, flatten
from pepsasync.cli.session import Session
from pepsasync.display.output import tell
from pepsasync.errors import ConfigError
from pepsasync.units import show_count, show_size

if TYPE_CHECKING:
    from pathlib import Path

    from pepsasync.target import Target


@flatten()
def clean(*, directory: Directory = ".", bucket: BucketOptions, output: OutputOptions) -> None:
    """Remove unfinished downloads in DIR; in a bucket, abort the unfinished uploads below its prefix.

    They cost room, or money, and the next run would go on with them. Products that are verified are not touched.
    While a run works there nothing is removed.
    """
    session = Session(output)
    target = bucket.target_of(directory)
    if target.bucket is None and not target.folder.is_dir():
        raise ConfigError(f"there is no folder {target.folder}")
    session.say(session.run(_clean, target))


async def _clean(target: Target) -> str:
    import anyio  # noqa: PLC0415 - not needed for help

    from pepsasync.folder.journal import open_journal  # noqa: PLC0415

    store = await target.open_store()
    if store is None and not (target.folder / ".pepsasync").is_dir():
        return f"nothing is unfinished in {target}"
    await anyio.to_thread.run_sync(lambda: target.folder.mkdir(parents=True, exist_ok=True))
    async with open_journal(target.folder, tell=tell):  # so that no run works there
        if store is None:
            count, size = await anyio.to_thread.run_sync(_remove_parts, target.folder)
            return f"removed: {show_count(count, 'unfinished download')}, {show_size(size)}, in {target}"
        from pepsasync.bucket.destination import clean as clean_bucket  # noqa: PLC0415 - an extra

        uploads, objects = await clean_bucket(store)
        aborted, removed = show_count(uploads, "unfinished upload"), show_count(objects, "object")
        return f"aborted: {aborted}; removed: {removed} that were not verified, in {target}"


def _remove_parts(directory: Path) -> tuple[int, int]:
    """Remove the parts of a folder; returns how many, and their bytes."""
    from pepsasync.folder.files import disk_errors, remove_own  # noqa: PLC0415
    from pepsasync.folder.layout import Folder  # noqa: PLC0415

    folder = Folder(directory)
    lengths = folder.unfinished_lengths()
    for part in [*folder.parts.glob("*.part")]:
        with disk_errors(part):
            for path in (part, part.with_suffix(".part.record")):
                remove_own(path)
    return len(lengths), sum(lengths.values())
