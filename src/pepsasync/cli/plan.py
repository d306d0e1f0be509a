"""What an order would take, without doing it: `plan`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from typer import Exit

from pepsasync.cli.options import (
    ArchiveOptions,
    DeliveryOptions,
    OutputOptions,
    QueryOptions,
    TextOrJson,
    flatten,
)
from pepsasync.cli.order import SaveOrder, save_order
from pepsasync.cli.search import Found, look_for
from pepsasync.cli.session import Session
from pepsasync.display.figures import earlier
from pepsasync.display.output import ON_TAPE, TIER_WORDS, show, show_json
from pepsasync.errors import PepsasyncError
from pepsasync.folder.layout import Folder
from pepsasync.folder.space import MARGIN, UNPACKED, fits, free_bytes
from pepsasync.limits.estimate import Work, quota_seconds, time_left, transfer_seconds
from pepsasync.model import StorageTier
from pepsasync.units import show_count, show_duration, show_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pepsasync.client import Client
    from pepsasync.limits.estimate import TapePace, TimeLeft
    from pepsasync.model import Product, Query, Quota
    from pepsasync.query.members import Selection

SAMPLED = 2
"""Products of one type whose directories are read, to tell what the wanted members of all need."""

MOST_TYPES = 4

DISK_FULL = 5
"""Exit code for an order that does not fit."""


@flatten(without=("--report", "--events", "--on-delivered", "-0", "--null", "--serve"))
def plan(
    *,
    query: QueryOptions,
    archive: ArchiveOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
    form: TextOrJson = "text",
    order: SaveOrder = None,
) -> None:
    """Estimate a fetch: products, tape, disk space, time. Nothing is staged, fetched or written.

    With --bands, --include or --exclude the directories of a few products that are online are read, to tell the bytes
    that are saved; that needs an account.

    Ends with 5 when the disk is too small.
    """
    query = query.settled(archive, output)
    session, wanted, folder = Session(output), query.build(), delivery.target.refuse("plan")
    Folder(folder).check()
    if order:
        save_order(order, query, archive, delivery)
    found, quota, sample = session.run(_find, session, archive, wanted, delivery)
    rate, pace = earlier(folder)
    estimate = estimate_order(
        found.products, Folder(folder), extract=delivery.extract, quota=quota, rate=rate, pace=pace, sample=sample
    )
    if form == "json":
        show_json(estimate.as_dict())
    for line in estimate.lines() if form == "text" else ():
        show(line)
    if not estimate.fits:
        session.say("the disk is too small: free some space, choose another folder with -w, or ask for less")
        raise Exit(DISK_FULL)
    raise Exit(found.exit_code)


async def _find(
    session: Session, archive: ArchiveOptions, wanted: Query, delivery: DeliveryOptions
) -> tuple[Found, Quota | None, Sample | None]:
    """What matches, the quota of the account that would fetch it, and what is wanted of a few of them."""
    selection = delivery.selection
    async with archive.client(delivery) as client:
        found = await look_for(client, wanted, session)
        mine = [one for one in found.products if delivery.shard is None or delivery.shard.has(one.name)]
        sample = await look_into(client, mine, selection) if selection else None
        return replace(found, products=mine), client.quota, sample


@dataclass(frozen=True, slots=True)
class Sample:
    """What is wanted of a few products, to tell how much that is of all of them."""

    selection: Selection
    packed: dict[str | None, float]
    """Bytes that come for one byte of a zip, by product type."""
    unpacked: dict[str | None, float]
    """Bytes on the disk for one byte of a zip."""
    looked_at: int
    """Products."""
    trouble: str = ""
    """Why nothing is known."""
    is_whole: bool = False
    """Whether the archive serves whole products only."""

    def came(self, product: Product) -> int:
        """Bytes that come of a product, about."""
        return int((product.size or 0) * (1.0 if self.is_whole else _share(self.packed, product)))

    def stays(self, product: Product) -> int:
        """Bytes of a product that are on the disk then, about."""
        return int((product.size or 0) * _share(self.unpacked, product))


def _share(shares: dict[str | None, float], product: Product) -> float:
    """Of products of the same type, else of all; everything where nothing is known."""
    return shares.get(product.product_type, sum(shares.values()) / len(shares) if shares else 1.0)


async def look_into(client: Client, products: Sequence[Product], selection: Selection) -> Sample:
    """Read the directories of a few products that are online: the first of each type.

    Args:
        client: Open.
        products: That were found.
        selection: What is wanted of each.
    """
    from pepsasync.members.remote_zip import NoRangesError  # noqa: PLC0415 - not needed for help

    online = [product for product in products if product.tier is StorageTier.DISK and product.size]
    by_type: dict[str | None, list[Product]] = {}
    for product in online:
        by_type.setdefault(product.product_type, []).append(product)
    sample = Sample(selection, {}, {}, 0, "" if online else "none of the products is online")
    for kind, some in [*by_type.items()][:MOST_TYPES]:
        size = packed = unpacked = 0
        for product in some[:SAMPLED]:
            try:
                members = {member.path: member for member in await client.members(product)}
            except NoRangesError:
                return replace(sample, is_whole=True)
            except PepsasyncError as error:
                sample = replace(sample, trouble=str(error))
                continue
            chosen = [members[path] for path in selection.chosen(members)]
            size += product.size or 0
            packed += sum(member.packed_size for member in chosen)
            unpacked += sum(member.size for member in chosen)
            sample = replace(sample, looked_at=sample.looked_at + 1)
        if size:
            sample.packed[kind], sample.unpacked[kind] = packed / size, unpacked / size
    return sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is to be done for an order. Sizes in bytes, times in seconds; None for what nobody knows."""

    products: int
    size: int
    """Of all products whose size is known."""
    unknown_sizes: int
    tiers: dict[str, int]
    here: int
    """Already complete and verified."""
    left: int
    """To be fetched."""
    left_size: int
    """Bytes to be fetched, without what parts hold already."""
    disk_needed: int
    disk_free: int
    quota_wait: float
    """That the quota of the account makes it last, at least."""
    transfer: float | None
    """That the line needs, at the rate that was last measured in this folder."""
    time_left: TimeLeft
    """Until everything is here, tape included."""
    whole_size: int = 0
    """Bytes that would have to be fetched of whole products."""
    sample: Sample | None = None
    """Of the members that are wanted; None for whole products."""

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return fits(self.disk_needed, self.disk_free)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "schema": 1,
            "products": self.products,
            "bytes": self.size,
            "unknown_sizes": self.unknown_sizes,
            "tiers": self.tiers,
            "already_here": self.here,
            "to_fetch": {"products": self.left, "bytes": self.left_size},
            "disk": {
                "needed": self.disk_needed,
                "free": self.disk_free,
                "kept_back": MARGIN,
                "fits": self.fits,
            },
            "estimate": {
                "quota_seconds": self.quota_wait,
                "transfer_seconds": self.transfer,
                "time_left": self.time_left.as_dict(),
            },
            "members": self._members_as_dict(),
        }

    def _members_as_dict(self) -> dict[str, Any] | None:
        """What is known of the members that are wanted; None for whole products."""
        if self.sample is None:
            return None
        return self.sample.selection.as_dict() | {
            "looked_at": self.sample.looked_at,
            "is_known": bool(self.sample.looked_at),
            "is_whole": self.sample.is_whole,
            "saved_bytes": self.whole_size - self.left_size,
        }

    def lines(self) -> list[str]:
        """For people."""
        where = ", ".join(f"{count:,} {TIER_WORDS.get(tier, tier)}" for tier, count in sorted(self.tiers.items()))
        rows = [
            ("matches", f"{show_count(self.products)}, {show_size(self.size)}{': ' + where if where else ''}"),
            ("already here", show_count(self.here)),
            ("to fetch", f"{show_count(self.left)}, {show_size(self.left_size)}"),
            ("disk", self._disk()),
            ("time", self._time()),
        ]
        if self.sample is not None:
            rows.insert(3, ("members", self._members(self.sample)))
        if self.unknown_sizes:
            rows.insert(1, ("without a size", f"{show_count(self.unknown_sizes)}, not counted in what follows"))
        return [f"{name:<15} {text}" for name, text in rows]

    def _members(self, sample: Sample) -> str:
        """What is saved by fetching members only."""
        if sample.is_whole:
            return "the archive does not serve parts: whole products are fetched, and what is not wanted is removed"
        if not sample.looked_at:
            return f"how much of the products is wanted is not known: {sample.trouble or 'nobody was asked'}"
        if not self.whole_size:
            return f"{sample.selection}"
        saved = self.whole_size - self.left_size
        share = f"{show_size(saved)} of {show_size(self.whole_size)} saved, {100 * saved / self.whole_size:.0f} %"
        return f"about {share}; by the directories of {show_count(sample.looked_at)}"

    def _disk(self) -> str:
        kept_back = f"the last {show_size(MARGIN)} are kept back"
        return f"{show_size(self.disk_needed)} needed, {show_size(self.disk_free)} free, {kept_back}"

    def _time(self) -> str:
        if not self.left:
            return "nothing is left to do"
        quota = f", {show_duration(self.quota_wait)} of it for the quota of the account" if self.quota_wait else ""
        return f"{str(self.time_left).removeprefix('time left: ').replace(' left', '')}{quota}"


def estimate_order(
    products: Sequence[Product],
    folder: Folder,
    *,
    extract: bool,
    quota: Quota | None,
    rate: float | None,
    pace: TapePace,
    sample: Sample | None = None,
) -> Estimate:
    """Work out what an order would take; blocks, reads the folder, changes nothing.

    Args:
        products: What was found.
        folder: The user's folder, which may not be there yet.
        extract: Whether products are unpacked.
        quota: Of the account.
        rate: Bytes a second; None when it was never measured.
        pace: Of the tape, as an earlier run has learned it.
        sample: Of the members that are wanted; None for whole products.
    """
    from pepsasync.transfer.existing import is_here  # noqa: PLC0415 - loads zip and XML readers

    selection = sample.selection if sample else None
    left = [product for product in products if not is_here(product, folder, selection)]
    whole = sum(max(0, (product.size or 0) - folder.unfinished_length(product)) for product in left)
    to_come, unpacked = whole, sum(int((product.size or 0) * UNPACKED) for product in left) if extract else 0
    if sample and not sample.is_whole:
        to_come, unpacked = sum(map(sample.came, left)), sum(map(sample.stays, left))
    on_tape = sum(product.tier in ON_TAPE for product in left)
    unknown = sum(product.tier is StorageTier.UNKNOWN for product in left)
    work = Work(products=len(left), size=to_come, on_tape=on_tape, maybe_on_tape=unknown)
    return Estimate(
        products=len(products),
        size=sum(product.size or 0 for product in products),
        unknown_sizes=sum(product.size is None for product in products),
        tiers=dict(Counter(str(product.tier) for product in products)),
        here=len(products) - len(left),
        left=len(left),
        left_size=to_come,
        disk_needed=max(unpacked, to_come),
        disk_free=free_bytes(folder.directory),
        quota_wait=quota_seconds(len(left) * (2 if sample and not sample.is_whole else 1), quota),  # with the directory
        transfer=transfer_seconds(to_come, rate),
        time_left=time_left(work, rate=rate, pace=pace, quota=quota),
        whole_size=whole,
        sample=sample,
    )
