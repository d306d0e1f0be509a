"""What is unfinished in a folder, as its journal tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pepsasync.io.journal import Order
    from pepsasync.model import Product, Query

AGAIN = ("found", "staging", "downloading", "failed")
"""States of products that are tried again; `left_out` joins them when the run waits for tape."""


@dataclass(frozen=True, slots=True)
class LeftOver:
    """What is unfinished of the orders that went to the same archives."""

    directory: Path
    provider: str
    base_url: str | None
    extract: bool
    skip_tape: bool
    count: int
    """Products that were found and are not here."""
    queries: list[Query]
    """Whose search was not finished."""

    def wanted(self, *, with_tape: bool) -> Iterator[Product | str | Query]:
        """Products, by name where the journal does not know more, then queries; read from the journal as they go.

        Args:
            with_tape: Also what was left out for being on tape.
        """
        from pepsasync.io.journal import JournalReader, State  # noqa: PLC0415

        with JournalReader(self.directory) as reader:
            for state in (*AGAIN, *(["left_out"] if with_tape else [])):
                for batch in reader.in_state(State(state)):
                    for row in batch:
                        yield row.product or row.name
        yield from self.queries


def find_left_over(directory: Path) -> LeftOver:
    """Read what is unfinished in a folder.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """
    from pepsasync.io.journal import JournalReader  # noqa: PLC0415 - not needed for help

    with JournalReader(directory) as reader:
        orders = reader.orders()
        counts = {state.value: count.products for state, count in reader.counts().items()}
    options: dict[str, Any] = dict(orders[-1].options) if orders else {}
    skip_tape = bool(options.get("skip_tape"))
    states = AGAIN if skip_tape else (*AGAIN, "left_out")
    roots = options.get("base_url") or {}
    provider = options.get("provider") or ""
    return LeftOver(
        directory,
        provider,
        ",".join(roots[name] for name in provider.split(",")) if set(roots) == set(provider.split(",")) else None,
        bool(options.get("extract")),
        skip_tape,
        sum(counts[state] for state in states),
        _open_queries(orders),
    )


def _open_queries(orders: list[Order]) -> list[Query]:
    """Queries whose search was cut short, each once."""
    from pepsasync.pipeline.order import query_from_json  # noqa: PLC0415

    open_ones = [order.wanted for order in orders if not order.is_searched and isinstance(order.wanted, dict)]
    different = [wanted for at, wanted in enumerate(open_ones) if wanted not in open_ones[:at]]
    return [query_from_json(wanted) for wanted in different]
