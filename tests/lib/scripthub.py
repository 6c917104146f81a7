"""A hub for tests of faults, inside the test's own process: the parts of the Hub's API and of git smart HTTP with
LFS that an upload uses, kept in memory, with a log of every request and faults at chosen steps. Whether real clients
would take it for a hub is not its business: tests/hub is for that.

    with ScriptHub() as hub:
        hub.fault("commit", status=504, landed=True)
        ... upload to hub.url ...
        hub.count("put")
"""
import base64
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

TOKEN = "hf_ScriptHubSecretTokenThatMustNotLeak"
HTML = b"<html><body>Bad Gateway</body></html>"
LFS_JSON = "application/vnd.git-lfs+json"
POINTER = re.compile(rb"version https://git-lfs.github.com/spec/v1\noid sha256:(\w{64})\nsize \d+\n")


def blob_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    def __init__(self, private):
        self.private = private
        self.head = hashlib.sha1(os.urandom(8)).hexdigest()  # as the Hub, it begins with a commit
        self.files = {".gitattributes": ("plain", b"*.bin filter=lfs diff=lfs merge=lfs -text\n")}
        self.commits = []


class Fault:
    """What happens to the nth request of a step (from 1), `times` times; path: only of those with this in it."""

    def __init__(self, step, nth=1, times=1, status=None, headers=None, reset=False, truncate=False, html=False,
                 landed=False, then=None, body=None, path="", length=0):
        self.step, self.first, self.last = step, nth, nth + times - 1
        self.status, self.headers, self.body = status, headers or {}, body
        self.path, self.length = path, length  # by which the Content-Length is wrong
        self.reset, self.truncate, self.html, self.landed, self.then = reset, truncate, html, landed, then


class ScriptHub:
    def __init__(self, chunk=0, page=1000):
        self.chunk, self.page = chunk, page
        self.repos, self.objects, self.parts, self.uploads = {}, {}, {}, {}
        self.tokens, self.faults, self.log, self.seen = {TOKEN}, [], [], {}
        self.modes, self.ignored, self.card_errors = {}, set(), []
        self.lock = threading.RLock()
        self.root = Path(tempfile.mkdtemp(prefix="quern-scripthub-"))
        self.servers = [self._serve("api"), self._serve("cdn")]
        self.url, self.cdn = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)

    def _serve(self, origin):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self, "origin": origin}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        shutil.rmtree(self.root, ignore_errors=True)

    def fault(self, step, **how):
        self.faults.append(Fault(step, **how))

    def forget(self):
        """Faults and the log; what is stored stays."""
        with self.lock:
            self.faults, self.log, self.seen = [], [], {}

    def count(self, *steps):
        with self.lock:
            return sum(r["step"] in steps for r in self.log)

    def sent(self):
        """{oid: bytes of bodies that arrived for it}"""
        sizes = {}
        with self.lock:
            for r in self.log:
                if r["step"] in ("put", "part"):
                    oid = r["path"].split("?")[0].split("/")[2]
                    sizes[oid] = sizes.get(oid, 0) + r["bytes"]
        return sizes

    def sent_parts(self):
        """(oid, upload, number) of each part that arrived."""
        paths = [r["path"].split("?")[0].split("/")[2:5] for r in self.log if r["step"] == "part"]
        return [(oid, upload, int(number)) for oid, upload, number in paths]

    def files(self, repo):
        """{path: content} of the head, LFS files resolved."""
        return {p: self.objects[d] if kind == "lfs" else d for p, (kind, d) in self.repos[repo].files.items()}

    # ---- git

    def git_dir(self, repo):
        return self.root / "git" / f"{repo}.git"

    def make_git(self, repo, hook=None):
        path = self.git_dir(repo)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
        subprocess.run(["git", "-C", path, "config", "http.receivepack", "true"], check=True)
        if hook:
            (path / "hooks" / "pre-receive").write_text("#!/bin/sh\n" + hook)
            (path / "hooks" / "pre-receive").chmod(0o755)

    def git(self, repo, *args):
        return subprocess.run(["git", "-C", self.git_dir(repo), *args], check=True, capture_output=True).stdout

    def git_files(self, repo):
        files = {}
        for line in self.git(repo, "ls-tree", "-r", "-z", "main").decode().split("\0")[:-1]:
            meta, path = line.split("\t")
            data = self.git(repo, "cat-file", "blob", meta.split()[2])
            pointer = POINTER.fullmatch(data)
            files[path] = self.objects[pointer[1].decode()] if pointer else data
        return files


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = origin = None

    def log_message(self, *args):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, socket.timeout):
            self.close_connection = True

    def do_GET(self):
        self.answered = False
        step, route, groups = self.find_route()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.note(step, body)
        if fault and fault.then:
            fault.then()
        if fault and not fault.landed and self.is_spoiled(fault):
            return
        self.spoil = fault
        if self.must_know(step) and not self.is_known():
            self.error(401, "Invalid credentials in Authorization header")
        else:
            getattr(self, route)(body, *groups)

    do_POST = do_PUT = do_GET

    ROUTES = [("refs", "GET", r"/([^/]+/[^/]+?)(?:\.git)?/info/refs", "git_backend"),
              ("upload-pack", "POST", r"/([^/]+/[^/]+?)(?:\.git)?/git-upload-pack", "git_backend"),
              ("receive-pack", "POST", r"/([^/]+/[^/]+?)(?:\.git)?/git-receive-pack", "git_backend"),
              ("batch", "POST", r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
              ("part", "PUT", r"/object/(\w{64})/(\w+)/(\d+)", "put_part"),
              ("put", "PUT", r"/object/(\w{64})", "put_object"),
              ("complete", "POST", r"/complete/(\w{64})", "complete"),
              ("verify", "POST", r"/verify", "verify"),
              ("validate", "POST", r"/api/validate-yaml", "validate"),
              ("create", "POST", r"/api/repos/create", "create"),
              ("revision", "GET", r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", "revision"),
              ("tree", "GET", r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", "tree"),
              ("preupload", "POST", r"/api/models/([^/]+/[^/]+)/preupload/([^/]+)", "preupload"),
              ("commit", "POST", r"/api/models/([^/]+/[^/]+)/commit/([^/]+)", "commit"),
              ("resolve", "GET", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve"),
              ("unknown", None, r".*()", "unknown")]

    def find_route(self):
        path = urlparse(self.path).path
        for step, method, pattern, route in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method in (None, self.command):
                return step, route, match.groups()

    def note(self, step, body):
        hub = self.hub
        with hub.lock:
            hub.seen[step] = n = hub.seen.get(step, 0) + 1
            hub.log.append({"step": step, "path": self.path, "bytes": len(body), "origin": self.origin, "at": time.monotonic(),
                            "authorization": self.headers.get("Authorization")})
            for fault in hub.faults:
                if fault.step == step and fault.first <= n <= fault.last and fault.path in self.path + body[:500].decode("latin-1"):
                    return fault
        return None

    def is_spoiled(self, fault):
        """Answer as the fault says; False when the right answer is to be cut later."""
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            self.wfile = self.rfile = open(os.devnull, "r+b")  # noqa: SIM115
        elif fault.html:
            self.answer(200, HTML, {"Content-Type": "text/html"})
        elif fault.status:
            self.answer(fault.status, json.dumps(fault.body or {"error": "scripted"}).encode(), fault.headers)
        return fault.reset or fault.html or bool(fault.status)

    def must_know(self, step):
        return step not in ("put", "part", "complete")

    def is_known(self):
        given = self.headers.get("Authorization", "")
        basic = [base64.b64encode(f"{u}:{t}".encode()).decode() for t in self.hub.tokens for u in ("quern", "someone")]
        return given in [f"Bearer {t}" for t in self.hub.tokens] + [f"Basic {b}" for b in basic]

    def answer(self, status, data, headers=None):
        cut = self.answered is False and getattr(self, "spoil", None) and self.spoil.truncate
        self.answered = True
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        wrong = self.spoil.length if getattr(self, "spoil", None) else 0
        self.send_header("Content-Length", str(max(0, len(data) + wrong)))
        self.end_headers()
        self.wfile.write(data[:len(data) // 2] if cut else data)
        self.close_connection = bool(cut or wrong) or self.close_connection

    def reply(self, value, status=200, headers=None):
        fault = getattr(self, "spoil", None)
        if fault and fault.landed and not self.answered:
            self.answered = True
            self.is_spoiled(fault)
            return
        self.answer(status, json.dumps(value).encode(), headers)

    def error(self, status, message, code=None):
        self.answer(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code} if code else {})

    def repo(self, name):
        repo = self.hub.repos.get(name)
        if not repo:
            self.error(404, "Repository not found", "RepoNotFound")
        return repo

    # ---- the Hub's API

    def unknown(self, body, _):
        self.error(404, f"no such path: {self.path}")

    def validate(self, body):
        errors = [{"message": m} for m in self.hub.card_errors]
        self.reply({"errors": errors, "warnings": []}, 400 if errors else 200)

    def create(self, body):
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        with self.hub.lock:
            if name in self.hub.repos:
                self.reply({"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"}, 409)
                return
            self.hub.repos[name] = Repo(asked.get("private", False))
        self.reply({"url": f"{self.hub.url}/{name}", "name": name})

    def revision(self, body, name, rev):
        repo = self.repo(name)
        if repo:
            self.reply({"sha": repo.head, "private": repo.private})

    def tree(self, body, name, rev):
        repo = self.repo(name)
        if not repo:
            return
        entries = []
        for path, (kind, data) in sorted(repo.files.items()):
            size = len(self.hub.objects[data]) if kind == "lfs" else len(data)
            entry = {"type": "file", "path": path, "size": size,
                     "oid": blob_id(data.encode() if kind == "lfs" else data)}
            if kind == "lfs":
                entry["lfs"] = {"oid": data, "size": size, "pointerSize": 134}
            entries.append(entry)
        at = int(parse_qs(urlparse(self.path).query).get("cursor", ["0"])[0])
        link = {}
        if at + self.hub.page < len(entries):
            url = f"{self.hub.url}{urlparse(self.path).path}?recursive=true&cursor={at + self.hub.page}"
            link = {"Link": f'<{url}>; rel="next"'}
        self.reply(entries[at:at + self.hub.page], headers=link)

    def preupload(self, body, name, rev):
        files = []
        for f in json.loads(body)["files"]:
            mode = self.hub.modes.get(f["path"], "lfs" if f["size"] > 10 << 20 else "regular")
            files.append({"path": f["path"], "uploadMode": mode, "shouldIgnore": f["path"] in self.hub.ignored})
        assert len(files) <= 256, "more than a preupload takes"
        if self.repo(name):
            self.reply({"files": files})

    def apply(self, repo, lines):
        files = dict(repo.files)
        for line in lines:
            value = line["value"]
            if line["key"] == "deletedFile":
                files.pop(value["path"], None)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    return None
                files[value["path"]] = ("lfs", value["oid"])
            else:
                files[value["path"]] = ("plain", base64.b64decode(value["content"]))
        return files

    def commit(self, body, name, rev):
        repo = self.repo(name)
        if not repo:
            return
        header, *lines = [json.loads(line) for line in body.decode().splitlines()]
        with self.hub.lock:
            if header["value"].get("parentCommit") != repo.head:
                self.error(412, "The branch was updated since you opened this page. Please refresh and try again.")
                return
            files = self.apply(repo, lines)
            if files is None:
                self.error(400, "LFS pointer pointed to a file that does not exist")
                return
            repo.files = files
            repo.head = hashlib.sha1(repo.head.encode() + body).hexdigest()
            repo.commits.append(header["value"])
        self.reply({"success": True, "commitOid": repo.head, "commitUrl": f"{self.hub.url}/{name}/commit/{repo.head}"})

    def resolve(self, body, name, rev, path):
        repo = self.repo(name)
        if not repo:
            return
        kind, data = repo.files.get(unquote(path), (None, b""))
        if kind == "plain":
            self.answer(200, data, {"Content-Type": "text/plain"})
        else:
            self.error(404, "Entry not found", "EntryNotFound")

    # ---- LFS

    def actions(self, oid, size):
        hub = self.hub
        verify = {"href": f"{hub.url}/verify", "header": {}}
        if not hub.chunk or size <= hub.chunk:
            return {"upload": {"href": f"{hub.cdn}/object/{oid}?signature=once"}, "verify": verify}
        upload = hub.uploads.setdefault(oid, hashlib.sha1(os.urandom(8)).hexdigest()[:8])
        count = -(-size // hub.chunk)
        header = {f"{i:05d}": f"{hub.cdn}/object/{oid}/{upload}/{i}?signature=once" for i in range(1, count + 1)}
        return {"upload": {"href": f"{hub.cdn}/complete/{oid}?uploadId={upload}&signature={os.urandom(4).hex()}",
                           "header": {"chunk_size": str(hub.chunk), **header}}, "verify": verify}

    def batch(self, body, name):
        asked = json.loads(body)
        objects = []
        assert len(asked["objects"]) <= 256, "more than a batch takes"
        if name not in self.hub.repos and not self.hub.git_dir(name).exists():
            self.repo(name)
            return
        for o in asked["objects"]:
            answer = {"oid": o["oid"], "size": o["size"]}
            there = o["oid"] in self.hub.objects
            if asked["operation"] == "upload" and not there:
                answer["actions"] = self.actions(o["oid"], o["size"])
            elif asked["operation"] == "download" and not there:
                answer["error"] = {"code": 404, "message": "Object does not exist"}
            objects.append(answer)
        self.reply({"transfer": "basic", "objects": objects}, headers={"Content-Type": LFS_JSON})

    def keep(self, oid, data):
        if hashlib.sha256(data).hexdigest() != oid:
            self.error(400, "the content is not what its name says")
            return False
        self.hub.objects[oid] = data
        return True

    def put_object(self, body, oid):
        if self.keep(oid, body):
            self.reply({})

    def put_part(self, body, oid, upload, number):
        if self.hub.uploads.get(oid) != upload:
            self.error(404, "NoSuchUpload")
            return
        self.hub.parts[oid, upload, int(number)] = body
        self.reply({}, headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def complete(self, body, oid):
        upload = parse_qs(urlparse(self.path).query)["uploadId"][0]
        parts = json.loads(body)["parts"]
        data = [self.hub.parts.get((oid, upload, p["partNumber"]), b"") for p in parts]
        if any(p["etag"] != f'"{hashlib.md5(d).hexdigest()}"' for p, d in zip(parts, data)):
            self.error(400, "InvalidPart")
        elif self.keep(oid, b"".join(data)):
            self.reply({})

    def verify(self, body):
        there = json.loads(body)["oid"] in self.hub.objects
        self.reply({}, 200 if there else 404)

    # ---- git

    def git_backend(self, body, name):
        url = urlparse(self.path)
        if not self.hub.git_dir(name).exists():
            self.error(404, "Repository not found")
            return
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.hub.root / "git"), "GIT_HTTP_EXPORT_ALL": "1",
               "PATH_INFO": url.path, "QUERY_STRING": url.query, "REQUEST_METHOD": self.command,
               "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
               "REMOTE_USER": "someone", "HOME": str(self.hub.root)}
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=env, check=True)
        head, _, data = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        fault = getattr(self, "spoil", None)
        if fault and fault.landed:
            self.answered = True
            self.is_spoiled(fault)
            return
        self.answer(status, data, headers)
