"""Bulk upload against the official Python client, on one test Hub in one run.

    build/peer/hub/venv/bin/python tests/bench/hub/upload.py [--small N] [--large BYTES] [--each BYTES]

1,000 small files and 2 GiB of large ones: first upload and a second without change, time and peak memory, and as yardsticks
the time to hash all bytes once, and curl that PUTs every file to its signed address and does nothing else. The client is told
HF_HUB_DISABLE_XET=1. Each goes to a new repository of a new Hub, so that none finds the other's objects. Figures are
printed, never judged; that all ended and sent nothing the second time is.
"""
import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "hub"), str(Path(__file__).resolve().parent)]
from hub_files import call  # noqa: E402
from matrix import BUILD, QUERN, environment  # noqa: E402
from sides import measured, table  # noqa: E402
from testhub import TestHub  # noqa: E402

REPO = "my-org/kjv"
CONNECTIONS = 8
BATCH = 256
CLIENT = """
import sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[1], exist_ok=True)
api.upload_folder(repo_id=sys.argv[1], folder_path=sys.argv[2])
"""


def words_of(o):
    small = [f"v/small-{i:04d}.json={2000 + i}:{i}" for i in range(o.small)]
    return small + [f"v/large-{i}.gguf={o.each}:{90000 + i}" for i in range(o.large // o.each)]


def make_work(root, words):
    (root / "words").write_text("".join(f"{w}\n" for w in words))
    subprocess.run([BUILD / "test-tools" / "artifact-maker", root / "work", f"@{root / 'words'}"], check=True,
                   env=environment())
    return root / "work", next((root / "work" / "artifacts").iterdir())


def hashed(folder):
    begin = time.monotonic()
    for path in sorted(folder.iterdir()):
        with open(path, "rb") as f:
            hashlib.file_digest(f, "sha256")
    return time.monotonic() - begin


def run(name, command, env, hub):
    hub.forget()
    first = measured(command, env)
    puts = len(hub.requests("PUT"))
    hub.forget()
    again = measured(command, env)
    assert puts > 0 and not hub.requests("PUT"), f"{name}: the second time it sent something"
    print(f"{name}: {puts} bodies sent, {len(hub.log()['requests'])} requests when nothing is to do", flush=True)
    return first, again


def with_quern(root, work):
    with TestHub() as hub:
        command = [QUERN, "upload-repo", "--work", str(work), "--hub", hub.endpoint, "--repo", REPO, "--run", "1"]
        env = environment(HF_TOKEN=hub.token, HF_HOME=str(root / "none"))
        return run("quern", command, env, hub)


def with_client(root, folder):
    with TestHub() as hub:
        command = [sys.executable, "-c", CLIENT, REPO, str(folder)]
        return run("huggingface_hub", command, hub.environment(root), hub)


def addresses(hub, folder):
    """(file, signed address) of every object, in one PUT each: what curl needs before it can begin."""
    files = {}
    for path in sorted(folder.glob("*.*")):
        with open(path, "rb") as f:
            files[hashlib.file_digest(f, "sha256").hexdigest()] = path
    oids = list(files)
    for at in range(0, len(oids), BATCH):
        ask = {"operation": "upload", "transfers": ["basic"], "hash_algo": "sha256",
               "objects": [{"oid": oid, "size": files[oid].stat().st_size} for oid in oids[at:at + BATCH]]}
        answer = call("POST", f"{hub.endpoint}/{REPO}.git/info/lfs/objects/batch", json.dumps(ask).encode(), hub.token,
                      "application/vnd.git-lfs+json")
        for found in json.loads(answer)["objects"]:
            yield files[found["oid"]], found["actions"]["upload"]["href"]


def with_curl(root, folder):
    """The bytes alone: no hash, no questions, no commit."""
    with TestHub() as hub:
        hub.repo(REPO)
        wanted = root / "list"
        wanted.write_text("".join(f'url = "{url}"\nupload-file = "{path}"\n' for path, url in addresses(hub, folder)))
        command = ["/usr/bin/curl", "-s", "-S", "--no-progress-meter", "-f", "-H", "Expect:", "-Z", "--parallel-max", CONNECTIONS, "-K", wanted]
        return measured(command, {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}), None


def main():
    p = argparse.ArgumentParser()
    tiny = "QUERN_BENCH_TINY" in os.environ  # does it still run?
    p.add_argument("--small", type=int, default=20 if tiny else 1000)
    p.add_argument("--large", type=int, default=24 << 20 if tiny else 2 << 30)
    p.add_argument("--each", type=int, default=12 << 20 if tiny else 256 << 20)
    o = p.parse_args()
    root = Path(tempfile.mkdtemp(prefix="quern-bench-", dir=os.environ.get("QUERN_BENCH_DIR")))
    try:
        work, folder = make_work(root, words_of(o))
        limit = hashed(folder)
        print(f"{o.small} small files, {o.large >> 20} MiB in files of {o.each >> 20} MiB; SHA-256 of all in one thread: "
              f"{limit:.2f} s", flush=True)
        rows = {"huggingface_hub": with_client(root, folder), "quern": with_quern(root, work),
                "curl": with_curl(root, folder)}
        table(rows, "huggingface_hub", rows["curl"][0].seconds, "curl")
    finally:
        shutil.rmtree(root, ignore_errors=True)


main()
