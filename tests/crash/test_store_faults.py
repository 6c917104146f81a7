"""Each call by which SQLite asks something of the operating system fails once: with an I/O error, for want of room, or a lock that
somebody else has. quern says so in one line or does without it, and the next run ends as if nothing had been: nothing is lost, nothing
is done twice.
"""
import concurrent.futures
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from aftermath import check, end_state, make_folder, run  # noqa: E402
from matrix import preload  # noqa: E402

SEED = int(os.environ.get("QUERN_CRASH_SEED", "1"))
# Calls of each kind that are tried; a thousand and more is all of them.
TRIED = int(os.environ.get("QUERN_STORE_FAULTS", "10"))
COMMANDS = ["run", "upload-repo"]
KINDS = ["io", "full", "busy"]


def with_fault(root, command, kind, at):
    """(the finished run, what its log of faults says)"""
    log = root / "faults"
    done = run(root, **preload("fault_vfs", FAULT_VFS_IN=command, FAULT_VFS_KIND=kind, FAULT_VFS_AT=at, FAULT_VFS_LOG=log))
    return done, log.read_text().split("\n")[:-1] if log.exists() else []


def complaints(done):
    """Sentences about the store: a run says one when it stops, and the same again when it has."""
    return {line.replace("quern: ", "").replace("stopping: ", "") for line in done.stdout.splitlines() if "state.db" in line}


def try_one(base, expected, command, kind, at):
    """Returns the call that failed, or None where the run had fewer of them."""
    what = f"{command}, {kind}, call {at}"
    root = base / f"{command}-{kind}-{at}"
    make_folder(root, 0)
    done, failed = with_fault(root, command, kind, at)
    assert done.returncode in (0, 1, 4), f"{what} ({failed}): exit {done.returncode}\n{done.stdout}"
    assert len(failed) <= 1 and len(complaints(done)) <= 1, f"{what} ({failed}):\n{done.stdout}"
    assert done.returncode == 0 or "quern: " in done.stdout, f"{what} ({failed}): it says nothing\n{done.stdout}"
    if done.returncode == 0:
        assert end_state(root) == expected, f"{what} ({failed}): all was well, it says\n{done.stdout}"
    check(root, expected, f"{what} ({failed}), exit {done.returncode}")
    shutil.rmtree(root)
    return (failed[0], done.returncode) if failed else None


def main():
    base = Path(tempfile.mkdtemp(prefix="quern-storefaults-"))
    rng = random.Random(SEED)
    try:
        make_folder(base / "calm", 0)
        assert run(base / "calm").returncode == 0
        expected = end_state(base / "calm")
        jobs = []
        for command in COMMANDS:
            for kind in KINDS:
                root = base / f"count-{command}-{kind}"
                make_folder(root, 0)
                done, counted = with_fault(root, command, kind, 0)
                assert done.returncode == 0 and len(counted) == 1, (counted, done.stdout)
                n = int(counted[0])
                assert n > 20, (command, kind, n)
                chosen = range(1, n + 1) if n <= TRIED else sorted(rng.sample(range(1, n + 1), TRIED))
                print(f"{command}: {len(chosen)} of {n} calls with {kind}")
                jobs += [(command, kind, at) for at in chosen]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            ends = [end for end in pool.map(lambda j: try_one(base, expected, *j), jobs) if end]
        names = sorted({name for name, _ in ends})
        print(f"{len(ends)} faults, seed {SEED}; {sum(code != 0 for _, code in ends)} ended the run; {', '.join(names)}")
        assert len(ends) > len(jobs) * 3 // 4 and len(names) >= 4, (len(ends), len(jobs), names)
    finally:
        shutil.rmtree(base, ignore_errors=True)


main()
