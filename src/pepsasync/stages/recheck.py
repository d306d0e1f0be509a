"""Look again at what stands under a final name: sizes, checksums, zip structure. Everything here blocks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from pepsasync.decide.paths import safe_name
from pepsasync.errors import IntegrityError, PepsasyncError
from pepsasync.io.blocks import digest_file
from pepsasync.io.files import STATE
from pepsasync.model import Checksum, Product
from pepsasync.stages.verify import check_zip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Verdict(StrEnum):
    """What was found under a final name."""

    RIGHT = "right"
    """Size and checksum are those that were verified when it arrived; of a folder, all that its manifest lists."""
    UNKNOWN = "unknown"
    """Nothing to compare with: it is a zip that can be read, or a folder without manifest."""
    WRONG = "wrong"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one product."""

    name: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a product's zip; None for what is not."""

    size: int | None = None
    checksum: Checksum | None = None


def names_in(directory: Path) -> set[str]:
    """Names of the products that stand in a folder."""
    if not directory.is_dir():
        return set()
    zips = {path.name.removesuffix(".zip") for path in directory.glob("*.zip")}
    return zips | {path.name.removesuffix(".SAFE") for path in directory.glob("*.SAFE") if path.is_dir()}


def recheck(directory: Path, name: str, noted: Known) -> Finding:
    """Read one product again, all of it.

    Args:
        directory: The user's folder.
        name: Product name.
        noted: From the journal; the note beside a verified zip comes first.
    """
    zipped, folder = directory / f"{safe_name(name)}.zip", directory / f"{safe_name(name)}.SAFE"
    try:
        if zipped.is_file():
            return _recheck_zip(zipped, name, _record_of(directory, zipped) or noted)
        if folder.is_dir():
            return _recheck_folder(folder, name)
    except (PepsasyncError, OSError) as error:
        return Finding(name, Verdict.WRONG, getattr(error, "message", str(error)))
    return Finding(name, Verdict.MISSING, "the journal says that it was here")


def forget(directory: Path, name: str) -> None:
    """Remove the note that a zip was verified, so that nobody trusts it."""
    (directory / STATE / "verified" / f"{safe_name(name)}.zip.json").unlink(missing_ok=True)


def parse_checksum(text: str | None) -> Checksum | None:
    """A checksum from `md5:...`; None for anything else."""
    algorithm, _, value = (text or "").partition(":")
    return Checksum(algorithm, value) if algorithm and value else None


def _record_of(directory: Path, zipped: Path) -> Known | None:
    try:
        note = json.loads((directory / STATE / "verified" / f"{zipped.name}.json").read_text("utf-8"))
        return Known(int(note["bytes"]), parse_checksum(note.get("checksum")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _recheck_zip(path: Path, name: str, known: Known) -> Finding:
    length = path.stat().st_size
    if known.size is not None and length != known.size:
        return Finding(name, Verdict.WRONG, f"{length:,} bytes instead of {known.size:,}")
    if known.checksum is not None:
        found = digest_file(path, known.checksum.algorithm, length).hexdigest()
        if found != known.checksum.value:
            return Finding(name, Verdict.WRONG, f"its checksum is {found} instead of {known.checksum.value}")
        return Finding(name, Verdict.RIGHT)
    try:
        check_zip(Product(id=name, name=name, provider="", collection="", download_url=""), path, every_member=True)
    except IntegrityError as error:
        return Finding(name, Verdict.WRONG, error.message)
    return Finding(name, Verdict.UNKNOWN, "no checksum is known; every member of the zip can be read")


def _recheck_folder(folder: Path, name: str) -> Finding:
    try:
        manifest = ET.parse(folder / "manifest.safe").getroot()  # noqa: S314 - from a verified zip
    except (OSError, ET.ParseError):
        return Finding(name, Verdict.UNKNOWN, "it has no manifest to compare with")
    for what, is_right in _listed(folder, manifest):
        if not is_right:
            return Finding(name, Verdict.WRONG, f"{what} is not what its manifest lists")
    return Finding(name, Verdict.RIGHT)


def _listed(folder: Path, manifest: ET.Element) -> Iterator[tuple[str, bool]]:
    """Files of a manifest, and whether each is there with its size and MD5."""
    for stream in manifest.iter("byteStream"):
        location = stream.find("fileLocation")
        href = (location.get("href", "") if location is not None else "").removeprefix("./")
        path, size = folder / href, stream.get("size", "")
        if not href or not path.is_file() or (size.isdigit() and path.stat().st_size != int(size)):
            yield href or "a file", False
            continue
        checksum = stream.find("checksum")
        if checksum is not None and checksum.get("checksumName", "").upper() == "MD5":
            found = digest_file(path, "md5", path.stat().st_size).hexdigest()
            yield href, found == (checksum.text or "").strip().lower()
        else:
            yield href, True
