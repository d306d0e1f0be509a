"""Who may have signed a trace."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from pepsasync.providers.cdse.signatures import check, read_authorities

MESSAGE = '{"name":"S1A_IW_X.SAFE.zip"}'
KINDS = {
    "rsa": lambda: (rsa.generate_private_key(65537, 2048), (padding.PKCS1v15(), hashes.SHA256())),
    "ec": lambda: (ec.generate_private_key(ec.SECP256R1()), (ec.ECDSA(hashes.SHA256()),)),
    "ed25519": lambda: (ed25519.Ed25519PrivateKey.generate(), ()),
}
AUTHORITY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def certificate(name, key, *, issuer, by, is_ca=False):
    words = {"critical": True, "value": x509.BasicConstraints(is_ca, None)}
    return x509.CertificateBuilder(
        issuer_name=x509.Name.from_rfc4514_string(issuer),
        subject_name=x509.Name.from_rfc4514_string(name),
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=datetime(2020, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2090, 1, 1, tzinfo=UTC),
        extensions=[x509.Extension(x509.BasicConstraints.oid, **words)],
    ).sign(by, hashes.SHA256())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("issuer", "by", "is_ca", "is_trusted"),
    [
        pytest.param("CN=CA", AUTHORITY, True, True, id="issued-by-it"),
        pytest.param("CN=CA", AUTHORITY, False, False, id="it-may-issue-none"),
        pytest.param("CN=Other", AUTHORITY, True, False, id="another-name"),
        pytest.param("CN=CA", OTHER, True, False, id="another-key"),
    ],
)
def test_the_certificate_of_a_signer_is_issued_by_an_authority_of_the_user(
    kind, issuer, by, is_ca, is_trusted, tmp_path
):
    key, words = KINDS[kind]()
    own = certificate("CN=archive", key, issuer=issuer, by=by)
    listed = [
        certificate("CN=Unrelated", OTHER, issuer="CN=Unrelated", by=OTHER, is_ca=True),
        certificate("CN=CA", AUTHORITY, issuer="CN=CA", by=AUTHORITY, is_ca=is_ca),
    ]
    file = tmp_path / "ca.pem"
    file.write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in listed))
    signature = {
        "signature": base64.b64encode(key.sign(MESSAGE.encode(), *words)).decode(),
        "certificate": base64.b64encode(own.public_bytes(serialization.Encoding.DER)).decode(),
    }
    untrusted = "none of your authorities has issued the certificate of its signer CN=archive"

    assert ("CN=archive", "") == check(signature, MESSAGE, None)
    assert ("CN=archive", "") == check(signature, MESSAGE, [own])
    assert ("CN=archive", "" if is_trusted else untrusted) == check(signature, MESSAGE, read_authorities(file))
    assert ("CN=archive", "its signature is wrong") == check(signature, f"{MESSAGE} ", [own])
