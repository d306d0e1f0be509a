"""`--on-delivered COMMAND`: what a user wants done with each product, as a command of the shell."""

from __future__ import annotations

import os
import re
from subprocess import DEVNULL
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from anyio.abc import ByteReceiveStream

    from pepsasync.model import Delivery

_ACCOUNT = re.compile(r"PEPSASYNC_\w+_(?:USERNAME|PASSWORD|API_KEY)", re.IGNORECASE)

MOST_KEPT = 4096
"""Bytes of each stream in which the last words are looked for."""


def make_hook(command: str) -> Callable[[Delivery], Awaitable[None]]:
    """Return a hook that runs a command.

    Its environment is ours without the accounts, and holds `PEPSASYNC_PATH` (absolute), `PEPSASYNC_NAME`,
    `PEPSASYNC_ID` and `PEPSASYNC_SOURCE`. Its output is thrown away.

    Args:
        command: For the shell.

    Raises by the hook:
        RuntimeError: The command ended with another code than 0; holds its last words.

    Cancellation of the hook ends the command.
    """

    async def run(delivery: Delivery) -> None:
        import anyio  # noqa: PLC0415 - not needed for help

        facts = {
            "PEPSASYNC_PATH": str(delivery.path.absolute()) if delivery.path else "",
            "PEPSASYNC_NAME": delivery.product.name,
            "PEPSASYNC_ID": delivery.product.id,
            "PEPSASYNC_SOURCE": delivery.source,
        }
        from pepsasync.groups import task_group  # noqa: PLC0415

        errors, output = bytearray(), bytearray()
        async with await anyio.open_process(
            command, stdin=DEVNULL, env=_without_accounts(os.environ) | facts
        ) as process:
            async with task_group() as readers:
                readers.start_soon(_keep_end, process.stderr, errors)
                readers.start_soon(_keep_end, process.stdout, output)
            await process.wait()
        if process.returncode != 0:
            lines = (errors.strip() or output).decode(errors="replace").strip().splitlines()
            said = f": {lines[-1][:200]}" if lines else ""
            raise RuntimeError(f"the command ended with {process.returncode}{said}")

    return run


def _without_accounts(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without user names (half a pair is refused), passwords and keys of archives."""
    return {name: text for name, text in environ.items() if not _ACCOUNT.fullmatch(name)}


async def _keep_end(stream: ByteReceiveStream | None, end: bytearray) -> None:
    """Read to the end, and keep no more than the last words may need."""
    if stream is not None:
        async for chunk in stream:
            end += chunk
            del end[:-MOST_KEPT]
