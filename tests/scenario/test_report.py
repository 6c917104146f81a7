"""quern report: text, JSON and one HTML page, of good runs, bad runs, and names that are hostile."""
import base64
import hashlib
import json
import os
import re
import shutil
import sqlite3
import sys
from html.parser import HTMLParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from matrix import Matrix, expect, make_model, run_all  # noqa: E402

MATRIX = """\
version: 1
name: nightly
work: work
models:
  - {path: model, name: m1}
  - {path: model, name: m2}
targets:
  - {engine: noop, quant: none, opt: [0, 1], with: {n: 1}}
  - {engine: noop, quant: none, hybrid: [0.25, 0.5], with: {mode: fail}}
  - {engine: noop, quant: none, hybrid: 0.75, with: {mode: refuse}}
resources: {jobs: 2, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}
retry: {attempts: 1}
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-{quant}-opt-{opt}-h-{hybrid}"}
"""
EMPTY = {"meta", "input", "line", "br", "link", "img"}


class Page(HTMLParser):
    """Tags that open and close as they should, ids, links, text; nothing that loads or runs."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.words, self.tags = [], set(), [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on") and name not in ("src", "srcset", "style", "action"), (tag, name)
            if name == "id":
                assert value not in self.ids, value
                self.ids.add(value)
            if name == "href":
                self.links.append(value)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def page(m):
    expect(m.quern("report", "-o", "r.html"), 0)
    text = (m.root / "r.html").read_text()
    p = Page(text)
    assert not {"iframe", "object", "link", "img"} & set(p.tags), p.tags
    assert p.tags.count("script") == 2, "its data and its own script"
    assert "url(" not in text and "@import" not in text and "http:" not in text and "https:" not in text
    check_policy(text)
    for link in p.links:
        assert link[0] == "#" and link[1:] in p.ids, link
    return p, text


def check_policy(text):
    """The page may run its own script and use its own style, by their hashes, and nothing else."""
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; "), policy
    for tag in ("style", "script"):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S).group(1)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy, policy


def data_of(text):
    """What the script reads."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))


def test_nothing_has_run_yet():
    with Matrix() as m:
        expect(m.quern("report"), 4, "nothing has run here yet")


def test_a_good_night():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        done = expect(m.quern("report"), 0, "3 of 3 done", "new on the hub: 3 files, ", "ns/m: 3 files", "longest: m/noop")
        assert "failed" not in done.stdout and max(map(len, done.stdout.splitlines())) <= 60, done.stdout
        p, _ = page(m)
        assert "What failed, and what to type" not in p.words
        expect(m.quern("run"), 0)
        expect(m.quern("report"), 0, "3 of 3 done", "nothing new on the hub", "earlier runs, newest first: 3 new\n")


def test_failures_by_cause_with_what_to_type():
    with Matrix(MATRIX) as m:
        expect(m.quern("run"), 1)
        done = expect(m.quern("report"), 0, "4 of 10 done, 6 failed", "4 x failed: noop: it went wrong", "2 x refused: no such thing",
                      "these settings cannot work for this model: exclude them")
        assert max(map(len, done.stdout.splitlines())) <= 60, done.stdout
        # The most frequent first; each names its jobs and a command that works as it is printed.
        assert done.stdout.index("4 x failed") < done.stdout.index("2 x refused")
        commands = re.findall(r"^  quern (logs \d+)$", done.stdout, re.M)
        assert len(commands) == 2, done.stdout
        for command in commands:
            expect(m.quern(*command.split()), 0)
        # And what to type when the log has said what to mend.
        assert re.findall(r"^  (quern retry .*)$", done.stdout, re.M) == [
            f"quern retry --cause '{cause}' && quern run" for cause in ("failed", "refused")], done.stdout
        expect(m.quern("retry", "--cause", "refused"), 0, "back in the queue")
        assert [s for s in m.states().values()].count("pending") == 2
        expect(m.quern("retry", "--cause", "refused"), 0, "no job has failed for this cause")


def test_points_that_were_not_begun():
    """They have no job; the report has them all the same, by why, and what to type."""
    with Matrix(MATRIX.replace("name: m2}", "name: m2}\n  - {path: cut, name: cut}\n  - {path: gone, name: gone}")
                .replace("targets:", "targets:\n  - {engine: noop, quant: none, opt: 9, with: {mode: ok}}", 1)) as m:
        make_model(m.root / "cut")
        weights = m.root / "cut/model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-1])
        expect(m.quern("run"), 1, "12 not legal")
        done = expect(m.quern("report"), 0, "6 of 24 done, 6 failed, 12 not begun", "6 not begun, bad source:", "cut short",
                      "6 not begun, source:", "correct the model's files, or name another source")
        assert max(map(len, done.stdout.splitlines())) <= 60, done.stdout
        assert len(re.findall("^  quern run$", done.stdout, re.M)) == 2, done.stdout
        r = json.loads(m.quern("report", "--json").stdout)
        assert [(f["cause"], f["count"], f["label"].split("/")[0], f["command"]) for f in r["not_begun"]] == [
            ("bad source", 6, "cut", "quern run"), ("source", 6, "gone", "quern run")], r["not_begun"]
        assert r["run"]["not_begun"] == 12 and r["counts"]["total"] == 12
        p, _ = page(m)
        assert "not begun" in "".join(p.words) and any("cut short" in w for w in p.words)
        weights.write_bytes(whole)
        shutil.copytree(m.root / "model", m.root / "gone")
        expect(m.quern("run"), 1, "6 converted")
        assert "not begun" not in expect(m.quern("report"), 0, "12 of 24 done, 12 failed").stdout


def test_reasons_are_counted_and_not_all_kept():
    gone = "".join(f"\n  - {{path: gone{i}, name: gone{i}}}" for i in range(60))
    with Matrix(MATRIX.replace("name: m2}", "name: m2}" + gone)) as m:
        expect(m.quern("run"), 1)
        r = json.loads(m.quern("report", "--json").stdout)
        assert r["run"]["not_begun"] == 300 and [f["count"] for f in r["not_begun"]] == [5] * 50, r["not_begun"]
        expect(m.quern("report"), 0, "300 not begun", "250 not begun for other reasons\n  quern plan\n")
        p, _ = page(m)
        assert "50 not begun for other reasons" in p.words


def test_the_evidence_of_a_cause():
    with Matrix(MATRIX) as m:
        expect(m.quern("run"), 1)
        assert "log:" not in expect(m.quern("report"), 0).stdout  # the message says it already

        def say(evidence):
            with sqlite3.connect(m.work / "state.db") as db:
                db.execute("UPDATE attempt SET evidence_from = 'log', evidence = ? WHERE cause = 'failed'", (evidence,))
            text = expect(m.quern("report"), 0).stdout
            assert max(map(len, text.splitlines())) <= 60 and "\x1b" not in text and "\u202e" not in text, text
            return text.split("it went wrong\n", 1)[1].split("  jobs ", 1)[0]

        assert say("ValueError: no rope") == "  log: ValueError: no rope\n"
        told = say("ValueError: " + "one word and another " * 8)
        assert told.startswith("  log: ValueError: one word and another one word and another\n    one word"), told
        hostile = "\x1b[2J\u202e</p><script>alert(3)</script>" + "x" * 900
        told = say(hostile)
        assert told.startswith("  log: \\x1b[2J\\u202e</p><script>alert(3)</script>x"), told
        assert len(told.splitlines()) == 4 and told.endswith("x ...\n"), told
        p, text = page(m)
        assert "\x1b" not in text and "\u202e" not in text and "<script>alert" not in text
        assert [w for w in p.words if w.startswith("log: ") or "alert(3)" in w and "x" * 900 in w], "the page has all of it"
        causes = json.loads(expect(m.quern("report", "--json"), 0).stdout)["causes"]
        assert [(c["evidence_from"], c["evidence"]) for c in causes] == [("log", hostile), ("", "")], causes


def test_json_has_what_the_text_has():
    with Matrix(MATRIX) as m:
        expect(m.quern("run"), 1)
        r = json.loads(expect(m.quern("report", "--json"), 0).stdout)
        assert r["run"]["name"] == "nightly" and r["run"]["state"] == "ended"
        assert r["counts"]["done"] == 4 and r["counts"]["failed"] == 6 and r["counts"]["total"] == 10
        assert [(c["cause"], c["count"], len(c["jobs"])) for c in r["causes"]] == [("failed", 4, 4), ("refused", 2, 2)]
        assert {(p["repo"], p["files"]) for p in r["published"]} == {("ns/m1", 2), ("ns/m2", 2)}
        assert len(r["jobs"]) == 10 and all(j["artifact_bytes"] == 6 for j in r["jobs"] if j["state"] == "done")
        assert r["nights"][0]["converted"] == 4 and r["nights"][0]["failed"] == 6
        expect(m.quern("report", "-o", "r.json"), 0)
        assert json.loads((m.root / "r.json").read_text()) == r


def test_quality_of_every_type_in_the_first_matrix():
    source = Path(os.environ["QUERN_SOURCE"])
    with Matrix((source / "jobs.yaml").read_text().replace("work: .quern", "work: work")) as m:
        shutil.copytree(source / "tests/data/kjv-llama", m.root / "tests/data/kjv-llama")
        expect(m.quern("run", "--no-upload"), 0)
        engines = json.loads(expect(m.quern("engines", "--json"), 0).stdout)["engines"]
        types = {q["name"] for e in engines if e["name"] == "gguf" for q in e["quants"]}
        types = {t for t in types if not re.match("Q2_K_S|IQ1|IQ2|IQ3_X", t)}  # these want importances
        jobs = json.loads(expect(m.quern("report", "--json"), 0).stdout)["jobs"]
        quality = {j["variant"]: j["quality"] for j in jobs if j["model"] == "kjv-llama"}
        assert set(quality) == types and len(types) > 20, (set(quality), types)
        for name, q in quality.items():
            worst = [w["relative_error"] for w in q["worst"]]
            assert q["tensors"] == 29 and len(worst) == 10 and worst == sorted(worst, reverse=True), (name, q)
            assert worst[-1] <= worst[0] and worst[0] >= q["relative_error"], (name, q)
            lossless = name in ("F32", "BF16")  # the checkpoint is BF16
            assert (q["relative_error"] == 0) == lossless and (q["snr_db"] is None) == lossless, (name, q)
        assert quality["F16"]["relative_error"] < 1e-6 < 0.004 < quality["Q8_0"]["relative_error"] < 0.006
        assert quality["Q4_0"]["snr_db"] > quality["Q2_K"]["snr_db"] > 10
        expect(m.quern("report"), 0, "largest error: kjv-llama/gguf/Q1_0")
        # A worker may name its tensors as it likes.
        with sqlite3.connect(m.work / "state.db") as db:
            db.execute("UPDATE artifact SET facts = replace(facts, 'blk.2.attn_v.weight', '<b>&\\u0007')")
        p, text = page(m)
        assert "Size against quality" in p.words and "exact" in p.words and "\x07" not in text
        assert any("<b>&\\x07" in w for w in p.words), text


def test_the_page_is_whole_and_foreign_text_is_text():
    with Matrix(MATRIX) as m:
        expect(m.quern("run"), 1)
        # What a worker says is anything; the store is told as a worker would.
        said = "</td></script><script>alert('x')</script> & \"quoted\" \x1b[31m \u202e"
        with sqlite3.connect(m.work / "state.db") as db:
            db.execute("UPDATE job SET message = ? WHERE cause = 'refused'", (said,))
        p, text = page(m)
        shown = "</td></script><script>alert('x')</script> & \"quoted\" \\x1b[31m \\u202e"
        assert "".join(p.words).count(shown) == 3, text  # two jobs, one cause
        assert "\x1b" not in text and "\u202e" not in text
        assert {f"j{n}" for n in range(1, 11)} <= p.ids
        assert text.count('<td class="s-done"') == 4 and text.count('<td class="s-failed"') == 6  # of the grid
        assert text.count('class="state s-done"') == 4 and text.count('class="state s-failed"') == 6  # of the list
        assert p.tags.count("rect") >= 10 and text.count("data-j=") == 10  # of the time line
        assert "none opt 1" in p.words and "none hybrid 0.75" in p.words
        data = data_of(text)
        assert len(data["jobs"]) == 10 and shown in data["texts"] and data["models"] == ["m1", "m2"]
        assert sorted({data["states"][j[1]] for j in data["jobs"]}) == ["done", "failed"]
        assert set(data["commands"]) == {"failed", "refused"}


def test_a_long_message_is_folded_and_a_command_is_not():
    with Matrix(MATRIX) as m:
        expect(m.quern("run"), 1)
        path = "/srv/" + "very-long-name/" * 6 + "model.safetensors"
        with sqlite3.connect(m.work / "state.db") as db:
            db.execute("UPDATE job SET message = ? WHERE cause = 'refused'", (f"the tensors of {path} are " + "not what they say " * 9,))
        lines = expect(m.quern("report"), 0).stdout.splitlines()
        assert [line for line in lines if len(line) > 60] == ["  " + path], lines
        assert any(re.fullmatch("  quern logs \\d+", line) for line in lines)


def test_twenty_thousand_points_fit_on_one_page():
    """Points that never ran: no disk is as large as the reserve."""
    with Matrix() as m:
        opts = ", ".join(f"{i / 20000:.5f}" for i in range(20000))
        m.write(f"version: 1\nwork: work\nmodels: [{{path: model, name: m}}]\n"
                f"targets: [{{engine: noop, quant: none, hybrid: [{opts}]}}]\n"
                "resources: {jobs: 1, memory: 1GiB, disk_reserve: 1000TiB}\n")
        expect(m.quern("run"), 4, "no job fits the free disk")
        expect(m.quern("report", "-o", "r.html"), 0)
        text = (m.root / "r.html").read_text()
        p = Page(text)
        assert len([i for i in p.ids if re.fullmatch(r"j\d+", i)]) == 500  # the list without the script
        assert text.count('<td class="s-pending">') == 20000 and len(data_of(text)["jobs"]) == 20000
        assert "variant</th><th scope=\"col\"><span>m</span>" in text, "one model and many variants: the grid is turned"
        assert len(text) < 16 << 20


run_all(globals())
