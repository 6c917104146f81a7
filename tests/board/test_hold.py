#!/usr/bin/env python3
"""quern-board hold: one at a time, clocks fixed and put back, whoever dies."""
import json
import os
import signal
import unittest
from pathlib import Path

from harness import Bench, alive, wait_for
from sshd import governors, make_sysfs


class Hold(unittest.TestCase):
    def setUp(self):
        self.bench = Bench()
        self.addCleanup(self.bench.close)
        self.sys = self.bench.root / "sys"
        make_sysfs(self.sys)
        self.before = governors(self.sys)
        self.saved = self.bench.root / "clocks.saved"

    def begin(self, *more):
        p = self.bench.start("hold", "--dir", self.bench.root, "--sysfs", self.sys, *more)
        self.addCleanup(lambda: (p.kill(), p.wait(), [f.close() for f in (p.stdin, p.stdout, p.stderr)]))
        return p

    def event(self, p):
        return json.loads(p.stdout.readline())

    def guard(self, p):
        found = [int(n) for n in os.listdir("/proc") if n.isdigit() and Path(f"/proc/{n}/stat").exists()
                 and self.parent(n) == p.pid]
        self.assertEqual(len(found), 1)
        return found[0]

    @staticmethod
    def parent(n):
        try:
            return int(Path(f"/proc/{n}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return 0

    def is_restored(self):
        return governors(self.sys) == self.before and not self.saved.exists()

    def held(self):
        p = self.begin("--clocks")
        held = self.event(p)
        self.assertEqual((held["event"], held["fixed"], held["restored_first"]), ("held", True, 0))
        return p, held

    def test_fixes_and_restores(self):
        p, held = self.held()
        clocks = {c["name"]: c for c in held["clocks"]}
        self.assertEqual(set(clocks), {"npu", "ddr", "cpu policy0", "cpu policy4", "cpu policy6", "idle cpu0", "idle cpu1"})
        self.assertEqual((clocks["npu"]["governor"], clocks["npu"]["set"]), ("rknpu_ondemand", "1000000000"))
        npu = self.sys / "class/devfreq/fdab0000.npu"
        self.assertEqual((npu / "governor").read_text(), "userspace")
        self.assertEqual((npu / "userspace/set_freq").read_text(), "1000000000")
        # The highest that this board lists, not the one of the vendor's script.
        policy = self.sys / "devices/system/cpu/cpufreq/policy6"
        self.assertEqual((policy / "scaling_setspeed").read_text(), "2304000")
        self.assertEqual((self.sys / "devices/system/cpu/cpu1/cpuidle/state1/disable").read_text(), "1")
        # Not the GPU: nothing of it is measured.
        self.assertEqual((self.sys / "class/devfreq/fb000000.gpu/governor").read_text(), "dmc_ondemand\n")
        self.assertTrue(self.saved.exists())
        p.stdin.close()
        end = self.event(p)
        self.assertEqual((end["event"], end["status"], p.wait()), ("result", "ok", 0))
        self.assertTrue(self.is_restored())
        p.stdin = open(os.devnull)

    def test_any_end_restores(self):
        for how in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL, "silence"):
            with self.subTest(how):
                p = self.begin("--clocks", *(["--silence", "200"] if how == "silence" else []))
                self.assertTrue(self.event(p)["fixed"])
                guard = self.guard(p)
                if how != "silence":
                    p.send_signal(how)
                self.assertEqual(p.wait(), -9 if how == signal.SIGKILL else 0)
                wait_for(lambda: not alive(guard), "the guard stayed")
                self.assertTrue(self.is_restored())

    def test_the_next_one_cleans(self):
        p, _ = self.held()
        guard = self.guard(p)
        os.kill(guard, signal.SIGKILL)
        p.kill()
        p.wait()
        self.assertFalse(self.is_restored())
        q = self.begin()  # also one that wants no clocks
        self.assertEqual(self.event(q)["restored_first"], 3 + 2 + 2)
        self.assertTrue(self.is_restored())

    def test_another_boot_has_put_all_back(self):
        p, _ = self.held()
        os.kill(self.guard(p), signal.SIGKILL)
        p.kill()
        p.wait()
        text = self.saved.read_text().split("\n", 1)
        self.saved.write_text("quern-board clocks 1 0000-another-boot\n" + text[1])
        fixed = governors(self.sys)
        q = self.begin()
        self.assertEqual(self.event(q)["restored_first"], 0)
        self.assertEqual(governors(self.sys), fixed)
        self.assertFalse(self.saved.exists())

    def test_a_forged_file_writes_nowhere_else(self):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        victim = self.bench.root / "victim"
        victim.write_text("mine")
        npu = self.sys / "class/devfreq/fdab0000.npu/governor"
        self.saved.write_text(f"quern-board clocks 1 {boot}\n{victim}\tgone\n{self.sys}/class/devfreq/../../../victim\tgone\n"
                              f"no tab\n{npu}\tuserspace\n")
        q = self.begin()
        self.assertEqual(self.event(q)["restored_first"], 1)
        self.assertEqual((victim.read_text(), npu.read_text()), ("mine", "userspace"))

    def test_one_at_a_time(self):
        p, _ = self.held()
        q = self.begin("--clocks", "--wait", "100")
        self.assertEqual(self.event(q)["event"], "waiting")
        end = self.event(q)
        self.assertEqual((end["status"], end["code"], q.wait()), ("error", "busy", 1))
        q = self.begin("--clocks", "--wait", "60000")
        self.assertEqual(self.event(q)["event"], "waiting")
        p.terminate()
        self.assertEqual((self.event(q)["event"], p.wait()), ("held", 0))

    def test_by_hand_before(self):
        npu = self.sys / "class/devfreq/fdab0000.npu"
        (npu / "governor").write_text("userspace\n")
        (npu / "userspace/set_freq").write_text("500000000\n")
        self.before = governors(self.sys)
        p, _ = self.held()
        self.assertEqual((npu / "userspace/set_freq").read_text(), "1000000000")
        p.terminate()
        p.wait()
        self.assertEqual(((npu / "governor").read_text(), (npu / "userspace/set_freq").read_text()), ("userspace", "500000000"))

    def test_what_cannot_be_fixed_is_said(self):
        (self.sys / "class/devfreq/dmc/available_governors").write_text("dmc_ondemand\n")
        npu = self.sys / "class/devfreq/fdab0000.npu/userspace/set_freq"
        npu.unlink()
        npu.mkdir()
        p = self.begin("--clocks")
        held = self.event(p)
        problems = {c["name"]: c["problem"] for c in held["clocks"] if c["problem"]}
        self.assertEqual(problems, {"ddr": 'its governors have no "userspace"', "npu": "Is a directory"})
        self.assertFalse(held["fixed"])
        p.terminate()
        p.wait()
        self.assertTrue(self.is_restored())


if __name__ == "__main__":
    unittest.main()
