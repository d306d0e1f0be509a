"""An archive that refuses an account in the middle of a run, for a moment or for good."""

from collections import Counter

import httpx
import pytest

from archives import connect, everything, fetch_all, right_files, sandbox
from pepsasync.errors import AuthError
from pepsasync.http.transport import Transport

pytestmark = pytest.mark.anyio


@pytest.fixture
def refuse(monkeypatch):
    """Have requests for products answered with 401, chosen by their number, from 0, and whether they are repeated."""
    send, seen = Transport.handle_async_request, []

    def begin(chosen):
        async def answer(transport, request):
            path = request.url.path
            if "download" not in path or path.endswith("/download/get"):  # which is about the quota
                return await send(transport, request)
            seen.append(path)
            if not chosen(len(seen) - 1, path in seen[:-1]):
                return await send(transport, request)
            return httpx.Response(401, json={"ErrorMessage": "Unauthorized", "ErrorCode": 401}, request=request)

        monkeypatch.setattr(Transport, "handle_async_request", answer)
        return seen

    return begin


@pytest.mark.parametrize("provider", ["peps", "geodes"])
@pytest.mark.parametrize("jobs", [1, 4])
async def test_a_refusal_in_mid_run_is_followed_by_another_question(tmp_path, refuse, provider, jobs):
    seen = refuse(lambda number, is_repeated: number >= jobs and not is_repeated)
    async with sandbox(tape_fraction=0) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, provider, settings={"jobs": jobs})

        assert {"delivered"} == {outcome.status for outcome in outcomes.values()}
        assert len(archive.catalogue) == right_files(archive, tmp_path)
        assert 2 * len(archive.catalogue) - jobs == len(seen)


@pytest.mark.parametrize(
    ("provider", "first", "questions"),
    # GEODES has told before the first download that it knows the key.
    [("peps", 0, 1), ("peps", 4, 2), ("geodes", 0, 2), ("geodes", 4, 2)],
)
async def test_refusals_that_last_end_the_run(tmp_path, refuse, provider, first, questions):
    seen = refuse(lambda number, is_repeated: number >= first)
    async with sandbox(tape_fraction=0) as archive, connect(archive, provider, jobs=1) as client:
        products = await everything(client)
        with pytest.raises(AuthError):
            _ = [outcome async for outcome in client.fetch(products, tmp_path)]

    assert questions == max(Counter(seen[first:]).values())
