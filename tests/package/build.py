#!/usr/bin/env python3
"""build.py SOURCE CACHE BUILT -- the Debian package, once, for the tests that install it and that make it again elsewhere."""
import shutil
import sys
from pathlib import Path

from debian import build_package, skip


def main():
    source, made = Path(sys.argv[1]).resolve(), Path(sys.argv[3])
    if not shutil.which("cpack"):
        skip("cpack is not installed")
    package = build_package(source, made / "tree")
    for old in made.glob("*.deb"):
        old.unlink()
    shutil.copy2(package, made)
    print(package.name)


main()
