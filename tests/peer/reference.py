"""Logits of a checkpoint by PyTorch and the Hugging Face transformers library, in float32.

Classes that transformers has are loaded as they are, and every name of the checkpoint must be one that it wants. The
others are brought into the form of a class that computes the same, from their definitions:

    InternLM2, InternLM3, TeleChat2   a Llama with its matrices named and cut otherwise
    MiniCPM                           a Llama with its three scales folded into the weights
    MiniCPM3                          DeepSeek-V3's attention, with positions in halves and no experts; folded alike
    ChatGLM                           GLM, with q, k and v apart
"""
import json
import warnings

import torch
from safetensors.torch import load_file
import transformers
from transformers.modeling_utils import no_init_weights

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
torch.set_num_threads(2)


def _config(kind, c, **changes):
    keep = {k: c[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                              "num_key_value_heads", "vocab_size", "max_position_embeddings", "rms_norm_eps",
                              "rope_theta", "rope_scaling", "original_max_position_embeddings", "tie_word_embeddings") if k in c}
    return kind(**{**keep, **changes})


def _names(weights, pairs):
    """Each name with the first part of every pair replaced by the second."""
    out = {}
    for name, w in weights.items():
        for old, new in pairs:
            name = name.replace(old, new)
        out[name] = w
    return out


def _fold(weights, c):
    """muP: scales of the embedding, of each block's result and of the logits become part of the weights."""
    depth = c["scale_depth"] / c["num_hidden_layers"] ** 0.5
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    out = {n: w * depth if n.endswith(("o_proj.weight", "down_proj.weight")) else w for n, w in weights.items()}
    out["lm_head.weight"] = head * (c["dim_model_base"] / c["hidden_size"])
    out["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"] * c["scale_emb"]
    return out


def _internlm3(c, w):
    return transformers.LlamaForCausalLM(_config(transformers.LlamaConfig, c)), w


def _internlm2(c, w):
    w = _names(w, [("tok_embeddings", "embed_tokens"), ("attention.wo", "self_attn.o_proj"),
                   ("feed_forward.w1", "mlp.gate_proj"), ("feed_forward.w2", "mlp.down_proj"), ("feed_forward.w3", "mlp.up_proj"),
                   ("attention_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")])
    w = {("lm_head.weight" if n == "output.weight" else n): x for n, x in w.items()}
    kv, size = c["num_key_value_heads"], c["hidden_size"] // c["num_attention_heads"]
    for name in [n for n in w if "wqkv" in n]:
        groups = w.pop(name).view(kv, -1, size, c["hidden_size"])
        for part, x in (("q", groups[:, :-2]), ("k", groups[:, -2]), ("v", groups[:, -1])):
            w[name.replace("attention.wqkv", f"self_attn.{part}_proj")] = x.reshape(-1, c["hidden_size"])
    return _internlm3(c, w)


def _telechat(c, w):
    c = {"num_hidden_layers": c["n_layer"], "num_attention_heads": c["n_head"],
         "intermediate_size": c["ffn_hidden_size"], "rms_norm_eps": c["layer_norm_epsilon"], "max_position_embeddings": c["seq_length"], **c}
    w = _names(w, [("transformer.h.", "model.layers."), ("transformer.word_embeddings", "model.embed_tokens"),
                   ("transformer.ln_f", "model.norm"), ("self_attention.query", "self_attn.q_proj"),
                   ("self_attention.dense", "self_attn.o_proj")])
    size = c["hidden_size"] // c["num_attention_heads"]
    for name in [n for n in w if "key_value" in n]:
        heads = w.pop(name).view(-1, 2, size, c["hidden_size"])
        for part, x in (("k", heads[:, 0]), ("v", heads[:, 1])):
            w[name.replace("self_attention.key_value", f"self_attn.{part}_proj")] = x.reshape(-1, c["hidden_size"])
    model = transformers.LlamaForCausalLM(_config(transformers.LlamaConfig, c, attention_bias=True, mlp_bias=True))
    return model, {**{n: torch.zeros_like(x) for n, x in model.state_dict().items() if n.endswith(".bias")}, **w}


def _minicpm(c, w):
    return transformers.LlamaForCausalLM(_config(transformers.LlamaConfig, c, tie_word_embeddings=False)), _fold(w, c)


def _minicpm3(c, w):
    parts = {k: c[k] for k in ("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")}
    config = _config(transformers.DeepseekV3Config, c, tie_word_embeddings=False, rope_interleave=False,
                     first_k_dense_replace=c["num_hidden_layers"], **parts)
    return transformers.DeepseekV3ForCausalLM(config), _fold(w, c)


def _chatglm(c, w):
    heads, kv, size = c["num_attention_heads"], c["multi_query_group_num"], c["kv_channels"]
    config = transformers.GlmConfig(
        hidden_size=c["hidden_size"], intermediate_size=c["ffn_hidden_size"], num_hidden_layers=c["num_layers"],
        num_attention_heads=heads, num_key_value_heads=kv, head_dim=size, vocab_size=c["padded_vocab_size"],
        rms_norm_eps=c["layernorm_epsilon"], max_position_embeddings=c["seq_length"], attention_bias=True,
        tie_word_embeddings=False, rope_theta=10000.0 * c.get("rope_ratio", 1), pad_token_id=0)
    w = _names(w, [("transformer.encoder.layers.", "model.layers."),
                   ("transformer.embedding.word_embeddings", "model.embed_tokens"),
                   ("transformer.encoder.final_layernorm", "model.norm"), ("transformer.output_layer", "lm_head"),
                   ("self_attention.dense", "self_attn.o_proj"), ("dense_h_to_4h", "gate_up_proj"),
                   ("dense_4h_to_h", "down_proj")])
    for name in [n for n in w if "query_key_value" in n]:
        for part, x in zip("qkv", w.pop(name).split([heads * size, kv * size, kv * size])):
            w[name.replace("self_attention.query_key_value", f"self_attn.{part}_proj")] = x
    return transformers.GlmForCausalLM(config), w


FORMS = {"InternLM3ForCausalLM": _internlm3, "InternLM2ForCausalLM": _internlm2, "TeleChat2ForCausalLM": _telechat,
         "MiniCPMForCausalLM": _minicpm, "MiniCPM3ForCausalLM": _minicpm3, "ChatGLMModel": _chatglm}


def _own_class(folder, name, c):
    if name == "Gemma3ForConditionalGeneration":  # its text part alone
        name, c = "Gemma3ForCausalLM", {**c["text_config"], "tie_word_embeddings": True}
    kind = getattr(transformers, name)
    members = {k: v for k, v in c.items() if k not in ("architectures", "torch_dtype")}
    model = kind(kind.config_class(**{"pad_token_id": 0, **members}))
    weights = {n.removeprefix("language_model."): w for n, w in _weights(folder).items()
               if not n.startswith(("vision_tower.", "multi_modal_projector."))}
    return model, weights


def _weights(folder):
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        out.update(load_file(path))
    return {n: w.float() for n, w in out.items()}


def load(folder):
    c = json.loads((folder / "config.json").read_text())
    name = c["architectures"][0]
    with no_init_weights():  # all of them are loaded
        if name in FORMS:
            model, weights = FORMS[name](c, _weights(folder))
        else:
            model, weights = _own_class(folder, name, c)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    tied = model.config.tie_word_embeddings
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if tied else set()), (name, missing, unexpected)
    model.tie_weights()
    model.set_attn_implementation("eager")
    return model.eval()


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].double().numpy()
