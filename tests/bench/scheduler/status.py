#!/usr/bin/env python3
"""How long `quern status` takes beside a run that writes to the same store, and how long without a run.

    status.py BUILD [JOBS [CALLS]]

JOBS (100,000) are in the store; the run converts no-op jobs as fast as it can, CALLS (200) times each form of status
is started, from fork to exit. The smallest program there is, /bin/true, is timed the same way: what remains of it is
the cost of starting a process from here.
"""
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import QUERN, environment, folder, make_model, median_ms, number  # noqa: E402

JOBS, CALLS = number(2, 100000), number(3, 200)


def jobs_yaml(root):
    make_model(root / "model")
    hybrids = ", ".join(f"{i / 1000:.3f}" for i in range(min(JOBS, 1000)))
    targets = "".join(f"  - {{engine: bare, quant: none, with: {{n: {n}}}}}\n" for n in range(-(-JOBS // 1000)))
    (root / "jobs.yaml").write_text(
        f"version: 1\nwork: work\nmodels: [{{path: model, name: m}}]\ndefaults: {{hybrid: [{hybrids}]}}\n"
        f"targets:\n{targets}resources: {{jobs: {os.cpu_count()}, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}}\n")


def measure(root, run):
    commands = {"/bin/true": ["/bin/true"], "status": [QUERN, "status"], "status --json": [QUERN, "status", "--json"],
                "status --state failed": [QUERN, "status", "--state", "failed"]}
    times = {name: [] for name in commands}
    for _ in range(CALLS):
        for name, argv in commands.items():
            start = time.monotonic()
            done = subprocess.run(argv, cwd=root, env=environment(), stdout=subprocess.PIPE, text=True)
            times[name].append(time.monotonic() - start)
            assert done.returncode == 0, (argv, done.returncode, done.stdout)
    assert not run or run.poll() is None, "the run ended before the measurement did; more JOBS or fewer CALLS"
    return times


def report(what, times):
    for name, t in times.items():
        print(f"{what:14} {name:22} median {median_ms(t):5.1f} ms  worst {max(t) * 1000:5.1f} ms")


def main():
    with folder() as root:
        jobs_yaml(root)
        run = subprocess.Popen([QUERN, "run"], cwd=root, env=environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
        try:
            assert "points" in run.stderr.readline()
            during = measure(root, run)
        finally:
            run.terminate()
            run.communicate()
        print(f"{JOBS} jobs, {CALLS} calls")
        report("during a run:", during)
        report("without a run:", measure(root, None))


main()
