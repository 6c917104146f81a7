"""measure: in jobs.yaml and quern bench, against servers that behave and servers that do not."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LIB = Path(__file__).resolve().parent.parent / "lib"
sys.path.insert(0, str(LIB))
from llm_server import LlmServer  # noqa: E402
from matrix import JOBS, Matrix, expect, run_all  # noqa: E402

PROMPTS = {"name": "test",
           "performance": [{"name": "short", "prompt": "Tell me about water on a mountain.", "new_tokens": 48}],
           "quality": [{"name": "sense", "prompt": "Why does water boil sooner on a high mountain?", "new_tokens": 48,
                        "language": "en", "topic": ["water", "boil", "air"]}]}
SERVER = f"{sys.executable} {LIB}/llm_server.py --port {{port}}"


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {seconds} s: {what}")


def matrix(measure, jobs=JOBS, prompts=PROMPTS):
    m = Matrix(jobs.replace("opt: [0, 1, 2]", "opt: 0") + "measure:\n" + measure)
    (m.root / "prompts.json").write_text(json.dumps(prompts))
    return m


def stage(place, **more):
    more = {"regression": "off", **more}  # these servers take no time, and what is left is noise
    lines = [f"  - {place}\n", "    prompts: prompts.json\n", "    runs: 2\n"]
    return "".join(lines + [f"    {key}: {value}\n" for key, value in more.items()])


def bench(m, *args, **more):
    done = m.quern("bench", *args, "--prompts", "prompts.json", "--runs", 2, **more)
    return done


def alone(pid):
    """Nobody: the process is gone, or only waits for its parent to notice."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def hub_readme(m):
    repo = next((m.work / "hub" / "ns").glob("*.git"))
    return subprocess.run(["git", "-c", "safe.directory=*", "-C", repo, "show", "HEAD:README.md"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


# ---- endpoints that behave

def test_a_running_server_is_measured():
    with LlmServer("timings", loading=3, pause=0.001) as s, matrix(stage(f"endpoint: \"{s.url}\"")) as m:
        expect(m.quern("run"), 0, "1 converted", "1 measured")
        (row,) = m.sql("SELECT kind, prompt, seqlen, new_tokens, generate_per_s, counted_by, warnings, host FROM v_measured")
        assert row[:4] == ("endpoint", "short", 20, 48) and row[5:] == ("timings", 0, s.url), row
        assert abs(row[4] - 1000) < 0.01, row
        # Each run reads another prompt: caches of prompts do not help.
        texts = [chat["messages"][-1]["content"] for chat in s.chats()]
        assert len(texts) == 4 and len(set(texts)) == 4, texts
        assert all(chat["temperature"] == 0 and chat["stream"] for chat in s.chats())
        # Once is enough.
        asked = len(s.asked)
        expect(m.quern("run"), 0, "nothing to do")
        assert len(s.asked) == asked
        assert "| Model | Dtype | Seqlen | New_tokens | TTFT(ms) | Tokens/s | Memory(MB) |" in hub_readme(m)
        assert "127.0.0.1" not in hub_readme(m)
        expect(m.quern("show", 1), 0, "measured endpoint", "tokens/s", "answers: 1 of 1 are language")
        shown = json.loads(m.quern("show", 1, "--json").stdout)
        assert shown["measurements"][0]["result"]["rows"][0]["generate_per_s"]["runs"] == 2
        expect(m.quern("card", "--audit", "ns/m"), 0)


def test_who_counted_is_said():
    for mode, words in (("timings", "counted and timed by the server (timings)"),
                        ("usage", "tokens counted by the server (usage), times by quern"),
                        ("good", "pieces of the stream counted in their place"),
                        ("liar", "pieces of the stream counted in their place"),
                        ("nostream", "tokens counted by the server (usage)")):
        with LlmServer(mode) as s, matrix("") as m:
            m.write(JOBS)
            expect(bench(m, "--endpoint", s.url), 0, words)


def test_what_nobody_counted_is_counted_with_the_models_tokenizer():
    # By the tokenizers library: 76 tokens of the 48 words that the server says, 12 of the prompt with its number.
    words, tokens, prompt = "tokens counted with the model's tokenizer", 76, 12

    def check(m, *args):
        done = expect(bench(m, *args, "--json"), 0)
        (result,) = json.loads(done.stdout)["measurements"]
        (row,) = result["rows"]
        assert (result["counted_by"], row["new_tokens"], row["seqlen"]) == ("tokenizer", tokens, prompt), result
        # The first token came with the prompt.
        assert row["generate_per_s"]["runs"] == 2 and not result["warnings"], result

    kjv = Path(os.environ["QUERN_SOURCE"]) / "tests" / "data" / "kjv-llama"
    with LlmServer("good", pause=0.001) as s, matrix(stage(f"endpoint: \"{s.url}\"")) as m:
        # A GGUF file carries its tokenizer, a folder has it beside the weights.
        expect(m.quern("convert", kjv, "-o", "kjv.gguf", "--engine", "gguf", "--quant", "Q8_0"), 0)
        check(m, "kjv.gguf", "--endpoint", s.url)
        check(m, kjv, "--endpoint", s.url)
        # Of another kind of file it is that of the model it was made from.
        (m.root / "model" / "tokenizer.json").write_text((kjv / "tokenizer.json").read_text())
        expect(m.quern("run"), 0, "1 measured")
        check(m, 1, "--endpoint", s.url, "--no-store")
        expect(m.quern("show", 1), 0, words)
        assert words in hub_readme(m)
        # One that is there and cannot be read is said, and pieces of the stream are counted as before.
        (m.root / "model" / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}')
        expect(bench(m, 1, "--endpoint", s.url, "--no-store"), 0, "not counted with the model's tokenizer: model: the ",
               "pieces of the stream counted in their place")


def test_a_server_that_refuses_extensions_is_asked_plainly():
    with LlmServer("strict") as s, matrix(stage(f"endpoint: \"{s.url}\"")) as m:
        expect(m.quern("run"), 0, "1 measured")
        assert sum("top_k" in chat for chat in s.chats()) == 1


def test_load_unload_key_and_memory():
    place = """endpoint:
      url: "URL"
      model: "{name}"
      key_env: LLM_KEY
      load: "POST /api/load/{model}"
      unload: {path: "/api/unload/{model}", body: {model: "{model}"}}"""
    with LlmServer("ollama", models=["other", "m-none-opt-0"]) as s, matrix(stage(place.replace("URL", s.url))) as m:
        expect(m.quern("run"), 0, "is not set")  # measured by nobody: the variable is not there
        expect(m.quern("run", LLM_KEY="abc123"), 0, "1 measured")
        paths = [path for _, path, _, _ in s.asked]
        assert "/api/load/m-none-opt-0" in paths and paths[-1] == "/api/unload/m-none-opt-0", paths
        assert json.loads(s.asked[-1][2]) == {"model": "m-none-opt-0"}
        assert {key for *_, key in s.asked} == {"Bearer abc123"}
        assert m.sql("SELECT DISTINCT memory_bytes FROM v_measured") == [(123456789,)]
        assert "abc123" not in "".join(p.read_text(errors="replace") for p in m.work.rglob("*") if p.is_file())


def test_several_models_and_none_is_ours():
    with LlmServer(models=["a", "b"]) as s, matrix("") as m:
        m.write(JOBS)
        expect(bench(m, "--endpoint", s.url), 4, "lists 2 models", "a, b")
        expect(bench(m, "--endpoint", s.url, "--model", "b"), 0)
        assert s.chats()[-1]["model"] == "b"


# ---- endpoints that do not

def test_hostile_servers_end_with_a_sentence():
    for mode, words in (("fail", "the server answered 500: out of memory"), ("html", "a page came in place of an answer"),
                        ("nonsense", "no JSON"), ("longline", "longer than 512 KiB"), ("badutf8", "no JSON"),
                        ("error", "the server says: the model is gone"), ("endless", "does not stop")):
        with LlmServer(mode) as s, matrix(stage(f"endpoint: \"{s.url}\"")) as m:
            done = expect(m.quern("run"), 0, "1 converted", "not measured (endpoint)", words)
            assert "\x1b" not in done.stdout, done.stdout
            assert m.sql("SELECT state FROM measurement") == [("failed",)]
            assert set(m.states().values()) == {"done"}, mode


def test_slow_servers_do_not_hold_the_night():
    for mode in "hang", "drip", "silent":
        with LlmServer(mode) as s, matrix(stage(f"endpoint: \"{s.url}\"", answer="1s", timeout="20s")) as m:
            expect(m.quern("run"), 0, "1 converted", "not measured")
            assert set(m.states().values()) == {"done"}


def test_a_server_that_is_not_there_costs_two_looks():
    jobs = JOBS.replace("opt: 0", "opt: [0, 1, 2]")
    text = stage("endpoint: {url: \"http://127.0.0.1:9\", start: 1s}")
    with Matrix(jobs + "measure:\n" + text) as m:
        (m.root / "prompts.json").write_text(json.dumps(PROMPTS))
        expect(m.quern("run"), 0, "3 converted", "1 more are not measured", "3 not;")
        assert len(m.sql("SELECT 1 FROM measurement")) == 2
        with LlmServer() as s:
            m.write(jobs + "measure:\n" + stage(f"endpoint: \"{s.url}\""))
            expect(m.quern("run"), 0, "3 measured")


# ---- hold

def test_garbage_holds_publication_until_a_person_says_so():
    with LlmServer("garbage") as s, matrix(stage(f"endpoint: \"{s.url}\"", hold="[garbage]")) as m:
        expect(m.quern("run"), 1, "garbage: the answer to \"sense\" is no language (repeats)", "1 held back")
        assert set(m.states().values()) == {"ready"}
        assert not list((m.work / "hub").rglob("*.git"))
        expect(m.quern("run"), 1, "1 held back")
        expect(m.quern("upload"), 0, "is held by endpoint: garbage", "nothing to publish")
        expect(m.quern("show", 1), 0, "held", "garbage")
        expect(m.quern("upload", "--held"), 0, "1 repository up to date")
        assert set(m.states().values()) == {"done"}


def test_a_better_answer_lets_go():
    with LlmServer("garbage") as s, matrix(stage(f"endpoint: \"{s.url}\"", hold="[garbage]")) as m:
        expect(m.quern("run"), 1, "1 held back")
        s.server.mode = "usage"
        expect(m.quern("bench", 1, "--stage", "endpoint"), 0, "answers: 1 of 1 are language")
        expect(m.quern("run"), 0)
        assert set(m.states().values()) == {"done"}


def test_without_hold_a_warning_only_warns():
    with LlmServer("garbage") as s, matrix(stage(f"endpoint: \"{s.url}\"")) as m:
        expect(m.quern("run"), 0, "garbage", "1 with warnings")
        assert set(m.states().values()) == {"done"}


def test_publication_waits_no_longer_than_it_was_told():
    with LlmServer("silent") as s, matrix(stage(f"endpoint: \"{s.url}\"", hold="[garbage]", wait="1s", answer="60s")) as m:
        run = m.start("run")
        try:
            wait_until(lambda: (m.work / "state.db").exists() and "done" in states_now(m))
            assert m.sql("SELECT state FROM measurement") == [("running",)]
        finally:
            os.killpg(run.pid, signal.SIGINT)
            run.communicate(timeout=60)
        assert m.sql("SELECT count(*) FROM measurement") == [(0,)]  # stopped on request: as if never begun


def states_now(m):
    try:
        return set(m.states().values())
    except Exception:  # the tables may not be there yet
        return set()


def test_failed_can_hold_too():
    with LlmServer("fail") as s, matrix(stage(f"endpoint: \"{s.url}\"", hold="[failed]")) as m:
        expect(m.quern("run"), 1, "1 held back")
        assert m.sql("SELECT reason FROM hold") == [("failed",)]


# ---- serve

def test_a_server_is_started_for_the_file_and_ended():
    place = f"serve: \"{SERVER} --file '{{file}}' --pid-file pids --stubborn\""
    with matrix(stage(place)) as m:
        expect(m.quern("run", HF_TOKEN="hf_secret"), 0, "1 measured")
        pids = (m.root / "pids").read_text().split()
        assert len(pids) == 2 and all(map(alone, pids)), pids
        (log,) = m.work.glob("measure/*/server.log")
        assert "hf_secret" not in log.read_text() and "token in the environment:" in log.read_text()
        (row,) = m.sql("SELECT kind, memory_bytes > 1000000 FROM v_measured")
        assert row == ("serve", 1)


def test_a_server_that_dies_says_why():
    with matrix(stage(f"serve: \"{SERVER} --die 'no such quantization'\"")) as m:
        expect(m.quern("run"), 0, "1 converted", "ended by itself with exit code 3", "no such quantization")
    with matrix(stage("serve: \"/no/such/server {port}\"")) as m:
        expect(m.quern("run"), 0, "1 converted", "No such file")


def test_nothing_is_left_when_quern_is_killed():
    place = f"serve: \"{SERVER} --pid-file pids --stubborn --mode silent\""
    for victim in "quern", "child":
        with matrix(stage(place)) as m:
            run = m.start("run")
            wait_until((m.root / "pids").exists)
            pids = [int(p) for p in (m.root / "pids").read_text().split()]
            if victim == "child":
                children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
                for child in children:
                    os.kill(int(child), signal.SIGKILL)
            else:
                os.kill(run.pid, signal.SIGKILL)
            run.communicate(timeout=60)
            wait_until(lambda: all(map(alone, pids)))
            m.write(JOBS.replace("opt: [0, 1, 2]", "opt: 0") + "measure:\n" + stage(f"serve: \"{SERVER}\""))
            expect(m.quern("run"), 0, "1 measured")
            assert set(m.states().values()) == {"done"}


def test_what_kills_the_machine_is_tried_three_times():
    place = f"serve: \"{SERVER} --pid-file pids --mode silent\""
    with matrix(stage(place)) as m:
        for _ in range(3):
            (m.root / "pids").unlink(missing_ok=True)
            run = m.start("run")
            wait_until((m.root / "pids").exists)
            os.kill(run.pid, signal.SIGKILL)
            run.communicate(timeout=60)
        expect(m.quern("run"), 0)
        assert m.sql("SELECT state, count(*) FROM measurement GROUP BY state") == [("interrupted", 3)]


def test_killed_between_any_two_steps():
    """After each commit point around a measurement: nothing is converted again, the next run measures and publishes."""
    with LlmServer() as s:
        text = stage(f"endpoint: \"{s.url}\"", hold="[garbage]")
        with matrix(text) as m:
            log = m.root / "points"
            expect(m.quern("run", QUERN_CRASH_LOG=log), 0)
            names = log.read_text().split()
            ours = [i for i, name in enumerate(names) if name.startswith("measure:")]
            assert len(ours) == 2, names
        at = ours[0]
        while True:  # up to the last one that this process itself passes
            with matrix(text) as m:
                if m.quern("run", QUERN_CRASH_AT=at).returncode != 99:
                    break
                expect(m.quern("run"), 0)
                assert set(m.states().values()) == {"done"}
                assert m.sql("SELECT count(*) FROM attempt") == [(1,)]
                assert m.sql("SELECT count(*) FROM measurement WHERE state = 'done'") == [(1,)]
                assert m.sql("SELECT count(*) FROM measurement WHERE ended_ms IS NULL") == [(0,)]
                assert "Seqlen" in hub_readme(m)
            at += 1
        assert at >= ours[0] + 2, (at, names)


def test_alone_means_after_the_conversions():
    jobs = JOBS.replace("    opt: [0, 1, 2]\n", "    opt: [0, 1]\n    with: {sleep_ms: 200}\n")
    with Matrix(jobs + "measure:\n" + stage(f"serve: \"{SERVER}\"")) as m:
        (m.root / "prompts.json").write_text(json.dumps(PROMPTS))
        expect(m.quern("run"), 0, "2 converted", "2 measured")
        (last,) = m.sql("SELECT max(ended_ms) FROM attempt")[0]
        (first,) = m.sql("SELECT min(started_ms) FROM measurement")[0]
        assert last <= first, (last, first)
        spans = m.sql("SELECT started_ms, ended_ms FROM measurement ORDER BY id")
        assert spans[0][1] <= spans[1][0], spans  # one at a time


# ---- nights

SLOWER = "regression: generation with \"short\" went from 1000 to 333"


def test_two_runs_take_turns_on_a_machine():
    place = "endpoint: {url: \"URL\", key_env: WHO}"
    with LlmServer(pause=0.01) as s:
        at = place.replace("URL", s.url)
        with matrix(stage(at)) as a, matrix(stage(at)) as b:
            p = a.start("run", WHO="a")
            wait_until(lambda: s.chats())
            q = b.start("run", WHO="b")
            for m, child in ((a, p), (b, q)):
                said = child.communicate(timeout=60)[0]
                assert child.returncode == 0 and "1 measured" in said, said
        who = [key for *_, key in s.asked]
        first = who.count("Bearer a")
        # Whoever came second asked nothing before the first had ended.
        assert who == ["Bearer a"] * first + ["Bearer b"] * (len(who) - first) and first < len(who), who


def hears_ctrl_c(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1


def test_waiting_for_a_machine_has_an_end():
    def bench_of(m, url, *more):
        return ("bench", "--endpoint", url, "--prompts", "prompts.json", "--runs", 2, *more)

    with LlmServer("hang") as busy, LlmServer() as other, matrix(stage(f"endpoint: \"{busy.url}\"", timeout="1s")) as m:
        holder = m.start(*map(str, bench_of(m, busy.url)))
        wait_until(lambda: busy.chats())
        asked = len(busy.asked)
        # Another machine is another's turn.
        expect(m.quern(*bench_of(m, other.url)), 0, "tokens/s")
        expect(m.quern("run"), 0, "not measured (endpoint): another measurement holds the machine")
        assert len(busy.asked) == asked
        # Who waits is stopped by a signal; who held it and was killed holds it no more.
        waiting = m.start(*map(str, bench_of(m, busy.url)))
        wait_until(lambda: hears_ctrl_c(waiting.pid))
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(30) == 130
        waiting.communicate()
        holder.kill()
        holder.communicate()
        busy.server.mode = "good"
        expect(m.quern(*bench_of(m, busy.url)), 0, "tokens/s")


def test_a_regression_is_reported():
    with LlmServer("timings", pause=0.001) as s, matrix(stage(f"endpoint: \"{s.url}\"", again="1ms", regression="20%")) as m:
        expect(m.quern("run"), 0, "1 measured")
        s.server.pause = 0.003
        expect(m.quern("run"), 0, SLOWER, "1 measured")  # the time to the first token is this machine's: it may be one more
        expect(m.quern("show", 1), 0, "regression")
        expect(m.quern("report"), 0, "regression")


def test_another_engine_version_is_compared_with_the_one_before():
    with LlmServer("timings", pause=0.001) as s, matrix(stage(f"endpoint: \"{s.url}\"", regression="20%")) as m:
        expect(m.quern("run"), 0, "1 measured")
        path = m.root / "model" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\1")
        s.server.pause = 0.003
        expect(m.quern("run"), 0, SLOWER, "1 measured")


def test_no_measure():
    with LlmServer() as s, matrix(stage(f"endpoint: \"{s.url}\"")) as m:
        expect(m.quern("run", "--no-measure"), 0, "1 converted")
        assert not s.asked
        expect(m.quern("run"), 0, "1 measured")
        assert "Seqlen" in hub_readme(m)  # the card of what was published before


# ---- bench

def test_bench_of_a_file_and_of_a_job():
    with matrix("") as m:
        m.write(JOBS)
        expect(m.quern("run"), 0)
        (path,) = m.sql("SELECT name FROM artifact WHERE job_id = 1")[0]
        file = next(m.work.glob(f"artifacts/*/{path}"))
        done = expect(bench(m, file, "--serve", f"{SERVER} --file {{file}}", "--json"), 0)
        result = json.loads(done.stdout)
        assert result["job"] is None and result["measurements"][0]["kind"] == "serve"
        assert m.sql("SELECT count(*) FROM measurement") == [(0,)]
        expect(bench(m, 1, "--serve", f"{SERVER} --mode garbage"), 1, "is no language")
        assert m.sql("SELECT state, run_id FROM measurement") == [("done", None)]
        expect(bench(m, 1, "--serve", f"{SERVER}", "--no-store"), 0)
        assert m.sql("SELECT count(*) FROM measurement") == [(1,)]
        expect(bench(m), 2, "name a job or a file")
        expect(bench(m, 1, "--serve", "server"), 2, "has no {port}")
        expect(bench(m, 1, "--endpoint", "http://x", "--serve", "y"), 2, "one of")
        expect(bench(m, 1), 2, "measures this nowhere")
        expect(bench(m, 99, "--serve", SERVER), 2, "99")


def test_the_example_is_one():
    text = (Path(os.environ["QUERN_SOURCE"]) / "docs/examples/measure.yaml").read_text()
    targets = """targets:
  - {engine: gguf, quant: Q8_0}
  - {engine: rkllm, platform: rk3588, quant: w8a8}
  - engine: noop"""
    text = text.replace("compressed-tensors", "noop")  # for an engine that is not among the tests' own
    with Matrix(JOBS.replace("name: m}", "name: small-m}").replace("targets:\n  - engine: noop", targets) + text) as m:
        expect(m.quern("plan"), 0)


def test_a_measurement_that_meets_nothing_is_a_fault():
    def faults(entries, *words, targets=""):
        with Matrix(JOBS.replace("targets:\n", "targets:\n" + targets) + "measure:\n" + entries) as m:
            expect(m.quern("run"), 2 if words else 0, *words)
            assert not words or not (m.work / "artifacts").exists() or not list((m.work / "artifacts").iterdir())

    line = 1 + len(JOBS.splitlines()) + 1
    faults("  - {endpoint: 'http://a:1', when: {engine: nop, quant: nine, platform: [x]}}\n",
           f"jobs.yaml:{line}:45: no target has the engine \"nop\"; did you mean \"noop\"?",
           f"jobs.yaml:{line}:57: no target has the quant \"nine\"; did you mean \"none\"?",
           f"jobs.yaml:{line}:74: no target has the platform \"x\"; there is: none", "3 faults")
    faults("  - {endpoint: 'http://a:1', when: {model: n}}\n", f"jobs.yaml:{line}:44: no model is named \"n\"", "1 fault")
    faults("  - {endpoint: 'http://a:1', when: {opt: 3}}\n", "a measurement that meets no target; correct its `when`, or")
    # Each value is somewhere, and nowhere together.
    gguf = "  - {engine: gguf, quant: Q8_0}\n"
    faults("  - {endpoint: 'http://a:1', when: {engine: gguf, quant: none}}\n", f"jobs.yaml:{line + 1}:36: a measurement that meets",
           "1 fault", targets=gguf)
    faults("  - {board: {host: h, platform: rk3588}}\n", f"jobs.yaml:{line}:5: a board of platform \"rk3588\", and no target")
    faults("  - {board: {host: h, platform: rk3588}, when: {engine: noop}}\n", "correct its `when` or the board's `platform`")
    # What only include has is met, too.
    with Matrix(JOBS + "include:\n" + gguf + "measure:\n  - {endpoint: 'http://127.0.0.1:1', when: {quant: Q8_*}}\n") as m:
        expect(m.quern("plan"), 0)


def test_faults_of_the_section():
    text = """\
  - endpoint: {url: "http://me:pw@host/v1", start: 0}
    hold: [garbag]
    runs: 0
    regresion: 5%
  - serve: [server, "{prot}"]
    regression: 200%
  - endpoint: http://host/v1
  - {name: x}
  - board: {port: 70000, clocks: maybe}
  - endpoint: "http://a"
    serve: "b {port}"
    name: endpoint
"""
    with matrix(text) as m:
        expect(m.quern("plan"), 2, "password in it", "hold is \"garbag\"; garbage, mismatch, regression or failed is wanted",
               "runs is \"0\"", "did you mean \"regression\"?", "unknown variable {prot}; did you mean {port}?",
               "regression is \"200%\"", "a measurement without a place", "a board without `host`", "port is \"70000\"",
               "a measurement in several places")
    with matrix(stage("endpoint: \"http://host:1\"", prompts2="x").replace("    prompts2: x\n", "")) as m:
        (m.root / "prompts.json").write_text('{"performance": [{"promt": "x"}]}')
        expect(m.quern("run"), 0, "did you mean \"prompt\"?")


run_all(globals())
