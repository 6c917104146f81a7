#!/usr/bin/env python3
"""Perplexity of the shipped model's held-out text, and divergence from exact predictions: our file of each type, with
opt 1, and llama.cpp's own quantizer's.

    perplexity.py [QUANT...]       as the peer tests are run: tests/peer/run.sh build/peer tests/bench/codecs/perplexity.py

Prints the rows of a Markdown table; sizes in bytes, divergences in thousandths of a nat. The reference is the one of the BF16 weights in float32.
"""
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).resolve().parents[2] / "peer"
sys.path.insert(0, str(PEER))

import llama  # noqa: E402
from peer import KJV, REFERENCE, WORK, convert  # noqa: E402

QUANTS = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K_L",
          "Q3_K_M", "Q3_K_S", "IQ3_M", "IQ3_S", "Q2_K")
TEXT = (KJV / "heldout.txt").read_text()


def predictions(path):
    m = llama.Model(path)
    found = m.predictions(m.tokenize(TEXT))
    m.close()
    return found


def theirs(quant):
    out = WORK / f"llama-cpp-{quant}.gguf"
    subprocess.run([sys.executable, PEER / "quantizer.py", convert(KJV, "BF16"), out, quant, "2"], check=True,
                   stdout=subprocess.DEVNULL)
    return out


def main(quants):
    exact, tokens = predictions(convert(KJV, "F32"))
    print(f"Reference: {REFERENCE['heldout']['ppl_second_half']:.4f}\n\n"
          "| type | size | opt 0 | opt 1 | llama-quantize | divergence | of llama-quantize's |\n"
          "| --- | --- | --- | --- | --- | --- | --- |")
    for quant in quants or QUANTS:
        paths = convert(KJV, quant), convert(KJV, quant, None, 2, "--opt", "1"), theirs(quant)
        found = [predictions(path)[0] for path in paths]
        print(f"| {quant} | {paths[0].stat().st_size} | " +
              " | ".join(f"{llama.perplexity(x, tokens):.4f}" for x in found) + " | " +
              " | ".join(f"{1e3 * llama.divergence(exact, x):.3f}" for x in found[::2]) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
