"""What an order remembers from one time to the next: `DIR/.pepsasync/orders/NAME.json`. Blocks for a moment."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pepsasync.folder.files import disk_errors, make_own_folder, read_own, replace_text

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1


@dataclass(slots=True)
class Memory:
    """What an order remembers. Losing it costs no product: everything is looked at again."""

    wanted: Any = None
    """The query and the archives, as JSON; an order that was changed looks at everything again."""
    marker: datetime | None = None
    """Publication date up to which everything was delivered."""
    names: set[str] = field(default_factory=set)
    """Products that were asked for. Only they are ever set aside or removed."""
    moved: set[str] = field(default_factory=set)
    """Those that what is done with delivered products took out of the folder; they are not missed."""
    replaced: dict[str, str] = field(default_factory=dict)
    """Newer processing by the name of a product that is here, not yet brought in its place."""


def read_memory(path: Path) -> Memory:
    """Return what an order remembers; nothing when there is nothing, or when it cannot be understood."""
    try:
        values = json.loads(read_own(path))
        if values["schema"] != SCHEMA:
            return Memory()
        return Memory(
            values["wanted"],
            datetime.fromisoformat(values["marker"]) if values["marker"] else None,
            {str(name) for name in values["names"]},
            {str(name) for name in values["moved"]},
            {str(old): str(new) for old, new in values["replaced"].items()},
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Memory()


def rename_memory(before: Path, path: Path) -> None:
    """Let what an order remembers have another name, unless there is something of that name already.

    Raises:
        ConfigError, DiskFullError: It cannot be renamed.
    """
    if not path.exists() and before.is_file():
        with disk_errors(path):
            before.replace(path)


def write_memory(path: Path, memory: Memory) -> None:
    """Write what an order remembers: all of it or nothing.

    Raises:
        ConfigError, DiskFullError: It cannot be written.
    """
    values = {
        "schema": SCHEMA,
        "wanted": memory.wanted,
        "marker": memory.marker.isoformat() if memory.marker else None,
        "names": sorted(memory.names),
        "moved": sorted(memory.moved),
        "replaced": memory.replaced,
    }
    with disk_errors(path):
        make_own_folder(path.parent)
        replace_text(path, json.dumps(values, indent=0), is_synced=True)
