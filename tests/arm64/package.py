#!/usr/bin/env python3
"""The Debian package for arm64, built here: lintian has nothing to say, and in a root of that processor it does a matrix, with
the bytes that this machine makes.

    package.py BIN ARM64_ROOT

BIN: this machine's programs; ARM64_ROOT: of setup.sh. The emulator is told to the kernel for a user namespace of this test
alone, which takes Linux 6.7; without, only the programs are started one by one. With QUERN_REPRODUCE=1 a second build in
another folder has to give the same package.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/package"))
from debian import build_package, run, sha256  # noqa: E402

BIN, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
EMULATOR = "/usr/bin/qemu-aarch64-static"
CROSS = Path("/usr/aarch64-linux-gnu/lib")  # the C library
# Magic and mask of ELF for AArch64. Source: qemu, scripts/qemu-binfmt-conf.sh.
REGISTER = (rf":quern-aarch64:M::\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00:" + r"\xff" * 7 + r"\x00" + r"\xff" * 8
            + rf"\xfe\xff\xff\xff:{EMULATOR}:F")
ENTER = """\
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf '%s' "$1" >/proc/sys/fs/binfmt_misc/register
mount --rbind /proc "$2/proc"
mount --rbind /dev "$2/dev"
shift 1
exec chroot "$@"
"""
MATRIX = """version: 1
models: [{path: kjv-llama}]
targets: [{engine: gguf, quant: [Q8_0, Q4_K_M]}]
upload: {hub: local, namespace: me}
"""


def arm64_root(folder, package):
    for name in "proc", "dev", "tmp", "etc", "root", "usr/lib":
        (folder / name).mkdir(parents=True)
    shutil.copytree(CROSS, folder / "lib", symlinks=True)
    for libraries in "lib", "usr/lib":
        shutil.copytree(ROOT / libraries / "aarch64-linux-gnu", folder / libraries / "aarch64-linux-gnu", symlinks=True,
                        ignore=shutil.ignore_patterns("*.a", "pkgconfig", "cmake", "engines-3", "ossl-modules"))
    run("dpkg-deb", "-x", package, folder)
    return folder


def inside(root, *words):
    return subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", ENTER, "sh", REGISTER, root, *words],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                               "LD_LIBRARY_PATH": "/usr/lib/aarch64-linux-gnu:/lib/aarch64-linux-gnu"})


def digests(folder):
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.gguf")}
    assert len(found) == 2, found
    return found


def matrix(folder):
    shutil.copytree(SOURCE / "tests/data/kjv-llama", folder / "kjv-llama")
    (folder / "jobs.yaml").write_text(MATRIX)


def run_inside(root, folder):
    matrix(root / "root")
    done = inside(root, "/usr/bin/quern", "run", "-f", "/root/jobs.yaml")
    assert done.returncode == 0 and "2 converted" in done.stdout + done.stderr, done
    done = inside(root, "/usr/bin/quern", "status", "-f", "/root/jobs.yaml")
    assert "2 done" in done.stdout, done
    (folder / "here").mkdir()
    matrix(folder / "here")
    run(BIN / "quern", "run", cwd=folder / "here")
    there, here = digests(root / "root/.quern/artifacts"), digests(folder / "here/.quern/artifacts")
    assert there == here, f"other files than this machine's: {there} {here}"
    print("ok    a matrix is done on arm64, with the bytes of this machine")


def start_each(root):
    for program in [root / "usr/bin/quern", *(root / "usr/libexec/quern").glob("quern-*")]:
        if program.read_bytes()[:4] != b"\x7fELF":
            continue
        done = subprocess.run([EMULATOR, "-L", root, program, "--help"], capture_output=True, text=True)
        assert "cannot open shared object" not in done.stderr and done.returncode >= 0, done
    print("ok    each program starts; this kernel lets no namespace have an emulator of its own")


def main():
    with tempfile.TemporaryDirectory(prefix="quern-arm64-") as name:
        folder = Path(name)
        settings = (f"-DQUERN_ARM64_ROOT={ROOT}",)
        package = build_package(SOURCE, SOURCE / "build/arm64-tree", "arm64-release", settings)
        if os.environ.get("QUERN_REPRODUCE"):
            os.environ["CCACHE_DISABLE"] = "1"
            again = build_package(SOURCE, folder / "another/place", "arm64-release", settings)
            assert sha256(package) == sha256(again), "two builds of one tree differ"
            print("ok    the same bytes twice", flush=True)
        fields = {key: run("dpkg-deb", "-f", package, key).strip() for key in ("Architecture", "Depends")}
        assert fields["Architecture"] == "arm64", fields
        for library in "libc6", "libcurl4", "libgit2-1.5", "libonig5", "libsqlite3-0", "libssl3", "libuv1", "libyaml-0-2":
            assert any(word.split()[0] == library for word in fields["Depends"].split(", ")), fields
        complaints = run("lintian", "--fail-on", "error,warning", "--allow-root", package)
        assert complaints == "", complaints
        print("ok    lintian has nothing to say of the package for arm64", flush=True)
        root = arm64_root(folder / "root", package)
        if inside(root, "/usr/libexec/quern/quern-launch", "--features").returncode == 0:
            run_inside(root, folder)
        else:
            start_each(root)


main()
