"""Nothing is lost, nothing is done twice.

points: end quern at each of its commit points in turn (QUERN_CRASH_AT), then run again.
kills:  kill -9 the orchestrator or a worker at random instants, several times in one work folder.

After each, the store, the artifacts and the local hub must equal those of an undisturbed run, and no
conversion may have run again after it had finished.
"""
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import QUERN, Matrix, environment  # noqa: E402

KILLS = int(os.environ.get("QUERN_CRASH_KILLS", "200"))
SEED = int(os.environ.get("QUERN_CRASH_SEED", "1"))
CRASHED = 99

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


def points(base):
    make_folder(base / "calm", 0)
    log = base / "points"
    calm = run(base / "calm", QUERN_CRASH_LOG=str(log))
    assert calm.returncode == 0, calm.stdout
    expected = end_state(base / "calm")
    names = log.read_text().split("\n")[:-1]
    assert len(names) > 40, f"only {len(names)} commit points were passed"
    crashes = 0
    # Processes count for themselves; the longest of them is the orchestrator.
    for n in range(1, len(names) + 1):
        root = base / f"p{n}"
        make_folder(root, 0)
        first = run(root, QUERN_CRASH_AT=str(n))
        assert first.returncode in (CRASHED, 0, 1), f"point {n}: exit {first.returncode}\n{first.stdout}"
        crashes += first.returncode != 0
        check(root, expected, f"point {n}")
        shutil.rmtree(root)
    print(f"{len(names)} points passed in a calm run, {crashes} runs ended at one of them, "
          f"{len(set(names))} different points")
    assert crashes > 20


def workers_of(root):
    pids = []
    for lock in (root / "work" / "jobs").rglob("lock"):
        words = lock.read_text().split()
        if words and Path(f"/proc/{words[0]}/cwd").exists():
            pids.append(int(words[0]))
    return pids


def kill_once(root, rng):
    p = subprocess.Popen([QUERN, "run"], cwd=root, env=environment(), stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(rng.random() * 0.25)
    kind = rng.choice(["quern", "quern", "worker", "all"])
    victims = workers_of(root) if kind != "quern" else []
    for pid in victims[:1] if kind == "worker" else victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    p.kill()
    p.wait()


def kills(base):
    rng = random.Random(SEED)
    make_folder(base / "calm", 40)
    assert run(base / "calm").returncode == 0
    expected = end_state(base / "calm")
    done = 0
    while done < KILLS:
        root = base / f"k{done}"
        make_folder(root, 40)
        for _ in range(rng.randint(1, 8)):
            kill_once(root, rng)
            done += 1
        check(root, expected, f"seed {SEED}, after {done} kills")
        shutil.rmtree(root)
    print(f"{done} kills survived, seed {SEED}")


def main():
    base = Path(tempfile.mkdtemp(prefix="quern-crash-"))
    try:
        {"points": points, "kills": kills}[sys.argv[1]](base)
    finally:
        shutil.rmtree(base, ignore_errors=True)


main()
