"""The last lines of a run: what became of the products, and what to do about failures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pepsasync.cli.units import show_count, show_duration, show_size
from pepsasync.errors import NotFoundError, RefusedError
from pepsasync.model import DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pepsasync.model import Delivery

MOST_LISTED = 20
"""Failures, and products left out, that are listed one by one; `--report` names them all."""


@dataclass(slots=True)
class Outcomes:
    """What became of the products, in numbers: of a million products nothing else is kept in memory."""

    products: Counter[DeliveryStatus] = field(default_factory=Counter)
    bytes: Counter[DeliveryStatus] = field(default_factory=Counter)
    resumed_bytes: int = 0
    from_tape: int = 0
    reasons: list[str] = field(default_factory=list)
    """Of the first failures."""
    hopeless: int = 0
    """Failures that another try will not mend."""

    def __len__(self) -> int:
        """Outcomes that are known."""
        return self.products.total()

    @property
    def exit_code(self) -> int:
        """1 when a product failed, else 0."""
        return int(self.products[DeliveryStatus.FAILED] > 0)

    def take(self, delivery: Delivery) -> None:
        """Count an outcome."""
        self.products[delivery.status] += 1
        self.bytes[delivery.status] += delivery.bytes
        if delivery.status is DeliveryStatus.DELIVERED:
            self.resumed_bytes += delivery.resumed_bytes
            self.from_tape += delivery.staged_seconds > 0
        elif delivery.status is DeliveryStatus.FAILED:
            self.hopeless += _is_hopeless(delivery)
            if len(self.reasons) < MOST_LISTED:
                self.reasons.append(_reason(delivery))


def summary_lines(
    outcomes: Outcomes,
    *,
    seconds: float,
    received: int,
    directory: Path | None,
    left_out: int = 0,
    left_out_names: Sequence[str] = (),
    unfinished: int = 0,
) -> list[str]:
    """Return the end of a run in a few lines.

    Args:
        outcomes: All of them.
        seconds: How long the run took.
        received: Bytes that came over the network.
        directory: Where the files are; None when they will not stay there.
        left_out: Products on tape that were not waited for.
        left_out_names: The first of them.
        unfinished: Products without an outcome, when the run was ended early.
    """
    delivered, skipped = outcomes.products[DeliveryStatus.DELIVERED], outcomes.products[DeliveryStatus.SKIPPED]
    if not outcomes and not left_out and not unfinished:
        return ["nothing matches: no product fits these criteria"]
    lines = [_delivered(outcomes, seconds, received)] if delivered else []
    if skipped:
        lines.append(f"already here: {show_count(skipped)}, {show_size(outcomes.bytes[DeliveryStatus.SKIPPED])}")
    if directory and (delivered or skipped):
        lines.append(f"files are in {directory.absolute()}")
    lines += _failed(outcomes)
    if left_out:
        lines += [f"left out, on tape: {show_count(left_out)}", *_listed(left_out_names, left_out)]
    if unfinished:
        lines.append(f"not finished: {show_count(unfinished)}; what was received is kept")
    return lines


def _delivered(outcomes: Outcomes, seconds: float, received: int) -> str:
    count, size = outcomes.products[DeliveryStatus.DELIVERED], outcomes.bytes[DeliveryStatus.DELIVERED]
    tape = f", {outcomes.from_tape:,} of them from tape" if outcomes.from_tape else ""
    came = f"; {show_size(received)} of it came" if outcomes.resumed_bytes and received < size else ""
    speed = f" ({show_size(received / seconds)}/s on average)" if seconds > 0 else ""
    return f"delivered: {show_count(count)}, {show_size(size)}{came} in {show_duration(seconds)}{speed}{tape}"


def _failed(outcomes: Outcomes) -> list[str]:
    count = outcomes.products[DeliveryStatus.FAILED]
    if not count:
        return []
    again = ["run the same command again to try the failed ones once more"] if count > outcomes.hopeless else []
    return [f"failed: {show_count(count)}", *_listed(outcomes.reasons, count), *again]


def _listed(texts: Sequence[str], count: int) -> list[str]:
    listed = [f"  {text}" for text in texts[:MOST_LISTED]]
    if count > MOST_LISTED:
        listed.append(f"  and {count - MOST_LISTED:,} more; --report FILE names them all")
    return listed


def _is_hopeless(delivery: Delivery) -> bool:
    """Whether the archive does not know the name, or refuses the request."""
    is_unknown = isinstance(delivery.error, NotFoundError) and not delivery.product.download_url
    return is_unknown or isinstance(delivery.error, RefusedError)


def _reason(delivery: Delivery) -> str:
    text = str(delivery.error)
    return text if delivery.product.name in text else f"{delivery.product.name}: {text}"
