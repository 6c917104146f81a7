"""What the peer tests share: conversion by the real command line, and the shipped model."""
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

QUERN = os.environ["QUERN"]
SOURCE = Path(os.environ["QUERN_SOURCE"])
WORKER = Path(os.environ["QUERN_BUILD"]) / "bin" / "quern-gguf"
KJV = SOURCE / "tests" / "data" / "kjv-llama"
REFERENCE = json.loads((KJV / "reference.json").read_text())
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
