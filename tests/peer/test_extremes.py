"""What no trained model has, through whole conversions: tensors without elements, rows of any length, numbers at the ends of
their range. Each gives what it should or is refused by the name of its tensor; nothing is left of a refused one."""
import json
import struct
import subprocess

import numpy as np

import llama
from peer import WORK, WORKER, fake, inspect, run_all, values

QUANTS = ("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS",
          "TQ1_0", "TQ2_0", "MXFP4_MOE", "Q2_0", "Q1_0", "IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")
TENSOR = "model.layers.0.mlp.up_proj.weight"
OURS = "blk.0.ffn_up.weight"


def read(folder):
    """Tensors of the only file as arrays of float32 (BF16 is not needed here)."""
    data = (folder / "model.safetensors").read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + n])
    head.pop("__metadata__", None)
    return {k: np.frombuffer(data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]], "<f4").reshape(v["shape"]).copy()
            for k, v in head.items()}


def write(folder, tensors):
    head, at = {}, 0
    for k, v in tensors.items():
        head[k] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [at, at + v.nbytes]}
        at += v.nbytes
    text = json.dumps(head).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in tensors.values()))


def base(name, more=""):
    return fake(f"llama-tiny:fill=random,dtype=F32,hidden=256,heads=8,kv_heads=8,ffn=512{more}", name)


def convert(folder, quant, code=0, opt=0, **options):
    job = WORK / f"job-{len(list(WORK.glob('job-*')))}"
    (job / "out").mkdir(parents=True)
    (job / "job.json").write_text(json.dumps({
        "protocol": 1, "job": "0" * 64, "attempt": 1, "verb": "convert", "engine": {"name": "gguf", "version": "1"}, "name": "m",
        "file": "m", "source": {"dir": str(folder), "format": "safetensors"}, "lora": None, "platform": "", "quant": quant,
        "hybrid": 0, "opt": opt, "with": {"without_imatrix": True, **options}, "out": "out", "threads": 3}))
    done = subprocess.run([str(WORKER), "convert", "job.json"], cwd=job, capture_output=True, text=True)
    assert done.returncode == code, (quant, done.returncode, done.stderr)
    if code:
        assert not list((job / "out").iterdir()), "a refused conversion left something"
        return done.stderr
    checked = subprocess.run([str(WORKER), "validate", "job.json"], cwd=job, capture_output=True, text=True)
    assert checked.returncode == 0, (quant, checked.stderr)
    return job / "out/m.gguf"


def filled(name, weights):
    """The base with one matrix replaced."""
    folder = base(name)
    tensors = read(folder)
    tensors[TENSOR] = weights.astype("<f4")
    write(folder, tensors)
    return folder


def test_nan_and_infinity():
    """Refused with tensor and place in every type, or zeroed and counted when that is asked for."""
    for name, bad in (("nan", np.nan), ("inf", np.inf), ("minus-inf", -np.inf)):
        w = np.random.default_rng(1).normal(size=(512, 256)) * 0.02
        w[300, 77] = bad
        folder = filled(name, w)
        for quant in QUANTS:
            said = convert(folder, quant, code=3)
            assert TENSOR in said and str(300 * 256 + 77) in said, said
        got = values(convert(folder, "Q8_0", nonfinite="zero"), OURS).reshape(512, 256)
        assert got[300, 77] == 0 and np.abs(got - np.where(np.isfinite(w), w, 0)).max() < 0.01


def test_subnormals_become_finite():
    """Scales of such blocks are subnormal or zero as binary16: the values are near zero, and none is lost to NaN."""
    rng = np.random.default_rng(2)
    for name, scale in (("subnormal", 1e-40), ("tiny", 1e-20), ("small", 1e-8)):
        folder = filled(name, rng.normal(size=(512, 256)) * scale)
        for quant in QUANTS:
            for opt in (0, 1):
                got = values(convert(folder, quant, opt=opt), OURS)
                assert np.isfinite(got).all() and np.abs(got).max() <= max(8 * scale, 1e-7), (name, quant, np.abs(got).max())


def test_blocks_of_zeros_stay_zeros():
    w = np.zeros((512, 256))
    w[3:5] = np.random.default_rng(3).normal(size=(2, 256))
    folder = filled("zeros", w)
    for quant in QUANTS:
        for opt in (0, 1):
            got = values(convert(folder, quant, opt=opt), OURS).reshape(512, 256)
            assert not got[:3].any() and not got[5:].any() and got[3:5].any(), quant


def test_largest_numbers():
    """What fits is kept, what no scale reaches is refused by name."""
    w = np.random.default_rng(4).normal(size=(512, 256)) * 1e4
    folder = filled("large", w)
    for quant in ("Q8_0", "Q4_K_M", "Q6_K", "BF16"):
        got = values(convert(folder, quant), OURS).reshape(512, 256)
        assert np.sqrt(((got - w) ** 2).mean() / (w ** 2).mean()) < 0.1
    folder = filled("too-large", w * 1e30)
    for quant in ("F16", "Q8_0", "Q4_K_M", "IQ4_XS"):
        assert "too large" in convert(folder, quant, code=3)
    assert np.isfinite(values(convert(folder, "BF16"), OURS)).all()


def test_rows_that_no_block_divides():
    """264 is no multiple of 32 nor of 256: F16, with a warning; llama.cpp loads it."""
    folder = fake("llama-tiny:fill=random,hidden=264,heads=6,kv_heads=6,ffn=520", "ragged")
    for quant in ("Q8_0", "Q4_K_M", "IQ4_XS", "TQ2_0"):
        out = convert(folder, quant)
        types = {t["name"]: t["type"] for t in inspect(out)["tensors"]}
        assert types[OURS] == "F16" and types["blk.0.ffn_down.weight"] == "F16", types
        m = llama.Model(out, 64)
        assert np.isfinite(m.logits(list(range(3, 20)))).all()
        m.close()


def test_tensors_without_elements():
    """One that the architecture knows has another shape than it should; a stranger is no part of it. Both are named."""
    folder = base("empty")
    tensors = read(folder)
    write(folder, {**tensors, TENSOR: np.zeros((0, 256), "<f4")})
    assert TENSOR in convert(folder, "Q8_0", code=3)
    write(folder, {**tensors, "model.stranger.weight": np.zeros((0,), "<f4")})
    assert "model.stranger.weight" in convert(folder, "Q8_0", code=3)
    # Of those that are passed over, one without elements is none the worse.
    write(folder, {**tensors, "model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros((0,), "<f4")})
    convert(folder, "Q8_0")


run_all(globals())
