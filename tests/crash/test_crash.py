"""Nothing is lost, nothing is done twice.

points: end quern at each of its commit points in turn (QUERN_CRASH_AT), then run again.
kills:  kill -9 the orchestrator or a worker at random instants, several times in one work folder.

After each, the store, the artifacts and the local hub must equal those of an undisturbed run, and no
conversion may have run again after it had finished.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from aftermath import check, end_state, make_folder, run  # noqa: E402
from matrix import QUERN, environment  # noqa: E402

KILLS = int(os.environ.get("QUERN_CRASH_KILLS", "200"))
SEED = int(os.environ.get("QUERN_CRASH_SEED", "1"))
CRASHED = 99

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
    """Folders come and go meanwhile."""
    pids = []
    for job, _, files in os.walk(root / "work" / "jobs"):
        try:
            words = Path(job, "lock").read_text().split() if "lock" in files else []
        except FileNotFoundError:
            continue
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
