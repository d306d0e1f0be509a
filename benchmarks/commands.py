"""Rivals that are commands: what a shell is given to do the work, MD5 included where it is asked for."""

import os
import shutil
import sys
from shlex import join, quote

SUMS = "sums.md5"
"""A list for `md5sum -c`, in the folder that is filled."""

ALONE, IN_MEMORY, BARE = LIMITS = ("md5sum alone", "MD5 in memory", "bare connections")
"""No rivals but limits: the files are hashed where the server has them, as many bytes are hashed without any file, or
all are received and dropped (`bare.py`)."""

HASH = """
import hashlib, json, os, sys, time
block, digest, left = bytes(1 << 20), hashlib.md5(usedforsecurity=False), int(sys.argv[1])
began, spent = time.perf_counter(), sum(os.times()[:2])
while left > 0:
    digest.update(block[:left])
    left -= len(block)
print(json.dumps({"seconds": time.perf_counter() - began, "cpu_seconds": sum(os.times()[:2]) - spent}))
"""


def curl(work, folder):
    """What a shell script does."""
    _write_sums(work, folder)
    return _get(work, folder) + _then(work, f"md5sum --status -c {SUMS}")


def curl_to_disk(work, folder):
    """The same, and forced to the disk, as pepsasync does it."""
    names = join(file.name for file in work.files)
    return f"{curl(work, folder)} && sync {names}" if len(work.files) == 1 else f"{curl(work, folder)} && sync -f ."


def curl_all_cores(work, folder):
    """curl, then as many md5sum as there are processors."""
    _write_sums(work, folder)
    each = -(-len(work.files) // (os.cpu_count() or 1))
    check = f"split -l {each} {SUMS} part. && ls part.* | xargs -P {os.cpu_count()} -n 1 md5sum --status -c"
    return _get(work, folder) + _then(work, check)


def curl_piped(work, folder):
    """curl into a pipe, so that it is hashed on the way; for one file."""
    file = work.files[0]
    return f"set -o pipefail; curl -sSf {quote(file.url)} | tee {file.name} | md5sum | grep -q {file.md5}"


def aria2c(work, folder):
    lines = (
        f"{file.url}\n  out={file.name}\n" + (f"  checksum=md5={file.md5}\n" if work.verified else "")
        for file in work.files
    )
    (folder / "list").write_text("".join(lines))
    authority = f"--ca-certificate={work.authority}" if work.authority else ""
    return f"aria2c -q -x1 -j{work.jobs} --file-allocation=none {authority} -i list"


def wget2(work, folder):
    _write_sums(work, folder)
    (folder / "list").write_text("".join(f"{file.url}\n" for file in work.files))
    authority = f"--ca-certificate={work.authority}" if work.authority else ""
    return f"wget2 -q --max-threads={work.jobs} {authority} -i list" + _then(work, f"md5sum --status -c {SUMS}")


def md5sum(work, folder):
    return join(["md5sum", *(file.path for file in work.files)])


def md5_in_memory(work, folder):
    return join([sys.executable, "-I", "-c", HASH, str(work.size)])


def _get(work, folder):
    config = (f"url = {file.url}\noutput = {file.name}\n" for file in work.files)
    (folder / "list").write_text("".join(config))
    several = f"-Z --parallel-max {work.jobs} --no-progress-meter" if len(work.files) > 1 else ""
    return f"curl -sSf {several} -K list"


def _then(work, check):
    return f" && {check}" if work.verified else ""


def _write_sums(work, folder):
    (folder / SUMS).write_text("".join(f"{file.md5}  {file.name}\n" for file in work.files))


WAYS = {
    "curl": curl,
    "curl, then md5sum": curl,
    "curl, hashed on the way": curl_piped,
    "curl, md5sum, sync": curl_to_disk,
    "curl, md5sum on all cores": curl_all_cores,
    "aria2c": aria2c,
    "wget2": wget2,
    "wget2, then md5sum": wget2,
    ALONE: md5sum,
    IN_MEMORY: md5_in_memory,
}


def find_command(way):
    """The command that a way needs; None when it is not installed."""
    return sys.executable if way == IN_MEMORY else shutil.which(way.split(",")[0].split()[0])
