"""Which tensors have which types: in our files, and in those that llama.cpp's quantizer makes of our BF16 file."""
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from peer import KJV, WORK, convert, inspect, write_imatrix

PROGRAM = Path(__file__).with_name("quantizer.py")
WITH_IMPORTANCES = ("IQ3_XS", "IQ3_XXS", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")


class Wanted(NamedTuple):
    quant: str
    source: Path = KJV
    imatrix: Path = None
    settings: tuple = ()  # as of the engine, and of quantizer.py


def theirs(*wanted):
    """Its files, each made once; those that are missing by one process."""
    paths = [WORK / "-".join(["llama-cpp", w.source.name, w.quant, "weighted" if w.imatrix else "plain", *w.settings, ".gguf"])
             for w in wanted]
    words = []
    for path, w in zip(paths, wanted):
        if not path.exists():
            words += ["--", convert(w.source, "BF16"), path, w.quant, "2", ",".join(w.settings), *([w.imatrix] if w.imatrix else [])]
    if words:
        done = subprocess.run([sys.executable, PROGRAM, *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode == 77:
            print(done.stdout, end="")
            sys.exit(77)
        assert done.returncode == 0, done.stdout + done.stderr
    return paths


def importances(source):
    """Of every matrix, some; the same for both programs."""
    rng = np.random.default_rng(11)
    found = {t["name"]: np.exp(rng.normal(size=t["shape"][0] * (t["shape"] + [1])[2 if len(t["shape"]) > 2 else -1]))
             for t in inspect(convert(source, "BF16"))["tensors"] if len(t["shape"]) > 1}
    write_imatrix(source / "imatrix.dat", found)
    path = WORK / (source.name + "-imatrix.json")
    path.write_text(json.dumps({name: v.tolist() for name, v in found.items()}))
    return path


def outline(path):
    return [(t["name"], t["type"], t["shape"]) for t in inspect(path)["tensors"]]


def same_outlines(*wanted):
    """All that differ are told before it fails."""
    wrong = []
    for path, w in zip(theirs(*wanted), wanted):
        more = [*w.settings, *(["imatrix=imatrix.dat"] if w.imatrix else [])]
        ours = outline(convert(w.source, w.quant, None, 2, *(word for s in more for word in ("--with", s))))
        differ = [pair for pair in zip(ours, outline(path), strict=True) if pair[0] != pair[1]]
        if differ:
            wrong.append((w.source.name, w.quant, w.settings, differ[:5]))
    assert not wrong, wrong
