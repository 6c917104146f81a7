"""quern import: the lists of a batch script become a matrix that says the same."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import Matrix, expect, run_all  # noqa: E402

RKLLM = (Path(os.environ["QUERN_SOURCE"]) / "tests/data/manifests/rkllm.yaml").read_text()

# In the shape of the scripts that people have: lists at the end, their comments quoting other lists.
SCRIPT = '''\
class Pipeline:
    def __init__(self, model_id="no/default", qtype="w8a8"):
        self.qtype = qtype

if __name__ == "__main__":
    """
    Provide a list of models: model_ids = {"in/a-comment"}
    """
    model_ids = ["Qwen/Qwen2.5-1.5B", 'org/Other', ""]  # and one left empty
    qtypes = {"w8a8", "w8a8_g128", "w4a16"}
    hybrid_rates = ["0.0", "0.5", "1.0"]
    optimizations = ["0", "1"]
    platform = "rk3588"
    for model in model_ids:
        run(model, platform=platform)
'''


def place(script=SCRIPT):
    m = Matrix()
    (m.root / "jobs.yaml").unlink()
    (m.root / "batch.py").write_text(script)
    (m.root / "engines").mkdir()
    (m.root / "engines" / "rkllm.yaml").write_text(re.sub("program: .*", "program: /bin/true", RKLLM))
    return m


def engines(m):
    return {"QUERN_ENGINES": m.root / "engines", "HF_HUB_OFFLINE": "1", "HF_HOME": m.root / "hf"}


def test_a_batch_script():
    with place() as m:
        expect(m.quern("import", "batch.py", **engines(m)), 0, "jobs.yaml: 2 models, 1 target", "hybrid 1.0 is left out",
               "w4a16 on rk3588 is left out", "did not pass it on")
        text = (m.root / "jobs.yaml").read_text()
        for line in ("- id: Qwen/Qwen2.5-1.5B", "- id: org/Other", "platform: [rk3588]", "quant: [w8a8, w8a8_g128]",
                     "hybrid: [0, 0.5]", "opt: [0, 1]", "# hybrid 1.0 is left out"):
            assert line in text, f"{line!r} is not in:\n{text}"
        assert "default" not in text and "a-comment" not in text and "upload:" not in text
        expect(m.quern("plan", **engines(m)), 0, "16 points")
        expect(m.quern("import", "batch.py", **engines(m)), 2, "--force writes over it")
        expect(m.quern("import", "batch.py", "--force", "--hub", "local", "--namespace", "me", **engines(m)), 0)
        assert 'file: "{model}-{platform}-{quant}-opt-{opt}-hybrid-ratio-{hybrid}"' in (m.root / "jobs.yaml").read_text()


def test_contexts_cores_and_adapters():
    script = '''
model_ids: list[str] = ["a/base", "b/base"]
lora_ids = ("x/tuned",)
platforms = ["rk3588", "rk3576"]
qtypes = ["w8a8", "w4a16"]
context_lengths = ["4k", 16000, "5000"]
'''
    with place(script) as m:
        expect(m.quern("import", "-f", "x.yaml", "batch.py", **engines(m)), 0, "2 models, 6 targets",
               "context 5000 became 5024", "paired with each LoRA", "no context")
        text = (m.root / "x.yaml").read_text()
        for line in ("lora: x/tuned", "name: a-base-tuned", "name: b-base-tuned", "max_context: 4096", "max_context: 16000",
                     "quant: [w8a8]", "quant: [w8a8, w4a16]"):
            assert line in text, f"{line!r} is not in:\n{text}"
        expect(m.quern("plan", "-f", "x.yaml", **engines(m)), 0, "18 points")


def test_what_cannot_be_read_is_said_with_its_line():
    for script, code, why in (
            ("qtypes = ['w8a8']\n", 2, "no model in it"),
            ("import os\nmodel_ids = os.environ['M'].split()\nqtypes = ['w8a8']\n", 2, "batch.py:2: model_ids: its value is not a literal"),
            ("model_ids = ['a/b']\nmodel_ids += more\nqtypes = ['w8a8']\n", 0, "batch.py:2: model_ids: it is changed here by code"),
            ("model_ids = ['a/b']\n", 2, "no quantization in it"),
            ("model_ids = ['', '']\nqtypes = ['w8a8']\n", 2, "no model in it"),
            ("model_ids = [['a/b']]\nqtypes = ['w8a8']\n", 2, "batch.py:1: model_ids: neither a text nor a number"),
            ("model_ids = ['a/b']\nqtypes = ['w4a16']\nplatform = 'rk3588'\n", 2, "makes none of its quantizations"),
            ("model_ids = ['a/b']\nqtypes = ['w8a8']\nhybrid_rates = ['lots']\n", 2, "batch.py:3: hybrid rates: not a number"),
            ("model_ids = ['a/b']\nqtypes = ['w8a8']\ncontext_length = 'long'\n", 2, "batch.py:3: context lengths"),
            ("model_ids = ['a/b\n", 2, "batch.py: line 1: a text that begins here does not end"),
            ("model_ids = ['not an id']\nqtypes = ['w8a8']\n", 2, "a repository like org/name"),
            ("model_ids = ['a/b']\nqtypes = ['w8a8']\n", 0, "no platform is named")):
        with place(script) as m:
            expect(m.quern("import", "batch.py", **engines(m)), code, why)
            assert (m.root / "jobs.yaml").exists() == (code == 0), why


def test_without_the_engine_the_file_is_written_and_said():
    with place() as m:
        expect(m.quern("import", "batch.py", "--engine", "elsewhere"), 0, "engine elsewhere is not installed here")
        assert "engine: elsewhere" in (m.root / "jobs.yaml").read_text()
        expect(m.quern("import", "nothing.py"), 2, "nothing.py")
        expect(m.quern("import"), 2, "import needs a script")


def test_nothing_of_a_script_is_run():
    script = "open('ran', 'w')\nmodel_ids = ['a/b', open('ran', 'w').name]\nqtypes = ['w8a8']\n"
    with place(script) as m:
        expect(m.quern("import", "batch.py", **engines(m)), 2, "not a literal")
        assert not (m.root / "ran").exists()


# ---- converted files

GGUF = """\
version: 1
work: work
models: [{path: llama, name: My-Llama}]
targets: [{engine: gguf, quant: [Q8_0, Q4_0], hybrid: [0, 0.5]}]
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-{quant}{+hybrid}"}
"""


def gguf_place():
    m = Matrix(GGUF)
    expect(m.quern("fake", "llama-tiny", "llama"), 0)
    (m.root / "have").mkdir()
    expect(m.quern("convert", "llama", "-o", "have/my-llama.q8_0.gguf", "--engine", "gguf", "--quant", "Q8_0"), 0)
    return m


def test_a_gguf_file_is_taken_for_its_point():
    with gguf_place() as m:
        have = m.root / "have/my-llama.q8_0.gguf"
        data = have.read_bytes()
        expect(m.quern("import", "have"), 0, "imported      have/my-llama.q8_0.gguf: My-Llama/gguf/Q8_0", "1 imported")
        assert have.read_bytes() == data and os.access(have, os.W_OK), "the original stays as it was"
        expect(m.quern("plan"), 0, "1 converted", "3 new")
        expect(m.quern("import", "have"), 0, "there already have/my-llama.q8_0.gguf", "0 imported, 1 there already")
        expect(m.quern("show", "1"), 0, "imported from my-llama.q8_0.gguf", "imported, not made here", "ready")
        facts = json.loads(m.sql("SELECT facts FROM artifact")[0][0])
        assert facts["name"] == {"imported_from": "my-llama.q8_0.gguf"} and facts["worker"] == {}
        assert facts["file"]["architecture"] == "llama" and facts["file"]["quant"] == "Q8_0"
        said = expect(m.quern("run"), 0, "3 converted").stdout
        assert m.sql("SELECT count(*) FROM attempt WHERE job_id = 1") == [(0,)], said
        # The header confirms the quant, so the name may say it; the card tells that it was not made here.
        card = subprocess.run(["git", "--git-dir", m.work / "hub/ns/My-Llama.git", "show", "HEAD:README.md"], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        assert "`My-Llama-Q8_0.gguf`" in card and "| not known | imported: made elsewhere" in card, card
        manifest = json.loads(subprocess.run(["git", "--git-dir", m.work / "hub/ns/My-Llama.git", "show", "HEAD:quern.json"],
                                             check=True, stdout=subprocess.PIPE).stdout)
        assert ["name" in v["facts"] for v in manifest["variants"]].count(True) == 1


def test_what_is_not_the_point_is_refused():
    with gguf_place() as m:
        have = m.root / "have/my-llama.q8_0.gguf"
        good = have.read_bytes()
        for name, data, why in (
                ("My-Llama-Q4_0.gguf", good, 'asked for quant "Q4_0", its own validation reads "Q8_0"'),
                ("My-Llama-Q8_0.gguf", good[:5000], "not imported"),
                ("My-Llama-Q8_0.gguf", b"no model at all", "not imported"),
                ("Other-Q8_0.gguf", good, "its name is like that of no point"),
                ("My-Llama-Q8_0-final.gguf", good, "its name is like that of no point")):
            have.rename(m.root / "have" / name)
            have = m.root / "have" / name
            have.write_bytes(data)
            expect(m.quern("import", "have"), 1, why, "0 imported", "1 not imported")
            assert m.sql("SELECT count(*) FROM job") == [(0,)] and not list((m.work / "artifacts").iterdir()), why
        expect(m.quern("import", "llama"), 2, "there is no .gguf and no .rkllm file in llama")
        expect(m.quern("import", "llama/config.json"), 2, "is no .gguf or .rkllm file")
        expect(m.quern("import", "nowhere"), 2, "nowhere")


def test_move_and_two_of_one_kind():
    with gguf_place() as m:
        have = m.root / "have"
        (have / "My-Llama-Q8_0.gguf").write_bytes((have / "my-llama.q8_0.gguf").read_bytes())
        (have / "notes.txt").write_text("mine")
        expect(m.quern("import", "--move", "have"), 1, "1 imported", "another file was taken for My-Llama/gguf/Q8_0")
        assert sorted(os.listdir(have)) == ["my-llama.q8_0.gguf", "notes.txt"]


def test_a_crash_loses_and_repeats_nothing():
    with gguf_place() as first:
        (first.root / "keep").mkdir()
        (first.root / "keep/My-Llama-Q8_0.gguf").write_bytes((first.root / "have/my-llama.q8_0.gguf").read_bytes())
        log = first.root / "points"
        expect(first.quern("import", "have", QUERN_CRASH_LOG=log), 0, "1 imported")
        points = log.read_text().split()
        assert {"seal:renamed", "seal:done"} <= set(points), points
        # Making the store has points of its own; of those before the seal, the last few do.
        for n in range(max(1, points.index("seal:checked") - 2), len(points) + 1):
            shutil.rmtree(first.work)
            shutil.rmtree(first.root / "have")
            shutil.copytree(first.root / "keep", first.root / "have")
            assert first.quern("import", "--move", "have", QUERN_CRASH_AT=n).returncode == 99, n
            left = os.listdir(first.root / "have")
            assert left or first.states() == {"My-Llama/gguf/Q8_0": "ready"}, f"lost at {points[n - 1]}"
            if left:
                expect(first.quern("import", "--move", "have"), 0, "My-Llama/gguf/Q8_0")
            expect(first.quern("gc"), 0)
            assert first.states() == {"My-Llama/gguf/Q8_0": "ready"}
            assert len(os.listdir(first.work / "artifacts")) == 1, points[n - 1]


def test_names_of_rkllm_files():
    with place() as m:
        expect(m.quern("fake", "llama-tiny", "llama"), 0)
        (m.root / "jobs.yaml").write_text("""\
version: 1
work: work
models: [{path: llama, name: My-Llama}]
targets: [{engine: rkllm, platform: rk3588, quant: [w8a8, w8a8_g128], hybrid: [0, 0.5], opt: [0, 1]}]
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-{platform}-{quant}-opt-{opt}-hybrid-ratio-{hybrid}"}
""")
        text = re.sub("program: .*", "program: /bin/true", RKLLM).replace("args: [-m, adapter]\n", "").replace("network: true", "network: false")
        (m.root / "engines" / "rkllm.yaml").write_text(text)
        have = m.root / "have"
        have.mkdir()
        for name in ("My-Llama-rk3588-w8a8-opt-1-hybrid-ratio-0.5.rkllm", "My-Llama-rk3588-w8a8-opt-1-hybrid-ratio-1.0.rkllm",
                     "my-llama_W8A8_G128_RK3588.rkllm", "My-Llama-rk3576-w4a16.rkllm", "whatever.rkllm"):
            (have / name).write_bytes(b"rkllm" + name.encode() * 100)
        said = expect(m.quern("import", "have", **engines(m)), 1, "1 imported, 0 there already, 4 not imported", "4 points fit",
                      "choose with --only", "claims no settings",
                      "no point of the matrix fits what its name claims: model My-Llama, rk3576, w4a16").stdout
        assert "imported      have/My-Llama-rk3588-w8a8-opt-1-hybrid-ratio-0.5.rkllm: My-Llama/rkllm/rk3588/w8a8/opt-1/hybrid-0.5" in said
        expect(m.quern("import", "have/my-llama_W8A8_G128_RK3588.rkllm", "--only", "*/w8a8_g128", **engines(m)), 0, "1 imported")
        expect(m.quern("show", "1", **engines(m)), 0, "nothing confirms", 'quant      "w8a8"', "hybrid     0.5")
        expect(m.quern("upload", **engines(m)), 0)
        shown = subprocess.run(["git", "--git-dir", m.work / "hub/ns/My-Llama.git", "show", "HEAD:README.md"], check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        assert "| w8a8, claimed by a file name, not confirmed |" in shown, shown
        assert "My-Llama-rk3588" not in shown, "a name on the hub says what nothing confirms"


if __name__ == "__main__":
    run_all(dict(globals()))
