"""Folders of ours in whose place something else stands, when many threads want them at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

from pepsasync.folder.files import make_own_folder

THREADS = 8


def test_many_threads_rename_a_link_once_and_get_the_folder(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with ThreadPoolExecutor(THREADS) as threads:
        for number in range(100):
            path, start, told = tmp_path / f"unpack-{number}", threading.Barrier(THREADS), []
            path.symlink_to(elsewhere)

            def make(path=path, start=start, told=told):
                start.wait(60)
                make_own_folder(path, told.append)

            for made in [threads.submit(make) for _ in range(THREADS)]:
                made.result(60)

            assert path.is_dir()
            assert not path.is_symlink()
            assert len(told) == 1
    assert not list(elsewhere.iterdir())
