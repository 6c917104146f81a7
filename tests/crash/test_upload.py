"""The uploader dies at each of its commit points in turn, and by kill -9 at random instants; the next one goes on.

After each: the hub has everything, in one commit, and no object that it had was sent again.
"""
import concurrent.futures
import os
import random
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from scripthub import ScriptHub  # noqa: E402
from uploads import REPO, Uploads  # noqa: E402

ARTIFACTS = ["Q8/Q8.gguf=200000:1", "Q4/Q4.gguf=50000:2", "w8/config.json=50:3", "w8/model.safetensors=1000:4"]
KILLS = int(os.environ.get("QUERN_CRASH_KILLS", "200")) // 5
SEED = int(os.environ.get("QUERN_CRASH_SEED", "1"))
CRASHED = 99


def commits(hub, git):
    if git:
        return int(hub.git(REPO, "rev-list", "--count", "main"))
    return len(hub.repos[REPO].commits)


def finish(hub, uploads, what):
    """What the hub has when it dies is not sent again; then nothing is left to do."""
    stored = set(hub.objects)
    parts = set(hub.parts)
    hub.forget()
    try:
        uploads.good()
        again = stored & set(hub.sent())
        assert not again, f"sent again though the hub had it: {again}"
        resent = [key for key in hub.sent_parts() if key in parts]
        assert len(resent) <= 1, f"parts sent again: {resent}"  # one may be stored and not yet in the store
        assert commits(hub, uploads.git) == 1
        hub.forget()
        assert uploads.good()["commits"] == 0 and not hub.sent()
    except AssertionError as e:
        raise AssertionError(f"{what}: {e}") from e


def crash_at(n, git):
    """One run that dies at its nth point; False when it did not get that far."""
    with ScriptHub(chunk=65536) as hub, Uploads(hub, ARTIFACTS, git=git, jobs=1) as uploads:
        if git:
            hub.make_git(REPO)
        code, event = uploads.upload(QUERN_CRASH_AT=str(n))
        assert code in (0, CRASHED), (n, code, event)
        finish(hub, uploads, f"git {git}, point {n}")
        return code == CRASHED


def points():
    for git in (False, True):
        crashed = 0
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            at = 1
            while True:
                batch = list(pool.map(crash_at, range(at, at + 6), [git] * 6))
                crashed += sum(batch)
                at += 6
                if not all(batch):
                    break
        print(f"{'git' if git else 'http'}: {crashed} points")
        assert crashed > 25, crashed


def kill_some(seed, git):
    rng = random.Random(seed)
    with ScriptHub(chunk=20000) as hub, Uploads(hub, ARTIFACTS, git=git) as uploads:
        if git:
            hub.make_git(REPO)
        for _ in range(4):
            p = subprocess.Popen(uploads.command(), env=uploads.environment(), cwd=uploads.root,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * 0.15)
            p.kill()
            p.wait()
        uploads.good()
        assert commits(hub, git) == 1, f"seed {seed}: {commits(hub, git)} commits"
        hub.forget()
        assert uploads.good()["commits"] == 0 and not hub.sent()


def kills():
    rounds = max(KILLS // 4, 2)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(kill_some, SEED * 1000 + i, i % 2 == 1) for i in range(rounds)]:
            future.result()
    print(f"{rounds * 4} kills survived, seed {SEED}")


{"points": points, "kills": kills}[sys.argv[1]]()
