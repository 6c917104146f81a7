"""quern-fake, the program: folders that are complete or absent, the same bytes every time, and the worker's verbs."""
import hashlib
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import BUILD, environment, run_all  # noqa: E402

FAKE = BUILD / "bin" / "quern-fake"
TEXTS = {"README.md", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
WIDTH = {"BF16": 2, "F16": 2, "F32": 4}


@contextmanager
def folder():
    path = Path(tempfile.mkdtemp(prefix="quern-fake-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def fake(*args, code=0, says=""):
    done = subprocess.run([FAKE, *map(str, args)], env=environment(), text=True, capture_output=True, timeout=120)
    assert done.returncode == code, f"exit {done.returncode}, not {code}: {done.stderr}"
    assert says in done.stderr, f"{says!r} is not in: {done.stderr}"
    return done.stdout


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        time.sleep(0.005)


def read_shard(path):
    """{name: (dtype, shape, bytes)} of one file, by the rules of the format and nothing of ours."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    assert (8 + length) % 8 == 0, "data are aligned"
    header = json.loads(data[8:8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    tensors, expected = {}, 0
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = t["data_offsets"]
        assert begin == expected, f"{name}: a hole or an overlap"
        assert end - begin == math.prod(t["shape"]) * WIDTH[t["dtype"]], name
        tensors[name] = (t["dtype"], t["shape"], data[8 + length + begin:8 + length + end])
        expected = end
    assert len(data) == 8 + length + expected, "nothing trails"
    return tensors


def read_model(path):
    index = path / "model.safetensors.index.json"
    if not index.exists():
        assert set(os.listdir(path)) == TEXTS | {"model.safetensors"}
        return read_shard(path / "model.safetensors")
    index = json.loads(index.read_text())
    tensors = {}
    for shard in sorted(set(index["weight_map"].values())):
        part = read_shard(path / shard)
        assert set(part) == {n for n, s in index["weight_map"].items() if s == shard}
        tensors.update(part)
    assert index["metadata"]["total_size"] == sum(len(t[2]) for t in tensors.values())
    assert set(os.listdir(path)) == TEXTS | set(index["weight_map"].values()) | {"model.safetensors.index.json"}
    return tensors


def shapes(config):
    """What the transformers library builds from a config.json."""
    h, f, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    q, kv = (config[n] * config["head_dim"] for n in ("num_attention_heads", "num_key_value_heads"))
    out = {"model.embed_tokens.weight": [v, h], "model.norm.weight": [h]}
    if not config["tie_word_embeddings"]:
        out["lm_head.weight"] = [v, h]
    for i in range(config["num_hidden_layers"]):
        layer = {"input_layernorm.weight": [h], "post_attention_layernorm.weight": [h],
                 "mlp.gate_proj.weight": [f, h], "mlp.up_proj.weight": [f, h], "mlp.down_proj.weight": [h, f],
                 "self_attn.q_proj.weight": [q, h], "self_attn.k_proj.weight": [kv, h],
                 "self_attn.v_proj.weight": [kv, h], "self_attn.o_proj.weight": [h, q]}
        if config["model_type"] == "qwen2":
            layer |= {"self_attn.q_proj.bias": [q], "self_attn.k_proj.bias": [kv], "self_attn.v_proj.bias": [kv]}
        out |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    return out


def test_tensors_are_those_of_the_config():
    for spec in ("llama", "qwen2", "llama-tiny:tie=true,layers=1,dtype=F16", "qwen2-tiny:tie=false,dtype=F32",
                 "llama:hidden=96,heads=3,kv_heads=1,ffn=160,vocab=300"):
        with folder() as d:
            fake("make", spec + (",fill=zero" if ":" in spec else ":fill=zero"), d / "m")
            tensors, config = read_model(d / "m"), json.loads((d / "m/config.json").read_text())
            assert {n: t[1] for n, t in tensors.items()} == shapes(config), spec
            assert not any(any(t[2]) for t in tensors.values()), f"{spec}: a weight is not zero"


def test_description_is_of_what_is_made():
    for spec in ("llama-tiny:fill=random,seed=3", "qwen2-tiny:dtype=F32,shard=200KB"):
        with folder() as d:
            said = json.loads(fake("describe", spec))
            fake("make", spec, d / "m")
            tensors, config = read_model(d / "m"), json.loads((d / "m/config.json").read_text())
            counts = {n: math.prod(t[1]) for n, t in tensors.items()}
            matrices = [n for n, t in tensors.items() if len(t[1]) == 2]
            assert said["params"] == sum(counts.values())
            assert said["matrix_params"] == sum(counts[n] for n in matrices)
            assert said["vector_params"] == said["params"] - said["matrix_params"]
            assert said["size_bytes"] == sum(len(t[2]) for t in tensors.values())
            assert said["largest_tensor_bytes"] == max(len(t[2]) for t in tensors.values())
            assert said["n_tensors"] == len(tensors)
            assert said["max_row"] == max(tensors[n][1][-1] for n in matrices)
            assert said["tokenizer_bytes"] == (d / "m/tokenizer.json").stat().st_size
            assert {said["dtype"]} == {t[0] for t in tensors.values()}
            assert [said["architecture"]] == config["architectures"] and said["model_type"] == config["model_type"]
            assert f"license: {said['license']}\n" in (d / "m/README.md").read_text()
            assert json.loads(fake("describe", said["spec"])) == said, "the canonical spec stands for itself"


def test_weights_depend_on_seed_alone():
    with folder() as d:
        for name, more in (("one", "shard=1GB"), ("again", "shard=1GB"), ("shards", "shard=100KB"),
                           ("each", "shard=1"), ("other", "seed=1")):
            fake("make", f"qwen2-tiny:fill=random,{more}", d / name)
        one = read_model(d / "one")
        for name in sorted(os.listdir(d / "one")):
            assert (d / "one" / name).read_bytes() == (d / "again" / name).read_bytes(), name
        assert len(list((d / "shards").glob("*.safetensors"))) > 1
        assert len(list((d / "each").glob("*.safetensors"))) == len(one)
        assert read_model(d / "shards") == one and read_model(d / "each") == one
        other = read_model(d / "other")
        for name, (_, shape, data) in one.items():
            if "norm" in name:
                assert data == other[name][2] == struct.pack("<H", 0x3F80) * shape[0], name  # 1.0
            else:
                assert data != other[name][2], name


def test_random_weights_have_the_spread_of_real_ones():
    with folder() as d:
        fake("make", "llama-tiny:fill=random,dtype=F32", d / "m")
        data = read_model(d / "m")["model.embed_tokens.weight"][2]
        values = struct.unpack(f"<{len(data) // 4}f", data)
        deviation = math.sqrt(sum(v * v for v in values) / len(values))
        assert abs(sum(values) / len(values)) < 4e-4 and abs(deviation - 0.02) < 3e-4, deviation  # 5 sigma of 65536


def test_tokenizer_fits_the_embedding():
    for spec in ("llama-tiny", "qwen2-tiny", "llama:vocab=4000", "qwen2:vocab=5000", "llama:vocab=272"):
        with folder() as d:
            fake("make", spec, d / "m")
            t = json.loads((d / "m/tokenizer.json").read_text())
            config = json.loads((d / "m/config.json").read_text())
            vocab, added = t["model"]["vocab"], {x["content"]: x["id"] for x in t["added_tokens"]}
            ids = sorted(vocab.values()) + sorted(added.values())
            assert ids == list(range(len(ids))) and len(ids) <= config["vocab_size"], spec
            assert not set(vocab) & set(added)
            for merge in t["model"]["merges"]:
                left, right = merge.split(" ")
                assert {left, right, left + right} <= set(vocab), merge
            assert config["bos_token_id"] in added.values() and config["eos_token_id"] in added.values()
            llama = config["model_type"] == "llama"
            assert t["model"]["ignore_merges"] is llama
            assert t["normalizer"] == (None if llama else {"type": "NFC"})
            split, byte_level = t["pre_tokenizer"]["pretokenizers"]
            assert split["pattern"]["Regex"] == (
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + ("{1,3}" if llama else "")
                + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
            assert split["behavior"] == "Isolated" and byte_level["use_regex"] is False
            assert "messages" in json.loads((d / "m/tokenizer_config.json").read_text())["chat_template"]


def test_what_is_there_is_kept():
    with folder() as d:
        fake("make", "llama-tiny", d / "m")
        before = (d / "m/config.json").read_bytes()
        fake("make", "qwen2-tiny", d / "m", code=3, says="--force")
        assert (d / "m/config.json").read_bytes() == before
        fake("make", "qwen2-tiny", d / "m", "--force")
        assert json.loads((d / "m/config.json").read_text())["model_type"] == "qwen2"
        read_model(d / "m")
        (d / "home").mkdir()
        (d / "home/letter").write_text("dear")
        fake("make", "--force", "llama-tiny", d / "home", code=3, says="not the folder of a model")
        assert (d / "home/letter").read_text() == "dear"
        assert sorted(os.listdir(d)) == ["home", "m"], "nothing is left over"


def test_killed_or_interrupted_leaves_no_model():
    for sig in (signal.SIGKILL, signal.SIGTERM):
        with folder() as d:
            maker = subprocess.Popen([FAKE, "make", "tinyllama-1.1b:fill=random", d / "m"], env=environment())
            wait_until(lambda: any(p.stat().st_size > 1 << 20 for p in d.glob(".m.*/model.safetensors")))
            assert maker.poll() is None, "it is in the middle: 2 GB are being written"
            maker.send_signal(sig)
            assert maker.wait(60) == -sig
            assert not (d / "m").exists()
            if sig == signal.SIGTERM:
                assert os.listdir(d) == [], "what can clean up does"


def test_mistakes_are_named():
    fake("describe", "lama-tiny", code=3, says='did you mean "llama-tiny"')
    fake("describe", "llama-tiny:layrs=2", code=3, says='did you mean "layers"')
    fake("describe", "llama-tiny:vocab=99999999999999999999", code=3, says="vocab")
    with folder() as d:
        fake("make", "llama-tiny:heads=0", d / "m", code=3, says="heads")
    fake(code=2, says="usage")
    fake("make", "llama-tiny", code=2, says="usage")
    fake("mkae", "llama-tiny", "x", code=2, says="usage")


def job_folder(d, **with_):
    (d / "src").mkdir()
    (d / "src/config.json").write_text("{}")
    (d / "out").mkdir()
    (d / "job.json").write_text(json.dumps({
        "protocol": 1, "job": "0" * 64, "attempt": 1, "verb": "convert", "engine": {"name": "fake", "version": "1"},
        "name": "m", "file": "m-none", "source": {"dir": str(d / "src"), "format": "safetensors"}, "lora": None,
        "platform": "", "quant": "none", "hybrid": 0, "opt": 0, "with": with_, "out": "out", "threads": 1}))
    return d / "job.json"


def test_worker_converts_and_validates():
    for more in ({}, {"spec": "qwen2-tiny:fill=random,shard=200KB"}):  # without one, the manifest's default
        with folder() as d:
            job = job_folder(d, **more)
            for line in fake("convert", job).splitlines():
                assert json.loads(line)["event"] == "progress"
            result = json.loads((d / "result.json").read_text())
            assert result["status"] == "ok"
            assert {f["path"] for f in result["files"]} == set(os.listdir(d / "out"))
            for f in result["files"]:
                data = (d / "out" / f["path"]).read_bytes()
                assert f["size"] == len(data) and f["sha256"] == hashlib.sha256(data).hexdigest(), f["path"]
            fake("make", more.get("spec", "llama-tiny"), d / "same")
            assert read_model(d / "same") == read_model(d / "out")
            fake("validate", job)
            shard = sorted((d / "out").glob("*.safetensors"))[0]
            os.truncate(shard, shard.stat().st_size - 1)
            fake("validate", job, code=3, says=shard.name)


def test_worker_refuses_a_bad_spec():
    with folder() as d:
        fake("convert", job_folder(d, spec="qwen9"), code=3, says="qwen")
        result = json.loads((d / "result.json").read_text())
        assert result["status"] == "error" and result["code"] == "invalid"
        assert os.listdir(d / "out") == []


run_all(globals())
