#!/usr/bin/env python3
"""make_env.py [--version 1.2.3] [--release] [--mode declare|hide|swallow] [--packages FOLDER] DIR -- a virtual
environment with the stand-in of RKLLM-Toolkit (README.md here). DIR is replaced.

--release     the distribution's version has no "+standin"
--mode        how the signatures of the calls show themselves to inspect
--packages    a site-packages folder that is seen as well, for a test with real transformers
"""
import argparse
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSIONS = ("1.1.0", "1.1.4", "1.2.0", "1.2.1", "1.2.3", "1.3.0")


def make(folder, version="1.2.3", release=False, mode="declare", packages=None, python=sys.executable):
    """Returns the environment's site-packages."""
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python3*/site-packages"))
    shown = version if release else version + "+standin"
    shutil.copytree(HERE / "rkllm", site / "rkllm", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "rkllm/version.txt").write_text(shown + "\n")
    (site / "rkllm/mode.txt").write_text(mode + "\n")
    (site / "standin.json").write_text("[]\n")
    info = site / f"rkllm_toolkit-{shown}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rkllm-toolkit\nVersion: {shown}\n"
                                   "Summary: a stand-in for tests; not the vendor's toolkit\n")
    files = sorted(p.relative_to(site) for d in ("rkllm", info.name) for p in (site / d).rglob("*") if p.is_file())
    (info / "RECORD").write_text("".join(f"{f},,\n" for f in [*files, "standin.json", f"{info.name}/RECORD"]))
    if packages:
        (site / "more.pth").write_text(f"{packages}\n")
    return site


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--version", default="1.2.3", choices=VERSIONS)
    ap.add_argument("--release", action="store_true")
    ap.add_argument("--mode", default="declare", choices=("declare", "hide", "swallow"))
    ap.add_argument("--packages")
    ap.add_argument("dir")
    o = ap.parse_args()
    print(make(o.dir, o.version, o.release, o.mode, o.packages))


if __name__ == "__main__":
    main()
