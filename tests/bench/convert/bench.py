#!/usr/bin/env python3
"""Conversion to Q8_0 and Q4_0, end to end: quern from safetensors against llama.cpp's quantizer from a BF16 GGUF.

    bench.py BUILD [SPEC [ROUNDS]]

Both take turns within one run, with the model's files in the page cache and the outputs on the same file system;
medians are compared. llama.cpp gets a head start: the GGUF that it reads has been made beforehand (its way from
safetensors to that GGUF is not counted), only its call llama_model_quantize() is timed, without the start of the
program around it, and it does not wait for the disk. quern is timed as a user waits for it, from start to exit:
with the sandbox, the check of the output and its sync to disk. Both
choose the same types. MB/s are of the source's weights.
"""
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import BUILD, QUERN, folder, number  # noqa: E402

PEER = Path(__file__).resolve().parents[2] / "peer" / "quantizer.py"
SPEC = sys.argv[2] if len(sys.argv) > 2 else "llama-1b:layers=6,fill=random"
ROUNDS = number(3, 3)
QUANTS = ("Q8_0", "Q4_0")
THREADS = (1, 2)


def run(*argv):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == 77:
        print(done.stdout, end="")
        sys.exit(77)
    if done.returncode:
        sys.exit(f"{argv[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def convert(source, out, quant, threads):
    """Seconds from start to exit, and CPU seconds."""
    before, start = os.times(), time.monotonic()
    run(QUERN, "convert", source, "-o", out, "--engine", "gguf", "--quant", quant, "--threads", threads)
    seconds, after = time.monotonic() - start, os.times()
    return seconds, after.children_user + after.children_system - before.children_user - before.children_system


def peer(source, out, quant, threads):
    """Seconds and CPU seconds of the call, and the library's name."""
    name, times = run(sys.executable, PEER, source, out, quant, threads, "Q8_0").splitlines()
    return tuple(float(t) for t in times.split()), name


def into_page_cache(path):
    with open(path, "rb") as f:
        while f.read(1 << 24):
            pass


def clear(out):
    """What one left to write is not the other's time."""
    out.unlink()
    os.sync()


def measure(model, plain, out):
    """Rounds of (seconds, CPU seconds) by (who, quant, threads), and the peer's name for its build."""
    times = {(who, quant, threads): [] for who in ("quern", "llama.cpp") for quant in QUANTS for threads in THREADS}
    name = ""
    for _ in range(ROUNDS):
        for quant in QUANTS:
            for threads in THREADS:
                times["quern", quant, threads].append(convert(model, out, quant, threads))
                clear(out)
                took, name = peer(plain, out, quant, threads)
                times["llama.cpp", quant, threads].append(took)
                clear(out)
    return times, name


def main():
    with folder() as work:
        model, plain = work / "model", work / "plain.gguf"
        run(QUERN, "fake", SPEC, model)
        convert(model, plain, "BF16", THREADS[-1])
        weights = sorted(model.glob("*.safetensors"))
        for path in (*weights, plain):
            into_page_cache(path)
        source_mb = sum(p.stat().st_size for p in weights) / 1e6
        times, name = measure(model, plain, work / "out.gguf")

    print(f"{SPEC}: {source_mb:.0f} MB of BF16 weights, {ROUNDS} rounds, medians, {os.cpu_count()} processors")
    print(f"peer: llama.cpp release v0.5.0 (node-llama-cpp 3.22.1, prebuilt): {name}; its block encoders are in")
    print(f"libggml-base, one baseline build for every x86-64 processor; quern: the build in {BUILD}")
    print(f"{'quant':6} {'threads':>7}  {'quern':>16}  {'llama.cpp':>16}  {'time ratio':>10}  {'CPU ratio':>9}")
    for quant in QUANTS:
        for threads in THREADS:
            (ours, ours_cpu), (theirs, theirs_cpu) = (
                [statistics.median(column) for column in zip(*times[who, quant, threads])]
                for who in ("quern", "llama.cpp"))
            print(f"{quant:6} {threads:7}  {ours:5.2f} s {source_mb / ours:4.0f} MB/s  {theirs:5.2f} s "
                  f"{source_mb / theirs:4.0f} MB/s  {theirs / ours:10.2f}  {theirs_cpu / ours_cpu:9.2f}")


main()
