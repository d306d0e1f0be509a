"""Addresses of buckets, as users write them, and the folder on this machine that holds the journal of each."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEME = "s3://"

LONGEST_KEY = 1024
"""Bytes of a key (S3 user guide, "Naming Amazon S3 objects")."""

LONGEST_NAME = 300
"""Bytes of a key that are left for what stands behind the prefix."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", re.ASCII)

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the products of an order are put."""

    bucket: str
    prefix: str = ""
    """Empty, or ends with `/`."""

    def __str__(self) -> str:
        """`s3://bucket/prefix`, without `/` at its end."""
        return f"{SCHEME}{self.bucket}/{self.prefix}".removesuffix("/")

    def url(self, key: str) -> str:
        """The address of an object, by its whole key."""
        return f"{SCHEME}{self.bucket}/{key}"


def is_address(text: object) -> bool:
    """Whether a destination is meant to be a bucket."""
    return str(text).lower().startswith(SCHEME)


def parse_address(text: str) -> Address:
    """Read `s3://bucket/prefix`.

    Raises:
        ConfigError: It names no bucket, or a prefix that no tool would find again.
    """
    bucket, _, prefix = text[len(SCHEME) :].partition("/")
    if "@" in bucket:
        raise ConfigError(
            "an address s3://... holds no keys", hint="Give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(f"{text!r} names no bucket", hint="Write s3://BUCKET/PREFIX")
    prefix = prefix.strip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise ConfigError(f"the prefix {prefix!r} has an empty part, or one that is '.' or '..'")
    if any(ord(one) < 32 or ord(one) == 127 for one in prefix):
        raise ConfigError(f"the prefix {prefix!r} has control characters")
    if len(prefix.encode()) > LONGEST_KEY - LONGEST_NAME:
        raise ConfigError(f"the prefix is too long: at most {LONGEST_KEY - LONGEST_NAME} bytes")
    return Address(bucket, f"{prefix}/" if prefix else "")


def state_folder(address: Address, endpoint_url: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the journal of a bucket is when nobody says it: in the user's state folder, one for each destination.

    Args:
        address: Bucket and prefix.
        endpoint_url: Of its store, as the user gave it.
        environ: May name it as well.
    """
    import platformdirs  # noqa: PLC0415 - not needed for help

    endpoint = endpoint_url or next(filter(None, map(environ.get, ENDPOINT_VARIABLES)), "")
    tail = hashlib.sha256(f"{endpoint.rstrip('/')}\n{address}".encode()).hexdigest()[:12]
    return Path(platformdirs.user_state_path("pepsasync", appauthor=False), "s3", f"{address.bucket}-{tail}")
