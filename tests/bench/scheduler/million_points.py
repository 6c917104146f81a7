#!/usr/bin/env python3
"""Time and memory to plan, and to plan and insert, 1,000,000 points.

    million_points.py BUILD [TARGETS]

The matrix is one model x TARGETS (100) targets x 1,000 hybrids x 10 opts.
"""
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import QUERN, environment, folder, make_model, number, peak_mib  # noqa: E402

TARGETS = number(2, 100)


def jobs_yaml(root):
    make_model(root / "model")
    hybrids = ", ".join(f"{i / 1000:.3f}" for i in range(1000))
    targets = "".join(f"  - {{engine: bare, quant: none, with: {{n: {n}}}}}\n" for n in range(TARGETS))
    (root / "jobs.yaml").write_text(
        "version: 1\nmodels: [{path: model, name: m}]\n"
        f"defaults: {{hybrid: [{hybrids}], opt: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}\ntargets:\n{targets}"
        "resources: {jobs: 1, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}\n")


def report(what, start, peak, said):
    print(f"{what:16} {time.monotonic() - start:6.2f} s  peak {peak:5.1f} MiB   {said.strip()}")


def plan(root):
    start = time.monotonic()
    p = subprocess.Popen([QUERN, "plan"], cwd=root, env=environment(), stdout=subprocess.PIPE, text=True)
    last, peak = "", 0.0
    for i, line in enumerate(p.stdout):
        last = line if "points" in line else last
        if i % 100000 == 0:
            peak = max(peak, peak_mib(p.pid))
    assert p.wait() == 0, f"quern plan ended with {p.returncode}"
    report("plan:", start, peak, last)


def insert(root, word):
    """Until the line that a run prints when all its jobs are in the store."""
    start = time.monotonic()
    p = subprocess.Popen([QUERN, "run"], cwd=root, env=environment(), stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
    line = p.stderr.readline()
    assert f"{TARGETS * 10000} points" in line, line
    report(word, start, peak_mib(p.pid), line)
    p.send_signal(signal.SIGTERM)
    p.communicate()


def main():
    with folder() as root:
        jobs_yaml(root)
        plan(root)
        insert(root, "plan and insert:")
        insert(root, "the next run:")


main()
