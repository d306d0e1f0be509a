"""Keys of a product in a bucket, behind the prefix of its destination."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pepsasync.folder.layout import STATE
from pepsasync.folder.names import is_single_file, safe_name

if TYPE_CHECKING:
    from pepsasync.bucket.address import Address
    from pepsasync.folder.layout import PartNote

PARTS = f"{STATE}/parts/"
"""What is unfinished."""

KEPT = f"{STATE}/kept/"
"""What others have put under final keys, and was wrong."""


def final_keys(address: Address, name: str) -> tuple[str, ...]:
    """Final keys that a product may have: of its zip, and of a file that is no zip."""
    plain = safe_name(name)
    return tuple(address.prefix + file for file in (f"{plain}.zip", *([plain] if is_single_file(plain) else [])))


def unfinished_prefix(address: Address, name: str) -> str:
    """What the keys of all unfinished uploads of a product begin with."""
    return f"{address.prefix}{PARTS}{safe_name(name)}/"


def unfinished_key(address: Address, name: str, note: PartNote) -> str:
    """Key of the unfinished upload of one file: that of the same bytes is the same in every archive and program.

    Args:
        address: Of the bucket.
        name: Of the product.
        note: Which file it is. By its checksums, MD5 before others since most archives announce it.
    """
    known = dict(each.partition(":")[::2] for each in note.checksums)
    algorithm = "md5" if "md5" in known else next(iter(sorted(known)), "")
    file = f"{algorithm}:{known[algorithm]}" if algorithm else f"{note.source}:{note.id}"
    digest = hashlib.sha256(f"{note.size} {file}".encode("utf-8", "surrogatepass")).hexdigest()[:20]
    return unfinished_prefix(address, name) + digest
