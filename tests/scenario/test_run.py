"""quern run as a person and as cron meets it: what goes well, what goes wrong, what is said."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import BUILD, JOBS, Matrix, expect, preload, run_all  # noqa: E402


def with_mode(mode, **more):
    text = JOBS.replace("    opt: [0, 1, 2]\n",
                        "    opt: [0, 1]\n"
                        f"  - {{engine: noop, quant: none, opt: 2, with: {{mode: {mode}}}}}\n")
    for old, new in more.values():
        text = text.replace(old, new)
    return text


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {seconds} s: {what}")


def test_a_matrix_is_done_and_then_nothing():
    with Matrix() as m:
        expect(m.quern("run"), 0, "3 converted", "published in 1 repository")
        assert set(m.states().values()) == {"done"}
        expect(m.quern("run"), 0, "nothing to do: all 3 points are done already")


def test_a_deleted_artifact_is_made_again_alone():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        victim = sorted((m.work / "artifacts").glob("*/*.noop"))[0]
        victim.unlink()
        expect(m.quern("plan"), 0, "its artifact is gone")
        expect(m.quern("run"), 0, "1 converted")
        assert victim.exists()
        assert sorted(m.sql("SELECT count(*) FROM attempt GROUP BY job_id")) == [(1,), (1,), (2,)]


def test_a_changed_source_makes_new_jobs():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        path = m.root / "model" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\1")
        expect(m.quern("plan"), 0, "changed", "source content")
        expect(m.quern("run"), 0, "3 converted")


def published_keys(m):
    """What the manifest on the local hub names."""
    repo = next((m.work / "hub" / "ns").glob("*.git"))
    manifest = subprocess.run(["git", "-C", repo, "show", "HEAD:quern.json"], check=True, stdout=subprocess.PIPE)
    return [v["key"] for v in json.loads(manifest.stdout)["variants"]]


def test_what_a_newer_job_replaces_is_done_and_comes_back():
    """The newer job takes the file name; after going back to the old source, the old job has it again."""
    with Matrix(JOBS.replace("opt: [0, 1, 2]", "opt: 0")) as m:
        expect(m.quern("run", "--no-upload"), 0)
        old = (m.root / "model" / "model.safetensors").read_bytes()
        (m.root / "model" / "model.safetensors").write_bytes(old[:-1] + b"\x01")
        expect(m.quern("run"), 0)
        by_id = "SELECT state, cause FROM job ORDER BY id"
        assert m.sql(by_id) == [(5, "replaced"), (5, "")]
        expect(m.quern("show", 1), 0, "replaced", "job 2 (m/noop/none)")
        expect(m.quern("status"), 0, "nothing to do")
        (m.root / "model" / "model.safetensors").write_bytes(old)
        expect(m.quern("plan"), 0, "converted")
        expect(m.quern("run"), 0)
        assert m.sql(by_id) == [(5, ""), (5, "replaced")]
        assert published_keys(m) == [key for key, in m.sql("SELECT lower(hex(key)) FROM job WHERE id = 1")]
        expect(m.quern("run"), 0, "nothing to do")
        assert len(m.sql("SELECT 1 FROM attempt")) == 2, "something was converted again"


def test_a_parameter_outside_the_key_reaches_the_worker():
    """It makes no new job; when the job is done again, the worker gets what the file says by then."""
    def given(m, key, number):
        return json.loads((m.work / "jobs" / key / str(number) / "job.json").read_text())["with"]

    text = JOBS.replace("opt: [0, 1, 2]", "opt: 0\n    with: {n: 7, hint: 1}")
    with Matrix(text) as m:
        expect(m.quern("run"), 0)
        (key,), = m.sql("SELECT lower(hex(key)) FROM job")
        assert given(m, key, 1) == {"hint": 1, "n": 7}
        assert m.sql("SELECT params FROM job") == [('{"n":7}',)]
        m.write(text.replace("hint: 1", "hint: 2"))
        expect(m.quern("run"), 0, "nothing to do")
        shutil.rmtree(m.work / "artifacts" / key)
        expect(m.quern("run"), 0)
        assert given(m, key, 2) == {"hint": 2, "n": 7}
        assert m.sql("SELECT count(*) FROM job") == [(1,)]


def test_neighbours_of_a_bad_job_finish():
    for mode, cause in {"fail": "failed", "crash": "crash", "refuse": "refused", "lie": "bad output",
                        "rubbish": "bad output", "extra": "bad output", "link": "failed",
                        "silent": "bad output", "invalid": "bad output"}.items():
        with Matrix(with_mode(mode)) as m:
            expect(m.quern("run"), 1, f"failed: {cause}", "2 converted", "1 failed")
            assert m.states() == {"m/noop/none": "done", "m/noop/none/opt-1": "done",
                                  "m/noop/none/opt-2": "failed"}, m.states()
            attempts = m.sql("SELECT attempts FROM job WHERE label LIKE '%opt-2'")[0][0]
            assert attempts == (1 if mode == "refuse" else 2), (mode, attempts)
            assert not list((m.work / "artifacts").glob("*/*opt-2*"))


def test_a_worker_killed_after_its_last_act_has_finished():
    with Matrix(with_mode("late")) as m:
        expect(m.quern("run"), 0, "3 converted")
        assert m.sql("SELECT max(number) FROM attempt") == [(1,)]


def test_what_a_worker_leaves_in_its_folder_is_removed():
    with Matrix(with_mode("litter")) as m:
        expect(m.quern("run", "--no-upload"), 0)
        for folder in m.work.glob("jobs/*/*"):
            left = {p.name for p in folder.iterdir()}
            assert left == {"job.json", "lock", "lock.validate", "log", "result.json"}, left
        assert len(list(m.work.glob("jobs/*/*"))) == 3 and len(list(m.work.glob("artifacts/*/*.noop"))) == 3


def test_rubbish_on_standard_output_harms_nobody():
    with Matrix(with_mode("chatter")) as m:
        done = expect(m.quern("run"), 0, "3 converted")
        assert "\x1b" not in done.stdout


def test_a_worker_that_hangs_meets_its_limit():
    text = with_mode("hang", t=("grace: 1s", "grace: 200ms, timeout: 500ms"), r=("attempts: 2", "attempts: 1"))
    with Matrix(text) as m:
        expect(m.quern("run"), 1, "failed: timeout", "2 converted")


def test_retry_takes_a_failed_job_up_again():
    with Matrix(with_mode("fail")) as m:
        expect(m.quern("run"), 1)
        expect(m.quern("run"), 1, "0 converted", "1 failed")
        expect(m.quern("retry", "--failed"), 0)
        assert m.states()["m/noop/none/opt-2"] == "pending"
        expect(m.quern("run"), 1, "1 failed")


def test_fail_fast_starts_nothing_new():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0, 1, 2, 3, 4, 5, 6, 7]\n    with: {mode: refuse}")
    with Matrix(text.replace("jobs: 2", "jobs: 1")) as m:
        expect(m.quern("run", "--fail-fast"), 1)
        assert list(m.states().values()).count("failed") == 1


def test_the_first_signal_lets_workers_finish():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0, 1, 2, 3, 4, 5]\n    with: {sleep_ms: 400}")
    with Matrix(text) as m:
        p = m.start("run")
        wait_until(m.running)
        p.send_signal(signal.SIGTERM)
        out = p.communicate(timeout=20)[0]
        assert p.returncode == 130, out
        states = list(m.states().values())
        assert states.count("ready") == 2 and states.count("pending") == 4, states
        expect(m.quern("run"), 0, "4 converted")


def test_the_second_signal_ends_them():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0, 1, 2]\n    with: {sleep_ms: 60000}")
    with Matrix(text) as m:
        p = m.start("run")
        wait_until(m.running)
        p.send_signal(signal.SIGINT)
        time.sleep(0.1)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)
        assert p.returncode == 130
        assert set(m.states().values()) == {"pending"}
        assert m.sql("SELECT max(attempts) FROM job") == [(0,)], "an interrupted attempt must not count"


def durations(value, name=""):
    """Every number of a JSON document that is called a duration."""
    if isinstance(value, dict):
        return [d for k, v in value.items() for d in durations(v, k)]
    if isinstance(value, list):
        return [d for v in value for d in durations(v, name)]
    return [value] if name.endswith(("duration_ms", "elapsed_ms", "left_ms", "user_ms", "system_ms")) and value else []


def test_a_clock_that_runs_backwards_loses_nothing():
    """The wall clock loses a second each millisecond of the run, and the next run begins before the first one."""
    clock = preload("backwards_clock")
    with Matrix(with_mode("fail")) as m:
        expect(m.quern("run", **clock), 1)
        assert sorted(m.states().values()) == ["done", "done", "failed"]
        assert m.sql("SELECT min(at_ms) FROM event")[0][0] < m.sql("SELECT started_ms FROM run")[0][0], \
            "the clock did not run backwards"
        m.write(with_mode("ok"))
        expect(m.quern("run", **clock), 0)
        assert sorted(m.sql("SELECT state FROM job")) == [(5,), (5,), (5,), (6,)]
        for view in ("v_night", "v_attempts"):
            assert all(seconds >= 0 for seconds, in m.sql(f"SELECT seconds FROM {view}")), view
        for job, in m.sql("SELECT id FROM job"):
            story = m.sql("SELECT from_state, to_state FROM event WHERE job_id = ? ORDER BY id", job)
            assert all(a[1] == b[0] for a, b in zip(story, story[1:])), story
            shown = m.quern("show", job, "--json", **clock).stdout
            assert all(d >= 0 for d in durations(json.loads(shown))), shown
            text = expect(m.quern("show", job, **clock), 0).stdout
            assert not re.search(r"(^|\s)-\d", text), text
        told = json.loads(m.quern("status", "--json", **clock).stdout)
        assert durations(told) and all(d >= 0 for d in durations(told)), told


def test_a_second_run_is_turned_away():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0]\n    with: {sleep_ms: 3000}")
    with Matrix(text) as m:
        p = m.start("run")
        wait_until(m.running)
        expect(m.quern("run"), 3, str(p.pid))
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)


def test_an_orphan_is_adopted_and_not_run_twice():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0]\n    with: {sleep_ms: 1500}")
    with Matrix(text) as m:
        p = m.start("run")
        wait_until(lambda: m.running() and list(m.work.glob("jobs/*/1/lock")))
        time.sleep(0.2)
        p.kill()
        p.communicate()
        expect(m.quern("run"), 0, "1 taken over")
        assert m.sql("SELECT count(*) FROM attempt") == [(1,)]
        assert m.states() == {"m/noop/none": "done"}


def test_a_running_job_is_cancelled():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0]\n    with: {sleep_ms: 60000}")
    with Matrix(text) as m:
        p = m.start("run")
        wait_until(m.running)
        expect(m.quern("cancel", "1"), 0)
        p.communicate(timeout=20)
        assert m.states() == {"m/noop/none": "cancelled"}


def test_points_that_cannot_be_done_are_known_at_once():
    text = JOBS.replace("  - {path: model, name: m}\n",
                        "  - {path: model, name: m}\n  - {path: nowhere, name: lost}\n")
    with Matrix(text) as m:
        expect(m.quern("plan"), 0, "not legal", "there is no such folder")
        expect(m.quern("run"), 1, "3 converted", "there is no such folder")


def test_two_points_with_one_file_name_are_seen():
    with Matrix(JOBS.replace("-opt-{opt}", "")) as m:
        expect(m.quern("plan"), 0, "already the name of another point", "{opt}")


def test_a_job_larger_than_the_machine_is_refused_at_plan_time():
    with Matrix(JOBS.replace("memory: 1GiB", "memory: 100KiB")) as m:
        expect(m.quern("plan"), 0, "not legal", "resources.memory is 100")


def test_a_disk_that_is_too_full_ends_the_run_with_4():
    with Matrix(JOBS.replace("disk_reserve: 1MiB", "disk_reserve: 1000TiB")) as m:
        expect(m.quern("run"), 4, "resources.disk_reserve")
        assert set(m.states().values()) == {"pending"}
        expect(m.quern("run", "--set", "resources.disk_reserve=1MiB"), 0, "3 converted")


def test_a_disk_that_fills_at_any_point_loses_nothing():
    """One line that says so, exit 4; with room again the next run goes on, and nothing counts as a failure."""
    outcomes = set()
    for after in (0, *range(50000, 750000, 40000)):
        with Matrix(JOBS.replace("attempts: 2", "attempts: 1")) as m:
            done = m.quern("run", **preload("full_disk", FULL_DISK_AFTER=after))
            outcomes.add(done.returncode)
            if done.returncode != 0:
                expect(done, 4, "no space left")
            expect(m.quern("run"), 0)
            assert set(m.states().values()) == {"done"}, (after, m.states())
            assert not m.sql("SELECT 1 FROM event WHERE event IN ('exit_retry', 'invalid_retry')"), after
            expect(m.quern("run"), 0, "nothing to do")
    assert outcomes == {0, 4}, outcomes


def test_hold_waits_for_quern_upload():
    with Matrix(JOBS.replace("hub: local", "hub: local, hold: true")) as m:
        expect(m.quern("run"), 0, "converted but not published")
        assert set(m.states().values()) == {"ready"}
        expect(m.quern("upload"), 0, "1 repository up to date")
        assert set(m.states().values()) == {"done"}
        expect(m.quern("upload"), 0, "nothing to publish")


def test_uploads_may_follow_each_job_or_model():
    for when in ("job", "model"):
        with Matrix(JOBS.replace("hub: local", f"hub: local, when: {when}")) as m:
            expect(m.quern("run"), 0, "3 converted")
            assert set(m.states().values()) == {"done"}


def test_the_store_says_what_is_wrong_with_it():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        db = m.work / "state.db"
        for suffix in ("-wal", "-shm"):
            Path(str(db) + suffix).unlink(missing_ok=True)
        good = db.read_bytes()
        db.write_bytes(b"rubbish" * 1000)
        expect(m.quern("run"), 4, "state.db")
        db.write_bytes(good)
        expect(m.quern("run"), 0, "nothing to do")
        # A store that is lost: the artifacts are found again, nothing is converted.
        db.unlink()
        expect(m.quern("run"), 0)
        assert m.sql("SELECT count(*) FROM artifact") == [(3,)]
        assert set(m.states().values()) == {"done"}


def test_a_model_can_be_made_for_the_rehearsal():
    text = JOBS.replace("{path: model, name: m}", "{fake: 'llama-tiny:fill=zero', name: m}")
    with Matrix(text) as m:
        expect(m.quern("plan"), 0, "new")
        assert not m.work.exists(), "a plan makes nothing"
        expect(m.quern("run"), 0, "3 converted")
        assert list(m.work.glob("sources/*/model.safetensors"))
        expect(m.quern("run"), 0, "nothing to do")


def test_convert_needs_no_matrix():
    with Matrix() as m:
        expect(m.quern("convert", "model", "-o", "x.noop", "--engine", "noop", "--quant", "none"), 0, "x.noop")
        assert (m.root / "x.noop").read_text() == "quern\n"
        expect(m.quern("convert", "model", "-o", "y.noop", "--engine", "noop", "--quant", "nine"), 2, "none")
        expect(m.quern("convert", "model", "-o", "y.noop", "--engine", "nope", "--quant", "none"), 2, "nope")
        expect(m.quern("convert", "model", "-o", "y.noop", "--engine", "noop", "--quant", "none", "--with",
                       "mode=refuse"), 1, "refused")
        assert not (m.root / "y.noop").exists()
        assert not list(m.root.glob(".tmp-*")), "left-overs"


def test_an_unwritable_work_folder_is_said():
    if os.geteuid() == 0:
        with Matrix(JOBS.replace("work: work", "work: /proc/quern")) as m:
            expect(m.quern("run"), 4, "/proc/quern")
    with Matrix(JOBS.replace("work: work", "work: jobs.yaml/work")) as m:
        done = m.quern("run")
        assert done.returncode in (2, 4) and "jobs.yaml" in done.stdout, done.stdout


def test_a_run_that_is_stopped_in_a_validation_converts_nothing_again():
    with Matrix(with_mode("ponder, until: seen")) as m:
        run = m.start("run")
        wait_until(lambda: "1 validating" in m.quern("status").stdout and m.sql("SELECT 1 FROM job WHERE state = 2 AND opt = 2"), 60)
        run.terminate()
        out, _ = run.communicate(timeout=60)
        assert run.returncode == 130, out
        assert m.sql("SELECT state FROM job WHERE opt = 2") == [(2,)]
        (m.root / "model/seen").touch()
        expect(m.quern("run"), 0, "3 of 3 points done")
        assert m.sql("SELECT count(*) FROM attempt JOIN job ON job.id = job_id WHERE opt = 2") == [(1,)]



run_all(globals())
