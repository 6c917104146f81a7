"""The hub as a whole: its state, its two origins, and what tests may ask of it over /_admin/."""
import secrets
import threading
import time
import traceback

from hub import api, files, git_http, lfs
from hub.faults import Faults, Limits
from hub.gitstore import Refused
from hub.http import Origin, Routes, as_json
from hub.state import State

admin = Routes()
LOG_MAX = 200000


class Hub:
    def __init__(self, root, port=0, cdn_port=0):
        self.state, self.faults, self.clock = State(root), Faults(), time.time
        self.limits = Limits(time.monotonic)
        self.uploads, self.secret = lfs.Uploads(), secrets.token_bytes(16)
        self.url_seconds, self.part_seconds = 3600, 3600
        self.multipart_above, self.chunk_size = 16 << 20, 8 << 20
        self.page, self.lie_size, self.ranges = None, None, True
        self.requests, self.bodies, self.leaks, self.bugs = [], [], [], []
        self.lock, self.stopping = threading.Lock(), threading.Event()
        main = Routes()
        # The order matters: git and LFS paths look like repositories too.
        for part in (admin, api.routes, lfs.routes, git_http.routes, files.resolve_routes):
            main.table += part.table
        self.main = Origin(self, "hub", "127.0.0.1", port, main)
        # Another host name and port: what is sent there is sent to a stranger.
        self.cdn = Origin(self, "cdn", "localhost", cdn_port, files.cdn_routes)

    def start(self):
        self.main.start()
        self.cdn.start()

    def stop(self):
        self.stopping.set()
        for origin in (self.main, self.cdn):
            origin.shutdown()
            origin.server_close()

    def log(self, entry):
        with self.lock:
            if len(self.requests) < LOG_MAX:
                self.requests.append(entry)

    def bug(self, e):
        with self.lock:
            self.bugs.append("".join(traceback.format_exception(type(e), e, e.__traceback__)))


@admin.add("POST", r"/_admin/state")
def set_state(hub, request):
    hub.state.update(request.json())
    return as_json({})


@admin.add("POST", r"/_admin/repo")
def set_repo(hub, request):
    """{"id":, "kind":, settings...}: make it if it is not there, and set its settings."""
    ask = request.json()
    kind, repo_id = ask.pop("kind", "models"), ask.pop("id")
    repo = hub.state.find(kind, repo_id)[0] or hub.state.create(kind, repo_id)
    repo.set(**ask)
    return as_json({"commit": repo.resolve("main")})


@admin.add("POST", r"/_admin/set")
def set_values(hub, request):
    """url_seconds, part_seconds, multipart_above, chunk_size, page, lie_size, ranges, limits, faults."""
    for name, value in request.json().items():
        if name in ("faults", "limits"):
            getattr(hub, name).set(value)
        elif name in ("url_seconds", "part_seconds", "multipart_above", "chunk_size", "page", "lie_size", "ranges"):
            setattr(hub, name, value)
        else:
            raise Refused(400, f"nothing is called {name}")
    return as_json({})


@admin.add("GET DELETE", r"/_admin/log")
def look(hub, request):
    """What was asked, bodies stored, tokens that strangers saw, bugs of the hub."""
    with hub.lock:
        if request.method == "DELETE":
            hub.requests, hub.bodies, hub.leaks = [], [], []
        return as_json({"requests": hub.requests, "bodies": hub.bodies, "leaks": hub.leaks, "bugs": hub.bugs})
