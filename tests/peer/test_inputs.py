"""Weights that change on their way: adapters, 8-bit floats with factors, GPTQ, AWQ and compressed-tensors give the tensors
that PyTorch and numpy compute."""
import json
import subprocess
import sys

import numpy as np

from peer import QUERN, WORK, WORKER, fake, inspect, run, run_all, values

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)


def worker(source, lora=None, quant="F32", code=0, threads=2):
    """The engine's program itself: a job in a folder of its own."""
    n = len(list(WORK.glob("job-*")))
    job = WORK / f"job-{n}"
    (job / "out").mkdir(parents=True)
    (job / "job.json").write_text(json.dumps({
        "protocol": 1, "job": f"{n:064x}", "attempt": 1, "verb": "convert",
        "engine": {"name": "gguf", "version": "0.1.0"}, "name": "m", "file": "m", "source": {"dir": str(source), "format": "safetensors"},
        "lora": {"dir": str(lora)} if lora else None, "platform": "", "quant": quant, "hybrid": 0, "opt": 0, "with": {},
        "out": "out", "threads": threads}))
    done = subprocess.run([str(WORKER), "convert", "job.json"], cwd=job, capture_output=True, text=True)
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stderr if code else job / "out" / "m.gguf"


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b, bound=0.0):
    assert [t["name"] for t in inspect(a)["tensors"]] == [t["name"] for t in inspect(b)["tensors"]]
    changed = 0
    for t in inspect(a)["tensors"]:
        x, y = values(a, t["name"]), values(b, t["name"])
        changed = max(changed, np.abs(x - y).max() / max(np.abs(y).max(), 1e-30))
        assert changed <= bound, (t["name"], changed)
    return changed


def adapter(name, base, modules, rank=4, rules=None, whole=(), embedding=(), dora_end=""):
    """A random adapter for these modules, its folder, and the base with it merged by the formula."""
    torch.manual_seed(3)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 6, "target_modules": list(modules), **(rules or {})}
    tensors, merged = {}, {k: v.clone() for k, v in weights(base).items()}
    for module in (*modules, *embedding):
        w = merged[f"{module}.weight"]
        turned = config.get("fan_in_fan_out") or module in embedding
        n_out, n_in = reversed(w.shape) if turned else w.shape
        a, b = torch.randn(rank, n_in) * 0.1, torch.randn(n_out, rank) * 0.1
        ends = ("lora_embedding_A", "lora_embedding_B") if module in embedding else ("lora_A.weight", "lora_B.weight")
        for end, x in zip(ends, (a, b)):
            tensors[f"base_model.model.{module}.{end}"] = x
        alpha = next((v for k, v in config.get("alpha_pattern", {}).items() if module.endswith("." + k)), 6)
        delta = (b.double() @ a.double()) * (alpha / (rank ** 0.5 if config.get("use_rslora") else rank))
        after = w.double() + (delta.T if turned else delta)
        if config.get("use_dora"):
            lengths = torch.rand(n_out) + 0.5
            after = after * (lengths.double() / after.norm(dim=1))[:, None]
            tensors[f"base_model.model.{module}.lora_magnitude_vector{dora_end}"] = lengths
        merged[f"{module}.weight"] = after.float()
    for tensor in whole:
        merged[tensor] = torch.randn_like(merged[tensor])
        tensors[f"base_model.model.{tensor}"] = merged[tensor]
    folder, after = WORK / f"{name}-adapter", WORK / f"{name}-merged"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "adapter_model.safetensors")
    subprocess.run(["cp", "-r", str(base), str(after)], check=True)
    save_file(merged, after / "model.safetensors", {"format": "pt"})
    return folder, after


def base(name, spec=""):
    return fake(f"{name}-tiny:fill=random,dtype=F32{spec}", f"{name}-base")


def test_adapters_are_merged():
    layer = "model.layers.1."
    for name, modules, options in (
            ("llama", [layer + "self_attn.q_proj", layer + "self_attn.k_proj", layer + "mlp.down_proj", "lm_head"],
             {"whole": ["model.norm.weight"], "embedding": ["model.embed_tokens"]}),
            ("qwen2", [layer + "self_attn.v_proj", layer + "mlp.up_proj"],
             {"rules": {"use_rslora": True, "alpha_pattern": {"mlp.up_proj": 40}},
              "whole": [layer + "self_attn.q_proj.bias"]}),
            ("gpt2", ["transformer.h.1.attn.c_attn", "transformer.h.0.mlp.c_proj"],
             {"rules": {"fan_in_fan_out": True}}),
            ("mixtral", [layer + "block_sparse_moe.experts.2.w1", layer + "self_attn.o_proj"], {}),
            ("deepseek3", [layer + "self_attn.kv_b_proj", layer + "self_attn.q_b_proj"], {}),
            ("internlm2", [layer + "attention.wqkv"], {"rank": 3}),
            ("qwen3", [layer + "self_attn.q_proj", layer + "mlp.down_proj"], {"rules": {"use_dora": True}}),
            ("granite", [layer + "self_attn.k_proj"], {"rules": {"use_dora": True}, "dora_end": ".weight"}),
            ("deepseek2", [layer + "self_attn.kv_b_proj"], {"rules": {"use_dora": True}})):
        source = base(name)
        folder, merged = adapter(name, source, modules, **options)
        with_adapter = worker(source, folder)
        difference = same(with_adapter, worker(merged), 1e-6)
        plain = worker(source)
        assert any(not np.array_equal(values(with_adapter, t["name"]), values(plain, t["name"]))
                   for t in inspect(plain)["tensors"]), "the adapter changed nothing"
        print(f"  {name}: {difference:.1e}")


def test_adapters_that_do_not_fit_are_refused():
    source = WORK / "llama-base"
    module = "model.layers.0.self_attn.q_proj"

    def refused(name, change, *words, modules=(module,)):
        folder, _ = adapter(name, source, modules)
        tensors = load_file(folder / "adapter_model.safetensors")
        config = json.loads((folder / "adapter_config.json").read_text())
        change(tensors, config)
        save_file(tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps(config))
        said = worker(source, folder, code=3)
        assert all(w in said for w in words), (name, said)

    first = f"base_model.model.{module}.lora_A.weight"
    length = f"base_model.model.{module}.lora_magnitude_vector"
    refused("dora-none", lambda t, c: c.update(use_dora=True), "lora_magnitude_vector", "missing")
    refused("dora-short", lambda t, c: (c.update(use_dora=True), t.update({length: torch.ones(5)})), "one number for each output")
    refused("dora-alone", lambda t, c: (c.update(use_dora=True), t.update({length: torch.ones(128), length.replace(".0.", ".1."):
                                                                            torch.ones(128)})), "no lora_A beside it")
    refused("dora-infinite", lambda t, c: (c.update(use_dora=True), t.update({length: torch.full([128], float("inf"))})),
            "row 0 of", "q_proj")
    refused("qalora", lambda t, c: c.update(use_qalora=True), "use_qalora")
    refused("kind", lambda t, c: c.update(peft_type="IA3"), "IA3")
    refused("regex", lambda t, c: c.update(alpha_pattern={"q_.*": 3}), "regular expression")
    refused("half", lambda t, c: t.pop(f"base_model.model.{module}.lora_B.weight"), "lora_B", "missing")
    refused("other-half", lambda t, c: t.pop(first), "lora_B", "fits no tensor")
    refused("shape", lambda t, c: t.update({first: torch.zeros(4, 64)}), "shapes", module)
    refused("rank", lambda t, c: t.update({first: torch.zeros(5, 128)}), "shapes", module)
    refused("stranger", lambda t, c: t.update({"base_model.model.nowhere.weight": torch.zeros(2)}), "nowhere")
    refused("nan", lambda t, c: t.update({first: t[first] * float("nan")}), "not a finite number")
    (WORK / "empty-adapter").mkdir()
    assert "adapter_config.json" in worker(source, WORK / "empty-adapter", code=3)
    tied = base("gemma2")
    folder, _ = adapter("tied", tied, [], embedding=["model.embed_tokens"])
    assert "no place for a second matrix" in worker(tied, folder, code=3)


def eight_bit(name, dtype, block):
    """The base with matrices of layers as 8-bit floats and a factor a block, and what they stand for."""
    torch.manual_seed(4)
    source, plain = base(name), WORK / f"{name}-{block}-dequantized"
    tensors, meant = {}, {}
    for tensor, w in weights(source).items():
        tensors[tensor] = meant[tensor] = w
        if w.ndim != 2 or "proj" not in tensor:
            continue
        rows, cols = (-(-n // block) for n in w.shape)
        factor = torch.rand(rows, cols) * 0.01 + 1e-4
        spread = factor.repeat_interleave(block, 0).repeat_interleave(block, 1)[:w.shape[0], :w.shape[1]]
        tensors[tensor] = (w / spread).clamp(-400, 400).to(dtype)
        tensors[tensor + "_scale_inv"] = factor
        meant[tensor] = tensors[tensor].float() * spread
    subprocess.run(["cp", "-r", str(source), str(plain)], check=True)
    save_file(meant, plain / "model.safetensors", {"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [block, block]}
    (source / "config.json").write_text(json.dumps(config))
    save_file(tensors, source / "model.safetensors", {"format": "pt"})
    return source, plain


def test_eight_bit_floats_with_factors():
    for name, dtype, block in (("llama", torch.float8_e4m3fn, 128), ("deepseek3", torch.float8_e4m3fn, 40),
                               ("qwen3-moe", torch.float8_e5m2, 48)):
        subprocess.run(["rm", "-rf", str(WORK / f"{name}-base")], check=True)
        source, plain = eight_bit(name, dtype, block)
        same(worker(source), worker(plain), 0.0)
        same(worker(source, quant="Q8_0"), worker(plain, quant="Q8_0"), 0.0)


def test_every_eight_bit_float():
    source = WORK / "every-base"
    subprocess.run(["rm", "-rf", str(WORK / "llama-base")], check=True)
    subprocess.run(["mv", str(base("llama")), str(source)], check=True)
    for dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
        every = torch.arange(256, dtype=torch.uint8).view(dtype)
        every = torch.where(every.float().isfinite(), every.float(), torch.zeros(256)).to(dtype)
        tensors = weights(source)
        tensors["model.layers.0.mlp.up_proj.weight"] = every.repeat(128).reshape(256, 128).clone()
        save_file(tensors, source / "model.safetensors", {"format": "pt"})
        got = values(worker(source), "blk.0.ffn_up.weight")
        assert np.array_equal(got, every.float().repeat(128).numpy())


# ---- codes of a few bits

def rounded(w, bits, group, symmetric):
    """Codes from 0 on [out, in], scales and zero points [out, groups] of a matrix, by rounding to the nearest."""
    rows, cols = w.shape
    g = w.reshape(rows, cols // group, group)
    low, high = g.min(2).clip(max=0), g.max(2).clip(min=0)
    if symmetric:
        scale, zero = 2 * np.abs(g).max(2) / (2 ** bits - 1), np.full(low.shape, 2 ** (bits - 1))
    else:
        scale = (high - low) / (2 ** bits - 1)
        zero = np.rint(-low / np.maximum(scale, 1e-9)).clip(1, 2 ** bits - 1).astype(np.int64)
    scale = np.maximum(scale, 1e-5).astype(np.float16)
    codes = (np.rint(g / scale.astype(np.float32)[:, :, None]) + zero[:, :, None]).clip(0, 2 ** bits - 1)
    return codes.reshape(rows, cols).astype(np.uint32), scale, zero.astype(np.uint32)


def words(codes, bits, axis):
    """Codes as 32-bit words along an axis, the first in the lowest bits; a short last word is filled with zeros."""
    codes = np.moveaxis(codes, axis, -1)
    each = 32 // bits
    codes = np.concatenate([codes, np.zeros((*codes.shape[:-1], -codes.shape[-1] % each), np.uint32)], -1)
    codes = codes.reshape(*codes.shape[:-1], -1, each)
    packed = np.bitwise_or.reduce(codes << (np.arange(each, dtype=np.uint32) * bits), -1)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(packed, -1, axis)).view(np.int32))


def as_gptq(module, w, bits, group, symmetric, order=None, stored_less=1):
    cols = w.shape[1]
    order = np.arange(cols) if order is None else order
    codes, scale, zero = rounded(w[:, order], bits, group, symmetric)
    groups, back = np.arange(cols) // group, np.empty(cols, np.int64)
    back[order] = np.arange(cols)
    codes, groups = codes[:, back], groups[back]
    meant = (codes.astype(np.float32) - zero[:, groups].astype(np.float32)) * scale[:, groups].astype(np.float32)
    return {f"{module}.qweight": words(codes.T, bits, 0), f"{module}.qzeros": words((zero - stored_less).T, bits, 1),
            f"{module}.scales": torch.from_numpy(np.ascontiguousarray(scale.T)),
            f"{module}.g_idx": torch.from_numpy(groups.astype(np.int32))}, meant


def as_awq(module, w, group):
    codes, scale, zero = rounded(w, 4, group, False)

    def packed(x):
        x = x.reshape(x.shape[0], -1, 8)[:, :, [0, 2, 4, 6, 1, 3, 5, 7]]
        return words(x.reshape(x.shape[0], -1), 4, 1)

    meant = (codes.astype(np.float32) - zero.repeat(group, 1)) * scale.astype(np.float32).repeat(group, 1)
    return {f"{module}.qweight": packed(codes.T), f"{module}.qzeros": packed(zero.T),
            f"{module}.scales": torch.from_numpy(np.ascontiguousarray(scale.T))}, meant.astype(np.float32)


def as_pack(module, w, bits, group, symmetric):
    codes, scale, zero = rounded(w, bits, group, symmetric)
    meant = (codes.astype(np.float32) - zero.repeat(group, 1)) * scale.astype(np.float32).repeat(group, 1)
    tensors = {f"{module}.weight_packed": words(codes, bits, 1), f"{module}.weight_scale": torch.from_numpy(scale),
               f"{module}.weight_shape": torch.tensor(w.shape)}
    if not symmetric:
        tensors[f"{module}.weight_zero_point"] = words(zero, bits, 0)
    return tensors, meant.astype(np.float32)


def as_int8(module, w, group, symmetric, static=False):
    codes, scale, zero = rounded(w, 8, group, symmetric)
    signed = (codes.astype(np.int64) - 128).astype(np.int8)
    meant = (codes.astype(np.float32) - zero.repeat(group, 1)) * scale.astype(np.float32).repeat(group, 1)
    tensors = {f"{module}.weight": torch.from_numpy(signed), f"{module}.weight_scale": torch.from_numpy(scale)}
    if not symmetric:
        tensors[f"{module}.weight_zero_point"] = torch.from_numpy((zero.astype(np.int64) - 128).astype(np.int8))
    if static:
        tensors[f"{module}.input_scale"] = torch.tensor([0.1])
    return tensors, meant.astype(np.float32)


def as_float8(module, w, rows, cols):
    """A factor for each block of rows x cols."""
    across, down = -(-w.shape[0] // rows), -(-w.shape[1] // cols)
    factor = torch.rand(across, down) * 0.01 + 1e-3
    spread = factor.repeat_interleave(rows, 0).repeat_interleave(cols, 1)[:w.shape[0], :w.shape[1]]
    codes = (torch.from_numpy(w) / spread).clamp(-400, 400).to(torch.float8_e4m3fn)
    scale = factor.reshape(1) if factor.numel() == 1 else factor
    return {f"{module}.weight": codes, f"{module}.weight_scale": scale}, (codes.float() * spread).numpy()


def quantized(label, name, config, make, spec=""):
    """The base with its projections replaced by what make gives, and what they stand for."""
    source = fake(f"{name}-tiny:fill=random,dtype=F32{spec}", f"{label}-base")
    stored, meant = WORK / f"{label}-stored", WORK / f"{label}-meant"
    tensors, plain = {}, {}
    for i, (tensor, w) in enumerate(weights(source).items()):
        tensors[tensor] = plain[tensor] = w
        if w.ndim != 2 or ("proj" not in tensor and "experts" not in tensor and "wqkv" not in tensor):
            continue
        parts, values_meant = make(tensor.removesuffix(".weight"), w.numpy(), i)
        tensors.pop(tensor)
        tensors.update(parts)
        plain[tensor] = torch.from_numpy(values_meant)
    for folder, t in ((stored, tensors), (meant, plain)):
        subprocess.run(["cp", "-r", str(source), str(folder)], check=True)
        save_file({k: v.contiguous() for k, v in t.items()}, folder / "model.safetensors", {"format": "pt"})
    full = json.loads((stored / "config.json").read_text())
    (stored / "config.json").write_text(json.dumps({**full, "quantization_config": config}))
    return stored, meant


def groups(**args):
    return {"group_0": {"targets": ["Linear"], "weights": {"type": "int", **args}, "input_activations": None}}


def compressed(form, **args):
    return {"quant_method": "compressed-tensors", "format": form, "quantization_status": "compressed", "ignore": ["lm_head"],
            "config_groups": groups(**args)}


def gptq(bits, group, **more):
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False, "sym": True, "lm_head": False, **more}


def test_codes_of_a_few_bits():
    rng = np.random.default_rng(7)
    awq = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}
    pack, int8, float8 = "pack-quantized", "int-quantized", "float-quantized"
    cases = [
        ("gptq4", "llama", gptq(4, 32), lambda m, w, i: as_gptq(m, w, 4, 32, True)),
        ("gptq4-asym-v2", "qwen2", gptq(4, 64, sym=False, checkpoint_format="gptq_v2"),
         lambda m, w, i: as_gptq(m, w, 4, 64, False, stored_less=0)),
        ("gptq8-order", "llama", gptq(8, 32, desc_act=True),
         lambda m, w, i: as_gptq(m, w, 8, 32, False, rng.permutation(w.shape[1]))),
        ("gptq2-row", "qwen3", gptq(2, -1), lambda m, w, i: as_gptq(m, w, 2, w.shape[1], True)),
        ("gptq4-experts", "mixtral", gptq(4, 32), lambda m, w, i: as_gptq(m, w, 4, 32, False)),
        ("gptq4-wqkv", "internlm2", gptq(4, 32), lambda m, w, i: as_gptq(m, w, 4, 32, True)),
        ("gptq4-latent", "deepseek2", gptq(4, 16), lambda m, w, i: as_gptq(m, w, 4, 16, True)),
        ("awq", "llama", awq, lambda m, w, i: as_awq(m, w, 32)),
        ("awq-experts", "qwen3-moe", awq, lambda m, w, i: as_awq(m, w, 32)),
        ("pack4", "llama", compressed(pack, num_bits=4, group_size=32, strategy="group"),
         lambda m, w, i: as_pack(m, w, 4, 32, True)),
        ("pack4-asym", "qwen2", compressed(pack, num_bits=4, group_size=64, strategy="group", symmetric=False),
         lambda m, w, i: as_pack(m, w, 4, 64, False)),
        ("pack8-row", "gemma3", compressed(pack, num_bits=8, group_size=None, strategy="channel"),
         lambda m, w, i: as_pack(m, w, 8, w.shape[1], True)),
        ("int8-row", "llama", compressed(int8, num_bits=8, strategy="channel"), lambda m, w, i: as_int8(m, w, w.shape[1], True)),
        ("int8-asym", "mistral", compressed(int8, num_bits=8, strategy="group", group_size=32, symmetric=False),
         lambda m, w, i: as_int8(m, w, 32, False, static=True)),
        ("float8-tensor", "llama", compressed(float8, num_bits=8, strategy="tensor"), lambda m, w, i: as_float8(m, w, *w.shape)),
        ("float8-row", "qwen3", compressed(float8, num_bits=8, strategy="channel"), lambda m, w, i: as_float8(m, w, 1, w.shape[1])),
        ("float8-block", "llama", compressed(float8, num_bits=8, strategy="block", block_structure=[48, 80]),
         lambda m, w, i: as_float8(m, w, 48, 80)),
        # Two widths in one checkpoint: the words of each row say which.
        ("pack-mixed", "llama", {**compressed(pack), "config_groups": {
            **groups(num_bits=4, group_size=32, strategy="group"),
            "group_1": {"weights": {"num_bits": 8, "group_size": 32, "strategy": "group"}}}},
         lambda m, w, i: as_pack(m, w, 8 if i % 2 else 4, 32, True)),
    ]
    for label, name, config, make in cases:
        stored, meant = quantized(label, name, config, make)
        for quant in ("F32", "Q4_K_M"):
            ours, theirs = worker(stored, quant=quant), worker(meant, quant=quant)
            if ours.read_bytes() != theirs.read_bytes():
                same(ours, theirs)  # says which tensor
                raise AssertionError((label, quant))


def test_a_file_beside_config_json_may_say_it():
    """AutoGPTQ and AutoAWQ once wrote a file of their own, without a method, and left config.json as it was."""
    for label, file, config, make in (
            ("old-gptq", "quantize_config.json", {"bits": 4, "group_size": 32, "damp_percent": 0.1, "desc_act": False, "sym": True,
                                                  "true_sequential": True, "model_file_base_name": "model"},
             lambda m, w, i: as_gptq(m, w, 4, 32, True)),
            ("old-awq", "quant_config.json", {"zero_point": True, "q_group_size": 32, "w_bit": 4, "version": "GEMM"},
             lambda m, w, i: as_awq(m, w, 32))):
        stored, meant = quantized(label, "llama", config, make)
        full = json.loads((stored / "config.json").read_text())
        (stored / file).write_text(json.dumps(full.pop("quantization_config")))
        (stored / "config.json").write_text(json.dumps(full))
        if label == "old-gptq":
            (stored / "model.safetensors").rename(stored / "gptq_model-4bit-32g.safetensors")
        assert worker(stored, quant="Q8_0").read_bytes() == worker(meant, quant="Q8_0").read_bytes()
        done = run(QUERN, "convert", stored, "-o", WORK / f"{label}.gguf", "--engine", "gguf", "--quant", "Q8_0")
        assert done.returncode == 0, done.stdout
        (stored / file).write_text(json.dumps({"bits": 3 if "gptq" in label else 4, "group_size": 32, "version": "gemv"}))
        said = worker(stored, code=3)
        assert ("gptq-3bit" if "gptq" in label else "awq-gemv") in said, said
        (stored / file).write_text('{"bits": "four"}')
        assert file in worker(stored, code=3)


def test_rows_beyond_a_tile():
    """Matrices of several tiles, and of fewer rows in the last."""
    stored, meant = quantized("wide", "llama", gptq(4, 128), lambda m, w, i: as_gptq(m, w, 4, 128, False),
                              ",hidden=768,heads=8,ffn=1408")
    one, two = worker(stored, quant="Q8_0"), worker(stored, quant="Q8_0", threads=5)
    assert one.read_bytes() == two.read_bytes() == worker(meant, quant="Q8_0").read_bytes()
    # AWQ is read on through rows of up to 8192 outputs, and in pieces of longer ones.
    stored, meant = quantized("wide-awq", "llama", {"quant_method": "awq", "bits": 4, "group_size": 32},
                              lambda m, w, i: as_awq(m, w, 32), ",ffn=8704")
    assert worker(stored, quant="Q8_0").read_bytes() == worker(meant, quant="Q8_0").read_bytes()


def test_codes_that_do_not_fit_are_refused():
    def spoiled(label, change, *words_said, config=None, make=None):
        stored, _ = quantized(f"bad-{label}", "llama", config or gptq(4, 32), make or (lambda m, w, i: as_gptq(m, w, 4, 32, True)))
        tensors = load_file(stored / "model.safetensors")
        change(tensors, "model.layers.0.self_attn.q_proj")
        save_file({k: v.contiguous() for k, v in tensors.items()}, stored / "model.safetensors")
        said = worker(stored, code=3)
        assert all(w in said for w in words_said), (label, said)

    pack = dict(config=compressed("pack-quantized", num_bits=4, group_size=32, strategy="group", symmetric=False),
                make=lambda m, w, i: as_pack(m, w, 4, 32, False))
    spoiled("no-scales", lambda t, m: t.pop(m + ".scales"), "q_proj", "missing")
    spoiled("short-scales", lambda t, m: t.update({m + ".scales": t[m + ".scales"][:3]}), "q_proj", "scales")
    spoiled("zeros", lambda t, m: t.update({m + ".qzeros": t[m + ".qzeros"][:, :-1]}), "q_proj", "zero points")
    spoiled("order", lambda t, m: t.update({m + ".g_idx": t[m + ".g_idx"] + 1}), "g_idx", "of group 4; there are 4")
    spoiled("order-short", lambda t, m: t.update({m + ".g_idx": t[m + ".g_idx"][:-1]}), "q_proj", "columns")
    spoiled("shape", lambda t, m: t.update({m + ".qweight": t[m + ".qweight"][:-1]}), "q_proj")
    spoiled("twice", lambda t, m: t.update({m + ".weight": torch.zeros(128, 128)}), "q_proj", "as floats too")
    spoiled("nan", lambda t, m: t[m + ".scales"].fill_(float("nan")), "q_proj", "not a finite number")
    spoiled("huge", lambda t, m: t.update({m + ".weight_shape": torch.tensor([1 << 40, 1 << 40])}), "weight_shape", **pack)
    spoiled("other-shape", lambda t, m: t.update({m + ".weight_shape": torch.tensor([128, 64])}), "q_proj", **pack)
    spoiled("pack-zeros", lambda t, m: t.update({m + ".weight_zero_point": t[m + ".weight_zero_point"][1:]}), "zero points", **pack)
    spoiled("int", lambda t, m: t.pop(m + ".weight_scale"), "q_proj", "holds integers",
            config=compressed("int-quantized", num_bits=8, strategy="channel"), make=lambda m, w, i: as_int8(m, w, 128, True))


def test_other_quantized_checkpoints_are_refused():
    source = WORK / "every-base"
    config = json.loads((source / "config.json").read_text())
    for q, name in ((gptq(3, 128), "gptq-3bit"), (gptq(4, 128, checkpoint_format="marlin"), "gptq-marlin"),
                    ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "awq-gemv"),
                    ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes-4bit"),
                    ({"quant_method": "mxfp4"}, "mxfp4"), (compressed("nvfp4-pack-quantized"), "compressed-tensors-nvfp4-pack-quantized"),
                    ({**compressed("pack-quantized", num_bits=4), "quantization_status": "frozen"}, "compressed-tensors-frozen")):
        (source / "config.json").write_text(json.dumps({**config, "quantization_config": q}))
        said = worker(source, code=3)
        assert f"({name})" in said, said
        planned = run(QUERN, "convert", source, "-o", WORK / "x.gguf", "--engine", "gguf", "--quant", "Q8_0")
        assert planned.returncode == 2 and f"({name})" in planned.stdout and "gptq-4bit" in planned.stdout, planned.stdout


run_all(globals())
