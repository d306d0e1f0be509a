"""Compare a product on the disk with what a traceability service says of it. Everything here blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.hashes import is_computable
from pepsasync.model import Traced, TraceVerdict
from pepsasync.transfer.digest import digest_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pepsasync.model import Trace

_FILES = ("CREATE", "COPY")
"""Events that tell the checksum of a file that exists."""


def compare(path: Path, traces: Iterable[Trace]) -> Traced:
    """Say what traces mean for a zip or an unpacked folder.

    One trace that fits is enough: each archive registers its own copy. Only traces whose signatures are right count.

    Args:
        path: `NAME.zip` or `NAME.SAFE`.
        traces: Of the product.

    Raises:
        PepsasyncError: It cannot be read.
    """
    told = list(traces)
    obsolete = next((trace.obsolete for trace in told if trace.event == "OBSOLETE" and not trace.problem), "")
    files = [trace for trace in told if trace.event in _FILES]
    signed = [trace for trace in files if not trace.problem]
    if not files:
        return Traced(TraceVerdict.MISSING, "the archive has no trace of it")
    if not signed:
        return Traced(TraceVerdict.FORGED, f"no trace can be believed: {files[-1].problem}", files[-1])
    known = [trace for trace in signed if is_computable(trace.algorithm) and trace.checksum]
    if path.is_dir():
        known = [trace for trace in known if trace.contents]
    if not known:
        what = (
            "none of its traces tells of the files in it" if path.is_dir() else "its checksums cannot be computed here"
        )
        return Traced(TraceVerdict.MISSING, what, signed[-1])
    traced = _folder(path, known) if path.is_dir() else _zip(path, known)
    if traced.verdict is TraceVerdict.RIGHT and obsolete:
        return Traced(traced.verdict, f"the archive calls it obsolete: {obsolete}", traced.trace)
    return traced


def _zip(path: Path, traces: Sequence[Trace]) -> Traced:
    length = path.stat().st_size
    found: dict[str, str | None] = {}
    for trace in traces:
        if trace.algorithm not in found:
            found[trace.algorithm] = digest_file(path, trace.algorithm, length).hexdigest()
        if found[trace.algorithm] == trace.checksum:
            return Traced(TraceVerdict.RIGHT, trace=trace)
    last = traces[-1]
    what = f"its {last.algorithm} is {found[last.algorithm]}, and its trace says {last.checksum}"
    return Traced(TraceVerdict.WRONG, what, last)


def _folder(path: Path, traces: Sequence[Trace]) -> Traced:
    """Compare the files that a trace lists; one that is not there is wrong, too."""
    wrong = ""
    for trace in traces:
        wrong = next((name for name in trace.contents if not _is_same(path, name, trace)), "")
        if not wrong:
            return Traced(TraceVerdict.RIGHT, trace=trace)
    return Traced(TraceVerdict.WRONG, f"{wrong} differs from its trace", traces[-1])


def _is_same(folder: Path, name: str, trace: Trace) -> bool:
    """Whether a file of an unpacked product has the checksum of its trace; paths begin with the folder's own name."""
    inside = name.removeprefix(f"{folder.name}/")
    file = folder / inside
    if not file.resolve().is_relative_to(folder.resolve()) or not file.is_file():
        return False
    return digest_file(file, trace.algorithm, file.stat().st_size).hexdigest() == trace.contents[name]
