"""Other shapes: Qwen2, tied and untied output, shards, every source dtype, llama3 scaling; any number of threads."""
import hashlib
import json

import numpy as np

import llama
from peer import convert, fake, inspect, run_all, values


def forward(path):
    m = llama.Model(path, 64)
    x = m.logits(list(range(3, 35)))
    m.close()
    assert np.isfinite(x).all() and x.std() > 0, "the logits say nothing"
    return x


def near(x, base, bound):
    return np.abs(x - base).max() < bound * max(1.0, np.abs(base).max())


def test_families_and_types():
    for family in ("llama-tiny", "qwen2-tiny"):
        for tie in ("true", "false"):
            folder = fake(f"{family}:fill=random,tie={tie}", f"{family}-{tie}")
            plain = convert(folder, "F32")
            names = [t["name"] for t in inspect(plain)["tensors"]]
            assert ("output.weight" in names) == (tie == "false"), names
            base = forward(plain)
            for quant, bound in (("F16", 0.01), ("BF16", 0.05), ("Q8_0", 0.1), ("Q4_0", 1.0)):
                assert near(forward(convert(folder, quant)), base, bound), (family, tie, quant)


def test_shards_give_the_same_model():
    for family in ("llama-tiny", "qwen2-tiny"):
        one = fake(f"{family}:fill=random", f"{family}-one")
        sharded = fake(f"{family}:fill=random,shard=200KB", f"{family}-sharded")
        assert len(list(sharded.glob("*.safetensors"))) > 1
        for quant in ("F32", "Q4_0"):
            a, b = convert(one, quant), convert(sharded, quant)
            assert inspect(a)["tensors"] == inspect(b)["tensors"]
            for t in inspect(a)["tensors"]:
                assert np.array_equal(values(a, t["name"]), values(b, t["name"])), (quant, t["name"])
        forward(b)


def test_source_types():
    """The weights of the fake models are BF16 numbers or rounded from the same ones: all three sources agree."""
    base = forward(convert(fake("llama-tiny:fill=random,dtype=F32", "from-F32"), "F32"))
    for dtype, bound in (("F16", 0.01), ("BF16", 0.05)):
        folder = fake(f"llama-tiny:fill=random,dtype={dtype}", f"from-{dtype}")
        assert near(forward(convert(folder, "F32")), base, bound), dtype
    for dtype in ("F32", "F16", "BF16"):
        for quant in ("F16", "BF16", "Q8_0", "Q4_0"):
            forward(convert(fake(f"llama-tiny:fill=random,dtype={dtype}", f"{dtype}-{quant}"), quant))


def test_llama3_rope_scaling():
    """The factors reach the run time: without them the same weights say something else."""
    folder = fake("llama-tiny:fill=random", "scaled")
    plain = forward(convert(folder, "F32", "unscaled"))
    config = json.loads((folder / "config.json").read_text())
    config["rope_scaling"] = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                              "original_max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(config))
    scaled = convert(folder, "F32")
    assert "rope_freqs.weight" in [t["name"] for t in inspect(scaled)["tensors"]]
    assert not np.array_equal(forward(scaled), plain)


def test_threads_do_not_change_a_byte():
    """Tensors of several pieces each, in several shards."""
    folder = fake("llama:layers=2,hidden=1024,ffn=2816,heads=16,kv_heads=4,head_dim=64,vocab=16000,fill=random,"
                  "shard=30MB", "wide")
    for quant in ("F32", "F16", "BF16", "Q8_0", "Q4_0"):
        sums = set()
        for threads in (1, 2, 5, 16):
            path = convert(folder, quant, threads=threads)
            sums.add(hashlib.sha256(path.read_bytes()).hexdigest())
            path.unlink()
        assert len(sums) == 1, (quant, sums)


run_all(globals())
