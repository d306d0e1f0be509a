"""Orders that keep a folder up to date: what an archive has published, replaced and withdrawn since the last time.

`changes` decides, `memory` is what an order remembers from one time to the next, `run` does it.
"""
