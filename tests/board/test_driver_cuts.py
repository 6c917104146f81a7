#!/usr/bin/env python3
"""quern bench --board when something is cut, killed or interrupted: copies go on, clocks come back, nothing stays."""
import os
import shutil
import signal
import unittest

from driver import DriverCase
from harness import PATIENCE, model_bytes, wait_for
from sshd import TAKES


class DriverCuts(DriverCase):
    def start_slow_copy(self):
        """A measurement whose copy has come to a stop in the middle."""
        (self.board.root / "slow").touch()
        model = self.root / "big.rkllm"
        model.write_bytes(model_bytes(size=4096) + os.urandom(2 * TAKES))
        p = self.start(model=model)

        def stopped():
            assert p.poll() is None, p.communicate()
            return any(f.stat().st_size == TAKES for f in self.board.dir.glob("model-*.part"))
        wait_for(stopped, "a part of the model")
        return p, model

    def cut(self):
        self.board.cut()
        wait_for(self.board.is_cut)
        (self.board.root / "slow").unlink()

    def test_a_copy_goes_on_where_it_was_cut(self):
        p, model = self.start_slow_copy()
        self.cut()
        out, err = p.communicate(timeout=PATIENCE)
        self.assertEqual(p.returncode, 0, out + err)
        sends = [line for line in self.log().splitlines() if line.startswith("quern: copy:")]
        size = model.stat().st_size
        self.assertIn("connection", sends[0])
        # The client may have sent more than was taken; what is in the file is what counts.
        self.assertEqual(sends[-1], f"quern: copy: there, {size - TAKES} of {size} bytes were to be sent", sends)
        self.clean()

    def test_a_damaged_part_is_sent_anew(self):
        p, model = self.start_slow_copy()
        p.kill()
        p.communicate()
        self.cut()
        part = next(self.board.dir.glob("model-*.part"))
        with open(part, "r+b") as f:
            f.seek(1000)
            f.write(b"damage")
        self.forget_dead_sockets()
        code, out, err = self.bench(model=model)
        self.assertEqual(code, 0, out + err)
        self.assertIn(f"there, {model.stat().st_size} of {model.stat().st_size} bytes", self.log())
        self.clean()

    def forget_dead_sockets(self):
        """Of a quern that was killed."""
        for left in (self.root / "run").glob("quern-ssh-*"):
            shutil.rmtree(left)

    def begin_hanging(self):
        p = self.start("hang", answer="5min", timeout="10min")

        def asked():
            assert p.poll() is None, p.communicate()
            return "Enabled cpus num" in self.log() and len(self.board.processes()) >= 4
        wait_for(asked, "the session")
        self.assertFalse(self.board.is_restored())
        return p

    def test_cut_while_measuring(self):
        p = self.begin_hanging()
        self.board.cut()
        out, err = p.communicate(timeout=PATIENCE)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("connection", out + err)
        self.clean(part=True)

    def test_interrupted(self):
        p = self.begin_hanging()
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=PATIENCE)
        self.assertEqual(p.returncode, 130, out + err)
        self.clean()

    def test_killed_here(self):
        p = self.begin_hanging()
        p.kill()
        p.communicate()
        # Nobody is there to tell the board: it does so by itself.
        wait_for(self.board.is_restored, "clocks are still fixed")
        wait_for(lambda: not self.board.processes(), "quern-board still runs")
        self.forget_dead_sockets()
        # And the next measurement of this file takes away what was left.
        code, out, err = self.bench("hang", answer="1s")
        self.clean()

    def test_killed_there(self):
        p = self.begin_hanging()
        for pid in self.board.processes():
            os.kill(pid, signal.SIGKILL)
        p.communicate(timeout=PATIENCE)
        self.assertNotEqual(p.returncode, 0)
        self.assertFalse(self.board.is_restored())
        code, out, err = self.bench()
        self.assertEqual(code, 0, out + err)
        self.assertIn("of an earlier measurement", out)
        self.clean()


if __name__ == "__main__":
    unittest.main()
