#!/usr/bin/env python3
"""Durable no-op jobs a second: quern run against xargs -P and GNU parallel --joblog, in one run.

Each job is the same program (noop-worker: it reads a job, writes one file and a result). quern also records each job
in its store, validates and seals the artifact, fsyncs it and starts the worker in a sandbox; xargs keeps no record;
parallel keeps a job log. Nothing is deleted before the end: ext4 is slow to create files right after deletions. Usage: jobs_per_second.py BUILD [JOBS [ROUNDS]]
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUILD = Path(sys.argv[1]).resolve()
JOBS = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
WORKER = BUILD / "test-engines" / "noop-worker"
SLOTS = os.cpu_count()


def model(folder):
    folder.mkdir()
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    (folder / "config.json").write_text('{"architectures": ["X"], "model_type": "x"}')


def timed(argv, **kw):
    start = time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
    return JOBS / (time.monotonic() - start)


def quern(base):
    root = Path(tempfile.mkdtemp(dir=base))
    model(root / "model")
    hybrids = ", ".join(f"{i / JOBS:.6f}" for i in range(JOBS))
    (root / "jobs.yaml").write_text(
        f"version: 1\nmodels: [{{path: model, name: m}}]\n"
        f"targets: [{{engine: bare, quant: none, hybrid: [{hybrids}]}}]\n"
        f"resources: {{jobs: {SLOTS}, memory: 1GiB, disk_reserve: 1MiB}}\n")
    env = dict(os.environ, QUERN_ENGINES=str(BUILD / "test-engines"))
    rate = timed([BUILD / "bin" / "quern", "run"], cwd=root, env=env)
    return rate


def shell_job(base, name):
    root = Path(tempfile.mkdtemp(prefix=name, dir=base))
    (root / "out").mkdir(parents=True)
    (root / "job.json").write_text('{"file": "m", "with": {}}')
    return root


def xargs(base):
    root = shell_job(base, "xargs")
    (root / "list").write_text("job.json\n" * JOBS)
    rate = timed(["xargs", "-a", "list", "-P", str(SLOTS), "-n", "1", str(WORKER), "convert"], cwd=root)
    return rate


def parallel(base):
    root = shell_job(base, "parallel")
    (root / "list").write_text("job.json\n" * JOBS)
    rate = timed(["parallel", "-a", "list", "-j", str(SLOTS), "--joblog", "log", str(WORKER), "convert", "{}"],
                 cwd=root)
    return rate


def main():
    base = Path(tempfile.mkdtemp(prefix="quern-bench-", dir="."))
    tools = {"quern run": quern, "xargs -P": xargs, "parallel --joblog": parallel}
    rates = {name: [] for name in tools}
    try:
        for _ in range(ROUNDS):
            for name, tool in tools.items():
                rates[name].append(tool(base))
    finally:
        shutil.rmtree(base, ignore_errors=True)
    medians = {name: statistics.median(r) for name, r in rates.items()}
    print(f"{JOBS} no-op jobs, {SLOTS} slots, median of {ROUNDS}")
    for name, rate in medians.items():
        print(f"  {name:18} {rate:8.0f} jobs/s   quern is {medians['quern run'] / rate:5.2f} times as fast")


main()
