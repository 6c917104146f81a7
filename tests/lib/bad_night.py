"""The matrix of tests/scenario/test_night.py: 200 points, of which 50 are sabotaged, each with the cause that it must end with.

A sabotaged point is mended by what its cause's advice says: a larger limit, a repaired source, a token, an installed program; where it
is the worker that misbehaves, by a file in the model's folder that its parameter `until` names.
"""
import json
import os
import shutil
import subprocess
from pathlib import Path

from matrix import BUILD, QUERN, make_model
from models import tiny
from model_hub import TOKEN, Repo

FAKES = ["llama", "qwen2", "gemma2", "phi3", "mixtral", "deepseek2", "chatglm", "gpt2"]
FAKE_QUANTS = ["F16", "Q8_0", "Q4_0", "Q4_K_M"]
KJV_QUANTS = ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K_M", "Q2_K",
              "TQ2_0", "Q1_0"]
WIDE = 8192  # a matrix of 64 Mi weights: 64 MiB of output each
N_WIDE, N_PLAIN, N_NEAR = 50, 42, 5

DONE = "done"
# (engine, parameters, its end). Where parameters have no `until`, the cause's own fix is applied.
WORKERS = [
    ("noop", {"mode": "grow", "mib": 2300, "pace": 16}, "out of memory"),
    ("noop", {"mode": "grow_child", "mib": 2300, "pace": 16, "until": 1}, "out of memory"),
    ("noop", {"mode": "speak_oom", "until": 1}, "out of memory"),
    ("noop", {"mode": "oom", "until": 1}, "out of memory"),
    ("noop", {"mode": "killed", "until": 1}, "killed"),
    ("noop", {"mode": "no_space", "until": 1}, "disk full"),
    ("noop", {"mode": "crash", "until": 1}, "crash"),
    ("noop", {"mode": "crash", "signal": 6, "until": 1}, "crash"),
    ("noop", {"mode": "crash", "signal": 7, "until": 1}, "crash"),
    ("noop", {"mode": "crash", "signal": 8, "until": 1}, "crash"),
    ("noop", {"mode": "names_cause", "until": 1}, "missing dependency"),
    ("noop", {"mode": "says", "words": "ModuleNotFoundError: No module named 'torch'", "until": 1}, "missing dependency"),
    ("noop", {"mode": "names_cause", "cause": "unsupported architecture", "until": 1}, "unsupported architecture"),
    ("noop", {"mode": "names_cause", "cause": "illegal parameters", "until": 1}, "illegal parameters"),
    ("noop", {"mode": "names_cause", "cause": "gated", "until": 1}, "gated"),
    ("noop", {"mode": "told", "until": 1}, "network"),
    ("noop", {"mode": "says", "words": "connect: Connection refused", "until": 1}, "network"),
    ("noop", {"mode": "says", "words": "HTTP 429 Client Error: Too Many Requests", "until": 1}, "hub limit"),
    ("noop", {"mode": "refuse", "until": 1}, "refused"),
    ("noop", {"mode": "fail", "until": 1}, "failed"),
    ("noop", {"mode": "silent", "until": 1}, "bad output"),
    ("noop", {"mode": "rubbish", "until": 1}, "bad output"),
    ("noop", {"mode": "lie", "until": 1}, "bad output"),
    ("noop", {"mode": "invalid", "until": 1}, "bad output"),
    ("hostile", {"mode": "wrong_size", "until": 1}, "bad output"),
    ("hostile", {"mode": "hard_link", "until": 1}, "bad output"),
    ("hostile", {"mode": "sparse", "until": 1}, "bad output"),
    ("hostile", {"mode": "escape_name", "until": 1}, "bad output"),
    ("hostile", {"mode": "fork_bomb", "until": 1}, "failed"),
    ("hostile", {"mode": "bad_end", "until": 1}, "failed"),
    ("hostile", {"mode": "fill_log", "until": 1}, "log too large"),
    ("hostile", {"mode": "many_files", "until": 1}, "folder too large"),
    ("hostile", {"mode": "spy"}, DONE),
    ("hostile", {"mode": "talking_grandchild"}, DONE),
    ("hostile", {"mode": "long_line"}, DONE),
    ("hostile", {"mode": "bad_words"}, DONE),
]
# Who adopts a worker counts its time anew: they come to the matrix when nobody is killed any more.
SLOW = [
    ("noop", {"mode": "steady", "sleep_ms": 11500}, "timeout"),
    ("noop", {"sleep_ms": 7500}, "stall"),
    ("noop", {"mode": "hang", "until": 1}, "stall"),
    ("hostile", {"mode": "deaf", "until": 1}, "stall"),
]
# Points without a job: model, quant, opt.
NOT_BEGUN = [
    ("cut", "noop", "none", 0, "bad source"),
    ("lying", "noop", "none", 0, "bad source"),
    ("gated", "noop", "none", 0, "gated"),
    ("gone", "noop", "none", 0, "source"),
    ("torn", "noop", "none", 0, "bad source"),
    ("plain", "absent", "none", 0, "environment"),
    ("alien", "gguf", "F16", 0, "unsupported architecture"),
    ("kjv", "gguf", "Q8_0", 5, "illegal parameters"),
]
HEAD = """\
version: 1
name: bad-night
work: disk/work
models:
  - {path: slow, name: slow}
  - {path: kjv, name: kjv}
%s
  - {id: org/near}
  - {id: org/far}
  - {path: bad, name: bad}
  - {path: wide, name: wide}
  - {path: plain, name: plain}
  - {path: holes, name: holes}
  - {path: cut, name: cut}
  - {path: lying, name: lying}
  - {path: alien, name: alien}
  - {id: org/gated}
  - {id: org/gone}
  - {id: org/torn}
"""
TAIL = """\
resources: {jobs: 4, threads: 1, memory: 2GiB, disk_reserve: 16MiB, keep: none, grace: 1s, timeout: 10s, stall: 6s}
retry:
  attempts: 2
  backoff: 200ms
  causes: {stall: stop, timeout: stop, disk full: {attempts: 4, backoff: 300ms}}
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-{engine}-{quant}-opt-{opt}-h-{hybrid}", when: model}
"""


def until_of(cause):
    return "mended-" + cause.replace(" ", "-")


def line(model, engine, quant, hybrid=0.0, opt=0, params=None):
    with_ = f", with: {json.dumps(params)}" if params else ""
    return f"  - {{model: {model}, engine: {engine}, quant: {quant}, hybrid: {hybrid}, opt: {opt}{with_}}}"


def hybrids(n, first=0):
    return "[" + ", ".join(str((first + i) / 1000) for i in range(n)) + "]"


class Plan:
    """Lines of jobs.yaml, and what each of the 200 points has to become: {(model, engine, quant, opt, hybrid): end}."""

    def __init__(self, filler):
        self.lines, self.ends = [], {}
        self.add("kjv", "gguf", KJV_QUANTS)
        for fake in FAKES:
            self.add(fake, "gguf", FAKE_QUANTS)
        for model in "near", "far":
            self.add(model, "noop", ["none"], N_NEAR)
        self.add("wide", "noop", ["none"], N_WIDE, params={"mode": "fat", "mib": 64})
        self.add("plain", "noop", ["none"], N_PLAIN, params={"sleep_ms": 20})
        for model, points in ("slow", SLOW), ("bad", WORKERS), ("wide", [("hostile", {"mode": "fill_disk", "until": 1}, filler)]):
            for i, (engine, params, end) in enumerate(points):
                if "until" in params:
                    params = {**params, "until": until_of(end)}
                self.add(model, engine, ["none"], first=900 + i, params=params, end=end)
        self.add("holes", "gguf", ["F16"], end="bad source")
        for model, engine, quant, opt, end in NOT_BEGUN:
            self.add(model, engine, [quant], opt=opt, end=end)
        self.healthy = {p for p, end in self.ends.items() if end == DONE}

    def add(self, model, engine, quants, n=1, first=0, opt=0, params=None, end=DONE):
        self.lines.append(line(model, engine, "[" + ", ".join(quants) + "]", hybrids(n, first), opt, params))
        for quant in quants:
            for i in range(n):
                self.ends[model, engine, quant, opt, (first + i) / 1000] = end

    def yaml(self, slow):
        lines = [text for text in self.lines if slow or "model: slow," not in text]
        fakes = "\n".join(f"  - {{fake: \"{f}-tiny:fill=random\", name: {f}}}" for f in FAKES)
        return HEAD % fakes + "targets:\n" + "\n".join(lines) + "\n" + TAIL


def cut(data):
    return data[:-5]


def lie(data):
    """A header that claims more than any file has."""
    return (1 << 62).to_bytes(8, "little") + data[8:]


def without_a_tensor(data):
    """The last layer's norm is called otherwise: the file is whole, the model is not."""
    return data.replace(b'"model.norm.weight"', b'"model.nomr.weight"')


class Sources:
    """All models of the night, whole or not; `mend(name)` makes the ones that are not whole."""

    def __init__(self, root, hub):
        self.root, self.hub, self.whole = root, hub, {}
        shutil.copytree(Path(os.environ["QUERN_SOURCE"]) / "tests/data/kjv-llama", root / "kjv")
        for i, name in enumerate(["slow", "bad", "plain", "cut", "lying"]):
            make_model(root / name, i)
        self.make_wide()
        for name in "holes", "alien":
            subprocess.run([QUERN, "fake", "llama-tiny:fill=random", root / name], check=True, stdout=subprocess.DEVNULL)
        self.spoil("cut", "model.safetensors", cut)
        self.spoil("lying", "model.safetensors", lie)
        self.spoil("holes", "model.safetensors", without_a_tensor)
        self.spoil("alien", "config.json", lambda data: data.replace(b"LlamaForCausalLM", b"AlienForCausalLM"))
        torn = tiny(1, seed=5)
        hub.repos = {"org/near": Repo(tiny(24, seed=1)), "org/far": Repo(tiny(24, seed=2)),
                     "org/gated": Repo(tiny(1, seed=3), gated="auto"), "org/torn": Repo({**torn, "model.safetensors": lie(torn["model.safetensors"])})}
        self.torn = torn
        (root / "engines").mkdir()
        manifest = (BUILD / "test-engines/noop.yaml").read_text()
        manifest = manifest.replace("name: noop\n", "name: absent\n").replace("noop-worker", "absent-worker")
        (root / "engines/absent.yaml").write_text(manifest)

    def make_wide(self):
        header = json.dumps({"w": {"dtype": "F32", "shape": [WIDE, WIDE], "data_offsets": [0, 4 * WIDE * WIDE]}}).encode()
        make_model(self.root / "wide")
        with open(self.root / "wide/model.safetensors", "wb") as f:
            f.write(len(header).to_bytes(8, "little") + header)
            f.truncate(f.tell() + 4 * WIDE * WIDE)

    def spoil(self, name, file, how):
        path = self.root / name / file
        self.whole[path] = path.read_bytes()
        spoilt = how(self.whole[path])
        assert spoilt != self.whole[path], path
        path.write_bytes(spoilt)

    def repair(self, *names):
        for path, data in self.whole.items():
            if path.parent.name in names:
                path.write_bytes(data)

    def mend(self, cause):
        """What the advice of a cause tells a person to do."""
        for name in "slow", "bad", "wide":
            (self.root / name / until_of(cause)).touch()
        jobs = self.root / "jobs.yaml"
        text = jobs.read_text()
        if cause == "bad source":
            self.repair("cut", "lying", "holes")
            self.hub.repos["org/torn"] = Repo(self.torn)
        elif cause == "unsupported architecture":
            self.repair("alien")
        elif cause == "source":
            self.hub.repos["org/gone"] = Repo(tiny(1, seed=4))
        elif cause == "environment":
            shutil.copy(BUILD / "test-engines/noop-worker", self.root / "engines/absent-worker")
        elif cause == "illegal parameters":
            text = text.replace("opt: 5", "opt: 1")
        elif cause == "timeout":
            text = text.replace("timeout: 10s", "timeout: 5min")
        elif cause == "stall":
            text = text.replace("stall: 6s", "stall: 5min")
        elif cause == "out of memory":
            text = text.replace("memory: 2GiB", "memory: 3GiB")
        jobs.write_text(text)
        return {"HF_TOKEN": TOKEN} if cause == "gated" else {}
