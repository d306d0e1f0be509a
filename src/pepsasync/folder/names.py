"""Paths: as users write them, and names on disk that cannot leave the folder they belong to."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    import os

MAX_NAME = 200
"""Longest product name used as a file name, in characters: leaves room for suffixes within the 255 bytes of ext4."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._\-]+")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def in_home(path: str | os.PathLike[str], what: str = "") -> Path:
    """Return a path as a user writes it: `~` is the home folder, `~NAME` that of somebody else.

    Args:
        path: What was written.
        what: What to name in the error.

    Raises:
        ConfigError: There is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        first = Path(path).parts[0]
        hint = f"For a file or folder of this name write {Path('.', path)!s}" if first == str(path) else ""
        raise ConfigError(f"{what + ': ' if what else ''}there is no home folder {first}", hint=hint) from error


def safe_name(name: str) -> str:
    """Turn a product name from an archive's reply into a plain file name.

    Real Sentinel names come back unchanged. Anything else (separators, control characters, `..`, reserved Windows
    names, very long names, nothing at all) becomes a readable name with a digest of the original, so that two
    different hostile names never meet in one file.

    Args:
        name: As the archive wrote it, without extension.

    Returns:
        Between 1 and `MAX_NAME` characters of `[A-Za-z0-9._-]`, not starting with a dot.
    """
    clean = _UNSAFE.sub("_", name).lstrip(".").rstrip(".")
    if clean == name and clean and len(clean) <= MAX_NAME and not _RESERVED.match(clean):
        return clean
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"x_{clean[: MAX_NAME - 22].strip('._') or 'product'}.{digest}"
