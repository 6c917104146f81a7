"""Models that are in GGUF already: which file is meant, what of them is legal, and what their key hangs on."""
import json
import shutil
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import Matrix, expect, run_all  # noqa: E402

JOBS = """\
version: 1
work: work
models:
  - {path: %s, name: m}
targets:
  - {engine: gguf, quant: Q4_0%s}
resources: {jobs: 1, memory: 1GiB, disk_reserve: 1MiB}
"""


def matrix(path="given", more=""):
    """A folder "given" with a small model in F32, Q8_0 and no safetensors; jobs.yaml names `path`."""
    m = Matrix(JOBS % (path, more))
    expect(m.quern("fake", "llama-tiny:fill=random,layers=2", "model-1"), 0)
    (m.root / "given").mkdir()
    for quant in ("F32", "Q8_0"):
        expect(m.quern("convert", "model-1", "-o", f"given/m-{quant}.gguf", "--engine", "gguf", "--quant", quant), 0)
    return m


def plan(m, code=0):
    done = m.quern("plan", "--json")
    assert done.returncode == code, done.stdout
    return json.loads(done.stdout)["points"][0]


def made(m):
    return next((m.work / "artifacts").glob("*/*.gguf"))


def test_a_folder_with_one():
    with matrix() as m:
        (m.root / "given" / "m-Q8_0.gguf").unlink()
        (m.root / "given" / "mmproj-m.gguf").write_bytes(b"not looked at")
        expect(m.quern("run"), 0)
        expect(m.quern("convert", "model-1", "-o", "direct.gguf", "--engine", "gguf", "--quant", "Q4_0"), 0)
        first, direct = made(m).read_bytes(), (m.root / "direct.gguf").read_bytes()
        assert first == direct, "from F32 it is the file that the checkpoint gives"
        expect(m.quern("run"), 0, "nothing to do")


def test_which_file():
    with matrix() as m:
        point = plan(m)
        assert point["status"] == "not legal" and "m-F32.gguf, m-Q8_0.gguf" in point["why"], point
        assert "`file:`" in point["why"], point
        m.write(JOBS % ("given, file: m-F32.gguf", ""))
        assert plan(m)["status"] == "new"
        expect(m.quern("run"), 0)
        # Another model in the folder is none of this one's business; importances are.
        shutil.copy(m.root / "given" / "m-Q8_0.gguf", m.root / "given" / "other.gguf")
        assert plan(m)["status"] in ("done", "converted")
        (m.root / "given" / "imatrix.dat").write_bytes(b"1")
        assert plan(m)["status"] == "changed"
        m.write(JOBS % ("given, file: none.gguf", ""))
        assert "holds no file none.gguf" in plan(m)["why"]
        m.write(JOBS % ("given/m-F32.gguf", ""))
        (m.root / "given" / "imatrix.dat").unlink()
        assert plan(m)["status"] in ("done", "converted"), "the same file by its own path is the same source"


def test_faults_of_the_grammar():
    with matrix() as m:
        for model, words in (("path: given, file: ../m.gguf", "the name of a GGUF file"),
                             ("path: given, file: m.bin", "the name of a GGUF file"),
                             ("fake: llama-tiny, file: m.gguf", "file without `path`"),
                             ("id: org/name, file: m.gguf", "file without `path`")):
            m.write((JOBS % ("x", "")).replace("path: x", model))
            expect(m.quern("plan"), 2, "jobs.yaml:4:", words)
        m.write(JOBS % ("given/m-F32.gguf, file: m-F32.gguf", ""))
        assert "remove `file`" in plan(m)["why"]
        m.write(JOBS % ("jobs.yaml", ""))
        assert "neither a folder nor a GGUF file" in plan(m)["why"]


def test_quantized_ones_are_refused():
    with matrix("given/m-Q8_0.gguf") as m:
        point = plan(m)
        assert point["status"] == "not legal" and "allow_requantize: true" in point["why"], point
        m.write(JOBS % ("given/m-Q8_0.gguf", ", with: {allow_requantize: true}"))
        assert plan(m)["status"] == "new"
        expect(m.quern("run"), 0)
        expect(m.quern("logs", "1"), 0, "quantized already")
        size = made(m).stat().st_size
        expected = plan(m)["output_bytes"]
        assert abs(expected / size - 1) < 0.15, (expected, size)


def test_an_engine_that_reads_none():
    with matrix("given/m-F32.gguf") as m:
        m.write((JOBS % ("given/m-F32.gguf", "")).replace("engine: gguf, quant: Q4_0", "engine: noop, quant: none"))
        assert "does not read gguf" in plan(m)["why"]


def test_damaged_ones():
    with matrix() as m:
        whole = (m.root / "given" / "m-F32.gguf").read_bytes()
        (m.root / "given" / "m-Q8_0.gguf").unlink()
        file = m.root / "given" / "m-F32.gguf"
        for name, data, words in (("cut", whole[:-40000], "truncated"), ("head", whole[:1000], "beyond the end"),
                                  ("magic", b"GGML" + whole[4:], "does not begin with"),
                                  ("huge", whole[:8] + struct.pack("<QQ", 1 << 60, 1 << 60), "more than any model has")):
            file.unlink()
            file.write_bytes(data)
            point = plan(m)
            assert point["status"] == "not legal" and words in point["why"], (name, point)


run_all(globals())
