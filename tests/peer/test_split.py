"""One model in several files: names and keys as llama.cpp's gguf-split has them, loaded by the first file alone, every tensor
as in the one file."""
import json
import struct
import subprocess

import numpy as np

import llama
from peer import KJV, QUERN, WORK, WORKER, convert, fake, inspect, raw_bytes, run, run_all


def split(source, name, *parameters):
    """The folder that several files become."""
    out = WORK / name
    with_ = [word for p in parameters for word in ("--with", p)]
    done = run(QUERN, "convert", source, "-o", out, "--engine", "gguf", "--quant", "Q4_K_M", *with_)
    assert done.returncode == 0, done.stdout
    return out


def contents(files):
    return {t["name"]: (t["type"], t["shape"], raw_bytes(path, t)) for path in files for t in inspect(path)["tensors"]}


def check(files, whole):
    """They are what the one file is, but for the keys of a split."""
    plain = inspect(whole)
    for i, path in enumerate(files):
        assert path.name.endswith(f"-{i + 1:05}-of-{len(files):05}.gguf"), path
        head = inspect(path)["metadata"]
        assert (head.pop("split.no"), head.pop("split.count")) == (i, len(files)), path
        assert head.pop("split.tensors.count") == len(plain["tensors"]), path
        if i:
            assert head == {}, head
        else:
            assert {k: v for k, v in plain["metadata"].items() if k != "general.name"} == {
                k: v for k, v in head.items() if k != "general.name"}
    raw = files[1].read_bytes()
    for key, value in (("split.no", struct.pack("<IH", 2, 1)), ("split.count", struct.pack("<IH", 2, len(files))),
                       ("split.tensors.count", struct.pack("<Ii", 5, len(plain["tensors"])))):
        assert struct.pack("<Q", len(key)) + key.encode() + value in raw, key
    assert contents(files) == contents([whole])
    ours, one = llama.Model(files[0]), llama.Model(whole)
    ids = one.tokenize("In the beginning")
    assert np.array_equal(ours.logits(ids), one.logits(ids))
    ours.close()
    one.close()


def test_by_size():
    folder = split(KJV, "by-size", "split_max_size=1M")
    files = sorted(folder.glob("*.gguf"))
    assert len(files) > 2, files
    check(files, convert(KJV, "Q4_K_M"))
    sizes = [sum(-(-t["size_bytes"] // 32) * 32 for t in inspect(path)["tensors"]) for path in files]
    first = [-(-inspect(path)["tensors"][0]["size_bytes"] // 32) * 32 for path in files]
    for i, size in enumerate(sizes):  # none too large but for a single tensor, none closed too early
        assert size <= 1_000_000 or len(inspect(files[i])["tensors"]) == 1, sizes
        assert i + 1 == len(files) or size + first[i + 1] > 1_000_000, sizes
    for path in files:
        assert run(QUERN, "verify", path).returncode == 0


def test_one_that_fits_is_one_plain_file():
    path = split(KJV, "fits.gguf", "split_max_size=1G")
    assert path.is_file() and "split.no" not in inspect(path)["metadata"]


def two_files(source):
    """The checkpoint in two files: its tensors in turn."""
    raw = (source / "model.safetensors").read_bytes()
    data = 8 + struct.unpack("<Q", raw[:8])[0]
    tensors = {k: v for k, v in json.loads(raw[8:data]).items() if k != "__metadata__"}
    places = {}
    for part in range(2):
        head, body = {}, b""
        for name in sorted(tensors)[part::2]:
            begin, end = tensors[name]["data_offsets"]
            head[name] = {**tensors[name], "data_offsets": [len(body), len(body) + end - begin]}
            body += raw[data + begin:data + end]
            places[name] = f"model-{part + 1:05}-of-00002.safetensors"
        text = json.dumps(head).encode()
        (source / f"model-{part + 1:05}-of-00002.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    (source / "model.safetensors").unlink()
    (source / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


def test_as_the_checkpoint_is_split():
    source = fake("llama-tiny:fill=random,hidden=256,heads=8,layers=4,tie=false", "halves")
    whole = convert(source, "Q4_K_M", "whole")
    places = two_files(source)
    files = sorted(split(source, "halves-out", "keep_split=true").glob("*.gguf"))
    assert len(files) == 2
    check(files, whole)
    for i, part in enumerate(("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
        norms = {n.replace("model.layers.", "blk.").replace("input_layernorm", "attn_norm") for n, f in places.items()
                 if f == part and "input_layernorm" in n}
        assert norms == {t["name"] for t in inspect(files[i])["tensors"] if "attn_norm" in t["name"]}


def refused(text, *parameters):
    with_ = [word for p in parameters for word in ("--with", p)]
    done = run(QUERN, "convert", KJV, "-o", WORK / "refused.gguf", "--engine", "gguf", "--quant", "Q8_0", *with_)
    assert done.returncode != 0 and text in done.stdout, done.stdout


def test_refusals():
    for size in ("G", "1.5G", "0G", "2K", "2GB", "-1G", "99999999999G"):
        refused("it is a number with M or G", f"split_max_size={size}")
    refused("contradict", "split_max_size=1G", "keep_split=true")


def validate(files, order):
    """The worker's own check of a result that lists the files in this order."""
    folder = WORK / ("validate-" + "".join(map(str, order)))
    (folder / "out").mkdir(parents=True)
    for path in files:
        (folder / "out" / path.name).write_bytes(path.read_bytes())
    job = {"protocol": 1, "job": "0" * 64, "attempt": 1, "name": "x", "source": {"dir": str(KJV)}, "out": "out", "file": "m",
           "platform": "", "quant": "Q4_K_M", "hybrid": 0, "opt": 0, "threads": 2, "with": {}}
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "result.json").write_text(json.dumps({"status": "ok", "files": [
        {"path": files[i].name, "size": files[i].stat().st_size} for i in order]}))
    return subprocess.run([str(WORKER), "validate", str(folder / "job.json")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def test_files_that_do_not_belong_together():
    files = sorted((WORK / "by-size").glob("*.gguf"))
    every = list(range(len(files)))
    good = validate(files, every)
    assert good.returncode == 0 and f'"tensors":{len(contents(files))}' in good.stdout.replace(" ", ""), good.stdout
    for order in (every[:-1], every[1:], [1, 0, *every[2:]], [0]):
        bad = validate(files, order)
        assert bad.returncode == 3 and "split.no is" in bad.stdout, (order, bad.stdout)


run_all(globals())
