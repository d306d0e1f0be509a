"""Metrics of a run for Prometheus, made from the same view as the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pepsasync.display.view import STATES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from pepsasync.display.serve.board import Board


class RunMetrics(Collector):
    """Collects the metrics of one run.

    Args:
        board: What is known of it.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterable[Metric]:
        """What is known now."""
        view, tape = self._board.view(), self._board.tape
        products = GaugeMetricFamily("pepsasync_products", "Products of the run by state.", labels=["state"])
        sizes = GaugeMetricFamily("pepsasync_bytes", "Bytes of the products of the run by state.", labels=["state"])
        for state in STATES:
            products.add_metric([state.replace(" ", "_")], view.amounts[state].products)
            sizes.add_metric([state.replace(" ", "_")], view.amounts[state].bytes)
        products.add_metric(["failed"], view.failed)
        products.add_metric(["left_out"], view.left_out)
        yield products
        yield sizes
        yield _gauge("wanted_products", "Products that are wanted, as far as is known.", view.total.products)
        yield _gauge("wanted_bytes", "Bytes of the products that are wanted.", view.total.bytes)
        yield _gauge("present_bytes", "Bytes of wanted products that are on the disk.", view.present_bytes)
        yield CounterMetricFamily(
            "pepsasync_received_bytes", "Bytes that came over the network.", value=self._board.received()
        )
        yield _gauge("speed_bytes_per_second", "Bytes that come in a second; 0 while none do.", view.speed)
        yield _gauge("elapsed_seconds", "Time since the run began.", view.elapsed or 0.0)
        left = GaugeMetricFamily(
            "pepsasync_time_left_seconds",
            "Time until everything is here; no most while nobody can know.",
            labels=["bound"],
        )
        left.add_metric(["least"], view.time_left.least)
        if view.time_left.most is not None:
            left.add_metric(["most"], view.time_left.most)
        yield left
        yield _gauge("oldest_wait_seconds", "How long the product waits for tape that waits longest.", view.oldest_wait)
        if view.next_look is not None:
            yield _gauge("next_look_seconds", "Time until the next look at the tape queue.", max(0.0, view.next_look))
        yield _gauge("quota_wait_seconds", "Time until the quota allows the next download.", view.quota_wait or 0.0)
        yield SummaryMetricFamily(
            "pepsasync_tape_wait_seconds",
            "How long products waited that have come from tape.",
            count_value=tape.products,
            sum_value=tape.seconds,
        )


def exposition(board: Board, accept: str) -> tuple[bytes, str]:
    """The metrics as text, and its content type.

    Args:
        board: Of the run.
        accept: What the scraper takes, as in its header.
    """
    registry = CollectorRegistry()
    registry.register(RunMetrics(board))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"pepsasync_{name}", what, value=value)
