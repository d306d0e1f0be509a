"""Programs with one account that share its limits, killed and stopped again and again: what the archive saw.

    python -m benchmarks.lab [--programs 8] [--products 2000] [--kills 10] [--seconds 230] [--slurm]

Each program is `pepsasync fetch --shard I/N --share-limits DIR` with a folder of its own, at an archive on this machine
whose downloads last 50 ms at least, and which refuses nothing: it counts. With `--slurm` they are the tasks of a job
array on a cluster of one node (`benchmarks.slurm_node`), where `scancel` kills them, and none is stopped. A holder is
dead after 3 s here, not after 60, and a turn lasts 1 s, not 5, to be done soon.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.slurm_node import missing, slurm_node

from pepsasync.sandbox import Sandbox

RUN = (
    "import runpy; from pepsasync.limits.shared import member; from pepsasync.limits.shared.book import Pace; "
    "member.PACE = Pace(beat=0.3, deadline=3.0, turn=1.0, look=0.1); "
    "runpy.run_module('pepsasync', run_name='__main__')"
)
ALLOWED = {"cdse": 4, "peps": 4, "geodes": 3}
STOPPED = 4.0
"""Seconds for which a program is stopped: longer than until a holder is dead."""


def command(archive: Sandbox, provider: str, folder: Path, part: str, place: Path) -> list[str]:
    """What one program is."""
    url = getattr(archive, f"{provider}_url")
    return [
        *(sys.executable, "-c", RUN, "fetch", "--provider", provider, "--base-url", url),
        *("-a", str(folder / "account"), "-c", "S1,S2ST", "--shard", part, "--share-limits", str(folder / "limits")),
        *("-w", str(place), "-q"),
    ]


class Processes:
    """The programs as processes of this machine."""

    can_be_stopped = True

    def __init__(self, archive: Sandbox, provider: str, folder: Path, count: int) -> None:
        self._command = lambda number: command(archive, provider, folder, f"{number}/{count}", folder / f"part{number}")
        self._running = {number: self._start(number) for number in range(1, count + 1)}

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command(number), stdout=subprocess.DEVNULL)

    def at_work(self) -> list[int]:
        """Numbers of those that have not ended."""
        return [number for number, process in self._running.items() if process.poll() is None]

    def kill(self, number: int) -> None:
        """Kill one and start it again."""
        self._running[number].kill()
        self._running[number].wait()
        self._running[number] = self._start(number)

    def send(self, number: int, which: signal.Signals) -> None:
        """Stop one, or let it go on."""
        self._running[number].send_signal(which)

    def end(self) -> list[int]:
        """Exit codes; whatever still runs is killed."""
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
        return [process.wait() for process in self._running.values()]


class JobArray:
    """The programs as tasks of a job array."""

    can_be_stopped = False  # on this cluster, SIGCONT by scancel does not reach a task that SIGSTOP has stopped

    def __init__(self, archive: Sandbox, provider: str, folder: Path, count: int, environment: dict[str, str]) -> None:
        self._environment, self._folder = environment, folder
        words = command(archive, provider, folder, f"$SLURM_ARRAY_TASK_ID/{count}", folder / "part$SLURM_ARRAY_TASK_ID")
        line = " ".join(f'"{word}"' for word in words)
        script = folder / "job.sh"
        script.write_text(f"#!/bin/bash\nexec {line}\n")
        self._script = script
        job = self._submit(f"1-{count}")
        self._tasks = {number: f"{job}_{number}" for number in range(1, count + 1)}

    def _submit(self, array: str) -> str:
        log = f"--output={self._folder}/log-%a"
        return self._ask("sbatch", "--parsable", f"--array={array}", log, "--open-mode=append", self._script).strip()

    def _ask(self, *words: object) -> str:
        done = subprocess.run([*map(str, words)], env=self._environment, capture_output=True, text=True, check=False)
        return done.stdout

    def at_work(self) -> list[int]:
        """Numbers of those that have not ended."""
        return [int(number) for number in self._ask("squeue", "-h", "-r", "-o", "%K").split()]

    def kill(self, number: int) -> None:
        """Kill one, and give it to the cluster again once it has ended."""
        self._ask("scancel", "--signal=KILL", "--full", self._tasks[number])
        while number in self.at_work():
            time.sleep(0.2)
        self._tasks[number] = f"{self._submit(str(number))}_{number}"

    def send(self, number: int, which: signal.Signals) -> None:
        """Stop one, or let it go on."""
        self._ask("scancel", f"--signal={which.name.removeprefix('SIG')}", "--full", self._tasks[number])

    def end(self) -> list[int]:
        """Cancel what still runs; a cluster without accounting keeps no exit codes."""
        self._ask("scancel", "--user", str(os.getuid()))
        return []


def disturb(programs: Processes | JobArray, kills: int, pause: float, seconds: float) -> tuple[int, int]:
    """Kill and stop programs as long as they run, but not for longer than so many seconds; returns how many of each."""
    chance, killed, stops, stopped = random.Random(1), 0, 0, dict[int, float]()
    until = time.monotonic() + seconds
    while (running := programs.at_work()) and time.monotonic() < until:
        time.sleep(pause)
        for number, since in list(stopped.items()):
            if time.monotonic() - since > STOPPED:
                programs.send(number, signal.SIGCONT)
                del stopped[number]
        free = [number for number in running if number not in stopped]
        if not free or killed >= kills:
            continue
        if stops <= killed and programs.can_be_stopped:
            number = chance.choice(free)
            programs.send(number, signal.SIGSTOP)
            stopped[number], stops = time.monotonic(), stops + 1
        else:
            programs.kill(chance.choice(free))
            killed += 1
    return killed, stops


def right(archive: Sandbox, folder: Path) -> int:
    """How many products stand somewhere below a folder with exactly their bytes."""
    md5 = {product.name: archive.content(product.name).md5.lower() for product in archive.catalogue}
    return sum(hashlib.md5(path.read_bytes()).hexdigest() == md5.get(path.stem) for path in folder.glob("part*/*.zip"))


def measure(given: argparse.Namespace) -> None:
    """Run it once and print what was seen."""
    options = {"tape_fraction": 0.0, "product_size": 20_000, "cdse_connections": 1_000, "geodes_quota": None}
    slow = {"faults": {"stall": 1.0}, "stall_seconds": 0.05, "fault_limit": 1_000}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        archive = Sandbox(products=given.products, **options, **slow)
        archive.start()
        stack.callback(archive.stop)
        account = folder / "account"
        account.write_text(archive.api_key if given.provider == "geodes" else f"{archive.username} {archive.password}")
        account.chmod(0o600)
        environment = stack.enter_context(slurm_node()) if given.slurm else None
        begun = time.monotonic()
        if environment is not None:
            programs: Processes | JobArray = JobArray(archive, given.provider, folder, given.programs, environment)
        else:
            programs = Processes(archive, given.provider, folder, given.programs)
        try:
            killed, stops = disturb(programs, given.kills, 1.0, given.seconds)
        finally:
            codes = programs.end()
        seconds, seen = time.monotonic() - begun, archive.statistics
        print(
            f"{given.programs} {'tasks' if given.slurm else 'programs'}, "
            f"{killed} kills, {stops} stops of {STOPPED:g} s: "
            f"{right(archive, folder)} of {given.products} products right in {seconds:.0f} s; "
            f"at most {seen.peak_downloads} downloads at once, {ALLOWED[given.provider]} allowed; "
            f"{len(seen.transfers)} downloads; exit codes {sorted(set(codes))}"
        )


def main() -> int:
    """Read what is wanted, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=8)
    parser.add_argument("--products", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=230.0, help="end the programs after so many")
    parser.add_argument("--provider", choices=sorted(ALLOWED), default="cdse")
    parser.add_argument("--slurm", action="store_true")
    given = parser.parse_args()
    if given.slurm and (lacking := missing()):
        print(f"not there: {', '.join(lacking)}", file=sys.stderr)
        return 2
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    measure(given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
