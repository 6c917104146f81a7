#!/usr/bin/env python3
"""A model in eight types, from safetensors to checked files, on two processors: `quern run` against llama.cpp's way.

    night.py BUILD [SPEC [ROUNDS]]

llama.cpp's way is its Python converter to one F16 file and llama_model_quantize() from that for each type, two threads.
The converter is in no package, so that its time counts as zero and the F16 file is quern's own; the call alone is timed,
and it does not wait for the disk. quern is timed from start to exit of one run: the hash of the source, eight
conversions, validation, SHA-256 and sync of each file, the store.

Then what the machine allows: one file of F16, Q8_0 and Q4_0 with two threads beside the time to read the source and to
write as many bytes to the disk, with nothing done to them. `worker` is the conversion alone, from the start of the
program to a synced file; `quern convert` also hashes source and output and reads the output again to check it. All
sides take turns within one run; medians. The source is in the page cache.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import BUILD, QUERN, environment, folder, number  # noqa: E402

PEER = Path(__file__).resolve().parents[2] / "peer" / "quantizer.py"
SPEC = sys.argv[2] if len(sys.argv) > 2 else "mistral-7b:layers=2,fill=random"
ROUNDS = number(3, 3)
QUANTS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K", "IQ4_XS")
SIMPLE = ("F16", "Q8_0", "Q4_0")
CHUNK = 1 << 20
JOBS = """\
version: 1
name: night
models: [{path: model}]
targets: [{engine: gguf, quant: [QUANTS]}]
resources: {jobs: 2, threads: 1, memory: 2GiB, disk_reserve: 100MiB}
""".replace("QUANTS", ", ".join(QUANTS))


def run(*argv, **more):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode == 77:
        print(done.stdout, end="")
        sys.exit(77)
    if done.returncode:
        sys.exit(f"{argv[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(*argv, **more):
    """Seconds, and CPU seconds, of a program."""
    before, start = os.times(), time.monotonic()
    run(*argv, **more)
    seconds, after = time.monotonic() - start, os.times()
    return seconds, after.children_user + after.children_system - before.children_user - before.children_system


def ours(base):
    took = timed(QUERN, "run", "-f", "jobs.yaml", "--no-upload", cwd=base, env=environment())
    made = sum(1 for _ in base.glob(".quern/artifacts/*/*.gguf"))
    if made != len(QUANTS):
        sys.exit(f"quern made {made} files of {len(QUANTS)}")
    run("chmod", "-R", "u+w", base / ".quern")
    run("rm", "-rf", base / ".quern")
    return took


def theirs(base, quant):
    out = base / "theirs.gguf"
    times = run(sys.executable, PEER, base / "plain.gguf", out, quant, 2).splitlines()[-1]
    out.unlink()
    return tuple(float(t) for t in times.split())


def worker(base, quant):
    """Seconds of quern-gguf by itself, and the size of its file."""
    folder_ = base / "job"
    (folder_ / "out").mkdir(parents=True)
    (folder_ / "job.json").write_text(json.dumps({
        "protocol": 1, "job": "0" * 64, "attempt": 1, "verb": "convert", "engine": {"name": "gguf", "version": "1"},
        "name": "model", "file": "model", "source": {"dir": str(base / "model"), "format": "safetensors"}, "lora": None,
        "platform": "", "quant": quant, "hybrid": 0, "opt": 0, "with": {}, "out": "out", "threads": 2}))
    seconds, _ = timed(QUERN.parent / "quern-gguf", "convert", folder_ / "job.json")
    size = (folder_ / "out/model.gguf").stat().st_size
    shutil.rmtree(folder_)
    return seconds, size


def floor(weights, out, size):
    """Seconds to read the source and to write size bytes, until the disk has them."""
    chunk, start = bytearray(os.urandom(CHUNK)), time.monotonic()
    for path in weights:
        with open(path, "rb", buffering=0) as f:
            while f.readinto(chunk):
                pass
    with open(out, "wb", buffering=0) as f:
        for at in range(0, size, CHUNK):
            f.write(memoryview(chunk)[:min(CHUNK, size - at)])
        os.fsync(f.fileno())
    seconds = time.monotonic() - start
    out.unlink()
    return seconds


def settle():
    """What one left to write is not the other's time."""
    os.sync()


def measure(base, weights):
    run_times, peer_times, files = [], {q: [] for q in QUANTS}, {q: [] for q in SIMPLE}
    sizes, out = {}, base / "out.gguf"
    for _ in range(ROUNDS):
        run_times.append(ours(base))
        settle()
        for quant in QUANTS:
            peer_times[quant].append(theirs(base, quant))
            settle()
        for quant in SIMPLE:
            alone, sizes[quant] = worker(base, quant)
            settle()
            whole, _ = timed(QUERN, "convert", base / "model", "-o", out, "--engine", "gguf", "--quant", quant, "--threads", 2)
            out.unlink()
            settle()
            files[quant].append((alone, whole, floor(weights, out, sizes[quant])))
            settle()
    return run_times, peer_times, files, sizes


def median(rows):
    return tuple(statistics.median(column) for column in zip(*rows))


def copies_mb():
    """MB/s that memory copies, one thread: half of it read, half written."""
    a, b, best = bytearray(64 << 20), bytearray(64 << 20), 0.0
    for _ in range(5):
        start = time.monotonic()
        a[:] = b
        best = max(best, len(a) / (time.monotonic() - start) / 1e6)
    return best


def report(run_times, peer_times, files, sizes, source_mb):
    seconds, cpu = median(run_times)
    peer = {q: median(t) for q, t in peer_times.items()}
    peer_seconds, peer_cpu = (sum(t[i] for t in peer.values()) for i in (0, 1))
    print(f"{SPEC}: {source_mb:.0f} MB of BF16 weights, {ROUNDS} rounds, medians, {len(os.sched_getaffinity(0))} processors; "
          f"memory copies {copies_mb():.0f} MB/s\n")
    print("| eight types | seconds | CPU seconds |\n| --- | --- | --- |")
    print(f"| quern run | {seconds:.1f} | {cpu:.1f} |")
    print(f"| llama.cpp from a ready F16 file | {peer_seconds:.1f} | {peer_cpu:.1f} |")
    print(f"| times | {peer_seconds / seconds:.1f} | {peer_cpu / cpu:.1f} |\n")
    print("llama.cpp, each: " + ", ".join(f"{q} {peer[q][0]:.1f} s" for q in QUANTS) + "\n")
    print("| one file | read and write | worker | of what is possible | quern convert |\n| --- | --- | --- | --- | --- |")
    for quant in SIMPLE:
        alone, whole, least = median(files[quant])
        print(f"| {quant}, {sizes[quant] / 1e6:.0f} MB | {least:.2f} s | {alone:.2f} s | {100 * least / alone:.0f} % | {whole:.2f} s |")


def main():
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with folder() as base:
        run(QUERN, "fake", SPEC, base / "model")
        (base / "jobs.yaml").write_text(JOBS)
        run(QUERN, "convert", base / "model", "-o", base / "plain.gguf", "--engine", "gguf", "--quant", "F16")
        weights = sorted((base / "model").glob("*.safetensors"))
        for path in (*weights, base / "plain.gguf"):
            with open(path, "rb") as f:
                while f.read(1 << 24):
                    pass
        results = measure(base, weights)
        report(*results, sum(p.stat().st_size for p in weights) / 1e6)


main()
