#!/usr/bin/env python3
"""The worker's modules by themselves: lines of the toolkit, keywords, files, the protocol."""
import json
import os
import random
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import bench  # noqa: F401 -- the paths of the modules
import quern_worker
from quern_rkllm import drive, failures, fileinfo, keywords, lines, output, weights
from quern_worker import protocol


class Lines(unittest.TestCase):
    def feed(self, *pieces):
        self.text, self.bars = [], []
        parser = lines.Lines(self.text.append, lambda *bar: self.bars.append(bar))
        for p in pieces:
            parser.feed(p)
        parser.end()
        return parser

    def test_bars(self):
        for text, bar in (
                ("Optimizing model:  88%|████████▊ | 22/25 [10:00<01:21, 27.3s/it]", ("optimize", 22, 25)),
                ("Loading checkpoint shards: 100%|##########| 2/2 [00:00<00:00,  7.31it/s]", ("load", 2, 2)),
                ("Converting model: 50%|#####     | 1/2", ("convert", 1, 2)),
                ("Generating train split: 21/21 [00:00]", ("calibrate", 21, 21)),
                ("  7%|7         | 9/128 [00:01<00:20,  5.9it/s]", ("work", 9, 128)),
                ("Building model: 100%|#| 9/5 [", ("build", 5, 5)), ("Saving: 0%|  | 0/0 [", None),
                ("INFO: Setting max_context_limit to 4096", None), ("ratio 3/4 of it", None),
                ("INFO: 100% done | 3/4", None)):
            self.assertEqual(lines.parse_bar(text), bar, text)

    def test_pieces(self):
        """Whatever the cuts: a line is a line, and the log keeps the last state of a bar."""
        data = ("Building model:  20%|##  | 1/5 [\rBuilding model: 100%|####| 5/5 [\nINFO: rkllm-toolkit version: 1.2.3\n"
                "\x1b[31mERROR: ü\x1b[0m\r\n\n\rINFO: Model has been saved to /a b/c!.rkllm!").encode()
        whole = self.feed(data)
        text, bars = self.text, self.bars
        self.assertEqual(bars, [("build", 1, 5), ("build", 5, 5)])
        self.assertEqual(text[0], "Building model: 100%|####| 5/5 [")
        self.assertEqual(text[1:], ["INFO: rkllm-toolkit version: 1.2.3", "ERROR: ü",
                                    "INFO: Model has been saved to /a b/c!.rkllm!"])
        self.assertEqual(whole.said, {"version": "1.2.3", "saved": "/a b/c!.rkllm"})
        for _ in range(50):
            cut = sorted(random.Random(_).sample(range(len(data)), 7))
            self.feed(*[data[a:b] for a, b in zip([0] + cut, cut + [len(data)])])
            self.assertEqual((self.text, self.bars), (text, bars))

    def test_no_line_end(self):
        self.feed(b"x" * (lines.SEGMENT_MAX * 3 + 5))
        self.assertEqual([len(t) for t in self.text], [lines.SEGMENT_MAX] * 3 + [5])

    def test_what_a_load_log_says(self):
        said = lines.what_it_says("I rkllm: rkllm-toolkit version: 1.1.4b5, max_context_limit: 4096, npu_core_num: 3, "
                                  "target_platform: RK3588, model_dtype: W8A8")
        self.assertEqual(said, {"version": "1.1.4b5", "max_context": 4096, "num_npu_core": 3, "platform": "rk3588",
                                "quant": "w8a8"})

    def test_the_refusal_of_a_dtype_is_no_statement(self):
        self.assertEqual(lines.what_it_says("ERROR: target_platform: rk3588 not support quantized_dtype: w4a16!"), {})

    def test_disputes_and_lost_weights(self):
        p = self.feed(b"model_dtype: W8A8\nmodel_dtype: W4A16\nWARNING: Not found the weight of a.b\n" * 2)
        self.assertEqual(p.disputed, {"quant": {"w8a8", "w4a16"}})
        self.assertEqual(p.lost, {"a.b"})
        self.assertTrue(failures.too_many_lost(100, 5000))
        self.assertTrue(failures.too_many_lost(6, 20))
        self.assertFalse(failures.too_many_lost(1, 5))
        self.assertFalse(failures.too_many_lost(2, 300))


class Keywords(unittest.TestCase):
    def test_choose(self):
        def build(do_quantization, hybrid_rate=0, *, max_context=1, **kwargs):
            pass

        signature = keywords.read_signature(build)
        self.assertEqual(signature, ({"do_quantization", "hybrid_rate", "max_context"}, True))
        wanted = [("do_quantization", True, True), ("optimization_level", 1, True), ("new_one", 1, False)]
        kwargs, declared = keywords.choose("build", signature, "1.1.0", wanted)
        self.assertEqual(kwargs, {"do_quantization": True, "optimization_level": 1})
        self.assertEqual(declared, ["do_quantization"])
        with self.assertRaisesRegex(keywords.Unknown, "has no max_context; it came with 1.2.0"):
            keywords.choose("build", None, "1.1.4", [("max_context", 32, True)])
        with self.assertRaisesRegex(keywords.Unknown, "leave it out"):
            keywords.choose("build", (set(), False), "1.2.3", [("hybrid_rate", 0.5, True)])

    def test_signatures_of_no_python_function(self):
        self.assertIsNone(keywords.read_signature(type))


class Files(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="rkllm-files-"))
        self.path = self.dir / "a.rkllm"

    def tearDown(self):
        for p in self.dir.iterdir():
            p.unlink()
        self.dir.rmdir()

    def look(self, data):
        self.path.write_bytes(data)
        return fileinfo.look(str(self.path))

    def test_what_cannot_be_a_model(self):
        rnd = random.Random(1).randbytes(10000)
        for data, words in ((b"", "too small"), (b"\0" * 10000, "one byte value"), (b"\xff" * 10000, "one byte value"),
                            (b"GGUF" + rnd, "not a .rkllm"), (b"PK\3\4" + rnd, "not a .rkllm"), (rnd[:100], "too small")):
            with self.assertRaisesRegex(quern_worker.Fault, words):
                self.look(data)
        os.symlink("nowhere", self.dir / "link")
        with self.assertRaisesRegex(quern_worker.Fault, "not there"):
            fileinfo.look(str(self.dir / "link"))

    def test_what_it_says(self):
        rnd = random.Random(2).randbytes(9 << 20)
        text = b"rkllm-toolkit version: 1.2.3, max_context_limit: 4096, npu_core_num: 3, target_platform: RK3588, model_dtype: W8A8\0"
        for data in (text + rnd, rnd + text):
            info = self.look(data)
            self.assertEqual(fileinfo.facts_of(info["said"]), {"platform": "rk3588", "quant": "w8a8", "max_context": 4096,
                                                              "num_npu_core": 3})
            self.assertFalse(info["stand_in"])
        # Two sentences that contradict each other say nothing of that.
        info = self.look(text + rnd + text.replace(b"W8A8", b"W4A16"))
        self.assertEqual(fileinfo.facts_of(info["said"]), {"platform": "rk3588", "max_context": 4096, "num_npu_core": 3})
        self.assertEqual(self.look(rnd)["said"], {})

    def test_headers(self):
        path = self.dir / "x.safetensors"
        for seed in range(300):
            r = random.Random(seed)
            data = bytearray(bench.safetensors({"a": (4, 4), "b": (8,)}))
            for _ in range(r.randrange(1, 6)):
                data[r.randrange(len(data) - 48)] = r.randrange(256)
            path.write_bytes(data)
            try:
                for _, _, n, size in weights.read_safetensors(str(path)):
                    self.assertLessEqual(size, len(data))
            except quern_worker.Fault as why:
                self.assertEqual(why.cause, "bad source")

    def test_names(self):
        for name in ("config.json", "tokenizer.model", "LICENSE", "LICENSE.md", "LICENCE-MIT.txt", "qwen.tiktoken"):
            self.assertTrue(output.COMPANIONS.search(name), name)
        for name in ("model.safetensors", "README.md", "data_quant.json", "a.py", "my-config.json", "LICENSES", ".env",
                     "model.safetensors.index.json", "tokenizer.json.bak"):
            self.assertFalse(output.COMPANIONS.search(name), name)


class Protocol(unittest.TestCase):
    def test_faults(self):
        for why, code, cause in ((OSError(28, "full"), 1, "disk full"), (OSError(2, "gone"), 1, None),
                                 (MemoryError(), 1, "out of memory"), (KeyError("x"), 1, "crash"),
                                 (quern_worker.Fault("no", cause="bad source"), 3, "bad source")):
            fault = protocol.fault_of(why)
            self.assertEqual((fault.exit_code, fault.cause), (code, cause))

    def test_progress(self):
        with mock.patch.object(protocol, "event") as event:
            for i in range(1000):
                protocol.progress("a", i, 999, "x")
            protocol.progress("b", 5, 3, "x")
        told = [c.kwargs for c in event.call_args_list]
        self.assertLess(len(told), 12)
        self.assertEqual([t["done"] for t in told if t["stage"] == "a"][-1], 999)
        self.assertEqual((told[-1]["done"], told[-1]["total"]), (5, 5))

    def test_put(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "x")
            protocol.put(path, b"1")
            with mock.patch("os.replace", side_effect=OSError(28, "full")), self.assertRaises(OSError):
                protocol.put(path, b"2")
            self.assertEqual(Path(path).read_bytes(), b"1")

    def test_jobs(self):
        good = {"protocol": 1, "source": {"dir": "/x"}, "out": "out"}
        with tempfile.TemporaryDirectory() as d:
            path = Path(d, "job.json")
            path.write_text(json.dumps(good))
            self.assertEqual(quern_worker.read_job(str(path))["with"], {})
            for change in ({"protocol": True}, {"source": None}, {"source": {"dir": ""}}, {"out": "../x"}, {"out": ".x"},
                           {"file": "a/b"}, {"hybrid": "0"}, {"opt": 0.5}, {"opt": True}, {"with": []}, {"lora": {}},
                           {"lora": 1}, {"quant": 8}):
                path.write_text(json.dumps({**good, **change}))
                with self.assertRaises(ValueError, msg=change):
                    quern_worker.read_job(str(path))
            path.write_text("[" * 100000)
            with self.assertRaises(ValueError):
                quern_worker.read_job(str(path))


class Heart(unittest.TestCase):
    def test_only_work_counts(self):
        now, cpu = [0.0], [0.0]
        with mock.patch.object(drive.time, "monotonic", lambda: now[0]), \
                mock.patch.object(drive, "cpu_seconds", lambda: cpu[0]), \
                mock.patch.object(drive, "progress") as told:
            heart = drive._Heart(20.0)
            heart.bar("build", 3, 5)
            for step, (passed, worked, beats) in enumerate(((5, 5, 0), (20, 20, 1), (20, 0, 1), (20, 0.1, 1),
                                                            (20, 0.5, 2))):
                now[0] += passed
                cpu[0] += worked
                heart.beat()
                self.assertEqual(told.call_count, 1 + beats, step)
            self.assertEqual(told.call_args.args, ("build", 3, 5, "steps"))


if __name__ == "__main__":
    unittest.main()
