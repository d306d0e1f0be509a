"""What earlier runs into a folder have measured, from its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError
from pepsasync.limits.estimate import TapePace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def earlier(directory: Path) -> tuple[float | None, TapePace]:
    """Bytes a second that the last run into a folder reached, and how its archive brought products from tape."""
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415 - not needed for help

    try:
        with JournalReader(directory) as reader:
            noted = reader.now()
    except ConfigError:
        return None, TapePace()
    return noted.get("speed") or None, pace_of(noted)


def pace_of(noted: Mapping[str, float | None]) -> TapePace:
    """What was learned of the tape, from the figures of a run."""
    return TapePace(wait=_range(noted, "wait"), interval=_range(noted, "interval"))


def _range(noted: Mapping[str, float | None], name: str) -> tuple[float, float] | None:
    low, high = noted.get(f"{name}_low"), noted.get(f"{name}_high")
    return (low, high) if isinstance(low, float) and isinstance(high, float) and 0 <= low <= high else None
