"""Pages of the documentation that tell what to type: each is run from its first command to its last, in a new folder.

Of a block `console` the lines after `$` are run, by one shell for the whole page; a block with a title is that file.
An embedded archive takes the place of the real ones and of the sandbox that a page starts.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stores
from archives import sandbox

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "tutorial.md", DOCS / "stac.md", *sorted((DOCS / "how-to").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)(?: title=\"(.+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ACCOUNT = "demo@pepsasync.example demo-password"
API_KEY = "demo-api-key-0001"

PRELUDE = f"""set -eu
pepsasync() {{ "{sys.executable}" -m pepsasync "$@"; }}
python() {{ "{sys.executable}" "$@"; }}
"""


def script(page):
    """A page as one program of the shell."""
    steps = []
    for language, title, text in BLOCK.findall(page.read_text("utf-8")):
        if title:
            steps.append(f"cat > {title} <<'END OF FILE'\n{text}END OF FILE")
            if title.startswith("test_"):
                steps.append(f"python -m pytest -q -p no:cacheprovider {title}")
        elif language == "console":
            steps += [typed(line[2:]) for line in text.splitlines() if line.startswith("$ ")]
        elif language == "python":
            steps.append(f"python - <<'END OF PROGRAM'\n{text}END OF PROGRAM\nrm -rf data")
    return "\n".join(steps)


def typed(line):
    """A line, with what would be typed after it."""
    command = line.split(" #")[0]
    if command.startswith("pepsasync sandbox"):
        return ":"  # it is running
    if command.startswith("pepsasync login geodes"):
        return f"echo {API_KEY} | {command}"
    if command.startswith("pepsasync login"):
        return f"printf '%s\\n' {ACCOUNT} | {command}"
    return command


@pytest.fixture(scope="module")
def archive():
    served = sandbox(50, product_size=20_000, tape_fraction=0.5, portal_seconds=0.1, geodes_quota=1000)
    served.start()
    yield served
    served.stop()


@pytest.fixture
def store():
    """The environment of an S3-compatible store with the bucket of the page."""
    with stores.moto() as served:
        stores.make_bucket(served, "lab")
        yield stores.KEYS | {"AWS_ENDPOINT_URL": served.url}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_step_of_a_page_works(page, archive, tmp_path, request):
    for library in {"stac": ("pystac", "pyarrow"), "cluster": ("distributed",), "s3": ("boto3", "moto")}.get(
        page.stem, ()
    ):
        pytest.importorskip(library)
    store = request.getfixturevalue("store") if page.stem == "s3" else {}
    steps = script(page)
    config = f"""
        poll_interval = 0.1
        poll_interval_max = 1
        [geodes]
        base_url = "{archive.geodes_url}"
        api_key = "{API_KEY}"
        [cdse]
        base_url = "{archive.cdse_url}"
        [peps]
        base_url = "{archive.peps_url}"
    """
    for name, text in {"account.txt": ACCOUNT, "key.txt": API_KEY, "config.toml": config}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)

    done = subprocess.run(
        ["bash", "-c", PRELUDE + steps.replace("http://127.0.0.1:8765/resto", archive.peps_url)],
        cwd=tmp_path,
        env=os.environ
        | {"PEPSASYNC_CONFIG": "config.toml", "PEPSASYNC_PROVIDER": "geodes"}
        | store
        | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")},  # accounts that are stored stay here
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_pages_have_commands():
    assert all("pepsasync" in script(page) for page in PAGES if page.stem != "proxies")
