"""What a recording keeps: nothing that was not listed, and no secret in any place."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.http.recording import REMOVED, Recording
from pepsasync.http.secrets import Secrets

SECRET = "s3cret-Pass/word+1"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"


def recorded(request, response, body=b""):
    secrets = Secrets()
    secrets.add(SECRET)
    recording = Recording(secrets)
    recording.take(request, response)
    recording.exchanges[-1].body += body
    return recording.as_json()[-1]


def get(url="https://archive.example/x", **headers):
    return httpx.Request("GET", url, headers=headers)


def test_accounts_cookies_and_unknown_headers_are_left_out():
    request = get(Authorization=f"Bearer {TOKEN}", Cookie="session=1", **{"X-API-Key": SECRET})
    kept = recorded(request, httpx.Response(200, headers={"Set-Cookie": "session=2", "X-Trace": SECRET, "ETag": '"1"'}))

    text = json.dumps(kept)
    assert SECRET not in text
    assert TOKEN not in text
    assert "session" not in text
    assert ["etag", '"1"'] in kept["headers"]


@pytest.mark.parametrize("name", ["token", "X-Amz-Signature", "apikey", "_tk", "sig", "access_token", "Key-Pair-Id"])
def test_parameters_named_like_secrets_lose_their_value(name):
    kept = recorded(get(f"https://archive.example/x?{name}=abcdef&page=2"), httpx.Response(200))

    assert kept["request"]["path"] == f"/x?{name}={REMOVED}&page=2"


def test_what_nobody_here_knows_loses_its_value():
    kept = recorded(get("https://archive.example/x?ticket=ST-1&jwt=a&pwd=b&page=2"), httpx.Response(200))

    assert kept["request"]["path"] == f"/x?ticket={REMOVED}&jwt={REMOVED}&pwd={REMOVED}&page=2"


@pytest.mark.parametrize("value", [{"value": "SEKRET"}, ["SEKRET"], 123456, True])
def test_whatever_is_named_like_a_secret_is_taken_out_whole(value):
    kept = json.loads(recorded(get(), httpx.Response(200), json.dumps({"passcode": value}).encode())["body"])

    assert kept == {"passcode": REMOVED}


@pytest.mark.parametrize("begun", [b'{"passcode": "SEKRET", "more', b'["SEKRET"', b"  <form value=SEKRET"])
def test_what_was_cut_is_not_kept(begun):
    assert "SEKRET" not in recorded(get(), httpx.Response(200), begun)["body"]


def test_an_address_that_a_server_made_loses_all_values():
    recording = Recording(Secrets())
    there = "https://store.example/file?who=ana&until=1"
    recording.take(get(), httpx.Response(302, headers={"Location": there}))
    recording.take(get(there), httpx.Response(200))

    first, second = recording.as_json()
    assert ["Location", f"https://store.example/file?who={REMOVED}&until={REMOVED}"] in first["headers"]
    assert second["request"]["path"] == f"/file?who={REMOVED}&until={REMOVED}"


def test_answers_to_a_login_keep_their_shape_only():
    request = httpx.Request("POST", "https://archive.example/token", data={"password": SECRET})
    body = json.dumps({"access_token": TOKEN, "expires_in": 600, "scope": "whatever"}).encode()

    kept = recorded(request, httpx.Response(200), body)

    assert json.loads(kept["body"]) == {"access_token": REMOVED, "expires_in": 600, "scope": REMOVED}
    assert kept["request"]["body"] is None


@pytest.mark.parametrize(
    "sent", [{"data": {"grant_type": "refresh", "refresh_token": "x"}}, {"json": {"password": "x"}}]
)
def test_a_login_is_known_by_what_it_sends(sent):
    request = httpx.Request("POST", "https://archive.example/anything", **sent)

    assert json.loads(recorded(request, httpx.Response(200), b'{"any": "thing"}')["body"]) == {"any": REMOVED}


@pytest.mark.parametrize(
    "sent",
    [{"data": {"page_size": "10", "sort_key[]": "-start_date"}}, {"json": {"query": {"a": 1}}}, {"json": [1]}, {}],
)
def test_a_search_is_no_login(sent):
    request = httpx.Request("POST", "https://archive.example/search", **sent)

    assert json.loads(recorded(request, httpx.Response(200), b'{"any": "thing"}')["body"]) == {"any": "thing"}


def test_people_mails_tokens_and_signed_addresses_are_taken_out_of_bodies():
    reply = {
        "user": "ana",
        "owner": {"email": "ana@example.org", "text": f"mail ana@example.org, token {TOKEN}"},
        "href": "https://archive.example/x?sig=abc",
        "name": "S1A_IW_GRDH",
        "quota": 12,
    }

    kept = json.loads(recorded(get(), httpx.Response(200), json.dumps(reply).encode())["body"])

    assert kept == {
        "user": REMOVED,
        "owner": {"email": REMOVED, "text": f"mail {REMOVED}, token {REMOVED}"},
        "href": f"https://archive.example/x?{REMOVED}",
        "name": "S1A_IW_GRDH",
        "quota": 12,
    }


def test_pages_and_bytes_that_are_no_text_are_only_told():
    assert recorded(get(), httpx.Response(200), b"<form value=abc>")["body"].startswith(REMOVED)
    assert recorded(get(), httpx.Response(200), b"\xff\xfe\x00")["body"].startswith(REMOVED)


def test_the_beginning_of_a_zip_is_kept():
    assert "body_base64" in recorded(get(), httpx.Response(206), b"PK\x03\x04" + bytes(2000))


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_reply_shows_the_secret(value):
    body = json.dumps({"said": [value, f"you sent {SECRET}"]}).encode()

    assert SECRET not in json.dumps(recorded(get(), httpx.Response(200), body))
