"""OpenStack Swift with its S3 layer on loopback, for `nox -s s3`: another implementation than moto's.

Needs Debian's swift-proxy, swift-account, swift-container, swift-object and memcached. Rights to write `/etc/swift` are
needed, too, since its programs read the hash of their paths only there.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import stores

PROGRAMS = ("account", "container", "object", "proxy")

KEYS = {"AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}

SERVER = """[DEFAULT]
devices = {devices}
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {etc}
user = root
log_address = /dev/null
fallocate_reserve = 0
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

FILTERS = ["catch_errors", "gatekeeper", "memcache", "s3api", "tempauth", "bulk", "slo", "dlo"]

PROXY = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {etc}
user = root
log_address = /dev/null
[pipeline:main]
pipeline = {filters} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
"""

OPTIONS = {
    "s3api": "s3_acl = false\nauth_pipeline_check = false\nlocation = us-east-1\n",
    "tempauth": "user_test_tester = testing .admin\n",
}

HASH = """[swift-hash]
swift_hash_path_suffix = suffix
swift_hash_path_prefix = prefix
[storage-policy:0]
name = gold
default = yes
"""


def is_here():
    """Whether its programs are installed."""
    return all(shutil.which(f"swift-{kind}-server") for kind in PROGRAMS)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def swift(folder):
    """A store in a folder, as `stores.connect` gives it."""
    etc, devices = folder / "etc", folder / "srv"
    for path in (etc, devices / "d1", Path("/etc/swift")):
        path.mkdir(parents=True, exist_ok=True)
    Path("/etc/swift/swift.conf").write_text(HASH)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    started = []
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        for kind in PROGRAMS:
            port = free_port()
            if kind == "proxy":
                text = PROXY.format(port=port, etc=etc, filters=" ".join(FILTERS))
                text += "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n{OPTIONS.get(name, '')}" for name in FILTERS)
            else:
                text = SERVER.format(devices=devices, port=port, etc=etc, kind=kind)
                ring = ["swift-ring-builder", f"{kind}.builder"]
                for step in (["create", "4", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/d1", "1"], ["rebalance"]):
                    # It ends with 1 when it warns.
                    subprocess.run([*ring, *step], cwd=etc, stdout=log, stderr=log, check=False, env=environment)
            config = etc / f"{kind}.conf"
            config.write_text(text)
            program = subprocess.Popen([f"swift-{kind}-server", str(config)], stdout=log, stderr=log, env=environment)
            started.append(program)
            stack.callback(program.wait, 30)
            stack.callback(program.kill)
        _wait_for(port, started)
        yield stores.connect(f"http://127.0.0.1:{port}", **KEYS)


def _wait_for(port, programs):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert all(program.poll() is None for program in programs)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError("swift does not answer")
