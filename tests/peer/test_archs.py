"""Every architecture: the file loads in llama.cpp and says what PyTorch says of the same checkpoint; names of tensors
are those of llama.cpp's own tables."""
import json
import os
import re
import sys

import numpy as np

import llama
from peer import ARCHITECTURES, WORK, convert, fake, inspect, raw_bytes, run_all

try:
    import gguf
    import reference
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)

IDS = [5, 300, 17, 260, 411, 42, 9, 77, 350, 280, 31, 8, 120, 450, 19, 300, 66, 5, 211, 100, 401, 44, 13, 270]

# Preset of quern fake: how far logits may be from the reference, as a share of their spread. llama.cpp keeps keys and
# values of attention in binary16, whose steps are 1/2048; a transposed matrix or a wrong position gives 0.3 and more.
BOUND = 0.02
# In 27 layers the steps add up, and a token between two experts may go to the other one.
DEEP = {"deepseek2-lite": 0.15}
ONLY = os.environ.get("ONLY", "").split()


def lively(folder):
    """Weights as a trained model has them: fake ones are so small that attention hardly looks at anything."""
    rng = np.random.default_rng(7)
    path = folder / "model.safetensors"
    weights = load_file(path)
    for name, w in sorted(weights.items()):
        x = rng.standard_normal(w.shape)
        if "norm" in name or re.search(r"ln_(\d|f|mlp|attn)", name):
            x = (w if name.endswith("weight") else 0) + 0.2 * x
        elif w.ndim == 1:
            x = 0.2 * x
        elif "embed" in name or "wte" in name or "wpe" in name:
            pass
        else:
            x = x * 1.5 / np.sqrt(w.shape[0] if "attn.c_" in name or "mlp.c_" in name else w.shape[-1])
        weights[name] = x.astype(np.float32)
    save_file(weights, path, {"format": "pt"})


def model(name, change=None, label=None):
    folder = fake(f"{name}-tiny:fill=random,dtype=F32", f"{label or name}-lively")
    lively(folder)
    if change:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def compare(folder, bound=BOUND, ids=IDS):
    path = convert(folder, "F32")
    m = llama.Model(path, 256)
    ours = m.logits(ids)
    m.close()
    theirs = reference.logits(reference.load(folder), ids)
    assert ours.shape[0] == theirs.shape[0] and ours.shape[1] <= theirs.shape[1], (ours.shape, theirs.shape)
    theirs = theirs[:, :ours.shape[1]]
    spread = theirs.std()
    assert spread > 0.01, "the reference says nothing"
    difference = np.abs(ours - theirs).max() / spread
    print(f"  {folder.name}: {difference:.5f} of the spread {spread:.2f}")
    assert difference < bound, (folder.name, difference, np.abs(ours - theirs).max(axis=1) / spread)
    return path


def test_logits_agree_with_the_reference():
    wrong = []
    for name in ARCHITECTURES:
        if not ONLY or name in ONLY:
            try:
                names_are_llama_cpps(compare(model(name), DEEP.get(name, BOUND)), name)
            except AssertionError as e:
                print(f"  {name}: {e}")
                wrong.append(name)
    assert not wrong, wrong


# Tensors that llama.cpp's converter cuts or joins, so that its table has no name for them: what they become.
CUT = {
    "attention.wqkv": ["attn_q", "attn_k", "attn_v"], "self_attention.key_value": ["attn_k", "attn_v"],
    "self_attn.kv_b_proj": ["attn_k_b", "attn_v_b"], "block_sparse_moe.experts.w1": ["ffn_gate_exps"],
    "block_sparse_moe.experts.w2": ["ffn_down_exps"], "block_sparse_moe.experts.w3": ["ffn_up_exps"]}
# A llama by other names, which the table does not have.
TELECHAT = {"transformer.h.": "model.layers.", "self_attention.query.": "self_attn.q_proj.",
            "self_attention.dense": "self_attn.o_proj"}


def expected_names(folder, arch, layers):
    table = gguf.get_tensor_name_map(next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == arch), layers)
    out = set()
    for name in load_file(folder / "model.safetensors"):
        if name.startswith(("vision_tower.", "multi_modal_projector.")):
            continue
        name = re.sub(r"experts\.\d+\.", "experts.", name.removeprefix("language_model."))
        if "telechat" in folder.name:
            for old, new in TELECHAT.items():
                name = name.replace(old, new)
        if arch == "chatglm":
            name = name.removeprefix("transformer.")
        cut = next((c for c in CUT if c in name and not ("kv_b_proj" in c and arch == "minicpm3")), None)
        if cut:
            layer, end = re.search(r"\.(\d+)\.", name)[1], name.rsplit(".", 1)[1]
            out.update(f"blk.{layer}.{part}.{end}" for part in CUT[cut])
            continue
        if name.endswith("e_score_correction_bias"):
            name = name.replace("correction_bias", "correction.bias")
        mapped = table.get_name(name, try_suffixes=(".weight", ".bias"))
        assert mapped, f"llama.cpp's table has no name for {name}"
        out.add(mapped)
    return out


def names_are_llama_cpps(path, name):
    folder = WORK / f"{name}-lively"
    file = inspect(path)
    arch = file["metadata"]["general.architecture"]
    expected = expected_names(folder, arch, file["metadata"][f"{arch}.block_count"])
    got = {t["name"] for t in file["tensors"]}
    assert got == expected, (name, sorted(got ^ expected))


def scaled(**scaling):
    def change(config):
        config["rope_scaling"] = scaling
        config.update(scaling.pop("config", {}))
    return change


def factors(step):
    return [1 + step * i for i in range(16)]


def test_stretched_positions():
    for label, name, change in (
            ("llama3", "llama", scaled(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                       original_max_position_embeddings=64)),
            ("linear", "gemma3", scaled(rope_type="linear", factor=8.0)),
            ("yarn", "qwen3", scaled(rope_type="yarn", factor=4.0, original_max_position_embeddings=512)),
            ("yarn", "deepseek3", scaled(rope_type="yarn", factor=4.0, original_max_position_embeddings=512, mscale=1.0,
                                         mscale_all_dim=1.0, beta_fast=32, beta_slow=1)),
            ("short", "phi3", scaled(type="longrope", short_factor=factors(0.1), long_factor=factors(0.5),
                                     config={"original_max_position_embeddings": 1024})),
            ("long", "phi3", scaled(type="longrope", short_factor=factors(0.1), long_factor=factors(0.5),
                                    config={"original_max_position_embeddings": 16})),
            ("long", "minicpm", scaled(rope_type="longrope", short_factor=factors(0.1), long_factor=factors(0.5),
                                       original_max_position_embeddings=16,
                                       config={"original_max_position_embeddings": 16}))):
        compare(model(name, change, f"{label}-{name}"), bound=2 * BOUND)


def test_copies_of_the_embedding():
    """llama.cpp asks these for an output matrix although the checkpoint has none."""
    for name in ("internlm2", "stablelm", "qwen2-moe"):
        folder = fake(f"{name}-tiny:fill=random,dtype=F32,tie=true", f"tied-{name}")
        lively(folder)
        path = compare(folder)
        sizes = {t["name"]: t["shape"] for t in inspect(path)["tensors"]}
        assert sizes["output.weight"] == sizes["token_embd.weight"]


def rewritten(name, label, change_weights, change_config=lambda c: None):
    folder = model(name, change_config, label)
    weights = load_file(folder / "model.safetensors")
    change_weights(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_norms_of_heads_and_parallel_halves():
    """StableLM 2 12B."""
    def change(w):
        rng = np.random.default_rng(9)
        for layer in range(2):
            for end in ("weight", "bias"):
                del w[f"model.layers.{layer}.post_attention_layernorm.{end}"]
            for part, heads in (("q", 4), ("k", 2)):
                for head in range(heads):
                    w[f"model.layers.{layer}.self_attn.{part}_layernorm.norms.{head}.weight"] = (
                        1 + 0.2 * rng.standard_normal(32)).astype(np.float32)

    compare(rewritten("stablelm", "stablelm-12b", change,
                      lambda c: c.update(use_parallel_residual=True, qk_layernorm=True)))


def test_two_norms_of_falcon():
    """Falcon 40B."""
    def change(w):
        for name in [n for n in w if "input_layernorm" in n]:
            w[name.replace("input_layernorm", "ln_attn")] = w.pop(name)
            w[name.replace("input_layernorm", "ln_mlp")] = w[name.replace("input_layernorm", "ln_attn")] * 1.5

    compare(rewritten("falcon-grouped", "falcon-40b", change, lambda c: c.update(num_ln_in_parallel_attn=2)))


def test_experts_in_one_tensor():
    """As transformers 5 writes them: the same file, byte for byte."""
    def change(w):
        for layer in range(2):
            at = f"model.layers.{layer}.mlp.experts."
            parts = {p: np.stack([w.pop(f"{at}{x}.{p}_proj.weight") for x in range(8)]) for p in ("gate", "up", "down")}
            w[at + "gate_up_proj"] = np.concatenate([parts["gate"], parts["up"]], axis=1)
            w[at + "down_proj"] = parts["down"]

    for name in ("qwen2-moe", "qwen3-moe"):
        apart, joined = model(name, label=f"{name}-apart"), rewritten(name, f"{name}-joined", change)
        a, b = convert(apart, "Q8_0"), convert(joined, "Q8_0")
        assert [raw_bytes(a, t) for t in inspect(a)["tensors"]] == [raw_bytes(b, t) for t in inspect(b)["tensors"]]


run_all(globals())
