#!/usr/bin/env python3
"""Does worker.py see what is wrong? A worker that does one thing wrong has to fail the check made for it.

    suite.py NOOP_WORKER
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

# The mode of tests/lib/noop_worker.c, and the check that has to fail.
WRONG = {"fail": "converts", "refuse": "converts", "crash": "converts", "lie": "converts", "rubbish": "converts",
         "extra": "converts", "link": "converts", "silent": "converts", "chatter": "lines", "invalid": "validate",
         "hang": "sigterm", "other": "confirms", "misread": "validate"}
# It does not apply: said, and no fault.
NONE = {"unsure": "confirms"}


def main(worker):
    wrong = 0
    with tempfile.TemporaryDirectory() as source:
        (Path(source) / "model.safetensors").write_bytes(b"\2" + bytes(7) + b"{}")
        for mode, check in {"ok": "converts", **WRONG, **NONE}.items():
            job = json.dumps({"with": {"mode": mode}})
            done = subprocess.run([sys.executable, Path(__file__).with_name("worker.py"), "--source", source, "--job", job,
                                   "--only", check, "--", worker], text=True, stdout=subprocess.PIPE)
            expected = "ok" if mode == "ok" else "none" if mode in NONE else "FAIL"
            if not done.stdout.startswith(expected) or done.returncode != (mode in WRONG):
                wrong += 1
                print(f"mode {mode}: expected {expected}, got exit {done.returncode}: {done.stdout}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
