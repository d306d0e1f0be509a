"""ASF's downloads as other programs meet them: the way over the login, signed addresses, refusals, bursts."""

import httpx
import pytest

from archives import held, running

MADE_UP_TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"
"""In the form of a token, but nobody's."""


@pytest.fixture(scope="module")
def archive():
    with running(12) as served:
        yield served


@pytest.fixture(scope="module")
def client():
    """A client that keeps no cookies: those of the archive are for hosts of its own."""
    with httpx.Client(timeout=30, verify=False) as made:
        yield made


def complex_image(archive):
    return next(product for product in held(archive, "asf") if product.product_type == "SLC")


def address(archive, product, host="sentinel1"):
    """Where a product is at the egress, or at the host that search results name."""
    return f"{archive.asf_url}/{host}.asf.alaska.edu/SLC/S{product.platform[-1]}/{product.name}.zip"


def bearer(archive):
    return {"Authorization": f"Bearer {archive.asf_token}"}


def cookie(reply):
    return {"Cookie": reply.headers["Set-Cookie"].partition(";")[0]}


def log_in(client, archive, url):
    """All answers on the way to a file, when a challenge is answered by user and password."""
    replies, session = [], {}
    for _ in range(9):
        is_own = ".asf.alaska.edu/" in url.partition("?")[0]
        replies.append(reply := client.get(url, headers=session if is_own else {}))
        if "WWW-Authenticate" in reply.headers:
            replies.append(reply := client.get(url, auth=(archive.username, archive.password)))
        if "Set-Cookie" in reply.headers:
            session = cookie(reply)
        if not reply.has_redirect_location:
            break
        url = str(reply.next_request.url)
    return replies


def test_user_and_password_lead_over_the_login_to_a_cookie_and_the_file(archive, client):
    product = complex_image(archive)
    replies = log_in(client, archive, address(archive, product, "datapool"))

    assert [each.status_code for each in replies] == [307, 302, 401, 302, 301, 303, 200]
    assert "app_type=401" in replies[1].headers["Location"]
    assert replies[4].headers["Set-Cookie"].startswith("asf-urs=")
    assert replies[-1].content == archive.content(product.name).read()
    assert replies[-1].headers["ETag"].endswith('-107"')


def test_a_token_needs_no_login_and_brings_a_cookie(archive, client):
    product = complex_image(archive)
    reply = client.get(address(archive, product), headers=bearer(archive))
    with_cookie = client.get(address(archive, product), headers=cookie(reply))

    assert (reply.status_code, with_cookie.status_code) == (303, 303)
    assert reply.headers["Cache-Control"] == "private, max-age=3540"
    assert "A-userid=" in reply.headers["Location"]
    assert client.get(reply.headers["Location"]).content == archive.content(product.name).read()


def test_browsers_get_a_page_to_log_in(archive, client):
    reply = client.get(address(archive, complex_image(archive)), headers={"User-Agent": "Mozilla/5.0"})
    page = client.get(reply.headers["Location"])

    assert "app_type" not in reply.headers["Location"]
    assert (page.status_code, page.headers["Content-Type"].partition(";")[0]) == (200, "text/html")


@pytest.mark.parametrize("authorization", ["Bearer no-token", "Basic d2hvOnNlY3JldA=="])
def test_what_has_not_the_form_of_a_token_leads_to_the_login(authorization, archive, client):
    reply = client.get(address(archive, complex_image(archive)), headers={"Authorization": authorization})

    assert reply.status_code == 302
    assert "/urs.earthdata.nasa.gov/oauth/authorize?" in reply.headers["Location"]


@pytest.mark.parametrize(
    ("authorization", "status", "words"),
    [("Bearer", 400, "Malformed Authorization header"), (f"Bearer {MADE_UP_TOKEN}", 401, "invalid or expired")],
)
def test_bad_tokens_are_refused(authorization, status, words, archive, client):
    reply = client.get(address(archive, complex_image(archive)), headers={"Authorization": authorization})

    assert reply.status_code == status
    assert words in reply.json()["error_description"]


def test_a_licence_that_was_not_accepted(client):
    with running(12, asf_eula=False) as archive:
        url = address(archive, complex_image(archive))
        with_password = log_in(client, archive, url)[-1]
        with_token = client.get(url, headers=bearer(archive))

    assert with_password.status_code == 401
    assert "agree to the EULA" in with_password.text
    assert with_token.status_code == 403
    assert with_token.json()["error_description"] == "EULA Acceptance Failure"
    assert "/approve_app?" in with_token.json()["resolution_url"]


def test_a_session_ends(client):
    now = [0.0]
    with running(12, asf_cookie_seconds=100, clock=lambda: now[0]) as archive:
        url = address(archive, complex_image(archive))
        session = cookie(client.get(url, headers=bearer(archive)))
        now[0] = 99.0
        early = client.get(url, headers=session)
        now[0] = 100.0
        late = client.get(url, headers=session)

    assert (early.status_code, late.status_code) == (303, 302)


def test_a_signed_address_ends_and_another_one_works(client):
    now = [0.0]
    with running(12, asf_signed_seconds=100, clock=lambda: now[0]) as archive:
        url = address(archive, complex_image(archive))
        signed = client.get(url, headers=bearer(archive)).headers["Location"]
        now[0] = 100.0
        ended = client.get(signed)
        other = client.get(client.get(url, headers=bearer(archive)).headers["Location"])

    assert (ended.status_code, other.status_code) == (403, 200)
    assert ended.text.startswith("<?xml")
    assert "Request has expired" in ended.text


def test_the_store_takes_a_signature_for_its_method_and_nothing_beside_it(archive, client):
    signed = client.get(address(archive, complex_image(archive)), headers=bearer(archive)).headers["Location"]
    with_token = client.get(signed, headers={"Authorization": "Bearer x"})

    assert with_token.status_code == 400
    assert "Only one auth mechanism allowed" in with_token.text
    assert client.head(signed).status_code == 403


def test_a_head_request_needs_no_login(archive, client):
    product = complex_image(archive)
    reply = client.head(address(archive, product, "datapool"), follow_redirects=True)

    assert [each.status_code for each in (*reply.history, reply)] == [307, 303, 200]
    assert reply.headers["Content-Length"] == str(product.size)


def test_ranges_are_checked_before_the_store(archive, client):
    product = complex_image(archive)
    wrong, right = (
        client.get(address(archive, product), headers={**bearer(archive), "Range": asked})
        for asked in ("bytes=999999999-", "bytes=10-19")
    )
    some = client.get(right.headers["Location"], headers={"Range": "bytes=10-19"})

    assert (wrong.status_code, wrong.content) == (416, b"Invalid Range")
    assert (right.status_code, right.headers["Range"]) == (303, "bytes=10-19")
    assert (some.status_code, some.content) == (206, archive.content(product.name).read()[10:20])


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("html-200", 200, "<html"),
        ("json-200", 200, "Internal server error"),
        ("store-trouble", 400, "There was a problem accessing download data."),
        ("missing-file", 404, "File not found"),
        ("error-500", 500, ""),
    ],
)
def test_the_egress_may_answer_something_else(fault, status, words, client):
    with running(12, faults={fault: 1.0}) as archive:
        reply = client.get(address(archive, complex_image(archive)), headers=bearer(archive))

    assert reply.status_code == status
    assert words in reply.text


def test_bursts_take_a_cookie_and_their_time(client):
    now = [0.0]
    with running(12, asf_burst_seconds=2.0, clock=lambda: now[0]) as archive:
        product = complex_image(archive)
        url = f"{archive.asf_url}/sentinel1-burst.asf.alaska.edu/{product.name}/IW3/VV/0.tiff"
        session = cookie(client.get(address(archive, product), headers=bearer(archive)))
        only_token, wrong = client.get(url, headers=bearer(archive)), client.get(url, headers={"Cookie": "asf-urs=x"})
        begun = client.get(url, headers=session)
        now[0] = 2.0
        made = client.get(url, headers=session)
        file = client.get(made.headers["Location"])

    assert only_token.status_code == 307
    assert "/auth.asf.alaska.edu/loginservice/in/" in only_token.headers["Location"]
    assert (wrong.status_code, begun.status_code, made.status_code) == (403, 202, 307)
    assert file.content.startswith(b"II*\0")
    assert file.headers["Content-Disposition"].endswith('.tiff"')
