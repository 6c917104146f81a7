"""A night from hub to hub that is killed again and again: nothing is done twice, and the official clients take the result.

Four models of the test Hub, one with an adapter merged in, are converted and published there. The run is killed with all
its children (SIGKILL) at named instants, with other faults of the hub on; QUERN_HUB_SEED chooses those.
"""
import hashlib
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE)]
from hub_files import publish  # noqa: E402
from matrix import QUERN, Matrix, environment, expect  # noqa: E402
from testhub import TestHub  # noqa: E402

PEERS = Path(os.environ["QUERN_HUB_PEERS"])
KJV = Path(os.environ["QUERN_SOURCE"]) / "tests" / "data" / "kjv-llama"
SEED = int(os.environ.get("QUERN_HUB_SEED", "1"))
MODELS = {"my-org/kjv": None, "my-org/llama": "llama-tiny:fill=random", "my-org/qwen": "qwen2-tiny:fill=random,seed=2"}
REPOS = [f"my-org/{name}-GGUF" for name in ("kjv", "kjv-tuned", "llama", "qwen")]
QUANTS = ["Q8_0", "Q4_0"]
JOBS = """\
version: 1
work: work
models:
  - {id: my-org/kjv}
  - {id: my-org/kjv, lora: my-org/adapter, name: kjv-tuned}
  - {id: my-org/llama}
  - {id: my-org/qwen}
targets:
  - {engine: gguf, quant: [Q8_0, Q4_0]}
resources: {jobs: 2, memory: 2GiB, disk_reserve: 1MiB, grace: 1s}
retry: {attempts: 3, backoff: 10ms}
upload: {hub: "HUB", namespace: my-org, repo: "{model}-GGUF", file: "{model}-{quant}", private: true}
"""


def status(code, **headers):
    return {"do": "status", "status": code, "headers": {k.replace("_", "-"): v for k, v in headers.items()}}


def fault(origin, method, path, action, **more):
    return {"origin": origin, "method": method, "path": path, "action": action, **more}


NOW = 'RateLimit', '"api";r=0;t=0'
FAULTS = [
    fault("hub", "GET", "/api/models/*/revision/*", status(500)),
    fault("hub", "GET", "/api/models/*/revision/*", {"do": "reset"}),
    fault("hub", "GET", "/api/models/*/tree/*", status(502)),
    fault("hub", "GET", "/api/models/*/tree/*", {"do": "truncate", "bytes": 40}),
    fault("hub", "GET", "*/resolve/*", status(503, Retry_After="1")),
    fault("hub", "HEAD", "*/resolve/*", status(429, Retry_After="1")),
    fault("cdn", "GET", "/lfs/*", {"do": "truncate", "bytes": 300000}),
    fault("cdn", "GET", "/lfs/*", status(403)),
    fault("cdn", "GET", "/lfs/*", {"do": "reset"}),
    fault("hub", "POST", "/api/validate-yaml", status(504)),
    fault("hub", "POST", "/api/repos/create", status(503)),
    fault("hub", "POST", "/api/models/*/preupload/*", status(429, **dict([NOW]))),
    fault("hub", "POST", "*/objects/batch", status(429)),
    fault("hub", "POST", "*/objects/batch", {"do": "truncate", "bytes": 90}),
    fault("hub", "POST", "*/objects/verify", {"do": "reset"}),
    fault("cdn", "PUT", "/part/*", status(403)),
    fault("cdn", "PUT", "/part/*", status(500)),
    fault("cdn", "PUT", "/part/*", {"do": "read", "bytes": 50000}),
    fault("cdn", "PUT", "/put/*", {"do": "reset"}),
    fault("cdn", "POST", "/complete/*", status(503)),
    fault("hub", "POST", "/api/models/*/commit/*", status(412)),
    fault("hub", "POST", "/api/models/*/commit/*", {**status(504), "after": True}),
]

# When the run is killed: a request at which the hub stops answering, and how many of its kind go well before.
INSTANTS = [
    ("the models are looked at", fault("hub", "GET", "/api/models/*/tree/*", None, skip=1)),
    ("models are fetched", fault("cdn", "GET", "/lfs/*", None, skip=5)),
    ("jobs run", None),
    ("the card is shown", fault("hub", "POST", "/api/validate-yaml", None)),
    ("parts are sent", fault("cdn", "PUT", "/part/*", None, skip=3)),
    ("parts are joined", fault("cdn", "POST", "/complete/*", None, skip=1)),
    ("a commit is sent", fault("hub", "POST", "/api/models/*/commit/*", None)),
    ("a commit has landed", fault("hub", "POST", "/api/models/*/commit/*", {"after": True}, skip=1)),
]


# ---- models

def tensor_file(tensors):
    """safetensors of {name: (rows, columns, floats)}"""
    header, data = {}, b""
    for name, (rows, columns, values) in tensors.items():
        packed = struct.pack(f"<{rows * columns}f", *values)
        header[name] = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def adapter(rng):
    module = "base_model.model.model.layers.1.self_attn.q_proj"
    tensors = {f"{module}.lora_A.weight": (2, 256, [rng.gauss(0, 0.1) for _ in range(512)]),
               f"{module}.lora_B.weight": (256, 2, [rng.gauss(0, 0.1) for _ in range(512)])}
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    return {"adapter_config.json": json.dumps(config).encode(), "adapter_model.safetensors": tensor_file(tensors)}


def publish_models(hub, root, rng):
    for repo, spec in MODELS.items():
        folder = KJV
        if spec:
            folder = root / repo.split("/")[1]
            subprocess.run([QUERN, "fake", spec, folder], check=True, env=environment(), stdout=subprocess.DEVNULL)
        hub.repo(repo, private=True)
        publish(hub, repo, {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "heldout.txt"})
    hub.repo("my-org/adapter", private=True)
    publish(hub, "my-org/adapter", adapter(rng))


# ---- kills

def family(pid):
    """The process and all that it started, and they."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def kill(run):
    run.send_signal(signal.SIGSTOP)  # or it would start more
    for pid in family(run.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    run.wait()
    run.stdout.close()


class Night(Matrix):
    def __init__(self, hub):
        super().__init__(JOBS.replace("HUB", hub.endpoint))
        self.hub, self.rng, self.asked = hub, random.Random(SEED), []
        self.env = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": self.root / "hf", "HF_TOKEN": hub.token}
        publish_models(hub, self.root, self.rng)
        hub.set(multipart_above=1 << 20, chunk_size=1 << 19)
        hub.forget()

    def trouble(self, *first):
        """These rules, and six of the others at random requests."""
        self.hub.faults(*first, *({**f, "skip": self.rng.randrange(3)} for f in self.rng.sample(FAULTS, 6)))

    def reached(self, rule):
        """Has the hub stopped answering, or do jobs run?"""
        if not rule:
            return self.running()
        pattern = re.compile(rule["path"].replace("*", ".*") + r"\Z")
        kind = [r for r in self.hub.log()["requests"] if r["origin"] == rule["origin"] and r["method"] == rule["method"] and
                pattern.match(r["path"])]
        return len(kind) > rule.get("skip", 0)

    def interrupt(self, name, rule):
        first = [{**rule, "times": None, "action": {"do": "stall", "seconds": 60, **(rule["action"] or {})}}] if rule else []
        self.trouble(*first)
        run = self.start("run", **self.env)
        end = time.monotonic() + 60
        while not self.reached(rule):
            assert run.poll() is None and time.monotonic() < end, f"{name}: it did not come to that\n{run.stdout.read()}"
            time.sleep(0.01)
        kill(run)
        self.keep_log()

    def keep_log(self):
        self.asked.append(self.hub.log()["requests"])
        self.hub.faults()
        self.hub.forget()

    def there(self):
        """What must not be done again: {kind: ...} of what is complete now."""
        blobs = {p.name for p in self.root.glob("hf/hub/*/blobs/*") if re.fullmatch("[0-9a-f]{64}", p.name)}
        made = {str(p): p.stat().st_ino for p in self.work.glob("artifacts/*/*.gguf")}
        stored = {p.name for p in self.hub.root.glob("lfs/??/??/*")}
        return blobs, made, stored


def check_not_again(before, after, requests, name):
    """Nothing that was complete before a run was fetched, converted or sent by it."""
    blobs, made, stored = before
    fetched = {r["path"].rsplit("/", 1)[1] for r in requests if r["origin"] == "cdn" and r["method"] == "GET"}
    assert not fetched & blobs, f"{name}: fetched again: {fetched & blobs}"
    assert made.items() <= after[1].items(), f"{name}: converted again: {made} {after[1]}"
    sent = {r["path"].split("/")[2] for r in requests if r["method"] == "PUT" and r["path"].startswith("/put/")}
    assert not sent & stored, f"{name}: sent again: {sent & stored}"


def check_bytes(night):
    """What went over the wire in all nights: each content once, and what a kill or a fault broke."""
    asked = [r for log in night.asked for r in log if r["origin"] == "cdn"]
    weights = {}
    for p in night.root.glob("hf/hub/*/blobs/*"):
        weights[p.name] = p.stat().st_size
    for oid, size in weights.items():
        sent = sum(r["sent"] for r in asked if r["path"].endswith(oid))
        breaks = sum(r["sent"] < size for r in asked if r["path"].endswith(oid))
        if len(oid) == 64:
            assert size <= sent < 2 * size + breaks * (128 << 10) + (1 << 20), (oid, size, sent)
    parts = [r["path"] for r in asked if r["method"] == "PUT" and r["status"] == 200 and r["path"].startswith("/part/")]
    twice = len(parts) - len(set(parts))
    assert len(set(parts)) > 20 and twice <= 16, (len(parts), twice)
    return len(parts), twice


# ---- the result

def digests(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*")
            if p.is_file() and ".cache" not in p.parts}


def check_clients(night):
    from huggingface_hub import ModelCard, snapshot_download
    by_python = {r: digests(Path(snapshot_download(r, local_dir=night.root / "python" / r))) for r in REPOS}
    script = PEERS / "download.mjs"  # imports are looked for beside the file
    shutil.copyfile(HERE / "download.mjs", script)
    done = subprocess.run(["node", script, *REPOS], check=True, stdout=subprocess.PIPE, env=night.hub.environment(night.root))
    assert json.loads(done.stdout) == by_python
    made = {digest for p in night.work.glob("artifacts/*") for name, digest in digests(p).items() if name.endswith(".gguf")}
    assert len(made) == len(REPOS) * len(QUANTS)
    assert made == {d for files in by_python.values() for name, d in files.items() if name.endswith(".gguf")}
    for repo, files in by_python.items():
        model = repo.split("/")[1].removesuffix("-GGUF")
        assert set(files) == {".gitattributes", "README.md", "quern.json", *(f"{model}-{q}.gguf" for q in QUANTS)}, files
        card = ModelCard.load(repo)
        card.validate()
        tuned = model == "kjv-tuned"
        assert card.data.base_model == (["my-org/adapter", "my-org/kjv"] if tuned else f"my-org/{model}"), card.data
        assert card.data.base_model_relation == ("merge" if tuned else "quantized") and "gguf" in card.data.tags
        assert json.loads((night.root / "python" / repo / "quern.json").read_text())["repo"] == repo


def check_store(night):
    assert set(night.states().values()) == {"done"} and len(night.states()) == 8
    once = dict(night.sql("SELECT job_id, count(*) FROM event WHERE event = 'exit_ok' GROUP BY job_id"))
    assert set(once.values()) == {1} and len(once) == 8, once
    for repo in REPOS:
        assert night.hub.git(repo, "rev-list", "--count", "main") == b"2\n", repo  # the Hub's own, and quern's


def main():
    begin = time.monotonic()
    with TestHub() as hub, Night(hub) as night:
        os.environ.update(hub.environment(night.root, PATH=os.environ["PATH"]))
        for name, rule in INSTANTS:
            before = night.there()
            night.interrupt(name, rule)
            check_not_again(before, night.there(), night.asked[-1], name)
            print(f"ok killed when {name}, {time.monotonic() - begin:.1f} s", flush=True)
        before = night.there()
        night.trouble()
        expect(night.quern("run", timeout=120, **night.env), 0)
        night.keep_log()
        check_not_again(before, night.there(), night.asked[-1], "the end")
        check_store(night)
        print("ok all is done; parts sent, of these twice:", check_bytes(night))

        expect(night.quern("run", **night.env), 0, "nothing to do")
        idle = hub.log()["requests"]
        assert len(idle) <= 2 * len(MODELS) and {r["method"] for r in idle} == {"GET"}, idle
        print("ok then nothing")

        check_clients(night)
        for repo in REPOS:
            expect(night.quern("card", "--audit", repo, **night.env), 0, "all as quern.json and the card say")
        assert not hub.log()["leaks"]
        print(f"ok the official clients, and the audit; seed {SEED}, {time.monotonic() - begin:.1f} s")


main()
