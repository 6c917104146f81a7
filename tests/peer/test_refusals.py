"""Models that are damaged, incomplete or contradict themselves: one line that names the culprit, and no output."""
import json
import re
import shutil

import llama
from peer import QUERN, WORK, convert, fake, run, run_all


def whole(spec):
    name = "whole-" + re.sub(r"\W", "-", spec)
    return WORK / name if (WORK / name).exists() else fake(spec, name)


def broken(name, change, spec="llama-tiny:fill=zero"):
    folder = WORK / name
    shutil.copytree(whole(spec), folder)
    change(folder)
    return folder


def refused(name, change, *words, spec="llama-tiny:fill=zero"):
    """convert says no: exit 2 (before the work) or 1 (in it), one sentence with all the words, nothing left behind."""
    folder, out = broken(name, change, spec), WORK / "out" / f"{name}.gguf"
    out.parent.mkdir(exist_ok=True)
    done = run(QUERN, "convert", folder, "-o", out, "--engine", "gguf", "--quant", "Q8_0")
    assert done.returncode in (1, 2), (name, done.returncode, done.stdout)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, (name, done.stdout)
    for word in words:
        assert word in lines[0], f"{name}: {word!r} is not in {lines[0]}"
    assert not list(out.parent.iterdir()), f"{name}: {list(out.parent.iterdir())} is left"


def edit_json(file, change):
    def edit(folder):
        path = folder / file
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))
    return edit


def config(**fields):
    def change(value):
        for key, field in fields.items():
            value.pop(key) if field is None else value.update({key: field})
    return edit_json("config.json", change)


def weights(change, file="model.safetensors"):
    """Change a file's header (parsed) and data (a bytearray); the header's length is put right."""
    def edit(folder):
        raw = (folder / file).read_bytes()
        at = 8 + int.from_bytes(raw[:8], "little")
        header, data = json.loads(raw[8:at]), bytearray(raw[at:])
        change(header, data)
        text = json.dumps(header).encode()
        (folder / file).write_bytes(len(text).to_bytes(8, "little") + text + data)
    return edit


def cut(n_bytes):
    def edit(folder):
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:n_bytes])
    return edit


K_PROJ = "model.layers.1.self_attn.k_proj.weight"


def poison(value):
    """One weight of one tensor; the message must tell which."""
    def change(header, data):
        at = header[K_PROJ]["data_offsets"][0] + 2 * 77
        data[at:at + 2] = value
    return weights(change)


def test_damaged_weights():
    refused("truncated-data", cut(-100), "model.safetensors")
    refused("truncated-header", cut(100), "model.safetensors")
    refused("empty-file", cut(0), "model.safetensors")
    refused("seven-bytes", cut(7), "model.safetensors")
    refused("trailing", lambda f: (f / "model.safetensors").open("ab").write(b"x"), "model.safetensors")
    refused("huge-header", lambda f: (f / "model.safetensors").open("r+b").write(b"\xff" * 8), "model.safetensors")
    refused("no-weights", lambda f: (f / "model.safetensors").unlink(), "safetensors")
    refused("folder-as-weights", lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors").mkdir()),
            "safetensors")


def test_absurd_headers():
    def entry(**fields):
        return weights(lambda header, data: header[K_PROJ].update(fields))

    def overlap(header, data):
        other = next(k for k in header if k not in (K_PROJ, "__metadata__") and
                     header[k]["shape"] == header[K_PROJ]["shape"])
        header[other]["data_offsets"] = header[K_PROJ]["data_offsets"]

    refused("overlap", weights(overlap), "model.safetensors")
    refused("beyond-file", entry(data_offsets=[0, 1 << 62]), "model.safetensors")
    refused("negative", entry(data_offsets=[-1, 5]), "model.safetensors")
    refused("backwards", entry(data_offsets=[100, 50]), "model.safetensors")
    refused("shape-overflow", entry(shape=[1 << 62, 1 << 62]), "model.safetensors")
    refused("shape-of-text", entry(shape="64x128"), "model.safetensors")
    refused("dtype-unknown", entry(dtype="Q7"), "Q7")
    refused("dtype-not-read", entry(dtype="I16"), K_PROJ, "I16")
    refused("not-json", lambda f: (f / "model.safetensors").write_bytes(b"\x05" + b"\0" * 7 + b"{nope"),
            "model.safetensors")


def test_weights_that_are_no_numbers():
    refused("nan", poison(b"\xc0\x7f"), K_PROJ, "not a finite number")
    refused("minus-infinity", poison(b"\x80\xff"), K_PROJ, "not a finite number")
    refused("beyond-binary16", poison(b"\x00\x7f"), K_PROJ)  # 1.7e38: no scale of Q8_0 holds it


def test_shards():
    sharded = "llama-tiny:fill=zero,shard=200KB"
    second = "model-00002-of-00005.safetensors"
    index = "model.safetensors.index.json"
    refused("shard-missing", lambda f: (f / second).unlink(), second, spec=sharded)
    refused("shard-renamed", lambda f: (f / second).rename(f / "spare.safetensors"), second, spec=sharded)
    refused("index-absent-file", edit_json(index, lambda v: v["weight_map"].update({K_PROJ: "nowhere.safetensors"})),
            "nowhere.safetensors", spec=sharded)
    refused("index-wrong-shard", edit_json(index, lambda v: v["weight_map"].update({K_PROJ: second})),
            K_PROJ, spec=sharded)
    refused("index-climbs", edit_json(index, lambda v: v["weight_map"].update({K_PROJ: "../other/x.safetensors"})),
            index, K_PROJ, "plain name", spec=sharded)
    refused("index-unknown-tensor", edit_json(index, lambda v: v["weight_map"].update({"ghost.weight": second})),
            "ghost.weight", spec=sharded)
    refused("index-not-json", lambda f: (f / index).write_text("{"), index, spec=sharded)
    refused("no-index-one-part", lambda f: (f / "model.safetensors").rename(f / "model-00001-of-00002.safetensors"),
            "only 1 of 2 parts")


def test_config():
    for field in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "architectures"):
        refused(f"lacks-{field}", config(**{field: None}), "config.json", field)
    refused("architecture", config(architectures=["NobodyForCausalLM"]), "NobodyForCausalLM")
    refused("hidden-as-text", config(hidden_size="128"), "config.json", "hidden_size")
    refused("hidden-negative", config(hidden_size=-128), "config.json", "hidden_size")
    refused("layers-absurd", config(num_hidden_layers=10**9), "config.json", "num_hidden_layers")
    refused("heads-zero", config(num_attention_heads=0), "config.json", "num_attention_heads")
    refused("kv-heads", config(num_key_value_heads=3), "config.json", "3 key/value heads")
    refused("rope-scaling", config(rope_scaling={"rope_type": "sideways", "factor": 2.0}), "sideways")
    refused("no-config", lambda f: (f / "config.json").unlink(), "config.json")
    refused("config-not-json", lambda f: (f / "config.json").write_text('{"hidden_size": 128'), "config.json")


def test_shapes_that_contradict():
    refused("more-layers", config(num_hidden_layers=3), "model.layers.2.", "missing")
    refused("fewer-layers", config(num_hidden_layers=1), "model.layers.1.", "no part of")
    refused("head-count", config(num_attention_heads=2), "q_proj", "has shape")
    refused("hidden", config(hidden_size=256), "has shape")
    refused("ffn", config(intermediate_size=255), "gate_proj.weight", "has shape")
    refused("vocabulary", config(vocab_size=511), "embed_tokens.weight", "has shape")

    def rename(header, data):
        header[K_PROJ.replace("k_proj", "z_proj")] = header.pop(K_PROJ)

    refused("tensor-missing", weights(rename), K_PROJ, "missing")


def test_tokenizers():
    def edit(change):
        return edit_json("tokenizer.json", change)

    def split(pattern):
        return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}

    def twice(tok):
        first, second, *_ = tok["model"]["vocab"]
        tok["model"]["vocab"][second] = tok["model"]["vocab"][first]

    refused("vocab-beyond", edit(lambda t: t["model"]["vocab"].update({"extra": 999999})),
            "tokenizer.json", "beyond the embedding")
    refused("vocab-one-more", edit(lambda t: t["model"]["vocab"].update({"extra": 512})),
            "tokenizer.json", "beyond the embedding")
    refused("vocab-negative", edit(lambda t: t["model"]["vocab"].update({"extra": -1})), "tokenizer.json")
    refused("vocab-twice", edit(twice), "tokenizer.json", "same id")
    refused("pre-unknown", edit(lambda t: t.update(pre_tokenizer=split("x+"))), "tokenizer.json", "pre-tokenizer")
    refused("model-kind", edit(lambda t: t["model"].update(type="Unigram")), "tokenizer.json", "Unigram")
    refused("no-merges", edit(lambda t: t["model"].pop("merges")), "tokenizer.json", "merges")
    for name, merge in (("three", "a b c"), ("one", "ab"), ("half", "a "), ("empty", ["", "a"]), ("number", 7)):
        refused(f"merge-{name}", edit(lambda t: t["model"]["merges"].append(merge)), "tokenizer.json", "merge")
    refused("normalizer", edit(lambda t: t.update(normalizer={"type": "Lowercase"})), "tokenizer.json", "Lowercase")
    refused("byte-fallback", edit(lambda t: t["model"].update(byte_fallback=True)), "tokenizer.json", "byte fallback")
    refused("no-tokenizer", lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json")
    refused("tokenizer-not-json", lambda f: (f / "tokenizer.json").write_text("[]"), "tokenizer.json", "model")


def test_a_vocabulary_with_holes_is_filled():
    def holes(tok):
        by_id = sorted(tok["model"]["vocab"], key=tok["model"]["vocab"].get)
        for name in by_id[300:303] + by_id[-1:]:
            del tok["model"]["vocab"][name]
            tok["model"]["merges"] = [m for m in tok["model"]["merges"]
                                      if name not in (m.split(" ") if isinstance(m, str) else m)
                                      and name != "".join(m.split(" ") if isinstance(m, str) else m)]

    folder = broken("holes", edit_json("tokenizer.json", holes), spec="llama-tiny:fill=random")
    m = llama.Model(convert(folder, "Q8_0"), 64)
    assert m.n_vocab == 512, m.n_vocab
    m.close()


run_all(globals())
