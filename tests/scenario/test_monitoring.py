"""Metrics for Prometheus, exit codes for monitoring, and notifications at the end of a run."""
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import JOBS, Matrix, expect, run_all  # noqa: E402

TOKEN = "hf_TestTokenThatMustNeverBeSeenAnywhere"
FAILING = JOBS.replace("opt: [0, 1, 2]", "opt: [0, 1]\n  - {engine: noop, quant: none, opt: 2, with: {mode: fail}}")


def parse(text):
    """The text format 0.0.4, strictly: HELP and TYPE before the samples of each metric, which stand together.
    {name: (type, {labels: value})}"""
    metrics, name = {}, None
    for line in text.splitlines():
        head = re.fullmatch(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)", line)
        if head and head[1] == "HELP":
            name = head[2]
            assert name not in metrics, f"{name} comes twice"
            metrics[name] = [None, {}]
        elif head:
            assert head[2] == name and head[3] in ("counter", "gauge"), line
            metrics[name][0] = head[3]
        else:
            found = re.fullmatch(r'([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (-?[0-9.e+]+)', line)
            assert found and found[1] == name and metrics[name][0], line
            assert found[2] not in metrics[name][1], f"{line} comes twice"
            metrics[name][1][found[2]] = float(found[3])
    for name, (kind, samples) in metrics.items():
        assert samples and (kind == "counter") == name.endswith("_total"), name
    assert text.endswith("\n")
    return metrics


def test_metrics_of_a_run():
    with Matrix(FAILING + "metrics: out/quern.prom\n") as m:
        (m.root / "out").mkdir()
        expect(m.quern("run"), 1)
        text = (m.root / "out/quern.prom").read_text()
        got = parse(text)
        if shutil.which("promtool"):
            subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=True)
        jobs = got["quern_jobs"][1]
        assert jobs['matrix="test",state="done"'] == 2 and jobs['matrix="test",state="failed"'] == 1, jobs
        assert got["quern_jobs_failed"][1]['matrix="test",cause="failed"'] == 1
        assert got["quern_attempts_total"][1] == {'matrix="test",cause="none"': 2, 'matrix="test",cause="failed"': 2}
        one = {name: next(iter(v[1].values())) for name, v in got.items() if len(v[1]) == 1}
        assert one["quern_run_exit_code"] == 1 and one["quern_run_going"] == 0 and one["quern_paused"] == 0, one
        assert one["quern_last_good_run_timestamp_seconds"] == 0 and one["quern_artifact_bytes"] == 12, one
        assert one["quern_run_end_timestamp_seconds"] >= one["quern_run_start_timestamp_seconds"] > 1e9, one
        assert [p.name for p in (m.root / "out").iterdir()] == ["quern.prom"], "something was left beside it"
        # What nobody can write is said and harms nothing.
        m.write(FAILING + "metrics: nowhere/quern.prom\n")
        expect(m.quern("run"), 1, "metrics are not written")


def test_status_is_for_monitoring():
    with Matrix(FAILING) as m:
        expect(m.quern("status"), 4, "nothing has run here yet")
        expect(m.quern("run"), 1)
        expect(m.quern("status"), 1, "1 failed")
        m.write(JOBS.replace("opt: [0, 1, 2]", "opt: [0, 1]"))
        expect(m.quern("run"), 0)
        expect(m.quern("status"), 0)
        m.write(JOBS.replace("opt: [0, 1, 2]", "opt: 5\n    with: {sleep_ms: 30000}"))
        p = m.start("run")
        while not m.running():
            assert p.poll() is None
        expect(m.quern("status"), 0, "going on")
        p.kill()
        p.communicate()
        expect(m.quern("status"), 4, "died")


NOTIFIED = """#!/bin/sh
cat > "$1.$(ls "$(dirname "$1")" | grep -c body)"
env > "$1-env"
exit "$2"
"""


def notified(m):
    return [json.loads(p.read_text()) for p in sorted((m.root / "told").glob("body.*"))]


def test_a_command_is_told_without_the_token():
    with Matrix(FAILING + "notify: [{command: [./tell, told/body, \"0\"], on: end}]\n") as m:
        (m.root / "told").mkdir()
        (m.root / "tell").write_text(NOTIFIED)
        (m.root / "tell").chmod(0o755)
        expect(m.quern("run", HF_TOKEN=TOKEN, QUERN_GIT_TOKEN=TOKEN), 1)
        body, = notified(m)
        assert body["event"] == "run_end" and body["exit_code"] == 1 and body["matrix"] == "test", body
        assert (body["converted"], body["failed"]) == (2, 1) and body["counts"]["done"] == 2, body
        assert [f["cause"] for f in body["failures"]] == ["failed"], body
        assert body["text"] == "quern test: 2 converted, 2 of 3 points done, 1 failed", body
        for p in (m.root / "told").iterdir():
            assert TOKEN not in p.read_text() and "TOKEN=" not in p.read_text(), p


def test_news_and_failures():
    """end: when something was done; failure: when the exit code is not 0."""
    for on, good, bad in ("end", 1, 1), ("failure", 0, 1):
        text = f"notify: [{{command: [./tell, told/body, \"0\"], on: {on}}}]\n"
        with Matrix(JOBS + text) as m:
            (m.root / "told").mkdir()
            (m.root / "tell").write_text(NOTIFIED)
            (m.root / "tell").chmod(0o755)
            expect(m.quern("run"), 0, "3 converted")
            assert len(notified(m)) == good
            expect(m.quern("run"), 0, "nothing to do")
            assert len(notified(m)) == good
            m.write(FAILING + text)
            expect(m.quern("run"), 1)
            assert len(notified(m)) == good + bad


def test_who_cannot_be_told_is_said_and_changes_nothing():
    text = JOBS + "notify: [{command: [./tell, told/body, \"3\"], attempts: 3, backoff: 10ms}, {command: [/no/such], " \
                  "attempts: 1}, {command: [sleep, \"60\"], timeout: 100ms, attempts: 1}]\n"
    with Matrix(text) as m:
        (m.root / "told").mkdir()
        (m.root / "tell").write_text(NOTIFIED)
        (m.root / "tell").chmod(0o755)
        done = expect(m.quern("run"), 0, "/tell was not told, after 3 attempts: exit code 3",
                      "/no/such was not told, after 1 attempt: exit code 127", "sleep was not told, after 1 attempt: it took longer")
        assert len(notified(m)) == 3 and set(m.states().values()) == {"done"}, done.stdout


class Hook(http.server.BaseHTTPRequestHandler):
    seen, answers = [], []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Hook.seen.append((self.path, dict(self.headers.items()), body))
        status = Hook.answers.pop(0) if Hook.answers else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def test_a_url_gets_json():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}"
    secret = "/hooks/T0PSECRET?key=QUITE"
    try:
        for answers, told in ([], 1), ([503, 429, 200], 3), ([302] * 4, 4), ([500] * 4, 4):
            Hook.seen, Hook.answers = [], list(answers)
            # A secret address stands in the environment, and comes into the file from there.
            with Matrix(JOBS + "notify: [{url: \"${HOOK}\", backoff: 10ms}]\n") as m:
                done = expect(m.quern("run", HOOK=at + secret, HF_TOKEN=TOKEN), 0)
                assert len(Hook.seen) == told, (answers, Hook.seen)
                for path, headers, body in Hook.seen:
                    assert path == secret and headers["Content-Type"] == "application/json", (path, headers)
                    assert json.loads(body)["converted"] == 3 and "Authorization" not in headers, headers
                    assert TOKEN not in str(headers) and TOKEN.encode() not in body
                failed = len(answers) == 4
                assert (f"notify: {at} was not told, after 4 attempts" in done.stdout) == failed, done.stdout
                assert "T0PSECRET" not in done.stdout and "QUITE" not in done.stdout, done.stdout
    finally:
        server.shutdown()
        server.server_close()
    with Matrix(JOBS + "notify: [{url: \"http://127.0.0.1:1/x\", attempts: 1}]\n") as m:
        expect(m.quern("run"), 0, "http://127.0.0.1:1: no answer", "was not told, after 1 attempt")


run_all(globals())
