"""The page that shows quicklooks."""

import base64

import pytest

from fakes import product
from pepsasync.errors import NotFoundError
from pepsasync.model import Quicklook
from pepsasync.pictures.contact_sheet import write_contact_sheet
from samples import HOSTILE

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


@pytest.mark.timeout(600)
def test_pictures_are_shown_without_network_and_without_errors(browser, tmp_path):
    for name in ("A.gif", "B #1?.gif"):
        (tmp_path / name).write_bytes(GIF)
    found = [Quicklook(product=product(name), path=tmp_path / f"{name}.gif") for name in ("A", "B #1?")]

    browser.open(write_contact_sheet(found, tmp_path, "Two pictures"))
    shown = "return [...document.images].filter(one => one.complete && one.naturalWidth).length"
    browser.wait_for(f"{shown} === 2")

    assert ["A", "B #1?"] == browser.script("return [...document.images].map(one => one.alt)")
    assert [] == browser.console()


@pytest.mark.timeout(600)
def test_texts_of_archives_stay_texts(browser, tmp_path):
    found = [Quicklook(product=product(text), error=NotFoundError(f"the archive says {text}")) for text in HOSTILE]

    browser.open(write_contact_sheet(found, tmp_path, HOSTILE[0]))

    assert browser.script("return typeof window.hit") == "undefined"
    assert [] == browser.script("return [...document.querySelectorAll('img, script, svg')].map(one => one.outerHTML)")
    assert browser.script("return document.body.textContent").count(HOSTILE[1]) == 2
    assert [] == browser.console()


def test_what_is_missing_is_counted(tmp_path):
    found = [
        Quicklook(product=product("A"), error=NotFoundError("none")),
        Quicklook(product=product("B"), path=tmp_path),
    ]

    assert "2 products, 1 without a quicklook" in write_contact_sheet(found, tmp_path).read_text()
