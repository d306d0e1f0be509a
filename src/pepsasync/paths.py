"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    import os


def in_home(path: str | os.PathLike[str], what: str = "") -> Path:
    """Return a path as a user writes it: `~` is the home folder, `~NAME` that of somebody else.

    Args:
        path: What was written.
        what: What to name in the error.

    Raises:
        ConfigError: There is no such home, or it is the address of a bucket.
    """
    if str(path).lower().startswith("s3:/"):
        named = f"{what}: " if what else ""
        raise ConfigError(f"{named}{path} is the address of a bucket, where a path on this machine is needed")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        first = Path(path).parts[0]
        hint = f"For a file or folder of this name write {Path('.', path)!s}" if first == str(path) else ""
        raise ConfigError(f"{what + ': ' if what else ''}there is no home folder {first}", hint=hint) from error
