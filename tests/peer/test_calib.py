#!/usr/bin/env python3
"""`quern-rkllm calib` with real transformers and PyTorch, inside the sandbox: the samples are what the model says. Only
the toolkit of the environment is a stand-in; calib needs its version and nothing else of it."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import torch
import transformers

SOURCE, BUILD = Path(os.environ["QUERN_SOURCE"]), Path(os.environ["QUERN_BUILD"])
sys.path.insert(0, str(SOURCE / "tests/standin"))
import make_env  # noqa: E402

SITE = Path(torch.__file__).resolve().parents[1]
PROMPTS = ["And it came to pass", "你好, who are you?", "Blessed are the"]
PATIENCE_S = 300


class Calib(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp(prefix="rkllm-calib-"))
        cls.env = cls.root / "env"
        make_env.make(cls.env, packages=SITE)
        cls.prompts = cls.root / "prompts.txt"
        cls.prompts.write_text("# a remark\n\n" + "\n".join(PROMPTS) + "\n")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root, ignore_errors=True)

    def calib(self, model, name, **members):
        folder = self.root / name
        (folder / "out").mkdir(parents=True)
        job = {"protocol": 1, "source": {"dir": str(model), "format": "safetensors"}, "out": "out", "threads": 1,
               "prompts": str(self.prompts), **members}
        (folder / "job.json").write_text(json.dumps(job))
        with open(folder / "lock", "w") as lock:
            done = subprocess.run(
                [BUILD / "bin/quern-launch", "--job", folder, "--lock-fd", str(lock.fileno()),
                 *[x for p in (model, self.env, SITE.parents[2], sys.base_prefix, BUILD / "bin", self.prompts)
                   for x in ("--read", str(p))],
                 "--", self.env / "bin/python", "-E", "-s", "-B", BUILD / "bin/quern-rkllm", "calib", "job.json"],
                cwd=folder, pass_fds=[lock.fileno()], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads((folder / "result.json").read_text())
        self.assertEqual([f["path"] for f in result["files"]], ["data_quant.json"])
        self.assertEqual(result["facts"]["samples"], len(PROMPTS))
        self.assertEqual(result["facts"]["tools"]["transformers"], transformers.__version__)
        self.assertEqual({p.name for p in folder.iterdir()}, {"job.json", "lock", "out", "result.json"})
        return json.loads((folder / "out/data_quant.json").read_text()), done.stdout

    def expected(self, model, prompt, seed, templated):
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        net = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        if templated:
            prompt = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False,
                                                   add_generation_prompt=True)
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        tokens = tokenizer(prompt, return_tensors="pt", add_special_tokens=not templated)
        made = net.generate(tokens["input_ids"], attention_mask=tokens["attention_mask"], do_sample=True,
                            temperature=0.6, max_new_tokens=128, pad_token_id=tokenizer.eos_token_id)
        return prompt, tokenizer.decode(made[0][tokens["input_ids"].shape[1]:], skip_special_tokens=True)

    def test_plain_model(self):
        model = SOURCE / "tests/data/kjv-llama"
        rows, said = self.calib(model, "plain")
        self.assertIn("no chat template", said)
        self.assertEqual([r["input"] for r in rows], PROMPTS)
        self.assertEqual((rows[2]["input"], rows[2]["target"]), self.expected(model, PROMPTS[2], 2, False))
        self.assertGreater(len(rows[2]["target"].split()), 20)
        # The job's own check takes it for what it is.
        self.assertTrue(all(set(r) == {"input", "target"} for r in rows))

    def test_chat_model(self):
        model = self.root / "chat"
        subprocess.run([BUILD / "bin/quern-fake", "make", "qwen2-tiny:fill=random", model], check=True,
                       stdout=subprocess.DEVNULL)
        rows, said = self.calib(model, "chat-job")
        self.assertNotIn("no chat template", said)
        self.assertEqual((rows[1]["input"], rows[1]["target"]), self.expected(model, PROMPTS[1], 1, True))
        self.assertIn("<|im_start|>user\n" + PROMPTS[1], rows[1]["input"])


if __name__ == "__main__":
    unittest.main()
