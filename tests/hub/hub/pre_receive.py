"""pre-receive hook: what the Hub refuses from git clients. Arguments: the folder of LFS objects."""
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from hub.cards import front_matter_error  # noqa: E402

PLAIN_MAX = 10 << 20
POINTER = re.compile(rb"\Aversion https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]+)\n\Z")


def git(*args):
    return subprocess.run(["git", *args], stdout=subprocess.PIPE, check=True).stdout


def new_blobs(new):
    """(path, oid, size) of what this push brings."""
    listed = git("rev-list", "--objects", new, "--not", "--all").decode(errors="replace").splitlines()
    rows = [line.split(" ", 1) for line in listed if " " in line]
    if not rows:
        return
    names = "".join(oid + "\n" for oid, _ in rows).encode()
    out = subprocess.run(["git", "cat-file", "--batch-check=%(objecttype) %(objectsize)"], input=names,
                         stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    for (oid, path), line in zip(rows, out):
        kind, size = line.split()
        if kind == "blob":
            yield path, oid, int(size)


def refuse(*lines):
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(1)


def check(ref, new, objects):
    large = []
    for path, oid, size in new_blobs(new):
        if size > PLAIN_MAX:
            large.append(f"  - {path} (ref: {ref})")
        elif size < 1024:
            m = POINTER.match(git("cat-file", "blob", oid))
            if m and not (objects / m[1][:2].decode() / m[1][2:4].decode() / m[1].decode()).exists():
                refuse(f"LFS object {m[1].decode()} of {path} was not uploaded: (missing) {path}")
        if path == "README.md":
            error = front_matter_error(git("cat-file", "blob", oid))
            if error:
                refuse("your push was rejected during YAML metadata verification:", f" - Error: {error}")
    if large:
        refuse("Your push was rejected because it contains files larger than 10 MiB.", "Offending files:", *large)


def main():
    objects = Path(sys.argv[1])
    for line in sys.stdin:
        _, new, ref = line.split()
        if set(new) != {"0"}:
            check(ref, new, objects)


main()
