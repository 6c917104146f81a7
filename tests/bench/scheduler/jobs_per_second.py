#!/usr/bin/env python3
"""Durable no-op jobs a second: quern run against xargs -P and GNU parallel --joblog, in one run.

    jobs_per_second.py BUILD [JOBS [ROUNDS]]

Each job is the same program (noop-worker: it reads a job, writes one file and a result). quern also records each job
in its store, validates and seals the artifact, fsyncs it and starts the worker in a sandbox; xargs keeps no record;
parallel keeps a job log. Nothing is deleted before the end: ext4 is slow to create files right after deletions.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import BUILD, QUERN, environment, folder, make_model, number  # noqa: E402

JOBS, ROUNDS = number(2, 2000), number(3, 3)
WORKER = BUILD / "test-engines" / "noop-worker"
SLOTS = os.cpu_count()


def timed(argv, **kw):
    start = time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
    return JOBS / (time.monotonic() - start)


def quern(base):
    root = Path(tempfile.mkdtemp(dir=base))
    make_model(root / "model")
    hybrids = ", ".join(f"{i / JOBS:.6f}" for i in range(JOBS))
    (root / "jobs.yaml").write_text(
        f"version: 1\nmodels: [{{path: model, name: m}}]\n"
        f"targets: [{{engine: bare, quant: none, hybrid: [{hybrids}]}}]\n"
        f"resources: {{jobs: {SLOTS}, memory: 1GiB, disk_reserve: 1MiB}}\n")
    return timed([QUERN, "run"], cwd=root, env=environment())


def shell_job(base, name):
    root = Path(tempfile.mkdtemp(prefix=name, dir=base))
    (root / "out").mkdir(parents=True)
    (root / "job.json").write_text('{"file": "m", "with": {}}')
    (root / "list").write_text("job.json\n" * JOBS)
    return root


def xargs(base):
    root = shell_job(base, "xargs")
    return timed(["xargs", "-a", "list", "-P", str(SLOTS), "-n", "1", str(WORKER), "convert"], cwd=root)


def parallel(base):
    root = shell_job(base, "parallel")
    return timed(["parallel", "-a", "list", "-j", str(SLOTS), "--joblog", "log", str(WORKER), "convert", "{}"],
                 cwd=root)


def main():
    tools = {"quern run": quern, "xargs -P": xargs, "parallel --joblog": parallel}
    rates = {name: [] for name in tools}
    with folder() as base:
        for _ in range(ROUNDS):
            for name, tool in tools.items():
                rates[name].append(tool(base))
    medians = {name: statistics.median(r) for name, r in rates.items()}
    print(f"{JOBS} no-op jobs, {SLOTS} slots, median of {ROUNDS}")
    for name, rate in medians.items():
        print(f"  {name:18} {rate:8.0f} jobs/s   quern is {medians['quern run'] / rate:5.2f} times as fast")


main()
