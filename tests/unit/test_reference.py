"""The reference for programs names everything that there is."""

import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes import product
from pepsasync import events
from pepsasync.errors import ConfigError
from pepsasync.model import Delivery, DeliveryStatus, Report
from pepsasync.report import report_as_dict
from pepsasync.sandbox.faults import FAULTS
from pepsasync.settings import ARCHIVE_KEYS, READERS

TEXT = (Path(__file__).parents[2] / "docs" / "reference.md").read_text("utf-8")
EVENTS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
BASES = (events.Event, events.ProductEvent)


def words(text):
    return set(re.findall(r"`([\w-]+)`", text))


def section(title):
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title):
    """What stands in the first column of the tables of a section: text by word."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return {word: line for line in lines for word in words(line.split("|")[1])}


@pytest.mark.parametrize("kind", [kind for kind in EVENTS if kind not in BASES], ids=lambda kind: kind.__name__)
def test_every_event_is_explained_with_its_fields(kind):
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()

    assert {field.name for field in fields(kind)} - {"id", "name"} <= words(rows("Events")[name])


def test_there_are_no_other_events():
    assert len(rows("Events")) - 1 == len(EVENTS) - len(BASES)


def test_every_key_of_the_config_file_is_explained_and_no_other():
    assert {"provider", *READERS, *ARCHIVE_KEYS} == rows("Config file").keys()


def test_every_fault_is_explained_and_no_other():
    assert dict(FAULTS).keys() == rows("Faults of the sandbox").keys()


def test_every_field_of_a_report_is_explained_and_no_other():
    delivery = Delivery(product=product("A"), status=DeliveryStatus.SKIPPED)
    report = Report(provider="peps", started=datetime.now(UTC), seconds=0, deliveries=(delivery,), left_out=("B",))
    written = report_as_dict(replace(report, error=ConfigError("no"), fell_short=((3, 1),), superseded=(("1", "A"),)))

    assert set(written) | set(written["products"][0]) == rows("Report").keys()
    assert set(written["summary"]) <= words(rows("Report")["summary"])
