"""Whether the benchmarks measure what they say: runs of real commands, and the arithmetic on them."""

import hashlib
import os
import shutil
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import server
import warmth
from measure import FailedError, Run, busy, compare, environment, figures, fresh_folder, launch, measure, rotated, run
from work import File, Work, find_wrong, read_work, write_work

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
needs_nginx = pytest.mark.skipif(bool(server.find_missing()), reason="nginx or curl is not installed")

BODY = b"some product"
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


def runs(*seconds):
    return [Run(each, 2 * each, 50_000_000) for each in seconds]


def work_with(tmp_path, md5=MD5, *, count=1):
    source = tmp_path / "source"
    source.write_bytes(BODY)
    files = [File(f"{number}.zip", source.as_uri(), len(BODY), md5, str(source)) for number in range(count)]
    return Work(tuple(files), jobs=2, verified=True)


class TestTurns:
    def test_everybody_comes_first_once(self):
        firsts = {rotated(["a", "b", "c"], turn)[0] for turn in range(3)}

        assert {"a", "b", "c"} == firsts

    def test_nobody_is_lost(self):
        assert ["b", "c", "a"] == rotated(["a", "b", "c"], 4)


class TestCompare:
    def test_goes_turn_by_turn(self):
        # The second turn was slow for both.
        assert 2.0 == compare(runs(2, 20, 2), runs(1, 10, 1))

    def test_other_numbers_of_runs_are_compared_by_their_medians(self):
        assert 30.0 == compare(runs(60), runs(1, 2, 3))

    def test_without_our_own_runs_nothing_is_said(self):
        assert compare(runs(1), []) is None


def test_figures_are_medians_with_their_spread():
    found = figures(runs(1, 2, 4), 4_000_000_000, runs(1, 1, 1))

    assert (2000, 1000, 4000) == (found["MB_s"], found["MB_s_min"], found["MB_s_max"])
    assert (1.0, 50, 2) == (found["cpu_s_per_GB"], found["peak_MB"], found["pepsasync_times"])


def test_busy_is_the_share_of_all_processors():
    assert 1.0 == busy(Run(2.0, os.cpu_count() * 1.5, 0, server_seconds=os.cpu_count() * 0.5))


class TestLaunch:
    def test_tells_memory_of_the_command_and_not_of_who_started_it(self, tmp_path):
        ballast = bytearray(200 << 20)
        small = launch(["true"], tmp_path, None)
        large = launch([sys.executable, "-c", "x = b'1' * (100 << 20)"], tmp_path, None)

        assert small["peak_bytes"] < 50 << 20
        assert 100 << 20 <= large["peak_bytes"] < len(ballast)

    def test_counts_processors_of_children(self, tmp_path):
        burn = f"{sys.executable} -c 'import time\nwhile time.process_time() < 0.3: pass'"

        assert 0.3 <= launch(["bash", "-c", f"{burn}; true"], tmp_path, None)["cpu_seconds"]

    def test_a_program_knows_better_when_its_work_began(self, tmp_path):
        said = """print("noise"); print('{"seconds": 1234, "cpu_seconds": 5}')"""
        taken = launch([sys.executable, "-c", said], tmp_path, None)

        assert (1234, 5) == (taken["seconds"], taken["cpu_seconds"])

    def test_passes_the_exit_code_on(self, tmp_path):
        assert 3 == launch(["bash", "-c", "exit 3"], tmp_path, None)["code"]


def test_what_a_run_leaves_is_emptied_but_for_what_it_only_links_to(tmp_path):
    source = work_with(tmp_path).files[0].path
    with fresh_folder(tmp_path) as folder:
        (folder / "below").mkdir()
        (folder / "below" / "0.zip").write_bytes(BODY)
        (folder / "link").symlink_to(source)

    assert 0 == (folder / "below" / "0.zip").stat().st_size
    assert BODY == Path(source).read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_held_memory_is_really_used_and_given_back(monkeypatch):
    monkeypatch.setattr(warmth, "free_memory", lambda: warmth.needed(1000) + warmth.SPARE + (64 << 20))
    with warmth.held(1000) as process:
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])

    assert 64 << 20 <= pages * os.sysconf("SC_PAGE_SIZE") < 128 << 20
    assert 0 == process.returncode


@needs_curl
class TestCommands:
    @pytest.mark.parametrize("way", ["curl, then md5sum", "curl, hashed on the way", "curl, md5sum, sync"])
    def test_one_file_is_fetched_and_verified(self, way, tmp_path):
        assert 0 < run(way, work_with(tmp_path), tmp_path).seconds

    @pytest.mark.parametrize("way", ["curl, then md5sum", "curl, md5sum on all cores"])
    def test_several_files_are_fetched_and_verified(self, way, tmp_path):
        assert 0 < run(way, work_with(tmp_path, count=5), tmp_path).seconds

    @pytest.mark.parametrize("way", ["curl, then md5sum", "curl, hashed on the way", "curl, md5sum on all cores"])
    def test_wrong_bytes_are_noticed(self, way, tmp_path):
        with pytest.raises(FailedError):
            run(way, work_with(tmp_path, md5="0" * 32), tmp_path)

    def test_a_way_that_fails_is_told_and_left_out(self, tmp_path):
        failures = []
        found = measure(["curl", "md5sum alone"], work_with(tmp_path, md5="0" * 32), 1, tmp_path, failures.append)

        assert ["md5sum alone"] == list(found)
        assert 1 == len(failures)


def test_work_comes_back_as_it_was_written(tmp_path):
    work = work_with(tmp_path, count=2)
    write_work(work, tmp_path / "work.json")

    assert work == read_work(tmp_path / "work.json")


def test_a_file_of_another_size_is_wrong(tmp_path):
    work = work_with(tmp_path)
    (tmp_path / "0.zip").write_bytes(BODY[:-1])

    assert ["0.zip"] == find_wrong(work, tmp_path)


def test_the_authority_is_named_to_every_kind_of_client(tmp_path):
    work = Work((), 1, verified=True, authority="authority.pem")

    assert {"authority.pem"} == {
        environment(work, "home")[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    }


class TestMissing:
    def test_packages_are_named(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(SystemExit, match="apt-get install nginx-light curl coreutils"):
            server.need_commands()


@needs_nginx
class TestServer:
    def test_serves_zips_of_random_bytes(self, tmp_path):
        with server.nginx(tmp_path, with_tls=False) as (root, authority):
            files = server.make_files(tmp_path, root, 2, 5000, shared=False)
            bodies = [urllib.request.urlopen(file.url, timeout=10).read() for file in files]

        assert authority is None
        assert [file.md5 for file in files] == [hashlib.md5(body, usedforsecurity=False).hexdigest() for body in bodies]
        assert bodies[0] != bodies[1]

    @pytest.mark.parametrize("way", ["pepsasync", "pepsasync, transfer alone"])
    @pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
    def test_brings_us_files(self, way, with_tls, tmp_path):
        with server.nginx(tmp_path, with_tls=with_tls) as (root, authority):
            files = server.make_files(tmp_path, root, 3, 2_000_000, shared=True)
            found = run(way, Work(files, 2, verified=True, authority=authority), tmp_path)

        assert 0 < found.seconds
        assert 0 < found.cpu_seconds

    def test_wrong_bytes_are_noticed_by_us(self, tmp_path):
        with server.nginx(tmp_path, with_tls=False) as (root, _):
            (file,) = server.make_files(tmp_path, root, 1, 5000, shared=False)
            wrong = replace(file, md5="0" * 32)

            with pytest.raises(FailedError, match="checksum"):
                run("pepsasync", Work((wrong,), 1, verified=True), tmp_path)
