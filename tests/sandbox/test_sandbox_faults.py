"""The plan of faults, without a network."""

import pytest

from pepsasync.sandbox.faults import FAULTS, LASTING, FaultPlan


def test_no_rate_no_fault():
    assert not any(FaultPlan({}).strikes(name, "x") for name in FAULTS)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_certain_fault_strikes(name):
    assert FaultPlan({name: 1.0}).strikes(name, "x")


def test_passing_fault_stops_after_the_limit():
    plan = FaultPlan({"cut": 1.0}, limit=2)
    assert [plan.strikes("cut", "x") for _ in range(4)] == [True, True, False, False]
    assert plan.strikes("cut", "y")
    assert plan.hits() == {"cut": 3}


@pytest.mark.parametrize("name", sorted(LASTING))
def test_lasting_fault_stays(name):
    plan = FaultPlan({name: 0.5})
    for key in "abcdefgh":
        assert len({plan.strikes(name, key) for _ in range(5)}) == 1


def test_rate_is_about_kept_and_does_not_depend_on_the_order():
    keys = [f"product {number}" for number in range(400)]
    forward, backward = FaultPlan({"cut": 0.3}), FaultPlan({"cut": 0.3})
    first = {key: forward.strikes("cut", key) for key in keys}
    second = {key: backward.strikes("cut", key) for key in reversed(keys)}
    assert first == second
    assert 80 < sum(first.values()) < 160


def test_position_is_inside():
    plan = FaultPlan({"cut": 1.0})
    assert all(0 <= plan.position("cut", str(key), 10) < 10 for key in range(50))
    assert plan.position("cut", "x", 0) == 0


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"unknown fault 'cuts', known: .*cut, .*unknown-once"):
        FaultPlan({"cuts": 1})
    with pytest.raises(ValueError, match=r"'cut' must be from 0 to 1, not 1\.5"):
        FaultPlan({"cut": 1.5})
