"""RKLLM from plan to card, with the stand-in of its toolkit: environments, the rules, what fails and why."""
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
import rkllm_matrix as rk  # noqa: E402
from matrix import BUILD, QUERN, environment, expect, run_all  # noqa: E402
from model_hub import Hub, Repo  # noqa: E402

import make_env  # noqa: E402 -- rkllm_matrix knows where


class Place:
    """A folder that goes away at the end."""

    def __init__(self):
        self.temp = tempfile.TemporaryDirectory(prefix="quern-rkllm-")
        self.root = Path(self.temp.name).resolve()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.temp.cleanup()

    def quern(self, *args, **env):
        return rk.run(self.root, *map(str, args), **env)

    def write(self, targets, environments="[{path: env}]", models="{path: m, name: m}", more=""):
        (self.root / "jobs.yaml").write_text(
            f"version: 1\nwork: work\nmodels: [{models}]\ntargets: [{targets}]\n"
            f"engines: {{rkllm: {{environments: {environments}}}}}\n"
            f"resources: {{jobs: 2, memory: 16GiB, disk_reserve: 1MiB}}\nretry: {{attempts: 1}}\n{more}")

    def points(self, **env):
        """{label: point} of the plan."""
        done = self.quern("plan", "--json", **env)
        assert done.returncode == 0, done.stdout
        return {p["label"]: p for p in json.loads(done.stdout)["points"]}

    def sql(self, query):
        db = sqlite3.connect(self.root / "work/state.db")
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()


POINT = "{engine: rkllm, platform: rk3588, quant: w8a8}"


def git(repo, *args):
    return subprocess.run(["git", "-C", str(repo), *args], check=True, capture_output=True, text=True).stdout


def test_which_environment():
    with Place() as p:
        rk.make_model(p.root / "m")
        for version in (rk.OLD, rk.NEW):
            make_env.make(p.root / version, version)
        p.write("{engine: rkllm, platform: [rk3588, rk3562], quant: w8a8}", f"[{{path: {rk.OLD}}}]")
        points = p.points()
        assert points["m/rkllm/rk3588/w8a8"]["toolkit"] == rk.OLD
        assert "platform rk3562 needs version 1.2.0" in points["m/rkllm/rk3562/w8a8"]["why"]
        expect(p.quern("run"), 1, "1 converted")
        # One that is added does what none could do, and nothing again.
        p.write("{engine: rkllm, platform: [rk3588, rk3562], quant: w8a8}", f"[{{path: {rk.OLD}}}, {{path: {rk.NEW}}}]")
        points = p.points()
        assert points["m/rkllm/rk3588/w8a8"]["status"] == "converted"
        assert points["m/rkllm/rk3562/w8a8"]["toolkit"] == rk.NEW
        assert points["m/rkllm/rk3562/w8a8"]["passed_over"].startswith("1.1.4: platform rk3562")
        expect(p.quern("run"), 0, "1 converted")
        # The same version in another folder is the same job; one that is put first does everything again.
        (p.root / rk.OLD).rename(p.root / "moved")
        p.write(POINT, "[{path: moved}]")
        assert p.points()["m/rkllm/rk3588/w8a8"]["status"] == "converted"
        p.write(POINT, f"[{{path: {rk.NEW}}}, {{path: moved}}]")
        point = p.points()["m/rkllm/rk3588/w8a8"]
        assert point["status"] == "changed" and "0.1.0+1.1.4 -> 0.1.0+1.2.3" in point["why"], point
        # One that is gone is not passed over.
        p.write(POINT, f"[{{path: gone}}, {{path: {rk.NEW}}}]")
        point = p.points()["m/rkllm/rk3588/w8a8"]
        assert not point["legal"] and "gone: there is no such folder" in point["why"], point
        p.write(POINT, f"[{{path: gone, version: 1.1.4}}, {{path: {rk.NEW}}}]")
        assert not p.points()["m/rkllm/rk3588/w8a8"]["legal"]


def test_two_environments_of_one_version():
    """Other packages beside the same toolkit: a name tells them apart, and what each is for decides."""
    with Place() as p:
        rk.make_model(p.root / "m")
        rk.make_model(p.root / "w")
        (p.root / "w/config.json").write_text('{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}')
        for name in ("env", "other"):
            make_env.make(p.root / name, "1.2.3")
        models = "{path: m, name: m}, {path: w, name: w}"
        p.write(POINT, "[{path: env}]", models)
        expect(p.quern("run"), 0, "2 converted")
        # Another one for one family: only that model is done again, and the plan says why.
        p.write(POINT, "[{path: env}, {path: other, name: qwen3, architectures: [Qwen3*]}]", models)
        points = p.points()
        assert points["m/rkllm/rk3588/w8a8"]["status"] == "converted", points
        point = points["w/rkllm/rk3588/w8a8"]
        assert point["status"] == "changed" and "0.1.0+1.2.3 -> 0.1.0+1.2.3-qwen3" in point["why"], point
        assert point["passed_over"] == "1.2.3: environment 1.2.3-qwen3 names Qwen3ForCausalLM", point
        expect(p.quern("plan"), 0, "environment 1.2.3-qwen3 names Qwen3ForCausalLM")
        expect(p.quern("run"), 0, "1 converted")
        made = {r[0]: r[1] for r in p.sql("SELECT label, engine_version FROM v_matrix WHERE engine_version LIKE '%qwen3'")}
        assert made == {"w/rkllm/rk3588/w8a8": "0.1.0+1.2.3-qwen3"}, made
        job = next(f for f in (p.root / "work/artifacts").glob("*/.quern.json") if "1.2.3-qwen3" in f.read_text())
        assert job.exists()
        expect(p.quern("doctor"), 0, "rkllm_toolkit 1.2.3-qwen3")
        for environments, word in (
                ("[{path: env}, {path: other}]", "keep one of them, or tell them apart by `name`"),
                ("[{path: env, name: a}, {path: other, name: a}]", 'a second environment "a" of version 1.2.3'),
                ("[{path: env, name: a+b}]", "a name of letters, digits"),
                ("[{path: env, architectures: [Qwen3ForCausalLn]}]", 'did you mean "Qwen3ForCausalLM"?'),
                ("[{path: env, architectures: [Nobody*]}]", 'knows no architecture "Nobody*"')):
            p.write(POINT, environments, models)
            expect(p.quern("plan"), 2, word)


def test_finished_files_are_renewed():
    """update_rkllm from a matrix: a local .rkllm file, the environment that can, and nothing claimed that is not known."""
    said = b"rkllm-toolkit version: 1.0.2, target_platform: RK3588, model_dtype: W8A8\n"
    with Place() as p:
        (p.root / "old").mkdir()
        (p.root / "old/a.rkllm").write_bytes(said + bytes(range(256)) * 100)
        (p.root / "old/b.rkllm").write_bytes(b"RKLLM" + bytes(range(256)) * 100)
        for version in ("1.1.0", rk.NEW):
            make_env.make(p.root / f"env-{version}", version)
        environments = f"[{{path: env-1.1.0}}, {{path: env-{rk.NEW}}}]"
        models = "{path: old, file: a.rkllm, name: a}, {path: old/b.rkllm}"
        p.write("{engine: rkllm, quant: keep, platform: rk3588, model: a}, {engine: rkllm, quant: keep, model: b}",
                environments, models, 'upload: {hub: local, namespace: n, repo: "{model}"}')
        points = p.points()
        for label in ("a/rkllm/rk3588/keep", "b/rkllm/keep"):
            assert points[label]["legal"] and points[label]["toolkit"] == rk.NEW and not points[label]["warning"], points
            assert points[label]["passed_over"].startswith("1.1.0: renewing a file of format rkllm needs version 1.1.4")
        expect(p.quern("run"), 0, "2 converted")
        tree = {name: git(p.root / f"work/hub/n/{name}.git", "ls-tree", "--name-only", "HEAD").splitlines() for name in "ab"}
        made = {name: [f for f in files if f.endswith(".rkllm")] for name, files in tree.items()}
        assert re.fullmatch(r"a-rk3588-keep-[0-9a-f]{8}\.rkllm", made["a"][0]), made  # the file says its platform
        assert re.fullmatch(r"b-keep-[0-9a-f]{8}\.rkllm", made["b"][0]), made         # this one says nothing
        expect(p.quern("run"), 0, "nothing to do")
        (p.root / "old/config.json").write_text("{}")  # no part of it
        assert p.points()["a/rkllm/rk3588/keep"]["status"] == "done"
        (p.root / "old/b.rkllm").write_bytes(b"RKLLM" + bytes(range(255, -1, -1)) * 100)
        assert p.points()["b/rkllm/keep"]["status"] == "changed"
        # what is not legal says why, and costs nothing
        rk.make_model(p.root / "m")
        p.write("{engine: rkllm, quant: [w8a8, keep], platform: rk3588}", environments, models + ", {path: m, name: m}")
        points = p.points()
        assert "keeps its quant; it can be renewed" in points["a/rkllm/rk3588/w8a8"]["why"]
        assert "quant keep renews finished .rkllm files" in points["m/rkllm/rk3588/keep"]["why"]
        p.write(POINT, environments, "{id: org/x, file: a.rkllm, name: x}")
        expect(p.quern("plan"), 2, "a finished file is renewed where it lies in a local folder")
        # one file without a matrix
        made = expect(p.quern("convert", "old/a.rkllm", "-o", "new.rkllm", "--engine", "rkllm", "--environment",
                              f"env-{rk.NEW}"), 0, "new.rkllm: ").stdout
        assert (p.root / "new.rkllm").read_bytes().startswith(b"RKLLM STAND-IN, NOT A MODEL (updated)\n" + said[:20]), made
        expect(p.quern("convert", "old/a.rkllm", "-o", "x.rkllm", "--engine", "rkllm", "--environment", "env-1.1.0"), 2,
               "needs version 1.1.4")
        expect(p.quern("convert", "old/a.rkllm", "-o", "x.rkllm", "--engine", "rkllm", "--platform", "rk3576",
                       "--environment", f"env-{rk.NEW}"), 1, "says that it is for rk3588, not for rk3576")
        expect(p.quern("convert", "old/a.rkllm", "-o", "x.gguf", "--engine", "gguf", "--quant", "Q8_0"), 2,
               "does not read rkllm")


def test_faults_have_a_place():
    with Place() as p:
        rk.make_model(p.root / "m")
        make_env.make(p.root / "env", "1.2.3")
        for environments, word in (
                ("[{path: env, version: 1.2.0}]", "jobs.yaml:5:55: environment"),
                ("[{path: env, versoin: 1.2.3}]", 'unknown key "versoin" in an environment; did you mean "version"?'),
                ("[{version: 1.2.3}]", "an environment without `path`"),
                ("[{path: env, version: new}]", 'version is "new"; a version like 1.2.3 is wanted'),
                ("[{path: env}, {path: env}]", "a second environment of version 1.2.3 (the first is on line 5)"),
                ("[{path: env, gpu: maybe}]", 'gpu is "maybe"')):
            p.write(POINT, environments)
            expect(p.quern("plan"), 2, word)
        p.write(POINT)
        text = (p.root / "jobs.yaml").read_text()
        (p.root / "jobs.yaml").write_text(text.replace("engines: {rkllm", "engines: {rkllmm"))
        expect(p.quern("plan"), 2, 'engine rkllmm is not installed; did you mean "rkllm"?')
        (p.root / "jobs.yaml").write_text(text.replace("engines: {rkllm", "engines: {gguf"))
        expect(p.quern("plan"), 2, "engine gguf needs no environment; remove this")
        (p.root / "jobs.yaml").write_text(text.replace("engines: {rkllm: {environments: [{path: env}]}}\n", ""))
        expect(p.quern("plan"), 0, "engine rkllm needs an environment that holds rkllm_toolkit; write `engines:")


def test_files_of_parameters():
    """A calibration set enters the key by its content, and the worker reads it where it lies."""
    target = "{engine: rkllm, platform: rk3588, quant: w8a8, with: {dataset: data/set.json}}"
    with Place() as p:
        rk.make_model(p.root / "m")
        make_env.make(p.root / "env", "1.2.3")
        p.write(target)
        expect(p.quern("plan"), 2, f"dataset: there is no file {p.root}/data/set.json; correct the path (rule 15)")
        (p.root / "data").mkdir()
        (p.root / "data/set.json").write_text('[{"input": "a", "target": "b"}]')
        expect(p.quern("run"), 0, "1 converted")
        made, = (p.root / "work/artifacts").glob("*/.quern.json")
        assert '"samples":1' in made.read_text().replace(" ", "")
        (p.root / "data/set.json").rename(p.root / "other.json")
        p.write(target.replace("data/set.json", "other.json"))
        assert p.points()["m/rkllm/rk3588/w8a8"]["status"] == "converted"
        (p.root / "other.json").write_text('[{"input": "c", "target": "d"}]')
        assert p.points()["m/rkllm/rk3588/w8a8"]["status"] == "changed"
        (p.root / "other.json").write_text("[]")
        expect(p.quern("plan"), 2, "the list is empty", "(rule 15)")


def test_importances_from_anywhere():
    """The engine gguf takes its imatrix from outside the model's folder."""
    sys.path.insert(0, str(Path(os.environ["QUERN_SOURCE"]) / "tests/peer"))
    with Place() as p:
        expect(p.quern("fake", "llama-tiny:fill=random", "m"), 0)
        imatrix = b"".join(n.to_bytes(4, "little") for n in (0,))  # no entries: refused by the worker, who could read it
        (p.root / "some.dat").write_bytes(imatrix)
        p.write("{engine: gguf, quant: Q4_0, with: {imatrix: ./some.dat}}", "[{path: e}]")
        text = (p.root / "jobs.yaml").read_text().replace("engines: {rkllm: {environments: [{path: e}]}}\n", "")
        (p.root / "jobs.yaml").write_text(text)
        done = p.quern("run")
        assert done.returncode == 1 and "some.dat" in done.stdout and "Permission" not in done.stdout, done.stdout
        (p.root / "jobs.yaml").write_text(text.replace("./some.dat", "some.dat"))
        done = p.quern("run")
        assert done.returncode == 1 and f"{p.root}/m/some.dat" in done.stdout or "folder" in done.stdout, done.stdout


def test_what_is_not_quantized():
    """F16 in GGUF and safetensors with do_quantization false: done, and neither card nor name speaks of a quant."""
    with Place() as p:
        make_env.make(p.root / "env", "1.2.3")
        rk.make_model(p.root / "m")
        expect(p.quern("fake", "llama-tiny:fill=random", "tiny"), 0)
        (p.root / "g").mkdir()
        expect(p.quern("convert", "tiny", "-o", "g/tiny.gguf", "--engine", "gguf", "--quant", "F16"), 0)
        (p.root / "g/standin.json").write_text('[{"do": "sixteen_bits"}]')  # what it then says of itself
        p.write("{engine: rkllm, platform: rk3588, quant: w8a8, opt: [0, 1], with: {do_quantization: false}}, "
                "{engine: rkllm, platform: rk3576, quant: w4a16, model: g, with: {do_quantization: false}}",
                models="{path: m, name: m}, {path: g, name: g}", more="upload: {hub: local, namespace: n}\n")
        expect(p.quern("run"), 0, "5 converted")
        for repo, n in (("m-rk3588-1.2.3", 2), ("g-rk3588-1.2.3", 2), ("g-rk3576-1.2.3", 1)):
            bare = p.root / f"work/hub/n/{repo}.git"
            files = [f for f in git(bare, "ls-tree", "-r", "--name-only", "HEAD").splitlines() if f.endswith(".rkllm")]
            card, manifest = git(bare, "show", "HEAD:README.md"), json.loads(git(bare, "show", "HEAD:quern.json"))
            name = re.escape(repo.rsplit("-", 1)[0])
            assert len(files) == n and all(re.fullmatch(name + r"(-opt-1)?-[0-9a-f]{8}\.rkllm", f) for f in files), files
            assert card.count("| not confirmed |") >= n and "w8a8" not in card and "w4a16" not in card, card
            assert "do_quantization" in card, card
            for v in manifest["variants"]:
                assert "quant" not in v["facts"]["worker"] and "quant" not in v["facts"]["file"], v["facts"]
                assert v["facts"]["worker"]["do_quantization"] is False, v["facts"]
        # One that says 8 bits all the same is no good.
        (p.root / "m/standin.json").write_text('[{"do": "other_dtype"}]')
        p.write("{engine: rkllm, platform: rk3588, quant: w8a8_g128, model: m, with: {do_quantization: false}}")
        done = p.quern("run")
        assert done.returncode == 1 and "bad output" in done.stdout and "says quant w8a8, asked for none" in done.stdout


def test_adapters_and_gguf():
    with Hub() as hub, Place() as p:
        rk.make_model(p.root / "m")
        make_env.make(p.root / "env", "1.2.3")
        hub.repos["org/adapter"] = Repo({
            "adapter_config.json": b'{"peft_type": "LORA", "r": 8, "lora_alpha": 8, "target_modules": ["gate_proj"]}',
            "adapter_model.safetensors": rk.safetensors("adapter")})
        env = {"HF_ENDPOINT": hub.url, "HF_HOME": p.root / "hf"}
        expect(p.quern("fake", "llama-tiny:fill=random", "tiny"), 0)
        (p.root / "g").mkdir()
        expect(p.quern("convert", "tiny", "-o", "g/tiny.gguf", "--engine", "gguf", "--quant", "Q4_0", "--with", "pure=true",
                       "--with", "output_type=F16", "--with", "token_embedding_type=F16"), 0)
        (p.root / "q").mkdir()
        expect(p.quern("convert", "tiny", "-o", "q/tiny.gguf", "--engine", "gguf", "--quant", "Q4_K_M"), 0)
        p.write("{engine: rkllm, platform: rk3576, quant: w4a16, model: l}, "
                "{engine: rkllm, platform: rk3576, quant: w4a16_g32, model: g}, "
                "{engine: rkllm, platform: rk3576, quant: [w4a16, w4a16_g32], model: q}",
                models="{path: m, name: l, lora: org/adapter}, {path: g, name: g}, {path: q, name: q}")
        points = p.points(**env)
        assert "tensors of type" in points["q/rkllm/rk3576/w4a16"]["why"]
        assert points["q/rkllm/rk3576/w4a16_g32"]["why"].endswith("(rule 17)")
        done = p.quern("run", **env)
        assert done.returncode == 1 and "2 converted" in done.stdout, done.stdout
        made = sorted(f.name for f in (p.root / "work/artifacts").glob("*/*.rkllm"))
        assert made == ["g-rk3576-w4a16_g32-opt-0-hybrid-ratio-0.0.rkllm", "l-rk3576-w4a16-opt-0-hybrid-ratio-0.0.rkllm",
                        "l-rk3576-w4a16-opt-0-hybrid-ratio-0.0_lora.rkllm"], made


def test_code_of_the_checkpoint_needs_consent():
    with Place() as p:
        rk.make_model(p.root / "m")
        (p.root / "m/config.json").write_text('{"architectures": ["LlamaForCausalLM"], "auto_map": {"AutoModel": "x.Y"}}')
        make_env.make(p.root / "env", "1.2.3")
        p.write(POINT)
        why = p.points()["m/rkllm/rk3588/w8a8"]["why"]
        assert "write `trust_remote_code: true` beside the model" in why and why.endswith("(rule 13)"), why
        (p.root / "m/config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
        assert p.points()["m/rkllm/rk3588/w8a8"]["legal"]
        (p.root / "m/tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": "x.Y"}}')
        assert not p.points()["m/rkllm/rk3588/w8a8"]["legal"]
        p.write(POINT, models="{path: m, name: m, trust_remote_code: true}")
        expect(p.quern("run"), 0, "1 converted")


def test_code_of_a_hub_model_comes_with_consent_only():
    """*.py of a repository: never without `trust_remote_code: true`, whatever the engine; then it is part of the key."""
    with Hub() as hub, Place() as p:
        make_env.make(p.root / "env", "1.2.3")
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "auto_map": {"AutoModel": "modeling_x.Y"}}
        files = {"config.json": json.dumps(config).encode(), "model.safetensors": rk.safetensors("x"),
                 "modeling_x.py": b"class Y: pass\n", "other.bin": b"pickle"}
        hub.repos["org/x"] = Repo(files)
        hub.repos["org/plain"] = Repo({**files, "config.json": b'{"architectures": ["LlamaForCausalLM"]}'})
        env = {"HF_ENDPOINT": hub.url, "HF_HOME": p.root / "hf"}

        def cached():
            return sorted({f.name for f in (p.root / "hf").rglob("snapshots/*/*")})

        p.write(POINT, models="{id: org/x, name: x}, {id: org/plain, name: plain}")
        points = p.points(**env)
        assert not points["x/rkllm/rk3588/w8a8"]["legal"] and points["plain/rkllm/rk3588/w8a8"]["legal"], points
        expect(p.quern("run", **env), 1, "1 converted")
        assert cached() == ["config.json", "model.safetensors"], cached()
        p.write(POINT, models="{id: org/x, name: x, trust_remote_code: true}, {id: org/plain, name: plain}")
        expect(p.quern("run", **env), 0, "1 converted")
        assert cached() == ["config.json", "model.safetensors", "modeling_x.py"], cached()
        code, = (p.root / "hf").rglob("snapshots/*/modeling_x.py")
        assert "models--org--x" in str(code) and code.read_bytes() == b"class Y: pass\n"
        # It says which code ran: a commit does, and of a folder the hash.
        assert not [q for q in p.points(**env).values() if q["status"] != "converted"]
        p.write(POINT, models="{id: org/x, name: x, trust_remote_code: true}, "
                              "{id: org/plain, name: plain, trust_remote_code: true}")
        assert not [q for q in p.points(**env).values() if q["status"] != "converted"]  # it brings nothing that runs


def test_consent_is_part_of_the_key():
    """The code of a local folder too; the same model with and without it are two jobs."""
    target = "{engine: gguf, quant: Q8_0}"
    with Place() as p:
        expect(p.quern("fake", "llama-tiny:fill=random", "m"), 0)
        config = json.loads((p.root / "m/config.json").read_text())
        (p.root / "m/config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "modeling_x.Y"}}))
        (p.root / "m/modeling_x.py").write_text("class Y: pass\n")

        def status(models):
            p.write(target, models=models)
            text = (p.root / "jobs.yaml").read_text()
            (p.root / "jobs.yaml").write_text(text.replace("engines: {rkllm: {environments: [{path: env}]}}\n", ""))
            return p.points()["m/gguf/Q8_0"]["status"]

        plain, trusted = "{path: m, name: m}", "{path: m, name: m, trust_remote_code: true}"
        assert status(plain) == "new"
        expect(p.quern("run"), 0, "1 converted")
        (p.root / "m/modeling_x.py").write_text("class Y:\n    x = 1\n")
        assert status(plain) == "converted"  # it was not part of it
        assert status(trusted) == "changed"
        expect(p.quern("run"), 0, "1 converted")
        assert status(trusted) == "converted"
        (p.root / "m/modeling_x.py").write_text("class Y:\n    x = 2\n")
        assert status(trusted) == "changed"
        assert status(plain) == "converted"


def test_algorithms_that_need_a_gpu():
    """`gpu: true` lets them through, and the worker to the devices if there are any."""
    target = "{engine: rkllm, platform: rk3576, quant: w4a16, with: {quantized_algorithm: grq}}"
    with Place() as p:
        rk.make_model(p.root / "m")
        make_env.make(p.root / "env", "1.2.3")
        p.write(target, "[{path: env, gpu: false}]")
        assert p.points()["m/rkllm/rk3576/w4a16"]["why"].startswith("grq and gdq need a GPU")
        p.write(target, "[{path: env, gpu: true}]")
        expect(p.quern("run"), 0, "1 converted")


def test_memory_that_is_not_free():
    """A point that needs more than is free now is warned about; one that needs more than it may have is refused."""
    with Place() as p:
        make_env.make(p.root / "env", "1.2.3")
        p.write(POINT, models="{fake: llama-8b, name: m}", more="")
        text = (p.root / "jobs.yaml").read_text()
        point = p.points()["m/rkllm/rk3588/w8a8"]
        need = point["memory_bytes"]
        assert need > 35e9 and "needs 34.9 GiB of memory" in point["why"] and point["why"].endswith("(rule 16)"), point
        (p.root / "jobs.yaml").write_text(text.replace("memory: 16GiB", "memory: 900GiB"))
        free = sum(int(line.split()[1]) << 10 for line in Path("/proc/meminfo").read_text().splitlines()
                   if line.startswith(("MemAvailable:", "SwapFree:")))
        point = p.points()["m/rkllm/rk3588/w8a8"]
        assert point["legal"] and ("(rule 16)" in point["warning"]) == (need > free), (point, free)


def test_companions_over_several_nights():
    with Place() as p:
        def listing():
            bare = p.root / "work/hub/my-org/all.git"
            paths = git(bare, "ls-tree", "-r", "--name-only", "HEAD").splitlines()
            return {f: git(bare, "show", f"HEAD:{f}").encode() for f in paths}

        rk.check_nights(p.root, "local", listing)


def test_a_run_warns_once():
    """What a plan warns of, a run says once: of what it will do, and nothing of what is done."""
    with Place() as p:
        rk.make_model(p.root / "m")
        make_env.make(p.root / "env", "1.2.3")
        p.write("{engine: rkllm, platform: [rk3588, rk3576], quant: w8a8, hybrid: [0, 0.25]}")
        said = [line for line in expect(p.quern("run"), 0, "4 converted").stdout.splitlines() if "warning" in line]
        assert [line.split("(rule")[-1] for line in said] == [" 15)", " 5)"] and len(said) == 2, said
        assert said[0].startswith("quern: warning: m/rkllm/rk3588/w8a8 and 3 more: no calibration set"), said
        assert "quern: warning: m/rkllm/rk3576/w8a8/hybrid-0.25: hybrid above 0 with w8a8 is not in the vendor's manual" in said[1], said
        assert "warning" not in expect(p.quern("run"), 0).stdout


def test_points_that_meet():
    """hybrid 0 is no hybrid; and two points may not have one file."""
    with Place() as p:
        rk.make_model(p.root / "m")
        make_env.make(p.root / "env", "1.2.3")
        p.write(POINT + ", {engine: rkllm, platform: rk3588, quant: w8a8, hybrid: 0.0}")
        plan = json.loads(p.quern("plan", "--json").stdout)
        assert [q["status"] for q in plan["points"]] == ["new", "duplicate"]
        p.write("{engine: rkllm, platform: rk3588, quant: w8a8, opt: [0, 1]}",
                more="upload: {hub: local, file: \"{model}-{quant}\"}")
        points = p.points()
        assert points["m/rkllm/rk3588/w8a8"]["repo"] == "local/m-rk3588-1.2.3"
        why = points["m/rkllm/rk3588/w8a8/opt-1"]["why"]
        assert "m-w8a8.rkllm is already the name of another point" in why and why.endswith("(rule 18)"), why


def test_what_a_platform_can_do():
    with Place() as p:
        expect(p.quern("plan", "--legal", "rk3562"), 0, "rkllm 0.1.0 on rk3562, from toolkit 1.2.0", "w4a8_g32",
               "num_npu_core         1\n", "from 1.2.1           Qwen3ForCausalLM", "(rule 5)",
               "keep                 a quant for finished .rkllm files, which are renewed (1.1.4)\n")
        v = json.loads(p.quern("plan", "--legal", "rk3588", "--json").stdout)
        engine, = v["engines"]
        assert [q["name"] for q in engine["quants"]] == rk.QUANTS["rk3588"]
        assert engine["renews"] == {"format": "rkllm", "quant": "keep", "since": "1.1.4"}
        assert engine["hybrid"] == {"values": [], "min": 0, "max": 1, "max_open": True}
        assert 5 not in {r["rule"] for r in engine["rules"]} and 9 in {r["rule"] for r in engine["rules"]}
        expect(p.quern("plan", "--legal", "rk3568"), 2, "did you mean rk3588?", "rv1126b")


def test_doctor():
    with Place() as p:
        site = make_env.make(p.root / "env", "1.2.3")
        rk.make_model(p.root / "m")
        p.write(POINT)
        done = expect(p.quern("doctor", "--engine", "rkllm", "--deep"), 0, "rkllm_toolkit 1.2.3, Python", "glibc",
                      "setuptools is not installed", "bin/pip install 'setuptools<81'", "selftest: 1.2.3: rk3588",
                      "a tiny model went through")
        assert not list(Path(tempfile.gettempdir()).glob("quern-??????/model")), done.stdout
        (site / "setuptools-81.0.0.dist-info").mkdir()
        (site / "setuptools-81.0.0.dist-info/METADATA").write_text("Name: setuptools\nVersion: 81.0.0\n\nVersion: 1\n")
        expect(p.quern("doctor"), 4, "setuptools 81.0.0; <81 is needed")
        (site / "standin.json").write_text('[{"do": "no_module"}]')
        (site / "setuptools-81.0.0.dist-info").rename(site / "setuptools-80.1.dist-info")
        (site / "setuptools-80.1.dist-info/METADATA").write_text("Name: setuptools\nVersion: 80.1\n")
        expect(p.quern("doctor", "--engine", "rkllm", "--deep"), 4, "bad   selftest")
        (site / "rkllm").rename(p.root / "rkllm")
        expect(p.quern("doctor"), 4, "rkllm.api does not load: ModuleNotFoundError")
        (p.root / "env/bin/python").unlink()
        expect(p.quern("doctor"), 4, "it has no bin/python", "python3 -m venv")
        expect(p.quern("doctor", "--deep"), 2, "--deep and --engine belong together")


TOY = """\
manifest: 1
name: toy
version: 1.0.0
program: toy-worker
environments: {package: toy}
formats: {in: [safetensors], out: toy}
verbs: [convert, calib]
quant: {none: 8}
"""
TOY_WORKER = """\
#!/usr/bin/env python3
import json, os, sys
job = json.load(open("job.json"))
assert sys.argv[1] == "calib" and sys.flags.ignore_environment and sys.flags.no_user_site, sys.argv
assert sys.prefix == job["environment"]["path"] and job["environment"]["version"] == "2.0", job
assert os.path.exists(job["source"]["dir"] + "/config.json")
made = [{"input": line.strip(), "target": "x"} for line in open(job["prompts"])]
json.dump(made, open("out/data_quant.json", "w"))
print("talk", file=sys.stderr)
"""


def test_calibration_sets():
    """calib runs the worker's verb in the environment; the toolkit itself is in tests/peer."""
    with Place() as p:
        engines = p.root / "engines"
        engines.mkdir()
        (engines / "toy.yaml").write_text(TOY)
        (engines / "toy-worker").write_text(TOY_WORKER)
        (engines / "toy-worker").chmod(0o755)
        env = {"QUERN_ENGINES": engines}
        site = make_env.make(p.root / "env", "1.2.3")
        (site / "toy-2.0+x.dist-info").mkdir()
        (site / "toy-2.0+x.dist-info/METADATA").write_text("Metadata-Version: 2.1\nVersion: 2.0+x\n")
        rk.make_model(p.root / "m")
        (p.root / "p.txt").write_text("one\ntwo\n")
        expect(p.quern("calib", "m", "p.txt", "-o", "set.json", "--engine", "toy", **env), 4, "--environment DIR")
        expect(p.quern("calib", "m", "p.txt", "-o", "set.json", "-e", "toy", "--environment", "env", **env), 0,
               "set.json: 2 samples", "talk")
        assert json.loads((p.root / "set.json").read_text())[1] == {"input": "two", "target": "x"}
        (p.root / "set.json").unlink()
        p.write("{engine: toy, quant: none}")
        text = (p.root / "jobs.yaml").read_text().replace("rkllm", "toy")
        (p.root / "jobs.yaml").write_text(text)
        expect(p.quern("calib", "m", "p.txt", "-o", "set.json", "-e", "toy", **env), 0, "set.json: 2 samples")
        expect(p.quern("calib", "m", "gone.txt", "-o", "x.json", "-e", "toy", **env), 2, "gone.txt")
        expect(p.quern("calib", "m", "p.txt", "-o", "x.json", "-e", "gguf", **env), 2, "makes no calibration sets")
        expect(p.quern("calib", "m"), 2, "calib needs a model's folder and -o FILE")
        (engines / "toy-worker").write_text("#!/usr/bin/env python3\nprint(1 / 0)\n")
        expect(p.quern("calib", "m", "p.txt", "-o", "x.json", "-e", "toy", **env), 4, "ZeroDivisionError")
        assert not (p.root / "x.json").exists()


if __name__ == "__main__":
    assert BUILD and QUERN and environment
    run_all(dict(globals()))
