"""Eight programs with one account, killed and stopped: the archive never sees more than the account may."""

import random
import signal
import subprocess
import sys
import time

import pytest

from archives import credentials, right_files, root, sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

RUN = """
import sys
import anyio
from pepsasync import Client, Config, Credentials
from pepsasync.limits.shared import member
from pepsasync.limits.shared.book import Pace
from pepsasync.model import Quota
from pepsasync.units import parse_shard

member.PACE = Pace(beat=0.2, deadline=2.0, turn=0.3, look=0.05)

async def main(provider, url, username, password, folder, shared, shard, quota):
    config = Config(
        retry_wait=0.05, retry_wait_max=0.2, share_limits=shared, shard=parse_shard(shard),
        quota=Quota(int(quota), 2.0) if quota else None,
    )
    who = Credentials(api_key=password) if not username else Credentials(username=username, password=password)
    async with Client(provider, base_url=url, credentials=who, config=config) as client:
        client.listen(lambda event: print(repr(event)))
        async for delivery in client.fetch({"collection": "S2ST"}, folder):
            assert delivery.error is None, delivery.error

anyio.run(main, *sys.argv[2:], backend=sys.argv[1])
"""


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Lab:
    """Programs that bring the parts of one order into one folder each, with one account."""

    def __init__(self, archive, provider, folder, count, quota=""):
        self.archive, self.provider, self.folder, self.count, self.quota = archive, provider, folder, count, quota
        self.running = {}

    def start(self, number):
        known = credentials(self.archive, self.provider)
        place = self.folder / str(number)
        place.mkdir(exist_ok=True)
        command = [sys.executable, "-c", RUN, ("asyncio", "trio")[number % 2], self.provider]
        command += [root(self.archive, self.provider), known.username or "", known.password or known.api_key, place]
        command += [self.folder / "shared", f"{number}/{self.count}", str(self.quota)]
        with (place / "log").open("ab") as log:
            self.running[number] = subprocess.Popen(command, stdout=log, stderr=log)

    def finish(self):
        """Wait for all, and say how they ended."""
        return {number: process.wait(120) for number, process in self.running.items()}

    def end(self):
        for process in self.running.values():
            process.kill()
            process.wait()

    def log(self):
        return "\n".join(path.read_text() for path in self.folder.glob("*/log"))

    def files(self):
        return sum(right_files(self.archive, self.folder / str(number)) for number in self.running)


@pytest.fixture
def lab(tmp_path):
    made = []

    def make(*arguments, **more):
        made.append(Lab(*arguments[:2], tmp_path, *arguments[2:], **more))
        return made[-1]

    yield make
    for one in made:
        one.end()


def disturb(lab, seconds, *, seed):
    """Kill, and stop for longer than the deadline, programs that work; start what was killed again."""
    chance, until, stopped, kills = random.Random(seed), time.monotonic() + seconds, {}, 0
    while time.monotonic() < until:
        time.sleep(0.25)
        for number, since in list(stopped.items()):
            if time.monotonic() - since > 3.0:
                lab.running[number].send_signal(signal.SIGCONT)
                del stopped[number]
        number = chance.randint(1, lab.count)
        if number in stopped or lab.running[number].poll() is not None:
            continue
        if len(stopped) < 2:
            lab.running[number].send_signal(signal.SIGSTOP)
            stopped[number] = time.monotonic()
        elif kills < 3:
            lab.running[number].kill()
            lab.running[number].wait()
            lab.start(number)
            kills += 1
    for number in stopped:
        lab.running[number].send_signal(signal.SIGCONT)
    return kills


async def test_downloads_at_once_and_quota_stay_within_the_account(lab):
    options = {"geodes_quota": 12, "geodes_quota_seconds": 2.0, "faults": {"stall": 1.0}, "stall_seconds": 0.4}
    async with sandbox(120, tape_fraction=0, product_size=20_000, **options) as archive:
        eight = lab(archive, "geodes", 8, quota=12)
        for number in range(1, 9):
            eight.start(number)
        kills = disturb(eight, 6.0, seed=1)
        codes = eight.finish()

        assert dict.fromkeys(range(1, 9), 0) == codes, eight.log()
        assert 1 < archive.statistics.peak_downloads <= 3
        assert 0 == archive.statistics.quota_refusals
        assert 60 == eight.files()
        assert kills
