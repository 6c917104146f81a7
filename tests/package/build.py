#!/usr/bin/env python3
"""build.py SOURCE CACHE -- the Debian package, once, for the tests that install it and that make it again elsewhere."""
import shutil
import sys
from pathlib import Path

from debian import build_package, skip


def main():
    source, cache = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    if not shutil.which("cpack"):
        skip("cpack is not installed")
    package = build_package(source, cache / "tree")
    shutil.rmtree(cache / "built", ignore_errors=True)
    (cache / "built").mkdir()
    shutil.copy2(package, cache / "built")
    print(package.name)


main()
