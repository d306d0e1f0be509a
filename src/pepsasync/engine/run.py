"""What the products of a run share, and what is remembered of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from pepsasync.engine.in_progress import Claims
from pepsasync.events import Noticed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pepsasync.engine.sources import Sources
    from pepsasync.engine.watch import OnlineWatch
    from pepsasync.model import Delivery, Product
    from pepsasync.transfer.line import Line
    from pepsasync.transfer.old_transfer import Received


@dataclass(frozen=True, slots=True)
class Run:
    """What all products of a run share."""

    line: Line
    watch: OnlineWatch
    extract: bool = False
    on_delivered: Callable[[Delivery], Awaitable[None]] | None = None
    """Awaited for each product that this run delivered; what it raises is told and changes nothing."""
    asked_before: dict[tuple[str, str], int] = field(default_factory=dict)
    """Staging requests of an earlier run, by archive and id of products that it waited for; taken out as they are used.
    """
    sources: Sources | None = None
    """All archives of the run when there are several; this one is then searched, and asked first."""
    claims: Claims = field(default_factory=Claims)
    """Products under way in this folder, of this and other runs of the client."""
    advised: set[str] = field(default_factory=set)
    """What the user was told to do; each piece of advice is told once."""

    def was_asked_before(self, product: Product) -> bool:
        """Whether an earlier run asked this archive for a product that this one has not touched yet."""
        return (product.provider, product.id) in self.asked_before

    def advise(self, advice: str) -> None:
        """Tell the user what to do, unless it was told before."""
        if advice and advice not in self.advised:
            self.advised.add(advice)
            self.line.emit(Noticed(message=advice))


@dataclass(slots=True)
class Log:
    """What is worth telling of one product's path, filled on the way."""

    product: Product
    staging_requests: int = 0
    asked_at: float | None = None
    staged_seconds: float = 0.0
    download_began: float | None = None
    fallbacks: int = 0
    fresh_tries: int = 0
    attempts: int = 0
    received: Received | None = field(default=None)
    source: str = ""
    """Archive that the bytes come from, when there are several."""

    @property
    def who(self) -> dict[str, str]:
        """Id and name, for events."""
        return {"id": self.product.id, "name": self.product.name}

    def begin_wait(self) -> float:
        """When the product was first waited for: at the first call of this."""
        self.asked_at = anyio.current_time() if self.asked_at is None else self.asked_at
        return self.asked_at

    def deadline(self, run: Run) -> float:
        """When the archive has had long enough to bring the product online."""
        return self.begin_wait() + run.line.config.staging_timeout
