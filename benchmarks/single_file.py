"""Large products from nginx to disk: pepsasync beside curl (and md5sum), in turns.

One file by default; `--files 20 --jobs 4` fetches several at once, `--tls` uses a certificate made for the run, and
`--unverified` leaves the checksum out on both sides. Needs nginx, curl and md5sum (on Debian: apt-get install
nginx-light curl coreutils), and trustme for `--tls`.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio

from pepsasync.config import Config
from pepsasync.io.files import Shelf
from pepsasync.io.http import Http
from pepsasync.io.throttle import Throttle
from pepsasync.model import Checksum, Product, StorageTier
from pepsasync.providers.base import Account, Limits
from pepsasync.stages.download import download
from pepsasync.stages.line import Line, make_slots
from pepsasync.stages.pace import Pace

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{ access_log off; sendfile on;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}{tls}; root {folder}/www; }} }}
"""

NGINX_TLS = " ssl; ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem"


class Plain:
    """The least provider: a URL."""

    name = "plain"
    limits = Limits(page_size=1, downloads=1, staging_requests=1, poll_batch=1, bounded_ranges=True)

    def __init__(self, http):
        self._http = http

    async def download_request(self, product):
        return self._http.build("GET", product.download_url)

    def judge_download(self, product, response, head):
        return None

    async def account(self):
        return Account()


@dataclasses.dataclass(frozen=True)
class Work:
    """What is fetched in each turn."""

    urls: list[str]
    size: int
    """Bytes of each file; all have the same content."""
    md5: str | None
    """None when nothing is to be verified."""
    jobs: int
    authority: Path | None

    @property
    def total(self):
        return self.size * len(self.urls)

    def product(self, number):
        checksum = Checksum("md5", self.md5) if self.md5 else None
        values = {"provider": "plain", "collection": "x", "tier": StorageTier.DISK, "size": self.size}
        name = f"large{number}"
        return Product(id=name, name=name, download_url=self.urls[number], checksum=checksum, **values)


async def with_pepsasync(work, folder):
    config = Config(jobs=work.jobs, ca_bundle=work.authority)

    def ignore(event):
        pass

    async with Http(config) as http, anyio.create_task_group() as tasks:
        shelf, provider = Shelf(folder), Plain(http)
        shelf.open()
        slots = make_slots(config, provider.limits)
        line = Line(provider, http, shelf, Throttle(None), config, ignore, slots, Pace(provider, config, ignore))
        for number in range(len(work.urls)):
            tasks.start_soon(fetch_one, work.product(number), line)


async def fetch_one(product, line):
    received = await download(product, line)
    assert received.path == "drained"
    assert received.checksum == product.checksum


def with_curl(work, folder):
    names = [folder / f"large{number}" for number in range(len(work.urls))]
    options = ["-sSf", *(["--cacert", work.authority] if work.authority else [])]
    if len(names) > 1:
        options += ["-Z", "--no-progress-meter", "--parallel-max", str(work.jobs)]
    wanted = [word for name, url in zip(names, work.urls, strict=True) for word in ("-o", name, url)]
    subprocess.run(["curl", *options, *wanted], check=True)
    if work.md5:
        lines = subprocess.run(["md5sum", *names], check=True, capture_output=True, text=True).stdout.splitlines()
        assert {line.split()[0] for line in lines} == {work.md5}


def warm_memory(size):
    """Touch and free as much memory as a run writes: first writes to fresh pages are slow on virtual machines."""
    block = bytearray(size)
    block[::4096] = b"\1" * len(block[::4096])


def timed(way, work):
    """Seconds, and seconds of the client's processors."""
    with tempfile.TemporaryDirectory() as folder:
        warm_memory(work.total)
        began, spent = time.perf_counter(), os.times()
        way(work, Path(folder))
        seconds, now = time.perf_counter() - began, os.times()
    return seconds, sum(now[:4]) - sum(spent[:4])


def make_file(path, size):
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("wb") as file:
        for first in range(0, size, 1 << 20):
            block = os.urandom(min(1 << 20, size - first))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def make_certificate(folder):
    import trustme  # noqa: PLC0415 - only for --tls

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "chain.pem", append=True)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return folder / "authority.pem"


@contextlib.contextmanager
def nginx(folder, port, *, with_tls):
    tls = NGINX_TLS.format(folder=folder) if with_tls else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, tls=tls))
    server = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-p", folder])
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def measure(work, repeats):
    options = ["--cacert", work.authority] if work.authority else []
    warm = ["curl", "-sSf", *options, "--retry", "20", "--retry-connrefused", "-o", os.devnull, work.urls[0]]
    subprocess.run(warm, check=True)
    ways = {
        "pepsasync": lambda *a: anyio.run(with_pepsasync, *a),
        "pepsasync (trio)": lambda *a: anyio.run(with_pepsasync, *a, backend="trio"),
        "curl; md5sum" if work.md5 else "curl": with_curl,
    }
    runs = {way: [] for way in ways}
    for turn in range(repeats + 1):
        names = [*ways]
        for name in names[turn % 3 :] + names[: turn % 3]:  # nobody always comes first
            runs[name].append(timed(ways[name], work))
    *_, curl = runs.values()
    for name, values in runs.items():
        print(json.dumps({"way": name} | figures(work, values[1:], curl[1:])), flush=True)


def figures(work, values, curl):
    ratios = [theirs / ours for (ours, _), (theirs, _) in zip(values, curl, strict=True)]
    rates = sorted(work.total / seconds / 1e6 for seconds, _ in values)
    return {
        "median_MB_s": round(statistics.median(rates)),
        "min": round(rates[0]),
        "max": round(rates[-1]),
        "times_curl": round(statistics.median(ratios), 2),
        "cpu_s_per_GB": round(statistics.median(cpu for _, cpu in values) / (work.total / 1e9), 2),
    }


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=int, default=2 << 30, help="bytes of a file")
    options.add_argument("--files", type=int, default=1)
    options.add_argument("--jobs", type=int, default=4)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--port", type=int, default=8931)
    options.add_argument("--tls", action="store_true")
    options.add_argument("--unverified", action="store_true")
    chosen = options.parse_args()
    for tool in ("nginx", "curl", "md5sum"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing; on Debian: apt-get install nginx-light curl coreutils")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "www").mkdir()
        md5 = make_file(folder / "www" / "large.zip", chosen.size)
        authority = make_certificate(folder) if chosen.tls else None
        url = f"http{'s' if chosen.tls else ''}://127.0.0.1:{chosen.port}/large.zip"
        work = Work([url] * chosen.files, chosen.size, None if chosen.unverified else md5, chosen.jobs, authority)
        with nginx(folder, chosen.port, with_tls=chosen.tls):
            measure(work, chosen.repeats)


if __name__ == "__main__":
    main()
