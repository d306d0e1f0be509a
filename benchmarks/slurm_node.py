"""A SLURM cluster of one node on the loopback address, for trying things: `slurm-wlm` and `munge` of Debian.

    python -m benchmarks.slurm_node COMMAND...

runs a command with `SLURM_CONF` set, so that `sbatch`, `squeue` and `srun` find the cluster, and ends it afterwards.
Nothing is written outside of a temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")

CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={daemon}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs that are not there, of those that are needed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return [name for name in NEEDED if shutil.which(name, path=path) is None]


@contextlib.contextmanager
def slurm_node(cpus: int = 16, seconds: float = 30.0) -> Iterator[dict[str, str]]:
    """Run a cluster of one node.

    Args:
        cpus: That it says it has: so many tasks run at once, whatever the machine has.
        seconds: For which it is waited for.

    Yields:
        The environment for SLURM's commands.

    Raises:
        RuntimeError: It did not come up; the logs are in the message.
    """
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder, processes = Path(name), []
        path = f"{os.environ.get('PATH', '')}:/usr/sbin"
        environment = {**os.environ, "PATH": path, "SLURM_CONF": str(folder / "slurm.conf")}
        _write(folder, cpus)
        socket_path, log = folder / "munge.socket", folder / "daemons.log"
        munged = ["munged", "--foreground", f"--key-file={folder}/key", f"--socket={socket_path}"]
        munged += [f"--{each}-file={folder}/munge.{each}" for each in ("pid", "log", "seed")]
        try:
            with log.open("wb") as output:
                for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D"]):
                    processes.append(
                        subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=folder)
                    )
                    if command is munged:
                        _wait(socket_path.exists, seconds, folder)
            _wait(lambda: _is_idle(environment), seconds, folder)
            yield environment
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()
                process.wait()


def _write(folder: Path, cpus: int) -> None:
    folder.chmod(0o755)
    key = folder / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        ports = {"control": first.getsockname()[1], "daemon": second.getsockname()[1]}
    host, user = socket.gethostname().partition(".")[0], pwd.getpwuid(os.getuid()).pw_name
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, user=user, folder=folder, cpus=cpus, **ports))


def _is_idle(environment: dict[str, str]) -> bool:
    told = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, check=False)
    return told.stdout.strip() == "idle"


def _wait(is_so: Callable[[], bool], seconds: float, folder: Path) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            logs = "\n".join(path.read_text("utf-8", "replace")[-2_000:] for path in sorted(folder.glob("*.log")))
            raise RuntimeError(f"SLURM did not come up in {seconds:g} s:\n{logs}")
        time.sleep(0.1)


def main() -> int:
    """Run the command that was given."""
    if not sys.argv[1:] or missing():
        print(__doc__ if not sys.argv[1:] else f"not there: {', '.join(missing())}", file=sys.stderr)
        return 2
    with slurm_node() as environment:
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
