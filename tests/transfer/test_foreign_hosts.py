"""Whose failure is it: that of the archive, or that of a link to somewhere else?"""

import httpx
import pytest

from fakes import FakeProvider, archive_of, product
from pepsasync.config import Config
from pepsasync.errors import NotFoundError, ProviderError, QuotaError, ServerError, UnavailableError, UnreachableError
from pepsasync.http.client import origin_of

OWN, ELSEWHERE, STORE = "https://archive.example", "https://elsewhere.example", "https://store.example"
OUT = [UnavailableError, UnreachableError]


@pytest.fixture
def archive():
    class Provider(FakeProvider):
        def is_own(self, url):
            return url.host == "archive.example"

    archive = archive_of(Provider({}), None, Config(), lambda event: None)
    archive.has_sent.add(origin_of(httpx.URL(f"{STORE}/earlier")))
    return archive


def raised(archive, link, error):
    with (
        pytest.raises((ProviderError, OSError)) as caught,
        archive.foreign_hosts_fail_alone(product(download_url=link)),
    ):
        raise error
    return caught.value


@pytest.mark.parametrize("kind", [*OUT, ServerError])
@pytest.mark.parametrize("url", [f"{ELSEWHERE}/A", f"{ELSEWHERE}:444/A", "https://[***]/A", None])
def test_a_foreign_host_fails_its_product_and_pauses_nobody(archive, kind, url):
    error = raised(archive, f"{ELSEWHERE}/A", kind("no", url=url, retry_after=60.0, hint="Wait"))

    assert type(error) is ServerError
    assert (error.message, error.url, error.hint, error.product) == ("no", url, "Wait", "A")
    assert error.retry_after is None


@pytest.mark.parametrize("kind", OUT)
@pytest.mark.parametrize(
    ("link", "url"),
    [
        pytest.param(f"{OWN}/A", f"{OWN}/A", id="own"),
        pytest.param(f"{OWN}/A", f"{ELSEWHERE}/A", id="redirected"),
        pytest.param(f"{STORE}/A", f"{STORE}/A", id="has-sent-others"),
        pytest.param(f"{ELSEWHERE}/A", f"{OWN}/token", id="asked-for-elsewhere"),
        pytest.param("", f"{OWN}/order", id="no-link"),
    ],
)
def test_what_the_archive_fails_at_is_no_fault_of_a_link(archive, kind, link, url):
    error = kind("no", url=url, retry_after=60.0)

    assert raised(archive, link, error) is error


@pytest.mark.parametrize("error", [QuotaError("enough"), NotFoundError("gone"), OSError("full")])
def test_other_errors_stay_as_they_are(archive, error):
    assert raised(archive, f"{ELSEWHERE}/A", error) is error
