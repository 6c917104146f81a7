#!/usr/bin/env python3
"""test_package.py SOURCE CACHE BUILT -- the Debian package of build.py, as a user meets it.

lintian has nothing to say; in a fresh Debian root it is installed, its units are good, an ordinary user answers the
questions of `quern init`, runs, reads the card, and it is removed: nothing is left but that user's files. Needs root
(chroot); CACHE keeps the bare root for the next time.
"""
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from debian import bare_debian, inside, inside_command, packed, run, skip, unpack
from dialog import INIT, talk

PROGRAMS = ("debootstrap", "lintian", "unshare")
# What a package manager writes about itself.
OWN_STATE = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "run", "tmp", "home", "proc", "dev")

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
        package = packed(sys.argv[3])
        complaints = run("lintian", "--fail-on", "error,warning", "--allow-root", package)
        assert complaints == "", complaints
        print("ok    lintian has nothing to say")

        root = ready_root(cache, folder, run("dpkg-deb", "-f", package, "Depends").strip())
        before = files(root)
        shutil.copy(package, root / "tmp/quern.deb")
        inside(root, "dpkg -i /tmp/quern.deb")
        for kind in "system", "user":
            inside(root, f"XDG_RUNTIME_DIR=/tmp systemd-analyze verify --{kind} --man=no quern@nightly.timer quern@nightly.service")
        for page in "quern.1", "quern-board.1":
            assert (root / f"usr/share/man/man1/{page}.gz").is_file(), page
        print("ok    installed; the units are good")

        home = root / "home/publisher"
        shutil.copytree(source / "tests/data/kjv-llama", home / "kjv-llama")
        run("chown", "-R", "--reference", home, home / "kjv-llama")
        command, environment = inside_command(root, "cd && exec quern init", "publisher")
        told = talk(command, INIT, env=environment)
        assert "2 converted" in told, told
        told = inside(root, "cd && quern run && quern status && quern report && quern engines", "publisher")
        assert "nothing to do" in told and "2 done" in told, told
        print("ok    an ordinary user answers the questions, and it is done")
        [repo] = (home / ".quern/hub/me").glob("*.git")
        cloned = inside(root, f"cd && git lfs install >&2 && git clone -q file://$HOME/.quern/hub/me/{repo.name} clone && "
                        "cd clone && quern verify *.gguf && sha256sum *.gguf && cat quern.json README.md", "publisher")
        [digest] = [line.split()[0] for line in cloned.splitlines() if line.endswith("Q4_K_M.gguf") and len(line.split()[0]) == 64]
        assert cloned.count(digest) >= 2, cloned  # of the file, and in the manifest
        assert f"2.8 MiB | `{digest}` |" in cloned, cloned  # and in the card's table, with its measured error
        print("ok    what it published is whole, and its card says what is in it")

        inside(root, "dpkg -P quern")
        left = files(root) - before
        assert not left, f"left behind: {sorted(left)[:20]}"
        print("ok    removed: nothing is left but the user's files")


if __name__ == "__main__":
    main()
