"""The matrix in the root makes every type; a full disk or a kill in the middle of a file leave nothing that looks like one."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import BUILD, Matrix, environment, expect, preload, run_all  # noqa: E402

SOURCE = Path(os.environ["QUERN_SOURCE"])
WORKER = BUILD / "bin" / "quern-gguf"
WANT_IMPORTANCES = {"Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"}


def test_the_first_matrix_makes_every_type_and_reports_its_error():
    with Matrix((SOURCE / "jobs.yaml").read_text()) as m:
        shutil.copytree(SOURCE / "tests/data/kjv-llama", m.root / "tests/data/kjv-llama")
        expect(m.quern("run", "--set", "resources.memory=8GiB", timeout=500), 0, "31 converted")
        engines = json.loads(m.quern("engines", "--json").stdout)["engines"]
        every = {q["name"] for e in engines if e["name"] == "gguf" for q in e["quants"]}
        jobs = json.loads(m.quern("report", "--json").stdout)["jobs"]
        errors = {j["variant"]: j["quality"]["relative_error"] for j in jobs if j["model"] == "kjv-llama"}
        assert set(errors) == every - WANT_IMPORTANCES, set(errors) ^ every
        assert errors["F32"] == 0 < errors["F16"] < errors["Q8_0"] < errors["Q6_K"] < errors["Q5_K_M"] < errors["Q4_K_M"] < \
            errors["Q3_K_M"] < errors["Q2_K"] < errors["Q1_0"] < 1, errors


def job(m):
    """A model of 40 MB, so that there is a middle."""
    expect(m.quern("fake", "llama-tiny:layers=2,hidden=1024,ffn=4096,vocab=2048,fill=zero", "source"), 0)
    shutil.rmtree(m.root / "out", ignore_errors=True)
    (m.root / "out").mkdir()
    (m.root / "job.json").write_text(json.dumps(
        {"protocol": 1, "job": "0" * 64, "attempt": 1, "name": "x", "source": {"dir": str(m.root / "source")}, "out": "out",
         "file": "m", "platform": "", "quant": "Q4_K_M", "hybrid": 0, "opt": 0, "threads": 2, "with": {}}))
    return m.root / "job.json"


def convert(path, **env):
    return subprocess.run([WORKER, "convert", path], env=environment(**env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120)


def test_validate_tells_how_far_it_is():
    """A large file on a slow disk takes longer than resources.stall."""
    with Matrix() as m:
        path = job(m)
        assert convert(path).returncode == 0
        done = subprocess.run([WORKER, "validate", path], env=environment(), stdout=subprocess.PIPE, text=True, timeout=120, check=True)
        told = [e for e in map(json.loads, done.stdout.splitlines()) if e["event"] == "progress"]
        assert told and all(e["stage"] == "validate" and e["unit"] == "bytes" for e in told), done.stdout
        (made,) = (m.root / "out").iterdir()
        assert told[-1]["done"] == told[-1]["total"] <= made.stat().st_size, told


def test_a_disk_that_fills_leaves_no_file():
    with Matrix() as m:
        path = job(m)
        assert convert(path).returncode == 0
        (made,) = (m.root / "out").iterdir()
        whole = made.stat().st_size
        made.unlink()
        for after in (4096, whole // 3, whole - 4096):
            (m.root / "result.json").unlink()
            done = convert(path, **preload("full_disk", FULL_DISK_AFTER=after))
            assert done.returncode == 1 and "No space left" in done.stdout, (after, done)
            assert list((m.root / "out").iterdir()) == [], after
            assert json.loads((m.root / "result.json").read_text())["code"] == "nospace"


def in_the_middle(m):
    """A worker's output is there, so it is being written."""
    try:
        return any(m.root.glob(".tmp-convert-*/jobs/*/*/out/*"))
    except FileNotFoundError:  # what is looked at comes and goes
        return False


def test_a_kill_in_the_middle_leaves_no_file_of_the_final_name():
    with Matrix() as m:
        expect(m.quern("fake", "tinyllama-1.1b:layers=2,vocab=4096,fill=zero", "source"), 0)
        p = m.start("convert", "source", "-o", "made.gguf", "--engine", "gguf", "--quant", "Q4_K_M", "--opt", "1", "--threads", "1")
        end = time.monotonic() + 60
        while not in_the_middle(m) and p.poll() is None:
            assert time.monotonic() < end, "no output began"
            time.sleep(0.002)
        assert p.poll() is None, "it is in the middle: 200 MB are being encoded"
        os.killpg(p.pid, signal.SIGKILL)
        p.communicate()
        assert not (m.root / "made.gguf").exists()
        again = m.quern("convert", "source", "-o", "made.gguf", "--engine", "gguf", "--quant", "Q4_0", timeout=300)
        expect(again, 0, "made.gguf: ")
        expect(m.quern("verify", "made.gguf", timeout=300), 0)


run_all(globals())
