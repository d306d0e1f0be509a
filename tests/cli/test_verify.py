"""`verify`: every byte is looked at again, and `--repair` puts right what is wrong."""

import os

import pytest

from archives import right_files, sandbox

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01"]


@pytest.fixture
def served(run, tmp_path):
    """An archive, and a folder that holds all of it."""
    archive = sandbox(5, tape_fraction=0)
    archive.start()
    account = tmp_path / "account.txt"
    account.write_text(f"{archive.username} {archive.password}")
    done = run("fetch", "--base-url", archive.peps_url, "-a", account, "-w", tmp_path / "data", *PERIOD)
    assert done.code == 0
    yield archive
    archive.stop()


def zips(tmp_path):
    return sorted((tmp_path / "data").glob("*.zip"))


def flip(path):
    """Change one byte, and leave size and time of the file as they were."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_everything_right_makes_0(run, served, tmp_path):
    done = run("verify", tmp_path / "data")

    assert done.code == 0
    assert "5 products: 5 right" in done.err
    assert done.out == ""


def test_wrong_and_missing_products_are_found_and_repaired(run, served, tmp_path):
    flipped, cut, gone, *_ = zips(tmp_path)
    flip(flipped)
    cut.write_bytes(cut.read_bytes()[:-10])
    gone.unlink()

    found = run("verify", tmp_path / "data")
    repaired = run("verify", tmp_path / "data", "--repair", "-a", tmp_path / "account.txt")

    assert found.code == 1
    assert sorted(line.split()[0] for line in found.out.splitlines()) == ["missing", "wrong", "wrong"]
    assert "5 products: 2 right, 2 wrong, 1 missing" in found.err
    assert repaired.code == 0, repaired.err
    assert right_files(served, tmp_path / "data") == 5
    assert run("verify", tmp_path / "data").code == 0


def test_without_a_journal_files_and_their_notes_are_enough(run, served, tmp_path):
    flip(zips(tmp_path)[0])
    (tmp_path / "data" / ".pepsasync" / "journal.db").unlink()
    done = run("verify", tmp_path / "data")

    assert done.code == 1
    assert "4 right, 1 wrong" in done.err
    assert "has no journal" in done.err


def test_files_of_others_are_read_and_called_unknown(run, served, tmp_path):
    theirs = tmp_path / "data" / "S1A_theirs.zip"
    theirs.write_bytes(zips(tmp_path)[0].read_bytes())
    done = run("verify", tmp_path / "data")

    assert done.code == 0
    assert "5 right, 1 unknown" in done.err
    flip(theirs)
    assert run("verify", tmp_path / "data").code == 1


def test_extracted_folders_are_compared_with_their_manifest(run, served, tmp_path):
    account = ["-a", tmp_path / "account.txt", "--base-url", served.peps_url]
    assert run("fetch", *account, "-w", tmp_path / "data", "-x", *PERIOD).code == 0
    assert run("verify", tmp_path / "data").code == 0
    measured = max((tmp_path / "data").glob("*.SAFE/measurement/*"), key=lambda path: path.stat().st_size, default=None)
    measured = measured or max(
        (path for path in (tmp_path / "data").glob("*.SAFE/**/*") if path.is_file() and path.name != "manifest.safe"),
        key=lambda path: path.stat().st_size,
    )
    measured.write_bytes(measured.read_bytes()[:-1])
    found = run("verify", tmp_path / "data")
    repaired = run("verify", tmp_path / "data", "--repair", "-x", *account[:2])

    assert (found.code, repaired.code) == (1, 0), found.err + repaired.err
    assert run("verify", tmp_path / "data").code == 0


def test_a_folder_that_is_not_there_makes_2(run, tmp_path):
    assert run("verify", tmp_path / "nowhere").code == 2
