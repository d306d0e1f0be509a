"""The embedded archive from the shell: `sandbox` and `demo`."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Exit, Option

from pepsasync.cli.options import ArchiveOptions, DeliveryOptions, OutputOptions, StagingOptions, flatten
from pepsasync.cli.run import Run
from pepsasync.cli.session import Session
from pepsasync.display.output import show
from pepsasync.errors import ConfigError
from pepsasync.units import parse_duration, parse_size, show_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pepsasync.folder.layout import Folder
    from pepsasync.sandbox import Sandbox

_option = functools.partial(Option, rich_help_panel="The archive")

DEMO: dict[str, Any] = {
    "products": 12,
    "product_size": 2 << 20,
    "tape_fraction": 0.5,
    "tape_drives": 2,
    "mount_seconds": 0.2,
    "staging_seconds": 1.0,
    "seed": 1,
    "faults": {"cut": 0.4},
    "fault_limit": 1,
}
"""Small enough for seconds; with this seed several connections are cut."""


CHANGES = ("publish_seconds", "supersede_seconds", "withdraw_seconds")
"""Pauses between changes of the catalogue."""


@dataclass(frozen=True, kw_only=True)
class SandboxOptions:
    """What kind of archive, under the names of `Sandbox`'s arguments."""

    port: Annotated[int, _option("--port", help="0 for a free one")] = 8765
    products: Annotated[int, _option("--products", help="how many")] = 50
    product_size: Annotated[str, _option("--product-size", metavar="SIZE", help="size of each product: 1MiB")] = "1MiB"
    tape_fraction: Annotated[float, _option("--tape-fraction", help="share of products on tape, 0-1")] = 0.5
    tape_drives: Annotated[int, _option("--tape-drives", help="number of tape drives")] = 2
    mount_seconds: Annotated[str, _option("--mount-seconds", metavar="TIME", help="time to mount a tape")] = "0.5"
    staging_seconds: Annotated[
        str, _option("--staging-seconds", metavar="TIME", help="time to read one product from tape")
    ] = "5"
    cache_size: Annotated[
        str | None,
        _option(
            "--cache-size",
            metavar="SIZE",
            help="disk cache for staged products; default: unlimited",
        ),
    ] = None
    seed: Annotated[int, _option("--seed", help="the same seed makes the same archive")] = 1
    fault: Annotated[
        list[str] | None,
        _option(
            "--fault",
            metavar="NAME=RATE",
            help="rate of a fault, 0-1 (repeatable)",
        ),
    ] = None
    time_scale: Annotated[float, _option("--time-scale", help="archive seconds per real second")] = 1.0
    streaming: Annotated[
        str,
        _option("--streaming", metavar="MODE", help="php, xsendfile, nginx, php-behind-nginx"),
    ] = "php"
    portal_seconds: Annotated[
        str | None,
        _option(
            "--portal-seconds",
            metavar="TIME",
            help="GEODES, CDSE: time until a tape product is requested in the portal; default: never",
        ),
    ] = None
    geodes_quota: Annotated[int, _option("--geodes-quota", help="GEODES: downloads an hour")] = 50
    geodes_ranges: Annotated[str, _option("--geodes-ranges", metavar="MODE", help="GEODES: ignored, works, error")] = (
        "ignored"
    )
    held_back: Annotated[int, _option("--held-back", help="products that are not published at first")] = 0
    publish_seconds: Annotated[
        str | None, _option("--publish-seconds", metavar="TIME", help="time between two publications of these")
    ] = None
    supersede_seconds: Annotated[
        str | None,
        _option("--supersede-seconds", metavar="TIME", help="time between two replacements by a newer processing"),
    ] = None
    withdraw_seconds: Annotated[
        str | None, _option("--withdraw-seconds", metavar="TIME", help="time between two withdrawals")
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Arguments of `Sandbox`.

        Raises:
            ConfigError: A size, duration or fault that is none.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["product_size"] = parse_size(self.product_size, "--product-size")
        values["cache_size"] = None if self.cache_size is None else parse_size(self.cache_size, "--cache-size")
        for name in ("mount_seconds", "staging_seconds", "portal_seconds", *CHANGES):
            if values[name] is not None:
                values[name] = parse_duration(values[name], f"--{name.replace('_', '-')}")
        values["faults"] = dict(_fault(text) for text in values.pop("fault") or ())
        return values


@flatten()
def sandbox(*, options: SandboxOptions, output: OutputOptions) -> None:
    """Run the embedded archive on this machine.

    It serves PEPS, GEODES, CDSE, ASF and WEkEO from one catalogue, with a tape robot, accounts and faults, until
    Ctrl-C, which is its usual end: exit code 0. Programs written for the real archives work against it; nothing leaves
    this machine.
    """
    session = Session(output)
    with _running(options.arguments()) as archive, contextlib.suppress(KeyboardInterrupt):
        for line in _welcome(archive):
            show(line)
        while True:
            time.sleep(3_600)
    session.say("stopped")


@flatten()
def demo(
    *,
    output: OutputOptions,
    keep: Annotated[Path | None, Option("--keep", metavar="DIR", help="keep the files in this folder")] = None,
) -> None:
    """Run a real fetch against an embedded archive.

    Half of the products are on tape and some connections are cut. Ends with 0 only if every file is right.
    """
    from pepsasync.folder.layout import Folder  # noqa: PLC0415
    from pepsasync.query.criteria import build_query  # noqa: PLC0415 - not needed for help

    session = Session(output)
    with contextlib.ExitStack() as around:
        folder = keep or Path(around.enter_context(tempfile.TemporaryDirectory(prefix="pepsasync-demo-")))
        place = Folder(folder)
        place.open()
        archive = around.enter_context(_running(DEMO))
        session.say(
            f"a sandbox archive is running at {archive.peps_url}: {show_count(DEMO['products'])}, half of them on tape"
        )
        run = _demo_run(session, archive, place)
        run.is_kept = keep is not None
        run.perform(build_query(start="2015-01-01", end="2018-01-01"))
        right = [product.name for product in archive.catalogue if _is_right(archive, product.name, folder)]
        staged = sum(archive.statistics.stagings.values())
        resumed = sum(transfer.offset > 0 for transfer in archive.statistics.transfers)
    if keep is None:
        session.say("the files were temporary; --keep DIR keeps them")
    is_good = len(right) == DEMO["products"]
    show(f"staged from tape: {staged}")
    show(f"cut connections resumed: {resumed}")
    show(f"verified against the archive's MD5: {len(right)} of {DEMO['products']}{'' if is_good else ' - NOT ALL'}")
    raise Exit(0 if is_good else 1)


def _demo_run(session: Session, archive: Sandbox, place: Folder) -> Run:
    from pepsasync.folder.files import write_new  # noqa: PLC0415 - not needed for help

    auth = place.state / "demo-account.txt"
    write_new(auth, f"{archive.username} {archive.password}\n".encode())
    options = ArchiveOptions(provider="peps", base_url=archive.peps_url, auth=auth)
    return Run(session, options, StagingOptions(poll_interval=0.5), DeliveryOptions(write_dir=str(place.directory)))


def _is_right(archive: Sandbox, name: str, folder: Path) -> bool:
    import hashlib  # noqa: PLC0415 - not needed for help

    try:
        with (folder / f"{name}.zip").open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    except OSError:
        return False
    return digest.hexdigest() == archive.content(name).md5.lower()


@contextlib.contextmanager
def _running(arguments: dict[str, Any]) -> Iterator[Sandbox]:
    """A sandbox that serves.

    Raises:
        ConfigError: The extra is not installed, an argument makes no sense, or the port is taken.
    """
    try:
        from pepsasync.sandbox import Sandbox  # noqa: PLC0415 - needs the extra
    except ImportError as error:
        raise ConfigError("the sandbox needs more packages", hint="Try: pip install 'pepsasync[sandbox]'") from error
    try:
        archive = Sandbox(**arguments)
        archive.start()
    except ValueError as error:
        name, _, problem = str(error).partition(" ")
        option = f"--{name.replace('_', '-')}" if name in arguments else name
        raise ConfigError(f"{option} {problem}") from error
    except OSError as error:
        raise ConfigError(f"cannot listen on port {arguments.get('port')}: {error.strerror or error}") from error
    try:
        yield archive
    finally:
        archive.stop()


def _fault(text: str) -> tuple[str, float]:
    name, _, rate = text.partition("=")
    try:
        return name.strip(), float(rate)
    except ValueError:
        raise ConfigError(f"--fault {text!r} is not NAME=RATE", hint="For example --fault cut=0.2") from None


def _welcome(archive: Sandbox) -> list[str]:
    account = f"{archive.username} {archive.password}"
    command = f"pepsasync fetch --provider peps --base-url {archive.peps_url} -a sandbox.txt"
    return [
        f"PEPS      {archive.peps_url}",
        f"CDSE      {archive.cdse_url}",
        f"ASF       {archive.asf_url}",
        f"WEkEO     {archive.wekeo_url}",
        f"account   {archive.username}",
        f"password  {archive.password}",
        f"GEODES    {archive.geodes_url}",
        f"API key   {archive.api_key}",
        "",
        "Try it in another terminal:",
        f"  echo '{account}' > sandbox.txt",
        f"  {command} -c S2ST -d 2017-01-01 -f 2017-02-01 -w data/",
        "",
        "Ctrl-C stops it.",
    ]
