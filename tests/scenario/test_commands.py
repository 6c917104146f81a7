"""What a person asks about jobs, and does to them: status, show, logs, retry, cancel."""
import hashlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import JOBS, QUERN, Matrix, environment, expect, run_all  # noqa: E402


def with_last(mode):
    """The matrix with its last point done in this mode."""
    return JOBS.replace("    opt: [0, 1, 2]\n", "    opt: [0, 1]\n"
                        f"  - {{engine: noop, quant: none, opt: 2, with: {{mode: {mode}}}}}\n")


def slow(ms, opts="[0, 1, 2]"):
    return JOBS.replace("opt: [0, 1, 2]", f"opt: {opts}\n    with: {{sleep_ms: {ms}}}")


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {seconds} s")


def in_state(m, state, least=1):
    try:
        return list(m.states().values()).count(state) >= least
    except Exception:  # the store is not there yet
        return False


def as_json(done, code=0):
    assert done.returncode == code, f"exit {done.returncode}, not {code}:\n{done.stdout}"
    return json.loads(done.stdout)


def job_in(m, state):
    return m.sql("SELECT min(id) FROM v_matrix WHERE state = ?", state)[0][0]


# ---- status

def test_nothing_has_run_yet():
    with Matrix() as m:
        for command in (["status"], ["status", "--json"], ["show", "1"], ["logs", "1"], ["retry", "--failed"],
                        ["cancel", "--all"], ["gc"]):
            expect(m.quern(*command), 4, "nothing has run here yet", "quern run")
        assert not m.work.exists(), "looking must not make the work folder"


def test_status_after_a_good_run():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        expect(m.quern("status"), 0, "run 1 test", "3 jobs: 3 done", "nothing to do")
        st = as_json(m.quern("status", "--json"))
        assert st["run"]["state"] == "ended" and st["run"]["exit_code"] == 0, st
        assert st["counts"]["done"] == 3 and st["counts"]["total"] == 3, st
        assert st["running"] == [] and st["failed"] == [] and "jobs" not in st, st
        assert st["work"] == str(m.work), st
        expect(m.quern("status", "--run", "7"), 2, "7")


def test_status_of_failures():
    with Matrix(with_last("refuse")) as m:
        expect(m.quern("run"), 1)
        job = job_in(m, "failed")
        expect(m.quern("status"), 1, "1 failed", "refused", "no such thing", f"quern show {job}", "quern retry")
        st = as_json(m.quern("status", "--json", "--state", "failed"), 1)
        assert [j["job"] for j in st["jobs"]] == [job] == [j["job"] for j in st["failed"]], st
        assert st["failed"][0]["cause"] == "refused", st
        expect(m.quern("status", "--state", "faild"), 2, "did you mean failed")
        expect(m.quern("status", "--state", "zzz"), 2, "pending, running")


def test_status_all_has_what_the_matrix_no_longer_has():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        m.write(JOBS.replace("[0, 1, 2]", "[0]"))
        expect(m.quern("run"), 0)
        assert as_json(m.quern("status", "--json"))["counts"]["total"] == 1
        st = as_json(m.quern("status", "--json", "--all"))
        assert st["counts"]["total"] == 3 and len(st["jobs"]) == 3, st
        text = expect(m.quern("status", "--all"), 0).stdout
        assert len(text.splitlines()) == 4, text


def test_status_while_a_run_goes_on_and_after_it_was_killed():
    with Matrix(slow(60000)) as m:
        p = m.start("run")
        wait_until(lambda: in_state(m, "running", 2))
        st = as_json(m.quern("status", "--json"))
        assert st["run"]["state"] == "running" and st["run"]["pid"] == p.pid, st
        assert len(st["running"]) == 2 and st["counts"]["pending"] == 1, st
        expect(m.quern("status"), 0, "going on", str(p.pid))
        p.kill()
        p.communicate()
        st = as_json(m.quern("status", "--json"), 4)
        assert st["run"]["state"] == "died" and st["run"]["exit_code"] is None, st
        expect(m.quern("status"), 4, "died", "quern run goes on")
        stop_workers(m)


def stop_workers(m):
    for pid, in m.sql("SELECT pid FROM attempt WHERE ended_ms IS NULL AND pid > 1"):
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_watch_prints_changes_when_nobody_watches():
    with Matrix(slow(700)) as m:
        p = m.start("run")
        wait_until(lambda: in_state(m, "running"))
        lines = expect(m.quern("status", "--watch"), 0).stdout.splitlines()
        p.communicate()
        assert len(lines) >= 2 and "running" in lines[0] and "ended" in lines[-1], lines
        assert "\x1b" not in "".join(lines)
        assert len(set(line.split(" run ")[1] for line in lines)) == len(lines), "only changes are printed"
        expect(m.quern("status", "--watch", "--json"), 2)


def test_watch_draws_on_a_terminal_and_q_leaves():
    with Matrix(slow(60000)) as m:
        p = m.start("run")
        wait_until(lambda: in_state(m, "running"))
        keyboard, terminal = pty.openpty()
        watch = subprocess.Popen([QUERN, "status", "--watch"], cwd=m.root, stdin=terminal, stdout=terminal,
                                 stderr=terminal, env=environment(TERM="xterm"))
        os.close(terminal)
        seen = b""
        while b"q leaves" not in seen:
            assert select.select([keyboard], [], [], 10)[0], seen
            seen += os.read(keyboard, 65536)
        os.write(keyboard, b"q")
        try:
            while True:
                more = os.read(keyboard, 65536)
                if not more:
                    break
                seen += more
        except OSError:  # the other end is closed
            pass
        assert watch.wait(10) == 0
        os.close(keyboard)
        assert seen.startswith(b"\x1b[?1049h") and b"\x1b[?1049l" in seen, "the screen was not given back"
        assert b"\x1b[?25h" in seen, "the cursor was not given back"
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)


# ---- show and logs

def test_show_a_finished_job():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        job = as_json(m.quern("show", "1", "--json"))
        assert job["state"] == "done" and job["engine"] == "noop" and job["quant"] == "none", job
        assert [e["event"] for e in job["events"]] == ["claim", "exit_ok", "valid", "upload", "uploaded"], job
        assert len(job["attempts"]) == 1 and job["attempts"][0]["exit_code"] == 0, job
        attempt = job["attempts"][0]  # over in a moment, and still its use is known
        assert attempt["peak_rss_bytes"] > 0 and attempt["user_ms"] + attempt["system_ms"] > 0, attempt
        for f in job["files"]:
            data = Path(f["path"]).read_bytes()
            assert len(data) == f["size_bytes"] and hashlib.sha256(data).hexdigest() == f["sha256"], f
        expect(m.quern("show", job["key"][:8]), 0, job["key"], "done", job["files"][0]["sha256"], job["repo"])
        expect(m.quern("show", "99"), 2, "99")
        expect(m.quern("show", "zz"), 2)
        expect(m.quern("show"), 2, "name one job")


def test_show_says_why_a_job_failed():
    with Matrix(with_last("fail")) as m:
        expect(m.quern("run"), 1)
        job = job_in(m, "failed")
        expect(m.quern("show", job), 0, "failed", "it went wrong", "exit 1", f"quern logs {job}")
        assert len(as_json(m.quern("show", job, "--json"))["attempts"]) == 2


def test_logs():
    with Matrix(with_last("fail")) as m:
        expect(m.quern("run"), 1)
        job = job_in(m, "failed")
        key = m.sql("SELECT key FROM v_matrix WHERE id = ?", job)[0][0]
        assert m.quern("logs", job).stdout.endswith("noop: it went wrong\n")
        assert m.quern("logs", job, "--attempt", "1").stdout.endswith("noop: it went wrong\n")
        expect(m.quern("logs", job, "--attempt", "9"), 2, "no attempt 9", "the last one is 2")
        assert m.quern("logs", "-f", job).returncode == 0, "an attempt that has ended is not waited for"
        log = m.work / "jobs" / key / "2" / "log"
        log.write_bytes(b"\x1b[2Jraw\r\n")
        for options, wanted in ((), b"\\x1b[2Jraw\n"), (("--raw",), b"\x1b[2Jraw\r\n"):
            done = subprocess.run([QUERN, "logs", str(job), *options], cwd=m.root, env=environment(), stdout=subprocess.PIPE)
            assert done.stdout == wanted, (options, done.stdout)
        log.unlink()
        expect(m.quern("logs", job), 2, "no log any more")
        log.symlink_to("/etc/passwd")
        assert "root:" not in m.quern("logs", job).stdout, "a link must not be followed"


def test_logs_neutralises_on_a_terminal():
    with Matrix(with_last("fail")) as m:
        expect(m.quern("run"), 1)
        job = job_in(m, "failed")
        key = m.sql("SELECT key FROM v_matrix WHERE id = ?", job)[0][0]
        (m.work / "jobs" / key / "2" / "log").write_bytes(b"\x1b[2Jone\rtwo\nthree")
        keyboard, terminal = pty.openpty()
        subprocess.run([QUERN, "logs", str(job)], cwd=m.root, stdout=terminal, env=environment(TERM="xterm"))
        os.close(terminal)
        seen = os.read(keyboard, 65536)
        os.close(keyboard)
        assert b"\x1b" not in seen and seen.split() == [rb"\x1b[2Jone", b"two", b"three"], seen


def test_engines_say_what_they_renew():
    with Matrix() as m:
        engines = {e["name"]: e for e in json.loads(expect(m.quern("engines", "--json"), 0).stdout)["engines"]}
        assert engines["rkllm"]["renews"] == {"format": "rkllm", "quant": "keep", "since": "1.1.4"}, engines["rkllm"]
        assert engines["noop"]["renews"] is None


def test_logs_follow_until_the_end():
    with Matrix(slow(1000, "[0]")) as m:
        p = m.start("run")
        wait_until(lambda: in_state(m, "running"))
        begun = time.monotonic()
        expect(m.quern("logs", "-f", "1"), 0)
        assert time.monotonic() - begun > 0.1, "it did not wait"
        assert m.sql("SELECT ended_ms FROM attempt")[0][0], "it did not wait for the end"
        p.communicate()


# ---- retry and cancel

def test_retry_and_cancel_tell_each_job():
    with Matrix(with_last("refuse")) as m:
        expect(m.quern("run", "--no-upload"), 1)
        failed, ready = job_in(m, "failed"), job_in(m, "ready")
        out = expect(m.quern("retry", failed, ready, "99"), 2, f"job {failed}", "back in the queue",
                     "cannot be tried again", "99").stdout
        assert "m/noop/none/opt-2" in out
        assert in_state(m, "pending")
        expect(m.quern("retry", "--failed"), 0, "no job has failed")
        expect(m.quern("cancel", failed, ready), 0, "cancelled")
        expect(m.quern("cancel", failed), 2, "is cancelled")
        expect(m.quern("cancel", "--all"), 0, "cancelled")
        assert set(m.states().values()) == {"cancelled"}
        expect(m.quern("cancel", "--all"), 0, "no job is waiting")
        for command in ("retry", "cancel"):
            expect(m.quern(command), 2, "name jobs")
        expect(m.quern("retry", failed, "--failed"), 2)


def test_cancel_during_a_run():
    with Matrix(slow(60000)) as m:
        p = m.start("run")
        wait_until(lambda: in_state(m, "running", 2))
        expect(m.quern("cancel", "--all"), 0)
        p.communicate(timeout=20)
        assert set(m.states().values()) == {"cancelled"}
        alive = [pid for pid, in m.sql("SELECT pid FROM attempt") if Path(f"/proc/{pid}").exists()]
        assert not alive, "workers outlived their cancellation"


run_all(globals())
