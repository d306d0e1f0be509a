"""A scheduler and workers of Dask as processes of their own, as on a real cluster."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import trustme

PATIENCE = 60


class Cluster:
    """Processes of Dask on loopback."""

    def __init__(self, folder, workers=2, threads=4, *, keys=None):
        self._folder, self._workers, self._threads = folder, workers, threads
        self._keys = keys or {}
        self._file = folder / "scheduler.json"
        self._processes = []

    @property
    def address(self):
        return json.loads(self._file.read_text())["address"]

    def start(self, port=0):
        self._file.unlink(missing_ok=True)
        safe = ["--protocol", "tls"] if self._keys else []
        self.scheduler = self._run("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", *safe)
        until(self._file.exists)
        self.start_workers()

    def start_workers(self):
        options = ["--nworkers", str(self._workers), "--nthreads", str(self._threads), "--no-dashboard"]
        self.workers = self._run("worker", *options, "--host", "127.0.0.1")

    def _run(self, what, *options):
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--scheduler-file", str(self._file), *options]
        src = Path(__file__).parents[2] / "src"
        path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(src) if src.is_dir() else "")))
        env = {**os.environ, **self._keys, "PYTHONPATH": path, "DASK_TEMPORARY_DIRECTORY": str(self._folder)}
        log = (self._folder / f"{what}.log").open("ab")
        with log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        self._processes.append(process)
        return process

    @property
    def log(self):
        return "".join((self._folder / f"{what}.log").read_text() for what in ("scheduler", "worker"))

    def stop(self):
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()


def keys_in(folder):
    """Environment with which everybody of a cluster has keys of one authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "all.pem")
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    every = {f"{tls}{who}__CERT": str(folder / "all.pem") for who in ("SCHEDULER", "WORKER", "CLIENT")}
    return {f"{tls}CA_FILE": str(folder / "ca.pem"), **every}


def until(holds, seconds=PATIENCE):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{holds} did not come true"
        time.sleep(0.02)


def workers_in(folder):
    """Process ids of the workers that have begun with products of a folder."""
    found = set()
    for path in (folder / ".pepsasync" / "leases").glob("*.taken"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            found.add(json.loads(path.read_text().split("\n")[1])["pid"])
    return found


def leases_in(folder):
    """Names of what stands in the folder of leases."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(path.name for path in (folder / ".pepsasync" / "leases").iterdir())
    return []
