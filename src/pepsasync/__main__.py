"""`python -m pepsasync` is the command `pepsasync`."""

import sys

from pepsasync.cli import main

if __name__ == "__main__":
    sys.exit(main())
