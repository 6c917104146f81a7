#!/usr/bin/env python3
"""Every way to fail that is known, done by the stand-in: which cause, whether it is tried again, and that nothing is
left that looks like a result."""
import re
import unittest
from concurrent.futures import ThreadPoolExecutor

from bench import Bench, SOURCE
from quern_rkllm import failures
from quern_worker.protocol import CAUSES

NEVER, ALWAYS, ONCE = failures.NEVER, failures.ALWAYS, failures.ONCE

# what the stand-in does: row of the table, cause, retry, exit code
EXPECTED = {
    "killed": ("killed", "out of memory", ALWAYS, 1),
    "killed_at_export": ("killed", "out of memory", ALWAYS, 1),
    "segfault": ("crashed", "crash", ONCE, 1),
    "no_memory": ("allocation", "out of memory", ALWAYS, 1),
    "cannot_allocate": ("allocation", "out of memory", ALWAYS, 1),
    "disk_full": ("scratch-full", "disk full", ALWAYS, 1),
    "unknown_class": ("class", "unsupported architecture", NEVER, 3),
    "cannot_load": ("newer-model", "unsupported architecture", NEVER, 3),
    "key_error": ("newer-model", "unsupported architecture", NEVER, 3),
    "size_mismatch": ("newer-model", "unsupported architecture", NEVER, 3),
    "lost_weights": ("lost-weights", "unsupported architecture", NEVER, 3),
    "lost_weights_and_0": ("lost-weights", "unsupported architecture", NEVER, 3),
    "dtype_of_platform": ("dtype-of-platform", "illegal parameters", NEVER, 3),
    "group_size": ("group-size", "illegal parameters", NEVER, 3),
    "bitsandbytes": ("prequantized", "bad source", NEVER, 3),
    "renamed": ("renamed-layers", "unsupported architecture", NEVER, 3),
    "truncated": ("truncated-json", "bad source", ONCE, 1),
    "rope_scaling": ("rope-scaling", "missing dependency", NEVER, 4),
    "model_wrapper": ("rope-scaling", "missing dependency", NEVER, 4),
    "lora_layer": ("lora-unmerged", "bad source", NEVER, 3),
    "gguf_type": ("gguf-type", "bad source", NEVER, 3),
    "no_module": ("python-module", "missing dependency", NEVER, 4),
    "other_exception": ("exception", None, ONCE, 1),
    "invalid_model": ("bad-model-file", "bad output", NEVER, 3),
    "gibberish": ("gibberish", "bad output", NEVER, 3),
    "ask": ("asked", "illegal parameters", NEVER, 3),
    "ask_token": ("asked", "illegal parameters", NEVER, 3),
    "exit_0": ("nothing-made", "bad output", ONCE, 1),
    "exit_0_at_export": ("nothing-made", "bad output", ONCE, 1),
    "system_exit": ("unknown", None, ONCE, 1),
    "returns_none": ("unknown", None, ONCE, 1),
    "no_file": ("nothing-made", "bad output", ONCE, 1),
    "no_line": ("nothing-made", "bad output", ONCE, 1),
    "saved_elsewhere": (None, "bad output", NEVER, 3),
    "small_file": ("too-small", "bad output", NEVER, 3),
    "zero_file": (None, "bad output", NEVER, 3),
    "other_platform": ("other-dtype", "bad output", NEVER, 3),
    "other_version": (None, "missing dependency", NEVER, 4),
}
# These are for test_worker.py: they succeed, or need more than a model.
ELSEWHERE = {"hang", "busy", "lost_one_weight", "other_dtype", "other_dtype_said", "sixteen_bits", "claims_release",
             "much_text", "write_to_source"}
UNREACHED = {"stalled"}  # quern's own: it ends a worker that tells no progress


class Failures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.bench.env()

        def run(name):
            return name, cls.bench.convert([{"do": name}])

        with ThreadPoolExecutor(2) as pool:
            cls.runs = dict(pool.map(run, EXPECTED))

    @classmethod
    def tearDownClass(cls):
        cls.bench.close()

    def test_each(self):
        for name, (row, cause, retry, code) in EXPECTED.items():
            with self.subTest(name):
                run = self.runs[name]
                self.assertEqual(run.code, code, run.about())
                self.assertEqual(run.result["status"], "error")
                self.assertEqual(run.result.get("cause"), cause, run.about())
                if retry is NEVER:
                    self.assertIs(run.result.get("retry", False), False, run.about())
                else:
                    self.assertIs(run.result["retry"], True, run.about())
                if row:
                    self.assertTrue(run.result["message"].endswith(failures.BY_ID[row].advice), run.about())
                self.assertEqual(run.log.strip().splitlines()[-1], run.result["message"])
                self.assertEqual(run.files, [], "something was left in out/")

    def test_a_question_is_told(self):
        for name, words in (("ask", "Do you wish to run the custom code?"), ("ask_token", "Token:")):
            message = self.runs[name].result["message"]
            self.assertIn("asked a question, and nobody answers in a batch: ", message)
            self.assertIn(words, message)

    def test_once_is_once(self):
        for name, (_, _, retry, _) in EXPECTED.items():
            if retry is ONCE:
                with self.subTest(name):
                    self.assertIs(failures.fault(failures.BY_ID[EXPECTED[name][0]], "x", 2).retry, False)
        run = self.bench.convert([{"do": "truncated"}], attempt=2)
        self.assertIs(run.result["retry"], False, run.about())

    def test_every_row_is_tried(self):
        tried = {row for row, *_ in EXPECTED.values()} | {"other-dtype"}
        self.assertEqual({row.id for row in failures.TABLE} - tried - UNREACHED, set())

    def test_every_act_is_tried(self):
        acts = set(re.findall(r'^    "(\w+)": \("', (SOURCE / "tests/standin/rkllm/failures.py").read_text(), re.M))
        self.assertEqual(acts - set(EXPECTED) - ELSEWHERE, set())
        self.assertEqual((set(EXPECTED) | ELSEWHERE) - acts, set())

    def test_rows_are_whole(self):
        for row in failures.TABLE:
            self.assertIn(row.cause, (None, *CAUSES))
            self.assertTrue(row.source and row.advice, row.id)

    def test_success_lines_match_no_row(self):
        for line in ("INFO: rkllm-toolkit version: 1.2.3", "INFO: Model has been saved to /x/Not-support/a.rkllm!",
                     "Optimizing model: 100%|####| 28/28 [00:10<00:00]", "INFO: Setting token_id of eos to 2"):
            watch = failures.Watch()
            watch.look(line)
            self.assertIsNone(watch.first(), line)


if __name__ == "__main__":
    unittest.main()
