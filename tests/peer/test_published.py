"""A model that others made and published, in GGUF: read, checked, rounded again, and run by llama.cpp."""
import ctypes as c
import json
import os
import sys
from pathlib import Path

import numpy as np

import llama
from peer import QUERN, WORK, inspect, raw_bytes, run, run_all, values

GEMMA = Path(os.environ["QUERN_PEER_DIR"]) / "models" / "gemma-3-270m-q4_k_m.gguf"
if not GEMMA.exists():
    print("SKIP: the model is not here; tests/peer/setup_models.sh says why")
    sys.exit(77)
TYPE_IDS = {"F32": 0, "Q5_0": 6, "Q8_0": 8, "Q3_K": 11, "Q4_K": 12, "Q6_K": 14}

llama.lib.llama_token_to_piece.restype = c.c_int32
llama.lib.llama_token_to_piece.argtypes = [c.c_void_p, c.c_int32, c.c_char_p, c.c_int32, c.c_int32, c.c_bool]


def test_it_is_read_and_whole():
    done = run(QUERN, "verify", GEMMA)
    assert done.returncode == 0, done.stdout
    seen = json.loads(run(QUERN, "inspect", "--json", GEMMA).stdout)
    assert seen["facts"]["architecture"] == "gemma3" and seen["facts"]["vocabulary"] == 262144, seen["facts"]
    assert set(seen["types"]) == {"F32", "Q5_0", "Q8_0", "Q4_K", "Q6_K"}, seen["types"]
    cut = WORK / "cut.gguf"
    with open(GEMMA, "rb") as f:
        cut.write_bytes(f.read(20 << 20))
    assert run(QUERN, "verify", cut).returncode != 0


def test_weights_are_those_that_ggml_reads():
    tensors = inspect(GEMMA)["tensors"]
    for kind in ("Q5_0", "Q8_0", "Q4_K", "Q6_K"):
        for t in [t for t in tensors if t["type"] == kind and t["size_bytes"] < 4 << 20][:3]:
            n = int(np.prod(t["shape"]))
            assert np.array_equal(values(GEMMA, t["name"]), llama.dequantize(raw_bytes(GEMMA, t), TYPE_IDS[kind], n)), t


def requantized(quant):
    out = WORK / f"gemma-{quant}.gguf"
    done = run(QUERN, "convert", GEMMA, "-o", out, "--engine", "gguf", "--quant", quant, "--with", "allow_requantize=true")
    assert done.returncode == 0, done.stdout
    return out


def text(model, prompt, n):
    out = b""
    for token in model.greedy(model.tokenize(prompt, add_special=True), n):
        piece = c.create_string_buffer(64)
        n = llama.lib.llama_token_to_piece(model.vocab, token, piece, 64, 0, False)
        out += piece.raw[:n]
    return out.decode()


def test_again_and_it_still_speaks():
    refused = run(QUERN, "convert", GEMMA, "-o", WORK / "no.gguf", "--engine", "gguf", "--quant", "Q8_0")
    assert refused.returncode == 2 and "allow_requantize" in refused.stdout, refused.stdout
    old = {t["name"]: t for t in inspect(GEMMA)["tensors"]}
    for quant, bound in (("Q8_0", 0.01), ("Q3_K_M", 0.2), ("IQ4_XS", 0.1)):
        path = requantized(quant)
        new = inspect(path)
        assert {t["name"] for t in new["tensors"]} == set(old)
        assert new["facts"].get("quant") == (quant if quant == "Q8_0" else None), new["facts"]
        for t in new["tensors"][40:48]:
            before = old[t["name"]]
            if t["type"] == before["type"]:
                assert raw_bytes(path, t) == raw_bytes(GEMMA, before), t
                continue
            x, y = values(GEMMA, t["name"]), values(path, t["name"])
            error = np.sqrt(((x - y) ** 2).sum() / (x ** 2).sum())
            assert error < bound, (quant, t, error)
        model = llama.Model(path)
        assert "oxygen" in text(model, "Water is made of hydrogen and", 2), quant
        assert text(model, "1, 2, 3, 4, 5,", 2).strip().startswith("6"), quant
        model.close()
        path.unlink()


run_all(globals())
