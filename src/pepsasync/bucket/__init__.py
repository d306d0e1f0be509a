"""Products in a bucket of an S3-compatible store, with nothing of them on the disk; extra `s3`.

`destination` is what the engine knows of it. `upload` takes the bytes of one product in parts, `finish` checks them and
gives them their final key. `store` is the only module that knows boto3, `answers` what its errors mean.

The keys of a bucket, behind its prefix:

- `NAME.zip`, or `NAME` of a product that is one file and no zip: complete and verified.
- `.pepsasync/parts/NAME/FILE`: what is unfinished; FILE says which file it is.
- `.pepsasync/kept/...`: what others had put under a final key, and was wrong.

Why products go through a key of their own before they get their final one stands in `docs/decisions.md`.
"""
