"""quern explain and quern affected: what is said of a job, in each state it can be in."""
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import BUILD, JOBS, Matrix, expect, run_all  # noqa: E402


def told(m, job, *args, **env):
    got = json.loads(expect(m.quern("explain", job, "--json", *args, **env), 0).stdout)
    return got["verdict"], {r["what"]: (r["verdict"], r["text"]) for r in got["reasons"]}, got


def test_nothing_has_run():
    with Matrix() as m:
        expect(m.quern("explain", 1), 4, "nothing has run here yet")
        expect(m.quern("affected", "--model", "*"), 4, "nothing has run here yet")
        expect(m.quern("explain"), 2, "name one job")


def test_done_then_lost_then_changed():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        verdict, why, got = told(m, 1)
        assert verdict == "done" and why["point"][0] == "good", (verdict, why)
        assert got["key_parts"]["engine"] == "noop" and got["key_parts"]["opt"] == "0", got["key_parts"]
        assert "source" not in got["key_parts"], "where a folder lies is no part of the key"
        assert got["a_change_affects"] == {"source": 3, "engine_version": 3, "with": 3}, got
        assert got["nearest"]["differs"][0]["part"] == "opt" and len(got["nearest"]["differs"]) == 1, got["nearest"]
        shutil.rmtree(m.work / "artifacts")
        verdict, why, _ = told(m, 1)
        assert why["artifact"][0] == "good" and why["state"][0] == "good" and verdict == "later", why  # no run goes on
        expect(m.quern("run"), 0, "3 converted")
        path = m.root / "model" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\1")
        verdict, why, _ = told(m, 1)
        assert verdict == "no" and "another key" in why["point"][1] and "source version" in why["point"][1], why
        expect(m.quern("explain", 1), 0, "it is not done by any run: point: the matrix makes another key of its point now")


def test_failed_cancelled_and_gone():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: 0\n    with: {mode: fail}")
    with Matrix(text) as m:
        expect(m.quern("run"), 1)
        verdict, why, got = told(m, 1)
        assert verdict == "no" and "failed: failed: noop: it went wrong" in why["state"][1] and "quern retry 1" in why["state"][1]
        assert got["nearest"] is None
        expect(m.quern("retry", 1), 0)
        verdict, why, _ = told(m, 1)
        assert verdict == "later" and why["run"][0] == "later" and why["memory"][0] == "good" and why["queue"][0] == "good", why
        expect(m.quern("cancel", 1), 0)
        assert told(m, 1)[1]["state"][0] == "no"
        m.write(JOBS.replace("opt: [0, 1, 2]", "opt: 3"))
        verdict, why, _ = told(m, 1)
        assert verdict == "no" and "the matrix has it no more" in why["point"][1], why


def test_what_keeps_a_job_waiting():
    """Slots, the queue, memory, a pause, the window, the wait after a failure."""
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0, 1, 2]\n    with: {sleep_ms: 600000}")
    text = text.replace("jobs: 2", "jobs: 1").replace("grace: 1s", "grace: 100ms")
    with Matrix(text) as m:
        p = m.start("run")
        while not m.running():
            assert p.poll() is None
        verdict, why, _ = told(m, 3)
        assert verdict == "later" and why["slots"] == ("later", "1 of 1 are taken"), why
        assert why["queue"] == ("later", "1 waits before it") and told(m, 2)[1]["queue"][0] == "good", why
        assert told(m, 1)[1]["state"] == ("later", "running: it is in work")
        expect(m.quern("pause"), 0)
        assert "paused since" in told(m, 2)[1]["pause"][1]
        expect(m.quern("resume"), 0)
        m.write(text + "run: {window: \"11:00-11:30\"}\n")
        assert told(m, 2, TZ="UTC", QUERN_TEST_CLOCK_MS=0)[1]["window"][1].startswith("run.window 11:00-11:30")
        verdict, why, _ = told(m, 3, "--set", "resources.memory=1MiB")
        assert why["memory"][0] == "later" or why["point"][0] == "no", why
        p.terminate()
        p.communicate(timeout=60)


def manifest(folder, version):
    text = (BUILD / "test-engines" / "noop.yaml").read_text().replace("version: 1.0.0", f"version: {version}")
    shutil.copytree(BUILD / "test-engines", folder, dirs_exist_ok=True)
    (folder / "noop.yaml").write_text(text)


def test_affected_by_engine_model_quant_and_source():
    with Matrix() as m:
        manifest(m.root / "e", "1.2.0")
        env = {"QUERN_ENGINES": m.root / "e"}
        expect(m.quern("run", **env), 0)
        for args, n in ((["--engine", "noop<1.3"], 3), (["--engine", "noop<1.2"], 0), (["--engine", "noop>=1.2 <1.3"], 3),
                        (["--engine", "noop"], 3), (["--engine", "gguf<9"], 0), (["--model", "m*"], 3), (["--model", "x"], 0),
                        (["--quant", "none", "--engine", "n*<2"], 3), (["--quant", "Q*"], 0), (["--toolkit", "<2"], 0),
                        (["--source-changed"], 0)):
            got = json.loads(expect(m.quern("affected", *args, "--json", **env), 0).stdout)
            assert got["count"] == n == len(got["jobs"]) and got["artifact_bytes"] == 6 * n, (args, got)
        expect(m.quern("affected", "--engine", "noop<1.3", **env), 0, "m/noop/none/opt-2", "noop 1.2.0",
               "3 done jobs would be made anew: 18 B")
        done = expect(m.quern("affected", "--engine", "noop", "--count", **env), 0, "3 done jobs")
        assert len(done.stdout.splitlines()) == 1
        path = m.root / "model" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\1")
        expect(m.quern("affected", "--source-changed", "--model", "m", **env), 0, "3 done jobs", "source ")
        # And that is what happens.
        manifest(m.root / "e", "1.3.0")
        expect(m.quern("run", **env), 0, "3 converted")
        shutil.rmtree(m.root / "model")
        expect(m.quern("affected", "--source-changed", **env), 0, "not known whether it has changed")
        expect(m.quern("affected", **env), 2, "by what?")
        expect(m.quern("affected", "--engine", "<1", **env), 2, "is no engine with a version")
        expect(m.quern("affected", "--engine", "noop<x", **env), 2, "is no engine with a version")
        expect(m.quern("affected", "--toolkit", "new", **env), 2, "compares no versions")


run_all(globals())
