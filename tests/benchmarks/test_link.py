"""The link of the benchmark: bytes arrive unchanged, and not before half a round trip."""

import os
import socket
import threading
import time

import pytest
from link import link_to

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the benchmarks are for POSIX")

ROUND_TRIP = 0.05


@pytest.fixture
def echo():
    """The port of a server that sends back what it gets, on one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                while block := connection.recv(1 << 16):
                    connection.sendall(block)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def ask(connection, block):
    received = b""
    connection.sendall(block)
    while len(received) < len(block):
        received += connection.recv(1 << 16)
    return time.monotonic(), received


def test_a_question_takes_a_round_trip_and_the_first_one_two(echo):
    block = os.urandom(100_000)
    with link_to(echo, ROUND_TRIP) as port:
        began = time.monotonic()  # the link opens the connection while this process may still wait for its turn
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            first, second = ask(connection, b"first"), ask(connection, block)

    assert first[0] - began >= 2 * ROUND_TRIP
    assert second[0] - first[0] >= ROUND_TRIP
    assert (b"first", block) == (first[1], second[1])
