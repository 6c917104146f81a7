#!/usr/bin/env python3
"""Time and memory to plan, and to plan and insert, 1,000,000 points. Usage: million_points.py BUILD"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUILD = Path(sys.argv[1]).resolve()
QUERN = BUILD / "bin" / "quern"


def jobs_yaml(root):
    model = root / "model"
    model.mkdir()
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    (model / "config.json").write_text('{"architectures": ["X"], "model_type": "x"}')
    hybrids = ", ".join(f"{i / 1000:.3f}" for i in range(1000))
    targets = "".join(f"  - {{engine: bare, quant: none, with: {{n: {n}}}}}\n" for n in range(100))
    (root / "jobs.yaml").write_text(
        "version: 1\nmodels: [{path: model, name: m}]\n"
        f"defaults: {{hybrid: [{hybrids}], opt: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}\ntargets:\n{targets}"
        "resources: {jobs: 1, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}\n")


def peak_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def plan(root, env):
    start = time.monotonic()
    p = subprocess.Popen([QUERN, "plan"], cwd=root, env=env, stdout=subprocess.PIPE, text=True)
    last, peak = "", 0.0
    for i, line in enumerate(p.stdout):
        last = line if "points" in line else last
        if i % 100000 == 0:
            peak = max(peak, peak_mib(p.pid))
    p.wait()
    print(f"plan:            {time.monotonic() - start:6.2f} s  peak {peak:5.1f} MiB   {last.strip()}")


def insert(root, env, word):
    start = time.monotonic()
    p = subprocess.Popen([QUERN, "run"], cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         text=True)
    line = p.stderr.readline()
    took = time.monotonic() - start
    peak = peak_mib(p.pid)
    p.send_signal(signal.SIGTERM)
    p.stderr.read()
    p.wait()
    print(f"{word:16} {took:6.2f} s  peak {peak:5.1f} MiB   {line.strip()}")


def main():
    root = Path(tempfile.mkdtemp(prefix="quern-bench-", dir="."))
    env = dict(os.environ, QUERN_ENGINES=str(BUILD / "test-engines"))
    try:
        jobs_yaml(root)
        plan(root, env)
        insert(root, env, "plan and insert:")
        insert(root, env, "the next run:")
    finally:
        shutil.rmtree(root, ignore_errors=True)


main()
