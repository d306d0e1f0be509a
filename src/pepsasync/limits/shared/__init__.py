"""Limits of an account that several programs keep together, in a ledger on a shared file system.

`state` is the arithmetic, `files` the ledger on the disk, `member` one program's part.
"""
