"""The last lines of a run."""

from pathlib import Path

import pytest

from fakes import product
from pepsasync.cli.run import Outcomes, summary_lines
from pepsasync.errors import NotFoundError, RefusedError, ServerError, TransferError
from pepsasync.model import Delivery, DeliveryStatus
from pepsasync.target import Target

DATA = Target(Path("data"))
AGAIN = "run the same command again to try the failed ones once more"


def delivered(name="A", size=21_000_000, resumed=0):
    return Delivery(product=product(name), status=DeliveryStatus.DELIVERED, bytes=size, resumed_bytes=resumed)


def failed(error, **known):
    return Delivery(product=product("B", **known), status=DeliveryStatus.FAILED, error=error)


def lines(*deliveries, target=DATA, received=21_000_000):
    outcomes = Outcomes()
    for delivery in deliveries:
        outcomes.take(delivery)
    return summary_lines(outcomes, seconds=3.0, received=received, target=target)


def test_speed_is_that_of_the_bytes_that_came():
    assert lines(delivered())[0] == "delivered: 1 product, 21.0 MB in 3.0 s (7.00 MB/s on average)"


def test_what_an_earlier_run_had_received_is_not_said_to_have_come_now():
    told = lines(delivered(resumed=20_500_000), received=500_000)

    assert told[0] == "delivered: 1 product, 21.0 MB; 500.0 kB of it came in 3.0 s (166.7 kB/s on average)"


def test_what_an_earlier_try_of_this_run_had_received_came_in_this_run():
    assert lines(delivered(resumed=10_000_000), received=21_000_000) == lines(delivered())


def test_files_that_will_be_deleted_are_nowhere():
    assert not any("files are in" in line for line in lines(delivered(), target=None))


@pytest.mark.parametrize(
    ("failure", "helps"),
    [
        pytest.param(failed(TransferError("cut")), True, id="cut"),
        pytest.param(failed(NotFoundError("no file")), True, id="file-that-may-come-back"),
        pytest.param(failed(NotFoundError("no such product"), download_url=""), False, id="unknown-name"),
        pytest.param(failed(ServerError("no answer"), download_url=""), True, id="name-that-was-not-looked-up"),
        pytest.param(failed(RefusedError("bad request")), False, id="refused"),
    ],
)
def test_another_try_is_advised_only_where_it_may_help(failure, helps):
    assert (AGAIN in lines(failure)) is helps
