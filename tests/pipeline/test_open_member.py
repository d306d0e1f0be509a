"""Files of products that stay in their archive: listed, and read from threads."""

import io
import json
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from io import BytesIO
from random import Random

import anyio
import pytest
from anyio import to_thread

from archives import connect, credentials, members_of, sandbox
from fakes import product
from pepsasync import Client, Config, Credentials, blocking
from pepsasync.errors import IntegrityError, NotFoundError, OfflineError, ProviderError
from pepsasync.members import open_member
from pepsasync.members.open_member import PAGE, PAGES_KEPT
from servers import Server, wait_until_gone

pytestmark = pytest.mark.anyio

ARCHIVES = ["peps", "geodes", "cdse"]


@asynccontextmanager
async def opened(provider="cdse", products=1, **options):
    usual = {"tape_fraction": 0, "product_size": 400_000, "geodes_ranges": "works"}
    async with sandbox(products, **(usual | options)) as archive, connect(archive, provider) as client:
        yield archive, client


@pytest.mark.parametrize("provider", ARCHIVES)
async def test_members_are_listed(provider):
    async with opened(provider) as (archive, client):
        name = archive.catalogue[0].name
        members = await client.members(name)

        assert {path: len(data) for path, data in members_of(archive, name).items()} == {
            member.path: member.size for member in members
        }
        assert not any(member.is_packed for member in members)


@pytest.mark.parametrize("provider", ARCHIVES)
async def test_a_member_is_read_from_a_thread(provider):
    async with opened(provider, product_size=5_000_000) as (archive, client):
        name = archive.catalogue[0].name
        everything = members_of(archive, name)
        path = max(everything, key=lambda path: len(everything[path]))
        file = await client.open(name, path)

        def read():
            with file:
                assert file.readable()
                assert file.seekable()
                head = file.read(10)
                file.seek(-7, io.SEEK_END)
                tail = file.read()
                assert b"" == file.read()
                file.seek(0)
                return head, tail, file.read()

        whole = everything[path]
        assert (whole[:10], whole[-7:], whole) == await to_thread.run_sync(read)
        assert file.closed


async def test_the_zip_itself_is_read_by_zipfile():
    async with opened(product_size=3_000_000) as (archive, client):
        found = [one async for one in client.search(id=archive.catalogue[0].name)]
        file = await client.open(found[0])

        def read():
            with zipfile.ZipFile(file) as zipped:
                return zipped.testzip(), {info.filename.partition("/")[2] for info in zipped.infolist()}

        assert (None, set(members_of(archive, archive.catalogue[0].name))) == await to_thread.run_sync(read)


async def test_only_what_is_read_comes():
    async with opened(product_size=20_000_000) as (archive, client):
        name = archive.catalogue[0].name
        everything = members_of(archive, name)
        path = max(everything, key=lambda path: len(everything[path]))
        file = await client.open(name, path)

        def read():
            file.seek(len(everything[path]) // 2)
            return file.read(1_000)

        middle = len(everything[path]) // 2
        assert everything[path][middle : middle + 1_000] == await to_thread.run_sync(read)
        assert sum(archive.statistics.bytes_sent.values()) < 3 * PAGE


async def test_any_thread_may_read_and_the_event_loop_may_not():
    async with opened() as (archive, client):
        file = await client.open(archive.catalogue[0].name, "manifest.safe")
        with pytest.raises(RuntimeError, match="in a thread"):
            file.read()
        read, done = [], anyio.Event()

        def work():
            read.append(file.read())
            client._portal.call(done.set)

        thread = threading.Thread(target=work)
        thread.start()
        with anyio.fail_after(30):
            await done.wait()
        await to_thread.run_sync(thread.join)
        assert [members_of(archive, archive.catalogue[0].name)["manifest.safe"]] == read


async def test_without_await_files_are_read_where_they_are_opened(anyio_backend_name, tmp_path):
    async with sandbox(1, tape_fraction=0, product_size=400_000) as archive:
        name = archive.catalogue[0].name

        def work():
            account = credentials(archive, "cdse")
            with blocking.Client(
                "cdse", base_url=archive.cdse_url, credentials=account, backend=anyio_backend_name
            ) as client:
                paths = [member.path for member in client.members(name)]
                path = client.download(name, tmp_path, include="*.png")
                return paths, path, client.open(name, "manifest.safe").read()

        right = members_of(archive, name)
        paths, path, manifest = await to_thread.run_sync(work)
        assert ([*right], right["manifest.safe"]) == (paths, manifest)
        assert right["preview/quick-look.png"] == (path / "preview" / "quick-look.png").read_bytes()


async def test_a_file_of_a_client_that_is_closed_tells_so():
    async with opened() as (archive, client):
        file = await client.open(archive.catalogue[0].name, "manifest.safe")
    with pytest.raises(RuntimeError, match="closed"):
        await to_thread.run_sync(file.read)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
async def test_a_client_that_is_closed_while_a_thread_reads_tells_so(method):
    zips = []
    with ThreadPoolExecutor(1) as threads:
        async with zipped_member(Random(1).randbytes(100_000), method, zips=zips) as file:
            zips[0].is_silent = True
            reading = threads.submit(file.read)
            assert await to_thread.run_sync(zips[0].asked.wait, 60)
        with pytest.raises(RuntimeError, match="closed"):
            reading.result(60)


async def test_what_is_not_there_is_told():
    async with opened() as (archive, client):
        with pytest.raises(NotFoundError, match="no member 'none'"):
            await client.open(archive.catalogue[0].name, "none")
        with pytest.raises(NotFoundError):
            await client.members("S1A_NONE")
        with pytest.raises(TypeError):
            await client.members(7)


async def test_where_no_parts_are_served():
    async with opened("geodes", geodes_ranges="ignored") as (archive, client):
        with pytest.raises(ProviderError, match="does not serve parts"):
            await client.members(archive.catalogue[0].name)


async def test_what_is_on_tape():
    async with opened("peps", tape_fraction=1) as (archive, client):
        with pytest.raises(OfflineError):
            await client.members(archive.catalogue[0].name)


async def test_faults_of_the_line_are_gone_over():
    faults = {"cut": 1.0, "error-503": 0.5}
    async with opened(product_size=3_000_000, faults=faults, fault_limit=3) as (archive, client):
        name = archive.catalogue[0].name
        everything = members_of(archive, name)
        path = max(everything, key=lambda path: len(everything[path]))
        file = await client.open(name, path)

        assert everything[path] == await to_thread.run_sync(file.read)


async def test_few_pages_are_kept(monkeypatch):
    monkeypatch.setattr(open_member, "PAGE", 1 << 12)
    async with opened(product_size=200_000) as (archive, client):
        file = await client.open(archive.catalogue[0].name)

        def read():
            while file.read(1_000):
                pass

        await to_thread.run_sync(read)
        assert len(file.raw._pages) == PAGES_KEPT


class Zipped:
    """Serves ranges of one zip to whoever asks, as a resto server would."""

    def __init__(self, data):
        self.data = data
        self.is_silent, self.asked = False, threading.Event()

    def __call__(self, connection, head):
        if self.is_silent:
            self.asked.set()
            wait_until_gone(connection)
            return False
        wanted = head.lower().partition(b"range: bytes=")[2].partition(b"\r\n")[0]
        first, last = map(int, wanted.split(b"-"))
        body, size = self.data[first : last + 1], len(self.data)
        connection.sendall(
            f"HTTP/1.1 206 Partial\r\nContent-Range: bytes {first}-{last}/{size}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        return False


@asynccontextmanager
async def zipped_member(data, method=zipfile.ZIP_DEFLATED, *, damage=False, zips=None):
    """A member of a product of another archive, compressed or not."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as zipped:
        zipped.writestr("A.SAFE/a.json", data)
    content = bytearray(buffer.getvalue())
    if damage:
        content[60] ^= 0xFF
    served = Zipped(bytes(content))
    if zips is not None:
        zips.append(served)
    with Server(served) as server:
        root = f"http://127.0.0.1:{server.port}"
        item = product("A", provider="peps", download_url=f"{root}/x", tier="disk", size=len(content))
        config = Config(retry_wait=0.01)
        async with Client(
            "peps", base_url=root, credentials=Credentials(username="a", password="b"), config=config
        ) as client:
            yield await client.open(item, "a.json")


async def test_a_compressed_member_is_read_like_any_other():
    data = json.dumps({"bands": list(range(10_000))}).encode()
    async with zipped_member(data) as file:

        def read():
            with file:
                file.seek(5)
                middle = file.read(100)
                file.seek(0)
                return middle, json.load(file)

        assert (data[5:105], json.loads(data)) == await to_thread.run_sync(read)


async def test_a_compressed_member_is_compared_with_its_crc():
    async with zipped_member(b"0123456789" * 100, damage=True) as file:
        with pytest.raises(IntegrityError):
            await to_thread.run_sync(file.read)


@pytest.mark.filterwarnings("ignore")  # of these packages
async def test_rasterio_reads_a_member():
    rasterio, numpy = pytest.importorskip("rasterio"), pytest.importorskip("numpy")
    transform = rasterio.Affine(10, 0, 300_000, 0, -10, 4_900_000)
    pixels = numpy.arange(4096, dtype="uint8").reshape(64, 64)
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=64, height=64, count=1, dtype="uint8", crs="EPSG:32631", transform=transform
        ) as raster:
            raster.write(pixels, 1)
        data = bytes(memory.getbuffer())
    async with zipped_member(data) as file:

        def read():
            with rasterio.open(file) as raster:
                return raster.read(1)

        assert (pixels == await to_thread.run_sync(read)).all()


@pytest.mark.filterwarnings("ignore")  # of these packages
async def test_xarray_reads_a_member(tmp_path):
    xarray, _ = pytest.importorskip("xarray"), pytest.importorskip("h5netcdf")
    made = xarray.Dataset({"radiance": ("x", list(range(50_000)))})
    made.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    async with zipped_member((tmp_path / "a.nc").read_bytes(), zipfile.ZIP_STORED) as file:

        def read():
            with xarray.open_dataset(file, engine="h5netcdf") as dataset:
                return dataset.load()

        assert made.equals(await to_thread.run_sync(read))
