"""What the peer tests share: conversion by the real command line, and the shipped model."""
import json
import os
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np

QUERN = os.environ["QUERN"]
SOURCE = Path(os.environ["QUERN_SOURCE"])
WORKER = Path(os.environ["QUERN_BUILD"]) / "bin" / "quern-gguf"
KJV = SOURCE / "tests" / "data" / "kjv-llama"
REFERENCE = json.loads((KJV / "reference.json").read_text())
# A small preset of quern fake for each architecture, and for its kinds.
ARCHITECTURES = [
    "llama", "mistral", "mixtral", "internlm3", "telechat2", "smollm3", "granite", "minicpm", "internlm2", "qwen2",
    "qwen3", "qwen2-moe", "qwen3-moe", "gemma", "gemma2", "gemma3", "gemma3-vision", "phi2", "phi3", "minicpm3",
    "deepseek2", "deepseek2-lite", "deepseek3", "chatglm", "stablelm", "gpt2", "falcon", "falcon-grouped", "olmo2"]
TEMP = tempfile.TemporaryDirectory(prefix="quern-peer-")
WORK = Path(TEMP.name)


def run(*args):
    return subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=WORK,
                          env={"PATH": os.environ["PATH"], "HOME": str(WORK)})


def convert(source, quant, name=None, threads=2, *more):
    """The file, made once: the same arguments give the same bytes (test_models.py)."""
    what = "-".join([name or Path(source).name, quant, str(threads), *more]).replace("/", "_")
    out = WORK / f"{what}.gguf"
    if not out.exists():
        done = run(QUERN, "convert", source, "-o", out, "--engine", "gguf", "--quant", quant, "--threads", threads, *more)
        assert done.returncode == 0, done.stdout
    return out


def inspect(path):
    return json.loads(subprocess.run([str(WORKER), "inspect", str(path)], check=True, stdout=subprocess.PIPE).stdout)


def values(path, name):
    """A tensor decoded by our own reader."""
    done = subprocess.run([str(WORKER), "dequantize", str(path), name], check=True, stdout=subprocess.PIPE)
    return np.frombuffer(done.stdout, dtype=np.float32)


def raw_bytes(path, t):
    with open(path, "rb") as f:
        f.seek(t["offset"])
        return f.read(t["size_bytes"])


def _string(s):
    return struct.pack("<Q", len(s)) + s.encode()


def _value(v):
    """A text, a list of texts, or a count."""
    if isinstance(v, str):
        return struct.pack("<I", 8) + _string(v)
    if isinstance(v, list):
        return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(_string, v))
    return struct.pack("<II", 4, v)


def write_gguf(path, tensors, metadata):
    """A small GGUF file: {name: (type number, weights, bytes)}, one row each, and pairs of metadata."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_string(key) + _value(v) for key, v in metadata)
    data = b""
    for name, (type_id, n, raw) in tensors.items():
        head += _string(name) + struct.pack("<IQIQ", 1, n, type_id, len(data))
        data += raw + bytes(-len(raw) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def write_imatrix(path, importances):
    """A file of importances in the older format: sums of 4 calls."""
    entries = [struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 4, len(v)) +
               (4 * v).astype("<f4").tobytes() for name, v in importances.items()]
    path.write_bytes(struct.pack("<i", len(entries)) + b"".join(entries) + struct.pack("<ii", 7, 4) + b"text")


def fake(spec, name):
    out = WORK / name
    done = run(QUERN, "fake", spec, out)
    assert done.returncode == 0, done.stdout
    return out


def run_all(tests):
    for name, test in list(tests.items()):
        if name.startswith("test_"):
            test()
            print(f"ok {name}")
