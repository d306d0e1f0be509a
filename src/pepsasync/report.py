"""The report of a run as JSON: what became of every product."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.model import DeliveryStatus

if TYPE_CHECKING:
    from pepsasync.model import Delivery, Report

SCHEMA = 1
"""Version of the report's shape; grows when a reader of the old shape would go wrong."""


def report_as_dict(report: Report) -> dict[str, Any]:
    """Return a report ready for JSON, in the promised order of fields."""
    left_out = {"left_out": list(report.left_out)} if report.left_out else {}
    return {
        "schema": SCHEMA,
        "provider": report.provider,
        "started": _instant(report.started),
        "seconds": round(report.seconds, 3),
        "summary": _summary(report),
        "products": [_product(delivery) for delivery in report.deliveries],
    } | left_out


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Write a report so that a reader finds the old or the new one, never a half.

    Raises:
        ConfigError: The file cannot be written.
    """
    target = Path(path)
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        new.write_text(json.dumps(report_as_dict(report), ensure_ascii=False, indent=1) + "\n", "utf-8")
        new.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise ConfigError(f"cannot write the report {target}: {error.strerror or error}") from error


def _summary(report: Report) -> dict[str, int]:
    deliveries = report.deliveries
    counts = {status: sum(delivery.status is status for delivery in deliveries) for status in DeliveryStatus}
    return {
        "matched": len(deliveries) + len(report.left_out),
        "delivered": counts[DeliveryStatus.DELIVERED],
        "skipped": counts[DeliveryStatus.SKIPPED],
        "failed": counts[DeliveryStatus.FAILED],
        "bytes": sum(d.bytes for d in deliveries if d.status is DeliveryStatus.DELIVERED),
    }


def _product(delivery: Delivery) -> dict[str, Any]:
    product, error = delivery.product, delivery.error
    return {
        "id": product.id,
        "name": product.name,
        "status": str(delivery.status),
        "path": delivery.path.as_posix() if delivery.path else None,
        "bytes": delivery.bytes,
        "checksum": str(delivery.checksum) if delivery.checksum else None,
        "tier_at_start": str(product.tier),
        "staged_seconds": round(delivery.staged_seconds, 3),
        "download_seconds": round(delivery.download_seconds, 3),
        "attempts": delivery.attempts,
        "resumed_bytes": delivery.resumed_bytes,
        "data_path": delivery.data_path,
        "source": delivery.source or None,
        "error": {"type": type(error).__name__, "message": str(error)} if error else None,
    }


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
