"""Weights that change on their way: adapters and 8-bit floats with factors give the tensors that PyTorch computes."""
import json
import subprocess
import sys

import numpy as np

from peer import WORK, WORKER, fake, inspect, run_all, values

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)


def worker(source, lora=None, quant="F32", code=0):
    """The engine's program itself: a job in a folder of its own."""
    n = len(list(WORK.glob("job-*")))
    job = WORK / f"job-{n}"
    (job / "out").mkdir(parents=True)
    (job / "job.json").write_text(json.dumps({
        "protocol": 1, "job": f"{n:064x}", "attempt": 1, "verb": "convert",
        "engine": {"name": "gguf", "version": "0.1.0"}, "name": "m", "file": "m", "source": {"dir": str(source), "format": "safetensors"},
        "lora": {"dir": str(lora)} if lora else None, "platform": "", "quant": quant, "hybrid": 0, "opt": 0, "with": {},
        "out": "out", "threads": 2}))
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


def adapter(name, base, modules, rank=4, rules=None, whole=(), embedding=()):
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
        merged[f"{module}.weight"] = (w.double() + (delta.T if turned else delta)).float()
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
            ("internlm2", [layer + "attention.wqkv"], {"rank": 3})):
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
    refused("dora", lambda t, c: c.update(use_dora=True), "use_dora")
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
    tied = base("qwen3")
    folder, _ = adapter("tied", tied, [], embedding=["model.embed_tokens"])
    assert "shares with its output" in worker(tied, folder, code=3)


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


def test_other_quantized_checkpoints_are_refused():
    source = WORK / "every-base"
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (source / "config.json").write_text(json.dumps(config))
    said = worker(source, code=3)
    assert "gptq" in said and "fp8" in said, said


run_all(globals())
