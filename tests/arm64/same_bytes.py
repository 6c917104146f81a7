#!/usr/bin/env python3
"""The same bytes from this machine's quern-gguf and from the one for arm64, in the emulator.

    same_bytes.py BIN ARM64_BIN

Every quant, plain, and deep with a hybrid ratio; the facts of result.json (measured quality, what was promoted) are
compared as well.
"""
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

NATIVE, ARM64 = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
SOURCE = Path(__file__).resolve().parents[2]
EMULATOR = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
# Frequencies by the C library's pow(): a Llama 3 as published, smaller.
LLAMA3 = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}


def quants():
    found = json.loads(subprocess.run([NATIVE / "quern", "engines", "--json"], check=True, stdout=subprocess.PIPE).stdout)
    names = [q["name"] for e in found["engines"] if e["name"] == "gguf" for q in e["quants"]]
    assert len(names) > 20, names
    return names


def models(work):
    yield SOURCE / "tests/data/kjv-llama", ("Q4_K_M", "Q8_0")
    for spec in ("llama-tiny:fill=random", "gemma3-tiny:fill=random"):
        folder = work / spec.split(":")[0]
        subprocess.run([NATIVE / "quern-fake", "make", spec, folder], check=True, stdout=subprocess.DEVNULL)
        if spec.startswith("llama"):
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, "rope_theta": 500000.0, "rope_scaling": LLAMA3}))
        yield folder, quants() if spec.startswith("llama") else ("Q4_K_M",)


def convert(program, folder, source, quant, opt):
    """The SHA-256 of the file, and what the result says."""
    (folder / "out").mkdir(parents=True)
    job = {"protocol": 1, "job": "0" * 64, "attempt": 1, "verb": "convert", "engine": {"name": "gguf", "version": "1"},
           "name": source.name, "file": "model", "source": {"dir": str(source), "format": "safetensors"}, "lora": None,
           "platform": "", "quant": quant, "hybrid": 0.25 if opt else 0, "opt": opt, "with": {"without_imatrix": True}, "out": "out", "threads": 2}
    (folder / "job.json").write_text(json.dumps(job))
    done = subprocess.run([*program, "convert", folder / "job.json"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "result.json").read_text())
    return hashlib.sha256((folder / "out/model.gguf").read_bytes()).hexdigest(), result["facts"]


def main():
    with tempfile.TemporaryDirectory(prefix="quern-arm64-") as base:
        work, n = Path(base), 0
        for source, names in models(work):
            for quant in names:
                for opt in (0, 1):
                    here, there = (
                        convert(program, work / f"{n}-{place}", source, quant, opt)
                        for place, program in (("here", [NATIVE / "quern-gguf"]), ("arm64", [*EMULATOR, ARM64 / "quern-gguf"])))
                    assert here == there, f"{source.name} {quant} opt {opt}: another file on arm64\n{here}\n{there}"
                    n += 1
        print(f"{n} conversions: the same bytes and the same measured quality on arm64")


main()
