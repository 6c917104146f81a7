#!/usr/bin/env python3
"""Conversion to Q8_0 and Q4_0, end to end: quern from safetensors against llama.cpp's quantizer from a BF16 GGUF.

    bench.py BUILD [SPEC [ROUNDS]]

Both programs are timed as a user waits for them, from start to exit, in turn within one run, with the model's files
in the page cache and the outputs on the same file system; medians are compared. llama.cpp gets a head start: the
GGUF that it reads has been made beforehand (its way from safetensors to that GGUF is not counted), and quern's time
includes the check and the sync to disk that `quern convert` does. MB/s are of the source's weights.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEER = HERE.parents[1] / "peer" / "quantizer.py"
QUANTS = ("Q8_0", "Q4_0")
THREADS = (1, 2)


def timed(argv):
    """Seconds from start to exit, CPU seconds, and what was printed."""
    before = os.times()
    start = time.monotonic()
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seconds = time.monotonic() - start
    after = os.times()
    if done.returncode == 77:
        print(done.stdout, end="")
        sys.exit(77)
    if done.returncode:
        sys.exit(f"{argv[0]} failed:\n{done.stdout}{done.stderr}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, cpu, done.stdout


def into_page_cache(path):
    with open(path, "rb") as f:
        while f.read(1 << 24):
            pass


def measure(quern, folder, plain, work, rounds):
    """Rounds of (seconds, CPU seconds) by (who, quant, threads), and the peer's name for its build."""
    times, build = {}, ""
    for _ in range(rounds):
        for quant in QUANTS:
            for threads in THREADS:
                out = work / "out.gguf"
                commands = {
                    "quern": [quern, "convert", folder, "-o", out, "--engine", "gguf", "--quant", quant,
                              "--threads", threads],
                    "llama.cpp": [sys.executable, PEER, plain, out, quant, threads]}
                for who, argv in commands.items():
                    seconds, cpu, said = timed(argv)
                    times.setdefault((who, quant, threads), []).append((seconds, cpu))
                    build = said.splitlines()[0] if who == "llama.cpp" else build
                    out.unlink()
                    os.sync()  # what one left to write is not the other's time
    return times, build


def main(build, spec="llama-1b:layers=6,fill=random", rounds="3"):
    quern = Path(build).resolve() / "bin" / "quern"
    with tempfile.TemporaryDirectory(prefix="quern-bench-", dir=os.environ.get("QUERN_BENCH_DIR")) as temp:
        work = Path(temp)
        folder, plain = work / "model", work / "plain.gguf"
        timed([quern, "fake", spec, folder])
        timed([quern, "convert", folder, "-o", plain, "--engine", "gguf", "--quant", "BF16"])
        weights = sorted(folder.glob("*.safetensors"))
        for path in (*weights, plain):
            into_page_cache(path)
        source_mb = sum(p.stat().st_size for p in weights) / 1e6
        times, peer = measure(quern, folder, plain, work, int(rounds))

    print(f"{spec}: {source_mb:.0f} MB of BF16 weights, {rounds} rounds, medians, {os.cpu_count()} processors")
    print(f"peer: llama.cpp release v0.5.0 (node-llama-cpp 3.22.1, prebuilt): {peer}; its block encoders are in")
    print("libggml-base, one baseline build for every x86-64 processor; quern: the build in " + str(build))
    print(f"{'quant':6} {'threads':>7}  {'quern':>16}  {'llama.cpp':>16}  {'time ratio':>10}  {'CPU ratio':>9}")
    for quant in QUANTS:
        for threads in THREADS:
            (ours, ours_cpu), (theirs, theirs_cpu) = (
                [statistics.median(column) for column in zip(*times[who, quant, threads])]
                for who in ("quern", "llama.cpp"))
            print(f"{quant:6} {threads:7}  {ours:5.2f} s {source_mb / ours:4.0f} MB/s  {theirs:5.2f} s "
                  f"{source_mb / theirs:4.0f} MB/s  {theirs / ours:10.2f}  {theirs_cpu / ours_cpu:9.2f}")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
