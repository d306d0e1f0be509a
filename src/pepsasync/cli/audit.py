"""The work of `verify`: what is known of a folder's products, and what stands there."""

from __future__ import annotations

import functools
import os
from collections import Counter
from typing import TYPE_CHECKING

from pepsasync.cli.lines import VERBOSE
from pepsasync.cli.units import show_count
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pepsasync.cli.session import Session
    from pepsasync.stages.recheck import Finding, Known

HERE = ("delivered", "skipped")
"""States of products that should stand in the folder."""


async def audit(directory: Path, session: Session) -> list[Finding]:
    """Read every product of a folder again, as many at once as there are processors.

    What turns out wrong is not trusted any more: the note that it was verified is removed.

    Returns:
        Findings by name.
    """
    import anyio  # noqa: PLC0415 - not needed for help
    from anyio import to_thread  # noqa: PLC0415

    from pepsasync.io.groups import task_group  # noqa: PLC0415
    from pepsasync.stages.recheck import Known, Verdict, forget, names_in, recheck  # noqa: PLC0415

    noted = await to_thread.run_sync(_noted, directory, session)
    names = sorted(noted.keys() | await to_thread.run_sync(names_in, directory))
    readers = anyio.CapacityLimiter(os.cpu_count() or 1)
    findings: list[Finding] = []

    async def one(name: str) -> None:
        look = functools.partial(recheck, directory, name, noted.get(name, Known()))
        finding = await to_thread.run_sync(look, limiter=readers, abandon_on_cancel=True)
        findings.append(finding)
        session.say(f"{finding.verdict} {name} ({len(findings):,}/{len(names):,})", level=VERBOSE)
        if finding.verdict is Verdict.WRONG:
            await to_thread.run_sync(forget, directory, name)

    async with task_group() as looks:
        for name in names:
            looks.start_soon(one, name)
    return sorted(findings, key=lambda finding: finding.name)


def summary(findings: Sequence[Finding]) -> str:
    """`12 products: 11 right, 1 wrong`."""
    counts = Counter(str(finding.verdict) for finding in findings)
    told = ", ".join(f"{counts[word]:,} {word}" for word in ("right", "unknown", "wrong", "missing") if counts[word])
    return f"{show_count(len(findings))}{': ' + told if told else ''}"


def _noted(directory: Path, session: Session) -> dict[str, Known]:
    """What the journal knows of products that should be here; nothing without a journal that can be read."""
    from pepsasync.io.journal import JournalReader, State  # noqa: PLC0415
    from pepsasync.stages.recheck import Known, parse_checksum  # noqa: PLC0415

    try:
        with JournalReader(directory) as reader:
            return {
                row.name: Known(row.bytes, parse_checksum(row.checksum))
                for state in HERE
                for batch in reader.in_state(State(state))
                for row in batch
            }
    except ConfigError as error:
        session.say(f"note: {error}")
        return {}
