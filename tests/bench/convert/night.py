#!/usr/bin/env python3
"""A model in eight types, from safetensors to checked files, on two processors: `quern run` against llama.cpp's way.

    night.py BUILD [SPEC [ROUNDS]]

llama.cpp's way is its Python converter to one F16 file and llama_model_quantize() from that for each type, two threads.
The converter is in no package, so that its time counts as zero and the F16 file is quern's own; the call alone is timed,
and it does not wait for the disk. quern is timed from start to exit of one run: the hash of the source, eight
conversions, validation, SHA-256 and sync of each file, the store.

Both sides take turns within one run; medians. The source is in the page cache. limit.py beside it has single files.
"""
import os
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


def settle():
    """What one left to write is not the other's time."""
    os.sync()


def measure(base):
    run_times, peer_times = [], {q: [] for q in QUANTS}
    for _ in range(ROUNDS):
        run_times.append(ours(base))
        settle()
        for quant in QUANTS:
            peer_times[quant].append(theirs(base, quant))
            settle()
    return run_times, peer_times


def median(rows):
    return tuple(statistics.median(column) for column in zip(*rows))


def report(run_times, peer_times, source_mb):
    seconds, cpu = median(run_times)
    peer = {q: median(t) for q, t in peer_times.items()}
    peer_seconds, peer_cpu = (sum(t[i] for t in peer.values()) for i in (0, 1))
    print(f"{SPEC}: {source_mb:.0f} MB of BF16 weights, {ROUNDS} rounds, medians, {len(os.sched_getaffinity(0))} processors\n")
    print("| eight types | seconds | CPU seconds |\n| --- | --- | --- |")
    print(f"| quern run | {seconds:.1f} | {cpu:.1f} |")
    print(f"| llama.cpp from a ready F16 file | {peer_seconds:.1f} | {peer_cpu:.1f} |")
    print(f"| times | {peer_seconds / seconds:.1f} | {peer_cpu / cpu:.1f} |\n")
    print("llama.cpp, each: " + ", ".join(f"{q} {peer[q][0]:.1f} s" for q in QUANTS) + "\n")


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
        results = measure(base)
        report(*results, sum(p.stat().st_size for p in weights) / 1e6)


main()
