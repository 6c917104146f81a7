"""Every architecture beside what llama.cpp's own converter makes of the same checkpoint: tensors bit for bit, and every key
of the metadata in its type and value. Where we mean to differ, it stands in a table here with the reason."""
import json
import os
import subprocess
import sys
from pathlib import Path

from peer import ARCHITECTURES, WORK, convert, fake, inspect, run_all

try:
    import numpy as np
    from gguf import GGUFReader
    from sentencepiece import sentencepiece_model_pb2
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)

CONVERTER = Path(os.environ["QUERN_PEER_DIR"]) / "converter"
if not (CONVERTER / "pin").exists():
    print("SKIP: llama.cpp's converter is not installed; tests/peer/setup_reference.sh says why")
    sys.exit(77)

NOT_THERE = {"telechat2"}  # no architecture of that converter
NO_VOCABULARY = {"chatglm"}  # see converter.py
ABSENT = object()

README = """---
license: other
license_name: a-license
license_link: https://example.org/license
language: [en, "de"]
base_model:
- some-org/some-Base-2B
- https://huggingface.co/some-org/its-other-v1.5-base
- https://example.org/x/y/z
datasets:
- some-org/a-set
- another
pipeline_tag: text-generation
tags:
- fake
- "two words"
---
"""


FACTORS = {"short_factor": [1 + i / 10 for i in range(16)], "long_factor": [1 + i / 2 for i in range(16)]}
# Positions that are stretched, by preset: rope_scaling, and what else config.json then has.
STRETCHED = {
    "llama": ({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}, {}),
    "gemma3": ({"rope_type": "linear", "factor": 8.0}, {}),
    "qwen3": ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}, {}),
    "deepseek3": ({"rope_type": "yarn", "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512, "mscale": 1.0,
                   "mscale_all_dim": 1.0, "beta_fast": 32, "beta_slow": 1}, {}),
    "phi3": ({"type": "longrope", **FACTORS}, {"original_max_position_embeddings": 1024}),
    "minicpm": ({"rope_type": "longrope", "original_max_position_embeddings": 16, **FACTORS},
                {"original_max_position_embeddings": 16}),
}


def stretched(preset):
    name = f"{preset}_stretched"
    folder = fake(f"{preset}-tiny:fill=random,dtype=F32", name)
    config = json.loads((folder / "config.json").read_text())
    scaling, more = STRETCHED[preset]
    (folder / "config.json").write_text(json.dumps({**config, **more, "rope_scaling": scaling}))
    return name


def checkpoint(name):
    folder = fake(f"{name}-tiny:fill=random,dtype=F32", name)
    (folder / "README.md").write_text(README)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1}))
    if name == "internlm2":
        fill_up(folder / "tokenizer.model")


def fill_up(path):
    """As InternLM2 has it: a piece for every row of the embedding, one of a NUL, and some that nobody used yet; the last of these
    is another token by tokenizer_config.json."""
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    model.pieces[300].piece, model.pieces[301].piece = "\0", "[UNUSED_TOKEN_1]"
    last = model.pieces.add()
    last.piece, last.score, last.type = "[UNUSED_TOKEN_2]", -9e9, last.NORMAL
    path.write_bytes(model.SerializeToString())


def theirs(jobs):
    """{(name, kind): file}"""
    out = {(name, kind): WORK / f"theirs-{name}-{kind}.gguf" for name, kind in jobs}
    lines = []
    for name, kind in jobs:
        ours = inspect(convert(WORK / name, kind.upper()))["metadata"]
        lines.append("\t".join([str(WORK / name), str(out[name, kind]), kind, ours.get("tokenizer.ggml.pre", "")]))
    done = subprocess.run([sys.executable, Path(__file__).with_name("converter.py"), CONVERTER], input="\n".join(lines) + "\n",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = dict(zip(jobs, [line for line in done.stdout.splitlines()]))
    assert len(said) == len(jobs) and set(said.values()) == {"ok"}, (said, done.stderr[-2000:])
    return out


def metadata(path):
    reader = GGUFReader(path)
    keys = {k: ([t.name for t in f.types], f.contents()) for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    return keys, {t.name: (t.tensor_type.name, shape_of(t), t.data) for t in reader.tensors}


def shape_of(t):
    """A dimension of 1 at the end is none: to llama.cpp the gate of Qwen2-MoE's shared expert is a vector."""
    shape = [int(n) for n in t.shape]
    while len(shape) > 1 and shape[-1] == 1:
        shape.pop()
    return shape


def value(pair):
    return ABSENT if pair is None else pair[1]


def head_dim(keys, arch):
    return keys[f"{arch}.embedding_length"][1] // keys[f"{arch}.attention.head_count"][1]


# What we write and they do not: nothing that the loader would not take itself. Or None: whatever it is.
def default_of(key, keys, arch):
    if key in ("attention.key_length", "attention.value_length"):
        # MiniCPM3's is that of its heads, which the loader does not ask for.
        return None if arch == "minicpm3" else head_dim(keys, arch)
    return {
        "rope.freq_base": 10000.0,
        "attention.head_count_kv": keys[f"{arch}.attention.head_count"][1],
        "rope.dimension_count": head_dim(keys, arch),
        "expert_weights_norm": False,
        "rope.scaling.type": "longrope",  # Phi-3's
        # MiniCPM's own code stretches so; test_archs.py has the logits.
        **({"rope.scaling.attn_factor": None, "rope.scaling.original_context_length": None} if arch == "minicpm" else {}),
        "expert_shared_feed_forward_length": None,  # DeepSeek's: the loader multiplies it out itself
    }.get(key, ABSENT)


# Ours, theirs, and why.
MEANT = {
    "general.name": "what the matrix calls the model, not the name of a folder in other letters",
    "general.basename": "what the parts of a name mean is not guessed",
    "general.finetune": "likewise",
    "general.base_model.0.version": "likewise",
    "tokenizer.ggml.add_bos_token": "always said",
    "tokenizer.ggml.add_eos_token": "always said",
    "tokenizer.ggml.add_sep_token": "false is what it is without",
    "tokenizer.ggml.add_space_prefix": "that which llama.cpp does without: true for SentencePiece, false for others",
    "tokenizer.ggml.unknown_token_id": "always said",
    "tokenizer.ggml.eot_token_id": "the second end of generation_config.json; theirs writes 107 into every Gemma 1",
}


def meant(key, ours, other, keys, arch, name):
    if key.startswith("tokenizer.") and name in NO_VOCABULARY:
        return True
    if key == "tokenizer.ggml.token_type":  # <unk> stays unknown
        return [pair for pair in zip(ours[1], other[1]) if pair[0] != pair[1]] == [(2, 3)] and ours[1].index(2) == 0
    if key == "tokenizer.ggml.add_space_prefix":
        return (ours or other)[1] == (keys["tokenizer.ggml.model"][1] == "llama") and not (ours and other)
    if key == "tokenizer.ggml.add_eos_token":
        return other is None and ours[1] is False
    if key == f"{arch}.feed_forward_length":  # they write four times the width, whatever config.json has
        return arch == "phi2"
    if key.startswith(f"{arch}.expert_group"):  # one group is none
        return ours is None and other[1] == 1
    if key.startswith(f"{arch}."):
        expected = default_of(key.removeprefix(f"{arch}."), keys, arch)
        return expected is not ABSENT and not (ours and other) and (expected is None or (ours or other)[1] == expected)
    return key in MEANT


def same_weights(name, a, b):
    """To the bit; factors that are computed, they in single precision, to its last digits."""
    if name == "rope_freqs.weight":
        return np.allclose(a, b, rtol=1e-6, atol=0)
    return a.tobytes() == b.tobytes()


def compare(name, path):
    ours, tensors = metadata(convert(WORK / name, "F32"))
    other, their_tensors = metadata(path)
    arch = ours["general.architecture"][1]
    wrong = [(k, str(ours.get(k))[:200], str(other.get(k))[:200]) for k in sorted({*ours, *other})
             if ours.get(k) != other.get(k) and not meant(k, ours.get(k), other.get(k), ours, arch, name)]
    for t in sorted({*tensors, *their_tensors}):
        a, b = tensors.get(t), their_tensors.get(t)
        if not a or not b or a[:2] != b[:2] or not same_weights(t, a[2], b[2]):
            wrong.append((t, a and a[:2], b and b[:2]))
    return wrong


def test_files_are_those_of_the_converter():
    names = [name for name in ARCHITECTURES if name not in NOT_THERE]
    for name in names:
        checkpoint(name)
    names += [stretched(preset) for preset in STRETCHED]
    files = theirs([(name, kind) for name in names for kind in ("f32", "bf16")])
    wrong = {}
    for name in names:
        found = compare(name, files[name, "f32"])
        kinds = [{t: v[0] for t, v in metadata(p)[1].items()} for p in (convert(WORK / name, "BF16"), files[name, "bf16"])]
        found += [(t, kinds[0][t], kinds[1].get(t)) for t in kinds[0] if kinds[0][t] != kinds[1].get(t)]
        if found:
            wrong[name] = found
    for name, found in wrong.items():
        print(f"  {name}:", *found, sep="\n    ")
    assert not wrong, sorted(wrong)


run_all(globals())
