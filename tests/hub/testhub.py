"""A hub for a test: with TestHub() as hub: ... hub.endpoint, hub.token, hub.repo(...), hub.faults(...), hub.log()."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

SERVE = Path(__file__).with_name("serve.py")
TOKEN = "hf_" + "W" * 34
READER = "hf_" + "R" * 34


class TestHub:
    """User "me" of organisation "my-org" writes with `token`; user "you" reads with `reader`."""

    __test__ = False

    def __init__(self, root=None):
        self.own = root is None
        self.root = Path(root) if root else Path(tempfile.mkdtemp(prefix="test-hub-"))
        self.token, self.reader = TOKEN, READER
        self.process, self.ports = None, (0, 0)

    def __enter__(self):
        self.start()
        self.post("state", {"users": {"me": {"orgs": ["my-org"]}, "you": {"orgs": []}},
                            "tokens": {TOKEN: {"user": "me", "role": "write"}, READER: {"user": "you", "role": "read"}}})
        return self

    def __exit__(self, kind, *rest):
        bugs = self.log()["bugs"] if self.process.poll() is None else []
        self.stop()
        if self.own:
            shutil.rmtree(self.root, ignore_errors=True)
        if bugs and kind is None:
            raise AssertionError("bugs of the test hub:\n" + "\n".join(bugs))

    def start(self):
        self.process = subprocess.Popen([sys.executable, str(SERVE), "--root", str(self.root), "--port", str(self.ports[0]),
                                         "--cdn-port", str(self.ports[1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = json.loads(self.process.stdout.readline())
        self.endpoint, self.cdn = said["endpoint"], said["cdn"]
        self.ports = tuple(int(u.rsplit(":", 1)[1]) for u in (self.endpoint, self.cdn))

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()

    def restart(self):
        """As after a crash: the state on disk, the same ports."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.start()

    # ---- admin

    def call(self, method, path, value=None):
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(f"{self.endpoint}/_admin/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def post(self, path, value):
        return self.call("POST", path, value)

    def repo(self, repo_id, **settings):
        """Make it; settings: kind, private, gated, disabled, access. Returns the commit of main."""
        return self.post("repo", {"id": repo_id, **settings})["commit"]

    def set(self, **values):
        self.post("set", values)

    def faults(self, *rules):
        self.set(faults=list(rules))

    def revoke(self, token):
        self.post("state", {"tokens": {token: None}})

    def log(self):
        return self.call("GET", "log")

    def forget(self):
        self.call("DELETE", "log")

    def requests(self, method=None, word=""):
        return [r for r in self.log()["requests"] if (not method or r["method"] == method) and word in r["path"]]

    def git(self, repo_id, *args, kind="models"):
        """git in the bare repository itself."""
        return subprocess.run(["git", "-C", str(self.root / "repos" / kind / (repo_id + ".git")), *args], check=True,
                              stdout=subprocess.PIPE).stdout

    def environment(self, home, **more):
        """What official clients need to use this hub and nothing else."""
        return {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HOME": str(Path(home) / "hf"), "HF_ENDPOINT": self.endpoint,
                "HF_TOKEN": self.token, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "GIT_TERMINAL_PROMPT": "0",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1", "LC_ALL": "C.UTF-8", **more}
