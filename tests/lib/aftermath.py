"""A small matrix, and what must be there when all is over, however often something failed or was killed on the way."""
import hashlib
import json
import sqlite3
import subprocess

from matrix import QUERN, Matrix, environment

JOBS = """\
version: 1
name: crash
work: work
models:
  - {path: model, name: m}
targets:
  - engine: noop
    quant: none
    opt: [0, 1, 2, 3]
    with: {sleep_ms: SLEEP}
resources: {jobs: 2, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}
retry: {attempts: 20, backoff: 10ms}
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-opt-{opt}"}
"""


def make_folder(root, sleep_ms):
    return Matrix(JOBS.replace("SLEEP", str(sleep_ms)), root)


def run(root, timeout=60, **more):
    return subprocess.run([QUERN, "run"], cwd=root, env=environment(**more), timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def git(repo, *args):
    return subprocess.run(["git", "-C", str(repo), *args], check=True, capture_output=True, text=True,
                          env=environment(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_COUNT="1",
                                          GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*")).stdout


def end_state(root):
    """What must not depend on how often we were killed."""
    work = root / "work"
    db = sqlite3.connect(work / "state.db")
    states = sorted(db.execute("SELECT label, state FROM v_matrix"))
    artifacts = {str(p.relative_to(work)): hashlib.sha256(p.read_bytes()).hexdigest()
                 for p in sorted((work / "artifacts").rglob("*")) if p.is_file()}
    hub = {}
    for repo in sorted((work / "hub").rglob("*.git")):
        hub[repo.name] = git(repo, "ls-tree", "-r", "main")
        objects = sorted(p.name for p in (repo / "lfs" / "objects").rglob("*") if p.is_file())
        hub[repo.name] += "\n".join(objects)
        assert git(repo, "fsck", "--strict") is not None
    integrity = db.execute("PRAGMA integrity_check").fetchone()[0]
    assert integrity == "ok", integrity
    db.close()
    return {"states": states, "artifacts": artifacts, "hub": hub}


def finished_twice(root):
    """Job folders in which a worker wrote its result more than once for the same key."""
    counts = {}
    for result in (root / "work" / "jobs").rglob("result.json"):
        try:
            ok = json.loads(result.read_text())["status"] == "ok"
        except (ValueError, KeyError):
            continue
        if ok:
            key = result.parent.parent.name
            counts[key] = counts.get(key, 0) + 1
    return {k: n for k, n in counts.items() if n > 1}


def check(root, expected, what):
    last = run(root)
    assert last.returncode == 0, f"{what}: the next run ended with {last.returncode}:\n{last.stdout}"
    state = end_state(root)
    assert state == expected, f"{what}: the end differs:\n{state}\nfrom\n{expected}"
    twice = finished_twice(root)
    assert not twice, f"{what}: converted again after it had finished: {twice}"
    again = run(root)
    assert again.returncode == 0 and "nothing to do" in again.stdout, f"{what}: {again.stdout}"
