"""What the shell may write at the end of a command line. Nothing is asked of an archive: a key was pressed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def complete_collection(incomplete: str) -> list[str]:
    """Archives, and the collections of the one that is used."""
    from pepsasync.providers import provider_names  # noqa: PLC0415 - only when a key was pressed
    from pepsasync.providers.collections import names_of  # noqa: PLC0415

    return _beginning((*provider_names(), *names_of(_provider())), incomplete)


def complete_attribute(incomplete: str) -> list[str]:
    """Attributes that the archive that is used is known to have, with the sign that follows."""
    from pepsasync.providers.completion import attributes_of  # noqa: PLC0415 - only when a key was pressed

    return _beginning((f"{name}=" for name in attributes_of(_provider())), incomplete)


def _provider() -> str:
    """The archive that a command would use without --provider; the usual one when the config file is wrong."""
    from pepsasync.errors import ConfigError  # noqa: PLC0415
    from pepsasync.providers import DEFAULT_PROVIDER  # noqa: PLC0415
    from pepsasync.settings import read_settings  # noqa: PLC0415

    try:
        return read_settings(os.environ).choose(os.environ.get("PEPSASYNC_PROVIDER") or None)
    except ConfigError:
        return DEFAULT_PROVIDER


def _beginning(names: tuple[str, ...] | Iterator[str], text: str) -> list[str]:
    return [name for name in names if name.lower().startswith(text.lower())]
