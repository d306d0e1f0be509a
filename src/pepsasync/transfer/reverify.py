"""Look again at what stands under a final name: sizes, checksums, zip structure. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from pepsasync.errors import ConfigError, IntegrityError, PepsasyncError
from pepsasync.folder.files import foreign_member
from pepsasync.folder.layout import Folder
from pepsasync.folder.names import is_single_file, safe_name
from pepsasync.hashes import fastest
from pepsasync.model import Checksum, Product
from pepsasync.transfer.digest import digest_file
from pepsasync.transfer.existing import was_whole
from pepsasync.transfer.manifest import MANIFESTS, listed_files, manifest_of, parse_checksum
from pepsasync.transfer.verified import Partial, distrust, members_of, partial_of, read_note, trust
from pepsasync.transfer.verify import check_zip


class Verdict(IntEnum):
    """What was found under a final name, the best first."""

    RIGHT = 0
    """Size and checksum are those that were verified when it arrived; of a folder, all that was unpacked,
    or that its manifest lists where that is not noted."""
    UNKNOWN = 1
    """Nothing to compare with: it is a zip that can be read, or a folder without manifest."""
    WRONG = 2
    MISSING = 3

    def __str__(self) -> str:
        """The word for people."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one product."""

    name: str
    verdict: Verdict
    reason: str = ""
    path: Path | None = None
    """Of what was looked at, or should be there."""
    bytes: int = 0
    """That were read."""
    source: str = ""
    """Archive that it came from, where that is noted beside it."""
    partial: Partial | None = None
    """Of a folder that holds some members of its product."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a product's zip; None for what is not."""

    size: int | None = None
    checksum: Checksum | None = None
    path: str | None = None
    """Where it was put."""


def names_in(directory: Path) -> set[str]:
    """Names of the products that stand in a folder.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        next(directory.iterdir(), None)  # `glob` keeps silent about what it cannot read
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise ConfigError(f"cannot read {directory}: {error.strerror}") from error
    zips = {path.name.removesuffix(".zip") for path in directory.glob("*.zip") if path.is_file()}
    return zips | {path.name.removesuffix(".SAFE") for path in directory.glob("*.SAFE") if path.is_dir()}


def noted_in(directory: Path) -> dict[str, Known]:
    """Products that were found right in a folder once, by the notes beside them, and where each stood."""
    folder = Folder(directory)
    if any(map(os.path.islink, (folder.state, folder.records))):  # not of `Path`, which cannot look into closed folders
        return {}
    try:
        with os.scandir(folder.records) as entries:  # the latest last: what was unpacked later counts
            notes = [
                note.name for note in sorted(entries, key=lambda note: note.stat(follow_symlinks=False).st_mtime_ns)
            ]
    except OSError:  # nothing was noted, or nobody may see it, which was told of the journal
        return {}
    finals = [directory / note.removesuffix(".json") for note in notes if note.endswith(".json")]
    named = {final: _name_of(final) for final in finals}
    return {name: Known(path=str(final)) for final, name in named.items() if name and read_note(final, folder)}


def _name_of(final: Path) -> str | None:
    """Name of the product that has a final name; None for what is none."""
    if final.suffix in (".zip", ".SAFE"):
        return final.stem
    return final.name if is_single_file(final.name) else None


def recheck(directory: Path, name: str, noted: Known | None) -> Finding:
    """Read one product again, all of it; where both zip and folder stand, the worse one counts.

    What is wrong is not trusted any more: a later run replaces it.

    Args:
        directory: The user's folder.
        name: Product name.
        noted: From the journal, None when it knows nothing; the note beside a verified zip comes first.
    """
    folder, plain = Folder(directory), safe_name(name)
    zipped, unpacked, *single = folder.final_paths(plain)
    if noted is not None or any(map(os.path.islink, (zipped, unpacked, *single))):
        try:
            folder.check_names(name)
        except PepsasyncError as error:
            return Finding(name, Verdict.WRONG, error.message, zipped)
    findings = [
        _judged(path, name, noted, folder)
        for path in (zipped, unpacked, *single)
        if (path.is_dir() if path == unpacked else path.is_file())
    ]
    put = noted.path if noted else None
    is_less = was_whole(put) and all(finding.partial for finding in findings)
    if findings and not is_less:
        return max(findings, key=lambda finding: finding.verdict)
    final = Path(put) if put else zipped
    source = str(read_note(final, folder).get("source") or "")
    reason = "it was delivered here, and is gone" + (": only some members are here" if findings else "")
    return Finding(name, Verdict.MISSING, reason, final, source=source)


def _judged(path: Path, name: str, noted: Known | None, folder: Folder) -> Finding:
    """The verdict on one zip or folder, also for later runs."""
    note = read_note(path, folder)
    try:
        if path.suffix != ".SAFE":
            size = path.stat().st_size
            verdict, reason = _judge_file(path, name, size, _from_note(note) or noted or Known())
        else:
            size = 0
            verdict, reason = _judge_folder(path, folder, is_ours=noted is not None)
    except (PepsasyncError, OSError, ValueError) as error:  # the last for sizes that are no numbers
        size, verdict = 0, Verdict.WRONG
        reason = getattr(error, "message", None) or f"it cannot be read: {getattr(error, 'strerror', None) or error}"
    with contextlib.suppress(OSError):  # removed meanwhile
        (distrust if verdict is Verdict.WRONG else trust)(path, folder)
    partial = partial_of(path, folder) if path.suffix == ".SAFE" else None
    return Finding(name, verdict, reason, path, size, str(note.get("source") or ""), partial)


def _from_note(note: dict[str, object]) -> Known | None:
    size, noted = note.get("bytes"), note.get("checksums") or [note.get("checksum")]
    known = map(parse_checksum, noted if isinstance(noted, list) else [])
    return Known(size, fastest(filter(None, known))) if isinstance(size, int) else None


def _judge_file(path: Path, name: str, length: int, known: Known) -> tuple[Verdict, str]:
    """Compare a zip, or another file, with what is known; with the checksum right, the structure of a zip is."""
    if known.size is not None and length != known.size:
        return Verdict.WRONG, f"{length:,} bytes instead of {known.size:,}"
    if known.checksum is not None:
        found = digest_file(path, known.checksum.algorithm, length).hexdigest()
        if found != known.checksum.value:
            return Verdict.WRONG, f"its checksum is {found} instead of {known.checksum.value}"
        return Verdict.RIGHT, ""
    if path.suffix != ".zip":
        verdict = Verdict.RIGHT if known.size is not None else Verdict.UNKNOWN
        return verdict, "no checksum is known; its size is as it was"
    try:
        check_zip(Product(id=name, name=name, provider="", collection="", download_url=""), path, every_member=True)
    except IntegrityError as error:
        return Verdict.WRONG, error.message
    return Verdict.UNKNOWN, "no checksum is known; every member of the zip can be read"


def _judge_folder(unpacked: Path, folder: Folder, *, is_ours: bool) -> tuple[Verdict, str]:
    members = members_of(unpacked, folder)
    if what := foreign_member(unpacked, members or MANIFESTS):
        return Verdict.WRONG, what
    if members:
        changed = next((name for name, member in members.items() if not member.is_same(unpacked / name)), None)
        if changed:
            return Verdict.WRONG, f"{changed} differs from what was unpacked"
        partial = partial_of(unpacked, folder)
        return Verdict.RIGHT, f"{len(members):,} of {len(partial.everything):,} members" if partial else ""
    if partial_of(unpacked, folder):
        return Verdict.WRONG, "it was to get some members of the product, and a run ended before"
    manifest = manifest_of(unpacked)
    if manifest is None:
        verdict = Verdict.WRONG if is_ours else Verdict.UNKNOWN
        return verdict, "it has no manifest to compare with"
    is_empty = True
    for what, is_right in listed_files(unpacked, manifest):
        is_empty = False
        if not is_right:
            return Verdict.WRONG, f"{what} differs from its manifest"
    return (Verdict.UNKNOWN, "its manifest lists nothing") if is_empty else (Verdict.RIGHT, "")
