"""Errors as other programs handle them: sent to other processes, copied, kept."""

import copy
import importlib
import pickle
import pkgutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import shapely

import pepsasync
from fakes import product
from pepsasync import errors
from pepsasync.events import ProductFailed
from pepsasync.model import Checksum, Delivery, DeliveryStatus, Query, Report


def every_kind(root=errors.PepsasyncError):
    """All classes of errors of the package, wherever they are."""
    for module in pkgutil.walk_packages(pepsasync.__path__, "pepsasync."):
        if module.name.startswith(("pepsasync.sandbox", "pepsasync.__main__")):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # of an extra, or of eodag, which are not everywhere
            assert not (error.name or "").startswith("pepsasync")  # noqa: PT017 - nothing was expected
    kinds, found = [root], []
    while kinds:
        found.append(kinds.pop())
        kinds += found[-1].__subclasses__()
    return sorted({kind for kind in found if kind.__module__.startswith("pepsasync.")}, key=lambda kind: kind.__name__)


def make(kind):
    if kind is errors.IncompleteError:
        error = kind(announced=10, sent=5, archive="peps")
    else:
        more = {"replaced_by": "id-2"} if issubclass(kind, errors.ReplacedError) else {}
        error = kind("it broke", product="A", url="https://archive.example/A", **more)
    error.attempts = 3
    error.hint = "Try again"
    if hasattr(error, "retry_after"):
        error.retry_after = 1.5
    error.add_note("a note")
    return error


WAYS = [
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
    *(
        pytest.param(
            lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol)), id=f"pickle-{protocol}"
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ),
]


@pytest.mark.parametrize("again", WAYS)
@pytest.mark.parametrize("kind", every_kind(), ids=lambda kind: kind.__name__)
def test_every_error_survives(kind, again):
    error = make(kind)
    other = again(error)

    assert type(other) is kind
    assert other is not error
    assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("again", WAYS)
def test_an_error_within_an_error_survives(again):
    error = errors.OfflineError("not here", retry_after=2.0, if_online=errors.ProtocolError("a web page", product="A"))
    other = again(error)

    assert other.retry_after == 2.0
    assert (type(other.if_online), str(other.if_online)) == (errors.ProtocolError, "A: a web page")


@pytest.mark.parametrize("again", WAYS[1:])
def test_outcomes_reports_queries_and_events_survive(again):
    one = product("A", checksum=Checksum("md5", "00"), footprint={"type": "Point", "coordinates": [1.0, 2.0]})
    delivery = Delivery(product=one, status=DeliveryStatus.FAILED, error=make(errors.ReplacedError))
    report = Report(provider="peps", started=datetime.now(UTC), seconds=1.0, deliveries=(delivery,))
    query = Query(collection="S2", area=shapely.box(1, 43, 2, 44))
    event = ProductFailed(id="1", name="A", error="ServerError", message="no")
    other = again(report)

    assert str(other.deliveries[0].error) == str(delivery.error)
    assert replace(other.deliveries[0], error=None) == replace(delivery, error=None)
    assert again(query) == query
    assert again(event) == event
