#!/usr/bin/env python3
"""make_show.py QUERN DIR -- what the matrix of jobs.yaml here needs, once: two environments with the stand-in, an adapter for
tests/data/kjv-llama, and that model as GGUF of F16 and Q4_0, as quern's own engine makes them."""
import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import make_env

MODEL = make_env.HERE.parent / "data/kjv-llama"
RANK = 4
PARAMETERS = {"F16": [], "Q4_0": ["pure=true", "output_type=F16", "token_embedding_type=F16"]}


def adapter(folder):
    """In the form of PEFT, over the first layer's q_proj (256 x 256); its weights are a hash's digits."""
    if (folder / "adapter_config.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {"lora_A": (RANK, 256), "lora_B": (256, RANK)}
    header, data = {}, b""
    for name, (rows, cols) in shapes.items():
        digits = hashlib.sha256(name.encode()).digest() * (rows * cols // 32)
        values = struct.pack(f"<{rows * cols}f", *(d / 25500 - 0.005 for d in digits))
        header[f"base_model.model.model.layers.0.self_attn.q_proj.{name}.weight"] = {
            "dtype": "F32", "shape": [rows, cols], "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": ["q_proj"]}))


def gguf(quern, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for quant, given in PARAMETERS.items():
        out = folder / f"kjv-{quant}.gguf"
        if not out.exists():
            words = [w for g in given for w in ("--with", g)]
            subprocess.run([quern, "convert", MODEL, "-o", out, "--engine", "gguf", "--quant", quant, *words], check=True,
                           stdout=subprocess.DEVNULL)


def main():
    quern, folder = sys.argv[1], Path(sys.argv[2])
    for version in ("1.1.4", "1.2.3"):
        if not (folder / f"rkllm-{version}/bin/python").exists():
            make_env.make(folder / f"rkllm-{version}", version)
    adapter(folder / "adapter")
    gguf(quern, folder / "gguf")


if __name__ == "__main__":
    main()
