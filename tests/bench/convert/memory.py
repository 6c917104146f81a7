#!/usr/bin/env python3
"""Memory of the gguf worker: peak while it converts and validates a model of any size.

    memory.py BUILD [SPEC [QUANT...]]      a table; by default a Llama 8B of zeros, 16 GB of BF16, to Q4_K_M
    memory.py BUILD --check                a test: tensors 64 times as large take no more memory

`resident` is the peak that the kernel counted (VmHWM), of which the processes' own pages are `private`, as sampled from
smaps_rollup every few milliseconds: files are read and written, not mapped, so that the two are close. The weights of
a model of zeros are a hole in a file; the output takes its room on the disk.
"""
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import QUERN, folder  # noqa: E402

WORKER = QUERN.parent / "quern-gguf"
MIB = 1 << 20
LIMIT_MIB = 512     # of a worker, for a model of any size
CHECK_MIB = 64      # two threads of 12 MiB, the metadata, the C library
GROWTH_MIB = 8      # for 64 times as many weights in a tensor: longer lists, other sizes of rows
THREADS = 2


def make_model(spec, path):
    subprocess.run([QUERN, "fake", spec, path], check=True, stdout=subprocess.DEVNULL)
    return sum(p.stat().st_size for p in path.glob("*.safetensors"))


def of_status(pid, name, file):
    """A line of /proc/PID/file in KiB, 0 when the process has ended."""
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
    except (ProcessLookupError, FileNotFoundError):
        pass
    return 0


def watch(verb, job):
    """Peaks in MiB (resident, private) and seconds of one verb of the worker."""
    start, resident, private = time.monotonic(), 0, 0
    p = subprocess.Popen([WORKER, verb, job], stdout=subprocess.DEVNULL)
    while p.poll() is None:
        resident = max(resident, of_status(p.pid, "VmHWM", "status"))
        private = max(private, of_status(p.pid, "Private_Dirty", "smaps_rollup") +
                      of_status(p.pid, "Private_Clean", "smaps_rollup"))
        time.sleep(0.002)
    if p.returncode:
        sys.exit(f"quern-gguf {verb} ended with {p.returncode}")
    return resident / 1024, private / 1024, time.monotonic() - start


def convert(model, base, quant):
    """Rows of verb, peaks, seconds; and the size of the file."""
    job = base / "job"
    (job / "out").mkdir(parents=True)
    (job / "job.json").write_text(json.dumps({
        "protocol": 1, "job": "0" * 64, "attempt": 1, "verb": "convert", "engine": {"name": "gguf", "version": "1"},
        "name": "model", "file": "model", "source": {"dir": str(model), "format": "safetensors"}, "lora": None,
        "platform": "", "quant": quant, "hybrid": 0, "opt": 0, "with": {}, "out": "out", "threads": THREADS}))
    rows = [(verb, *watch(verb, job / "job.json")) for verb in ("convert", "validate")]
    size = (job / "out/model.gguf").stat().st_size
    shutil.rmtree(job)
    return rows, size


def table(spec, quants):
    with folder() as base:
        source = make_model(spec, base / "model")
        print(f"{spec}: {source / 1e9:.1f} GB of weights, {THREADS} threads, limit {LIMIT_MIB} MiB\n")
        print("| type | file | verb | resident | private | seconds |\n| --- | --- | --- | --- | --- | --- |")
        worst = 0
        for quant in quants:
            rows, size = convert(base / "model", base, quant)
            for verb, resident, private, seconds in rows:
                worst = max(worst, private)
                print(f"| {quant} | {size / 1e9:.2f} GB | {verb} | {resident:.0f} MiB | {private:.0f} MiB | {seconds:.1f} |")
    sys.exit(0 if worst < LIMIT_MIB else f"a worker had {worst:.0f} MiB of its own; the limit is {LIMIT_MIB} MiB")


def check():
    """The same number of tensors, each with 64 times as many weights."""
    with folder() as base:
        peaks = {}
        for name, spec in (("small", "llama-tiny:layers=4"), ("large", "llama-tiny:layers=4,hidden=1024,ffn=2048,vocab=4096")):
            source = make_model(spec, base / name)
            rows, _ = convert(base / name, base, "Q4_K_M")
            peaks[name] = max(row[1] for row in rows)
            print(f"{spec}: {source / MIB:.1f} MiB of weights, peak {peaks[name]:.1f} MiB")
        if not peaks["small"]:
            sys.exit("no peak was seen: the worker was too quick to look at")
        if peaks["large"] > CHECK_MIB or peaks["large"] - peaks["small"] > GROWTH_MIB:
            sys.exit(f"the worker's memory grows with the model; at most {CHECK_MIB} MiB, {GROWTH_MIB} MiB more for the larger")


if __name__ == "__main__":
    if sys.argv[2:] == ["--check"]:
        check()
    else:
        table(sys.argv[2] if len(sys.argv) > 2 else "llama-8b", sys.argv[3:] or ["Q4_K_M"])
