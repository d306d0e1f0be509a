"""Whole commands on a real terminal device, in a pipe, and in the log of a CI service."""

import os
import re
import struct
import subprocess
import sys

import pytest

pyte = pytest.importorskip("pyte", reason="screens are read by pyte")
pty, fcntl, termios = (pytest.importorskip(name, reason="not on Windows") for name in ("pty", "fcntl", "termios"))

COLUMNS, ROWS = 80, 24


def fetch_line(archive, auth, folder):
    line = ["fetch", "--base-url", archive.peps_url, "-a", auth, "-d", "2015-01-01", "-w", folder]
    return [sys.executable, "-m", "pepsasync", *map(str, line), "--poll-interval", "0.1"]


def shown_on_terminal(command, **environ):
    """What a command writes to a terminal, where both of its streams go."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=os.environ | environ, start_new_session=True
    )
    os.close(follower)
    written = bytearray()
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        try:
            while data := terminal.read(1 << 16):
                written += data
        except OSError:  # so Linux says that nobody has it open any more
            pass
    assert process.wait(60) == 0, written.decode()
    return written.decode()


def test_a_run_on_a_terminal_leaves_only_what_it_told(archive, auth, tmp_path):
    slowly = ["--limit-rate", "500k"]  # else it may be over before anything is drawn
    line = [*fetch_line(archive, auth, tmp_path), *slowly]
    written = shown_on_terminal(line, TERM="xterm-256color", COLUMNS="200", LINES="5")
    screen = pyte.HistoryScreen(COLUMNS, ROWS, history=1000, ratio=1e-9)
    pyte.Stream(screen).feed(written)
    shown = [line.rstrip() for line in screen.display if line.strip()]

    assert "elapsed" in written, "it was live"
    assert not [line for line in shown if "elapsed" in line or "━" in line]
    assert [line for line in shown if line.startswith("delivered: 16 products")]
    assert len(re.findall(r"delivered \d+/16 S", written)) == 16


def test_a_dumb_terminal_gets_lines(archive, auth, tmp_path):
    written = shown_on_terminal(fetch_line(archive, auth, tmp_path), TERM="dumb")

    assert "\x1b" not in written
    assert len(re.findall(r"^[\d:TZ-]+ delivered \d+/16 S", written, re.MULTILINE)) == 16


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE", "CI"])
def test_the_log_of_a_ci_service_gets_lines(archive, auth, tmp_path, variable):
    command = fetch_line(archive, auth, tmp_path)
    environ = os.environ | {variable: "1", "TERM": "xterm-256color"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environ)

    assert "\x1b" not in done.stdout + done.stderr
    assert len(re.findall(r"^[\d:TZ-]+ delivered \d+/16 S", done.stderr, re.MULTILINE)) == 16
