"""Artifacts that wait to be published, and the real uploader on them."""
import hashlib
import json
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from matrix import BUILD, QUERN, environment
from scripthub import TOKEN

REPO = "my-org/kjv"
SMALL = ["Q8/Q8.gguf=300000:1", "Q4/Q4.gguf=50000:2", "w8/config.json=50:3", "w8/model.safetensors=1000:4",
         "w8/copy.safetensors=1000:4"]
OWN = {".gitattributes", "README.md", "quern.json"}


class Uploads:
    """A work folder with artifacts, its hub, and what the repository should hold."""

    def __init__(self, hub, artifacts=SMALL, git=False, jobs=8, **env):
        self.hub, self.git, self.jobs, self.env = hub, git, jobs, env
        self.root = Path(tempfile.mkdtemp(prefix="quern-uploads-"))
        self.work = self.root / "work"
        names = self.root / "artifacts"
        names.write_text("".join(f"{a}\n" for a in artifacts))
        subprocess.run([BUILD / "test-tools" / "artifact-maker", self.work, f"@{names}"], check=True, env=environment())
        self.expected = {}
        for word in artifacts:
            variant, name = word.rsplit("=", 1)[0].split("/", 1)
            path = name if name.startswith(variant) else f"{variant}/{name}"
            self.expected[path] = self._read(variant, name)

    def _read(self, variant, name):
        db = sqlite3.connect(self.work / "state.db")
        key = db.execute("SELECT hex(key) FROM job WHERE file = ?", (variant,)).fetchone()[0].lower()
        db.close()
        return (self.work / "artifacts" / key / name).read_bytes()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.root, ignore_errors=True)

    def command(self):
        url = ("git+" if self.git else "") + self.hub.url
        return [QUERN, "upload-repo", "--work", str(self.work), "--hub", url, "--repo", REPO, "--run", "1",
                "--jobs", str(self.jobs)]

    def environment(self, **env):
        token = {"QUERN_GIT_TOKEN" if self.git else "HF_TOKEN": TOKEN}
        return environment(**{**token, **self.env, **env})

    def upload(self, timeout=120, **env):
        """(exit code, last event)"""
        done = subprocess.run(self.command(), env=self.environment(**env), timeout=timeout, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.root)
        lines = done.stdout.splitlines()
        event = {"event": "none", "message": done.stdout}
        if lines and lines[-1].startswith("{"):
            event = json.loads(lines[-1])
        return done.returncode, event

    def good(self, **env):
        code, event = self.upload(**env)
        assert code == 0, f"exit {code}: {event}"
        self.check()
        return event

    def bad(self, *words, **env):
        code, event = self.upload(**env)
        assert code == 1, f"exit {code}: {event}"
        for word in words:
            assert word in event["message"], f"{word!r} is not in {event['message']!r}"
        return event

    def published(self):
        return self.hub.git_files(REPO) if self.git else self.hub.files(REPO)

    def check(self):
        """The hub has what it should, and the store knows it."""
        there = self.published()
        for path, data in self.expected.items():
            assert path in there, f"{path} is not in {sorted(there)}"
            assert hashlib.sha256(there[path]).digest() == hashlib.sha256(data).digest(), path
        assert OWN <= set(there), sorted(there)
        manifest = json.loads(there["quern.json"])
        listed = {f["path"] for v in manifest["variants"] for f in v["files"]}
        assert listed == set(self.expected), sorted(listed ^ set(self.expected))
        assert self.states() == {5}, self.states()

    def states(self):
        db = sqlite3.connect(self.work / "state.db")
        try:
            return {s for s, in db.execute("SELECT DISTINCT state FROM job")}
        finally:
            db.close()

    def oids(self):
        """Contents that go as LFS objects."""
        return {hashlib.sha256(d).hexdigest(): len(d) for p, d in self.expected.items() if not p.endswith(".json")}

    def leaks(self):
        """Files below the work folder that hold the token."""
        return [str(p) for p in self.root.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
