"""The first steps with engine rkllm, over the stand-in of its toolkit: init, convert, import of a script and of files."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "standin")]
from make_env import make  # noqa: E402
from matrix import QUERN, Matrix, expect, run_all  # noqa: E402
from test_init import Terminal  # noqa: E402

ENVS = tempfile.TemporaryDirectory(prefix="quern-env-")
ENV = Path(ENVS.name) / "rkllm-1.2.3"


def place():
    m = Matrix()
    (m.root / "jobs.yaml").unlink()
    expect(m.quern("fake", "llama-tiny", "llama"), 0)
    return m


def convert(m, out, *more, src="llama", quant="w8a8"):
    return m.quern("convert", src, "-o", out, "--engine", "rkllm", "--platform", "rk3588", "--quant", quant, *more)


def test_init_asks_for_the_environment_and_the_context():
    with place() as m:
        t = Terminal(m, "init", "--model", "llama", "--engine", "rkllm", "--hub", "none")
        t.say("Python environment with rkllm_toolkit", "llama")
        t.wait_for("it has no bin/python")
        t.say("Python environment with rkllm_toolkit", str(ENV))
        t.say("Platforms?", "rk9999")
        t.wait_for('"rk9999" is no choice')
        t.say("Platforms?", "rk3588 rk3576")
        t.say("Quantizations?", "w8a8, w4a16")
        t.say("Hybrid", "1.0")
        t.wait_for("1")
        t.say("Hybrid", "")
        t.say("Optimization", "")
        t.say("max_context", "5000")
        t.wait_for("32")
        t.say("max_context", "8192")
        t.say("num_npu_core", "")
        t.say("Write jobs.yaml?", "")
        t.say("Run it now?", "")
        t.end(0)
        text = (m.root / "jobs.yaml").read_text()
        assert f"path: {os.path.realpath(ENV)}" in text and text.count("max_context: 8192") == 2, text
        assert "num_npu_core" not in text
        expect(m.quern("plan"), 0, "3 points: 3 converted")


def test_init_without_a_terminal():
    with place() as m:
        flags = ("init", "--yes", "--model", "llama", "--engine", "rkllm")
        expect(m.quern(*flags), 2, "init needs --environment DIR")
        expect(m.quern(*flags, "--environment", "nowhere"), 2, "--environment: ")
        expect(m.quern(*flags, VIRTUAL_ENV=ENV), 0, "1 point: 1 new")
        assert "quant: [w8a8]" in (m.root / "jobs.yaml").read_text()
        expect(m.quern("init", "--yes", "--force", "--model", "llama", "--engine", "gguf", "--environment", ENV), 2, "needs none")
        # An image of containers in its place; that one is really looked at is in tests/container.
        expect(m.quern("init", "--yes", "--force", "--model", "llama", "--engine", "gguf", "--container", "x"), 2, "needs none")
        forced = (*flags, "--force", "--container")
        expect(m.quern(*forced, "x", "--environment", ENV), 2, "the toolkit is in one of them")
        expect(m.quern(*forced, "--x"), 2, "no name of an image")
        before = (m.root / "jobs.yaml").read_text()
        expect(m.quern(*forced, "x", PATH=m.root), 2, "--container: ", "docker", "podman")
        assert (m.root / "jobs.yaml").read_text() == before


def test_convert():
    with place() as m:
        expect(convert(m, "x.rkllm"), 4, "--environment DIR")
        (m.root / "calib.json").write_text('[{"input": "a", "target": "b"}]')
        expect(convert(m, "x.rkllm", "--environment", ENV, "--with", "max_context=8192", "--with", "dataset=calib.json"), 0,
               "files that were made beside it are left out")
        said = m.quern("inspect", "x.rkllm").stdout
        assert "max_context_limit: 8192" in said and "STAND-IN" in said, said
        expect(convert(m, "all", "--environment", ENV, "--hybrid", "0.5", "--opt", "1"), 0)
        assert "llama-rk3588-w8a8-opt-1-hybrid-ratio-0.5.rkllm" in os.listdir(m.root / "all")
        assert "config.json" in os.listdir(m.root / "all")
        expect(convert(m, "y.rkllm", "--environment", ENV, quant="w4a16"), 2, "rk3588")
        expect(convert(m, "y.rkllm", "--environment", ENV, "--hybrid", "1.0"), 2, "hybrid")
        expect(convert(m, "y.rkllm", "--environment", ENV, "--with", "dataset=no.json"), 2, "dataset", "no.json")
        expect(m.quern("convert", "llama", "-o", "f16.gguf", "-e", "gguf", "-q", "F16"), 0)
        expect(convert(m, "g.rkllm", "--environment", ENV, "--with", "do_quantization=false", src="f16.gguf"), 0)
        assert not [n for n in os.listdir(m.root) if n.startswith(".tmp")]


def test_a_script_and_its_files():
    with place() as m:
        (m.root / "batch.py").write_text("model_ids = ['org/llama']\nplatform = 'rk3588'\nqtypes = ['w8a8', 'w4a16']\n"
                                         "hybrid_rates = ['0.0', '1.0']\noptimizations = ['0', '1']\n")
        expect(m.quern("import", "batch.py"), 0, "w4a16 on rk3588 is left out", "hybrid 1.0 is left out", "where the toolkit is")
        expect(m.quern("import", "batch.py", "--force", "--environment", ENV), 0)
        text = (m.root / "jobs.yaml").read_text().replace("- id: org/llama", "- path: llama")
        (m.root / "jobs.yaml").write_text(text)
        expect(m.quern("plan"), 0, "2 points: 2 new")
        # A file of the same kind, under the name those scripts gave it.
        expect(convert(m, "all", "--environment", ENV, "--opt", "1"), 0)
        made = next((m.root / "all").glob("*.rkllm"))
        (m.root / "have").mkdir()
        made.rename(m.root / "have/llama-rk3588-w8a8-opt-1-hybrid-ratio-0.0.rkllm")
        expect(m.quern("import", "have"), 0, "llama/rkllm/rk3588/w8a8/opt-1", "1 imported")
        facts = json.loads(m.quern("show", "--json", "1").stdout)["files"][0]["facts"]
        assert facts["name"]["opt"] == 1 and "opt" not in facts["file"] and facts["worker"] == {}, facts
        expect(m.quern("plan"), 0, "1 converted", "1 new")


def test_the_matrix_of_quickstart():
    jobs = TESTS / "standin/jobs.yaml"
    with Matrix() as m:
        subprocess.run([sys.executable, TESTS / "standin/make_show.py", QUERN, m.root], check=True)
        expect(m.quern("plan", "-f", jobs, QUERN_STANDIN=m.root), 0, "14 points: 14 new", "with 1.1.4", "with 1.2.3",
               "1.1.4: parameter max_context needs version 1.2.0")
        expect(m.quern("run", "-f", jobs, QUERN_STANDIN=m.root), 0, "14 converted", "STAND-IN", "kjv-llama-adapted-rk3576")
        expect(m.quern("run", "-f", jobs, QUERN_STANDIN=m.root), 0, "nothing to do")


if __name__ == "__main__":
    make(ENV)
    run_all({k: v for k, v in globals().items() if k.startswith("test_")})
