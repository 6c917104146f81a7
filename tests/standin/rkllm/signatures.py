"""The documented signatures of each release."""
import inspect

NONE = inspect.Parameter.empty


def _calls(version):
    """{call: [(parameter, default)]}; version: (1, 2, 3)."""
    calls = {
        "load_huggingface": [("model", NONE), ("model_lora", None), ("device", "cpu")],
        "load_gguf": [("model", NONE)],
        "build": [("do_quantization", True), ("optimization_level", 1), ("quantized_dtype", "w8a8"),
                  ("quantized_algorithm", "normal"), ("target_platform", "rk3588"), ("num_npu_core", 3),
                  ("extra_qparams", None), ("dataset", None), ("hybrid_rate", 0)],
        "export_rkllm": [("export_path", NONE)],
        "get_logits": [("inputs", NONE)],
        "chat_model": [("messages", NONE), ("args", NONE)],
    }
    if version >= (1, 1, 4):
        calls["update_rkllm"] = [("model", NONE)]
    if version >= (1, 2, 0):
        calls["load_huggingface"] += [("dtype", "float32"), ("custom_config", None), ("load_weight", True)]
        calls["build"] += [("max_context", 4096)]
    if version >= (1, 3, 0):
        calls["export_rkllm"] += [("export_tokenizer", False), ("export_embedding", False)]
    return calls


def of(version):
    """{call: inspect.Signature}"""
    return {name: inspect.Signature([inspect.Parameter(p, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=d)
                                     for p, d in parameters])
            for name, parameters in _calls(version).items()}
