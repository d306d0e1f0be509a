"""`peps_download()`: the function of the old script, with its parameters and its words."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from pepsasync.cli.lines import NORMAL, QUIET, Lines
from pepsasync.cli.records import SearchReplies
from pepsasync.client import Client
from pepsasync.credentials import read_auth_file
from pepsasync.criteria import build_query
from pepsasync.errors import ConfigError
from pepsasync.model import DeliveryStatus, StorageTier
from pepsasync.settings import read_settings

if TYPE_CHECKING:
    import os

    from pepsasync.model import Delivery, Product, Query

TIER_WORDS = {
    StorageTier.DISK: "on disk",
    StorageTier.TAPE: "on tape",
    StorageTier.STAGING: "staging",
    StorageTier.UNKNOWN: "unknown",
}
"""The old program's words for where a product is."""

OUTCOME_WORDS = {DeliveryStatus.DELIVERED: "downloaded", DeliveryStatus.SKIPPED: "existing"}

NO_LIMIT = 100
"""The old default for clouds, which leaves out nothing."""


def peps_download(  # noqa: PLR0917 - the parameters of the old function, in their order
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
    clouds: float = NO_LIMIT,
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
        wait: Minutes.
        verbose: Print what happens, not only the statistics at the end.
        provider: Archive; None for the default one.
        base_url: Root of another instance of the archive.

    Returns:
        By product name `existing`, `downloaded`, `on disk`, `on tape`, `staging`, or `unknown`.

    Raises:
        PepsasyncError: The run could not go on. A product that failed keeps the word for where it is in the archive.
        ConfigError: Also inside an event loop, where `await client.download(...)` is to be used.
    """
    area = {"lat": lat, "lon": lon, "latmin": latmin, "latmax": latmax, "lonmin": lonmin, "lonmax": lonmax}
    is_path = isinstance(shape, str | Path)
    query = build_query(
        collection=collection,
        product=product_type,
        sensor_mode=sensor_mode,
        start=start_date,
        end=end_date,
        tile=tile,
        location=location,
        shape=shape if is_path else None,
        geometry=None if is_path else shape,
        orbit=orbit,
        clouds=None if clouds >= NO_LIMIT else clouds,
        sat=sat,
        **area,
    )
    patience = {"poll_interval_max": max(wait * 60.0, 1e-3), "staging_timeout": max(max_trials * wait * 60.0, 1e-3)}
    job = _Job(query, Path(write_dir or "."), extract=extract, verbose=verbose, only_look=no_download)
    try:
        return anyio.run(job.run, provider, auth, base_url, patience, search_json_file)
    except RuntimeError as error:
        if "lready running" not in str(error):
            raise
        hint = "Use 'async with pepsasync.Client(...)' here"
        raise ConfigError("peps_download() is for programs without an event loop", hint=hint) from error


class _Job:
    """One call."""

    def __init__(self, query: Query, directory: Path, *, extract: bool, verbose: bool, only_look: bool) -> None:
        self._query = query
        self._directory = directory
        self._extract = extract
        self._only_look = only_look
        self._lines = Lines(_print, level=NORMAL if verbose else QUIET)

    async def run(
        self,
        provider: str | None,
        auth: str | os.PathLike[str] | None,
        base_url: str | None,
        patience: dict[str, float],
        search_json_file: str | os.PathLike[str] | None,
    ) -> dict[str, str]:
        settings = read_settings({})
        name = settings.choose(provider)
        credentials = read_auth_file(auth, name) if auth is not None else None
        patience["poll_interval"] = min(patience["poll_interval_max"], 5.0)
        async with Client(
            name, credentials=credentials, config=settings.config(**patience), base_url=base_url
        ) as client:
            with contextlib.ExitStack() as around:
                if search_json_file is not None:
                    replies = SearchReplies(Path(search_json_file))
                    around.enter_context(client.raw_replies(replies.take))
                    around.callback(replies.write)
                around.enter_context(client.listen(self._lines.take))
                found = {product.name: product async for product in client.search(self._query)}
                words = {name: TIER_WORDS[product.tier] for name, product in found.items()}
                if not self._only_look:
                    words |= await self._bring(client, found)
        self._lines.flush()
        _tell_statistics(words)
        return words

    async def _bring(self, client: Client, found: dict[str, Product]) -> dict[str, str]:
        fetched = client.fetch(list(found.values()), self._directory, extract=self._extract)
        outcomes: list[Delivery] = [delivery async for delivery in fetched]
        failed = [found[one.product.name] for one in outcomes if one.status is DeliveryStatus.FAILED]
        tiers = await client.tiers(failed) if failed else {}
        here = {one.product.name: OUTCOME_WORDS[one.status] for one in outcomes if one.status in OUTCOME_WORDS}
        return here | {product.name: TIER_WORDS[tiers.get(product.id, product.tier)] for product in failed}


def _tell_statistics(words: dict[str, str]) -> None:
    """The last lines of the old program: how many products are where."""
    if not words:
        _print("No product matches the criteria")
    for word, count in sorted(Counter(words.values()).items()):
        _print(f"{word}: {count:,}")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
