"""The download side of a hub in this process, for tests of fetching: two servers on loopback (the hub, and the
"CDN" that its signed addresses lead to), a log of every request, and faults put in by rules.

It serves only what a client needs to look at models and to fetch them; tests/hub has the whole Hub.
"""
import functools
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_TestTokenThatMustNeverBeSeenAnywhere"


@functools.cache
def sha256(data):
    return hashlib.sha256(data).hexdigest()


@functools.cache
def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    """Files of one commit; a new commit replaces them all."""

    def __init__(self, files, **state):
        self.state = {"private": False, "gated": False, "disabled": False, **state}
        self.commits = {}
        self.commit(files)

    def commit(self, files):
        text = json.dumps({k: git_sha1(v) for k, v in sorted(files.items())}) + str(len(self.commits))
        self.head = hashlib.sha1(text.encode()).hexdigest()
        self.commits[self.head] = dict(files)
        return self.head

    def resolve(self, rev):
        return self.head if rev in ("main", "HEAD") else rev if rev in self.commits else None


class Rule:
    """What happens to requests whose line matches, the next `times` times."""

    def __init__(self, pattern, act, times=1):
        self.pattern, self.act, self.times = re.compile(pattern), act, times


class Hub:
    lfs_from = 1000  # bytes; larger files are "LFS" and live on the CDN

    def __init__(self):
        self.repos, self.renamed, self.rules, self.requests = {}, {}, [], []
        self.lock = threading.Lock()
        self.signature = 0  # addresses signed with an older number have expired
        self.servers = [self._serve(HubHandler), self._serve(CdnHandler)]
        self.url, self.cdn = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)
        self.cdn = self.cdn.replace("127.0.0.1", "localhost")

    def _serve(self, handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.hub = self
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def rule(self, pattern, act, times=1):
        self.rules.append(Rule(pattern, act, times))

    def log(self, handler):
        line = f"{handler.command} {handler.path}"
        with self.lock:
            self.requests.append((line, dict(handler.headers.items()), isinstance(handler, CdnHandler)))
            for rule in self.rules:
                if rule.times and rule.pattern.search(line):
                    rule.times -= 1
                    return rule.act
        return None

    def lines(self, pattern=""):
        with self.lock:
            return [line for line, _, _ in self.requests if re.search(pattern, line)]

    def ranges(self, pattern=""):
        """The Range of each answered request whose line matches."""
        with self.lock:
            return [head.get("Range", "") for line, head, _ in self.requests if re.search(pattern, line)]

    def etag(self, data):
        return sha256(data) if len(data) >= self.lfs_from else git_sha1(data)

    def forget(self):
        with self.lock:
            self.requests.clear()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_GET(self):
        act = self.server.hub.log(self)
        if act is None or act(self) is None:
            self.answer()

    do_HEAD = do_GET

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def reply_json(self, value, **headers):
        return self.reply(200, json.dumps(value).encode(), Content_Type="application/json; charset=utf-8", **headers)

    def refuse(self, status, code=None, message="no"):
        headers = {"X_Error_Message": message}
        if code:
            headers["X_Error_Code"] = code
        return self.reply(status, json.dumps({"error": message}).encode(), Content_Type="application/json", **headers)

    def reply_file(self, data, **headers):
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not found:
            return self.reply(200, data, Accept_Ranges="bytes", **headers)
        first, last = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
        if first > last:
            return self.reply(416, b"", Content_Range=f"bytes */{len(data)}")
        return self.reply(206, data[first:last + 1], Accept_Ranges="bytes",
                          Content_Range=f"bytes {first}-{last}/{len(data)}", **headers)


class HubHandler(Handler):
    def may_read(self, repo):
        """What the Hub answers instead; None when the repository may be seen."""
        token = self.headers.get("Authorization")
        if token and token != f"Bearer {TOKEN}":
            return self.refuse(401, None, "Invalid credentials in Authorization header")
        if repo is None or (repo.state["private"] and not token):
            return self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        return None

    def answer(self):
        hub, url = self.server.hub, urlsplit(self.path)
        for pattern, act in ((r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", self.info),
                             (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", self.tree),
                             (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.resolve)):
            found = re.fullmatch(pattern, url.path)
            if not found:
                continue
            name = found[1]
            if name in hub.renamed:
                return self.reply(307, Location=self.path.replace(name, hub.renamed[name], 1))
            repo = hub.repos.get(name)
            if self.may_read(repo):
                return True
            rev = repo.resolve(unquote(found[2]))
            if rev is None:
                return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {found[2]}")
            return act(name, repo, rev, *map(unquote, found.groups()[2:]))
        return self.refuse(404)

    def info(self, name, repo, rev):
        return self.reply_json({"id": name, "modelId": name, "sha": rev, **repo.state,
                                "siblings": [{"rfilename": f} for f in repo.commits[rev]]})

    def entry(self, path, data):
        entry = {"type": "file", "path": path, "size": len(data), "oid": git_sha1(data)}
        if len(data) >= self.server.hub.lfs_from:
            entry["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 130}
            entry["oid"] = "0" * 40
        return entry

    def tree(self, name, repo, rev):
        """Pages of two entries, to see that all are read."""
        at = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
        entries = [self.entry(*f) for f in sorted(repo.commits[rev].items())]
        headers = {}
        if at + 2 < len(entries):
            base = self.path.split("?")[0]
            headers["Link"] = f'<https://huggingface.co{base}?cursor={at + 2}>; rel="next"'
        return self.reply_json(entries[at:at + 2], **headers)

    def resolve(self, name, repo, rev, path):
        if repo.state["gated"] and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401, "GatedRepo", "Access to model is restricted")
        if repo.state["gated"] == "manual":
            return self.refuse(403, "GatedRepo", "Access to model is restricted")
        data = repo.commits[rev].get(path)
        if data is None:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        if len(data) < self.server.hub.lfs_from:
            return self.reply_file(data, ETag=f'"{git_sha1(data)}"', X_Repo_Commit=rev)
        sha = sha256(data)
        hub = self.server.hub
        return self.reply(302, b"", Location=f"{hub.cdn}/{name}/{sha}?X-Signature={hub.signature}",
                          X_Repo_Commit=rev, X_Linked_Etag=f'"{sha}"', X_Linked_Size=str(len(data)))


class CdnHandler(Handler):
    def answer(self):
        hub, url = self.server.hub, urlsplit(self.path)
        if "Authorization" in self.headers:
            return self.refuse(400, None, "a token was sent to the CDN")
        if parse_qs(url.query).get("X-Signature") != [str(hub.signature)]:
            return self.refuse(403, None, "expired")
        _, owner, name, sha = url.path.split("/")
        for files in hub.repos[f"{owner}/{name}"].commits.values():
            for data in files.values():
                if len(data) >= hub.lfs_from and sha256(data) == sha:
                    return self.reply_file(data)
        return self.refuse(404)


# ---- faults

def status(code, **headers):
    return lambda handler: handler.reply(code, b"", **headers)


def html(handler):
    return handler.reply(200, b"<html>please log in</html>", Content_Type="text/html")


def reset(handler):
    """The connection ends before an answer."""
    handler.close_connection = True
    handler.connection.close()
    return True


def expire(handler):
    """Every address that was signed so far is refused from now on."""
    handler.server.hub.signature += 1


def change(make):
    """Answer with other bytes: make(data) of the body."""
    def act(handler):
        send = handler.wfile.write
        seen = []

        def write(data):
            if not seen and b"\r\n\r\n" in data:  # the head
                seen.append(data)
                return send(data)
            return send(make(data))
        handler.wfile.write = write
        handler.answer()
        handler.wfile.write = send
        return True
    return act


def cut(part):
    """The body stops after that share of it."""
    def act(handler):
        handler.close_connection = True
        return change(lambda data: data[:int(len(data) * part)])(handler)
    return act


def hold(event, seconds=30):
    """Answer only when event is set (or the test is over)."""
    def act(handler):
        event.wait(seconds)
    return act
