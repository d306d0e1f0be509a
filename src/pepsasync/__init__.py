"""Async, concurrent download engine for tape-backed Earth-observation archives.

Start with `Client`; `Product`, `Query` and `Delivery` are what goes in and out.
"""
