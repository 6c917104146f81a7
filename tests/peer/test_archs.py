"""Every architecture: the file loads in llama.cpp and says what PyTorch says of the same checkpoint; names of tensors
are those of llama.cpp's own tables."""
import json
import os
import re
import sys

import numpy as np

import llama
from peer import WORK, convert, fake, inspect, run_all

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
TINY = [
    "llama", "mistral", "mixtral", "internlm3", "telechat2", "smollm3", "granite", "minicpm", "internlm2", "qwen2",
    "qwen3", "qwen2-moe", "qwen3-moe", "gemma", "gemma2", "gemma3", "gemma3-vision", "phi2", "phi3", "minicpm3",
    "deepseek2", "deepseek2-lite", "deepseek3", "chatglm", "stablelm", "gpt2", "falcon", "falcon-grouped", "olmo2"]
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
    for name in TINY:
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


run_all(globals())
