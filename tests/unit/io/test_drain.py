"""Memory for large bodies: how many blocks, how large, and when they go."""

import contextlib

import pytest

from pepsasync.transfer.blocks import BLOCK
from pepsasync.transfer.old_drain import FEWEST, MOST, SMALLEST_BLOCK, Buffers


@pytest.mark.parametrize(
    ("drains", "blocks", "size"),
    [
        pytest.param(1, MOST, BLOCK, id="one"),
        pytest.param(3, 5, BLOCK, id="some"),
        pytest.param(5, FEWEST, BLOCK, id="several"),
        pytest.param(8, FEWEST, BLOCK // 2, id="twice-the-processors"),
        pytest.param(9, 1, BLOCK // 2, id="more"),
        pytest.param(17, 1, BLOCK // 4, id="no-room-for-large-blocks"),
        pytest.param(64, 1, BLOCK // 8, id="many"),
        pytest.param(1000, 1, SMALLEST_BLOCK, id="far-too-many"),
    ],
)
def test_buffers_shares(drains, blocks, size):
    buffers = Buffers(in_memory=16 * BLOCK, processors=4)
    with contextlib.ExitStack() as rings:
        for _ in range(drains):
            rings.enter_context(buffers.ring())

        assert (blocks, size) == (buffers.blocks, buffers.block_size)

    assert BLOCK == buffers.block_size


def test_ring_makes_blocks_only_when_none_is_free():
    with Buffers(processors=1).ring() as ring:
        first = ring.take()
        ring.give_back(first)

        assert ring.take() is first
        assert ring.take() is not first


def test_ring_becomes_smaller_while_others_drain_and_large_again():
    buffers = Buffers(in_memory=BLOCK, processors=1)
    with buffers.ring() as ring:
        taken = [ring.take() for _ in range(FEWEST)]
        assert [BLOCK // 4] * FEWEST == [len(block) for block in taken]
        assert not ring.is_single

        with contextlib.ExitStack() as others:
            for _ in range(7):
                others.enter_context(buffers.ring())
            ring.give_back(taken[0])
            ring.take()
            assert not ring.is_single  # two blocks are still with the hash
            for block in taken:
                ring.give_back(block)

            assert BLOCK // 16 == len(ring.take())  # eight drains, one block each
            assert ring.is_single

        assert not ring.is_single
        assert BLOCK // 4 == len(ring.take())
