"""What the tests of the RKLLM worker share: environments with the stand-in, a model of a few kilobytes, jobs."""
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import make_env

SOURCE = Path(os.environ["QUERN_SOURCE"])
BUILD = Path(os.environ["QUERN_BUILD"])
WORKER = BUILD / "bin/quern-rkllm"
PATIENCE_S = 60
PYTHON = os.environ.get("QUERN_STANDIN_PYTHON", sys.executable)  # another one to try the worker with

sys.path[:0] = [str(SOURCE / "workers/python"), str(SOURCE / "workers/python/rkllm")]


def safetensors(tensors):
    """Bytes of a file with F16 tensors {name: shape}; the weights follow from the names."""
    header, body = {}, b""
    for name, shape in tensors.items():
        n = 2
        for d in shape:
            n *= d
        data = hashlib.sha256(name.encode()).digest() * (n // 32 + 1)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [len(body), len(body) + n]}
        body += data[:n]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def make_model(folder, config=None, files=None):
    """A model in safetensors that the stand-in takes; files: more of them, {name: text}."""
    folder.mkdir(parents=True)
    tensors = {f"model.layers.{i}.mlp.{n}_proj.weight": (32, 64) for i in range(6) for n in ("gate", "up", "down")}
    tensors.update({"model.embed_tokens.weight": (64, 32), "model.norm.weight": (32,)})
    (folder / "model.safetensors").write_bytes(safetensors(tensors))
    text = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **(config or {})}
    (folder / "config.json").write_text(json.dumps(text))
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "LICENSE").write_text("A licence of a test.\n")
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    return folder


class Run:
    """One run of the worker: code, events on standard output, log, result."""

    def __init__(self, folder, done):
        self.folder, self.code, self.log = folder, done.returncode, done.stderr
        self.events = [json.loads(line) for line in done.stdout.splitlines()]
        path = folder / "result.json"
        self.result = json.loads(path.read_text()) if path.exists() else {}
        self.facts = self.result.get("facts", {})
        self.files = sorted(p.name for p in (folder / "out").iterdir())
        self.warnings = [e["text"] for e in self.events if e.get("event") == "warning"]

    def calls(self):
        """{call: keywords} as the stand-in received them."""
        out = {}
        for line in self.log.splitlines():
            if line.startswith("STAND-IN: "):
                _, name, text = line.split(" ", 2)
                out[name] = json.loads(text)
        return out

    def about(self):
        return f"exit {self.code}, {self.result.get('message')}\n{self.log[-2000:]}"


class Bench:
    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="rkllm-"))
        self.made, self.envs = 0, {}

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def env(self, version="1.2.3", **how):
        """The environment's folder; made once."""
        key = (version, *sorted(how.items()))
        if key not in self.envs:
            folder = self.root / f"env-{len(self.envs)}"
            make_env.make(folder, version, python=PYTHON, **how)
            self.envs[key] = folder
        return self.envs[key]

    def folder(self, name="m"):
        self.made += 1
        return self.root / f"{name}-{self.made}"

    def model(self, rules=None, config=None, files=None):
        """A model's folder, with what shall go wrong."""
        files = dict(files or {})
        if rules is not None:
            files["standin.json"] = json.dumps(rules)
        return make_model(self.folder("model"), config, files)

    def job(self, model, version="1.2.3", **members):
        folder = self.folder("job")
        (folder / "out").mkdir(parents=True)
        job = {"protocol": 1, "job": "0" * 64, "attempt": 1, "verb": "convert", "name": "m", "file": "m-x",
               "engine": {"name": "rkllm", "version": "1"}, "source": {"dir": str(model), "format": "safetensors"},
               "lora": None, "platform": "rk3588", "quant": "w8a8", "hybrid": 0, "opt": 0, "with": {}, "out": "out",
               "threads": 1, "environment": {"path": "", "version": version}}
        job.update(members)
        (folder / "job.json").write_text(json.dumps(job))
        return folder

    def run(self, folder, verb="convert", file="job.json", env=None, **more):
        """As quern runs it, without the sandbox; more: of its environment."""
        done = subprocess.run(
            [str((env or self.env()) / "bin/python"), "-E", "-s", "-B", str(WORKER), verb, file], cwd=folder, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, errors="replace",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder),
                 "LANG": "C.UTF-8", "TZ": "UTC", **more})
        return Run(folder, done)

    def convert(self, rules=None, env=None, version="1.2.3", model=None, **members):
        return self.run(self.job(model or self.model(rules), version, **members), env=env)
