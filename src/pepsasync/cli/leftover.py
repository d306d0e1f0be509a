"""What is unfinished in a folder, as its journal tells: the errands that finish it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pepsasync.cli.errands import Errand, Manner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pepsasync.folder.journal import Here, JournalReader, Order, Row
    from pepsasync.model import Product, Query

AGAIN = ("downloading", "staging", "found", "failed")
"""States of products that are tried again; `left_out` joins them when the order waits for tape."""


class Manners:
    """How the orders of a folder are carried out, and which of that is meant for a product.

    Args:
        orders: Of the folder, oldest first.
        provider: Archive that takes the place of those of the orders; None for theirs.
        skip_tape: Whether nothing waits for tape, whatever the orders say.
    """

    def __init__(self, orders: Sequence[Order], provider: str | None = None, *, skip_tape: bool = False) -> None:
        self._provider, self._skip_tape = provider, skip_tape
        self._by_order = {order.id: self._changed(_manner(order)) for order in orders}
        self._by_source = {name: self._by_order[order.id] for order in orders for name in order.providers}
        self._latest = self._by_order[orders[-1].id] if orders else None

    def of_order(self, order: Order) -> Manner:
        """How an order is carried out."""
        return self._by_order[order.id]

    def of_product(self, row: Row) -> Manner:
        """How a product's order is carried out; of a product without, the latest order to its archive."""
        known = self._by_order.get(row.order or 0) or self._by_source.get(row.source) or self._latest
        return known or self._changed(Manner(row.source))

    def of_source(self, source: str) -> Manner:
        """How the latest order to an archive is carried out; an archive that is not noted is that of the last order."""
        known = self._by_source.get(source) if source else self._latest
        return known or self._changed(Manner(source))

    def everything(self) -> list[Manner]:
        """All that occur, oldest first."""
        return list(dict.fromkeys(self._by_order.values()))

    def _changed(self, manner: Manner) -> Manner:
        if self._skip_tape:
            manner = replace(manner, skip_tape=True)
        return manner.elsewhere(self._provider) if self._provider else manner


def find_left_over(directory: Path, provider: str | None = None, *, skip_tape: bool = False) -> list[Errand]:
    """Work out what is unfinished in a folder: what the journal says, and what is not there any more.

    A list of names whose look-up was cut short is given again as it was; everything else is gone on with.

    Args:
        directory: The user's folder.
        provider: Archive instead of those of the orders.
        skip_tape: Whether nothing waits for tape, whatever the orders say.

    Returns:
        Errands, one for each manner of carrying them out and one for each of those lists.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415 - not needed for help

    with JournalReader(directory) as reader:
        orders = reader.orders()
        manners = Manners(orders, provider, skip_tape=skip_tape)
        open_lists = {order.id: order for order in orders if not order.is_searched and isinstance(order.wanted, list)}
        counts = _counts(reader, manners, open_lists.keys())
        lost: dict[Manner, list[str]] = {}
        for one in gone(reader):
            row = reader.product(one.name)
            if row is not None and row.order not in open_lists:
                lost.setdefault(manners.of_product(row), []).append(one.name)
    for manner, names in lost.items():
        counts[manner] += len(names)
    lists: dict[tuple[Manner, tuple[str, ...]], Errand] = {}
    for order in open_lists.values():
        key = manners.of_order(order), tuple(order.wanted)
        lists[key] = Errand(key[0], list(order.wanted), count=len(order.wanted))
    queries = _open_queries(orders, manners)
    going_on = [
        Errand(
            manner,
            _wanted(directory, manner, manners, open_lists.keys(), lost.get(manner, []), queries.get(manner, [])),
            count=counts[manner],
            searches=len(queries.get(manner, [])),
        )
        for manner in dict.fromkeys((*counts, *queries))
    ]
    return [errand for errand in going_on if errand.count or errand.searches] + list(lists.values())


def gone(reader: JournalReader) -> Iterator[Here]:
    """Products that the journal takes for delivered and that are not there any more, or not as they were noted.

    What a command of `--on-delivered` has taken away is where the user wants it.
    """
    from pepsasync.folder.layout import Folder  # noqa: PLC0415
    from pepsasync.transfer.existing import stands  # noqa: PLC0415

    shelf = Folder(reader.directory)
    for batch in reader.here():
        yield from (one for one in batch if one.path and not stands(one.name, shelf))


def _states(manner: Manner) -> tuple[str, ...]:
    return AGAIN if manner.skip_tape else (*AGAIN, "left_out")


def _counts(reader: JournalReader, manners: Manners, without: Any) -> Counter[Manner]:
    """Unfinished products by manner; where there is only one, nobody has to look at the products."""
    from pepsasync.folder.journal import State  # noqa: PLC0415

    known, counts = manners.everything(), reader.counts()
    if len(known) == 1 and not without:
        return Counter({known[0]: sum(counts[State(state)].products for state in _states(known[0]))})
    found: Counter[Manner] = Counter()
    for row in _rows(reader, (*AGAIN, "left_out")):
        manner = manners.of_product(row)
        if row.state in _states(manner) and row.order not in without:
            found[manner] += 1
    return found


def _rows(reader: JournalReader, states: Sequence[str]) -> Iterator[Row]:
    from pepsasync.folder.journal import State  # noqa: PLC0415

    for state in states:
        for batch in reader.in_state(State(state)):
            yield from batch


def _wanted(
    directory: Path,
    manner: Manner,
    manners: Manners,
    without: Any,
    lost: Sequence[str],
    queries: Sequence[Query],
) -> Iterator[Product | str | Query]:
    """Products, by name where the journal or the archive does not know more, then queries.

    Read from the journal as they go, while the run changes it: a product that comes by name comes once.
    """
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415

    names: set[str] = set()
    with JournalReader(directory) as reader:
        again = (row for name in lost if (row := reader.product(name)))
        open_ones = (
            row
            for row in _rows(reader, _states(manner))
            if row.order not in without and manners.of_product(row) == manner
        )
        for row in itertools.chain(again, open_ones):
            if row.name in names:
                continue
            if row.product is not None and manner.knows(row.product):
                yield row.product
            else:
                names.add(row.name)
                yield row.name
    yield from queries


def _open_queries(orders: Sequence[Order], manners: Manners) -> dict[Manner, list[Query]]:
    """Queries whose search was cut short, each once for each manner."""
    from pepsasync.query.saved import query_from_json  # noqa: PLC0415

    found: dict[Manner, list[Any]] = {}
    for order in orders:
        if not order.is_searched and isinstance(order.wanted, dict):
            of_manner = found.setdefault(manners.of_order(order), [])
            if order.wanted not in of_manner:
                of_manner.append(order.wanted)
    return {manner: [query_from_json(wanted) for wanted in several] for manner, several in found.items()}


def _manner(order: Order) -> Manner:
    """How an order is carried out; options that nobody wrote, as damage makes them, count for nothing."""
    options = order.options if isinstance(order.options, Mapping) else {}
    given, roots = options.get("provider"), options.get("base_url")
    names = given.split(",") if isinstance(given, str) and given else [str(name) for name in order.providers]
    roots = roots if isinstance(roots, Mapping) else {}
    return Manner(
        ",".join(names),
        ",".join(str(roots[name]) for name in names) if roots and set(roots) == set(names) else None,
        extract=bool(options.get("extract")),
        skip_tape=bool(options.get("skip_tape")),
    )
