"""Repositories as bare git repositories, and LFS objects by their SHA-256, below one folder.

Everything is on disk: a hub that is killed and started again has what it had.
"""
import base64
import fnmatch
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path

# Of a new model repository; neither *.gguf nor *.rkllm.
LFS_PATTERNS = (
    "*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model *.msgpack *.npy *.npz *.onnx *.ot "
    "*.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar.* *.tar *.tflite *.tgz *.wasm *.xz "
    "*.zip *.zst *tfevents*").split()
POINTER = re.compile(rb"\Aversion https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]+)\n\Z")
REPO_ID = re.compile(r"\A[A-Za-z0-9_.-]{1,96}\Z")
PLAIN_MAX = 10 << 20


class Refused(Exception):
    """What the hub answers when it will not: status, X-Error-Code, sentence."""

    def __init__(self, status, message, code=None):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def name_ok(part):
    return (bool(REPO_ID.match(part)) and "--" not in part and ".." not in part and part[0] not in "-." and
            part[-1] not in "-." and not part.endswith(".git"))


def path_ok(path):
    parts = path.split("/")
    return (bool(path) and "\0" not in path and "\\" not in path and not path.startswith("/") and
            all(p not in ("", ".", "..") for p in parts) and parts[0] not in (".git", ".cache"))


def pointer_text(oid, size):
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_patterns(attributes):
    lines = (line.split() for line in attributes.decode(errors="replace").splitlines())
    return [words[0] for words in lines if len(words) > 1 and "filter=lfs" in words[1:]]


def matches(patterns, path):
    """As .gitattributes: a pattern without a slash is for the last component."""
    name = path.rsplit("/", 1)[-1]
    return any(fnmatch.fnmatchcase(path if "/" in p else name, p.replace("**/", "*/")) for p in patterns)


class Entry:
    """A file of a tree: oid is the git blob's; of an LFS file lfs is (sha256, size)."""

    def __init__(self, path, oid, size, lfs):
        self.path, self.oid, self.size, self.lfs = path, oid, size, lfs

    @property
    def real_size(self):
        return self.lfs[1] if self.lfs else self.size


class LfsStore:
    def __init__(self, root):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)

    def path(self, oid):
        return self.root / oid[:2] / oid[2:4] / oid

    def has(self, oid, size=None):
        try:
            real = self.path(oid).stat().st_size
        except OSError:
            return False
        return size is None or real == size

    def keep(self, temporary, oid):
        """Move a complete file in, if its bytes are what its name says."""
        digest = hashlib.sha256()
        with open(temporary, "rb") as f:
            for chunk in iter(lambda: f.read(1 << 20), b""):
                digest.update(chunk)
        if digest.hexdigest() != oid:
            os.unlink(temporary)
            raise Refused(400, "the content does not have the SHA-256 of its name")
        self.path(oid).parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, self.path(oid))


class Repo:
    """One bare repository. Trees are read once a commit."""

    def __init__(self, path, lfs):
        self.path, self.lfs = Path(path), lfs
        self.lock = threading.RLock()
        self.trees = {}

    # ---- git

    def git(self, *args, data=None, check=True):
        done = subprocess.run(["git", "-C", str(self.path), *args], input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=git_environment())
        if check and done.returncode:
            raise RuntimeError(f"git {' '.join(args)}: {done.stderr.decode(errors='replace')}")
        return done.stdout if check else (done.returncode, done.stdout)

    @classmethod
    def create(cls, path, lfs):
        repo = cls(path, lfs)
        repo.path.mkdir(parents=True)
        repo.git("init", "-q", "--bare", "-b", "main")
        repo.git("config", "http.receivepack", "true")
        repo.git("config", "uploadpack.allowFilter", "true")
        repo.git("config", "uploadpack.allowAnySHA1InWant", "true")
        hook = repo.path / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{Path(__file__).with_name('pre_receive.py')}' '{lfs.root}'\n")
        hook.chmod(0o755)
        attributes = "".join(f"{p} filter=lfs diff=lfs merge=lfs -text\n" for p in LFS_PATTERNS).encode()
        repo.commit("main", "initial commit", {".gitattributes": attributes}, [])
        return repo

    def resolve(self, revision):
        """Commit of a branch, tag, refs/..., HEAD or (abbreviated) hash; None."""
        if revision in self.trees:
            return revision  # asked about before, and a commit stays
        if re.fullmatch(r"[0-9a-f]{5,40}", revision):
            candidates = [revision]
        elif revision.startswith("refs/"):
            candidates = [revision]
        elif revision == "HEAD":
            candidates = ["refs/heads/main"]
        else:
            candidates = [f"refs/heads/{revision}", f"refs/tags/{revision}"]
        for c in candidates:
            code, out = self.git("rev-parse", "-q", "--verify", c + "^{commit}", check=False)
            if code == 0:
                return out.decode().strip()
        return None

    def tree(self, commit):
        """{path: Entry} of a commit."""
        with self.lock:
            if commit not in self.trees:
                self.trees[commit] = self.read_tree(commit)
            return self.trees[commit]

    def read_tree(self, commit):
        entries, small = {}, []
        for line in self.git("ls-tree", "-r", "-l", "-z", commit).split(b"\0"):
            if not line:
                continue
            meta, path = line.split(b"\t", 1)
            _, kind, oid, size = meta.split()
            if kind != b"blob":
                continue
            e = Entry(path.decode(), oid.decode(), int(size), None)
            entries[e.path] = e
            if e.size < 1024:
                small.append(e)
        for e, content in zip(small, self.read_blobs([e.oid for e in small])):
            m = POINTER.match(content)
            if m:
                e.lfs = (m[1].decode(), int(m[2]))
        return entries

    def read_blobs(self, oids):
        if not oids:
            return []
        raw = self.git("cat-file", "--batch", data="".join(o + "\n" for o in oids).encode())
        out, at = [], 0
        for _ in oids:
            end = raw.index(b"\n", at)
            size = int(raw[at:end].split()[2])
            out.append(raw[end + 1:end + 1 + size])
            at = end + 1 + size + 1
        return out

    def blob(self, oid):
        return self.read_blobs([oid])[0]

    def attributes(self, commit):
        e = self.tree(commit).get(".gitattributes") if commit else None
        return self.blob(e.oid) if e else b""

    # ---- writing

    def commit(self, branch, message, files, gone, parent=None):
        """files {path: bytes}; returns the new commit, or the head when nothing changes."""
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        with self.lock:
            head = self.resolve(ref)
            if parent is None:
                parent = head
            stream = [f"commit {ref}\ncommitter test hub <hub@localhost> {now()} +0000\n".encode(),
                      b"data %d\n%s\n" % (len(message.encode()), message.encode())]
            if parent:
                stream.append(f"from {parent}\n".encode())
            for path in gone:
                stream.append(f"D {quote_path(path)}\n".encode())
            for path, content in files.items():
                stream.append(f"M 100644 inline {quote_path(path)}\ndata {len(content)}\n".encode())
                stream += [content, b"\n"]
            self.git("fast-import", "--quiet", "--force", "--date-format=raw", data=b"".join(stream))
            commit = self.resolve(ref)
            if head and commit != head and self.tree_id(commit) == self.tree_id(head):
                self.git("update-ref", ref, head)  # nothing changed: no commit
                return head
            return commit

    def tree_id(self, commit):
        return self.git("rev-parse", commit + "^{tree}").decode().strip()

    def history(self, commit):
        out = self.git("log", "--format=%H%x00%s%x00%b%x00%an%x00%ct%x01", commit).decode()
        rows = (r.strip("\n").split("\0") for r in out.split("\1") if r.strip())
        return [{"id": h, "title": s, "message": b, "authors": [{"user": a}], "date": iso(int(t))} for h, s, b, a, t in rows]

    def refs(self, prefix):
        out = self.git("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", prefix).decode()
        rows = (line.split() for line in out.splitlines())
        return {r[0]: r[-1] for r in rows}

    # ---- what stands beside git

    @property
    def settings_path(self):
        return self.path / "hub.json"

    @property
    def settings(self):
        try:
            return json.loads(self.settings_path.read_text())
        except FileNotFoundError:
            return {}

    def set(self, **values):
        with self.lock:
            temporary = self.settings_path.with_suffix(".tmp")
            temporary.write_text(json.dumps({**self.settings, **values}))
            os.replace(temporary, self.settings_path)


_clock = [1700000000]


def now():
    """Commit times that grow by one, so that histories sort."""
    _clock[0] += 1
    return _clock[0]


def iso(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def quote_path(path):
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def git_environment():
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}


def is_binary(sample64):
    try:
        return b"\0" in base64.b64decode(sample64 or "")
    except ValueError:
        return False
