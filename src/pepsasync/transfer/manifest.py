"""Manifests: what a product's folder should hold, in the words of Sentinel's products. Everything here blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from pepsasync.folder.files import foreign_member
from pepsasync.hashes import is_computable
from pepsasync.model import Checksum
from pepsasync.transfer.digest import digest_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFESTS = ("manifest.safe", "xfdumanifest.xml")
"""Of Sentinel-1 and -2, and of Sentinel-3; they list files, sizes and checksums in the same words."""


def manifest_of(folder: Path) -> Path | None:
    """The manifest of a product's folder."""
    return next((path for name in MANIFESTS if (path := folder / name).is_file()), None)


def listed_files(folder: Path, manifest: Path) -> Iterator[tuple[str, bool]]:
    """Files of a manifest by their path in the folder, and whether each is there with its size and checksum.

    Raises:
        ValueError: The manifest cannot be understood, or lists what is outside the folder or leads there.
        PepsasyncError, OSError: It or a file cannot be read.
    """
    try:
        root = ET.parse(manifest).getroot()  # noqa: S314 - expat bounds what entities unfold to
    except (ET.ParseError, LookupError) as error:  # the latter for encodings
        raise ValueError(f"{manifest.name} cannot be read: {error}") from error
    listed = [(_name(stream), stream) for stream in root.iter("byteStream")]
    if what := foreign_member(folder, (href for href, _ in listed)):
        raise ValueError(what)
    for href, stream in listed:
        path, size = folder / href, stream.get("size", "")
        if not href or not path.is_file() or (size.isdigit() and path.stat().st_size != int(size)):
            yield href or "a file", False
            continue
        checksum = _listed_checksum(stream)
        if checksum is None:
            yield href, True
        else:
            found = digest_file(path, checksum.algorithm, path.stat().st_size).hexdigest()
            yield href, found == checksum.value


def listed_checksums(manifest: bytes) -> dict[str, Checksum]:
    """Checksums of the files of a manifest by their path, of those that have one that can be computed.

    Raises:
        ValueError: It cannot be understood.
    """
    try:
        root = ET.fromstring(manifest)  # noqa: S314 - expat bounds what entities unfold to
    except (ET.ParseError, LookupError) as error:  # the latter for encodings
        raise ValueError(f"the manifest cannot be read: {error}") from error
    return {_name(stream): checksum for stream in root.iter("byteStream") if (checksum := _listed_checksum(stream))}


def _name(stream: ET.Element) -> str:
    location = stream.find("fileLocation")
    return (location.get("href", "") if location is not None else "").removeprefix("./")


def _listed_checksum(stream: ET.Element) -> Checksum | None:
    """`MD5`, or `SHA3-256` in newer Sentinel-2 products, as hashlib calls it."""
    checksum = stream.find("checksum")
    if checksum is None:
        return None
    algorithm = checksum.get("checksumName", "").lower().replace("-", "_").replace("sha_", "sha")
    return parse_checksum(f"{algorithm}:{(checksum.text or '').strip()}")


def parse_checksum(text: object) -> Checksum | None:
    """A checksum from `md5:...`; None for anything else, and for algorithms that nobody here can compute."""
    algorithm, _, value = (text if isinstance(text, str) else "").partition(":")
    return Checksum(algorithm, value) if value and is_computable(algorithm.lower()) else None
