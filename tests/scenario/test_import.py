"""quern import: the lists of a batch script become a matrix that says the same."""
import os
import re
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
        expect(m.quern("import"), 2, "needs a script")


def test_nothing_of_a_script_is_run():
    script = "open('ran', 'w')\nmodel_ids = ['a/b', open('ran', 'w').name]\nqtypes = ['w8a8']\n"
    with place(script) as m:
        expect(m.quern("import", "batch.py", **engines(m)), 2, "not a literal")
        assert not (m.root / "ran").exists()


if __name__ == "__main__":
    run_all(dict(globals()))
