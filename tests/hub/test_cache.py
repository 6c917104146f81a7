"""One cache for quern and the official Python client: each sees what the other fetched, and neither fetches it again."""
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE)]
from hub_files import publish  # noqa: E402
from matrix import Matrix, expect, preload  # noqa: E402
from models import tiny  # noqa: E402
from testhub import TestHub  # noqa: E402

JOBS = """\
version: 1
work: work
models: [{id: my-org/tiny, name: m}]
targets: [{engine: noop, quant: none}]
resources: {jobs: 1, memory: 1GiB, disk_reserve: 1MiB}
"""
DOWNLOAD = """
import sys
from huggingface_hub import scan_cache_dir, snapshot_download
print(snapshot_download("my-org/tiny", local_files_only=sys.argv[1] == "local"))
info = scan_cache_dir()
assert not info.warnings, info.warnings
assert "my-org/tiny" in [r.repo_id for r in info.repos], info
"""


def client(hub, home, how):
    """The folder that snapshot_download() gives; how: "local" or "online"."""
    done = subprocess.run([sys.executable, "-c", DOWNLOAD, how], env=hub.environment(home), timeout=120,
                          stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


def same(folder, files):
    for name, data in files.items():
        assert (folder / name).read_bytes() == data, name


def both_ways():
    with Matrix(JOBS) as m, TestHub() as hub:
        env = {k: v for k, v in hub.environment(m.root).items() if k not in ("PATH", "HOME")}
        hub.repo("my-org/tiny", private=True)
        files = tiny(mib=20)
        publish(hub, "my-org/tiny", files)

        # what quern fetched, the client has: without a network
        expect(m.quern("run", **env), 0, "1 converted")
        hub.forget()
        same(client(hub, m.root, "local"), files)
        assert not hub.requests()
        # and with one it sends no file for what is there
        client(hub, m.root, "online")
        assert not [r for r in hub.requests() if r["origin"] == "cdn"], hub.requests()

        # what the client fetched, quern has
        files = tiny(mib=20, seed=2)
        commit = publish(hub, "my-org/tiny", files)
        same(client(hub, m.root, "online"), files)
        hub.forget()
        expect(m.quern("run", **env), 0, "1 converted")
        asked = [r for r in hub.requests() if r["origin"] == "cdn"]
        assert all(r["sent"] <= 128 << 10 for r in asked), asked  # the head, for the plan
        blobs = m.root / "hf/hub/models--my-org--tiny/blobs"
        assert not [f for f in os.listdir(blobs) if "quern" in f], os.listdir(blobs)
        assert (blobs.parent / "refs/main").read_text() == commit
        print("ok both ways")


SCAN = """
import json
from huggingface_hub import scan_cache_dir
info = scan_cache_dir()
print(json.dumps({"warnings": [str(w) for w in info.warnings],
                  "revisions": {r.repo_id: len(r.revisions) for r in info.repos}}))
"""


def scan(hub, home):
    done = subprocess.run([sys.executable, "-c", SCAN], env=hub.environment(home), timeout=120, stdout=subprocess.PIPE,
                          text=True, check=True)
    return json.loads(done.stdout)


def what_quern_drops():
    """The client finds nothing wrong with a cache from which quern took a model, and fetches it again."""
    with Matrix(JOBS) as m, TestHub() as hub:
        env = {k: v for k, v in hub.environment(m.root).items() if k not in ("PATH", "HOME")}
        small = {**env, **preload("small_disk", SMALL_DISK=m.root, SMALL_DISK_BYTES=30 << 20)}
        for name in ("my-org/tiny", "my-org/other"):
            hub.repo(name)
        files = tiny(mib=20)
        publish(hub, "my-org/tiny", files)
        publish(hub, "my-org/other", tiny(mib=20, seed=2))
        expect(m.quern("run", **small), 0, "1 converted")
        m.write(JOBS.replace("my-org/tiny", "my-org/other"))
        expect(m.quern("run", **small), 0, "1 converted", "my-org/tiny at", "taken out of the cache")
        assert scan(hub, m.root) == {"warnings": [], "revisions": {"my-org/other": 1, "my-org/tiny": 0}}, scan(hub, m.root)
        same(client(hub, m.root, "online"), files)
        # and what the client fetched now is not quern's to take
        m.write(JOBS)
        expect(m.quern("run", **small), 0, "nothing to do")
        m.write(JOBS.replace("my-org/tiny", "my-org/other").replace("engine: noop", "engine: noop, opt: 1"))
        expect(m.quern("run", **small), 4, "no job fits the free disk")
        assert scan(hub, m.root)["revisions"]["my-org/tiny"] == 1
        print("ok what quern drops")


both_ways()
what_quern_drops()
