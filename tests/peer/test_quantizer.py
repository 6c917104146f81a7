"""Against llama.cpp's whole quantizer (llama_model_quantize), fed with our BF16 file: it takes the file, and our
quantized files predict the held-out text as well as the ones that it makes."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import llama
from peer import KJV, WORK, convert, fake, inspect, run_all, write_imatrix

PROGRAM = Path(__file__).with_name("quantizer.py")
QUANTS = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K_L",
          "Q3_K_M", "Q3_K_S", "Q2_K", "IQ3_M", "IQ3_S", "TQ1_0", "TQ2_0", "MXFP4_MOE", "Q2_0", "Q1_0")
WITH_IMPORTANCES = ("IQ3_XS", "IQ3_XXS", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")
RAGGED = ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_XS", "IQ3_S", "TQ2_0", "Q2_0")  # it refuses Q1_0
# One of each family: a prediction of the whole text takes seconds. The ternary types are for models that were trained so.
PREDICTED = ["Q8_0", "Q6_K", "Q5_K_M", "Q5_0", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "Q2_K"]
TEXT = (KJV / "heldout.txt").read_text()


def theirs(quant, source=KJV):
    return theirs_of([(quant, source, None)])[0]


def theirs_of(wanted):
    """Its files of (quant, source, importances or None), each made once; those that are missing by one process."""
    paths = [WORK / "-".join(["llama-cpp", source.name, quant, "weighted" if imatrix else "plain", ".gguf"])
             for quant, source, imatrix in wanted]
    words = []
    for path, (quant, source, imatrix) in zip(paths, wanted):
        if not path.exists():
            words += ["--", convert(source, "BF16"), path, quant, "2", *(["", imatrix] if imatrix else [])]
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
    found = {t["name"]: np.exp(rng.normal(size=t["shape"][0])) for t in inspect(convert(source, "BF16"))["tensors"]
             if len(t["shape"]) > 1}
    write_imatrix(source / "imatrix.dat", found)
    path = WORK / (source.name + "-imatrix.json")
    path.write_text(json.dumps({name: v.tolist() for name, v in found.items()}))
    return path


def outline(path):
    return [(t["name"], t["type"], t["shape"]) for t in inspect(path)["tensors"]]


def same_outlines(*wanted):
    """wanted: (quant, source, importances or None)"""
    for (quant, source, imatrix), path in zip(wanted, theirs_of(wanted)):
        ours = outline(convert(source, quant, None, 2, *(["--with", "imatrix=imatrix.dat"] if imatrix else [])))
        other = outline(path)
        assert ours == other, (source.name, quant, [pair for pair in zip(ours, other) if pair[0] != pair[1]][:5])


def test_same_tensors_types_and_order():
    """Every mix; grouped keys and enough layers for every rule; rows that are no multiple of 256. Of zeros: only the plan
    counts here, and its encoders of the small types take seconds for anything else."""
    same_outlines(*((quant, KJV, None) for quant in ("Q8_0", "Q4_0", "Q4_K_M")))
    grouped = fake("llama-tiny:fill=zero,layers=17,hidden=256,heads=8,kv_heads=2,tie=false", "grouped")
    same_outlines(*((quant, grouped, None) for quant in QUANTS))
    ragged = fake("llama-tiny:fill=zero,layers=9,hidden=256,ffn=288,heads=8,kv_heads=4,tie=true", "ragged")
    same_outlines(*((quant, ragged, None) for quant in RAGGED))
    small = "llama-tiny:fill=zero,layers=9,hidden=256,ffn=256,heads=8,"
    groups, pairs = fake(small + "kv_heads=2,tie=false", "groups"), fake(small + "kv_heads=4,tie=true", "pairs")
    weigh = {source: importances(source) for source in (groups, pairs, ragged)}
    same_outlines(*((quant, source, weigh[source]) for source, quants in (
        (groups, (*WITH_IMPORTANCES, "Q4_0")), (pairs, ("IQ3_XS", "IQ2_M", "IQ2_XXS", "IQ1_M", "IQ3_M", "IQ3_S")),
        (ragged, ("IQ3_XXS", "IQ1_M"))) for quant in quants))


def predictions(path):
    m = llama.Model(path)
    found = m.predictions(m.tokenize(TEXT), every=2)
    m.close()
    return found


def test_predictions_are_not_worse_than_theirs():
    """How far predictions are from those of the weights as they are tells two files apart where perplexity cannot: a
    chance error that points along the gradient of a small text moves that by some tenths of a percent either way."""
    exact, tokens = predictions(convert(KJV, "F32"))
    for quant in PREDICTED:
        found = [predictions(path)[0] for path in (convert(KJV, quant), theirs(quant))]
        ours, peer = [llama.divergence(exact, x) for x in found]
        perplexity = [llama.perplexity(x, tokens) for x in found]
        print(f"  {quant}: divergence {ours:.6f}, llama_model_quantize's file {peer:.6f}; perplexity {perplexity[0]:.4f}, "
              f"{perplexity[1]:.4f}; without loss {llama.perplexity(exact, tokens):.4f}")
        assert ours <= 1.03 * peer, (quant, ours, peer)
        assert perplexity[0] <= perplexity[1] * 1.006, (quant, perplexity)


run_all(globals())
