"""quern-board and the stand-ins of the runtime, for the tests of this folder.

Environment: QUERN_BOARD (the program), QUERN_STANDINS (folder of librkllmrt-standin-*.so), QUERN_EMULATOR (words before the
program when it is of another processor).
"""
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

BOARD = os.environ["QUERN_BOARD"]
STANDINS = Path(os.environ["QUERN_STANDINS"])
EMULATOR = shlex.split(os.environ.get("QUERN_EMULATOR", ""))
VERSIONS = ("1.1.4", "1.2.0", "1.2.1b1", "1.2.3", "1.3.0")
PATIENCE = 120  # seconds, of which a good run uses none


def library(version):
    return STANDINS / f"librkllmrt-standin-{version}.so"


def model_bytes(do="", toolkit="1.2.3", context=4096, cores=3, platform="RK3588", dtype="W8A8", size=4096):
    """As the stand-in toolkit writes them; do: what shall go wrong."""
    said = (f"rkllm-toolkit version: {toolkit}, max_context_limit: {context}, npu_core_num: {cores}, "
            f"target_platform: {platform}, model_dtype: {dtype}")
    head = f"RKLLM STAND-IN, NOT A MODEL\n{said}\n" + (f"do: {do}\n" if do else "")
    return (head.encode().ljust(512, b"\0") + bytes(range(256)) * (size // 256))[:size]


def wait_for(what, why=""):
    """Until what() is true."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, f"it never came: {why or what}"
        time.sleep(0.01)


def alive(pid):
    """A process that runs, zombies left out."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Said:
    """What a finished quern-board printed."""

    def __init__(self, code, out, err):
        self.code, self.err = code, err
        self.events = [json.loads(line) for line in out.splitlines()]
        self.result = self.events[-1] if self.events else {}

    def of(self, kind):
        return [e for e in self.events if e["event"] == kind]

    def log(self):
        return "\n".join(e["text"] for e in self.of("log"))

    def about(self):
        return f"exit {self.code}\n{json.dumps(self.events, indent=1)[-4000:]}\n{self.err}"


class Bench:
    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="quern-board-"))

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def model(self, do="", **how):
        path = self.root / "model.rkllm"
        path.write_bytes(model_bytes(do, **how))
        return path

    def job(self, version="1.2.3", do="", model=None, prompts=("what is a quern?",), **members):
        how = {"protocol": 1, "model": str(model or self.model(do)), "library": str(library(version)),
               "prompts": [p if isinstance(p, dict) else {"name": p[:8], "text": p} for p in prompts], **members}
        return {k: v for k, v in how.items() if v is not None}

    def run(self, job, env=None):
        """`quern-board run` to its end."""
        path = self.root / "job.json"
        path.write_text(job if isinstance(job, str) else json.dumps(job))
        return self.call("run", path, env=env)

    def call(self, *args, env=None, stdin=subprocess.DEVNULL):
        done = subprocess.run([*EMULATOR, BOARD, *map(str, args)], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=PATIENCE, env={**os.environ, **(env or {})})
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *args):
        return subprocess.Popen([*EMULATOR, BOARD, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
