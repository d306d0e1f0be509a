"""Pictures that commands write."""

import sys

import pytest

from pepsasync.errors import NotFoundError
from pepsasync.model import Quicklook

pytestmark = pytest.mark.timeout(600)  # libraries of megabytes are loaded, perhaps on a busy machine


@pytest.fixture
def without(monkeypatch):
    """Libraries that are not installed."""

    def hide(*names):
        real = __import__("importlib.util").util.find_spec
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name, *more: None if name in names else real(name, *more)
        )
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


def test_search_draws_what_it_finds(run, clients, tmp_path):
    pytest.importorskip("bokeh", reason="needs the extra map")
    pytest.importorskip("matplotlib", reason="needs the extra map")
    page, plot = tmp_path / "found.html", tmp_path / "found.png"

    done = run("search", "-c", "S1", "--map", page, "--plot", plot)

    assert done.code == 0
    assert f"written to {page} and {plot}" in done.err
    assert done.out == ""
    assert "2 products, 3.00 MB, 2 without a footprint" in page.read_text("utf-8")
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("option", "name"), [("--map", "a.html"), ("--plot", "a.png")])
def test_a_missing_library_is_named_before_any_work(run, clients, tmp_path, without, option, name):
    without("bokeh", "matplotlib")

    done = run("search", "-c", "S1", option, tmp_path / name)

    assert done.code == 2
    assert f"{option} needs {'bokeh' if option == '--map' else 'matplotlib'}" in done.err
    assert "pip install 'pepsasync[map]'" in done.err
    assert clients.all == []


@pytest.mark.parametrize(("option", "name"), [("--map", "a.png"), ("--plot", "a.html"), ("--map", "no/a.html")])
def test_a_file_that_cannot_be_written_is_refused_before_any_work(run, clients, tmp_path, option, name):
    done = run("search", "-c", "S1", option, tmp_path / name)

    assert done.code == 2
    assert option in done.err
    assert clients.all == []


def test_fetch_writes_its_report_as_a_page_when_it_ends_with_html(run, clients, tmp_path):
    pytest.importorskip("bokeh", reason="needs the extra map")

    done = run("fetch", "-c", "S1", "-w", tmp_path, "--report", tmp_path / "report.html")

    assert done.code == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "2 delivered (3.00 MB)" in page


def test_a_report_page_is_refused_without_its_library_before_any_work(run, clients, tmp_path, without):
    without("bokeh")

    done = run("fetch", "-c", "S1", "-w", tmp_path, "--report", tmp_path / "report.html")

    assert done.code == 2
    assert "--report FILE.html needs bokeh" in done.err
    assert clients.all == []


@pytest.mark.parametrize("provider", ["geodes", "cdse"])
def test_quicklooks_of_an_archive_and_their_page(run, archive, tmp_path, provider):
    folder = tmp_path / "looks"
    where = ("--provider", provider, "--base-url", getattr(archive, f"{provider}_url"))

    done = run("search", "-c", "S2ST", *where, "--quicklooks", folder)
    again = run("search", "-c", "S2ST", *where, "--quicklooks", folder)

    assert (0, 0) == (done.code, again.code)
    assert f"written to {folder / 'index.html'}" in done.err
    names = sorted(path.stem for path in folder.glob("*.jpg"))
    assert names
    page = (folder / "index.html").read_text("utf-8")
    assert all(f'src="{name}.jpg"' in page for name in names)
    assert all((folder / f"{name}.jpg").read_bytes().startswith(b"\xff\xd8\xff") for name in names)


def test_products_without_a_quicklook_are_named(run, clients, tmp_path, monkeypatch):
    async def quicklooks(products, directory):
        directory.mkdir()
        for one in products:
            yield Quicklook(product=one, error=NotFoundError("the archive shows no quicklook", product=one.name))

    clients.prepare = lambda client: setattr(client, "quicklooks", quicklooks)

    done = run("search", "-c", "S1", "--quicklooks", tmp_path / "looks")

    assert done.code == 0
    assert "no quicklook: A: the archive shows no quicklook" in done.err
    assert "2 without a quicklook" in (tmp_path / "looks" / "index.html").read_text("utf-8")
