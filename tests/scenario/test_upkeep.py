"""Looking after things: gc, verify, inspect, fake, engines, doctor."""
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import JOBS, QUERN, Matrix, environment, expect, run_all  # noqa: E402

SOURCE = Path(os.environ["QUERN_SOURCE"])
KJV = SOURCE / "tests" / "data" / "kjv-llama"


def below(folder):
    """Every path below folder with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
            for p in sorted(folder.rglob("*")) if not p.name.startswith(("state.db", "run.lock"))}


# ---- gc

def test_gc_removes_what_no_job_needs_and_nothing_else():
    with Matrix(JOBS.replace("opt: [0, 1, 2]", "opt: [0, 1, 2]\n    with: {mode: ok}")) as m:
        expect(m.quern("run"), 0)
        outside = m.root / "outside"
        outside.mkdir()
        (outside / "precious").write_text("x")
        # Not ours: must stay.
        (m.work / "artifacts" / "notes.txt").write_text("mine")
        (m.work / "artifacts" / "elsewhere").symlink_to(outside)
        (m.work / "jobs" / ("ab" * 32)).symlink_to(outside)
        (m.work / "sources" / "my-model").mkdir()
        # Ours, and not needed: must go.
        stranger = m.work / "artifacts" / ("cd" * 32)
        stranger.mkdir()
        (stranger / "file").write_text("x" * 10000)
        (m.work / "artifacts" / ".tmp-damaged-x").mkdir()
        (m.work / "hub" / ".left.tmp-123-0").write_text("x")
        (m.work / "sources" / "fake-1-000000000000000000000000").mkdir()
        (m.work / ".config.tmp-9-9").symlink_to(outside)

        artifacts = {p: p.read_bytes() for p in (m.work / "artifacts").glob("*/*.noop")}
        before = below(m.work)
        expect(m.quern("gc", "--dry-run"), 0, "would free", "cd" * 32, "not in the store")
        assert below(m.work) == before, "a dry run changed something"
        expect(m.quern("gc"), 0, "freed", "temporary")
        assert {p: p.read_bytes() for p in (m.work / "artifacts").glob("*/*.noop")} == artifacts
        for gone in (stranger, m.work / "artifacts" / ".tmp-damaged-x", m.work / "hub" / ".left.tmp-123-0",
                     m.work / "sources" / "fake-1-000000000000000000000000", m.work / ".config.tmp-9-9"):
            assert not gone.exists() and not gone.is_symlink(), gone
        for kept in (m.work / "artifacts" / "notes.txt", m.work / "artifacts" / "elsewhere" / "precious",
                     m.work / "jobs" / ("ab" * 32), m.work / "sources" / "my-model", outside / "precious"):
            assert kept.exists(), kept
        expect(m.quern("gc"), 0, "nothing to remove")
        expect(m.quern("run"), 0, "nothing to do")


def test_gc_removes_what_dead_processes_left():
    """Half-written files, half-made models of quern-fake; not what a process still works on."""
    with Matrix() as m:
        expect(m.quern("run"), 0)
        before = below(m.work)
        sources = m.work / "sources"
        busy = sources / ".making-fake-1-111111111111111111111111"
        for folder in (sources / ".fake-1-000000000000000000000000.tmp-4194305", sources / ".making-fake-1-2", busy):
            folder.mkdir()
            (folder / "model.safetensors").write_bytes(bytes(100))
        for file in (sources / ".fake.tmp-4194305-0", m.work / "artifacts" / ".left.tmp-4194305-1",
                     m.work / "hub" / "ns" / ".HEAD.tmp-4194305-2",
                     *(d / "1" / ".result.json.tmp-4194305-3" for d in (m.work / "jobs").iterdir())):
            file.write_text("half")
        with open(busy / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            expect(m.quern("gc"), 0, "temporary")
            assert busy.exists(), "a model was removed while it was being made"
        expect(m.quern("gc"), 0, "temporary")
        after = below(m.work)
        assert not [p for p in after if ".tmp-" in p or ".making-" in p], after
        assert set(after) <= set(before)
        expect(m.quern("run"), 0, "nothing to do")


def test_gc_keeps_the_last_log_of_a_failed_job():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0]\n    with: {mode: fail}")
    with Matrix(text) as m:
        expect(m.quern("run"), 1)
        expect(m.quern("gc"), 0, "freed")
        key = m.sql("SELECT key FROM v_matrix")[0][0]
        left = sorted(str(p.relative_to(m.work / "jobs" / key)) for p in (m.work / "jobs" / key).rglob("*"))
        assert "2/log" in left and not [p for p in left if p.startswith("1")] and "2/out" not in left, left
        expect(m.quern("logs", "1"), 0, "it went wrong")
        expect(m.quern("retry", "1"), 0)
        expect(m.quern("run"), 1, "1 failed")


def test_gc_removes_artifacts_of_cancelled_jobs_and_retry_makes_them_again():
    with Matrix() as m:
        expect(m.quern("run", "--no-upload"), 0)
        expect(m.quern("cancel", "1"), 0)
        expect(m.quern("gc"), 0, "cancelled job")
        assert len(list((m.work / "artifacts").glob("*/*.noop"))) == 2
        expect(m.quern("retry", "1"), 0)
        expect(m.quern("run"), 0, "1 converted")
        assert len(list((m.work / "artifacts").glob("*/*.noop"))) == 3


def test_gc_knows_the_folders_of_measurements():
    measured = "measure:\n  - {serve: [sh, -c, \"exit 1 # {port}\"]}\n"
    with Matrix(JOBS + measured) as m:
        expect(m.quern("run", "--no-upload"), 0, "0 measured, 3 not")
        folder = m.work / "measure"
        assert {p.name for p in folder.iterdir()} == {"1-serve", "2-serve", "3-serve"}
        # Of a job that is not there, of an entry that never measured it, of a cancelled one; and what is not ours.
        for name in ("99-serve", "1-other", "1-bench", "notes", "1", "-serve"):
            (folder / name).mkdir()
            (folder / name / "server.log").write_text("x" * 10000)
        (folder / "98-serve").symlink_to(m.root)
        expect(m.quern("cancel", "3"), 0)
        before = below(m.work)
        done = expect(m.quern("gc", "--dry-run"), 0, "would free", "measure/99-serve: measurement of a job that is not in the store",
                      "measure/1-other: measurement that is not in the store", "measure/3-serve: measurement of a cancelled job")
        assert done.stdout.count("measure/") == 3 and below(m.work) == before, done.stdout
        expect(m.quern("gc"), 0, "freed")
        # The last log of a failed measurement stays, as does that of `quern bench`.
        assert {p.name for p in folder.iterdir()} == {"1-serve", "2-serve", "1-bench", "notes", "1", "-serve", "98-serve"}
        assert (folder / "1-serve" / "server.log").exists()


def test_gc_keeps_sources_that_the_matrix_names():
    with Matrix(JOBS.replace("{path: model, name: m}", "{fake: 'llama-tiny:fill=zero', name: m}")) as m:
        expect(m.quern("run"), 0, "3 converted")
        sources = below(m.work / "sources")
        assert sources
        expect(m.quern("gc"), 0)
        assert below(m.work / "sources") == sources, "a source of the last matrix is gone"
        m.write(JOBS)
        expect(m.quern("run"), 0)
        expect(m.quern("gc"), 0, "source that no job needs")
        assert not below(m.work / "sources")


def test_gc_is_turned_away_by_a_run():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0]\n    with: {sleep_ms: 60000}")
    with Matrix(text) as m:
        p = m.start("run")
        end = time.monotonic() + 20
        while not m.running():
            assert time.monotonic() < end
            time.sleep(0.02)
        expect(m.quern("gc"), 3, str(p.pid))
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)


# ---- verify and inspect

def test_verify_source_files():
    with Matrix() as m:
        good = m.root / "good.safetensors"
        shutil.copy(KJV / "model.safetensors", good)
        short = m.root / "short.safetensors"
        short.write_bytes(good.read_bytes()[:-1])
        nameless = m.root / "nameless"
        shutil.copy(good, nameless)
        expect(m.quern("verify", good, KJV, nameless), 0, "good.safetensors: ok", "38 tensors", "nameless: ok")
        out = expect(m.quern("verify", good, short, m.root / "absent", m.root / "jobs.yaml"), 1,
                     "good.safetensors: ok", "short.safetensors: bad", "absent: bad",
                     "jobs.yaml: bad, neither GGUF nor safetensors").stdout
        assert len(out.splitlines()) == 4, out
        expect(m.quern("verify"), 2, "name at least one")


def test_verify_and_inspect_a_gguf_file():
    with Matrix() as m:
        made = m.root / "kjv.gguf"
        expect(m.quern("convert", KJV, "-o", made, "--engine", "gguf", "--quant", "Q8_0"), 0)
        if made.is_dir():
            made = next(made.glob("*.gguf"))
        expect(m.quern("verify", made), 0, ": ok, gguf")
        told = json.loads(expect(m.quern("inspect", made, "--json"), 0).stdout)
        assert told, told
        expect(m.quern("inspect", made), 0, "by engine gguf")
        disguised = m.root / "disguised.bin"
        shutil.copy(made, disguised)
        expect(m.quern("verify", disguised), 0, ": ok, gguf")
        broken = m.root / "broken.gguf"
        broken.write_bytes(made.read_bytes()[:5000])
        expect(m.quern("verify", broken), 1, "broken.gguf: bad")
        expect(m.quern("inspect", broken), 1)


def engine_with(m, script):
    """An engine for *.strange files whose worker is this shell script; its folder, for QUERN_ENGINES."""
    folder = m.root / "engines"
    folder.mkdir()
    (folder / "strange.yaml").write_text(
        Path(environment()["QUERN_ENGINES"], "noop.yaml").read_text().replace("noop-worker", "strange-worker")
        .replace("noop", "strange").replace("[convert, validate]", "[convert, inspect]"))
    (folder / "strange-worker").write_text("#!/bin/sh\n" + script)
    (folder / "strange-worker").chmod(0o755)
    (m.root / "a.strange").write_text("strange")
    return folder


def test_inspect_believes_no_worker():
    answers = {'echo "{\\"quant\\": \\"\\\\u001b[31mred\\", \\"n\\": 7}"': (0, "n: 7"),
               "echo '[1]'": (4, "no JSON object"),
               "echo '{'": (4, "its answer"),
               "echo broken at byte 7 >&2; exit 3": (1, "broken at byte 7"),
               "kill -SEGV $$": (4, "signal 11"),
               "exit 1": (4, "said nothing"),
               "head -c 100000000 /dev/zero": (4, "printed more than")}
    for script, (code, words) in answers.items():
        with Matrix() as m:
            out = expect(m.quern("inspect", "a.strange", QUERN_ENGINES=engine_with(m, script)), code, words).stdout
            assert "\x1b" not in out, out


def test_an_interrupted_inspection_leaves_nothing_behind():
    with Matrix() as m:
        engines, scratch = engine_with(m, "echo $$ >pid; sleep 60"), m.root / "scratch"
        scratch.mkdir()
        p = m.start("verify", "a.strange", QUERN_ENGINES=engines, TMPDIR=scratch)
        end = time.monotonic() + 20
        while not (told := [f for f in scratch.glob("*/pid") if f.read_text()]):
            assert time.monotonic() < end and p.poll() is None, p.communicate()
            time.sleep(0.02)
        worker = int(told[0].read_text())
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)
        assert p.returncode == 130, p.returncode
        assert not list(scratch.iterdir()), "its folder is still there"
        assert not Path(f"/proc/{worker}").exists(), "its worker is still there"


def test_inspect_source_files():
    with Matrix() as m:
        told = json.loads(expect(m.quern("inspect", KJV, "--json"), 0).stdout)
        assert told["format"] == "safetensors" and len(told["tensors"]) == 38, told
        text = expect(m.quern("inspect", KJV / "model.safetensors"), 0, "model.norm.weight", "BF16").stdout
        assert len(text.splitlines()) == 40
        expect(m.quern("inspect", m.root / "absent"), 2, "absent")
        many = {f"t{i:03}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(100)}
        header = json.dumps(many).encode()
        (m.root / "many.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(100))
        expect(m.quern("inspect", "many.safetensors"), 0, "... and 60 more")
        assert "t099" in expect(m.quern("inspect", "many.safetensors", "--all"), 0).stdout


# ---- fake

def test_fake():
    with Matrix() as m:
        expect(m.quern("fake", "--list"), 0, "llama-tiny")
        expect(m.quern("fake", "llama-tiny"), 2, "a spec and a folder")
        expect(m.quern("fake", "no-such-shape", m.root / "x"), 2)
        assert not (m.root / "x").exists()
        expect(m.quern("fake", "llama-tiny", m.root / "made"), 0)
        expect(m.quern("verify", m.root / "made"), 0, "made: ok")
        before = below(m.root / "made")
        assert m.quern("fake", "llama-tiny:fill=random", m.root / "made").returncode != 0, "it replaced a model"
        assert below(m.root / "made") == before
        expect(m.quern("fake", "--force", "llama-tiny:fill=random", m.root / "made"), 0)
        assert below(m.root / "made") != before


# ---- engines

def test_engines_with_a_broken_manifest():
    with Matrix() as m:
        names = {e["name"]: e for e in json.loads(expect(m.quern("engines", "--json"), 0).stdout)["engines"]}
        assert names["noop"]["status"] == "ok" and names["noop"]["output"] == "noop", names
        folder = m.root / "engines"
        folder.mkdir()
        (folder / "broken.yaml").write_text("manifest: 1\nname: [\n")
        (folder / "absent.yaml").write_text(
            Path(environment()["QUERN_ENGINES"], "noop.yaml").read_text()
            .replace("name: noop", "name: absent").replace("program: noop-worker", "program: no-such-worker"))
        out = expect(m.quern("engines", QUERN_ENGINES=folder), 0, "broken.yaml", "absent", "missing").stdout
        assert "no-such-worker" in out, out


# ---- doctor

def test_doctor():
    with Matrix() as m:
        told = json.loads(expect(m.quern("doctor", "--json"), 0).stdout)
        assert told["ok"] is True
        levels = {c["name"]: c["level"] for c in told["checks"]}
        assert levels["work folder"] == "ok" and levels["jobs file"] == "ok", levels
        assert not m.work.exists(), "doctor left the work folder behind"
        assert not list(m.root.glob(".tmp*")), "doctor left its probe behind"
        m.write("version: [\n")
        expect(m.quern("doctor"), 4, "bad   jobs file")


def test_doctor_sees_a_sandbox_that_does_not_hold():
    with Matrix() as m:
        programs = m.root / "bin"
        programs.mkdir()
        shutil.copy(QUERN, programs / "quern")
        launch = programs / "quern-launch"
        launch.write_text('#!/bin/sh\n[ "$1" = --features ] && { echo "landlock no workers may write anywhere"; exit; }\n'
                          'while [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
        launch.chmod(0o755)
        done = subprocess.run([programs / "quern", "doctor"], cwd=m.root, env=environment(), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for words in ("warn  kernel: no landlock", "warn  sandbox", "write", "read", "fix: "):
            assert words in done.stdout, done.stdout
        launch.unlink()
        done = subprocess.run([programs / "quern", "doctor"], cwd=m.root, env=environment(), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 4 and "quern-launch is missing" in done.stdout, done.stdout


run_all(globals())
