"""What the benchmarks share: the build under test, and a folder that is removed at the end.

Imported by programs whose first argument is the build folder. QUERN_BENCH_DIR: the file system to measure on, the
current folder otherwise.
"""
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

if len(sys.argv) < 2:
    sys.exit(sys.modules["__main__"].__doc__)
BUILD = Path(sys.argv[1]).resolve()
QUERN = BUILD / "bin" / "quern"
os.environ.update(QUERN=str(QUERN), QUERN_BUILD=str(BUILD))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import environment, make_model  # noqa: E402, F401


def number(place, default):
    """An argument that is a count."""
    return int(sys.argv[place]) if len(sys.argv) > place else default


@contextlib.contextmanager
def folder():
    base = Path(tempfile.mkdtemp(prefix="quern-bench-", dir=os.environ.get("QUERN_BENCH_DIR", ".")))
    try:
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


def peak_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def median_ms(seconds):
    return statistics.median(seconds) * 1000
