"""OpenID of the CDSE sandbox: grants, lifetimes on the archive's clock, limits, discovery."""

import base64
import hashlib
import json

import pytest
from cdse_client import TOKEN, bearer, get, grant, head, post, refresh, value_url
from raw_http import running

SMALL = {"products": 2, "product_size": 40_000, "vary": False, "tape_fraction": 0}


def opens(archive, access):
    url = value_url(archive, archive.catalogue[0]).replace("/odata", "/zipper/odata")
    return head(url, headers={"Authorization": f"Bearer {access}"}).status_code == 200


def test_password_grant(archive):
    before = archive.statistics.tokens
    reply = grant(archive)
    granted = reply.json()
    assert reply.status_code == 200
    assert (granted["expires_in"], granted["refresh_expires_in"]) == (600, 3600)
    assert granted["token_type"] == "Bearer"
    assert opens(archive, granted["access_token"])
    assert archive.statistics.tokens == before + 1


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"password": "wrong"}, 401, "invalid_grant"),
        ({"username": "nobody"}, 401, "invalid_grant"),
        ({"username": "", "password": ""}, 401, "invalid_grant"),
        ({"client_id": "another"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, 401, "unauthorized_client"),
        ({"grant_type": "client_credentials", "client_id": "another"}, 401, "invalid_client"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token"}, 400, "invalid_grant"),
    ],
)
def test_refused_grants(archive, form, status, error):
    reply = grant(archive, **form)
    assert (reply.status_code, reply.json()["error"]) == (status, error)


def test_wrong_password_is_refused_in_keycloaks_words(archive):
    expected = {"error": "invalid_grant", "error_description": "Invalid user credentials"}
    assert grant(archive, password="wrong").json() == expected


def test_a_body_that_is_no_form(archive):
    reply = post(f"{archive.cdse_url}{TOKEN}", content=b"\xff\x00=%ff")
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


def test_second_factor():
    with running(totp="123456", **SMALL) as archive:
        assert grant(archive).status_code == 401
        assert grant(archive, totp="000000").status_code == 401
        assert grant(archive, totp="123456").status_code == 200
        assert archive.statistics.tokens == 1


def test_tokens_end_on_the_archives_clock():
    now = [0.0]
    with running(clock=lambda: now[0], **SMALL) as archive:
        first = grant(archive).json()
        now[0] = 599.0
        assert opens(archive, first["access_token"])
        now[0] = 600.0
        assert not opens(archive, first["access_token"])
        second = refresh(archive, first["refresh_token"]).json()
        assert second["session_state"] == first["session_state"]
        assert opens(archive, second["access_token"])
        now[0] = 600.0 + 3599.0
        assert refresh(archive, second["refresh_token"]).status_code == 200
        now[0] += 3600.0
        late = refresh(archive, second["refresh_token"])
        assert (late.status_code, late.json()["error_description"]) == (400, "Token is not active")
        assert (archive.statistics.tokens, archive.statistics.refreshes) == (1, 2)


def test_clients_are_told_real_seconds():
    now = [0.0]
    options = {"token_seconds": 30.0, "refresh_seconds": 90.0, "time_scale": 60.0}
    with running(clock=lambda: now[0], **options, **SMALL) as archive:
        granted = grant(archive).json()
        assert (granted["expires_in"], granted["refresh_expires_in"]) == (0.5, 1.5)
        now[0] = 0.5
        assert not opens(archive, granted["access_token"])


def test_open_sessions_are_limited():
    now = [0.0]
    with running(clock=lambda: now[0], accounts={"one": "x", "two": "x"}, **SMALL) as archive:
        first = grant(archive).json()
        assert [grant(archive).status_code for _ in range(100)] == [200] * 99 + [403]
        assert refresh(archive, first["refresh_token"]).status_code == 200
        assert grant(archive, username="two").status_code == 200
        logout = f"{archive.cdse_url}{TOKEN.replace('/token', '/logout')}"
        assert post(logout, data={"refresh_token": first["refresh_token"]}).status_code == 204
        assert not opens(archive, first["access_token"])
        assert grant(archive).status_code == 200
        assert grant(archive).status_code == 403
        now[0] = 3601.0
        assert grant(archive).status_code == 200


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic eDp5", "", "Bearer a.b.c"])
def test_wrong_tokens(archive, header):
    url = value_url(archive, archive.catalogue[0]).replace("/odata", "/zipper/odata")
    assert get(url, headers={"Authorization": header}).status_code == 401


def test_tokens_of_another_protocol_do_not_count(archive):
    token = get(f"{archive.peps_url}/api/users/connect", auth=(archive.username, archive.password)).json()["token"]
    assert not opens(archive, token)


def unpacked(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_tokens_are_signed_with_the_published_key(archive):
    discovered = get(f"{archive.cdse_url}/auth/realms/CDSE/.well-known/openid-configuration").json()
    assert discovered["token_endpoint"] == f"{archive.cdse_url}{TOKEN}"
    (key,) = get(discovered["jwks_uri"]).json()["keys"]
    header, claims, signature = bearer(archive)["Authorization"].removeprefix("Bearer ").split(".")
    modulus, exponent = (int.from_bytes(unpacked(key[name]), "big") for name in ("n", "e"))
    opened = pow(int.from_bytes(unpacked(signature), "big"), exponent, modulus).to_bytes(256, "big")
    assert opened.endswith(
        b"\x00"
        + bytes.fromhex("3031300d060960864801650304020105000420")
        + hashlib.sha256(f"{header}.{claims}".encode()).digest()
    )
    assert json.loads(unpacked(header))["kid"] == key["kid"]
    assert json.loads(unpacked(claims))["iss"] == discovered["issuer"]


def test_discovery_has_the_addresses_of_the_recorded_one(archive, recordings):
    recorded = json.loads((recordings / "cdse" / "cdsetool_openid-configuration.json").read_text())
    discovered = get(f"{archive.cdse_url}/auth/realms/CDSE/.well-known/openid-configuration").json()
    for name, value in discovered.items():
        assert type(recorded[name]) is type(value)
        if isinstance(value, str):
            assert value.removeprefix(discovered["issuer"]) == recorded[name].removeprefix(recorded["issuer"])


def test_identity_breaks_down_too():
    with running(faults={"error-500": 1.0}, **SMALL) as archive:
        assert [grant(archive).status_code for _ in range(3)] == [500, 500, 200]
