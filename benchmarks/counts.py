"""One measurement for each number of products, in a process of its own: memory is of one measurement only then."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def measure_each(script, description, measure):
    """Read the command line, and print what is measured, a line for each number.

    Args:
        script: The file that calls this.
        description: For `--help`.
        measure: Called with a number and an empty folder; returns figures by name.
    """
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--products", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options.add_argument("--here", action="store_true", help="measure in this process")
    chosen = options.parse_args()
    for count in chosen.products:
        if chosen.here:
            with tempfile.TemporaryDirectory() as folder:
                print(json.dumps(measure(count, Path(folder))), flush=True)
        else:
            subprocess.run([sys.executable, script, "--here", "--products", str(count)], check=True)
