"""Object stores for tests: moto's server in threads, which forgets everything at its end."""

import contextlib
import hashlib
import logging
import os
from types import SimpleNamespace

KEYS = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret-of-the-store", "AWS_REGION": "us-east-1"}
"""Of the store, as S3 tools find them in the environment."""

BUCKET = "lab"


@contextlib.contextmanager
def moto():
    """An S3-compatible store on a free port; needs moto[server]."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - only for tests of the extra s3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield connect(f"http://{host}:{port}")
    finally:
        server.stop()


def connect(url, **keys):
    """A store as tests look at it: its address, and boto3's client."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=keys.get("AWS_ACCESS_KEY_ID", KEYS["AWS_ACCESS_KEY_ID"]),
        aws_secret_access_key=keys.get("AWS_SECRET_ACCESS_KEY", KEYS["AWS_SECRET_ACCESS_KEY"]),
        region_name="us-east-1",
        config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"),
    )
    return SimpleNamespace(url=url, s3=client)


def environment(home):
    """For programs that use a store: its keys, and nothing of whoever runs the tests."""
    ours = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    return ours | KEYS | {"HOME": str(home), "XDG_STATE_HOME": str(home / "state")}


def make_bucket(store, name):
    store.s3.create_bucket(Bucket=name)
    return name


def keys_of(store, bucket=BUCKET):
    pages = store.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sorted(found["Key"] for page in pages for found in page.get("Contents", ()))


def content_of(store, key, bucket=BUCKET):
    return store.s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def md5_of(store, key, bucket=BUCKET):
    return hashlib.md5(content_of(store, key, bucket)).hexdigest()


def uploads_of(store, bucket=BUCKET):
    """Keys of unfinished uploads."""
    return [each["Key"] for each in store.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]
