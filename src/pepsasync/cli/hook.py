"""`--on-delivered COMMAND`: what a user wants done with each product, as a command of the shell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pepsasync.model import Delivery


def make_hook(command: str) -> Callable[[Delivery], Awaitable[None]]:
    """Return a hook that runs a command.

    Its environment holds `PEPSASYNC_PATH` (absolute), `PEPSASYNC_NAME`, `PEPSASYNC_ID` and `PEPSASYNC_SOURCE`. Its
    output is thrown away.

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
        done = await anyio.run_process(command, check=False, env={**os.environ, **facts})
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            said = f": {lines[-1][:200]}" if lines else ""
            raise RuntimeError(f"the command ended with {done.returncode}{said}")

    return run
