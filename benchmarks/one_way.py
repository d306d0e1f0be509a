"""Go one way that is written in Python, in a process of its own: `one_way.py WAY WORK FOLDER`.

Prints what the work itself took; how long an interpreter takes to start and to import is measured elsewhere.
"""

import json
import os
import sys
import time

import bare
from work import read_work


def main():
    name, path, folder = sys.argv[1:]
    if name.startswith("pepsasync"):
        from ours import WAYS, prepare  # noqa: PLC0415 - what others import is not to be counted as theirs
    elif name in bare.WAYS:
        from bare import WAYS, prepare  # noqa: PLC0415
    else:
        from rivals import WAYS, prepare  # noqa: PLC0415
    prepare(name)
    work = read_work(path)
    began, spent = time.perf_counter(), sum(os.times()[:4])
    WAYS[name](work, folder)
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu_seconds": sum(os.times()[:4]) - spent}))


if __name__ == "__main__":
    main()
