#!/usr/bin/env python3
"""selftest: what it finds in good and in bad environments."""
import json
import unittest

from bench import Bench


class Selftest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()

    @classmethod
    def tearDownClass(cls):
        cls.bench.close()

    def selftest(self, version="1.2.3", rules=None, code=0, **how):
        folder = self.bench.job(self.bench.model(rules), version, environment=None)
        run = self.bench.run(folder, "selftest", env=self.bench.env(version, **how))
        self.assertEqual(run.code, code, run.about())
        checks = [e for e in run.events if e["event"] == "check"]
        self.assertEqual([{k: v for k, v in c.items() if k != "event"} for c in checks], run.facts["checks"])
        self.assertEqual({p.name for p in folder.iterdir()}, {"job.json", "out", "result.json"})
        return {c["name"]: c for c in checks}, run

    def states(self, checks, *names):
        return [checks[n]["state"] for n in names]

    def test_good(self):
        checks, _ = self.selftest()
        self.assertEqual(self.states(checks, "rk3588", "rk3576", "rk3562", "rv1126b", "same bytes twice", "illegal quant"),
                         ["good"] * 6, json.dumps(checks, indent=1))
        self.assertEqual(self.states(checks, "build", "load_gguf", "update_rkllm"), ["info"] * 3)
        self.assertIn("max_context=4096", checks["build"]["text"])
        self.assertIn("build -1", checks["hybrid_rate 1.0"]["text"])
        self.assertEqual(checks["build twice"]["text"], "load_huggingface 0, build 0, build 0")
        # The toolkit writes beside its own files, and nothing into TMPDIR.
        self.assertRegex(checks["scratch"]["text"], r"site: 1 files, 4096 bytes")
        self.assertNotIn("tmp: ", checks["scratch"]["text"].split("(")[0])
        self.assertEqual(checks["transformers"]["state"], "warn")  # none in this environment
        self.assertIn("wants 4.55.2", checks["transformers"]["text"])

    def test_old(self):
        checks, _ = self.selftest("1.1.0")
        self.assertNotIn("rk3562", checks)
        self.assertNotIn("update_rkllm", checks)
        self.assertNotIn("max_context", checks["build"]["text"])

    def test_hidden_signatures(self):
        checks, _ = self.selftest(mode="hide")
        self.assertEqual(self.states(checks, "build", "rk3588"), ["warn", "good"])
        checks, _ = self.selftest(mode="swallow")
        self.assertIn("takes anything", checks["build"]["text"])

    def test_bad(self):
        checks, run = self.selftest(rules=[{"do": "segfault", "when": {"platform": "rk3576"}}], code=4)
        self.assertEqual(self.states(checks, "rk3588", "rk3576"), ["good", "bad"])
        self.assertIn("SIGSEGV", checks["rk3576"]["text"])
        self.assertEqual(run.result["status"], "error")
        checks, _ = self.selftest(rules=[{"do": "no_module"}], code=4)
        self.assertEqual(self.states(checks, "rk3588"), ["bad"])
        self.assertNotIn("build twice", checks)

    def test_no_import(self):
        env = self.bench.env("1.2.0")
        api = next(env.glob("lib/python3*/site-packages/rkllm/api.py"))
        api.write_text("import pkg_resources_of_another_age\n")
        checks, _ = self.selftest("1.2.0", code=4)
        self.assertEqual(self.states(checks, "import"), ["bad"])
        self.assertIn("pkg_resources_of_another_age", checks["import"]["text"])


if __name__ == "__main__":
    unittest.main()
