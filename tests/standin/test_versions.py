#!/usr/bin/env python3
"""Which keywords each release of the toolkit is handed, and what of it counts as confirmed."""
import unittest

from bench import Bench
from quern_rkllm import versions
from make_env import VERSIONS

BUILD = {"do_quantization": True, "optimization_level": 1, "quantized_dtype": "w8a8", "quantized_algorithm": "normal",
         "target_platform": "rk3588", "hybrid_rate": 0.5, "num_npu_core": 3}
POINT = {"hybrid": 0.5, "opt": 1}


class Versions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()

    @classmethod
    def tearDownClass(cls):
        cls.bench.close()

    def convert(self, version, mode="declare", model=None, **job):
        return self.bench.convert(env=self.bench.env(version, mode=mode), version=version, model=model,
                                  **{**POINT, **job})

    def test_plain_point(self):
        """The same point on each release: nothing is handed that it does not know."""
        for version in VERSIONS:
            with self.subTest(version):
                run = self.convert(version)
                self.assertEqual(run.code, 0, run.about())
                calls = run.calls()
                self.assertEqual(list(calls), ["load_huggingface", "build", "export_rkllm"])
                self.assertEqual(set(calls["load_huggingface"]), {"model"})
                self.assertEqual(calls["build"], BUILD)
                self.assertIs(type(calls["build"]["optimization_level"]), int)
                self.assertEqual(set(calls["export_rkllm"]), {"export_path"})
                self.assertEqual(run.facts["tools"]["rkllm-toolkit"], version + "+standin")
                for name, value in (("platform", "rk3588"), ("quant", "w8a8"), ("hybrid", 0.5), ("opt", 1)):
                    self.assertEqual(run.facts[name], value)

    LATER = {"max_context": ("1.2.0", 8192, "build"), "dtype": ("1.2.0", "float16", "load_huggingface"),
             "load_weight": ("1.2.0", True, "load_huggingface"),
             "export_tokenizer": ("1.3.0", True, "export_rkllm"),
             "export_embedding": ("1.3.0", True, "export_rkllm")}

    def test_keywords_that_came_later(self):
        for version in ("1.2.0", "1.3.0"):
            given = {k: v for k, (first, v, _) in self.LATER.items() if versions.at_least(version, first)}
            run = self.convert(version, **{"with": given})
            self.assertEqual(run.code, 0, run.about())
            for name, value in given.items():
                self.assertEqual(run.calls()[self.LATER[name][2]][name], value)

    def test_keywords_that_are_not_there_yet(self):
        for version, name in (("1.1.4", "max_context"), ("1.1.4", "dtype"), ("1.2.3", "export_tokenizer")):
            first, value, call = self.LATER[name]
            run = self.convert(version, **{"with": {name: value}})
            self.assertEqual(run.code, 3, run.about())
            self.assertEqual(run.result["cause"], "illegal parameters")
            self.assertIn(f"has no {name}; it came with {first}", run.result["message"])
            self.assertNotIn(call, run.calls(), "the call was made all the same")

    def test_signatures_that_cannot_be_read(self):
        """The table decides; what no signature declares is not confirmed by the call, only by the file."""
        for version in ("1.1.0", "1.2.3"):
            run = self.convert(version, "hide")
            self.assertEqual(run.code, 0, run.about())
            self.assertEqual(run.calls()["build"], BUILD)
            self.assertNotIn("hybrid", run.facts)
            self.assertNotIn("opt", run.facts)
            self.assertEqual((run.facts["platform"], run.facts["quant"]), ("rk3588", "w8a8"))  # read in the file
        run = self.convert("1.1.0", "hide", **{"with": {"max_context": 4096}})
        self.assertEqual(run.code, 3, run.about())

    def test_signatures_that_swallow(self):
        """As the pipelines whose hybrid ratio went nowhere: **kwargs takes everything and confirms nothing."""
        run = self.convert("1.1.0", "swallow", **{"with": {"num_npu_core": 2}})
        self.assertEqual(run.code, 0, run.about())
        self.assertEqual(run.calls()["build"], {**BUILD, "num_npu_core": 2})
        self.assertNotIn("hybrid", run.facts)
        self.assertNotIn("opt", run.facts)
        run = self.convert("1.1.0", "swallow", **{"with": {"max_context": 4096}})
        self.assertEqual(run.code, 3, run.about())

    def test_platforms(self):
        """Each with the first version that has it, and with the one before."""
        before = {"1.2.0": "1.1.4", "1.2.1": "1.2.0"}
        for platform, (quant, first) in versions.PLATFORMS.items():
            with self.subTest(platform):
                run = self.convert(first, platform=platform, quant=quant, hybrid=0)
                self.assertEqual(run.code, 0, run.about())
                self.assertEqual(run.calls()["build"]["num_npu_core"], versions.CORES[platform])
                if first in before:
                    run = self.convert(before[first], platform=platform, quant=quant, hybrid=0)
                    self.assertEqual(run.code, 3, run.about())
                    self.assertEqual(run.result["cause"], "illegal parameters")

    def test_the_planned_version_is_the_installed_one(self):
        run = self.bench.convert(version="1.2.1")
        self.assertEqual(run.code, 4, run.about())
        self.assertIn("planned with rkllm-toolkit 1.2.1", run.result["message"])
        self.assertEqual(run.result["cause"], "missing dependency")
        for same in ("1.2.3", "1.2.3+other"):
            self.assertEqual(self.bench.convert(version=same).code, 0)

    def test_no_toolkit(self):
        site = next(self.bench.env("1.2.1").glob("lib/python3*/site-packages"))
        info = next(site.glob("*.dist-info"))
        info.rename(site / "gone")
        run = self.bench.convert(env=self.bench.env("1.2.1"), version="1.2.1")
        (site / "gone").rename(info)
        self.assertEqual(run.code, 4, run.about())
        self.assertIn("has no rkllm-toolkit", run.result["message"])

    def test_update(self):
        old = self.bench.folder("old")
        old.mkdir()
        (old / "old.rkllm").write_bytes(b"an old file" * 1000)
        source = {"dir": str(old), "format": "rkllm", "file": "old.rkllm"}

        def update(version="1.2.3", **members):
            return self.convert(version, **{"source": source, "quant": "keep", "platform": "", **members})

        run = update()
        self.assertEqual(run.code, 0, run.about())
        self.assertEqual(list(run.calls()), ["update_rkllm"])
        self.assertEqual(run.files, ["m-x.rkllm"])
        self.assertEqual(run.facts["quant"], "keep")
        for name in ("platform", "hybrid", "opt"):
            self.assertNotIn(name, run.facts)
        self.assertEqual(self.bench.run(run.folder, "validate").code, 0)
        run = update("1.1.0")
        self.assertEqual(run.code, 3, run.about())
        self.assertIn("has no update_rkllm", run.result["message"])
        run = update(**{"with": {"max_context": 4096}})
        self.assertEqual(run.code, 3, run.about())
        self.assertIn("renewed as it is", run.result["message"])
        self.assertEqual((old / "old.rkllm").read_bytes(), b"an old file" * 1000)

    def test_update_believes_the_file(self):
        """What an old file says of itself is confirmed, or speaks against the job."""
        old = self.bench.folder("old")
        old.mkdir()
        said = "rkllm-toolkit version: %s, max_context_limit: 4096, target_platform: RK3588, model_dtype: W8A8\n"

        def update(version, platform):
            (old / "old.rkllm").write_bytes((said % version).encode() + b"\0\1\2" * 5000)
            return self.convert("1.2.3", quant="keep", platform=platform,
                                source={"dir": str(old), "format": "rkllm", "file": "old.rkllm"})

        run = update("1.0.2", "rk3588")
        self.assertEqual(run.code, 0, run.about())
        self.assertEqual((run.facts["platform"], run.facts["quant"], run.facts["file_quant"]), ("rk3588", "keep", "w8a8"))
        checked = self.bench.run(run.folder, "validate")
        self.assertEqual(checked.code, 0, checked.log)
        self.assertIn({"platform": "rk3588", "file_quant": "w8a8", "max_context": 4096}, [e.get("facts") for e in checked.events])
        run = update("1.0.2", "rk3576")
        self.assertEqual((run.code, run.result["cause"]), (3, "illegal parameters"), run.about())
        self.assertIn("says that it is for rk3588, not for rk3576", run.result["message"])
        run = update("1.2.3", "rk3588")
        self.assertEqual((run.code, run.calls()), (3, {}), run.about())
        self.assertIn("only files of 1.0 are renewed", run.result["message"])

    def test_parse(self):
        self.assertEqual(versions.parse("1.2.1b1+x"), (1, 2, 1, -1))
        self.assertTrue(versions.at_least("1.2.1b1", "1.2.1"))
        self.assertFalse(versions.at_least("1.2.1", "1.2.2"))
        self.assertIsNone(versions.parse("unknown"))
        self.assertEqual(versions.pins("1.2.3")["transformers"], "4.55.2")
        self.assertEqual(versions.pins("1.1.4"), {})


if __name__ == "__main__":
    unittest.main()
