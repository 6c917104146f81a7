"""What ended an attempt: its cause, the evidence, what is tried next, and what is said of it."""
import json
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import JOBS, Matrix, expect, run_all  # noqa: E402


def matrix(mode, retry="attempts: 3, backoff: 10ms", resources="", **params):
    with_ = ", ".join(f"{k}: {v}" for k, v in {"mode": mode, **params}.items())
    return (JOBS.replace("opt: [0, 1, 2]", f"opt: 0\n    with: {{{with_}}}")
            .replace("attempts: 2, backoff: 10ms", retry).replace("grace: 1s", f"grace: 1s{resources}"))


def attempts(m):
    return m.sql("SELECT cause, evidence_from, evidence, rungs FROM attempt ORDER BY job_id, number")


def test_each_cause_has_its_evidence():
    """mode: cause, where it was read, a word of the evidence, how often it is tried."""
    for mode, (cause, where, word, tries) in {
            "fail": ("failed", "log", "it went wrong", 3), "crash": ("crash", "signal", "signal 11", 3),
            "refuse": ("refused", "result", "no such thing", 1), "silent": ("bad output", "result", "no result.json", 3),
            "rubbish": ("bad output", "result", "result.json", 3), "lie": ("bad output", "error", "SHA-256", 3),
            "invalid": ("bad output", "log", "not what it should be", 3),
            "told": ("network", "log", "noop: the lake is dry: 3 drops", 3),
            "no_space": ("disk full", "log", "No space left", 3),
            "names_cause": ("missing dependency", "result", "its words", 1)}.items():
        with Matrix(matrix(mode)) as m:
            expect(m.quern("run"), 1, f"failed: {cause}: ")
            got = attempts(m)
            assert len(got) == tries, (mode, got)
            for c, f, e, rungs in got:
                assert (c, f, rungs) == (cause, where, "") and word in e, (mode, got)
            shown = json.loads(m.quern("show", 1, "--json").stdout)
            assert shown["attempts"][0]["evidence_from"] == where and word in shown["attempts"][0]["evidence"], shown
            told = json.loads(m.quern("status", "--json").stdout)["failed"][0]
            assert (told["cause"], told["evidence_from"]) == (cause, where), told
            job = json.loads(m.quern("report", "--json").stdout)["jobs"][0]
            assert (job["cause"], job["evidence_from"]) == (cause, where), job
            assert m.sql("SELECT evidence_from FROM v_failures") == [(where,)]


def test_a_hostile_log_is_read_to_its_end_and_shown_tamed():
    with Matrix(matrix("hostile_log", "attempts: 1")) as m:
        done = expect(m.quern("run"), 1, "failed: network")
        (cause, where, evidence, _), = attempts(m)
        assert (cause, where) == ("network", "log") and "the lake is dry" in evidence, evidence
        shown = expect(m.quern("show", 1), 0, "the lake is dry").stdout
        for text in done.stdout, shown, evidence:
            assert "\x1b" not in text and "\x07" not in text, text


def test_limits_are_causes_with_the_last_words():
    with Matrix(matrix("hang", "attempts: 1", ", timeout: 400ms")) as m:
        expect(m.quern("run"), 1, "failed: timeout")
        assert attempts(m) == [("timeout", "limit", "took longer than resources.timeout", "")]
    with Matrix(matrix("hang", "attempts: 1", ", stall: 400ms")) as m:
        expect(m.quern("run"), 1, "failed: stall")


def test_rungs_are_climbed_in_order_and_kept():
    """Out of memory whatever is done: alone, then with less precision, then with twice the claim, then no more."""
    with Matrix(matrix("oom", "attempts: 9, backoff: 10ms")) as m:
        expect(m.quern("run"), 1, "will be tried again, changed: alone", "changed: low", "changed: memory x2",
               "nothing is left to change")
        assert [a[3] for a in attempts(m)] == ["", "alone", "alone, low", "alone, low, memory x2"]
        assert {a[:3] for a in attempts(m)} == {("out of memory", "log", "noop: std::bad_alloc")}
        (key,), = m.sql("SELECT lower(hex(key)) FROM job")
        given = [json.loads((m.work / "jobs" / key / str(n) / "job.json").read_text())["with"].get("precision")
                 for n in (1, 2, 3, 4)]
        assert given == [None, None, "low", "low"], given
        expect(m.quern("show", 1), 0, "alone, low, memory x2", "lower resources.jobs")
        # A person's retry begins with what was asked for.
        expect(m.quern("retry", "--failed", "--cause", "oom"), 0, "back in the queue")
        assert m.sql("SELECT rungs, attempts FROM job") == [("", 0)]
        expect(m.quern("retry", "--cause", "out of memroy"), 2, "did you mean")


def test_a_rung_that_alters_the_bytes_is_told_on_the_card():
    with Matrix(matrix("thirsty")) as m:
        expect(m.quern("run"), 0, "1 converted")
        assert m.sql("SELECT rungs, params FROM job") == [("alone, low", '{"mode":"thirsty"}')]
        facts, = m.sql("SELECT facts FROM artifact")[0]
        assert json.loads(facts)["rung"] == {"because": "out of memory", "rungs": ["low"], "toolkit": None,
                                             "with": {"precision": "low"}}, facts
        repo = next((m.work / "hub" / "ns").glob("*.git"))

        def published(name):
            return subprocess.run(["git", "-C", repo, "show", f"HEAD:{name}"], check=True, stdout=subprocess.PIPE,
                                  text=True).stdout
        variant = json.loads(published("quern.json"))["variants"][0]
        assert variant["with"] == {"mode": "thirsty", "precision": "low"}, variant
        assert variant["asked"]["with"] == {"mode": "thirsty"}, variant
        card = published("README.md")
        assert '"precision":"low"' in card and "asked for: 1.0.0," in card and "changed after: out of memory" in card, card
        expect(m.quern("card", "ns/m", "--audit"), 0)
        # The key is what was asked for: nothing is left to do, and a lost artifact is made as it was.
        expect(m.quern("run"), 0, "nothing to do")
        before = m.sql("SELECT sha256, facts FROM artifact")
        subprocess.run(["rm", "-r", m.work / "artifacts"], check=True)
        expect(m.quern("run"), 0, "1 converted")
        assert m.sql("SELECT sha256, facts FROM artifact") == before
        assert [a[3] for a in attempts(m)] == ["", "alone", "alone, low", "alone, low"]


def test_what_was_asked_for_stays_without_a_word():
    with Matrix(matrix("thirsty", precision="low")) as m:
        expect(m.quern("run"), 0, "1 converted")
        assert "rung" not in json.loads(m.sql("SELECT facts FROM artifact")[0][0])


def test_alone_is_alone():
    """While the job that was out of memory has the machine, nothing runs beside it."""
    text = JOBS.replace("opt: [0, 1, 2]", "opt: 0\n    with: {mode: oom, sleep_ms: 150}\n"
                        "  - {engine: noop, quant: none, opt: [1, 2, 3, 4, 5, 6], with: {sleep_ms: 100}}")
    with Matrix(text.replace("jobs: 2", "jobs: 3").replace("attempts: 2", "attempts: 3")) as m:
        expect(m.quern("run"), 1, "6 converted")
        spans = m.sql("SELECT rungs, started_ms, ended_ms FROM attempt")
        alone = [s for s in spans if "alone" in s[0]]
        assert len(alone) == 2, spans
        for a in alone:
            # Sealing of others may end later: what counts is when they started.
            assert not [s for s in spans if s is not a and a[1] < s[1] < a[2]], spans
            assert not [s for s in spans if s is not a and s[0] and a[1] < s[2] and s[1] < a[2]], spans


def test_more_time_is_a_rung():
    with Matrix(matrix("slow", "attempts: 3, backoff: 10ms, causes: {timeout: [time x1.1, time x60]}",
                       ", timeout: 300ms")) as m:
        expect(m.quern("run"), 0, "changed: time x1.1", "changed: time x60", "1 converted")
        assert [(a[0], a[3]) for a in attempts(m)] == [("timeout", ""), ("timeout", "time x1.1"), ("", "time x1.1, time x60")]
        assert "rung" not in json.loads(m.sql("SELECT facts FROM artifact")[0][0]), "more time changes no bytes"


def test_jobs_yaml_decides_what_follows():
    for retry, tries in {"causes: {oom: stop}": 1, "causes: {out of memory: later}": 3, "causes: {oom: [memory x2]}": 2,
                         "causes: {oom: {policy: later, attempts: 5, backoff: 1ms}}": 5,
                         "causes: {oom: {attempts: 2}}": 2}.items():
        with Matrix(matrix("oom", "attempts: 3, backoff: 10ms, " + retry)) as m:
            expect(m.quern("run"), 1, "failed: out of memory")
            assert len(attempts(m)) == tries, (retry, attempts(m))


def test_faults_have_their_places():
    for retry, words in {
            "causes: {omm: stop}": "there is no cause \"omm\"; did you mean \"oom\"?",
            "causes: {oom: never}": "out of memory is \"never\"; later, changed, stop",
            "causes: {oom: {policy: stop, ladder: [alone]}}": "a ladder with the policy stop",
            "causes: {oom: [alone, lwo]}": "there is no rung \"lwo\"; did you mean \"low\"?",
            "causes: {oom: [memory x1]}": "there is no rung \"memory x1\"",
            "causes: [oom]": "causes is a list; a map of causes"}.items():
        with Matrix(matrix("ok", retry)) as m:
            done = expect(m.quern("plan"), 2, words)
            assert re.search(r"jobs.yaml:\d+:\d+: ", done.stdout), done.stdout


MANIFEST = """\
manifest: 1
name: mine
version: 1.0.0
program: noop-worker
formats: {in: [safetensors], out: noop}
quant: {none: 8}
parameters: {p: {type: integer, max: 3}}
"""


def test_faults_of_a_manifest():
    for more, words in {
            "causes: {match: x}": "causes is a map; a list",
            "causes: [{match: x}]": "a cause without `match` or `cause`",
            "causes: [{match: x, cause: stall}]": "the cause \"stall\" is quern's own to find",
            "causes: [{match: x, cause: bad sauce}]": "there is no cause \"bad sauce\"; did you mean \"bad source\"?",
            f"causes: [{{match: \"{'x' * 5000}\", cause: oom}}]": "altogether are looked for",
            "ladder: {oom: alone}": "is \"alone\"; a list of rungs",
            "ladder: {oom: [{name: low, with: {q: 1}}]}": "the parameter \"q\" is not in `parameters`",
            "ladder: {oom: [{name: low, with: {p: 4}}]}": "p is 4",
            "ladder: {oom: [{name: alone, with: {p: 1}}]}": "there is a rung \"alone\" already",
            "ladder: {oom: [{with: {p: 1}}]}": "a rung without `name` or `with`",
            "ladder: {oom: [environment]}": "the rung environment of an engine without `environments`",
            "ladder: {oom: [memory x99]}": "there is no rung \"memory x99\""}.items():
        with Matrix() as m:
            (m.root / "e").mkdir()
            (m.root / "e" / "mine.yaml").write_text(MANIFEST + more)
            done = m.quern("engines", QUERN_ENGINES=m.root / "e")
            assert words in done.stdout and re.search(r"mine.yaml:8:\d+: ", done.stdout), (more, done.stdout)


if __name__ == "__main__":
    run_all(globals())
