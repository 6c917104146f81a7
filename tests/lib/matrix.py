"""A matrix in a folder of its own, and the real quern run on it. For scenario and crash tests.

Environment: QUERN (the program), QUERN_BUILD (its build folder, for the test engines).
"""
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

QUERN = os.environ["QUERN"]
BUILD = Path(os.environ["QUERN_BUILD"])

JOBS = """\
version: 1
name: test
work: work
models:
  - {path: model, name: m}
targets:
  - engine: noop
    quant: none
    opt: [0, 1, 2]
resources: {jobs: 2, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}
retry: {attempts: 2, backoff: 10ms}
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-{quant}-opt-{opt}"}
"""


def make_model(folder, seed=0):
    """The smallest thing that is a model: one matrix of 2 x 2."""
    folder.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes([seed] * 16))
    (folder / "config.json").write_text('{"architectures": ["X"], "model_type": "x"}')


def environment(**more):
    """Nothing of the caller's but PATH: no HOME, no token, the test engines beside the shipped ones."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "QUERN_ENGINES": str(BUILD / "test-engines")}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update({k: str(v) for k, v in more.items()})
    return env


class Matrix:
    """A folder with a jobs.yaml and a model; removed at the end."""

    def __init__(self, text=JOBS, root=None):
        self.root = Path(root) if root else Path(tempfile.mkdtemp(prefix="quern-test-"))
        self.root.mkdir(exist_ok=True)
        make_model(self.root / "model")
        self.write(text)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def write(self, text):
        (self.root / "jobs.yaml").write_text(text)

    def quern(self, *args, timeout=60, **env):
        return subprocess.run([QUERN, *map(str, args)], cwd=self.root, env=environment(**env), timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def start(self, *args, **env):
        return subprocess.Popen([QUERN, *map(str, args)], cwd=self.root, env=environment(**env), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def work(self):
        return self.root / "work"

    def sql(self, query, *args):
        db = sqlite3.connect(self.work / "state.db")
        try:
            return db.execute(query, args).fetchall()
        finally:
            db.close()

    def running(self):
        """True once a job runs; the store may not be there yet, or not have its tables."""
        try:
            return bool(self.sql("SELECT 1 FROM job WHERE state = 1"))
        except sqlite3.OperationalError:
            return False

    def states(self):
        """{label: state} of every job."""
        return dict(self.sql("SELECT label, state FROM v_matrix"))


def preload(library, **more):
    """Environment for a quern in which a library of tests/lib stands before libc."""
    return {"LD_PRELOAD": BUILD / "test-tools" / f"{library}.so",
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0", **more}


def expect(done, code, *words):
    """A finished quern: its exit code and what its output must say."""
    assert done.returncode == code, f"exit {done.returncode}, not {code}:\n{done.stdout}"
    for word in words:
        assert word in done.stdout, f"{word!r} is not in:\n{done.stdout}"
    return done


def run_all(tests):
    """Run functions test_* in the order they were written; the first failure ends it."""
    for name, test in tests.items():
        if name.startswith("test_"):
            test()
            print(f"ok {name}")
