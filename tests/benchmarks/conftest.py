import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # scripts, not a package

collect_ignore = ["test_measure.py"] if os.name == "nt" else []  # they need wait4 and a POSIX shell
