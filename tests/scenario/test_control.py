"""Who goes first, when a run may start what, and what other commands tell a run that goes on."""
import calendar
import json
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import JOBS, Matrix, expect, make_model, run_all  # noqa: E402


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {seconds} s")


def clock_at(text):
    """Environment in which the clock shows this time of some day, in UTC, when quern starts."""
    now = time.time()
    day = calendar.timegm(time.strptime("2026-03-10 " + text, "%Y-%m-%d %H:%M:%S"))
    return {"QUERN_TEST_CLOCK_MS": int((day - now) * 1000), "TZ": "UTC"}


def matrix(points="opt: [0, 1, 2]", more="", jobs=1):
    return JOBS.replace("opt: [0, 1, 2]", points).replace("jobs: 2", f"jobs: {jobs}") + more


def started(m):
    return [r[0] for r in m.sql("SELECT label FROM attempt JOIN job ON job.id = job_id ORDER BY attempt.id")]


def test_priorities_of_models_and_targets():
    text = (matrix("opt: [0, 1]\n  - {engine: noop, quant: none, opt: 2, priority: 10}")
            .replace("name: m}", "name: m}\n  - {path: other, name: n, priority: 5}\n  - {path: third, name: o, priority: -5}"))
    with Matrix(text) as m:
        make_model(m.root / "other", 1)
        make_model(m.root / "third", 2)
        expect(m.quern("run"), 0, "9 converted")
        assert started(m) == [f"{x}/noop/none{y}" for x in "nmo" for y in ("/opt-2", "", "/opt-1")], started(m)
        # What waits already gets its new turn with the next run.
        m.write(text.replace("priority: 10", "priority: -10").replace("opt: [0, 1]", "opt: [3, 4]").replace("opt: 2", "opt: 5"))
        expect(m.quern("run"), 0, "9 converted")
        assert started(m)[9:] == [f"{x}/noop/none{y}" for x in "nmo" for y in ("/opt-3", "/opt-4", "/opt-5")], started(m)


def test_without_priorities_the_file_decides():
    with Matrix(matrix("opt: [2, 0, 1]")) as m:
        expect(m.quern("run"), 0)
        assert started(m) == ["m/noop/none/opt-2", "m/noop/none", "m/noop/none/opt-1"]
        assert m.sql("SELECT DISTINCT turn FROM job") == [(0,)]


def test_outside_the_window_nothing_happens():
    with Matrix(matrix(more="run: {window: \"22:00-07:00\"}\n")) as m:
        done = expect(m.quern("run", **clock_at("12:00:00")), 0, "outside run.window 22:00-07:00; it opens 2026-03-10 22:00:00")
        assert len(done.stdout.splitlines()) == 1 and m.sql("SELECT count(*) FROM run") == [(0,)], done.stdout
        expect(m.quern("run", "--set", "run.window=11:00-13:00", **clock_at("12:00:00")), 0, "3 converted")
        expect(m.quern("run", "--now", **clock_at("12:00:00")), 0, "nothing to do")
        expect(m.quern("run", **clock_at("02:00:00")), 0, "nothing to do")


def test_the_bill_of_a_window():
    """Five jobs of an hour, one at a time, in nights of two and a half: by the end of this one, and when all are done."""
    with Matrix(matrix("opt: 5")) as m:
        expect(m.quern("run"), 0, "1 converted")
        db = sqlite3.connect(m.work / "state.db")
        db.execute("UPDATE measured SET ms_sum = 3600000 * samples, ms_min = 3600000, ms_max = 3600000, opt = 5")
        db.execute("INSERT INTO measured SELECT id + n, engine, engine_version, platform, quant, hybrid, n - 1, params, threads, lora, "
                   "architecture, weights, samples, memory_min_bytes, memory_max_bytes, formula_bytes, scratch_max_bytes, "
                   "output_max_bytes, ms_sum, ms_min, ms_max, more_than_bytes, samples_since, changed_ms "
                   "FROM measured, (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5)")
        db.commit()
        db.close()
        m.write(matrix("opt: [0, 1, 2, 3, 4]", "run: {window: \"22:00-00:30\"}\n"))
        expect(m.quern("plan", **clock_at("12:00:00")), 0, "time      5h 00m for 5 jobs whose like was measured",
               "in run.window 22:00-00:30: 3 nights, done Thu 2026-03-12 23:00", "by 00:30: 2 of 5")
        expect(m.quern("plan", "--until", "23:00", **clock_at("12:00:00")), 0, "by 23:00: 1 of 5")
        expect(m.quern("plan", **clock_at("23:00:00")), 0, "done Fri 2026-03-13 00:00", "by 00:30: 1 of 5")
        bill = json.loads(m.quern("plan", "--json", **clock_at("12:00:00")).stdout)["bill"]
        assert (bill["window"], bill["nights"], bill["jobs_too_long"], bill["seconds"]) == ("22:00-00:30", 3, 0, 18000), bill
        assert bill["jobs_done_until"] == 2 and bill["done_ms"] == bill["until_ms"] + (46 * 60 + 30) * 60000, bill
        expect(m.quern("plan", "--set", "run.window=22:00-22:30", **clock_at("12:00:00")), 0,
               "in run.window 22:00-22:30: 5 jobs take longer than it is open", "by 22:30: 0 of 5")
        m.write(matrix("opt: [0, 1, 2, 3, 4]"))
        assert "run.window" not in expect(m.quern("plan", "--until", "15:01", **clock_at("12:00:00")), 0, "by 15:01: 3 of 5").stdout


def test_the_end_of_the_time_ends_what_runs():
    """It does not count as an attempt, and is no failure."""
    for args, more, name in ((["--until", "07:00"], "", "--until"), ([], "run: {window: \"22:00-07:00\"}\n", "run.window")):
        with Matrix(matrix("opt: [0, 1]\n    with: {sleep_ms: 600000}", more).replace("grace: 1s", "grace: 100ms")) as m:
            expect(m.quern("run", *args, timeout=120, **clock_at("06:59:40")), 0, f"{name}: the time is over", "2 not done yet")
            assert m.sql("SELECT state, attempts FROM job") == [(0, 0), (0, 0)]


def test_what_would_end_too_late_is_not_started():
    """The like took an hour: with half an hour left it waits, and the run ends, having published the rest."""
    with Matrix(matrix("opt: 0\n  - {engine: noop, quant: none, opt: 1, with: {n: 1}}")) as m:
        expect(m.quern("run", "--no-upload"), 0, "2 converted")
        m.write(matrix("opt: [0, 2]"))
        db = sqlite3.connect(m.work / "state.db")
        db.execute("UPDATE attempt SET ended_ms = started_ms + 3600000")
        db.commit()
        db.close()
        expect(m.quern("run", "--until", "07:00", **clock_at("06:30:00")), 0, "m/noop/none/opt-2 is not started: the like took 1h",
               "published in 1 repository", "1 not done yet")
        expect(m.quern("run", "--until", "07:00", **clock_at("05:00:00")), 0, "1 converted")
        expect(m.quern("run", "--until", "25:00"), 2, "is no time of the day")


def test_drain_finishes_what_runs():
    with Matrix(matrix("opt: [0, 1, 2, 3, 4, 5]\n    with: {sleep_ms: 700}")) as m:
        expect(m.quern("drain"), 4, "nothing has run here yet")
        p = m.start("run")
        wait_until(m.running)
        expect(m.quern("drain"), 0, "run 1 finishes what it has begun")
        out = p.communicate(timeout=60)[0]
        assert p.returncode == 0 and "draining" in out and "published in 1 repository" in out, out
        states = list(m.states().values())
        assert 0 < states.count("done") < 6 and states.count("done") + states.count("pending") == 6, states
        expect(m.quern("drain"), 0, "no run goes on")
        expect(m.quern("run"), 0)  # the next run is not drained
        assert set(m.states().values()) == {"done"}


def test_pause_lasts_until_resume():
    with Matrix(matrix("opt: [0, 1, 2, 3]\n    with: {sleep_ms: 400}")) as m:
        p = m.start("run")
        wait_until(m.running)
        expect(m.quern("pause"), 0, "nothing new begins", "may finish")
        wait_until(lambda: not m.running() and m.sql("SELECT 1 FROM job WHERE state = 3"))
        waits = m.sql("SELECT count(*) FROM job WHERE state = 0")[0][0]
        assert waits > 0
        expect(m.quern("run"), 3, "another run holds")
        expect(m.quern("status"), 0, "paused since", "quern resume")
        told = json.loads(m.quern("status", "--json").stdout)
        assert told["paused"] == "starts" and told["paused_since_ms"] > 0, told
        assert m.sql("SELECT count(*) FROM job WHERE state = 0")[0][0] == waits and p.poll() is None
        # Its death changes nothing: the next run is told, and starts nothing.
        p.kill()
        p.communicate()
        done = expect(m.quern("run"), 0, "paused since")
        assert len(done.stdout.splitlines()) == 1, done.stdout
        expect(m.quern("resume"), 0, "resumed; quern run goes on")
        expect(m.quern("resume"), 0, "not paused")
        expect(m.quern("run"), 0)
        assert set(m.states().values()) == {"done"}


def test_resume_wakes_a_run_that_waits():
    with Matrix(matrix("opt: [0, 1, 2]\n    with: {sleep_ms: 300}")) as m:
        p = m.start("run")
        wait_until(m.running)
        expect(m.quern("pause"), 0)
        wait_until(lambda: not m.running())
        expect(m.quern("resume"), 0, "resumed: the run goes on")
        out = p.communicate(timeout=60)[0]
        assert p.returncode == 0 and "3 converted" in out, out


def worker_state(m):
    """The state letter of the worker that runs, as the kernel has it; None while its pid is not known."""
    if not m.running():
        return None
    row = m.sql("SELECT pid FROM attempt WHERE ended_ms IS NULL AND pid > 0 ORDER BY id DESC")
    try:
        return Path(f"/proc/{row[0][0]}/stat").read_text().rsplit(")", 1)[1].split()[0] if row else None
    except FileNotFoundError:
        return None


def test_pause_now_stops_workers_and_their_clocks():
    text = matrix("opt: 0\n    with: {sleep_ms: 2500}").replace("grace: 1s", "grace: 1s, timeout: 4s")
    with Matrix(text) as m:
        p = m.start("run")
        wait_until(lambda: worker_state(m) == "S")
        expect(m.quern("pause", "--now"), 0, "1 running stopped")
        wait_until(lambda: worker_state(m) == "T")
        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since > 4.5)  # longer than resources.timeout
        assert worker_state(m) == "T" and p.poll() is None
        expect(m.quern("resume"), 0)
        out = p.communicate(timeout=60)[0]
        assert p.returncode == 0 and "1 converted" in out and m.sql("SELECT tries FROM job") == [(1,)], out
        # Nor does it count into what is learned of the like.
        ((took, paused),) = m.sql("SELECT ended_ms - started_ms, paused_ms FROM attempt")
        ((learned,),) = m.sql("SELECT ms_sum FROM measured")
        assert took - paused < 4500 < paused < took and learned < 4500, (took, paused, learned)


def test_what_was_paused_for_an_hour_is_no_long_job():
    with Matrix(matrix("opt: 0")) as m:
        expect(m.quern("run", "--no-upload"), 0, "1 converted")
        for paused, words in ((0, "is not started: the like took 1h"), (3590000, "1 converted")):
            m.write(matrix("opt: [0, 2]"))
            db = sqlite3.connect(m.work / "state.db")
            db.execute("UPDATE attempt SET ended_ms = started_ms + 3600000, paused_ms = ?", (paused,))
            db.commit()
            db.close()
            expect(m.quern("run", "--until", "07:00", **clock_at("06:30:00")), 0, words)


def test_stopped_workers_survive_their_run():
    with Matrix(matrix("opt: 0\n    with: {sleep_ms: 1500}")) as m:
        p = m.start("run")
        wait_until(lambda: worker_state(m) == "S")
        expect(m.quern("pause", "--now"), 0)
        wait_until(lambda: worker_state(m) == "T")
        p.kill()
        p.communicate()
        assert worker_state(m) == "T"
        expect(m.quern("resume"), 0)
        assert worker_state(m) != "T"
        expect(m.quern("run"), 0, "1 taken over")
        assert m.sql("SELECT tries FROM job") == [(1,)]
        assert m.sql("SELECT paused_ms FROM attempt") == [(None,)] and m.sql("SELECT 1 FROM measured WHERE samples > 0") == []


def test_a_paused_run_still_ends_when_it_is_told_to():
    for sig in signal.SIGTERM, signal.SIGINT:
        with Matrix(matrix("opt: 0\n    with: {sleep_ms: 600000}").replace("grace: 1s", "grace: 100ms")) as m:
            p = m.start("run")
            wait_until(lambda: worker_state(m) == "S")
            expect(m.quern("pause", "--now"), 0)
            wait_until(lambda: worker_state(m) == "T")
            os.kill(p.pid, sig)
            out = p.communicate(timeout=60)[0]
            assert p.returncode == 130 and m.sql("SELECT state, attempts FROM job") == [(0, 0)], out


def test_faults_of_the_file():
    for more, words in {
            "run: {window: 22-7}\n": "window is \"22-7\"; two times of the day like \"22:00-07:00\"",
            "run: {windo: x}\n": "unknown key \"windo\" in the run section; did you mean \"window\"?",
            "notify: {url: x}\n": "notify is a map; a list",
            "notify: [{url: \"ftp://x\"}]\n": "url is none of http or https",
            "notify: [{url: \"https://a:b@x/\"}]\n": "url has a user or a password",
            "notify: [{on: end}]\n": "has `command` or `url`; write one",
            "notify: [{command: mail}]\n": "command is \"mail\"; a list of a program and its arguments",
            "notify: [{command: [x], on: never}]\n": "on is \"never\"; end or failure"}.items():
        with Matrix(matrix(more=more)) as m:
            done = expect(m.quern("plan"), 2, words, "jobs.yaml:")
            assert "a:b" not in done.stdout
    with Matrix(matrix("opt: 0\n    priority: 2000")) as m:
        expect(m.quern("plan"), 2, "priority is \"2000\"; a whole number from -1000 to 1000")


run_all(globals())
