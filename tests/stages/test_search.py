"""Ids of a search, each once."""

from hypothesis import given
from hypothesis import strategies as st

from pepsasync.stages.search import Seen


@given(st.lists(st.text(max_size=2)))
def test_an_id_is_new_once(ids):
    seen, known = Seen(), set()

    for identity in ids:
        assert (identity not in known) == seen.add(identity)
        known.add(identity)
    assert len(known) == len(seen)


def test_ids_are_remembered_while_the_table_grows():
    seen = Seen()

    assert all(seen.add(f"id-{number}") for number in range(5_000))
    assert not any(seen.add(f"id-{number}") for number in range(5_000))
    assert len(seen) == 5_000
