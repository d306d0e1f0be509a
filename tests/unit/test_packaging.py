"""Recipes say the same as pyproject.toml."""

import re
import tomllib
from pathlib import Path

from pepsasync import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RECIPE = (ROOT / "packaging" / "conda" / "meta.yaml").read_text("utf-8")
DOCKERFILE = (ROOT / "packaging" / "Dockerfile").read_text("utf-8")


def test_the_conda_recipe_needs_what_the_package_needs():
    needed = RECIPE.split("  run:\n")[1].split("\n\n")[0].splitlines()

    assert [
        f"python {PROJECT['requires-python']}",
        *(re.sub(r"(>=)", r" \1", one) for one in PROJECT["dependencies"]),
    ] == [line.strip().removeprefix("- ") for line in needed]
    assert f'version = "{__version__}"' in RECIPE
    assert f"pepsasync = {PROJECT['scripts']['pepsasync']}" in RECIPE


def test_the_image_runs_the_demo_without_privileges():
    instructions = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if re.match("[A-Z]", line)]

    assert dict(instructions)["USER"] != "root"
    assert [name for name, _ in instructions].index("USER") < [name for name, _ in instructions].index("ENTRYPOINT")
    assert dict(instructions)["CMD"] == '["demo"]'
    assert f"{PROJECT['name']}" in dict(instructions)["ENTRYPOINT"]
