#!/usr/bin/env python3
"""The table of README.md: quern beside llama.cpp, measured in one run.

    build/peer/venv/bin/python tests/bench/codecs/table.py BUILD [QUANT...]

Speed and error are of the type that most weights of the file get, one thread, normal weights (bench_codecs, whose
peer is ggml_quantize_chunk() of llama.cpp's release). Perplexity, and divergence from exact predictions in thousandths of
a nat, are of whole files of the shipped model over its held-out text, computed by llama.cpp, against the file that
llama_model_quantize() makes. Markdown on standard output.
"""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
if len(sys.argv) < 2:
    sys.exit(__doc__)
BUILD = Path(sys.argv[1]).resolve()
PEERS = Path(os.environ.setdefault("QUERN_PEER_DIR", str(ROOT / "build" / "peer")))
os.environ.update(QUERN=str(BUILD / "bin" / "quern"), QUERN_BUILD=str(BUILD), QUERN_SOURCE=str(ROOT))
sys.path[:0] = [str(ROOT / "tests" / "peer"), str(Path(__file__).resolve().parent)]

import llama  # noqa: E402
import quantizer  # noqa: E402
from peer import KJV, REFERENCE, convert  # noqa: E402
from perplexity import predictions, theirs  # noqa: E402

MOST = {"Q8_0": "Q8_0", "Q6_K": "Q6_K", "Q5_K_M": "Q5_K", "Q5_1": "Q5_1", "Q5_0": "Q5_0", "Q4_K_M": "Q4_K", "Q4_1": "Q4_1",
        "Q4_0": "Q4_0", "IQ4_NL": "IQ4_NL", "IQ4_XS": "IQ4_XS", "Q3_K_M": "Q3_K", "Q2_K": "Q2_K"}


def encoders(types):
    """Cells of bench_codecs' first table by type: ggml's speed and error, ours plain, ours deep."""
    subprocess.run(["cmake", "--build", BUILD, "--target", "bench_codecs", "--", "--quiet"], check=True, stdout=sys.stderr)
    program, rows = BUILD / "tests/bench/codecs/bench_codecs", {}
    with subprocess.Popen([program, quantizer.folder() / "libggml-base.so", *types], stdout=subprocess.PIPE, text=True) as p:
        for line in p.stdout:
            cells = [c.strip() for c in line.strip("|\n ").split("|")]
            if cells[0] in types:
                rows[cells[0]] = cells
            if len(rows) == len(set(types)):
                p.kill()  # other distributions follow, which are for docs/gguf.md
                break
    return rows


def main(quants):
    rows = encoders([MOST[q] for q in quants])
    exact, tokens = predictions(convert(KJV, "F32"))
    print(f"Perplexity of the BF16 checkpoint: {REFERENCE['heldout']['ppl_second_half']:.3f}\n")
    print("| type | ggml Mw/s | quern | times | ggml error | opt 0 | opt 1 | size | llama-quantize | opt 0 | opt 1 "
          "| divergence | opt 0 | opt 1 |")
    print("| --- |" + " --- |" * 13)
    for quant in quants:
        _, speed, error, ours, times, plain_error, _, _, deep_error = rows[MOST[quant]]
        paths = theirs(quant), convert(KJV, quant), convert(KJV, quant, None, 2, "--opt", "1")
        sizes = [p.stat().st_size for p in paths]
        if max(sizes) - min(sizes) > 1024:  # metadata differs by some words
            sys.exit(f"{quant}: files of {sizes} bytes cannot be compared")
        found = [predictions(path)[0] for path in paths]
        print(f"| {quant} | {float(speed):.0f} | {float(ours):.0f} | {times} | {error} | {plain_error} | {deep_error} "
              f"| {sizes[1] / 1e6:.2f} MB | " + " | ".join(f"{llama.perplexity(x, tokens):.3f}" for x in found) + " | " +
              " | ".join(f"{1e3 * llama.divergence(exact, x):.2f}" for x in found) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[2:] or list(MOST))
