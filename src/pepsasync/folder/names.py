"""Names on disk that cannot leave the folder they belong to."""

from __future__ import annotations

import hashlib
import re

MAX_NAME = 200
"""Longest product name used as a file name, in characters: leaves room for suffixes within the 255 bytes of ext4."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._\-]+")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


_SINGLE = re.compile(
    r"\.(nc|nc4|cdf|h5|hdf|hdf5|he5|tiff?|jp2|eof|xml|kml|csv|grib2?|grb2?|tar|tgz|tbz2?|txz|(\w+\.)?(gz|bz2|xz))$",
    re.IGNORECASE,
)
"""Ends of names of products that are one file."""


def is_single_file(name: str) -> bool:
    """Whether the name of a product is that of one file, which is kept as it is when it is no zip."""
    return _SINGLE.search(name) is not None


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
