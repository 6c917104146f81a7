"""Bulk upload against the official Python client, on one test Hub in one run.

    build/peer/hub/venv/bin/python tests/bench/hub/upload.py [--small N] [--large BYTES] [--each BYTES]

1,000 small files and 2 GiB of large ones: first upload and a second without change, wall time and peak memory of the
client's process, and, as a yardstick, the time to hash all bytes once. The client is told
HF_HUB_DISABLE_XET=1. Both go to new repositories of a new Hub, so that neither finds the other's objects. Figures are
printed, never judged; that both ended, sent the same bytes and sent nothing the second time is.
"""
import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "hub"), str(Path(__file__).resolve().parent)]
from matrix import BUILD, QUERN, environment  # noqa: E402
from sides import measured, table  # noqa: E402
from testhub import TestHub  # noqa: E402

REPO = "my-org/kjv"
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
        rows = {"huggingface_hub": with_client(root, folder), "quern": with_quern(root, work)}
        table(rows, "huggingface_hub", limit, "hashing")
    finally:
        shutil.rmtree(root, ignore_errors=True)


main()
