"""Blocks of every type that llama.cpp knows, with random bytes and finite scales: our decoder gives the same bits."""
import numpy as np

import llama
from peer import WORK, run_all, values, write_gguf

# name: number in ggml, weights and bytes of a block, where its binary16 scales are (ggml/src/ggml-common.h)
TYPES = {
    "F16": (1, 1, 2, [0]), "BF16": (30, 1, 2, []), "Q4_0": (2, 32, 18, [0]), "Q4_1": (3, 32, 20, [0, 2]),
    "Q5_0": (6, 32, 22, [0]), "Q5_1": (7, 32, 24, [0, 2]), "Q8_0": (8, 32, 34, [0]), "Q2_K": (10, 256, 84, [80, 82]),
    "Q3_K": (11, 256, 110, [108]), "Q4_K": (12, 256, 144, [0, 2]), "Q5_K": (13, 256, 176, [0, 2]),
    "Q6_K": (14, 256, 210, [208]), "IQ2_XXS": (16, 256, 66, [0]), "IQ2_XS": (17, 256, 74, [0]),
    "IQ3_XXS": (18, 256, 98, [0]), "IQ1_S": (19, 256, 50, [0]), "IQ4_NL": (20, 32, 18, [0]), "IQ3_S": (21, 256, 110, [0]),
    "IQ2_S": (22, 256, 82, [0]), "IQ4_XS": (23, 256, 136, [0]), "IQ1_M": (29, 256, 56, []), "TQ1_0": (34, 256, 54, [52]),
    "TQ2_0": (35, 256, 66, [64]), "MXFP4": (39, 32, 17, []), "NVFP4": (40, 64, 36, []), "Q1_0": (41, 128, 18, [0]),
    "Q2_0": (42, 64, 18, [0])}


def random_blocks(name, rng, n=1024):
    _, _, size, scales = TYPES[name]
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in scales:
        raw[:, at:at + 2] = rng.normal(0, 0.02, n).astype(np.float16).view(np.uint8).reshape(n, 2)
        raw[:4, at:at + 2] = np.array([0, 0x8000, 0x7bff, 1], dtype=np.uint16).view(np.uint8).reshape(4, 2)
    if name == "IQ1_M":  # the top four bits of d: no exponent of ones
        raw[:, 55] &= 0xbf
    if name == "BF16":
        raw[:, 1] &= 0xbf
    if name == "MXFP4":
        raw[:, 0] = np.minimum(raw[:, 0], 254)
    return raw.reshape(-1)


def test_every_type_decodes_to_the_same_bits():
    rng = np.random.default_rng(17)
    raw = {name: random_blocks(name, rng) for name in TYPES}
    path = WORK / "every-type.gguf"
    write_gguf(path, {name: (t[0], 1024 * t[1], raw[name].tobytes()) for name, t in TYPES.items()},
               [("general.architecture", "llama")])
    for name, (type_id, block, _, _) in TYPES.items():
        ours, theirs = values(path, name), llama.dequantize(raw[name], type_id, 1024 * block)
        different = np.flatnonzero(ours.view(np.uint32) != theirs.view(np.uint32))
        assert not different.size, (name, different.size, different[:5], ours[different[:5]], theirs[different[:5]])


run_all(globals())
