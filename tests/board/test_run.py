#!/usr/bin/env python3
"""A night that ends on a board: quern run converts with the stand-in of the toolkit and measures with that of the runtime."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "standin")]
from driver import PROMPTS  # noqa: E402
from harness import BOARD, library  # noqa: E402
from make_env import make  # noqa: E402
from matrix import Matrix, environment  # noqa: E402
from rkllm_matrix import make_model  # noqa: E402
from sshd import Board  # noqa: E402


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.board = Board()
        cls.envs = tempfile.TemporaryDirectory(prefix="quern-env-")
        make(Path(cls.envs.name) / "env", "1.2.3")

    @classmethod
    def tearDownClass(cls):
        cls.board.close()
        cls.envs.cleanup()

    def matrix(self, **board):
        place = {"name": "b1", "host": "127.0.0.1", "port": self.board.port, "identity": str(self.board.root / "key"),
                 "known_hosts": str(self.board.root / "known hosts"), "dir": str(self.board.dir), "harness": BOARD,
                 "runtime": str(library("1.2.3")), "platform": "rk3588", **board}
        jobs = {"version": 1, "work": "work", "models": [{"path": "llama", "name": "m"}],
                "targets": [{"engine": "rkllm", "platform": ["rk3588", "rk3576"], "quant": "w8a8",
                             "with": {"dataset": "calibration.json", "max_context": 2048, "num_npu_core": 2}}],
                "engines": {"rkllm": {"environments": [{"path": str(Path(self.envs.name) / "env")}]}},
                "measure": [{"board": place, "prompts": "prompts.json", "runs": 2, "wait": "1s"}],
                "resources": {"disk_reserve": "1MiB"}, "upload": {"hub": "local", "namespace": "ns", "repo": "{model}-{platform}"}}
        m = Matrix(json.dumps(jobs))
        self.addCleanup(m.remove)
        make_model(m.root / "llama")
        (m.root / "prompts.json").write_text(json.dumps(PROMPTS))
        (m.root / "calibration.json").write_text('[{"input": "a", "target": "b"}]')
        return m

    def card(self, m, repo):
        bare = next((m.work / "hub/ns").glob(f"{repo}*.git"))
        return subprocess.run(["git", "-C", bare, "show", "HEAD:README.md"], check=True, stdout=subprocess.PIPE, text=True,
                              env=environment()).stdout

    def test_measured_and_published(self):
        m = self.matrix()
        done = m.quern("run", timeout=300, HOME=os.environ.get("HOME", "/"))
        self.assertEqual(done.returncode, 0, done.stdout)
        # The file's own words, and the job's, agree: context and cores too.
        self.assertNotIn("mismatch", done.stdout)
        card = self.card(m, "m-rk3588")
        # "(1) what is a quern": 5 words of 2.5 ms; 8 new ones of 20 ms; 768 MiB.
        for word in ("TTFT", "12.5", "50", "RK3588", "1.2.3"):
            self.assertIn(word, card)
        self.assertNotIn("127.0.0.1", card)
        # The board is an rk3588: the other platform's file was not tried there.
        self.assertNotIn("TTFT", self.card(m, "m-rk3576"))
        self.assertEqual((self.board.processes(), self.board.is_restored()), ([], True))
        again = m.quern("run", timeout=300, HOME=os.environ.get("HOME", "/"))
        self.assertEqual(again.returncode, 0, again.stdout)

    def test_no_board_loses_nothing(self):
        m = self.matrix(port=1)
        done = m.quern("run", timeout=300, HOME=os.environ.get("HOME", "/"))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("not reachable", done.stdout + m.quern("report").stdout)
        self.assertIn(".rkllm", self.card(m, "m-rk3588"))


if __name__ == "__main__":
    unittest.main()
