"""Models that are in GGUF already: which file is meant, what of them is legal, and what their key hangs on."""
import json
import shutil
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import Matrix, expect, run_all  # noqa: E402
from model_hub import TOKEN, Hub, Repo  # noqa: E402

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
                             ("fake: llama-tiny, file: m.gguf", "file beside `fake`")):
            m.write((JOBS % ("x", "")).replace("path: x", model))
            expect(m.quern("plan"), 2, "jobs.yaml:4:", words)
        m.write(JOBS % ("given/m-F32.gguf, file: m-F32.gguf", ""))
        assert "remove `file`" in plan(m)["why"]
        m.write(JOBS % ("jobs.yaml", ""))
        assert "neither a folder nor a GGUF" in plan(m)["why"]


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


# ---- of a hub

def from_hub(m, hub, file=""):
    m.write((JOBS % ("x", "")).replace("path: x", "id: org/m" + file))
    return {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": m.root / "cache", "HF_TOKEN": TOKEN}


def test_one_of_a_hub():
    with matrix() as m, Hub() as hub:
        given = m.root / "given"
        hub.repos["org/m"] = Repo({"README.md": b"---\nlicense: mit\n---\n",
                                   **{f.name: f.read_bytes() for f in given.iterdir()}})
        env = from_hub(m, hub)
        point = json.loads(m.quern("plan", "--json", **env).stdout)["points"][0]
        assert point["status"] == "not legal" and "`file:` (m-F32.gguf, m-Q8_0.gguf)" in point["why"], point
        env = from_hub(m, hub, ", file: none.gguf")
        expect(m.quern("plan", **env), 0, "no file none.gguf")
        env = from_hub(m, hub, ", file: m-F32.gguf")
        hub.forget()
        expect(m.quern("plan", **env), 0, "1 new", "mit")
        whole = (given / "m-F32.gguf").stat().st_size
        assert whole > 1 << 20 and hub.ranges("m-F32.gguf") == [f"bytes=0-{(1 << 20) - 1}"], hub.ranges("m-F32.gguf")
        expect(m.quern("run", **env), 0, "1 converted")
        assert not hub.lines("m-Q8_0.gguf"), "only what is meant is fetched"
        expect(m.quern("convert", "given/m-F32.gguf", "-o", "direct.gguf", "--engine", "gguf", "--quant", "Q4_0"), 0)
        assert made(m).read_bytes() == (m.root / "direct.gguf").read_bytes()
        expect(m.quern("run", **env), 0, "nothing to do")
        # Another file of the same commit is another source, whatever else is the same.
        allowed = (m.root / "jobs.yaml").read_text().replace("quant: Q4_0", "quant: Q4_0, with: {allow_requantize: true}")
        for file in ("m-F32.gguf", "m-Q8_0.gguf"):
            m.write(allowed.replace("m-F32.gguf", file))
            expect(m.quern("run", **env), 0, "1 converted")
        assert m.sql("SELECT count(*) FROM job")[0][0] == 3


def test_a_long_head_of_a_hub():
    """The head is asked for until it is whole, and no further."""
    with matrix() as m, Hub() as hub:
        data = (m.root / "given" / "m-F32.gguf").read_bytes()
        key = b"odd.key"
        words = struct.pack("<Q", 300000) + (struct.pack("<Q", 2) + b"ab") * 300000
        pair = struct.pack("<Q", len(key)) + key + struct.pack("<II", 9, 8) + words
        tensors, pairs = struct.unpack_from("<QQ", data, 8)
        weights = bytes(32) + data[-1000:]  # there is no need to know where the old head ended
        hub.repos["org/m"] = Repo({"m.gguf": data[:8] + struct.pack("<QQ", tensors, pairs + 1) + pair + data[24:] + weights})
        env = from_hub(m, hub)
        done = m.quern("plan", **env)
        assert done.returncode == 0, done.stdout
        asked = hub.ranges("m.gguf")
        assert asked == ["bytes=0-1048575", "bytes=1048576-2097151", "bytes=2097152-4194303"], asked
        expect(done, 0, "1 new")


run_all(globals())
