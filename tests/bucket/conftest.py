"""A store for the tests of this folder."""

import itertools
import os

import pytest

import stores
import swift_store

NUMBERS = itertools.count()

STORE = os.environ.get("TEST_STORE", "moto")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The store: moto's, or with TEST_STORE=swift OpenStack Swift."""
    pytest.importorskip("boto3", reason="the extra s3 is not installed")
    if STORE == "swift":
        if not swift_store.is_here():
            pytest.skip("OpenStack Swift is not installed")
        with swift_store.swift(tmp_path_factory.mktemp("swift")) as served:
            stores.KEYS = swift_store.KEYS
            yield served
    else:
        pytest.importorskip("moto", reason="moto[server] is not installed")
        with stores.moto() as served:
            yield served


@pytest.fixture
def bucket(server, monkeypatch, tmp_path):
    """A new bucket, whose keys are in the environment: `url`, `s3`, `name`, `address`."""
    for name, text in stores.KEYS.items():
        monkeypatch.setenv(name, text)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-keys"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    server.name = stores.make_bucket(server, f"lab-{next(NUMBERS)}")
    server.address = f"s3://{server.name}/in/here"
    return server
