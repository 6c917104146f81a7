"""Bulk download against the official Python client and plain curl, from one test Hub in one run.

    build/peer/hub/venv/bin/python tests/bench/hub/download.py [--small N] [--large BYTES] [--each BYTES] [--rounds N]

1,000 small files and 2 GiB of large ones, all of them LFS objects on the "CDN": `quern fetch-repo`, snapshot_download()
with HF_HUB_DISABLE_XET=1, and curl with eight connections and a list of the addresses. quern hashes and syncs every file; the
client and curl do neither, so curl is there once more with a sync at its end. The sides take turns, each into an empty folder; medians. Again: what it takes to find
that nothing is to do. Figures are printed, never judged; that all sides have the right bytes is.
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "hub"), str(Path(__file__).resolve().parent)]
from hub_files import call  # noqa: E402
from matrix import QUERN, environment  # noqa: E402
from sides import Side, measured, table  # noqa: E402
from testhub import TestHub  # noqa: E402

REPO = "my-org/model"
CONNECTIONS = 8
CONFIG = '{"architectures": ["X"], "model_type": "x"}'
CLIENT = "import sys; from huggingface_hub import snapshot_download; snapshot_download(sys.argv[1])"


def write_shard(path, size, seed):
    """A safetensors file of about that size; returns its SHA-256 and real size."""
    header = json.dumps({f"t{seed}": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    block, digest = random.Random(seed).randbytes(1 << 20), hashlib.sha256()
    with open(path, "wb") as f:
        pieces = [len(header).to_bytes(8, "little") + header]
        pieces += [seed.to_bytes(8, "little") + block[8:]] * (size >> 20)
        pieces += [block[:size & ((1 << 20) - 1)]]
        for piece in pieces:
            f.write(piece)
            digest.update(piece)
        return digest.hexdigest(), f.tell()


def fill(hub, o):
    """The objects are put where the hub keeps them, and committed: only the download is measured. {name: (sha256, size)}"""
    sizes = [o.each] * (o.large // o.each) + [2000 + i for i in range(o.small)]
    files, lines = {}, [{"key": "header", "value": {"summary": "files", "description": ""}},
                        {"key": "file", "value": {"path": "config.json", "content": CONFIG, "encoding": "utf-8"}}]
    for i, size in enumerate(sizes):
        oid, real = write_shard(hub.root / "new", size, i)
        folder = hub.root / "lfs" / oid[:2] / oid[2:4]
        folder.mkdir(parents=True, exist_ok=True)
        os.rename(hub.root / "new", folder / oid)
        name = f"model-{i:05d}.safetensors"
        files[name] = (oid, real)
        lines.append({"key": "lfsFile", "value": {"path": name, "algo": "sha256", "oid": oid, "size": real}})
    hub.repo(REPO)
    call("POST", f"{hub.endpoint}/api/models/{REPO}/commit/main", "\n".join(map(json.dumps, lines)).encode(), hub.token,
         "application/x-ndjson")
    return files


def hashed(hub, files):
    """Seconds to hash all of it once, in one thread: no client that compares can be faster."""
    begin = time.monotonic()
    for oid, _ in files.values():
        with open(hub.root / "lfs" / oid[:2] / oid[2:4] / oid, "rb") as f:
            hashlib.file_digest(f, "sha256")
    return time.monotonic() - begin


# ---- the sides: (command, environment, folder of the result)

def quern(hub, root, files):
    env = environment(HF_ENDPOINT=hub.endpoint, HF_HOME=root)
    return [QUERN, "fetch-repo", "--repo", REPO], env, root / "hub"


def client(hub, root, files):
    return [sys.executable, "-c", CLIENT, REPO], hub.environment(root), root / "hf" / "hub"


def curl(hub, root, files):
    wanted = root / "list"
    root.mkdir(exist_ok=True)
    wanted.write_text("".join(f'url = "{hub.endpoint}/{REPO}/resolve/main/{n}"\noutput = "{root}/files/{n}"\n' for n in files))
    (root / "files").mkdir(exist_ok=True)
    command = ["/usr/bin/curl", "-s", "-S", "--no-progress-meter", "-f", "-L", "-Z", "--parallel-max", CONNECTIONS, "-K", wanted]
    return command, {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, root / "files"


def curl_synced(hub, root, files):
    """The same, and everything on the disk: what a crash then leaves is complete."""
    command, env, folder = curl(hub, root, files)
    return ["/bin/sh", "-c", '"$@" && exec sync -f "$0"', folder, *command], env, folder


def check(folder, files):
    """Every file is there once, with its size; the first and the last of each size in full."""
    there = {p.name: p for p in folder.rglob("model-*.safetensors")}
    assert set(there) == set(files), f"{folder}: {len(there)} of {len(files)} files"
    for name, (oid, size) in files.items():
        assert there[name].stat().st_size == size, name
    for name in (min(files), max(files)):
        with open(there[name], "rb") as f:
            assert hashlib.file_digest(f, "sha256").hexdigest() == files[name][0], name


def run(make, hub, base, files, again):
    root = Path(tempfile.mkdtemp(dir=base))
    command, env, folder = make(hub, root, files)
    hub.forget()
    first = measured(command, env)
    requests = len(hub.log()["requests"])
    check(folder, files)
    later = measured(command, env) if again else None
    for path in folder.rglob("*"):  # the room only: ext4 searches long for an inode after many were removed
        if path.is_file() and not path.is_symlink():
            os.truncate(path, 0)
    return first, later, requests


def median(sides):
    return Side(*(statistics.median(getattr(s, k) for s in sides) for k in ("seconds", "processor", "mib", "private")))


def main():
    p = argparse.ArgumentParser()
    tiny = "QUERN_BENCH_TINY" in os.environ  # does it still run?
    p.add_argument("--small", type=int, default=20 if tiny else 1000)
    p.add_argument("--large", type=int, default=36 << 20 if tiny else 2 << 30)
    p.add_argument("--each", type=int, default=18 << 20 if tiny else 256 << 20)
    p.add_argument("--rounds", type=int, default=1 if tiny else 3)
    o = p.parse_args()
    base = Path(tempfile.mkdtemp(prefix="quern-bench-", dir=os.environ.get("QUERN_BENCH_DIR")))
    try:
        with TestHub() as hub:
            files = fill(hub, o)
            print(f"{o.small} small files, {o.large >> 20} MiB in files of {o.each >> 20} MiB, {o.rounds} rounds; SHA-256 of "
                  f"all in one thread: {hashed(hub, files):.2f} s", flush=True)
            sides = {"huggingface_hub": client, "quern": quern, "curl": curl, "curl, synced": curl_synced}
            got = {name: [] for name in sides}
            for _ in range(o.rounds):
                for name, make in sides.items():
                    got[name].append(run(make, hub, base, files, make in (client, quern)))
            rows = {n: (median([g[0] for g in v]), median([g[1] for g in v]) if v[0][1] else None) for n, v in got.items()}
            table(rows, "huggingface_hub", rows["curl, synced"][0].seconds, "synced curl")
            print("requests: " + ", ".join(f"{name} {v[0][2]}" for name, v in got.items()))
    finally:
        shutil.rmtree(base, ignore_errors=True)


main()
