"""A whole run: it searches for what is wanted and delivers what was found, at the same time."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from pepsasync.engine.deliver import deliver, fail
from pepsasync.engine.order import Log
from pepsasync.engine.search import PAGES_AHEAD
from pepsasync.engine.wanted import feed
from pepsasync.errors import FATAL, AuthError, PepsasyncError, ProviderError
from pepsasync.events import HookFailed, Noticed, ProductMoved
from pepsasync.groups import task_group, told_when_cancelled
from pepsasync.model import DeliveryStatus, Product
from pepsasync.text import reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from pepsasync.engine.one_archive import OneArchive
    from pepsasync.engine.order import Order, Sources
    from pepsasync.engine.recorder import Recorder
    from pepsasync.model import Delivery, Wanted
    from pepsasync.providers.base import Provider


async def fetch(
    wanted: Wanted,
    provider: Provider,
    sources: Sources,
    order: Order,
    recorder: Recorder,
    outcomes: MemoryObjectSendStream[Delivery],
) -> None:
    """Search for what is wanted, and deliver what was found meanwhile.

    A search that fails does not cancel the deliveries, which may hold days of work.

    Args:
        wanted: A query, or products, names and queries.
        provider: Is searched.
        sources: Where products come from.
        order: Folder, limiters, options.
        recorder: Writes what happens to the journal of the folder.
        outcomes: One `Delivery` each, closed at the end.

    Raises:
        ConfigError, AuthError, UnreachableError, DiskFullError: The run cannot go on; all of it is resumable.
        JournalBusyError: Another program has taken over the folder, because this one was stopped for long.
        ProviderError: The search failed, for more than some names; what it had found was delivered.

    Cancellation: as `deliver`, for each product.
    """
    failures: list[ProviderError] = []
    send, pages = anyio.create_memory_object_stream[list[Product]](PAGES_AHEAD)

    async def look_for() -> None:
        try:
            with told_when_cancelled("the look for what is wanted"):
                await feed(wanted, provider, recorder, send, outcomes.clone(), order.config.shard)
        except AuthError:
            raise
        except ProviderError as error:
            failures.append(error)
            if recorder.has_found:
                recorder.take(Noticed(message=f"{error.message}; products found before are still downloaded"))

    async with outcomes, task_group() as guarding:
        guarding.start_soon(recorder.guard)
        async with task_group() as tasks:
            tasks.start_soon(look_for)
            tasks.start_soon(deliver_all, pages, outcomes.clone(), sources, order)
        guarding.cancel_scope.cancel()
    for error in failures:
        raise error


async def deliver_all(
    pages: MemoryObjectReceiveStream[list[Product]],
    outcomes: MemoryObjectSendStream[Delivery],
    sources: Sources,
    order: Order,
) -> None:
    """Deliver every product that arrives, many at a time.

    At most `Config.in_flight` products are in work, wait for tape, or wait until their outcome is consumed; with so
    many, no further page is taken.

    Args:
        pages: Products without repetition; closed by the search.
        outcomes: One `Delivery` each, but for products that the order leaves out; closed at the end.
        sources: Where they come from.
        order: Shared by all.

    Raises:
        ConfigError, AuthError, UnreachableError, DiskFullError: Everything under way was cancelled; all of it is
            resumable.

    Cancellation: as `deliver`, for each product.
    """
    in_flight = anyio.CapacityLimiter(order.config.in_flight)

    async def one(product: Product, is_absent: bool) -> None:
        try:
            async with order.in_progress.alone(product.name) as is_shared:
                delivery = await deliver(product, sources, order, is_absent=is_absent and not is_shared)
            if delivery is not None:
                await _run_hook(delivery, order)
                await outcomes.send(delivery)
        finally:
            in_flight.release_on_behalf_of(product.name)

    async with outcomes, pages, task_group() as watching:
        watching.start_soon(sources.watch)
        async with task_group() as deliveries:
            async for products in pages:
                absent = await order.destination.absent(products)
                for product in products:
                    await in_flight.acquire_on_behalf_of(product.name)
                    deliveries.start_soon(one, product, product.name in absent)
        watching.cancel_scope.cancel()


async def _run_hook(delivery: Delivery, order: Order) -> None:
    """Call the user's hook for a delivered product; an error of the hook does not change the outcome."""
    if order.on_delivered is None or delivery.status is not DeliveryStatus.DELIVERED:
        return
    product = delivery.product
    try:
        async with order.hooks:
            with told_when_cancelled("the hook"):
                await order.on_delivered(delivery)
    except Exception as error:  # noqa: BLE001 - it is the user's code
        order.emit(HookFailed(id=product.id, name=product.name, message=reason(error)))
    if delivery.path and not await to_thread.run_sync(os.path.lexists, delivery.path):
        order.emit(ProductMoved(id=product.id, name=product.name, path=str(delivery.path)))


async def bring_all_online(
    products: Iterable[Product], online: MemoryObjectSendStream[Product], archive: OneArchive, order: Order
) -> None:
    """Stage products and send each as it comes online; one that fails is a `ProductFailed` event.

    Args:
        products: Without repetition.
        online: Gets those that are online.
        archive: Where they are staged.
        order: Nothing is written to its folder.

    Raises:
        AuthError, UnreachableError: No product can be staged.
    """

    async def one(product: Product) -> None:
        log = Log(product, source=order.source)
        try:
            await archive.bring_online(product, log)
        except FATAL:
            raise
        except PepsasyncError as error:
            fail(log, error, order)
        else:
            await online.send(replace(product, order=log.archive_order))

    async with task_group() as watching:
        watching.start_soon(archive.watch)
        async with task_group() as waiting:
            for product in products:
                waiting.start_soon(one, product)
        watching.cancel_scope.cancel()
