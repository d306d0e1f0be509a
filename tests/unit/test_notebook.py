"""What notebooks show of our objects, and the progress in a cell."""

import builtins
import inspect
from datetime import UTC, datetime

import pytest

import pepsasync
from fakes import product
from pepsasync import events
from pepsasync.display.counters import Counters
from pepsasync.model import MOST_SHOWN
from pepsasync.notebook import progress_html, show_progress
from pepsasync.providers.base import SearchPage
from pepsasync.results.products import Products

ATTACK = '</script><img src=x onerror="alert(1)">'
HOSTILE = product(
    ATTACK,
    quicklook_url="javascript:alert(1)",
    product_type=ATTACK,
    start=datetime(2017, 1, 1, tzinfo=UTC),
    footprint={"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
)
FAILED = pepsasync.Delivery(
    product=HOSTILE, status=pepsasync.DeliveryStatus.FAILED, error=pepsasync.TransferError(ATTACK)
)
REPORT = pepsasync.Report(
    provider="peps",
    started=datetime(2017, 1, 1, tzinfo=UTC),
    seconds=3.0,
    deliveries=(FAILED,),
    error=OSError(ATTACK),
)
INSTANCES = {
    "Checksum": pepsasync.Checksum("md5", "0" * 32),
    "Client": None,
    "Config": pepsasync.Config(),
    "Credentials": pepsasync.Credentials(username="me", password="secret word"),
    "Delivery": FAILED,
    "DeliveryStatus": pepsasync.DeliveryStatus.FAILED,
    "Member": None,
    "Product": product("A"),
    "Products": Products([product("A")]),
    "Query": pepsasync.Query(collection="S1"),
    "Quicklook": pepsasync.Quicklook(product=product("A")),
    "Report": REPORT,
    "StorageTier": pepsasync.StorageTier.TAPE,
}
"""One of each public class but the errors."""


def peps():
    """A client that reaches nothing."""
    return pepsasync.Client("peps", base_url="http://127.0.0.1:1")


def made(name):
    kind = getattr(pepsasync, name)
    if issubclass(kind, Exception):
        more = {"replaced_by": "B"} if kind is pepsasync.ReplacedError else {}
        return kind("it broke", **more)
    if kind is pepsasync.Client:
        return peps()
    if (known := INSTANCES[name]) is not None:
        return known
    values = dict.fromkeys(inspect.signature(kind).parameters, "1")
    return kind(**values)


@pytest.mark.parametrize("name", [name for name in pepsasync.__all__ if isinstance(getattr(pepsasync, name), type)])
def test_every_public_class_tells_what_it_is(name):
    text = repr(made(name))

    assert " object at 0x" not in text
    assert name in text
    assert "secret word" not in text


def test_a_client_tells_of_which_archive_it_is():
    assert "<pepsasync.Client of peps, not opened yet>" == repr(peps())


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(HOSTILE, id="product"),
        pytest.param(Products([HOSTILE]), id="products"),
        pytest.param(SearchPage((HOSTILE,), is_last=True), id="page"),
        pytest.param(FAILED, id="delivery"),
        pytest.param(REPORT, id="report"),
    ],
)
def test_notebooks_show_texts_of_archives_as_texts(shown):
    page = shown._repr_html_()

    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;" in page
    assert "<img" not in page
    assert "</script>" not in page
    assert "href" not in page


def test_a_product_links_to_its_quicklook():
    page = product("A", quicklook_url="https://archive.example/a?b=1&c='2'")._repr_html_()

    assert 'href="https://archive.example/a?b=1&amp;c=&#x27;2&#x27;"' in page


def test_long_lists_are_cut_and_say_so():
    page = Products([product(f"P{number}") for number in range(MOST_SHOWN + 7)])._repr_html_()

    assert MOST_SHOWN == page.count("<tr>") - 1
    assert f"{MOST_SHOWN + 7} products, the first {MOST_SHOWN} are shown" in page


def test_products_become_a_geodataframe_that_fetch_takes():
    from pepsasync.arguments import as_wanted  # noqa: PLC0415

    table = Products([HOSTILE, product("B")]).to_geodataframe()

    assert [ATTACK, "B"] == [str(name) for name in table["name"]]
    assert ["B"] == as_wanted(table[table["name"] == "B"])


def test_a_plot_is_that_of_geopandas():
    pytest.importorskip("matplotlib", reason="needs the extra notebook")
    from matplotlib.figure import Figure  # noqa: PLC0415

    axes = Figure().add_subplot()

    assert axes is Products([HOSTILE]).plot(ax=axes)
    assert (0, 1) == tuple(round(bound) for bound in axes.dataLim.intervalx)


def test_a_map_of_folium_obeys_no_archive():
    pytest.importorskip("folium", reason="needs the extra notebook")
    pytest.importorskip("mapclassify", reason="needs the extra notebook")

    page = Products([HOSTILE]).explore().get_root().render()

    assert r"\u0026lt;img src=x" in page  # in JSON: the sign & of the escaped text
    assert "<img src=x" not in page


def test_a_missing_library_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name.split(".")[0] in ("folium", "IPython"):
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(pepsasync.ConfigError, match=r"folium.*pepsasync\[notebook\]"):
        Products([HOSTILE]).explore()
    with (
        pytest.raises(pepsasync.ConfigError, match=r"IPython.*pepsasync\[notebook\]"),
        show_progress(peps()),
    ):
        pass


def test_progress_tells_counts_and_downloads():
    counters = Counters(clock=lambda: 10.0)
    for index, name in enumerate((ATTACK, "B", "C")):
        counters.take(events.ProductFound(id=str(index), name=name, tier="tape", size=100_000))
    counters.take(events.SearchFinished(products=3, bytes=300_000))
    counters.take(events.DownloadStarted(id="0", name=ATTACK, offset=0, size=100_000))
    counters.take(events.DownloadProgressed(id="0", name=ATTACK, received=50_000))
    counters.take(events.StagingRequested(id="1", name="B", times=1, retry_after=None))
    counters.take(events.ProductFailed(id="2", name="C", error="TransferError", message=ATTACK))

    page = progress_html(counters)

    assert "1 of 3 products" in page
    assert "50.0 kB of 300.0 kB" in page
    assert "1 product waiting for tape" in page
    assert "1 failed" in page
    assert 'value="0.167"' in page
    assert "<img" not in page


def test_progress_is_shown_in_the_cell_and_its_last_state_stays(monkeypatch):
    display = pytest.importorskip("IPython.display", reason="needs the extra notebook")
    shown = []

    class Handle:
        def update(self, page):
            shown.append(page.data)

    monkeypatch.setattr(display, "display", lambda page, display_id: shown.append(page.data) or Handle())
    client = peps()

    with show_progress(client):
        client._emit(events.ProductFound(id="1", name="A", tier="disk", size=1_000))
        client._emit(events.ProductDelivered(id="1", name="A", path="A.zip", bytes=1_000))

    assert "waiting for the first product" in shown[0]
    assert "1 of 1 product" in shown[-1]
    assert 'value="1.000"' in shown[-1]
    assert [] == client._listeners
