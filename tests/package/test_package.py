#!/usr/bin/env python3
"""test_package.py SOURCE CACHE [PACKAGE] -- the Debian package, as a user meets it.

Two builds in two folders give the same bytes; lintian has nothing to say; in a fresh Debian root it is
installed, converts the shipped model as an ordinary user, and is removed, and nothing is left but that
user's files. Needs root (chroot); CACHE keeps the bare root for the next time. With PACKAGE, nothing is built.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIP = 77
PROGRAMS = ("debootstrap", "lintian", "cpack", "unshare")
# What a package manager writes about itself.
OWN_STATE = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "run", "tmp", "home", "proc", "dev")

MATRIX = """version: 1
models: [{path: kjv-llama}]
targets: [{engine: gguf, quant: [Q8_0, Q4_K_M]}]
upload: {hub: local, namespace: me}
"""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          **options)
    if done.returncode != 0:
        sys.exit(f"FAIL: {' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(SKIP)


def build_package(source, folder):
    """A copy of the tracked files in `folder`, built and packed; the path of the package."""
    for name in run("git", "-C", source, "ls-files").splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, folder / name, follow_symlinks=False)
    epoch = run("git", "-C", source, "log", "-1", "--format=%ct").strip()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    run("cmake", "--preset", "release", cwd=folder, env=environment)
    run("cmake", "--build", "--preset", "release", "--", "--quiet", cwd=folder, env=environment)
    run("cpack", cwd=folder / "build/release", env=environment)
    [package] = (folder / "build/release").glob("quern_*.deb")
    return package


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def mirror():
    """The first Debian archive that apt knows."""
    for line in run("apt-get", "indextargets", "--format", "$(CREATED_BY) $(SITE) $(CODENAME)").splitlines():
        kind, site, codename = line.split(" ", 2)
        if kind == "Packages" and codename == "bookworm":
            return site
    skip("apt knows no archive of Debian bookworm")


def debian_root(cache, folder, depends):
    """A fresh root with what the package needs already there."""
    archive = cache / ("debian-" + hashlib.sha256(depends.encode()).hexdigest()[:16] + ".tar")
    if not archive.exists():
        made = folder / "bare"
        done = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", made, mirror()], capture_output=True,
                              text=True)
        if done.returncode != 0:
            skip("debootstrap cannot make a root: " + done.stdout.strip().splitlines()[-1])
        shutil.copytree("/etc/ssl/certs", made / "etc/ssl/certs", dirs_exist_ok=True)
        names = [word.split("(")[0].strip() for word in depends.split(",")]
        inside(made, "apt-get update -qq && apt-get install -y -qq --no-install-recommends git git-lfs systemd " +
               " ".join(names))
        run("useradd", "--root", made, "--create-home", "--shell", "/bin/sh", "publisher")
        run("tar", "-C", made, "-cf", f"{archive}.new", ".")
        os.rename(f"{archive}.new", archive)
    root = folder / "root"
    root.mkdir()
    run("tar", "-C", root, "-xf", archive)
    return root


def inside(root, script, user="root"):
    """Run a shell script in the root, with /proc and /dev of its own mount namespace."""
    mounts = f"mount --rbind /proc {root}/proc && mount --rbind /dev {root}/dev && "
    switch = "" if user == "root" else f"runuser -u {user} -- "
    return run("unshare", "--mount", "sh", "-ec", mounts + f'exec chroot {root} {switch}/bin/sh -ec "$1"', "sh",
               script, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": f"/home/{user}", "LANG": "C.UTF-8"})


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
            first = Path(sys.argv[3])
        else:
            first = build_package(source, folder / "a")
            second = build_package(source, folder / "another" / "place")
            assert sha256(first) == sha256(second), "two builds of one tree differ"
            print("ok    the same bytes twice", flush=True)

        complaints = run("lintian", "--fail-on", "error,warning", "--allow-root", first)
        assert complaints == "", complaints
        print("ok    lintian has nothing to say")

        root = debian_root(cache, folder, run("dpkg-deb", "-f", first, "Depends").strip())
        before = files(root)
        shutil.copy(first, root / "tmp/quern.deb")
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
