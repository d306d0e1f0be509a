"""Run a command and print what it took, as JSON: seconds, processor seconds, peak memory, and what it printed.

In a process of its own, with next to nothing imported: Linux counts what the parent had in memory when it started a
command as memory of that command.
"""

import json
import os
import subprocess
import sys
import time


def main():
    began = time.perf_counter()
    with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE) as process:
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    taken = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
        "code": process.returncode,
        "printed": printed.decode(errors="replace"),
    }
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
