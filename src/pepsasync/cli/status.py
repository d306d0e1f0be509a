"""What a folder's journal knows: `status`."""

import json
import time
from pathlib import Path
from typing import Annotated

from typer import Argument, Option, echo

from pepsasync.cli.flatten import flatten
from pepsasync.cli.options import OutputOptions
from pepsasync.cli.standing import read_status, text_lines
from pepsasync.errors import ConfigError


@flatten()
def status(
    *,
    directory: Annotated[Path, Argument(metavar="[DIR]", help="folder of the products", show_default=False)] = Path(),
    output: OutputOptions,  # noqa: ARG001 - every command takes these options
    form: Annotated[str, Option("--format", metavar="text|json", help="for people or for programs")] = "text",
) -> None:
    """Tell what a folder's journal knows: counts, failures, the run under way.

    Reads only, beside a running command as well as after a killed one.
    """
    if form not in ("text", "json"):
        raise ConfigError(f"--format {form!r} is unknown", hint="Use text or json")
    found = read_status(directory)
    for line in [json.dumps(found.as_dict(), indent=1)] if form == "json" else text_lines(found, time.time()):
        echo(line)
