"""Against llama.cpp's whole quantizer (llama_model_quantize), fed with our BF16 file: it takes the file, and our
quantized files predict the held-out text as well as the ones that it makes."""
import subprocess
import sys
from pathlib import Path

import llama
from peer import KJV, REFERENCE, WORK, convert, inspect, run_all

PROGRAM = Path(__file__).with_name("quantizer.py")
TEXT = (KJV / "heldout.txt").read_text()


def theirs(quant, output_type):
    out = WORK / "-".join(["llama-cpp", quant, *output_type, ".gguf"])
    done = subprocess.run([sys.executable, PROGRAM, convert(KJV, "BF16"), out, quant, "2", *output_type],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == 77:
        print(done.stdout, end="")
        sys.exit(77)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def perplexity(path):
    m = llama.Model(path)
    value = m.perplexity(m.tokenize(TEXT))
    m.close()
    return value


def outline(path):
    return [(t["name"], t["type"], t["shape"]) for t in inspect(path)["tensors"]]


def test_same_tensors_types_and_order():
    for quant in ("Q8_0", "Q4_0"):
        assert outline(convert(KJV, quant)) == outline(theirs(quant, ["Q8_0"])), quant


def test_perplexity_is_not_above_theirs():
    """Also where theirs has its own choice for the tied embedding (Q6_K in Q4_0 files)."""
    for quant, bound in (("Q8_0", 1.002), ("Q4_0", 1.01)):
        ours = perplexity(convert(KJV, quant))
        for output_type in ([], ["Q8_0"]):
            peer = perplexity(theirs(quant, output_type))
            print(f"  {quant}: {ours:.4f}; llama_model_quantize {'with ' + output_type[0] if output_type else ''}"
                  f" {peer:.4f}; reference {REFERENCE['heldout']['ppl_second_half']:.4f}")
            assert ours <= peer * bound, (quant, output_type, ours, peer)


run_all(globals())
