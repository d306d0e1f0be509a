"""The only module that talks to Dask's scheduler: connect, look for workers, send tasks, take what comes back.

`distributed` runs in threads of its own here, so that the event loop of this program may be asyncio's or trio's.
Everything here blocks, in threads of ours.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import secrets
import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from pepsasync.cluster import worker as worker_side
from pepsasync.cluster.checks import make_probe, refuse_unsafe, why_unfit
from pepsasync.errors import ConfigError, UnreachableError
from pepsasync.folder.files import disk_errors, write_new
from pepsasync.folder.leases import PROBE
from pepsasync.text import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from pepsasync.cluster.errand import Errand, Outcome, Sealed
    from pepsasync.folder.layout import Folder

CONNECT = 15.0
"""Seconds that a scheduler has to answer."""

ANSWER = 10.0
"""Seconds that workers have to answer, and results to come."""

AT_ONCE = 500
"""Results and news taken at once, at most."""

LOCAL_THREADS = 4
"""Products at once of each worker process of a cluster of our own."""


class News(NamedTuple):
    """A message of a worker about a product under way."""

    token: str
    message: Mapping[str, Any]


class Ended(NamedTuple):
    """A task has ended."""

    token: str
    outcome: Outcome | None
    """None when it was lost with its worker, or with the scheduler."""


class Connection:
    """A client of Dask, and the workers that can be used.

    Args:
        where: Address of a scheduler, a number of processes for a cluster of our own, a cluster, or a client of Dask.
        folder: That workers have to see; prepared for leases.
        allows_plain: Whether secrets may go to other machines without TLS.
    """

    def __init__(self, where: object, folder: Folder, *, allows_plain: bool) -> None:
        self._where: Any = where
        self._folder = folder
        self._allows_plain = allows_plain
        self._inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._topic = f"pepsasync-{secrets.token_hex(8)}"
        self._secret = secrets.token_hex(16)
        self._probe_file: Path = folder.leases / f"{PROBE}{secrets.token_hex(8)}"
        self._client: Any = None
        self._cluster: Any = None
        self._futures: dict[str, Any] = {}
        self._unfit: dict[str, str] = {}
        self.fit: dict[str, int] = {}
        """Address of each worker that can be used, and its threads."""

    @property
    def topic(self) -> str:
        """Under which workers tell news."""
        return self._topic

    @property
    def is_ours(self) -> bool:
        """Whether the workers are processes that this program has started."""
        return self._cluster is not None

    def open(self) -> None:
        """Connect, and look at scheduler and workers.

        Raises:
            ConfigError: The package is missing, the way is not safe, or no worker can be used, and why.
            UnreachableError: No scheduler answers.
        """
        try:
            import distributed  # noqa: PLC0415 - an extra, and slow
        except ImportError as error:
            raise ConfigError("--dask needs more packages", hint="Try: pip install 'pepsasync[dask]'") from error
        if isinstance(self._where, str) and not self._allows_plain:
            refuse_unsafe(self._where)
        with disk_errors(self._probe_file):
            write_new(self._probe_file, self._secret.encode())
        self._connect(distributed)
        if not self._allows_plain:
            refuse_unsafe(str(self._client.scheduler.address))
        self._check_scheduler()
        self._wait_for_workers()

    def _connect(self, distributed: Any) -> None:
        if isinstance(self._where, distributed.Client):
            self._client = self._where
            if self._client.asynchronous:
                raise ConfigError("the client of Dask is asynchronous", hint="Make it without asynchronous=True")
        else:
            where = self._where
            try:
                if isinstance(where, int):
                    self._cluster = where = distributed.LocalCluster(
                        n_workers=where,
                        threads_per_worker=LOCAL_THREADS,
                        processes=True,
                        dashboard_address="127.0.0.1:0",
                        scheduler_kwargs={"dashboard": False},
                        preload=[worker_side.__name__],
                        silence_logs=logging.CRITICAL,
                        # Others on this machine can connect to loopback, too, and a scheduler runs what it is told.
                        security=_own_keys(distributed),
                    )
                self._client = _in_time(
                    lambda: distributed.Client(where, timeout=CONNECT, set_as_default=False, name="pepsasync")
                )
            except OSError as error:  # with TimeoutError and what Dask makes of broken connections
                raise UnreachableError(
                    f"no Dask scheduler answers at {where}: {reason(error)}",
                    hint="Is it running, and is that its address? Run the same command again",
                ) from error
            except (TypeError, ValueError, RuntimeError) as error:
                hint = "A script with local:N needs 'if __name__ == \"__main__\":'" if isinstance(where, int) else ""
                raise ConfigError(f"the Dask cluster cannot be used: {reason(error)}", hint=hint) from error
        self._client.subscribe_topic(self._topic, self._take_news)

    def _take_news(self, event: tuple[float, Any]) -> None:
        message = event[1]
        if isinstance(message, dict):
            self._inbox.put((str(message.get("token")), message))

    def _check_scheduler(self) -> None:
        """Refuse a scheduler that has not the same program: it unpickles what it hands on."""
        found = self._asked(functools.partial(self._client.run_on_scheduler, make_probe(), worker_side.__name__, ""))
        if why := why_unfit(found, "", ""):
            raise ConfigError(f"the Dask scheduler cannot be used: {why}")

    def _wait_for_workers(self) -> None:
        """Look until a worker can be used: a cluster that has just been asked for may have none yet."""
        until = time.monotonic() + CONNECT
        while not self.look():
            if self._unfit:
                worker, why = next(iter(self._unfit.items()))
                count = len(self._unfit)
                many = f"none of {count} workers can be used; the first" if count > 1 else "the worker"
                raise ConfigError(f"{many}, {worker}: {why}")
            if time.monotonic() > until:
                raise ConfigError("the Dask cluster has no workers", hint="Start some: dask worker SCHEDULER")
            time.sleep(0.2)

    def look(self) -> list[str]:
        """Take note of the workers that there are now; new ones are looked at first. Without a scheduler, nothing.

        Returns:
            Those that can be used now, and could not before.
        """
        try:
            known = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception:  # noqa: BLE001 - it was lost just now, in one of many words
            return []
        fit = {worker: threads for worker, threads in self.fit.items() if worker in known}
        self.fit = fit
        self._unfit = {worker: why for worker, why in self._unfit.items() if worker in known}
        new = [worker for worker in known if worker not in self.fit and worker not in self._unfit]
        if not new:
            return []
        fit = dict(fit)  # others may look at the old one
        safe = [worker for worker in new if self._allows_plain or is_safe_worker(worker)]
        self._unfit |= dict.fromkeys(set(new) - set(safe), "it has no TLS, and is on another machine")
        file = str(self._probe_file)
        run = functools.partial(self._client.run, make_probe(), worker_side.__name__, file, workers=safe)
        answers = self._asked(functools.partial(run, on_error="return")) if safe else {}
        for worker in safe:
            found = answers.get(worker, "no answer") if isinstance(answers, dict) else answers
            why = why_unfit(found, self._secret, str(self._folder.directory))
            if isinstance(found, dict) and "wrote" in found:
                with contextlib.suppress(OSError):
                    (self._folder.leases / str(found["wrote"]).rpartition("/")[2]).unlink()
            if why:
                self._unfit[worker] = why
            else:
                fit[worker] = int(known[worker]["nthreads"])
        self.fit = fit
        return [worker for worker in new if worker in fit]

    @property
    def unfit(self) -> dict[str, str]:
        """Workers that cannot be used, and why."""
        return self._unfit

    def _asked(self, ask: Any) -> Any:
        """What processes of the cluster answer to a probe, or the error that it met."""
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - whatever it is, it says that they cannot be used
            return error

    def send(self, errand: Errand, sealed: Sealed[Errand], workers: Collection[str]) -> None:
        """Have one of some workers do something; that it has begun is not waited for."""
        try:
            future = self._client.submit(
                worker_side.work,
                sealed,
                key=f"pepsasync-{errand.product.name}-{errand.token}",
                workers=list(workers),
                allow_other_workers=False,
                pure=False,
            )
        except Exception:  # noqa: BLE001 - the scheduler was lost just now, in one of many words
            self._inbox.put((errand.token, None))
            return
        self._futures[errand.token] = future
        future.add_done_callback(lambda ended, token=errand.token: self._inbox.put((token, ended)))

    def forget(self, token: str) -> None:
        """Tell the scheduler that nobody waits for a task any more."""
        future = self._futures.pop(token, None)
        if future is not None:
            future.release()

    def receive(self) -> list[News | Ended]:
        """Wait up to half a second for news and results; returns those that are there."""
        items: list[tuple[str, Any]] = []
        with contextlib.suppress(queue.Empty):
            items.append(self._inbox.get(timeout=0.5))
            while len(items) < AT_ONCE:
                items.append(self._inbox.get_nowait())
        ended = {token: item for token, item in items if not isinstance(item, dict)}
        outcomes = self._results([future for future in ended.values() if future and future.status == "finished"])
        taken: list[News | Ended] = [News(token, item) for token, item in items if isinstance(item, dict)]
        return taken + [Ended(token, outcomes.get(token)) for token in ended]

    def _results(self, futures: list[Any]) -> dict[str, Outcome]:
        """Results of tasks, by token; those of which a worker was lost before they came are missing."""
        if not futures:
            return {}
        try:
            sealed = self._client.sync(self._client._gather, futures, errors="skip", callback_timeout=ANSWER)  # noqa: SLF001 - `gather` waits for ever
        except Exception:  # noqa: BLE001 - the scheduler or a worker is lost, in one of many words
            return {}
        outcomes = [one.open() for one in sealed]
        return {outcome.token: outcome for outcome in outcomes}

    @property
    def is_lost(self) -> bool:
        """Whether the scheduler is out of reach."""
        return str(self._client.status) != "running"

    def reconnect(self) -> bool:
        """Try to reach the scheduler again; whether it is there.

        What was sent before is lost.
        """
        if self._client.status == "closed" and isinstance(self._where, str):
            import distributed  # noqa: PLC0415 - loaded already

            with contextlib.suppress(UnreachableError):
                self._connect(distributed)
        return not self.is_lost

    def close(self) -> None:
        """Disconnect; a cluster of our own ends."""
        with contextlib.suppress(OSError):
            self._probe_file.unlink()
        client: Any = self._client
        with contextlib.suppress(Exception):
            if client is not None and client is self._where:
                client.unsubscribe_topic(self._topic)
            elif client is not None:
                client.close(timeout=5)
        with contextlib.suppress(Exception):
            if self._cluster is not None:
                self._cluster.close(timeout=5)


def is_safe_worker(address: str) -> bool:
    """Whether secrets may go to a worker."""
    try:
        refuse_unsafe(address)
    except ConfigError:
        return False
    return True


def _in_time(connect: Callable[[], Any]) -> Any:
    """A client, as soon as it is connected. Dask itself waits for ever when something accepts and says nothing.

    Raises:
        TimeoutError: It is not connected in time.
    """
    made: Future[Any] = Future()

    def run() -> None:
        try:
            made.set_result(connect())
        except BaseException as error:  # noqa: BLE001 - it is raised where the client is waited for
            made.set_exception(error)

    threading.Thread(target=run, name="dask client", daemon=True).start()
    if not wait([made], CONNECT + ANSWER).done:
        made.add_done_callback(lambda late: late.exception() or late.result().close(timeout=ANSWER))
        raise TimeoutError(f"it says nothing for {CONNECT + ANSWER:.0f} s")
    return made.result()


def _own_keys(distributed: Any) -> Any:
    """Keys for a cluster of our own."""
    try:
        return distributed.Security.temporary()
    except ImportError as error:
        raise ConfigError("--dask local:N needs more packages", hint="Try: pip install 'pepsasync[dask]'") from error
