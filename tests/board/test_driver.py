#!/usr/bin/env python3
"""quern bench --board over a real sshd: copied, measured, compared; what it cannot do it says, and nothing is left there."""
import json
import unittest
from pathlib import Path

from driver import DriverCase
from harness import BOARD, library


class Driver(DriverCase):
    def test_good(self):
        code, out, err = self.bench()
        self.assertEqual(code, 0, out + err)
        r = json.loads(out)
        r = r["measurements"][0]
        row = r["rows"][0]
        self.assertEqual(row["prompt"], "short")
        # "(1) what is a quern": five words of 2.5 ms, eight new ones of 20 ms.
        self.assertEqual((row["seqlen"], row["new_tokens"], row["ttft_ms"]["median"], row["generate_per_s"]["median"]),
                         (5, 8, 12.5, 50), r)
        self.assertEqual((r["memory_bytes"], r["counted_by"], r["quality_asked"]), (768 << 20, "runtime", 1))
        versions = r["versions"]
        self.assertEqual((versions["rkllm-runtime"], versions["rknpu driver"], versions["clocks"]), ("1.2.3", "0.9.8", "fixed"))
        self.assertIn("RK3588", r["machine"])
        self.assertNotIn("127.0.0.1", r["machine"])
        self.assertEqual(r["warnings"], [])
        self.clean()
        self.assertIn("STAND-IN destroyed", self.log())

    def test_every_runtime(self):
        for version in ("1.1.4", "1.3.0"):
            code, out, err = self.bench(runtime=str(library(version)), clocks=False)
            self.assertEqual(code, 0, out + err)
            self.assertIn(f'"{version}"', out)
            self.assertEqual("says nothing of the file" in out, version == "1.1.4")
            self.clean()

    def test_what_the_runtime_does(self):
        for do, code, words in (("init-fails", 2, ("does not load this file", "matmul(w8a8) run failed")),
                                ("crash", 4, ("prompt short", "signal 11")), ("killed", 4, ("out of memory",)),
                                ("gives-up", 4, ("state 3",))):
            with self.subTest(do):
                self.fails(self.bench(do), *words, code=code)
        self.fails(self.bench("hang", answer="1s"), "answering a prompt for more than 1 s", code=4)
        code, out, err = self.bench("garbage")
        self.assertIn("is no language", out)
        self.clean()

    def test_not_let_in(self):
        self.fails(self.bench(identity=str(self.board.root / "other_key")), "Permission denied", "with a key", code=4)
        (self.root / "empty").write_text("")
        self.fails(self.bench(known_hosts=str(self.root / "empty")), "known_hosts", "connect once by hand", code=4)
        other = (self.board.root / "other_key.pub").read_text()
        (self.root / "wrong").write_text(f"[127.0.0.1]:{self.board.port} {other}")
        self.fails(self.bench(known_hosts=str(self.root / "wrong")), "known_hosts", code=4)
        self.fails(self.bench(port=1), "not reachable by ssh", code=4)

    def test_wrong_harness(self):
        self.fails(self.bench(harness=str(self.root / "prompts.json")), "is no program", code=4)
        foreign = bytearray(Path(BOARD).read_bytes())
        foreign[18:20] = b"\xf3\x00"
        (self.root / "foreign").write_bytes(foreign)
        self.fails(self.bench(harness=str(self.root / "foreign")), "is for riscv64", "`harness`", code=4)
        self.fails(self.bench(runtime="/nonexistent/librkllmrt.so"), "cannot be loaded", code=4)
        self.fails(self.bench(dir="/dev/null/x"), "cannot be made", code=4)


if __name__ == "__main__":
    unittest.main()
