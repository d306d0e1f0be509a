"""The last lines of a run: what became of the products, and what to do about failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.cli.units import show_count, show_duration, show_size
from pepsasync.model import DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pepsasync.model import Delivery

MOST_LISTED = 20
"""Failures, and products left out, that are listed one by one; `--report` names them all."""


def summary_lines(
    deliveries: Sequence[Delivery],
    *,
    seconds: float,
    directory: Path,
    left_out: Sequence[str] = (),
    unfinished: int = 0,
) -> list[str]:
    """Return the end of a run in a few lines.

    Args:
        deliveries: All outcomes.
        seconds: How long the run took.
        directory: Where the files are.
        left_out: Names of the products on tape that were not waited for.
        unfinished: Products without an outcome, when the run was ended early.
    """
    by_status = {status: [d for d in deliveries if d.status is status] for status in DeliveryStatus}
    delivered, skipped = by_status[DeliveryStatus.DELIVERED], by_status[DeliveryStatus.SKIPPED]
    failed = by_status[DeliveryStatus.FAILED]
    if not deliveries and not left_out and not unfinished:
        return ["nothing matches: no product fits these criteria"]
    lines = [_delivered(delivered, seconds)] if delivered else []
    if skipped:
        size = show_size(sum(delivery.bytes for delivery in skipped))
        lines.append(f"already here: {show_count(len(skipped))}, {size}")
    if delivered or skipped:
        lines.append(f"files are in {directory.absolute()}")
    lines += _failed(failed)
    if left_out:
        lines += [f"left out, on tape: {show_count(len(left_out))}", *_listed(left_out)]
    if unfinished:
        lines.append(f"not finished: {show_count(unfinished)}; what was received is kept")
    return lines


def _delivered(delivered: Sequence[Delivery], seconds: float) -> str:
    size = sum(delivery.bytes for delivery in delivered)
    fetched = size - sum(delivery.resumed_bytes for delivery in delivered)
    staged = sum(delivery.staged_seconds > 0 for delivery in delivered)
    tape = f", {staged:,} of them from tape" if staged else ""
    speed = f" ({show_size(max(0, fetched) / seconds)}/s on average)" if seconds > 0 else ""
    return f"delivered: {show_count(len(delivered))}, {show_size(size)} in {show_duration(seconds)}{speed}{tape}"


def _failed(failed: Sequence[Delivery]) -> list[str]:
    if not failed:
        return []
    listed = _listed([_reason(delivery) for delivery in failed])
    again = "run the same command again to try the failed ones once more"
    return [f"failed: {show_count(len(failed))}", *listed, again]


def _listed(texts: Sequence[str]) -> list[str]:
    listed = [f"  {text}" for text in texts[:MOST_LISTED]]
    if len(texts) > MOST_LISTED:
        listed.append(f"  and {len(texts) - MOST_LISTED:,} more; --report FILE names them all")
    return listed


def _reason(delivery: Delivery) -> str:
    text = str(delivery.error)
    return text if delivery.product.name in text else f"{delivery.product.name}: {text}"
