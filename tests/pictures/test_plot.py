"""Footprints as a still picture."""

import re
import struct

import pytest
import shapely

from samples import HOSTILE, hostile, samples

pytest.importorskip("matplotlib", reason="needs the extra map")

from pepsasync.pictures.plot import write_plot

pytestmark = pytest.mark.timeout(600)  # a browser starts, or libraries of megabytes are loaded


@pytest.mark.parametrize("number", [0, 1, 300])
def test_a_png_has_the_size_of_a_figure_and_shows_products(tmp_path, number):
    write_plot(samples(number), tmp_path / "a.png", "Products", shapely.box(0, 43, 1, 44))

    content = (tmp_path / "a.png").read_bytes()
    assert b"\x89PNG\r\n\x1a\n" == content[:8]
    assert (1440, 864) == struct.unpack(">II", content[16:24])


def test_an_svg_holds_titles_of_archives_as_text(tmp_path):
    write_plot(hostile(), tmp_path / "a.SVG", r"$\frac{" + HOSTILE[0] + HOSTILE[1])

    text = (tmp_path / "a.SVG").read_text()
    assert text.startswith("<?xml")
    assert "<script" not in text
    assert "<img" not in text


def test_footprints_over_the_antimeridian_are_shown_in_one_piece(tmp_path):
    corners = [[179, -18], [-179, -18], [-179, -17], [179, -17], [179, -18]]
    [one] = samples(1)
    object.__setattr__(one, "footprint", {"type": "Polygon", "coordinates": [corners]})

    write_plot([one], tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()

    assert re.search(r"<!-- -179(\.5)?° -->", text), "as the axis is divided"
    assert "<!-- 0° -->" not in text
