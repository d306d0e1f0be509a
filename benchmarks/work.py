"""What a way of downloading is asked to do: files, how many at once, whether to verify them. Passed on as JSON."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

BLOCK = 1 << 20


@dataclass(frozen=True)
class File:
    """One file of the server."""

    name: str
    url: str
    size: int
    """Bytes."""
    md5: str
    path: str
    """Where the server has it."""
    blake3: str = ""


@dataclass(frozen=True)
class Work:
    """What each way does in its turn."""

    files: tuple[File, ...]
    jobs: int
    """Files at once."""
    verified: bool
    """Whether the way has to compare each file with its MD5."""
    authority: str | None = None
    """PEM file of the certificate authority; None without TLS."""
    algorithm: str = "md5"
    """What pepsasync is told of each file: `md5` or `blake3`."""

    @property
    def size(self):
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def root(self):
        """The server, without a slash at the end."""
        return self.files[0].url.rsplit("/", 1)[0]


def write_work(work, path):
    path.write_text(json.dumps(asdict(work)))


def read_work(path):
    values = json.loads(Path(path).read_text())
    return Work(**values | {"files": tuple(File(**file) for file in values["files"])})


def md5_of(path):
    """As a way without a check of its own does it: read again, in blocks."""
    return digest_of(path, hashlib.md5(usedforsecurity=False))


def digest_of(path, digest):
    with open(path, "rb") as file:  # noqa: PTH123 - rivals give strings
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def find_wrong(work, folder):
    """Files that are not there, whole; their bytes are compared by whoever is asked to verify."""
    return [file.name for file in work.files if not _has_size(Path(folder, file.name), file.size)]


def _has_size(path, size):
    return path.is_file() and path.stat().st_size == size
