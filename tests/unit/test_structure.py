"""The structure of the package: no module needs, not even for types, what needs it."""

import ast
import graphlib
import re
from collections import Counter
from pathlib import Path

import pepsasync

ROOT = Path(pepsasync.__file__).parent


def modules():
    """Each module's file by its name."""
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(path, known):
    """Modules of the package that a file names in its imports, wherever they stand."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in below)


def test_no_import_circles():
    known = dict(modules())
    graph = {name: set(imported(path, known)) - {name} for name, path in known.items()}

    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(known)  # else: CycleError names them


def test_contributing_names_every_session_and_every_folder_of_tests():
    top = Path(__file__).parents[2]
    text = (top / "CONTRIBUTING.md").read_text("utf-8")
    rows = "".join(line for line in text.splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`(?:tests/)?(\w+)`", rows))
    sessions = set(re.findall(r"@nox\.session.*\ndef (\w+)", (top / "noxfile.py").read_text("utf-8")))
    folders = {path.parent.name for path in (top / "tests").glob("*/*.py")}

    assert sessions | folders <= named


def test_files_of_tests_have_names_of_their_own():
    """Pytest collects no second file of a name."""
    names = Counter(path.name for path in Path(__file__).parents[1].rglob("test_*.py"))

    assert [] == [name for name, count in names.items() if count > 1]
