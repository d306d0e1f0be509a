"""MB/s that one core hashes, in turns, blocks of 1 MiB. The order of `pepsasync.hashes.RATES` comes from here.

`hashes.py --turns 5`; MD5 of `awscrt`, which pepsasync does not use, is measured too where it is installed.
"""

import argparse
import importlib.util
import json
import os
import statistics
import time

from pepsasync.hashes import RATES, new_hash

BLOCK = 1 << 20


def new_awscrt_md5():
    from awscrt.crypto import Hash  # noqa: PLC0415 - may not be installed

    return Hash.md5_new()


def measure(begin, block, blocks):
    """MB/s, by the processor time of this thread: others may be at work."""
    digest, began = begin(), time.thread_time()
    for _ in range(blocks):
        digest.update(block)
    return blocks * len(block) / 1e6 / (time.thread_time() - began)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--blocks", type=int, default=512, help="MiB that each hashes in a turn")
    given = options.parse_args()
    begins = {name: lambda name=name: new_hash(name) for name in RATES}
    if importlib.util.find_spec("awscrt"):
        begins["md5 of awscrt"] = new_awscrt_md5
    block, rates = os.urandom(BLOCK), {name: [] for name in begins}
    for _ in range(given.turns):
        for name, begin in begins.items():
            rates[name].append(measure(begin, block, given.blocks))
    for name, found in rates.items():
        print(json.dumps({"algorithm": name, "MB_s": round(statistics.median(found)), "best": round(max(found))}))


if __name__ == "__main__":
    main()
