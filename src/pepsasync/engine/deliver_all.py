"""The path of many: search pages in, outcomes out, in the order in which they are known."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from pepsasync.engine.bring import bring_online
from pepsasync.engine.deliver import deliver, fail
from pepsasync.engine.run import Log, Run
from pepsasync.engine.sources import Sources
from pepsasync.engine.watch import OnlineWatch
from pepsasync.errors import FATAL, AuthError, PepsasyncError
from pepsasync.events import HookFailed, ProductMoved
from pepsasync.groups import task_group
from pepsasync.http.errors import reason
from pepsasync.model import DeliveryStatus
from pepsasync.transfer.existing import find_absent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from pepsasync.model import Delivery, Product
    from pepsasync.transfer.line import Line


def make_run(lines: Sequence[Line], **given: Any) -> Run:
    """A run along the line of each archive, with a watch of its own.

    Args:
        lines: One for each archive, in order of preference.
        **given: Other fields of `Run`.
    """
    lines = [replace(line, waits_for_quota=len(lines) == 1) for line in lines]
    runs = [Run(line, OnlineWatch(line.provider, line.config, line.emit), **given) for line in lines]
    return replace(runs[0], sources=Sources(runs)) if len(runs) > 1 else runs[0]


async def deliver_all(
    pages: MemoryObjectReceiveStream[list[Product]], outcomes: MemoryObjectSendStream[Delivery], run: Run
) -> None:
    """Deliver every product that arrives, many at a time.

    At most `Config.in_flight` products are worked on, waited for, or wait for the consumer of their outcomes; beyond
    that no further page is taken, and so no further page is fetched.

    Args:
        pages: Products without repetition; closed by the search when there are no more.
        outcomes: One `Delivery` each, but for products that the run leaves out; closed at the end.
        run: Shared by all.

    Raises:
        ConfigError, AuthError, UnreachableError, DiskFullError: Everything under way was cancelled; all of it is
            resumable.

    Cancellation: as `deliver`, for each product.
    """
    in_flight = anyio.CapacityLimiter(run.line.config.in_flight)

    async def one(product: Product, is_absent: bool) -> None:
        try:
            await run.claims.take(product.name)
            try:
                delivery = await deliver(product, run, is_absent=is_absent and not run.claims.is_shared)
            finally:
                run.claims.give_back(product.name)
            if delivery is not None:
                await _run_hook(delivery, run)
                await outcomes.send(delivery)
        finally:
            in_flight.release_on_behalf_of(product.name)

    async with outcomes, pages, task_group() as watching:
        for each in run.sources.runs if run.sources else [run]:
            watching.start_soon(_watch, each, run.sources is not None)
        async with task_group() as deliveries:
            async for products in pages:
                absent = await find_absent(products, run.line.shelf)
                for product in products:
                    await in_flight.acquire_on_behalf_of(product.name)
                    deliveries.start_soon(one, product, product.name in absent)
        watching.cancel_scope.cancel()


async def _run_hook(delivery: Delivery, run: Run) -> None:
    """Do what the user wants done with a product; it is delivered whatever comes of it."""
    if run.on_delivered is None or delivery.status is not DeliveryStatus.DELIVERED:
        return
    product = delivery.product
    try:
        async with run.line.slots.hooks:
            await run.on_delivered(delivery)
    except Exception as error:  # noqa: BLE001 - it is the user's code
        run.line.emit(HookFailed(id=product.id, name=product.name, message=reason(error)))
    if delivery.path and not await to_thread.run_sync(os.path.lexists, delivery.path):
        run.line.emit(ProductMoved(id=product.id, name=product.name, path=str(delivery.path)))


async def _watch(run: Run, has_others: bool) -> None:
    """Poll an archive; one that refuses the credentials ends the run, unless there are others."""
    try:
        await run.watch.run()
    except AuthError:
        if not has_others:
            raise


async def bring_all_online(products: Iterable[Product], online: MemoryObjectSendStream[Product], run: Run) -> None:
    """Stage products and send each as it comes online; one that fails is a `ProductFailed` event.

    Args:
        products: Without repetition.
        online: Gets those that are online.
        run: Limiters and the watch; nothing is written to its folder.

    Raises:
        AuthError, UnreachableError: No product can be staged.
    """

    async def one(product: Product) -> None:
        log = Log(product)
        try:
            await bring_online(product, run, log)
        except FATAL:
            raise
        except PepsasyncError as error:
            fail(log, run, error)
        else:
            await online.send(product)

    async with task_group() as watching:
        watching.start_soon(run.watch.run)
        async with task_group() as waiting:
            for product in products:
                waiting.start_soon(one, product)
        watching.cancel_scope.cancel()
