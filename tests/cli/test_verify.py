"""`verify`: every byte is looked at again, and `--repair` puts right what is wrong."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from archives import account_file, right_files, running
from pepsasync.transfer.reverify import Verdict, recheck

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01"]


@pytest.fixture
def served(run, tmp_path, monkeypatch):
    """An archive, and a folder that holds all of it."""
    with running(5, tape_fraction=0) as archive:
        monkeypatch.setenv("PEPSASYNC_PEPS_BASE_URL", archive.peps_url)
        account = account_file(archive, tmp_path / "account.txt")
        done = run("fetch", "--base-url", archive.peps_url, "-a", account, "-w", tmp_path / "data", *PERIOD)
        assert done.code == 0
        yield archive


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


@pytest.mark.parametrize("is_unpacked", [False, True], ids=["zips", "folders"])
@pytest.mark.parametrize("journal", ["link", "gone"])
def test_without_a_journal_notes_tell_what_is_missing(*, run, served, tmp_path, journal, is_unpacked):
    data, account = tmp_path / "data", ["-a", tmp_path / "account.txt", "--base-url", served.peps_url]
    if is_unpacked:
        assert run("fetch", *account, "-w", data, "-x", *PERIOD).code == 0
    for path in sorted(data.glob("*.SAFE" if is_unpacked else "*.zip"))[:4]:
        shutil.rmtree(path) if is_unpacked else path.unlink()
    file = data / ".pepsasync" / "journal.db"
    file.rename(tmp_path / "journal.db")
    if journal == "link":
        file.symlink_to(tmp_path / "journal.db")
    found = run("verify", data)
    repaired = run("verify", data, "--repair", *account)

    assert found.code == 1
    assert "5 products: 1 right, 4 missing" in found.err
    assert 4 == found.out.count("missing")
    assert repaired.code == 0, repaired.err
    assert "fetching 4 products again from peps" in repaired.err
    assert 5 == len(list(data.glob("*.SAFE" if is_unpacked else "*.zip")))


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


LINKED = {
    "a file": lambda folder: max(path for path in folder.rglob("*") if path.parent != folder and path.is_file()),
    "a folder in it": lambda folder: next(path for path in folder.iterdir() if path.is_dir()),
    "the manifest": lambda folder: folder / "manifest.safe",
    "the whole": lambda folder: folder,
}


@pytest.mark.parametrize("is_noted", [True, False], ids=["noted", "by-manifest"])
@pytest.mark.parametrize("what", LINKED)
def test_links_in_a_folder_are_wrong_and_not_followed(*, run, served, tmp_path, what, is_noted):
    data, account = tmp_path / "data", ["-a", tmp_path / "account.txt", "--base-url", served.peps_url]
    assert run("fetch", *account, "-w", data, "-x", *PERIOD).code == 0
    product = min(data.glob("*.SAFE"))
    if not is_noted:
        shutil.rmtree(data / ".pepsasync")
    path = LINKED[what](product)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    found = run("verify", data)

    assert found.code == 1
    assert "4 right, 1 wrong" in found.err
    assert "link" in found.out
    assert product.stem in found.out

    again = run("fetch", *account, "-w", data, "-x", *PERIOD)
    if what == "the whole":
        assert again.code == 1
        assert "is a link" in again.err
    else:
        assert again.code == 0, again.err
        assert not path.is_symlink()
        assert run("verify", data).code == 0


def test_a_manifest_that_lists_files_elsewhere_is_wrong(run, tmp_path):
    product = tmp_path / "data" / "S1A_X.SAFE"
    product.mkdir(parents=True)
    (tmp_path / "data" / "mine").write_text("mine")
    stream = '<byteStream size="4"><fileLocation href="./../mine"/></byteStream>'
    (product / "manifest.safe").write_text(f"<m>{stream}</m>")
    found = run("verify", tmp_path / "data")

    assert found.code == 1
    assert "../mine is outside the folder" in found.out


def test_a_folder_that_is_not_there_makes_2(run, tmp_path):
    assert run("verify", tmp_path / "nowhere").code == 2


def test_without_a_journal_the_note_beside_a_file_tells_its_archive(run, served, tmp_path, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PROVIDER", "geodes")
    flip(zips(tmp_path)[0])
    (tmp_path / "data" / ".pepsasync" / "journal.db").unlink()
    account = ["-a", tmp_path / "account.txt", "--base-url", served.peps_url]
    done = run("verify", tmp_path / "data", "--repair", *account)

    assert done.code == 0, done.err
    assert "fetching 1 product again from peps" in done.err
    assert right_files(served, tmp_path / "data") == 5


def test_without_journal_and_notes_the_user_names_the_archive(run, served, tmp_path, monkeypatch):
    damaged = zips(tmp_path)[0]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    shutil.rmtree(tmp_path / "data" / ".pepsasync")
    account = ["-a", tmp_path / "account.txt", "--base-url", served.peps_url]
    done = run("verify", tmp_path / "data", "--repair", "--provider", "peps", *account)

    assert done.code == 0, done.err
    assert right_files(served, tmp_path / "data") == 5


def test_folders_named_like_zips_are_not_products(run, served, tmp_path):
    (tmp_path / "data" / "mine.zip").mkdir()

    assert "5 products: 5 right" in run("verify", tmp_path / "data").err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a read-only mount")
@pytest.mark.parametrize("command", ["status", "verify", "resume", "fetch"])
def test_in_a_folder_that_cannot_be_written(run, served, tmp_path, command):
    data = tmp_path / "data"
    flip(zips(tmp_path)[0])
    account = ["-a", tmp_path / "account.txt", "--base-url", served.peps_url]
    words = {"fetch": [*account, "-w", data, *PERIOD], "resume": [data, *account]}.get(command, [data])
    program = [sys.executable, "-m", "pepsasync", command, *map(str, words)]
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" || exit 77; exec "$@"'
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here")
    done = subprocess.run(
        [*unshare, "sh", "-c", script, data, *program], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip("nobody may mount here")
    code, words = {
        "status": (0, "5 of 5 products are here"),
        "verify": (1, "4 right, 1 wrong"),
        "resume": (0, "nothing is unfinished"),
        "fetch": (2, "cannot write"),
    }[command]

    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
    assert "bug in pepsasync" not in done.stderr


def manifest(tmp_path, algorithm, text, content=b"measured"):
    """A folder with one file, and a manifest that lists it."""
    folder = tmp_path / "P.SAFE"
    folder.mkdir(exist_ok=True)
    (folder / "band.jp2").write_bytes(content)
    (folder / "manifest.safe").write_text(
        f'<xfdu><byteStream size="{len(content)}"><fileLocation href="./band.jp2"/>'
        f'<checksum checksumName="{algorithm}">{text}</checksum></byteStream></xfdu>'
    )
    return folder


@pytest.mark.parametrize(("algorithm", "name"), [("MD5", "md5"), ("SHA3-256", "sha3_256"), ("SHA-256", "sha256")])
def test_checksums_of_manifests(tmp_path, algorithm, name):
    right = hashlib.new(name, b"measured").hexdigest()
    manifest(tmp_path, algorithm, right.upper())
    assert recheck(tmp_path, "P", None).verdict is Verdict.RIGHT

    (tmp_path / "P.SAFE" / "band.jp2").write_bytes(b"measureD")
    found = recheck(tmp_path, "P", None)
    assert (found.verdict, found.reason) == (Verdict.WRONG, "band.jp2 differs from its manifest")


@pytest.mark.parametrize("change", ["cut", "missing", "manifest", "encoding", "size"])
def test_folders_that_are_not_what_their_manifest_lists(tmp_path, change):
    folder = manifest(tmp_path, "MD5", hashlib.md5(b"measured").hexdigest())
    if change == "cut":
        (folder / "band.jp2").write_bytes(b"mea")
    elif change == "missing":
        (folder / "band.jp2").unlink()
    elif change == "manifest":
        (folder / "manifest.safe").write_text("<xfdu><byteStream")
    elif change == "size":
        text = (folder / "manifest.safe").read_text().replace('size="8"', f'size="{"9" * 5000}"')
        (folder / "manifest.safe").write_text(text)
    else:
        (folder / "manifest.safe").write_bytes(b'<?xml version="1.0" encoding="nonsense"?><xfdu/>')

    assert recheck(tmp_path, "P", None).verdict is Verdict.WRONG


def test_a_checksum_that_nobody_here_can_compute_leaves_the_size(tmp_path):
    manifest(tmp_path, "WHIRLPOOL-9", "00")

    assert recheck(tmp_path, "P", None).verdict is Verdict.RIGHT


@pytest.mark.parametrize("command", ["resume", "verify"])
def test_two_folders_are_refused(run, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    done = run(command, "data", "-w", "other")

    assert done.code == 2
    assert done.err == "pepsasync: error: data or other? Name one folder\n"


@pytest.mark.parametrize("command", ["resume", "verify"])
@pytest.mark.parametrize("folders", [["data", "-w", "./data/"], ["-w", "data"], [".", "-w", "data/.."]])
def test_one_folder_may_be_named_twice(run, tmp_path, monkeypatch, command, folders):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()

    assert "Name one folder" not in run(command, *folders).err
