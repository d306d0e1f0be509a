"""A whole run: what is wanted goes in; it is searched for and delivered side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pepsasync.engine.deliver_all import deliver_all
from pepsasync.engine.search import PAGES_AHEAD
from pepsasync.engine.wanted import feed
from pepsasync.errors import AuthError, ProviderError
from pepsasync.events import Noticed
from pepsasync.groups import task_group
from pepsasync.model import Product

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectSendStream

    from pepsasync.engine.recorder import Recorder
    from pepsasync.engine.run import Run
    from pepsasync.engine.wanted import Wanted
    from pepsasync.model import Delivery


async def fetch(wanted: Wanted, run: Run, recorder: Recorder, outcomes: MemoryObjectSendStream[Delivery]) -> None:
    """Search for what is wanted, and deliver what is found meanwhile.

    A search that fails does not take the deliveries along, which may have days of work behind them.

    Args:
        wanted: A query, or products, names and queries.
        run: Archives, folder, limiters.
        recorder: Notes what happens in the folder.
        outcomes: One `Delivery` each, closed at the end.

    Raises:
        ConfigError, AuthError, UnreachableError, DiskFullError: The run cannot go on; all of it is resumable.
        JournalBusyError: Another program has taken over the folder, because this one was stopped for long.
        ProviderError: The search failed, for more than some names; what it had found was brought.

    Cancellation: as `deliver_all`.
    """
    failures: list[ProviderError] = []
    send, pages = anyio.create_memory_object_stream[list[Product]](PAGES_AHEAD)

    async def look_for() -> None:
        try:
            await feed(wanted, run.line.provider, recorder, send, outcomes.clone())
        except AuthError:
            raise
        except ProviderError as error:
            failures.append(error)
            if recorder.has_found:
                recorder.take(Noticed(message=f"{error.message}; what the search had found is still brought"))

    async with outcomes, task_group() as guarding:
        guarding.start_soon(recorder.guard)
        async with task_group() as tasks:
            tasks.start_soon(look_for)
            tasks.start_soon(deliver_all, pages, outcomes.clone(), run)
        guarding.cancel_scope.cancel()
    for error in failures:
        raise error
