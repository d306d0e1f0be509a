"""The sandbox as an object: start and stop on both event loops, statistics, options."""

import inspect
import math
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime

import anyio
import httpx
import pytest
from raw_http import connect, download_path, fetch, running

from pepsasync.sandbox import Sandbox

SMALL = {"products": 4, "product_size": 40_000, "vary": False, "tape_fraction": 0}


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "pepsasync-sandbox"]


@pytest.mark.anyio
async def test_context_manager():
    async with Sandbox(**SMALL) as archive:
        assert len(threads()) >= 1
        async with httpx.AsyncClient(auth=(archive.username, archive.password), timeout=20) as client:
            product = archive.catalogue[0]
            reply = await client.get(archive.url + download_path(product))
            assert reply.content == archive.content(product.name).read()
            address = archive.peps_url
    with pytest.raises(OSError, match="attempts failed"):
        await anyio.connect_tcp("127.0.0.1", int(address.split(":")[2].split("/")[0]))


@pytest.mark.anyio
async def test_stop_is_not_cancelled():
    before = len(threads())
    with anyio.CancelScope() as scope:
        async with Sandbox(**SMALL):
            scope.cancel()
            await anyio.sleep_forever()
    assert len(threads()) == before


@pytest.mark.anyio
async def test_parallel_downloads_are_counted():
    async with Sandbox(products=4, product_size=8 << 20, tape_fraction=0) as archive:
        login = (archive.username, archive.password)
        async with httpx.AsyncClient(auth=login, timeout=20) as client, anyio.create_task_group() as group:
            for product in archive.catalogue:
                group.start_soon(client.get, archive.url + download_path(product))
        statistics = archive.statistics
        assert statistics.requests == {"download": 4}
        assert statistics.bytes_sent == {product.name: product.size for product in archive.catalogue}
        assert {transfer.sent for transfer in statistics.transfers} == {p.size for p in archive.catalogue}
        assert 1 <= statistics.peak_downloads <= 4


def test_transfers_remember_what_was_asked():
    with running(**SMALL) as archive, httpx.Client(auth=(archive.username, archive.password)) as client:
        product = archive.catalogue[0]
        client.get(archive.url + download_path(product), headers={"Range": "bytes=39990-"})
        (transfer,) = archive.statistics.transfers
        assert (transfer.name, transfer.status, transfer.offset, transfer.sent, transfer.range) == (
            product.name,
            206,
            39990,
            10,
            "bytes=39990-",
        )


def test_stop_twice_and_with_an_idle_connection():
    archive = Sandbox(**SMALL)
    archive.stop()
    archive.start()
    before = len(threads())
    with connect(archive):
        archive.stop()
    archive.stop()
    assert len(threads()) == before - 1


def test_taken_port():
    with running(**SMALL) as archive:
        port = int(archive.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port, **SMALL).start()


def test_explicit_catalogue():
    products = Sandbox(**SMALL).catalogue[:2]
    assert Sandbox(catalogue=products).catalogue == products


def test_seed_decides_everything():
    first, second, other = Sandbox(seed=5), Sandbox(seed=5), Sandbox(seed=6)
    name = first.catalogue[0].name
    assert first.catalogue == second.catalogue != other.catalogue
    assert first.content(name).read(0, 10_000) == second.content(name).read(0, 10_000)
    assert {first.tier(p.name) for p in first.catalogue} == {"disk", "tape"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"products": -1}, "products must be at least 0"),
        ({"product_size": 100}, "product_size must be at least"),
        ({"tape_fraction": 1.5}, "tape_fraction must be at most 1"),
        ({"tape_drives": 0}, "tape_drives must be at least 1"),
        ({"port": 70000}, "port must be at most 65535"),
        ({"time_scale": 0}, "time_scale must be above 0"),
        ({"time_scale": math.inf}, "time_scale must be at most"),
        ({"time_scale": math.nan}, "time_scale must be above 0"),
        ({"streaming": "ftp"}, "unknown streaming mode 'ftp', known: php, xsendfile"),
        ({"faults": {"cuts": 1}}, "unknown fault 'cuts', known: .*cut"),
        ({"accounts": {}}, "accounts must name at least one"),
        ({"area": (2, 43, 1, 44)}, "area must be west"),
        ({"start": datetime(2017, 1, 1)}, "start must have a time zone"),  # noqa: DTZ001 - that is the point
        ({"start": datetime(2017, 2, 1, tzinfo=UTC), "end": datetime(2017, 1, 1, tzinfo=UTC)}, "start must be before"),
        ({"start": datetime(1990, 1, 1, tzinfo=UTC)}, "no satellite passes"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        Sandbox(**options)


def test_every_option_is_described():
    described = re.findall(r"^    (\w+): ", inspect.getdoc(Sandbox).partition("Raises:")[0], re.MULTILINE)
    assert list(inspect.signature(Sandbox).parameters) == described


def test_unknown_option():
    with pytest.raises(TypeError, match="speed"):
        Sandbox(speed=1)


def test_unknown_names():
    archive = Sandbox(**SMALL)
    for method in (archive.tier, archive.content, archive.hide, archive.drop_file):
        with pytest.raises(KeyError):
            method("nothing")
    with pytest.raises(ValueError, match="unknown storage mode"):
        archive.set_tier(archive.catalogue[0].name, "cloud")


def test_missing_extra_is_explained():
    program = (
        "import sys\n"
        "sys.modules['uvicorn'] = None\n"
        "try:\n"
        "    import pepsasync.sandbox\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert 'pip install "pepsasync[sandbox]"' in done.stdout


@pytest.mark.parametrize(("host", "status"), [("example.org", 400), ("localhost", 200), ("127.0.0.1:1", 200)])
def test_only_its_own_names_are_answered(host, status):
    with running(products=1, product_size=40_000) as archive, connect(archive) as connection:
        head = f"GET /resto/collections.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 %d " % status)


def test_the_usual_account_can_be_written_as_two_words():
    with running(products=1, product_size=40_000) as archive:
        assert f"{archive.username} {archive.password}".split() == [archive.username, archive.password]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/resto/collections/S1", b'{"ErrorMessage":"Not Found","ErrorCode":404}'),
        ("/geodes/api/stac/collections", b'{"messages":["Not Found"]}'),
        ("/cdse/odata/v1/Products", b'{"detail":"Not Found"}'),
    ],
)
def test_writing_is_not_known(archive, method, path, body):
    reply = fetch(archive, path, method, [("Content-Length", "0")])
    assert (reply.status, reply.body) == (404, body)
