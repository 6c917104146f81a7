#!/usr/bin/env python3
"""The worker of RKLLM with the stand-in: inputs, what is refused before the toolkit starts, what comes out."""
import json
import os
import signal
import struct
import subprocess
import sys
import unittest

from bench import BUILD, PATIENCE_S, WORKER, Bench, make_model, safetensors

# Processor time that the worker sees of a child of its group, and of one that is not.
MEASURE = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from quern_rkllm import drive
work = 'import sys, time\\nwhile time.process_time() < 0.3: pass\\nprint(flush=True); sys.stdin.read()'
for alone in (False, True):
    p = subprocess.Popen([sys.executable, "-c", work], stdin=-1, stdout=-1, start_new_session=alone)
    before = drive.cpu_seconds() if alone else 0
    p.stdout.readline()
    print(drive.cpu_seconds() - before)
    p.kill()
    if alone:
        p.communicate()
"""


def tree(folder):
    return {str(p.relative_to(folder)): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob("*")}


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()

    @classmethod
    def tearDownClass(cls):
        cls.bench.close()

    def good(self, run):
        self.assertEqual(run.code, 0, run.about())
        return run

    def bad(self, run, words, cause="bad source", code=3):
        self.assertEqual(run.code, code, run.about())
        self.assertIn(words, run.result["message"])
        self.assertEqual(run.result.get("cause"), cause)
        self.assertEqual(run.calls(), {}, "the toolkit was started all the same")
        return run


class Inputs(Case):
    def gguf(self, name, head=b"GGUF" + struct.pack("<IQQ", 3, 0, 0)):
        folder = self.bench.folder("gguf")
        folder.mkdir()
        (folder / name).write_bytes(head + b"\1" * 20000)
        return {"dir": str(folder), "format": "gguf", "file": name}

    def adapter(self):
        folder = self.bench.folder("lora")
        folder.mkdir()
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
        (folder / "adapter_model.safetensors").write_bytes(safetensors({"a.lora_A.weight": (4, 8)}))
        return folder

    def test_all_parameters(self):
        files = {}
        for name, text in (("dataset", '[{"input": "a", "target": "b"}]'), ("custom_config", "{}"),
                           ("extra_qparams", "q")):
            path = self.bench.folder(name)
            path.write_text(text)
            files[name] = str(path)
        given = {"max_context": 4096, "num_npu_core": 2, "quantized_algorithm": "normal", "dtype": "float16",
                 "device": "cpu", "load_weight": True, "do_quantization": True, **files}
        run = self.good(self.bench.convert(**{"with": given}))
        calls = run.calls()
        self.assertEqual({k: v for c in calls.values() for k, v in c.items() if k in given}, given)
        self.assertEqual(run.facts["max_context"], 4096)
        self.assertEqual(run.facts["num_npu_core"], 2)
        self.assertEqual(run.facts["architecture"], "llama")
        self.assertEqual(run.facts["load_dtype"], "float16")
        self.assertEqual(run.facts["calibration"]["samples"], 1)
        self.assertEqual(run.warnings, [])

    def test_without_calibration_it_warns(self):
        self.assertIn("no calibration set", self.good(self.bench.convert()).warnings[0])

    def test_adapter(self):
        lora = self.adapter()
        run = self.good(self.bench.convert(lora={"dir": str(lora)}))
        self.assertEqual(run.calls()["load_huggingface"]["model_lora"], str(lora))
        self.assertIn("m-x_lora.rkllm", run.files)
        self.assertEqual(run.folder.joinpath("out/m-x_lora.rkllm").read_bytes()[:5], b"RKLLM")
        (lora / "adapter_model.safetensors").rename(lora / "adapter_model.bin")
        self.bad(self.bench.convert(lora={"dir": str(lora)}), "pickles")
        (lora / "adapter.gguf").write_bytes(b"GGUF")
        self.bad(self.bench.convert(lora={"dir": str(lora)}), "stands for itself", "illegal parameters")

    def test_gguf(self):
        source = self.gguf("a-Q4_0.gguf")
        run = self.good(self.bench.convert(platform="rk3576", quant="w4a16_g32", source=source))
        self.assertEqual(run.calls()["load_gguf"], {"model": source["dir"] + "/a-Q4_0.gguf"})
        self.assertEqual(run.files, ["m-x.rkllm"])
        source = self.gguf("a-F16.gguf")
        run = self.good(self.bench.convert(source=source, **{"with": {"do_quantization": False}}))
        self.assertNotIn("quantized_dtype", run.calls()["build"])
        self.assertNotIn("quant", run.facts)
        checked = self.bench.run(run.folder, "validate")
        self.assertEqual(checked.code, 0, checked.log)
        self.assertIn({"platform": "rk3588", "max_context": 4096, "num_npu_core": 3},
                      [e.get("facts") for e in checked.events])
        self.assertIs(run.facts["do_quantization"], False)
        del source["file"]  # the only one there
        # A file that says how many bits it has: 16 are what was asked for, and nothing is claimed; 8 are not.
        for act, good in (("sixteen_bits", True), ("other_dtype", False)):
            with open(os.path.join(source["dir"], "standin.json"), "w", encoding="ascii") as f:
                json.dump([{"do": act}], f)
            run = self.bench.convert(source=source, **{"with": {"do_quantization": False}})
            if good:
                self.good(run)
                self.assertNotIn("quant", run.facts)
                checked = self.bench.run(run.folder, "validate")
                self.assertEqual(checked.code, 0, checked.log)
                self.assertNotIn("quant", next(e["facts"] for e in checked.events if "facts" in e))
            else:
                self.assertEqual((run.code, run.result.get("cause")), (3, "bad output"), run.about())
                self.assertIn("says quant w8a8, asked for none", run.result["message"])
        os.unlink(os.path.join(source["dir"], "standin.json"))
        self.good(self.bench.convert(source=source, **{"with": {"do_quantization": False}}))
        self.bad(self.bench.convert(source=dict(source, file="../x.gguf")), "has no file")
        self.bad(self.bench.convert(source=source, **{"with": {"dtype": "float16"}}), "only a model in safetensors",
                 "illegal parameters")
        self.bad(self.bench.convert(source=self.gguf("a.gguf", b"version https://git-lfs.github.com")), "LFS pointer")
        self.bad(self.bench.convert(source=self.gguf("a.gguf", b"\0" * 30)), "not a GGUF")
        self.bad(self.bench.convert(source=self.gguf("a-00001-of-00003.gguf")), "one part of several")
        self.good(self.bench.convert(source=self.gguf("a-F16-00001-of-00001.gguf"),
                                     **{"with": {"do_quantization": False}}))

    def test_gptq(self):
        def run(quant="w4a16_g128", platform="rk3576", given=None, **q):
            config = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True,
                                              "desc_act": False, **q}}
            return self.bench.convert(model=self.bench.model(config=config), quant=quant, platform=platform,
                                      **{"with": given or {}})

        self.good(run())
        self.good(run("w8a8_g256", "rk3588", bits=8, group_size=256))
        self.bad(run("w4a16_g32"), "becomes w4a16_g128, not w4a16_g32", "illegal parameters")
        self.bad(run(desc_act=True), "desc_act True")
        self.bad(run(sym=False), "sym False")
        self.bad(run(bits=3), "of 3 bits")
        self.bad(run(group_size=-1), "groups of -1")
        self.bad(run(given={"quantized_algorithm": "grq"}), "takes quantized_algorithm normal", "illegal parameters")

    def test_other_quantized_sources(self):
        for q in ({"quant_method": "awq"}, {"quant_method": "bitsandbytes"}, {"load_in_4bit": True},
                  {"quant_method": "fp8"}, {"quant_method": "invented"}):
            self.bad(self.bench.convert(model=self.bench.model(config={"quantization_config": q})), "is quantized by")

    def test_code_of_the_checkpoint_needs_consent(self):
        for model in (self.bench.model(config={"auto_map": {"AutoModel": "x.Y"}}),
                      self.bench.model(files={"tokenizer_config.json": '{"auto_map": {"AutoTokenizer": "x.Y"}}'})):
            self.bad(self.bench.convert(model=model), "trust_remote_code: true", "illegal parameters")
            self.bad(self.bench.convert(model=model, trust_remote_code="yes"), "auto_map", "illegal parameters")
            self.good(self.bench.convert(model=model, trust_remote_code=True))

    def test_damaged_sources(self):
        def broken(name, data):
            model = self.bench.model()
            (model / name).write_bytes(data)
            return self.bench.convert(model=model)

        whole = safetensors({"a": (64, 64)})
        lying = json.dumps({"a": {"dtype": "F16", "shape": [1 << 45], "data_offsets": [0, 1 << 60]}}).encode()
        for name, data, words in (
                ("model.safetensors", whole[:-1], "its header says"),
                ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
                ("model.safetensors", struct.pack("<Q", 1 << 63) + b"{}", "cut off"),
                ("model.safetensors", struct.pack("<Q", len(lying)) + lying, "header is damaged"),
                ("model.safetensors", struct.pack("<Q", 4) + b"[[[[", "header is damaged"),
                ("model.safetensors", struct.pack("<Q", 60000) + b"[" * 60000, "header is damaged"),
                ("config.json", b'{"a": 1%s}' % (b"0" * 100000), "a number of 100001 digits"),
                ("config.json", b"{", "not JSON"), ("config.json", b"[]", "not a JSON object"),
                ("model.safetensors.index.json", b'{"weight_map": {"a": "gone.safetensors"}}', "not there")):
            with self.subTest(words):
                self.bad(broken(name, data), words)
        model = self.bench.model()
        (model / "model.safetensors").rename(model / "pytorch_model.bin")
        self.bad(self.bench.convert(model=model), "pickles")

    def test_impossible_parameters(self):
        for given, words in (({"max_context": 100}, "multiple of 32"), ({"max_context": "4096"}, "is not a multiple"),
                             ({"colour": 1}, "this engine has"), ({"dataset": "/nowhere"}, "is not a file"),
                             ({"load_weight": 1}, "true or false"), ({"num_npu_core": True}, "a number")):
            self.bad(self.bench.convert(**{"with": given}), words, "illegal parameters")
        self.bad(self.bench.convert(hybrid=1), "less than 1", "illegal parameters")
        self.bad(self.bench.convert(hybrid=-0.5), "0 or more", "illegal parameters")
        self.bad(self.bench.convert(opt=2), "0 and 1", "illegal parameters")
        self.bad(self.bench.convert(platform=""), "no platform", "illegal parameters")

    def test_calibration_files(self):
        for text, words in (("", "not JSON"), ("[]", "a list of objects"), ('{"input": 1}', "a list of objects"),
                            ('[{"target": "x"}]', "a list of objects"), ('[{"sample": "a.pkl"}]', "pickle")):
            path = self.bench.folder("data")
            path.write_text(text)
            self.bad(self.bench.convert(**{"with": {"dataset": str(path)}}), words, "illegal parameters")


class Outputs(Case):
    def test_other_dtype(self):
        """It writes, or says, w8a8 where w4a16 was asked for."""
        for act in ("other_dtype", "other_dtype_said"):
            run = self.bench.convert([{"do": act}], platform="rk3576", quant="w4a16")
            self.assertEqual(run.code, 3, run.about())
            self.assertEqual(run.result["cause"], "bad output")
            self.assertIn("w8a8, asked for w4a16" if act == "other_dtype" else "asked for", run.result["message"])

    def test_a_stand_in_is_no_model(self):
        env = self.bench.env(release=True)
        run = self.bench.convert(env=env)
        self.assertEqual(run.code, 3, run.about())
        self.assertIn("stand-in", run.result["message"])
        # One that hides it passes convert, as a vendor's file would: nothing in it is known to be wrong.
        run = self.good(self.bench.convert([{"do": "claims_release"}], env=env))
        self.assertNotIn("stand_in", run.facts)
        run = self.good(self.bench.convert())
        self.assertIs(run.facts["stand_in"], True)
        result = dict(run.result)
        result["facts"] = dict(result["facts"], tools={"rkllm-toolkit": "1.2.3"})
        (run.folder / "result.json").write_text(json.dumps(result))
        self.assertEqual(self.bench.run(run.folder, "validate").code, 3)

    def test_how_much_is_known_of_a_file(self):
        run = self.good(self.bench.convert())
        other = self.bench.folder("other.rkllm")
        other.write_bytes(os.urandom(9000))
        for path, words in ((run.folder / "out/m-x.rkllm", "it is no model"), (other, "only size and hollowness are checked")):
            for verb in ("inspect", "verify"):
                told = self.bench.run(run.folder, verb, str(path))
                self.assertEqual(told.code, 0, told.log)
                self.assertIn(words, told.events[0]["note"])
        self.assertEqual(self.bench.run(run.folder, "verify", "/nowhere").code, 3)

    def test_validate_tells_what_the_file_says(self):
        run = self.good(self.bench.convert(quant="w8a8_g128", **{"with": {"max_context": 2048}}))
        checked = self.bench.run(run.folder, "validate")
        self.assertEqual(checked.code, 0, checked.log)
        self.assertIn({"event": "facts", "facts": {"platform": "rk3588", "quant": "w8a8_g128", "max_context": 2048,
                                                   "num_npu_core": 3}}, checked.events)
        (run.folder / "result.json").write_text('{"files": [{"path": "../job.json", "size": 1}]}')
        self.assertEqual(self.bench.run(run.folder, "validate").code, 3)

    def test_companions(self):
        """Configuration, tokenizer and licence come along; weights, notes and ways out do not."""
        model = self.bench.model(files={"README.md": "x", "notes.txt": "x", "chat_template.jinja": "x",
                                        "merges.txt": "x", "training_args.bin": "x", "calib_config.json": "{}"})
        os.symlink("/etc/hostname", model / "vocab.txt")
        run = self.good(self.bench.convert(model=model))
        self.assertEqual(run.files, ["LICENSE", "chat_template.jinja", "config.json", "m-x.rkllm", "merges.txt",
                                     "tokenizer.json"])
        self.assertTrue(any("vocab.txt: a link out" in w for w in run.warnings), run.warnings)

    def test_companions_of_a_snapshot(self):
        """In a hub's cache every file is a link to a blob."""
        cache = self.bench.folder("cache")
        blobs, snapshot = cache / "blobs", cache / "snapshots/abc"
        make_model(blobs)
        snapshot.mkdir(parents=True)
        for p in blobs.iterdir():
            os.symlink(f"../../blobs/{p.name}", snapshot / p.name)
        run = self.good(self.bench.convert(model=snapshot))
        self.assertEqual(run.files, ["LICENSE", "config.json", "m-x.rkllm", "tokenizer.json"])
        self.assertFalse((run.folder / "out/config.json").is_symlink())

    def test_side_files(self):
        run = self.good(self.bench.convert(platform="rk3576", quant="w4a16", **{"with": {"quantized_algorithm": "grq"}}))
        self.assertIn("m-x.qparams", run.files)
        self.assertTrue(any("stray.pkl of the toolkit is not part" in w for w in run.warnings), run.warnings)
        self.assertNotIn("stray.pkl", run.files)
        run = self.good(self.bench.convert(**{"with": {"quantized_algorithm": "normal_r8"}}))
        self.assertIn("m-x_lora.rkllm", run.files)
        env = self.bench.env("1.3.0")
        both = {"export_tokenizer": True, "export_embedding": True}
        run = self.good(self.bench.convert(env=env, version="1.3.0", **{"with": both}))
        self.assertEqual([n for n in run.files if n.startswith("m-x")], ["m-x.embedding", "m-x.rkllm", "m-x.tokenizer"])

    def test_few_lost_weights(self):
        self.good(self.bench.convert([{"do": "lost_one_weight"}]))


class Place(Case):
    def test_the_environment_stays_as_it_is(self):
        """Scratch goes to the copy in the job folder, and that goes too."""
        env = self.bench.env()
        before = tree(env)
        run = self.good(self.bench.convert())
        self.assertEqual(tree(env), before)
        self.assertEqual({p.name for p in run.folder.iterdir()}, {"job.json", "out", "result.json"})

    def test_the_copy_is_what_runs(self):
        """A job that failed leaves its scratch for the eye; quern removes it."""
        run = self.bench.convert([{"do": "no_file"}])
        self.assertTrue((run.folder / ".rkllm/site/rkllm/cache.tensors").is_file())
        self.assertTrue(list((run.folder / ".rkllm/site").glob("rkllm_toolkit-*.dist-info/METADATA")))

    def test_it_is_the_copy_that_runs(self):
        """A .pth file that imports the package as Python starts: what would run is not the copy."""
        env = self.bench.env("1.2.0")
        site = next(env.glob("lib/python3*/site-packages"))
        (site / "early.pth").write_text("import rkllm.api\n")
        run = self.bench.convert(env=env, version="1.2.0")
        self.assertEqual(run.code, 4, run.about())
        self.assertIn("not from the copy", run.result["message"])

    def test_in_the_sandbox_nothing_else_is_written(self):
        launch = BUILD / "bin/quern-launch"
        model = self.bench.model([{"do": "write_to_source"}])
        folder = self.bench.job(model)
        (folder / "lock").touch()
        prefix = os.path.dirname(os.path.dirname(os.path.realpath(self.bench.env() / "bin/python")))
        with open(folder / "lock", "r+b") as lock:
            done = subprocess.run(
                [launch, "--job", folder, "--lock-fd", str(lock.fileno()), "--read", model, "--read", self.bench.env(),
                 "--read", prefix, "--read", WORKER.parent, "--", self.bench.env() / "bin/python", "-E", "-s", "-B",
                 WORKER, "convert", "job.json"], cwd=folder, pass_fds=[lock.fileno()], capture_output=True, text=True)
        features = subprocess.run([launch, "--features"], capture_output=True, text=True).stdout
        if "landlock\tno" in features:
            self.skipTest("this kernel has no Landlock")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("PermissionError", done.stderr)
        self.assertFalse((model / "written-by-the-toolkit").exists())

    def test_a_full_disk(self):
        """Wherever the room ends: the cause is named, another try is promised, and no result looks whole."""
        library = str(BUILD / "test-tools/full_disk.so")
        model = self.bench.model()
        codes = []
        for after in (0, 300, 1500, 3000, 8000, 30000, 60000, 100000, 10000000):
            run = self.bench.run(self.bench.job(model), LD_PRELOAD=library, FULL_DISK_AFTER=str(after))
            codes.append(run.code)
            if run.code == 0:
                continue
            self.assertEqual(run.code, 1, run.about())
            self.assertIn("No space left", run.log.strip().splitlines()[-1])
            if run.result:
                self.assertEqual((run.result["cause"], run.result["retry"]), ("disk full", True), run.about())
        self.assertEqual(codes[-1], 0)
        self.assertGreater(codes.count(1), 5)

    def test_much_text(self):
        run = self.good(self.bench.convert([{"do": "much_text"}]))
        self.assertLess(len(run.log), 20000)
        self.assertIn("3000 lines like: INFO: layer", run.log)


class Silence(Case):
    """A toolkit that computes in silence is alive; one that stands still is not."""

    def beats(self, act, wait_s):
        """How often the worker said again how far the stage was in which the toolkit fell silent."""
        folder = self.bench.job(self.bench.model([{"do": act}]))
        code = ("import os, sys; sys.argv = ['w', 'convert', 'job.json']; sys.path[:0] = [%r];"
                "from quern_rkllm import drive; drive.HEARTBEAT_S = 0.2;"
                "from quern_rkllm.verbs import main; sys.exit(main(sys.argv))" % str(WORKER.parent / "python"))
        p = subprocess.Popen([self.bench.env() / "bin/python", "-c", code], cwd=folder, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            p.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
        told = [json.loads(line) for line in p.communicate()[0].splitlines()]
        return sum(t.get("stage") == "optimize" and t["done"] == t["total"] for t in told) - 1

    def test_busy(self):
        self.assertGreater(self.beats("busy", PATIENCE_S), 2)

    def test_hang(self):
        # What it did before it stood still is counted once more, and on a busy machine a little later; else ten.
        self.assertLessEqual(self.beats("hang", 2.2), 3)

    def test_cpu_seconds(self):
        """It counts what the toolkit has started, too, and nobody of another group."""
        done = subprocess.run([sys.executable, "-c", MEASURE, str(WORKER.parent / "python")], start_new_session=True,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        same, other = map(float, done.stdout.split())
        self.assertGreaterEqual(same, 0.29)
        self.assertEqual(other, 0)


if __name__ == "__main__":
    unittest.main()
