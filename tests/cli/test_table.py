"""The table of `search`: its columns, and how it fits a terminal."""

import os
import struct
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from fakes import product
from pepsasync.display.table import table_lines

NAMES = [f"S2A_MSIL1C_201701{day:02}T105433_N0204_R051_T31TCJ_20170125T105428" for day in (2, 12)]
fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))

PRODUCTS = [
    product(NAMES[0], size=5_000_000, tile="31TCJ", cloud_cover=4.6, start=datetime(2017, 1, 2, tzinfo=UTC)),
    product(NAMES[1], relative_orbit=51, platform="S2A\x1b[31m"),
]


def test_columns_are_those_that_were_chosen_in_their_order():
    assert [
        "TILE      SIZE  CLOUDS  RELATIVE_ORBIT",
        "31TCJ  5.00 MB     5 %",
        "             ?                      51",
    ] == table_lines(PRODUCTS, ("tile", "size", "clouds", "relative_orbit"))


def test_nothing_of_a_name_is_a_command_for_the_terminal():
    assert ["PLATFORM", "", r"S2A\x1b[31m"] == table_lines(PRODUCTS, ("platform",))


@pytest.mark.parametrize("width", [60, 80])
def test_long_names_are_cut_in_the_middle_where_the_terminal_ends(width):
    lines = table_lines(PRODUCTS, ("name", "size", "tier", "clouds"), width)

    assert width >= max(map(len, lines))
    assert all(line.startswith("S2A_MSIL1C_201701") and "…T31TCJ" in line for line in lines[1:])
    assert lines[1].endswith("5.00 MB  tape     5 %")


def test_a_wide_terminal_shows_names_in_full():
    assert NAMES[0] in table_lines(PRODUCTS, ("name", "size"), 200)[1]


def test_a_terminal_too_narrow_for_all_columns_gets_the_least_of_each():
    lines = table_lines(PRODUCTS, ("name", "start", "size"), 10)

    assert 12 == len(lines[2].split("  ")[0])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("name,siez", "no column 'siez'. Did you mean size?"),
        ("", "--columns is empty"),
        ("name,,size", "a value is empty in 'name,,size'"),
    ],
)
def test_unknown_columns_are_refused_before_any_work(run, clients, columns, words):
    done = run("search", "-c", "S1", "--columns", columns)

    assert done.code == 2
    assert words in done.err
    assert clients.all == []


def test_columns_of_other_formats_are_refused(run, clients):
    done = run("search", "-c", "S1", "--columns", "name", "--format", "csv")

    assert done.code == 2
    assert "--columns is for the table, not for --format csv" in done.err


def test_search_shows_the_columns_in_full_when_nobody_looks(run, clients):
    done = run("search", "-c", "S1", "--columns", "name,collection")

    assert done.out == "NAME  COLLECTION\nA     S1\nB     S1\n"


SHOW = f"""
from pepsasync.display.table import show_table
from pepsasync.model import Product
show_table([Product(id="1", name={NAMES[0]!r}, provider="p", collection="c", download_url="")], ("name", "tier"))
"""


def test_on_a_terminal_the_table_fits(tmp_path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    read = []

    def look():
        try:
            while chunk := os.read(ours, 4096):
                read.append(chunk)
        except OSError:  # how Linux tells that the other end was closed
            pass

    reader = threading.Thread(target=look)
    reader.start()
    subprocess.run([sys.executable, "-c", SHOW], stdout=theirs, check=True, timeout=60)
    os.close(theirs)
    reader.join(60)
    os.close(ours)

    lines = b"".join(read).decode().split("\r\n")
    assert "…T31TCJ  unknown" in lines[1]
    assert 50 == len(lines[1])
