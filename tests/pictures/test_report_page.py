"""The report of a run as a page: of real runs from the embedded archive, and of names that attack."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from archives import connect, everything, sandbox
from fakes import product
from pages import Page
from pepsasync import events
from pepsasync.errors import TransferError
from pepsasync.model import Delivery, DeliveryStatus, Report
from samples import HOSTILE, samples

pytest.importorskip("bokeh", reason="needs the extra map")

from pepsasync.pictures.history import History
from pepsasync.pictures.report_page import ReportPage, report_page

STARTED = datetime(2026, 11, 22, 10, tzinfo=UTC)

pytestmark = pytest.mark.timeout(600)


def report(**more):
    return Report(**{"provider": "peps", "started": STARTED, "seconds": 10.0} | more)


def history_of(number):
    """A run of many products, two seconds apart: waits, downloads, a failure now and then."""
    now = [STARTED.timestamp()]
    history = History(lambda: now[0])
    for index, one in enumerate(samples(number)):
        who = {"id": one.id, "name": one.name}
        now[0] = STARTED.timestamp() + 2 * index
        history.watch(events.StagingRequested(**who, times=1, retry_after=None))
        now[0] += 300
        history.watch(events.ProductStaged(**who, seconds=300.0))
        history.watch(events.DownloadStarted(**who, offset=0, size=one.size))
        now[0] += 20
        history.watch(events.DownloadProgressed(**who, received=one.size // 2))
        if index % 7:
            history.take(Delivery(product=one, status=DeliveryStatus.DELIVERED, bytes=one.size, path=Path("a")))
        else:
            error = TransferError("broke too often", product=one.name, hint="Run the same command again")
            history.take(Delivery(product=one, status=DeliveryStatus.FAILED, error=error))
    return history


@pytest.mark.parametrize("number", [0, 5, 500])
def test_a_report_is_drawn_without_network_and_without_errors(browser, tmp_path, number):
    path = tmp_path / "report.html"
    path.write_text(report_page(report(), history_of(number), tmp_path), encoding="utf-8")

    page = Page(browser, path)
    for title in page.texts(".bk-tab"):
        page.open_tab(title)

    assert "Run of 2026-11-22 10:00 UTC" == browser.script("return document.title")
    assert (number + 6) // 7 == sum("broke too often" in text for text in page.texts("tr"))
    assert [] == browser.console()


def test_the_legend_names_only_what_was(tmp_path):
    history = History()
    one = product("A", product_type="GRD")
    who = {"id": one.id, "name": one.name}
    history.watch(events.DownloadStarted(**who, offset=0, size=4))
    history.take(Delivery(product=one, status=DeliveryStatus.DELIVERED, bytes=4, path=Path("a")))
    online = report_page(report(), history, tmp_path)
    waited = report_page(report(), history_of(1), tmp_path)

    assert ("waiting for tape" in online, "waiting for tape" in waited) == (False, True)
    assert "downloading" in online


@pytest.mark.parametrize("text", [r"$$\href{javascript:hit()}{x}$$", r"\(x\)", r"\[x\]"])
def test_formulas_of_archives_stay_texts(tmp_path, text):
    """Bokeh adds two megabytes of MathJax to a page with a text that it takes for a formula."""
    pages = []
    for name in ("x", text):
        history, one = History(), product(name)
        history.watch(events.ProductAwaited(id=name, name=name))
        history.take(Delivery(product=one, status=DeliveryStatus.FAILED, error=TransferError(name), source=name))
        pages.append(report_page(report(error=OSError(name)), history, tmp_path))

    assert len(pages[1]) - len(pages[0]) < 10_000


def test_texts_of_archives_stay_texts(browser, tmp_path):
    history = History()
    for text in HOSTILE:
        one = product(text, product_type=text)
        history.watch(events.ProductAwaited(id=text, name=text))
        history.take(Delivery(product=one, status=DeliveryStatus.FAILED, error=TransferError(text), source=text))
    path = tmp_path / "report.html"
    path.write_text(report_page(report(error=OSError(HOSTILE[1])), history, tmp_path), encoding="utf-8")

    page = Page(browser, path)
    page.open_tab("List")

    assert browser.script("return typeof window.hit") == "undefined"
    assert [] == page.find("img, svg[onload]", "one.outerHTML")
    assert any(HOSTILE[0] in text for text in page.texts("td"))
    assert [] == browser.console()


@pytest.mark.anyio
async def test_a_run_that_was_cut_and_resumed_tells_all(tmp_path):
    folder, page = tmp_path / "data", tmp_path / "report.html"
    async with sandbox(products=8, tape_fraction=0.5) as archive:
        async with connect(archive, jobs=1) as client:
            products = await everything(client)
            with ReportPage(page, folder) as first, client.listen(first.watch):
                outcomes = client.fetch(products, folder)
                first.take(await anext(outcomes))
                await outcomes.aclose()
                first.write(report(error=KeyboardInterrupt("the run was interrupted")))
        cut = page.read_text("utf-8")
        async with connect(archive) as client:
            with ReportPage(page, folder) as second, client.listen(second.watch):
                delivered = [delivery async for delivery in client.fetch(products, folder)]
                for delivery in delivered:
                    second.take(delivery)
                second.write(report())

    resumed = page.read_text("utf-8")
    assert "The run ended early: the run was interrupted" in cut
    assert "goes on with" in cut
    assert all(one.name in cut for one in products)
    assert all(one.name in resumed for one in products)
    assert "goes on with" not in resumed
    assert {DeliveryStatus.DELIVERED, DeliveryStatus.SKIPPED} == {delivery.status for delivery in delivered}


@pytest.mark.anyio
async def test_the_journal_tells_what_earlier_runs_did(tmp_path):
    async with sandbox(products=6, tape_fraction=1.0) as archive, connect(archive) as client:
        products = await everything(client)
        _ = [delivery async for delivery in client.fetch(products[:4], tmp_path)]

    history = History()
    history.watch(events.ProductFailed(id="x", name="X", error="TransferError", message="broke too often"))
    history.add_journal(tmp_path)

    earlier = {name: entry for name, entry in history.entries.items() if entry.is_earlier}
    assert {one.name for one in products[:4]} == set(earlier)
    for one in products[:4]:
        entry = earlier[one.name]
        assert "delivered" == entry.state
        assert one.footprint == entry.product.footprint
        assert entry.asked < entry.ended
        assert entry.source == "peps"
