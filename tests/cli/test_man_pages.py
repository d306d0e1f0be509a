"""Manual pages are made from the commands, and `man` finds nothing wrong with them."""

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from pepsasync.cli.app import COMMANDS, EXAMPLES, make_command

PAGES = dict(runpy.run_path(str(Path(__file__).parents[2] / "tools" / "man_pages.py"))["pages"]())


def plain(text):
    return text.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\e", "\\")


def test_there_is_a_page_for_the_program_and_each_command():
    assert {"pepsasync.1", *(f"pepsasync-{name}.1" for name in COMMANDS)} == PAGES.keys()
    assert all(f"pepsasync\\-{name}(1)" in PAGES["pepsasync.1"] for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_every_option_and_example(name):
    text = plain(PAGES[f"pepsasync-{name}.1"])
    command = make_command([name]).commands[name]

    options = [spelling for param in command.params if not getattr(param, "hidden", False) for spelling in param.opts]
    assert [spelling for spelling in options if spelling.startswith("-") and spelling not in text] == []
    assert [line for line in EXAMPLES.get(name, ()) if line not in text] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("name", PAGES)
def test_groff_has_no_warning(name):
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=PAGES[name],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stderr == ""
