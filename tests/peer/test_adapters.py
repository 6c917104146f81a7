"""Adapters made by PEFT itself: what its modules compute, before any merging, is what our file holds."""
import json
import subprocess
import sys

from peer import WORK, WORKER, fake, inspect, run_all, values

try:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)

CASES = {
    # name: (family, what PEFT is asked for, our tensor: its module)
    "tied-embedding": ("qwen3", {"target_modules": ["embed_tokens"]}, {}),
    "tied-output": ("qwen3", {"target_modules": ["lm_head"]}, {}),
    "tied-both": ("qwen3", {"target_modules": ["embed_tokens", "lm_head", "q_proj"]}, {}),
    "tied-whole": ("qwen3", {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}, {}),
    "tied-whole-embedding": ("qwen3", {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}, {}),
    "tied-together": ("qwen3", {"target_modules": ["embed_tokens"], "ensure_weight_tying": True}, {}),
    "dora-embedding": ("llama", {"target_modules": ["embed_tokens", "down_proj"], "use_dora": True},
                       {"blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj"}),
    "dora-tied": ("qwen3", {"target_modules": ["embed_tokens"], "use_dora": True, "use_rslora": True}, {}),
    "dora-turned": ("gpt2", {"target_modules": ["c_attn", "c_proj", "c_fc"], "use_dora": True, "fan_in_fan_out": True},
                    {"blk.0.attn_qkv.weight": "transformer.h.0.attn.c_attn", "blk.1.ffn_down.weight": "transformer.h.1.mlp.c_proj",
                     "blk.1.ffn_up.weight": "transformer.h.1.mlp.c_fc"}),
    "plain": ("llama", {"target_modules": ["lm_head", "down_proj"], "alpha_pattern": {"lm_head": 3}},
              {"blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj"}),
}


def convert(name, source, adapter):
    job = WORK / f"job-{name}"
    (job / "out").mkdir(parents=True)
    (job / "job.json").write_text(json.dumps({
        "protocol": 1, "job": "0" * 64, "attempt": 1, "verb": "convert", "engine": {"name": "gguf", "version": "1"}, "name": "m",
        "file": "m", "source": {"dir": str(source), "format": "safetensors"}, "lora": {"dir": str(adapter)}, "platform": "",
        "quant": "F32", "hybrid": 0, "opt": 0, "with": {}, "out": "out", "threads": 3}))
    done = subprocess.run([str(WORKER), "convert", "job.json"], cwd=job, capture_output=True, text=True)
    assert done.returncode == 0, (name, done.stderr)
    return job / "out/m.gguf"


def matrix(module, n_in):
    """Of a linear module, whatever it is wrapped in: [out, in], as it answers to each input alone."""
    zero = module(torch.zeros(1, n_in))
    return (module(torch.eye(n_in)) - zero).T


def adapted(source, folder, options):
    """A model with a random adapter that PEFT saved into folder."""
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation="eager")
    torch.manual_seed(5)
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **options)).eval()
    with torch.no_grad():
        for name, p in peft.named_parameters():
            if "lora_magnitude" in name:
                p.mul_(torch.rand_like(p) + 0.5)
            elif "lora_" in name:
                p.copy_(torch.randn_like(p) * 0.1)
            elif "modules_to_save" in name:
                p.add_(torch.randn_like(p) * 0.01)
    peft.save_pretrained(folder, save_embedding_layers=False)
    return peft.base_model.model


@torch.no_grad()
def test_cases():
    for name, (family, options, blocks) in CASES.items():
        source = WORK / f"{family}-base"
        if not source.exists():
            fake(f"{family}-tiny:fill=random,dtype=F32", source.name)
        folder = WORK / f"{name}-adapter"
        model = adapted(source, folder, options)
        out = convert(name, source, folder)
        rows, hidden = model.config.vocab_size, model.config.hidden_size
        wanted = {"token_embd.weight": model.get_input_embeddings()(torch.arange(rows)),
                  "output.weight": matrix(model.get_output_embeddings(), hidden)}
        if "output.weight" not in [t["name"] for t in inspect(out)["tensors"]]:
            together = (wanted["token_embd.weight"] - wanted.pop("output.weight")).abs().max()
            assert together < 1e-5, (name, "the output is another one", together)
        for tensor, module in blocks.items():
            module = model.get_submodule(module)
            plain = module.get_base_layer()
            n_in = plain.weight.shape[0 if family == "gpt2" else 1]
            wanted[tensor] = matrix(module, n_in)
        worst = 0
        for tensor, w in wanted.items():
            got = torch.from_numpy(values(out, tensor).copy()).reshape(w.shape)
            off = float((got - w).abs().max() / w.abs().max())
            assert off < 3e-6, (name, tensor, off)
            worst = max(worst, off)
        print(f"  {name}: {', '.join(wanted)}: {worst:.1e}")


run_all(globals())
