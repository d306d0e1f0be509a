"""`Client` without `await`, for scripts, notebooks and threads.

The event loop runs in a thread of its own, so that this works inside a running event loop, too. No signature is written
twice: each method takes over the parameters of the async one as a `ParamSpec`, by which type checkers know them, but
for those that take a coroutine function there and a plain function here.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import threading
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import anyio
from anyio import to_thread
from anyio.from_thread import BlockingPortal

from pepsasync.client import Client as AsyncClient
from pepsasync.errors import ConfigError
from pepsasync.events import Noticed
from pepsasync.groups import poster

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from pepsasync.arguments import Given
    from pepsasync.config import Config
    from pepsasync.credentials import Credentials
    from pepsasync.events import Emit
    from pepsasync.folder.layout import Folder
    from pepsasync.groups import Background, Flattened
    from pepsasync.model import Delivery, Query, Quota
    from pepsasync.providers.base import Provider
    from pepsasync.transfer.executor import Cluster

__all__ = ["Client", "Results"]

P = ParamSpec("P")
T = TypeVar("T")

CLOSED = "the client is closed: make another one"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class _Running:
    """An open async client in the event loop of a thread."""

    client: AsyncClient
    portal: BlockingPortal
    stop: anyio.Event
    is_closed: threading.Event
    post: Callable[[Callable[[], object]], object]
    """Has the event loop call a function soon; waits for nothing and takes no lock, as destructors need it."""
    thread: threading.Thread
    starting: threading.Lock
    """Held while a call begins, so that no event loop ends before it has taken up a call."""

    def call(self, function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Call a function on the event loop, await its result, and return that; cancelled when this is interrupted.

        Raises:
            RuntimeError: The client is closed, or was closed meanwhile.
        """
        if self.is_here:
            raise RuntimeError("a listener cannot call its client, whose event loop waits for the listener")
        with self.starting:
            if self.is_closed.is_set():
                raise RuntimeError(CLOSED)
            future = self.portal.start_task_soon(functools.partial(function, *arguments, **more))
        try:
            return future.result()
        except CancelledError as error:
            raise RuntimeError(CLOSED) from error
        finally:
            future.cancel()

    @property
    def is_here(self) -> bool:
        """Whether it runs in this very thread."""
        return threading.current_thread() is self.thread

    def end(self) -> None:
        """Ask it to cancel all that is under way, and to close the client."""
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            self.post(self.stop.set)

    def close(self) -> None:
        """The same, and wait for it."""
        with self.starting:
            self.is_closed.set()
        self.end()
        self.thread.join()


_open: weakref.WeakSet[_Running] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close what programs left open, while there still are threads."""
    for running in tuple(_open):
        running.close()


def _start(make: Callable[[], AsyncClient], backend: str) -> _Running:
    """Open a client in the event loop of a new thread.

    Raises:
        ConfigError: From the client, or there is no such event loop.
    """
    ready = Future[_Running]()

    async def live() -> None:
        async with make() as client, BlockingPortal() as portal:
            stop, thread = anyio.Event(), threading.current_thread()
            ready.set_result(_Running(client, portal, stop, threading.Event(), poster(), thread, threading.Lock()))
            await stop.wait()
            await portal.stop(cancel_remaining=True)

    def run() -> None:
        try:
            anyio.run(live, backend=backend)
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    # A daemon: a program may end without closing it.
    threading.Thread(target=run, name="pepsasync", daemon=True).start()
    try:
        running = ready.result()
    except LookupError as error:
        hint = "Use asyncio, or trio: pip install 'pepsasync[trio]'"
        raise ConfigError(f"there is no event loop {backend!r} here", hint=hint) from error
    _open.add(running)
    return running


class Results(Iterator[T]):
    """An iterator over what comes from a client; may be shared by threads.

    Leaving a `for` loop early drops it, and whoever drops or closes it, or leaves `with client.fetch(...) as results:`,
    cancels what goes on for it. What it has begun is resumable.
    """

    def __init__(
        self, client: Client, running: _Running, items: Background[T] | Flattened[T], *, ends_with_client: bool
    ) -> None:
        # The client, too: it ends when nobody has it any more.
        self._client, self._running = client, running
        self._items, self._ends_with_client = items, ends_with_client

    def __next__(self) -> T:
        try:
            item: T = self._running.call(self._items.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None
        except RuntimeError:
            if self._ends_with_client and self._running.is_closed.is_set():
                raise StopIteration from None
            raise
        return item

    def close(self) -> None:
        """Cancel what goes on for this loop; the loop ends."""
        with contextlib.suppress(RuntimeError):  # closed with its client
            self._running.post(self._items.cancel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _awaits(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Client, P], T]:
    """A method that waits for the result of an async one."""

    def wait(self: Client, /, *arguments: P.args, **more: P.kwargs) -> T:
        result: T = self._running.call(method, self._running.client, *arguments, **more)
        return result

    functools.update_wrapper(wait, method)
    return wait


def _loops(
    method: Callable[Concatenate[AsyncClient, P], Background[T] | Flattened[T]], *, ends_with_client: bool = False
) -> Callable[Concatenate[Client, P], Results[T]]:
    """A method that loops over what an async one does."""

    def loop(self: Client, /, *arguments: P.args, **more: P.kwargs) -> Results[T]:
        items = self._running.call(method, self._running.client, *arguments, **more)
        return Results(self, self._running, items, ends_with_client=ends_with_client)

    functools.update_wrapper(loop, method)
    return loop


def _same(method: Callable[Concatenate[AsyncClient, P], T]) -> Callable[Concatenate[Client, P], T]:
    """A method that does not wait there either."""

    def same(self: Client, /, *arguments: P.args, **more: P.kwargs) -> T:
        return method(self._running.client, *arguments, **more)

    functools.update_wrapper(same, method)
    return same


class Client:
    """`pepsasync.Client` without `await`: open from the beginning until `close()`, or the end of its `with` block.

    May be used by several threads. Ctrl-C cancels the call that it interrupts; closing the client cancels everything.
    Listeners are called in the thread of the event loop: they must not wait, nor call the client.

    Args:
        provider: As for `pepsasync.Client`, like all others but these two.
        credentials: ...
        config: ...
        base_url: ...
        ask_code: A plain function; called in a thread.
        backend: Which event loop: `asyncio`, or `trio`, which does not work where trio runs already.

    Raises:
        ConfigError: There is no such provider or event loop, or a setting is wrong.
    """

    def __init__(
        self,
        provider: str | Sequence[str] | None = None,
        *,
        credentials: Credentials | Mapping[str, Credentials] | None = None,
        config: Config | None = None,
        base_url: str | Mapping[str, str] | None = None,
        ask_code: Callable[[], str] | None = None,
        backend: str = "asyncio",
    ) -> None:
        make = functools.partial(
            AsyncClient,
            provider,
            credentials=credentials,
            config=config,
            base_url=base_url,
            ask_code=_in_thread(ask_code) if ask_code else None,
        )
        self._running = _start(make, backend)

    def __repr__(self) -> str:
        state = "closed" if self._running.is_closed.is_set() else "open"
        return f"<pepsasync.blocking.Client of {self.provider.name}, {state}>"

    def close(self) -> None:
        """Cancel everything under way, in all threads, and wait until it is cleaned up; all of it is resumable."""
        if self._running.is_here:
            raise RuntimeError("a listener cannot close its client, whose event loop waits for the listener")
        self._running.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if running := vars(self).get("_running"):
            running.end()

    @property
    def provider(self) -> Provider:
        """The archive that is searched."""
        return self._running.client.provider

    @property
    def quota(self) -> Quota | None:
        """Products that the account may have in a window of time, as given or published."""
        return self._running.client.quota

    @property
    def root(self) -> str:
        """URL of the archive that is searched, without account and query."""
        return self._running.client.root

    search = _loops(AsyncClient.search)
    attributes = _awaits(AsyncClient.attributes)
    stage = _awaits(AsyncClient.stage)
    tiers = _awaits(AsyncClient.tiers)
    wait_online = _loops(AsyncClient.wait_online)
    quicklooks = _loops(AsyncClient.quicklooks)
    download = _awaits(AsyncClient.download)
    members = _awaits(AsyncClient.members)
    open = _awaits(AsyncClient.open)
    events = _loops(AsyncClient.events, ends_with_client=True)
    check = _loops(AsyncClient.check)
    recorded = _same(AsyncClient.recorded)
    listen = _same(AsyncClient.listen)
    raw_replies = _same(AsyncClient.raw_replies)

    def fetch(
        self,
        wanted: Given,
        directory: str | os.PathLike[str] = ".",
        *,
        extract: bool = False,
        include: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        bands: str | Iterable[str] | None = None,
        on_delivered: Callable[[Delivery], None] | None = None,
        found_by: Query | None = None,
        executor: Cluster | None = None,
        state: str | os.PathLike[str] | None = None,
        endpoint_url: str | None = None,
    ) -> Results[Delivery]:
        """Bring many products to disk and loop over the outcomes, each as soon as it is known.

        The same as `pepsasync.Client.fetch`, but that an iterator of products is read to its end at once, in this
        thread, and that `on_delivered` is a plain function: it is called in threads, a few at once, may use this
        client, and is not waited for when the run is interrupted.
        """
        return self._fetch(
            [*wanted] if isinstance(wanted, Iterator) else wanted,
            directory,
            extract=extract,
            include=include,
            exclude=exclude,
            bands=bands,
            on_delivered=_in_thread(on_delivered) if on_delivered else None,
            found_by=found_by,
            executor=executor,
            state=state,
            endpoint_url=endpoint_url,
        )

    _fetch = _loops(AsyncClient.fetch)

    @contextlib.contextmanager
    def hold(self, directory: str | os.PathLike[str]) -> Iterator[tuple[Folder, Emit]]:
        """Be the one program that works in a folder, as long as the block lasts; see `pepsasync.Client.hold`."""
        running = self._running
        block = running.portal.wrap_async_context_manager(running.client.hold(directory))
        folder, note = block.__enter__()
        try:
            emit = functools.partial(running.call, note)
            yield replace(folder, tell=lambda text: emit(Noticed(message=text))), emit
        finally:
            block.__exit__(None, None, None)  # errors of the block are no business of the event loop


def _in_thread(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A coroutine function that calls a plain one in a thread, for which nobody waits once it is cancelled."""

    async def call(*arguments: P.args, **more: P.kwargs) -> T:
        return await to_thread.run_sync(functools.partial(function, *arguments, **more), abandon_on_cancel=True)

    return call
