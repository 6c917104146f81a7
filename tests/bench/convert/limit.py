#!/usr/bin/env python3
"""One file from safetensors beside what the machine allows: reading as many bytes and writing as many, with nothing done.

    limit.py BUILD [SPEC [ROUNDS]]

The copy reads the source by pread(2) and writes the size of the output, until the disk has it: by one thread and by two,
through the page cache and past it (O_DIRECT). The best of the four is the limit. `worker` is quern-gguf by itself, from its
start to a synced file, with two threads; `quern convert` also reads the output again, to check and to hash it. All sides take
turns within one run; medians, and processor seconds beside them, which a busy machine distorts less. The source is in the
page cache.
"""
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import QUERN, folder, number  # noqa: E402

SPEC = sys.argv[2] if len(sys.argv) > 2 else "mistral-7b:layers=2,fill=random"
ROUNDS = number(3, 3)
QUANTS = ("F16", "Q8_0", "Q4_0")
CHUNK = 1 << 20
WAYS = [(threads, direct) for direct in (0, os.O_DIRECT) for threads in (1, 2)]


def timed(call):
    """Seconds and processor seconds, children's too."""
    before, start = os.times(), time.monotonic()
    call()
    seconds, after = time.monotonic() - start, os.times()
    return seconds, sum(after[:4]) - sum(before[:4])


def run(*argv):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{argv[0]} failed:\n{done.stdout}{done.stderr}")


def worker(job, base, quant):
    (job / "job.json").write_text(json.dumps({
        "protocol": 1, "job": "0" * 64, "attempt": 1, "verb": "convert", "engine": {"name": "gguf", "version": "1"},
        "name": "model", "file": "model", "source": {"dir": str(base / "model"), "format": "safetensors"}, "lora": None,
        "platform": "", "quant": quant, "hybrid": 0, "opt": 0, "with": {}, "out": "out", "threads": 2}))
    return timed(lambda: run(QUERN.parent / "quern-gguf", "convert", job / "job.json"))


def copy(weights, out, size, threads, direct):
    """Each thread reads its share of each file and writes its share of the output, in turns of a chunk."""
    fds = [(os.open(p, os.O_RDONLY), os.path.getsize(p)) for p in weights]
    to = os.open(out, os.O_RDWR | os.O_CREAT | os.O_TRUNC | direct, 0o644)
    chunks = -(-size // CHUNK)
    os.posix_fallocate(to, 0, chunks * CHUNK)
    reads = [(fd, at) for fd, length in fds for at in range(0, length, CHUNK)]

    def share(i):
        buffer, wrote = mmap.mmap(-1, CHUNK), 0
        mine, writes = reads[i::threads], list(range(i, chunks, threads))
        for k, (fd, at) in enumerate(mine, 1):
            os.preadv(fd, [buffer], at)
            while wrote < len(writes) and wrote * len(mine) < k * len(writes):
                os.pwritev(to, [buffer], writes[wrote] * CHUNK)
                wrote += 1

    others = [threading.Thread(target=share, args=(i,)) for i in range(threads)]
    for t in others:
        t.start()
    for t in others:
        t.join()
    os.fsync(to)
    for fd, _ in [*fds, (to, 0)]:
        os.close(fd)
    out.unlink()


def measure(base, weights):
    found = {q: {"worker": [], "convert": [], **{w: [] for w in WAYS}} for q in QUANTS}
    sizes, out, job = {}, base / "out.gguf", base / "job"
    for _ in range(ROUNDS):
        for quant in QUANTS:
            (job / "out").mkdir(parents=True)
            found[quant]["worker"].append(worker(job, base, quant))
            sizes[quant] = (job / "out/model.gguf").stat().st_size
            shutil.rmtree(job)
            os.sync()
            found[quant]["convert"].append(timed(lambda: run(
                QUERN, "convert", base / "model", "-o", out, "--engine", "gguf", "--quant", quant, "--threads", 2)))
            out.unlink()
            os.sync()
            for way in WAYS:
                found[quant][way].append(timed(lambda: copy(weights, out, sizes[quant], *way)))
                os.sync()
    return found, sizes


def report(found, sizes, source_mb):
    print(f"{SPEC}: {source_mb:.0f} MB of BF16 weights, {ROUNDS} rounds, medians; seconds, and of the processor\n")
    print("| one file | copy, 1 thread | 2 threads | 1, past the cache | 2, past the cache | worker | of the limit | quern convert |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for quant in QUANTS:
        middle = {k: [statistics.median(column) for column in zip(*v)] for k, v in found[quant].items()}
        limit = min(middle[w][0] for w in WAYS)
        cells = [f"{middle[k][0]:.2f} ({middle[k][1]:.2f})" for k in (*WAYS, "worker")]
        print(f"| {quant}, {sizes[quant] / 1e6:.0f} MB | {' | '.join(cells)} | {100 * limit / middle['worker'][0]:.0f} % | "
              f"{middle['convert'][0]:.2f} ({middle['convert'][1]:.2f}) |")


def main():
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with folder() as base:
        run(QUERN, "fake", SPEC, base / "model")
        weights = sorted((base / "model").glob("*.safetensors"))
        for path in weights:
            with open(path, "rb") as f:
                while f.read(1 << 24):
                    pass
        report(*measure(base, weights), sum(p.stat().st_size for p in weights) / 1e6)


main()
