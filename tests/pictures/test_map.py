"""Maps as pages: what they hold, and how they are in a browser without a network."""

import re
from html.parser import HTMLParser

import pytest

from pages import Page
from pepsasync.html import web_link
from samples import HOSTILE, hostile, samples

pytest.importorskip("bokeh", reason="needs the extra map")

from pepsasync.pictures.map import map_page, write_map

pytestmark = pytest.mark.timeout(600)  # a browser starts, or libraries of megabytes are loaded


@pytest.mark.parametrize("number", [0, 5, 500])
def test_a_map_is_drawn_without_network_and_without_errors(browser, tmp_path, number):
    write_map(samples(number), tmp_path / "map.html", "Products of a test")

    page = Page(browser, tmp_path / "map.html")
    titles = page.texts(".bk-tab")
    for title in titles:
        page.open_tab(title)

    assert ["Storage tier", "Date", "Coverage", "List"] == titles
    assert "Products of a test" == browser.script("return document.title")
    assert [] == browser.console()


def test_a_click_lists_what_is_at_a_place_and_the_pointer_tells_facts(browser, tmp_path):
    products = samples(3)
    write_map(products, tmp_path / "map.html")
    page = Page(browser, tmp_path / "map.html")

    assert [] == page.rows()
    tips = page.hover_map()
    page.click_map()
    rows = page.wait_for_rows()

    assert {one.name for one in products} == {re.match(r"S2A_\w+_\d{6}", row)[0] for row in rows}
    assert {one.quicklook_url for one in products} == set(page.find("a[href]", "one.href"))
    assert "2017-01-01 10:50 · disk · 100.0 MB · S2A · 31TCJ · orbit 51 · 0 % clouds" in tips
    assert [] == browser.console()


def test_texts_of_archives_stay_texts(browser, tmp_path):
    write_map(hostile(), tmp_path / "map.html", HOSTILE[0] + HOSTILE[1])
    page = Page(browser, tmp_path / "map.html")
    page.hover_map()
    page.click_map()
    rows = page.wait_for_rows()
    page.open_tab("List")

    assert browser.script("return typeof window.hit") == "undefined"
    assert [] == page.find("img, svg[onload]", "one.outerHTML")
    assert HOSTILE[0] + HOSTILE[1] == browser.script("return document.title")
    assert any(HOSTILE[0] in row for row in rows)
    links = page.find("a[href]", "one.getAttribute('href')")
    assert links
    assert all(link.startswith("https://archive.example/") for link in links)
    assert [] == browser.console()


def test_a_page_loads_nothing_from_elsewhere():
    class Loads(HTMLParser):
        found: list = []  # noqa: RUF012 - of one test

        def handle_starttag(self, tag, attrs):
            self.found += [value for name, value in attrs if name in ("src", "href", "action", "data")]

    parser = Loads()
    parser.feed(map_page(samples(5)))

    assert [] == Loads.found
    assert "default-src 'none'" in map_page([])


def test_a_map_tells_what_it_shows_and_what_it_cannot():
    products = samples(3)
    products[1] = type(products[1])(id="x", name="X", provider="p", collection="c", download_url="")

    page = map_page(products, "three")

    assert "3 products, 400.0 MB, acquired 2017-01-01 to 2017-01-03, 1 without a footprint, only in the list" in page
    assert "Natural Earth" in page


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://archive.example/a b", ""),
        ("https://archive.example/a", "https://archive.example/a"),
        ("HTTP://archive.example/a", "HTTP://archive.example/a"),
        ("javascript:alert(1)", ""),
        (" java\nscript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("//archive.example", ""),
        ("file:///etc/passwd", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_only_addresses_of_the_web_become_links(url, link):
    assert link == web_link(url)
