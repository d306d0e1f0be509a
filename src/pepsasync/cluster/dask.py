"""`Dask`: which cluster of Dask brings the products of a run."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from pepsasync.errors import ConfigError
from pepsasync.folder.leases import Leases
from pepsasync.groups import task_group
from pepsasync.threads import clean_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pepsasync.cluster.executor import OnWorkers
    from pepsasync.events import Emit
    from pepsasync.folder.journal import Owner
    from pepsasync.folder.layout import Folder

_LOCAL = re.compile(r"local:(\d{1,4})", re.ASCII)
_ADDRESS = re.compile(r"(?:tcp|tls|ws|wss)://[^\s/@]+:\d{1,5}", re.ASCII)


class Dask:
    """A cluster of Dask for `Client.fetch(..., executor=...)`.

    Its workers need this version of pepsasync with the extra `dask`, and the folder of the products under the same
    path. They get what a download of one product needs, and no password.

    Args:
        where: Address of a scheduler, `tls://scheduler:8786`; `local:4` for four processes of this machine, which end
            with the run; or a cluster or client of `distributed`, such as a `SLURMCluster` of dask-jobqueue.
        insecure_cluster: Whether workers and scheduler may be on other machines without TLS: everybody on the way can
            read the credentials then.

    Raises:
        ConfigError: It is neither of these.
    """

    def __init__(self, where: Any, *, insecure_cluster: bool = False) -> None:
        self.where = where
        self.insecure_cluster = insecure_cluster
        if isinstance(where, str):
            local = _LOCAL.fullmatch(where.strip())
            if local and int(local[1]):
                self.where = int(local[1])
            elif not _ADDRESS.fullmatch(where.strip()):
                raise ConfigError(
                    f"dask must be the address of a scheduler or local:N, not {where!r}",
                    hint="Such as tls://scheduler:8786, or local:4 for four processes of this machine",
                )
        elif isinstance(where, (int, bytes)) or where is None:
            raise ConfigError(
                f"{where!r} is no cluster of Dask", hint="Give an address, local:N, a cluster or a client"
            )

    @contextlib.asynccontextmanager
    async def working(self, folder: Folder, owner: Owner, emit: Emit) -> AsyncIterator[OnWorkers]:
        """Be connected as long as the block lasts; see `pepsasync.transfer.executor.Cluster`."""
        from pepsasync.cluster.connection import Connection  # noqa: PLC0415 - loads what only workers need
        from pepsasync.cluster.executor import OnWorkers  # noqa: PLC0415

        folder = replace(folder, directory=await to_thread.run_sync(folder.directory.resolve))
        await to_thread.run_sync(Leases(folder).prepare)
        connection = Connection(self.where, folder, allows_plain=self.insecure_cluster)
        try:
            await to_thread.run_sync(connection.open)
            executor = OnWorkers(connection, folder, owner, emit)
            async with task_group() as tasks:
                tasks.start_soon(executor.receive)
                tasks.start_soon(executor.look_after)
                yield executor
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await clean_up(connection.close)
