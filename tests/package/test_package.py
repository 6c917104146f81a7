#!/usr/bin/env python3
"""test_package.py SOURCE CACHE [PACKAGE] -- the Debian package, as a user meets it.

Two builds in two folders give the same bytes; lintian has nothing to say; in a fresh Debian root it is installed, converts the shipped model as an
ordinary user, and is removed, and nothing is left but that user's files. Needs root (chroot); CACHE keeps
the bare root for the next time. With PACKAGE, nothing is built.
"""
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from debian import bare_debian, build_package, inside, run, sha256, skip, unpack

PROGRAMS = ("debootstrap", "lintian", "cpack", "unshare")
# What a package manager writes about itself.
OWN_STATE = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "run", "tmp", "home", "proc", "dev")

MATRIX = """version: 1
models: [{path: kjv-llama}]
targets: [{engine: gguf, quant: [Q8_0, Q4_K_M]}]
upload: {hub: local, namespace: me}
"""


def ready_root(cache, folder, depends):
    """A fresh root with what the package needs already there, and an ordinary user."""
    archive = cache / ("ready-" + hashlib.sha256(depends.encode()).hexdigest()[:16] + ".tar")
    root = folder / "root"
    if not archive.exists():
        unpack(bare_debian(cache), root)
        names = [word.split("(")[0].strip() for word in depends.split(",")]
        inside(root, "apt-get update -qq && apt-get install -y -qq --no-install-recommends git git-lfs systemd " +
               " ".join(names))
        run("useradd", "--root", root, "--create-home", "--shell", "/bin/sh", "publisher")
        run("tar", "-C", root, "-cf", f"{archive}.new", ".")
        os.rename(f"{archive}.new", archive)
        return root
    return unpack(archive, root)


def files(root):
    listed = run("find", root, "-xdev", "-printf", "%P\n").splitlines()
    return {name for name in listed if not name.startswith(OWN_STATE)}


def main():
    source, cache = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    if os.geteuid() != 0:
        skip("a root of its own (chroot) needs root")
    for program in PROGRAMS:
        if not shutil.which(program):
            skip(f"{program} is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="quern-package-") as name:
        folder = Path(name)
        if len(sys.argv) > 3:
            package = Path(sys.argv[3])
        else:
            package = build_package(source, folder / "a")
            again = build_package(source, folder / "another" / "place")
            assert sha256(package) == sha256(again), "two builds of one tree differ"
            print("ok    the same bytes twice", flush=True)

        complaints = run("lintian", "--fail-on", "error,warning", "--allow-root", package)
        assert complaints == "", complaints
        print("ok    lintian has nothing to say")

        root = ready_root(cache, folder, run("dpkg-deb", "-f", package, "Depends").strip())
        before = files(root)
        shutil.copy(package, root / "tmp/quern.deb")
        inside(root, "dpkg -i /tmp/quern.deb")
        for kind in "system", "user":
            inside(root, f"XDG_RUNTIME_DIR=/tmp systemd-analyze verify --{kind} --man=no quern@nightly.timer quern@nightly.service")
        print("ok    installed; the units are good")

        home = root / "home/publisher"
        shutil.copytree(source / "tests/data/kjv-llama", home / "kjv-llama")
        (home / "jobs.yaml").write_text(MATRIX)
        run("chown", "-R", "--reference", home, home / "kjv-llama", home / "jobs.yaml")
        told = inside(root, "cd && quern run && quern status && quern engines", "publisher")
        assert "2 done" in told, told
        cloned = inside(root, "cd && git lfs install >&2 && git clone -q file://$HOME/.quern/hub/me/kjv-llama.git clone && "
                        "cd clone && quern verify *.gguf && sha256sum *.gguf && cat quern.json", "publisher")
        [digest] = [line.split()[0] for line in cloned.splitlines() if line.endswith("  kjv-llama-Q4_K_M.gguf")]
        assert cloned.count(digest) == 2, cloned  # of the file, and in the manifest
        print("ok    an ordinary user's matrix is done")

        inside(root, "dpkg -P quern")
        left = files(root) - before
        assert not left, f"left behind: {sorted(left)[:20]}"
        print("ok    removed: nothing is left but the user's files")


if __name__ == "__main__":
    main()
