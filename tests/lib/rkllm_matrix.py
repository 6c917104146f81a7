"""A matrix for RKLLM through two environments with the stand-in of tests/standin, a third of its points sabotaged; and
what has to come of it. For tests/scenario and tests/hub."""
import hashlib
import json
import os
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

JOBS = """\
version: 1
name: rk
work: work
models:
  - {path: a, name: a}
  - {path: b, name: b}
defaults: {hybrid: [0.0, 0.5], opt: [0, 1]}
targets:
  - &rk3588
    engine: rkllm
    model: a
    platform: rk3588
    quant: [w8a8, w8a8_g128, w8a8_g256, w8a8_g512]
    with: {dataset: calibration.json}
  - &rk3576 {<<: *rk3588, platform: rk3576, quant: [w8a8, w4a16, w4a16_g32, w4a16_g64, w4a16_g128]}
  - {<<: *rk3588, model: b, with: &new {dataset: calibration.json, max_context: 4096}}
  - {<<: *rk3576, model: b, with: *new}
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


def points():
    """(platform, quant, hybrid, opt) in the order of the matrix."""
    return [(p, q, h, o) for p, quants in QUANTS.items() for q in quants for h in (0.0, 0.5) for o in OPTS]


def sabotage(model):
    """{point: act}: every third one."""
    acts = list(ACTS)
    return {p: acts[i // 3 % len(acts)] for i, p in enumerate(points()) if i % 3 == (model == "b")}


def label(model, point):
    platform, quant, hybrid, opt = point
    return f"{model}/rkllm/{platform}/{quant}" + (f"/opt-{opt}" if opt else "") + (f"/hybrid-{hybrid:g}" if hybrid else "")


def file_name(model, point):
    platform, quant, hybrid, opt = point
    return f"{model}-{platform}-{quant}-opt-{opt}-hybrid-ratio-{hybrid:.1f}.rkllm"


def prepare(root, hub):
    for version in (OLD, NEW):
        make_env.make(root / f"env-{version}", version)
    (root / "calibration.json").write_text('[{"input": "a", "target": "b"}]')
    for model in "ab":
        make_model(root / model, ({"when": dict(zip(("platform", "quant", "hybrid", "opt"), p)), "do": act}
                                  for p, act in sabotage(model).items()))
    (root / "jobs.yaml").write_text(JOBS.replace("HUB", hub).replace("opt: [0, 1]", f"opt: {OPTS}"))


def check_jobs(rows):
    """rows: (label, state, cause, tries, engine_version) of every job."""
    got = {r[0]: r[1:] for r in rows}
    assert len(got) == len(rows) == 2 * len(points()), len(rows)
    for model, version in (("a", OLD), ("b", NEW)):
        bad = sabotage(model)
        for p in points():
            state, cause, tries, engine = got[label(model, p)]
            assert engine == f"0.1.0+{version}", engine
            if p not in bad:
                assert (state, cause, tries) == ("done", "", 1), (label(model, p), state, cause, tries)
                continue
            wanted, again = ACTS[bad[p]]
            assert (state, cause) == ("failed", wanted), (label(model, p), bad[p], state, cause)
            assert tries == (2 if again else 1), (label(model, p), bad[p], tries)


def good_files():
    """{repository: names of models} that must be published."""
    out = {}
    for model, version in (("a", OLD), ("b", NEW)):
        for p in points():
            if p not in sabotage(model):
                out.setdefault(f"{model}-{p[0]}-{version}", set()).add(file_name(model, p))
    return out


def check_repo(name, paths, readme, manifest):
    """One published repository: its files, its card, its quern.json."""
    good = good_files()[name]
    assert {p.rsplit("/", 1)[-1] for p in paths if p.endswith(".rkllm")} == good
    for file in good:
        assert file in readme, (name, file)
    for model in "ab":
        for p in sabotage(model):
            assert file_name(model, p) not in readme, (name, p)
    text = json.dumps(manifest)
    assert Counter(f in text for f in good) == {True: len(good)}
    assert "standin" in text and name.rsplit("-", 1)[1] in text  # facts.tools: what really did it


def run(root, *args, timeout=300, **env):
    return subprocess.run([QUERN, *args], cwd=root, env=environment(**env), timeout=timeout, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
