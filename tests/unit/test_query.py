"""Queries of programs: clean values, of which impossible ones are refused."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from pepsasync.errors import ConfigError
from pepsasync.model import Query

AWARE = datetime(2017, 1, 1, tzinfo=UTC)
NAIVE = AWARE.replace(tzinfo=None)
LATER = timedelta(days=1)


@pytest.mark.parametrize(
    ("period", "which"),
    [
        pytest.param({"start": NAIVE}, "start", id="start"),
        pytest.param({"end": NAIVE}, "end", id="end"),
        pytest.param({"start": NAIVE, "end": NAIVE + LATER}, "start", id="both"),
        pytest.param({"start": NAIVE, "end": AWARE + LATER}, "start", id="beside-an-aware-end"),
        pytest.param({"start": AWARE, "end": NAIVE + LATER}, "end", id="beside-an-aware-start"),
        pytest.param({"start": date(2017, 1, 1)}, "start", id="date"),
        pytest.param({"end": "2017-01-01"}, "end", id="text"),
        pytest.param({"published_since": NAIVE}, "published since", id="publication"),
    ],
)
def test_instants_without_a_time_zone_are_refused(period, which):
    with pytest.raises(ConfigError, match=rf"the {which} 2017-01-0\d.* has no time zone.*tzinfo=UTC"):
        Query(**period)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-3))])
def test_instants_with_a_time_zone_are_taken_as_they_are(zone):
    start = NAIVE.replace(tzinfo=zone)
    query = Query(start=start, end=start + LATER)

    assert (start, start + LATER) == (query.start, query.end)
