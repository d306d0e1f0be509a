"""One large product from nginx to disk, verified: pepsasync beside `curl` followed by `md5sum`, in turns.

Needs nginx, curl and md5sum (on Debian: apt-get install nginx-light curl coreutils).
"""

import argparse
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
from pepsasync.providers.base import Limits
from pepsasync.stages.download import download
from pepsasync.stages.line import Line, make_slots

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{ access_log off; sendfile on;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }} }}
"""


class Plain:
    """The least provider: a URL."""

    name = "plain"
    limits = Limits(page_size=1, downloads=1, staging_requests=1, poll_batch=1, bounded_ranges=True)

    def __init__(self, http):
        self._http = http

    def download_request(self, product):
        return self._http.build("GET", product.download_url)

    def judge_download(self, product, response, head):
        return None


async def with_pepsasync(url, size, md5, folder):
    config = Config()
    product = Product(
        id="large",
        name="large",
        provider="plain",
        collection="x",
        download_url=url,
        tier=StorageTier.DISK,
        size=size,
        checksum=Checksum("md5", md5),
    )
    async with Http(config) as http:
        shelf = Shelf(folder)
        shelf.open()
        line = Line(
            Plain(http), http, shelf, Throttle(None), config, lambda event: None, make_slots(config, Plain.limits)
        )
        received = await download(product, line)
    assert received.checksum == product.checksum


def with_curl(url, size, md5, folder):
    path = folder / "large.zip"
    subprocess.run(["curl", "-sSf", "-o", path, url], check=True)
    digest = subprocess.run(["md5sum", path], check=True, capture_output=True, text=True).stdout.split()[0]
    assert digest == md5


def warm_memory(size):
    """Touch and free as much memory as a run writes: first writes to fresh pages are slow on virtual machines."""
    block = bytearray(size)
    block[::4096] = b"\1" * len(block[::4096])


def timed(way, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        warm_memory(arguments[1])
        began, spent = time.perf_counter(), os.times()
        way(*arguments, Path(folder))
        seconds, now = time.perf_counter() - began, os.times()
    cpu = sum(now[:4]) - sum(spent[:4])
    return seconds, cpu


def make_file(path, size):
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("wb") as file:
        for first in range(0, size, 1 << 20):
            block = os.urandom(min(1 << 20, size - first))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=int, default=2 << 30, help="bytes")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--port", type=int, default=8931)
    chosen = options.parse_args()
    for tool in ("nginx", "curl", "md5sum"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing; on Debian: apt-get install nginx-light curl coreutils")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "www").mkdir()
        md5 = make_file(folder / "www" / "large.zip", chosen.size)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=chosen.port))
        server = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-p", folder])
        try:
            measure(f"http://127.0.0.1:{chosen.port}/large.zip", chosen.size, md5, chosen.repeats)
        finally:
            server.terminate()
            server.wait()


def measure(url, size, md5, repeats):
    subprocess.run(["curl", "-sSf", "--retry", "20", "--retry-connrefused", "-o", os.devnull, url], check=True)
    ways = {
        "pepsasync": lambda *a: anyio.run(with_pepsasync, *a),
        "pepsasync (trio)": lambda *a: anyio.run(with_pepsasync, *a, backend="trio"),
        "curl; md5sum": with_curl,
    }
    runs = {way: [] for way in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            runs[name].append(timed(way, url, size, md5))
    for name, values in runs.items():
        seconds = [value[0] for value in values[1:]]
        cpu = statistics.median(value[1] for value in values[1:])
        rates = sorted(size / s / 1e6 for s in seconds)
        print(
            json.dumps(
                {
                    "way": name,
                    "median_MB_s": round(statistics.median(rates)),
                    "min": round(rates[0]),
                    "max": round(rates[-1]),
                    "cpu_s_per_GB": round(cpu / (size / 1e9), 2),
                }
            )
        )


if __name__ == "__main__":
    main()
