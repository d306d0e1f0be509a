"""`check`: does everything work that a fetch needs?"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path  # noqa: TC003 - the parser looks at types of options
from typing import TYPE_CHECKING, Annotated, Any

from typer import Exit, Option

from pepsasync.cli.options import ArchiveOptions, OutputOptions, ProviderName, TextOrJson, flatten
from pepsasync.cli.session import Session
from pepsasync.display.output import QUIET, answer, check_writable, settle, show, show_json
from pepsasync.folder.files import disk_errors
from pepsasync.text import as_json

if TYPE_CHECKING:
    from pepsasync.engine.check import Finding

MOST_SHOWN = 5_000
"""Lines of a recording that are shown before it is written."""

MARKS = {True: "ok", False: "WRONG", None: "-"}


@flatten(without=("--provider",))
def check(
    *,
    provider: ProviderName = None,
    archive: ArchiveOptions,
    output: OutputOptions,
    form: TextOrJson = "text",
    record: Annotated[
        Path | None,
        Option("--record", metavar="FILE", help="write the messages, without secrets, for a bug report"),
    ] = None,
) -> None:
    """Look whether everything works that a fetch needs, and say what to do if not.

    Name lookup, proxy, TLS, clock, search, account, tape, and the first kilobyte of one product, which may count as
    one download of the account's quota. Nothing is written but the file of --record, which is shown before.
    """
    check_writable(record, "--record")
    session = Session(output)
    findings, said = session.run(_check, replace(archive, provider=provider), form)
    steps = [_as_dict(one) for one in findings]
    if form == "json":
        show_json(steps)
    elif all(one.is_right for one in findings):
        session.say("everything works")
    if record is not None:
        _write(record, said | {"steps": steps}, session)
    raise Exit(_exit_code(findings))


async def _check(archive: ArchiveOptions, form: str) -> tuple[list[Finding], dict[str, Any]]:
    """Findings, each told when it is known, and what a recording of them holds."""
    findings: list[Finding] = []
    # Somebody waits for the answer: not as many tries as a run of days.
    async with archive.client(retries=2) as client:
        with client.recorded() as recording:
            async for finding in client.check():
                findings.append(finding)
                if form == "text":
                    _tell(finding)
        root = client.root
    said = {"schema": 1, "provider": client.provider.name, "root": root, "exchanges": recording.as_json()}
    return findings, said


def _tell(finding: Finding) -> None:
    show(f"{MARKS[finding.is_right]:<6} {finding.step:<11} {finding.found}")
    if finding.is_right is False:
        show(f"{'':<18} expected: {finding.expected}")
    if finding.advice and not finding.is_right:
        show(f"{'':<18} {finding.advice}")


def _as_dict(finding: Finding) -> dict[str, object]:
    error = type(finding.error).__name__ if finding.error else None
    return {
        "step": finding.step,
        "expected": finding.expected,
        "found": finding.found,
        "is_right": finding.is_right,
        "advice": finding.advice,
        "error": error,
    }


def _exit_code(findings: list[Finding]) -> int:
    from pepsasync.cli.exits import exit_code  # noqa: PLC0415 - not needed for help

    wrong = [one for one in findings if one.is_right is False]
    return 0 if not wrong else next((exit_code(one.error) for one in wrong if one.error), 1)


def _write(path: Path, document: dict[str, Any], session: Session) -> None:
    """Write a recording, once whoever is at the terminal has seen it and agrees."""
    text = as_json(document, indent=1)
    if sys.stdin.isatty():
        lines = text.splitlines()
        for line in lines if len(lines) < MOST_SHOWN else [f"{len(lines):,} lines; look at the file afterwards"]:
            session.say(line, level=QUIET)
        settle(math.inf)
        if answer(f"Write this to {path}? (yes/no)").strip().lower() not in ("y", "yes"):
            session.say("nothing was written")
            return
    with disk_errors(path):
        path.expanduser().write_text(text + "\n", encoding="utf-8")
    session.say(f"written: {path}; look at it before you send it")
