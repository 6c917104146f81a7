"""The shipped, trained model: every type loads in llama.cpp and predicts the held-out text as it should."""
import hashlib

import numpy as np

import llama
from peer import KJV, REFERENCE, convert, run_all

HELDOUT = REFERENCE["heldout"]
PROMPT = REFERENCE["prompt"]

# Most that the perplexity may differ from the one of the BF16 weights, computed in float32 by another program. The
# float types lose nothing or rounding noise; the quantized ones are held against llama.cpp's own in test_quantizer.
BOUNDS = {"F32": 0.001, "BF16": 0.002, "F16": 0.002, "Q8_0": 0.005, "Q4_0": 0.02}


def test_files_are_those_of_the_reference():
    for name, want in REFERENCE["sha256"].items():
        assert hashlib.sha256((KJV / name).read_bytes()).hexdigest() == want, name


def test_perplexity_agrees_with_the_reference():
    text, want = (KJV / HELDOUT["file"]).read_text(), HELDOUT["ppl_second_half"]
    for quant, bound in BOUNDS.items():
        m = llama.Model(convert(KJV, quant), HELDOUT["n_ctx"])
        ids = m.tokenize(text)
        assert len(ids) == HELDOUT["tokens"], (quant, len(ids))
        got = m.perplexity(ids, HELDOUT["n_ctx"])
        m.close()
        print(f"  {quant}: {got:.4f}, reference {want:.4f}")
        assert abs(got / want - 1) < bound, (quant, got, want)


def test_the_continuation_is_the_reference():
    m = llama.Model(convert(KJV, "F32"))
    assert m.tokenize(PROMPT["text"]) == PROMPT["ids"]
    assert m.greedy(PROMPT["ids"], len(PROMPT["greedy_24_ids"])) == PROMPT["greedy_24_ids"]
    last = m.logits(PROMPT["ids"])[-1]
    assert list(np.argsort(-last)[:10]) == PROMPT["top10_ids"]
    assert np.abs(last[PROMPT["top10_ids"]] - PROMPT["top10_logits"]).max() < 0.02, last[PROMPT["top10_ids"]]
    m.close()


def test_the_ids_of_the_examples():
    m = llama.Model(convert(KJV, "Q8_0"))
    for example in REFERENCE["tokenize"]:
        assert m.tokenize(example["text"]) == example["ids"], example["text"]
    m.close()


run_all(globals())
