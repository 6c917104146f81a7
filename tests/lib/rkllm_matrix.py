"""A matrix for RKLLM over rk3588 and rk3576: two models in all legal quants with hybrid and opt, an adapter, GGUF sources of
Q4_0 and F16; through two environments with the stand-in of tests/standin, a third of its points sabotaged; and what has to
come of it. For tests/scenario and tests/hub."""
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

from matrix import QUERN, environment

sys.path.insert(0, str(Path(os.environ["QUERN_SOURCE"]) / "tests/standin"))
import make_env  # noqa: E402

QUANTS = {"rk3588": ["w8a8", "w8a8_g128", "w8a8_g256", "w8a8_g512"],
          "rk3576": ["w8a8", "w4a16", "w4a16_g32", "w4a16_g64", "w4a16_g128"]}
OPTS = [0, 1]  # a caller may have fewer
OLD, NEW = "1.1.4", "1.2.3"

# what the stand-in does at a point: the cause that quern must give, and whether it is tried again
ACTS = {
    "killed": ("out of memory", True), "no_memory": ("out of memory", True), "segfault": ("crash", True),
    "disk_full": ("disk full", True), "exit_0": ("bad output", True), "no_file": ("bad output", True),
    "small_file": ("bad output", False), "dtype_of_platform": ("illegal parameters", False),
    "group_size": ("illegal parameters", False), "renamed": ("unsupported architecture", False),
    "gibberish": ("bad output", False), "zero_file": ("bad output", False),
}

# model: the environment that does it. a and b are safetensors, l is one with an adapter, q GGUF of Q4_0, f GGUF of F16.
MODELS = {"a": OLD, "b": NEW, "l": OLD, "q": NEW, "f": OLD}

JOBS = """\
version: 1
name: rk
work: work
models:
  - {path: a, name: a}
  - {path: b, name: b}
  - {path: l, name: l, lora_path: adapter}
  - {path: q, file: q-Q4_0.gguf, name: q}
  - {path: f, file: f-F16.gguf, name: f}
defaults: {hybrid: [0.0, 0.5], opt: [0, 1]}
targets:
  - &rk3588
    engine: rkllm
    model: [a, l]
    platform: rk3588
    quant: [w8a8, w8a8_g128, w8a8_g256, w8a8_g512]
    with: {dataset: calibration.json}
  - &rk3576 {<<: *rk3588, platform: rk3576, quant: [w8a8, w4a16, w4a16_g32, w4a16_g64, w4a16_g128]}
  - {<<: *rk3588, model: b, with: &new {dataset: calibration.json, max_context: 4096}}
  - {<<: *rk3576, model: b, with: *new}
  - {<<: *rk3576, model: q, quant: w4a16_g32, with: *new}
  - &plain {<<: *rk3588, model: f, quant: w8a8, hybrid: 0, with: {do_quantization: false}}
  - {<<: *plain, platform: rk3576, quant: w4a16}
engines:
  rkllm: {environments: [{path: env-1.1.4}, {path: env-1.2.3, version: 1.2.3}]}
resources: {jobs: 3, memory: 16GiB, disk_reserve: 1MiB}
retry: {attempts: 2, backoff: 10ms}
upload: {hub: HUB, namespace: my-org}
"""


def safetensors(seed):
    """Layers whose outputs fit every group; F16, some hundred KiB."""
    tensors = {f"model.layers.{i}.mlp.{n}_proj.weight": (512, 64) for i in range(2) for n in ("gate", "up", "down")}
    tensors |= {"model.embed_tokens.weight": (64, 64), "model.norm.weight": (64,)}
    header, data = {}, b""
    for name, shape in tensors.items():
        n = 2
        for d in shape:
            n *= d
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [len(data), len(data) + n]}
        data += (hashlib.sha256(f"{seed} {name}".encode()).digest() * (n // 32 + 1))[:n]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def make_model(folder, rules=()):
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(safetensors(folder.name))
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# a test\n")
    (folder / "standin.json").write_text(json.dumps(list(rules)))


def make_gguf(folder, quant, rules):
    """As quern's own engine makes it of a tiny model: what llama.cpp's quantizer leaves for the toolkit."""
    folder.mkdir()
    (folder / "standin.json").write_text(json.dumps(list(rules)))
    given = ["--with", "pure=true", "--with", "output_type=F16", "--with", "token_embedding_type=F16"] if quant == "Q4_0" else []
    done = run(folder, "convert", "fake:llama-tiny:fill=random", "-o", f"{folder.name}-{quant}.gguf", "--engine", "gguf",
               "--quant", quant, *given)
    assert done.returncode == 0, done.stdout


def points(model):
    """(platform, quant, hybrid, opt) in the order of the matrix."""
    if model == "q":
        return [("rk3576", "w4a16_g32", h, o) for h in (0.0, 0.5) for o in OPTS]
    if model == "f":
        return [(p, q, 0.0, o) for p, q in (("rk3588", "w8a8"), ("rk3576", "w4a16")) for o in OPTS]
    return [(p, q, h, o) for p, quants in QUANTS.items() for q in quants for h in (0.0, 0.5) for o in OPTS]


def sabotage(model):
    """{point: act}: every third one, from the first, second or third on."""
    acts, first = list(ACTS), {"a": 0, "b": 1, "l": 2, "q": 1, "f": 0}[model]
    return {p: acts[(i // 3 + first) % len(acts)] for i, p in enumerate(points(model)) if i % 3 == first}


def rules(model):
    """The same for the stand-in, which is told no quant where nothing is quantized."""
    names = ("platform", "quant", "hybrid", "opt")
    return [{"when": {k: v for k, v in zip(names, p) if model != "f" or k in ("platform", "opt")}, "do": act}
            for p, act in sabotage(model).items()]


def label(model, point):
    platform, quant, hybrid, opt = point
    return f"{model}/rkllm/{platform}/{quant}" + (f"/opt-{opt}" if opt else "") + (f"/hybrid-{hybrid:g}" if hybrid else "")


def file_name(model, point):
    """What a file is called; of what is not quantized, a pattern: its name ends with the key."""
    platform, quant, hybrid, opt = point
    if model == "f":
        return f"f-{platform}" + (f"-opt-{opt}" if opt else "") + "-[0-9a-f]{8}.rkllm"
    return f"{model}-{platform}-{quant}-opt-{opt}-hybrid-ratio-{hybrid:.1f}.rkllm"


def prepare(root, hub):
    for version in (OLD, NEW):
        make_env.make(root / f"env-{version}", version)
    (root / "calibration.json").write_text('[{"input": "a", "target": "b"}]')
    for model in "abl":
        make_model(root / model, rules(model))
    make_gguf(root / "q", "Q4_0", rules("q"))
    make_gguf(root / "f", "F16", rules("f"))
    (root / "adapter").mkdir()
    (root / "adapter/adapter_config.json").write_text(
        '{"peft_type": "LORA", "r": 8, "lora_alpha": 8, "target_modules": ["gate_proj"]}')
    (root / "adapter/adapter_model.safetensors").write_bytes(safetensors("adapter"))
    (root / "jobs.yaml").write_text(JOBS.replace("HUB", hub).replace("opt: [0, 1]", f"opt: {OPTS}"))


def count(kind=points):
    return sum(len(kind(m)) for m in MODELS)


def check_jobs(rows):
    """rows: (label, state, cause, tries, engine_version) of every job."""
    got = {r[0]: r[1:] for r in rows}
    assert len(got) == len(rows) == count(), len(rows)
    assert abs(3 * count(sabotage) - count()) <= len(MODELS)  # a third of them
    for model, version in MODELS.items():
        bad = sabotage(model)
        for p in points(model):
            state, cause, tries, engine = got[label(model, p)]
            assert engine == f"0.1.0+{version}", (label(model, p), engine)
            if p not in bad:
                assert (state, cause, tries) == ("done", "", 1), (label(model, p), state, cause, tries)
                continue
            wanted, again = ACTS[bad[p]]
            assert (state, cause) == ("failed", wanted), (label(model, p), bad[p], state, cause)
            assert tries == (2 if again else 1), (label(model, p), bad[p], tries)


def good_files():
    """{repository: {file name or pattern: (model, point)}} that must be published."""
    out = {}
    for model, version in MODELS.items():
        for p in points(model):
            if p not in sabotage(model):
                out.setdefault(f"{model}-{p[0]}-{version}", {})[file_name(model, p)] = (model, p)
    return out


def check_variant(variant, model, point):
    """What is claimed of it is what was asked for and confirmed, and no more."""
    platform, quant, hybrid, opt = point
    said = {**variant["facts"]["worker"], **variant["facts"]["file"]}
    assert (said["platform"], said["opt"]) == (platform, opt), said
    assert (said.get("quant"), said.get("hybrid")) == ((None, None) if model == "f" else (quant, hybrid)), said
    assert said["source_format"] == ("gguf" if model in "qf" else "safetensors"), said
    assert said["tools"]["rkllm-toolkit"] == MODELS[model] + "+standin", said
    assert said.get("max_context") == 4096, said  # the file says it; only b and q asked for it


def check_repo(name, paths, readme, manifest):
    """One published repository: its files, its card, its quern.json."""
    good, model = good_files()[name], name[0]
    files = sorted(p for p in paths if p.endswith(".rkllm"))
    assert not [f for f in files if "/" in f], files
    main = [f for f in files if not f.endswith("_lora.rkllm")]
    # An adapter is a file of its own beside each.
    assert sorted(set(files) - set(main)) == (sorted(f[:-6] + "_lora.rkllm" for f in main) if model == "l" else []), files
    of = {f: [x for pattern, x in good.items() if re.fullmatch(pattern, f)] for f in main}
    assert len(main) == len(good) and all(len(x) == 1 for x in of.values()), (main, list(good))
    assert [p for p in paths if p.endswith("config.json")] == (["config.json"] if model in "abl" else []), paths
    for file in files:
        assert f"`{file}`" in readme, (name, file)
    assert readme.count("| not confirmed |") == (len(main) if model == "f" else 0), readme
    assert ("w8a8" in readme or "w4a16" in readme) == (model != "f"), readme
    for p in sabotage(model):
        assert not re.search(file_name(model, p), readme) or model == "f", (name, p)
    variants = {f["path"]: v for v in manifest["variants"] for f in v["files"]}
    assert len(manifest["variants"]) == len(main)
    for file, ((_, point),) in of.items():
        check_variant(variants[file], model, point)


NIGHTS = """\
version: 1
work: work
models: [{path: m, name: m}%s]
targets: [{engine: rkllm, platform: rk3588, quant: [%s], with: {dataset: calibration.json}}]
engines: {rkllm: {environments: [{path: env-1.2.3}]}}
resources: {jobs: 2, memory: 16GiB, disk_reserve: 1MiB}
upload: {hub: "%s", namespace: my-org, repo: all}
"""


def check_nights(root, hub, listing, **env):
    """Companions of variants that come one night after the other into one repository. listing(): {path: content}."""
    make_env.make(root / "env-1.2.3", NEW)
    (root / "calibration.json").write_text('[{"input": "a", "target": "b"}]')
    for name in "mw":
        make_model(root / name)
        (root / name / "LICENSE").write_text("the licence of all\n")
    other = '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "other": 1}'
    (root / "w/config.json").write_text(other)
    plain, licence = (root / "m/config.json").read_bytes(), b"the licence of all\n"
    before = {}

    def night(models, quants, sent, companions):
        (root / "jobs.yaml").write_text(NIGHTS % (models, quants, hub))
        done = run(root, "run", **env)
        assert done.returncode == 0 and f" sent in {sent} commit" in done.stdout, done.stdout
        now = listing()
        # Nothing of the night before is gone, or has moved.
        assert before.keys() <= now.keys() and all(now[p] == before[p] for p in before if p.endswith(".rkllm")), now.keys()
        assert {p: now[p] for p in now if "config.json" in p or "LICENSE" in p} == companions, now.keys()
        before.update(now)
        done = run(root, "run", **env)
        assert done.returncode == 0 and "nothing to do" in done.stdout, done.stdout
        done = run(root, "card", "--audit", "my-org/all", **env)
        assert done.returncode == 0, done.stdout
        return now

    in_root = {"config.json": plain, "LICENSE": licence}
    night("", "w8a8", 1, in_root)
    folder = "w-rk3588-w8a8-opt-0-hybrid-ratio-0.0/"
    apart = {**in_root, folder + "config.json": other.encode(), folder + "LICENSE": licence}
    night(", {path: w, name: w}", "w8a8", 1, apart)  # one with another configuration has a folder, as a whole
    folder = folder.replace("w8a8", "w8a8_g128")
    now = night(", {path: w, name: w}", "w8a8, w8a8_g128", 1,
                {**apart, folder + "config.json": other.encode(), folder + "LICENSE": licence})
    manifest = json.loads(now["quern.json"])
    assert len(manifest["variants"]) == 4, manifest
    for v in manifest["variants"]:
        names = {f["path"].rsplit("/", 1)[0] if "/" in f["path"] else "" for f in v["files"] if ".rkllm" not in f["path"]}
        own = next(f["path"] for f in v["files"] if f["path"].endswith(".rkllm"))[:-6]
        assert names == ({""} if own.startswith("m") else {own}), v["files"]


def run(root, *args, timeout=300, **env):
    return subprocess.run([QUERN, *args], cwd=root, env=environment(**env), timeout=timeout, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
