#!/usr/bin/env python3
"""quern-board over a stand-in of each layout that the runtime has had: it loads, asks, counts, and outlives whatever the
runtime does."""
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

from harness import BOARD, EMULATOR, VERSIONS, Bench, library, wait_for


class Harness(unittest.TestCase):
    def setUp(self):
        self.bench = Bench()
        self.addCleanup(self.bench.close)

    def fails(self, said, code, cause, *words):
        self.assertEqual(said.code, code, said.about())
        self.assertEqual((said.result["event"], said.result["status"], said.result["cause"]), ("result", "error", cause),
                         said.about())
        for word in words:
            self.assertIn(word, said.result["message"])
        return said

    def test_every_layout(self):
        prompts = [{"name": "a", "text": "what is a quern and who mills?", "max_new_tokens": 8},
                   {"name": "b", "text": "hello there", "max_new_tokens": 16}]
        for version in VERSIONS:
            with self.subTest(version):
                said = self.bench.run(self.bench.job(version, prompts=prompts, runs=2, max_context=2048))
                self.assertEqual((said.code, said.result["answers"]), (0, 4), said.about())
                loaded = said.of("loaded")[0]
                self.assertEqual((loaded["runtime"], loaded["driver"], loaded["platform"]), (version, "0.9.8", "RK3588"))
                about_file = [loaded[k] for k in ("toolkit", "max_context", "cores", "target", "dtype")]
                # 1.1 says nothing of the file.
                self.assertEqual(about_file, [None] * 5 if version == "1.1.4" else ["1.2.3", 4096, 3, "RK3588", "W8A8"])
                # What the stand-in read at its own offsets.
                self.assertIn("context 2048, new tokens 8, top_k 1, async 0", said.log())
                answers = said.of("answer")
                self.assertEqual([(a["name"], a["run"]) for a in answers], [("a", 1), ("a", 2), ("b", 1), ("b", 2)])
                a, b = answers[0], answers[2]
                self.assertEqual(a["text"], "The stand-in was asked: what is a quern ")
                self.assertEqual(b["text"], "The stand-in was asked: hello there")
                self.assertEqual((a["cut"], b["cut"]), (True, False))
                numbers = [a[k] for k in ("ttft_ms", "prompt_ms", "prompt_tokens", "generate_ms", "new_tokens", "memory_bytes")]
                self.assertEqual(numbers, [17.5, 17.5, 7, 160, 8, 768 << 20])
                self.assertEqual(a["counted_by"], "perf" if version in ("1.2.3", "1.3.0") else "log")
                # Only 1.3 takes the number with the question.
                self.assertEqual([x["loaded_again"] for x in answers], [False, False, version != "1.3.0", False])
                self.assertEqual(said.log().count("STAND-IN destroyed"), 1 if version == "1.3.0" else 2)
                self.assertGreater(said.result["peak_rss_bytes"], 0)

    def test_look_and_layouts(self):
        for version in VERSIONS:
            said = self.bench.call("look", library(version))
            self.assertEqual((said.code, said.of("runtime")[0]["runtime"]), (0, version), said.about())
        self.fails(self.bench.call("look", library("1.2.3"), env={"QUERN_STANDIN_RKLLMRT": "no-npu"}), 4, "missing dependency",
                   "insmod rknpu")
        self.fails(self.bench.call("look", library("1.2.3"), env={"QUERN_STANDIN_RKLLMRT": "no-version"}), 4,
                   "missing dependency", "which version")
        self.fails(self.bench.call("look", library("1.2.3"), env={"QUERN_STANDIN_RKLLMRT": "crash"}), 1, "crash", "signal 6")
        self.fails(self.bench.call("look", "/nonexistent.so"), 4, "missing dependency", "cannot be loaded", "/nonexistent.so")
        self.fails(self.bench.call("look", "libc.so.6"), 4, "missing dependency", "rkllm_createDefaultParam")

    def test_the_layout_can_be_named(self):
        said = self.bench.run(self.bench.job("1.2.3", abi="1.2.2"))
        self.assertEqual((said.code, said.of("warning")), (0, []), said.about())
        said = self.bench.run(self.bench.job("1.2.3", abi="1.2.9"))
        self.fails(said, 3, None, '"1.2.9"', "1.2.1 to 1.2.3", "1.3.0")
        # One that is not the library's: said, since the numbers may be nonsense.
        said = self.bench.run(self.bench.job("1.2.1b1", abi="1.2.0"))
        self.assertIn("may be wrong", said.of("warning")[0]["text"])

    def test_while_loading(self):
        for do, code, cause, words in (("init-fails", 3, "refused", ("rkllm_init() returned -1", "matmul(w8a8) run failed")),
                                       ("init-crash", 1, "crash", ("loading the model", "signal 11"))):
            with self.subTest(do):
                self.fails(self.bench.run(self.bench.job(do=do)), code, cause, *words)
        self.fails(self.bench.run(self.bench.job(do="init-hang", load_ms=300)), 1, "timeout", "loading the model")
        (self.bench.root / "bad").write_bytes(b"GGUF" * 200)
        self.fails(self.bench.run(self.bench.job(model=self.bench.root / "bad")), 3, "refused", "invalid rkllm model!")
        self.fails(self.bench.run(self.bench.job(model="/nonexistent/m.rkllm")), 3, "refused", "/nonexistent/m.rkllm")

    def test_while_answering(self):
        for do, cause, words in (("crash", "crash", ("answering a prompt", "signal 11")),
                                 ("exits", "crash", ("with code 3",)),
                                 ("killed", "out of memory", ("out of memory",)),
                                 ("gives-up", "bad output", ("state 3",)),
                                 ("run-fails", "bad output", ("rkllm_run() returned -1", "not understood")),
                                 ("no-end", "bad output", ("without an end",))):
            for version in ("1.1.4", "1.2.3", "1.3.0"):
                with self.subTest(do=do, version=version):
                    said = self.fails(self.bench.run(self.bench.job(version, do=do)), 1, cause, *words)
                    self.assertEqual(len(said.of("loaded")), 1)
        self.fails(self.bench.run(self.bench.job(do="hang", answer_ms=300)), 1, "timeout", "answering a prompt")

    def test_what_is_told_badly(self):
        said = self.bench.run(self.bench.job(do="bad-times"))
        answer = said.of("answer")[0]
        self.assertEqual((answer["counted_by"], answer["prompt_tokens"], answer["memory_bytes"]), ("clock", None, None))
        self.assertEqual(answer["new_tokens"], 8)
        said = self.bench.run(self.bench.job(do="garbage"))
        self.assertEqual(said.of("answer")[0]["utf8"], False)
        self.assertIn("[PAD151935]", said.of("answer")[0]["text"])
        said = self.bench.run(self.bench.job(do="silent"))
        self.assertEqual((said.code, said.of("loaded")[0]["dtype"]), (0, None))
        said = self.bench.run(self.bench.job(do="flood"))
        self.assertEqual(said.code, 0, said.about())
        self.assertEqual(len(said.of("log")), 2000)
        self.assertIn("more lines", said.of("warning")[-1]["text"])

    def test_an_answer_without_end_is_cut(self):
        said = self.bench.run(self.bench.job(do="endless", prompts=[{"text": "on", "max_new_tokens": 32768}]))
        answer = said.of("answer")[0]
        self.assertEqual((answer["text_complete"], len(answer["text"]) <= 256 << 10, answer["cut"]), (True, True, True))

    def test_destroy_may_hang(self):
        said = self.bench.run(self.bench.job(do="destroy-hang"))
        self.assertEqual((said.code, said.result["status"]), (0, "ok"), said.about())

    def test_bad_jobs(self):
        good = self.bench.job()
        for change, words in (({"protocol": 2}, "protocol"), ({"model": "relative"}, "absolute"), ({"runs": 0}, "runs"),
                              ({"prompts": [{}]}, "prompt 1: a prompt has no text"), ({"prompts": []}, "no prompts"),
                              ({"max_context": 1.5}, "whole number"), ({"library": "a\0b"}, "library")):
            said = self.bench.run({**good, **change})
            self.assertEqual(said.code, 2, said.about())
            self.assertIn(words, said.err)
        for text in ("", "[]", "{", "\0", '{"protocol":1,' + '"a":[' * 100):
            self.assertEqual(self.bench.run(text).code, 2)
        self.assertEqual(self.bench.call("nothing").code, 2)
        self.assertEqual(self.bench.run({**good, "unknown": {"member": [1]}}).code, 0)

    def test_serve(self):
        p = self.bench.start("serve")
        out = []
        try:
            def next_event(kind):
                for line in p.stdout:
                    out.append(json.loads(line))
                    if out[-1]["event"] == kind:
                        return out[-1]
                self.fail(f"no {kind} in {out}")
            p.stdin.write(json.dumps(self.bench.job("1.3.0", prompts=())) + "\n\n")
            p.stdin.flush()
            next_event("loaded")
            for i in range(3):
                p.stdin.write("\n" + json.dumps({"ask": {"name": f"q{i}", "text": "hello " * (i + 1), "max_new_tokens": 64}}) + "\n")
                p.stdin.flush()
                answer = next_event("answer")
                self.assertEqual((answer["name"], answer["prompt_tokens"]), (f"q{i}", i + 1))
            p.stdin.close()
            self.assertEqual(next_event("result")["answers"], 3)
            self.assertEqual(p.wait(), 0)
        finally:
            p.kill()
            p.wait()
            p.stdout.close()
            p.stderr.close()

    def begin_hanging(self, **members):
        """A session in the middle of an answer that never ends; its own pid and the runtime's."""
        p = self.bench.start("serve")
        self.addCleanup(lambda: (p.kill(), p.wait(), p.stdout.close(), p.stderr.close(), p.stdin.close()))
        p.stdin.write(json.dumps(self.bench.job(do="hang", **members)) + "\n")
        p.stdin.flush()
        for line in p.stdout:
            if '"loaded"' in line:
                break
        return p

    def children(self, pid):
        found = []
        for name in os.listdir("/proc"):
            try:
                stat = Path(f"/proc/{name}/stat").read_text() if name.isdigit() else ""
            except OSError:
                continue
            if stat and int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(name))
        return found

    def test_the_lifeline(self):
        # Input ends, says nothing for too long, or a signal comes: all the same.
        for how in ("end", "silence", "signal"):
            with self.subTest(how):
                p = self.begin_hanging(silence_ms=300 if how == "silence" else 0)
                runtime = self.children(p.pid)
                self.assertEqual(len(runtime), 1)
                if how == "end":
                    p.stdin.close()
                    p.stdin = open(os.devnull, "w")
                elif how == "signal":
                    p.terminate()
                result = json.loads(p.stdout.readlines()[-1])
                self.assertEqual((result["status"], result["cause"], p.wait()), ("error", "stopped", 1), result)
                wait_for(lambda: not os.path.exists(f"/proc/{runtime[0]}"))

    @unittest.skipIf(EMULATOR, "the emulator's threads are in the way")
    def test_killed(self):
        p = self.begin_hanging()
        runtime = self.children(p.pid)
        p.kill()
        wait_for(lambda: not os.path.exists(f"/proc/{runtime[0]}"), "the runtime's process stayed")

    @unittest.skipIf(os.environ.get("QUERN_SANITIZE"), "sanitizers bring their own libraries")
    def test_it_needs_only_an_old_c_library(self):
        def readelf(*how):
            return subprocess.run(["readelf", "-W", *how, BOARD], check=True, stdout=subprocess.PIPE, text=True).stdout
        needed = set(re.findall(r"\(NEEDED\).*\[(.*?)\.so", readelf("-d")))
        self.assertLessEqual(needed, {"libc", "libdl", "ld-linux-aarch64"})
        versions = set(re.findall(r"GLIBC_(2[0-9.]+)", readelf("-V")))
        self.assertTrue(versions)
        # 2.17 is the first glibc of aarch64.
        self.assertLessEqual(max(tuple(map(int, v.split("."))) for v in versions), (2, 17), versions)
        size = int(re.search(r"\.init_array +INIT_ARRAY +\S+ \S+ (\S+)", readelf("-S")).group(1), 16)
        self.assertEqual(size, 8, "a constructor, which an old C library would not run")


if __name__ == "__main__":
    unittest.main()
