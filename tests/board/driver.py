"""quern bench --board, with this machine as the board: what the tests of the driver share."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import BOARD, PATIENCE, library, model_bytes, wait_for
from sshd import Board

QUERN = os.environ["QUERN"]
PROMPTS = {"name": "two", "performance": [{"name": "short", "prompt": "what is a quern", "new_tokens": 8}],
           "quality": [{"name": "mill", "prompt": "say what the miller does with grain and flour in the mill", "new_tokens": 64}]}


class DriverCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.board = Board()

    @classmethod
    def tearDownClass(cls):
        cls.board.close()

    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="quern-driver-"))
        self.addCleanup(shutil.rmtree, self.root, True)
        self.logs = self.root / "logs"
        (self.root / "prompts.json").write_text(json.dumps(PROMPTS))
        (self.root / "run").mkdir()

    def settings(self, **changes):
        board = {"name": "b1", "host": "127.0.0.1", "port": self.board.port, "identity": str(self.board.root / "key"),
                 "known_hosts": str(self.board.root / "known hosts"), "dir": str(self.board.dir),
                 "runtime": str(library("1.2.3")), "harness": BOARD}
        board.update(changes)
        return {k: v for k, v in board.items() if v is not None}

    def start(self, do="", model=None, timeout="2min", answer="1min", more=(), **changes):
        if model is None:
            model = self.root / "m.rkllm"
            model.write_bytes(model_bytes(do, size=1 << 20))
        jobs = {"version": 1, "models": [{"path": "none"}], "targets": [{"engine": "gguf", "quant": ["F16"]}],
                "measure": [{"board": self.settings(**changes), "timeout": timeout, "answer": answer}]}
        (self.root / "jobs.yaml").write_text(json.dumps(jobs))
        env = {k: v for k, v in os.environ.items() if k not in ("SSH_AUTH_SOCK",)}
        env["XDG_RUNTIME_DIR"] = str(self.root / "run")
        p = subprocess.Popen([QUERN, "bench", "--board", "b1", "--json", "--runs", "2", "--prompts", "prompts.json", "--logs",
                              self.logs, *more, model], cwd=self.root, env=env, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(lambda: (p.kill(), p.wait()))
        return p

    def bench(self, *args, **how):
        p = self.start(*args, **how)
        out, err = p.communicate(timeout=PATIENCE)
        return p.returncode, out, err

    def clean(self, part=False):
        """Nothing of ours is left, there and here."""
        wait_for(lambda: not self.board.processes(), "quern-board still runs")
        wait_for(self.board.is_restored, "clocks are still fixed")
        left = sorted(p.name for p in self.board.dir.iterdir()) if self.board.dir.exists() else []
        self.assertEqual([n for n in left if n != "hold.lock" and not (part and n.endswith(".part"))], [], left)
        self.assertEqual(list((self.root / "run").glob("quern-ssh-*")), [], "a control socket")

    def fails(self, done, *words, code=1):
        got, out, err = done
        self.assertEqual(got, code, out + err)
        for word in words:
            self.assertIn(word, out + err)
        self.clean()

    def log(self):
        return (self.logs / "board.log").read_text() if (self.logs / "board.log").exists() else ""
