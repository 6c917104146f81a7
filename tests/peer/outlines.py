"""Which tensors have which types: in our files, and in those that llama.cpp's quantizer makes of our BF16 file."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from peer import KJV, WORK, convert, inspect, write_imatrix

PROGRAM = Path(__file__).with_name("quantizer.py")
WITH_IMPORTANCES = ("IQ3_XS", "IQ3_XXS", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")


def theirs(quant, source=KJV, imatrix=None, settings=()):
    out = WORK / "-".join(["llama-cpp", source.name, quant, "weighted" if imatrix else "plain", *settings, ".gguf"])
    if out.exists():
        return out
    more = [",".join(settings), imatrix] if imatrix else [",".join(settings)]
    done = subprocess.run([sys.executable, PROGRAM, convert(source, "BF16"), out, quant, "2", *more],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == 77:
        print(done.stdout, end="")
        sys.exit(77)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


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


def same_outline(quant, source=KJV, imatrix=None, settings=()):
    """settings: as of the engine, and of quantizer.py."""
    more = [*settings, *(["imatrix=imatrix.dat"] if imatrix else [])]
    ours = outline(convert(source, quant, None, 2, *(word for s in more for word in ("--with", s))))
    other = outline(theirs(quant, source, imatrix, settings))
    assert ours == other, (source.name, quant, settings, [pair for pair in zip(ours, other) if pair[0] != pair[1]][:5])
