"""`peps_download()`: the function of the old script, with its parameters and its words."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from pepsasync.cli.options import ArchiveOptions
from pepsasync.display.lines import Lines
from pepsasync.display.output import NORMAL, QUIET
from pepsasync.display.records import SearchReplies
from pepsasync.errors import ConfigError, PepsasyncError
from pepsasync.folder.layout import Folder
from pepsasync.model import DeliveryStatus, StorageTier
from pepsasync.paths import in_home
from pepsasync.query.criteria import build_query
from pepsasync.query.missions import mission_of
from pepsasync.text import one_line
from pepsasync.units import show_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pepsasync.client import Client
    from pepsasync.model import Product, Query

TIER_WORDS = {
    StorageTier.DISK: "on disk",
    StorageTier.TAPE: "on tape",
    StorageTier.STAGING: "staging",
    StorageTier.UNKNOWN: "unknown",
}
"""The old program's words for where a product is."""

EXISTING, DOWNLOADED = "existing", "downloaded"
OUTCOME_WORDS = {DeliveryStatus.DELIVERED: DOWNLOADED, DeliveryStatus.SKIPPED: EXISTING}
"""The old program's words for what is in the folder."""

NO_LIMIT = 100
"""The old default for clouds, which leaves out nothing."""

SHORTEST_TRIAL = 5.0
"""Seconds; what a trial took at least in the old program, also without any minutes to wait."""


def peps_download(
    write_dir: str | os.PathLike[str] | None,
    auth: str | os.PathLike[str] | None,
    collection: str = "S2",
    product_type: str = "",
    sensor_mode: str = "",
    no_download: bool = True,
    start_date: str | None = None,
    end_date: str | None = None,
    tile: str | None = None,
    location: str | None = None,
    lat: float | None = None,
    lon: float | None = None,
    latmin: float | None = None,
    latmax: float | None = None,
    lonmin: float | None = None,
    lonmax: float | None = None,
    shape: Any = None,
    orbit: int | None = None,
    search_json_file: str | os.PathLike[str] | None = None,
    clouds: float | None = NO_LIMIT,
    sat: str | None = None,
    extract: bool = True,
    max_trials: int = 10,
    wait: float = 1,
    verbose: bool = True,
    *,
    provider: str | None = None,
    base_url: str | None = None,
) -> dict[str, str]:
    """Find products and bring them to disk, as the old program's function did; for programs without an event loop.

    Args:
        write_dir: Folder for the products; None for the current one.
        auth: File with one line: e-mail and password, or an API key; None looks in the usual places.
        collection: `S1`, `S2`, `S2ST`, `S3`. `S2` means Sentinel-2, whichever collection holds the period.
        product_type: `GRD`, `SLC`, `OCN`, `S2MSI1C`, ...; empty for any.
        sensor_mode: `IW`, `EW`, ...; empty for any.
        no_download: Only look; this is the default, as it was.
        start_date: First day, `2015-11-01`.
        end_date: Day after the last one.
        tile: `31TCJ` or `T31TCJ`.
        location: Place name.
        lat: Latitude of a point in degrees, with `lon`.
        lon: Longitude.
        latmin: Box in degrees, with the next three.
        latmax: North side.
        lonmin: West side.
        lonmax: East side.
        shape: Vector file, or a geometry of geopandas or shapely (EPSG:4326).
        orbit: Relative orbit.
        search_json_file: Where the archive's search reply is written as it came; None for nowhere.
        clouds: Highest cloud cover, percent.
        sat: `S1A`, ...
        extract: Unzip, then remove the zip.
        max_trials: After so many times `wait`, products that are still on tape are given up.
        wait: Minutes; also the longest pause between two looks at the products on tape.
        verbose: Print what happens, not only the statistics and what failed.
        provider: Archive, or several: `geodes,cdse`; None for `PEPSASYNC_PROVIDER`, else the default one.
        base_url: Root of another instance of the archive.

    Returns:
        By product name `existing`, `downloaded`, `on disk`, `on tape`, `staging`, or `unknown` when the archive does
        not say. A product that could not be brought has the word for where it is in the archive.

    Raises:
        PepsasyncError: The run could not go on; the same call resumes it.
        ConfigError: Also inside an event loop, where `async with Client(...)` is to be used.
    """
    _refuse_event_loop()
    period = {"start": start_date, "end": end_date}
    area = {"tile": tile, "location": location, "lat": lat, "lon": lon}
    area |= {"latmin": latmin, "latmax": latmax, "lonmin": lonmin, "lonmax": lonmax}
    area["shape" if isinstance(shape, str | os.PathLike) else "geometry"] = shape
    _check_bounds({**period, **area, "orbit": orbit})
    query = build_query(
        collection=collection,
        product=product_type or None,
        sensor_mode=sensor_mode or None,
        orbit=orbit,
        clouds=None if clouds is None or clouds >= NO_LIMIT or mission_of(collection) == "1" else clouds,
        sat=sat,
        **period,
        **area,
    )
    job = _Job(
        query=query,
        archive=ArchiveOptions(
            auth=in_home(auth, "auth") if auth else None,
            provider=provider or os.environ.get("PEPSASYNC_PROVIDER"),
            base_url=base_url,
        ),
        patience=_patience(max_trials, wait),
        directory=in_home(write_dir or ".", "write_dir"),
        replies=SearchReplies(in_home(search_json_file, "search_json_file")) if search_json_file else None,
        extract=extract,
        only_look=no_download,
        verbose=verbose,
    )
    return anyio.run(job.run)


def _refuse_event_loop() -> None:
    """Raise a ConfigError inside an event loop, be it in a task or in a callback of asyncio."""
    for look in (anyio.get_current_task, asyncio.get_running_loop):
        if _finds(look):
            hint = "Use 'async with pepsasync.Client(...)' here, or run it in a thread"
            raise ConfigError("peps_download() is for programs without an event loop", hint=hint)


def _finds(look: Callable[[], object]) -> bool:
    try:
        look()
    except RuntimeError:
        return False
    return True


def _check_bounds(bounds: Mapping[str, object]) -> None:
    """The collection has a default, so that a call without anything else would order all of it."""
    if all(bound is None for bound in bounds.values()):
        hint = "For example: tile='31TCJ', start_date='2017-01-01', end_date='2017-02-01'"
        raise ConfigError("no place or period is given; the query would mean the whole collection", hint=hint)


def _patience(max_trials: int, wait: float) -> dict[str, Any]:
    """Fields of `Config` for so many trials with so many minutes between them."""
    if max_trials < 1 or not wait >= 0:
        raise ConfigError(f"max_trials={max_trials}, wait={wait}: give at least one trial, and a wait of 0 s or more")
    pause = wait * 60.0 or SHORTEST_TRIAL
    return {"poll_interval_max": pause, "staging_timeout": max_trials * pause}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One call."""

    query: Query
    archive: ArchiveOptions
    patience: dict[str, Any]
    directory: Path
    replies: SearchReplies | None
    extract: bool
    only_look: bool
    verbose: bool

    async def run(self) -> dict[str, str]:
        """Word by product name."""
        async with self.archive.client(**self.patience) as client:
            with self._watched(client):
                found = [product async for product in client.search(self.query)]
                words = await to_thread.run_sync(self._words, found)
                if self.verbose:
                    for name, word in words.items():
                        _print(f"{name} {word}")
                if found and not self.only_look:
                    _tell_statistics(words)
                    words |= await self._bring(client, found)
        _tell_statistics(words)
        return words

    @contextlib.contextmanager
    def _watched(self, client: Client) -> Iterator[None]:
        """Print what the client does, and keep the archive's search replies."""
        with contextlib.ExitStack() as around:
            lines = around.enter_context(Lines(_print, level=NORMAL if self.verbose else QUIET))
            around.enter_context(client.listen(lines.take))
            if self.replies is not None:
                around.enter_context(client.raw_replies(self.replies.take))
                around.enter_context(client.listen(self.replies.watch))
                around.callback(self.replies.write)
            yield

    def _words(self, found: list[Product]) -> dict[str, str]:
        """What is here is existing, as far as its name tells; bringing it looks closer."""
        folder = Folder(self.directory)
        return {
            product.name: EXISTING
            if any(path.exists() for path in folder.final_paths(product.name))
            else TIER_WORDS[product.tier]
            for product in found
        }

    async def _bring(self, client: Client, found: list[Product]) -> dict[str, str]:
        """Word by product name for each that has an outcome; those that the run leaves out have none."""
        words: dict[str, str] = {}
        failed: list[Product] = []
        async for delivery in client.fetch(found, self.directory, extract=self.extract):
            name = delivery.product.name
            if delivery.status in OUTCOME_WORDS:
                words[name] = OUTCOME_WORDS[delivery.status]
            else:
                failed.append(delivery.product)
        return words | await _where(client, failed)


async def _where(client: Client, products: list[Product]) -> dict[str, str]:
    """Words for where products are now; for where they were, when the archive does not tell."""
    tiers: dict[str, StorageTier] = {}
    try:
        tiers = await client.tiers(products)
    except PepsasyncError as error:
        _print(f"note: where they are now is not known: {error.message}")
    return {product.name: TIER_WORDS[tiers.get(product.id, product.tier)] for product in products}


def _tell_statistics(words: dict[str, str]) -> None:
    """How many products are where, in the form of the old program."""
    if not words:
        _print("No product matches the criteria")
        return
    counts = sorted(Counter(words.values()).items())
    _print("Summary:")
    for word, count in counts:
        _print(f"- {word}: {show_count(count)}", indent="\t")
    _print(f"Total to download: {sum(count for word, count in counts if word not in OUTCOME_WORDS.values())}")


def _print(line: str, indent: str = "") -> None:
    with contextlib.suppress(OSError):  # nobody listens any more: the work goes on
        sys.stdout.write(f"{indent}{one_line(line)}\n")
        sys.stdout.flush()
