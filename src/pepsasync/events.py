"""What happens in a run, as data: the only thing that progress displays, logs and `--events` see.

Each event is a frozen dataclass; its name on the wire is the class name in snake case (`product_staged`). Events are
past tense of the pipeline's verbs: search, stage, watch, download, verify, extract.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events."""

    @property
    def event(self) -> str:
        """Name on the wire: `product_staged` for `ProductStaged`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    def as_dict(self) -> dict[str, Any]:
        """Name and fields, ready for JSON."""
        return {"event": self.event, **{f.name: getattr(self, f.name) for f in fields(self)}}


Emit = Callable[[Event], None]
"""Takes an event without waiting and without raising."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSearched(Event):
    """One page of catalogue results arrived."""

    page: int
    products: int
    total: int | None
    """Matches in the whole catalogue, as the archive estimates; None when it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFinished(Event):
    """The last page arrived."""

    products: int
    """Products that matched and are wanted."""
    bytes: int
    """Sum of the sizes that are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFellShort(Event):
    """Far fewer results came than the archive had estimated, also when it was asked again."""

    announced: int
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductEvent(Event):
    """Base of the events about one product."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFound(ProductEvent):
    """A product matched and its delivery began."""

    tier: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSuperseded(ProductEvent):
    """Another product of the same name, published later or found first, is brought in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingRequested(ProductEvent):
    """The archive was asked to bring the product from tape."""

    times: int
    """1 for the first request."""
    retry_after: float | None
    """Seconds that the archive announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductAwaited(ProductEvent):
    """The run waits for a product on tape without asking for it: an earlier run did, or somebody has to by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TiersWatched(Event):
    """One look at all products that wait for tape."""

    waiting: int
    online: int
    """Products that this look found online."""
    next_poll: float
    """Seconds until the next look."""
    error: str | None = None
    """Why the look failed, if it did."""
    looked: bool = True
    """False when somebody waits from now on, and the first look is still to come."""
    usual_wait: tuple[float, float] | None = None
    """Shortest and longest time to online of the latest products, in seconds; None while it is not known."""
    usual_interval: tuple[float, float] | None = None
    """Usual seconds between two products that come online, low and high; None while they are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductStaged(ProductEvent):
    """The product is online."""

    seconds: float
    """Since the first staging request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaReached(Event):
    """No download may begin for a while: the account has had as many products as the archive allows."""

    wait: float
    """Seconds until the next one may, as far as known; 0 when it may now, earlier than was told."""
    next_look: float | None = None
    """Seconds until the archive is asked whether it may earlier; None when it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadStarted(ProductEvent):
    """The archive sends the product."""

    offset: int
    """Bytes that were already here."""
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadProgressed(ProductEvent):
    """More bytes arrived. At most every 0.1 s a product; displays may drop it."""

    received: int
    """Bytes of the product that are here now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadRetried(ProductEvent):
    """A try failed and another follows."""

    error: str
    attempt: int
    wait: float
    """Seconds until the next try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductDownloaded(ProductEvent):
    """All bytes are here, not yet verified."""

    bytes: int
    seconds: float
    resumed_bytes: int
    data_path: str
    """`drained`: read by a thread past the event loop; `plain`: chunk by chunk over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductVerified(ProductEvent):
    """Size, checksum and zip structure are right."""

    checksum: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductExtracted(ProductEvent):
    """The zip was unpacked and removed."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductDelivered(ProductEvent):
    """The product has its final name."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFailed(ProductEvent):
    """What was to be done with a delivered product went wrong; the product is there all the same."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductMoved(ProductEvent):
    """What was done with a delivered product took it out of the folder, where it is not missed from then on."""

    path: str
    """Where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRemoved(ProductEvent):
    """A sync took the product out of the folder: a newer processing was brought, or the archive has withdrawn it."""

    path: str
    """Where it was."""
    kept: str
    """Where it is now; empty when it is no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSkipped(ProductEvent):
    """The product was already there, complete and verified."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductLeftOut(ProductEvent):
    """The product is on tape, and the run was told not to wait for such products."""

    tier: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFailed(ProductEvent):
    """The product could not be delivered."""

    error: str
    """Class of the error."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed(Event):
    """Something the user should know and that changes nothing."""

    message: str
