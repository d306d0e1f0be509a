"""Memory for large bodies: how many blocks, how large, and when they go."""

import contextlib

import pytest

from pepsasync.transfer.buffers import FEWEST, LARGEST_BLOCK, MOST, SMALLEST_BLOCK, BufferPool


@pytest.mark.parametrize(
    ("bodies", "count", "size"),
    [
        pytest.param(1, MOST, LARGEST_BLOCK, id="one"),
        pytest.param(3, 5, LARGEST_BLOCK, id="some"),
        pytest.param(5, FEWEST, LARGEST_BLOCK, id="several"),
        pytest.param(8, FEWEST, LARGEST_BLOCK // 2, id="twice-the-processors"),
        pytest.param(9, 1, LARGEST_BLOCK // 2, id="more"),
        pytest.param(17, 1, LARGEST_BLOCK // 4, id="no-room-for-large-blocks"),
        pytest.param(64, 1, LARGEST_BLOCK // 8, id="many"),
        pytest.param(1000, 1, SMALLEST_BLOCK, id="far-too-many"),
    ],
)
def test_memory_is_shared(bodies, count, size):
    pool = BufferPool(in_memory=16 * LARGEST_BLOCK, processors=4)
    with contextlib.ExitStack() as stack:
        for _ in range(bodies):
            stack.enter_context(pool.blocks())

        assert (pool.count, pool.size) == (count, size)

    assert pool.size == LARGEST_BLOCK


def test_blocks_are_made_only_when_none_is_free():
    with BufferPool(processors=1).blocks() as blocks:
        first = blocks.take()
        blocks.give_back(first)

        assert blocks.take() is first
        assert blocks.take() is not first


def test_blocks_become_smaller_while_others_receive_and_large_again():
    pool = BufferPool(in_memory=LARGEST_BLOCK, processors=1)
    with pool.blocks() as blocks:
        taken = [blocks.take() for _ in range(FEWEST)]
        assert [LARGEST_BLOCK // 4] * FEWEST == [len(block) for block in taken]
        assert not blocks.is_single

        with contextlib.ExitStack() as others:
            for _ in range(7):
                others.enter_context(pool.blocks())
            blocks.give_back(taken[0])
            blocks.take()
            assert not blocks.is_single  # two blocks are still with the hash
            for block in taken:
                blocks.give_back(block)

            assert LARGEST_BLOCK // 16 == len(blocks.take())  # eight bodies, one block each
            assert blocks.is_single

        assert not blocks.is_single
        assert LARGEST_BLOCK // 4 == len(blocks.take())


def test_whoever_waits_for_a_block_is_woken_when_none_can_come_back():
    with BufferPool(processors=1).blocks() as blocks:
        taken = [blocks.take() for _ in range(MOST)]
        blocks.wake()

        assert blocks.take() is None
        assert len(taken) == MOST
