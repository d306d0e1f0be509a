"""nginx on a free port of the loopback, with files to download: plain zips of random bytes."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from blake3 import blake3
from work import BLOCK, File, digest_of, md5_of

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/zip;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}{tls}; root {folder}/www; location /slow/ {{ limit_rate {rate}; }} }} }}
"""

TLS = " ssl; ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem"

SLOW = 4 << 20
"""Bytes a second of each connection below `/slow/`."""

PACKAGES = {"nginx": "nginx-light", "curl": "curl", "md5sum": "coreutils"}
"""What cannot be done without, and the Debian package that has it."""

START_LIMIT = 10.0
"""Seconds."""

_running = []
"""Numbers of the processes of the servers that run now."""


def cpu_seconds():
    """Processor time of all servers so far (Linux; 0 elsewhere)."""
    return sum(_cpu_seconds(pid) for pid in _running)


def processes():
    """Numbers of the processes of the servers that run now."""
    return tuple(_running)


def _cpu_seconds(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def find_missing():
    """Debian packages that have to be installed first."""
    return [package for command, package in PACKAGES.items() if shutil.which(command) is None]


def need_commands():
    """End, and say what to install, unless everything needed is there."""
    if missing := find_missing():
        sys.exit(f"missing; on Debian: apt-get install {' '.join(missing)}")


@contextlib.contextmanager
def nginx(folder, *, with_tls):
    """Serve `folder/www`; gives the root and the file of the certificate authority (None without TLS)."""
    folder.chmod(0o755)  # its workers may run as another user
    (folder / "www" / "slow").mkdir(parents=True, exist_ok=True)
    authority = make_certificate(folder) if with_tls else None
    port = free_port()
    tls = TLS.format(folder=folder) if with_tls else ""
    user = "user root;" if os.geteuid() == 0 else ""
    text = NGINX.format(folder=folder, port=port, tls=tls, rate=SLOW, user=user)
    (folder / "nginx.conf").write_text(text)
    with subprocess.Popen(["nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf", "-p", folder]) as server:
        try:
            wait_for(port, server)
            _running[:] = [server.pid, *_children(server.pid)]
            yield f"http{'s' if with_tls else ''}://127.0.0.1:{port}", authority
        finally:
            _running.clear()
            server.terminate()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, server):
    until = time.monotonic() + START_LIMIT
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit("nginx does not answer")


def make_certificate(folder):
    import trustme  # noqa: PLC0415 - only for TLS

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "chain.pem", append=True)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return str(folder / "authority.pem")


def make_files(folder, root, count, size, *, shared, slow=False):
    """Put files below `folder/www` and describe them.

    Args:
        folder: Of the server.
        root: URL of the server.
        count: Files.
        size: Bytes of each, about.
        shared: Whether all are the same file under several names: that takes less room, and as long to download.
        slow: Whether the server sends no more than `SLOW` bytes a second on each connection.
    """
    where = "slow/" if slow else ""
    first, files = None, []
    for number in range(count):
        name = f"{size}-{number}.zip"
        path = folder / "www" / where / name
        if shared and first:
            path.hardlink_to(folder / "www" / where / first.name)
            md5, other = first.md5, first.blake3
        else:
            make_zip(path, size)
            md5, other = md5_of(path), digest_of(path, blake3())
        files.append(File(name, f"{root}/{where}{name}", path.stat().st_size, md5, str(path), other))
        first = first or files[0]
    return tuple(files)


def make_zip(path, size):
    """A zip of one stored member of so many random bytes."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("measurement.tiff", "w", force_zip64=True) as member:
        for done in range(0, size, BLOCK):
            member.write(os.urandom(min(BLOCK, size - done)))
