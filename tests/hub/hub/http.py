"""HTTP/1.1 for tests: routes, streamed bodies both ways, faults in the sending of answers, a log without secrets."""
import base64
import json
import os
import re
import socket
import struct
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from hub.gitstore import Refused

BODY_MAX = 256 << 20  # of a body that is read into memory


class Response:
    def __init__(self, status=200, headers=None, body=b"", file=None, first=0, size=None):
        """body, or `size` bytes of the file from `first` on."""
        self.status, self.headers, self.body = status, dict(headers or {}), body
        self.file, self.first, self.size = file, first, size

    @property
    def length(self):
        return self.size if self.file else len(self.body)


def as_json(value, status=200, headers=None):
    return Response(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, json.dumps(value).encode())


def as_error(e):
    headers = {"X-Error-Message": e.message.replace("\n", " "), **getattr(e, "headers", {})}
    if e.code:
        headers["X-Error-Code"] = e.code
    if e.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="hub", charset="UTF-8"'
    return as_json({"error": e.message}, e.status, headers)


class Request:
    """One request: method, raw path, query, headers, token, and a body that is read when it is wanted."""

    def __init__(self, handler):
        self.handler, self.method, self.headers = handler, handler.command, handler.headers
        split = urlsplit(handler.path)
        self.raw_path, self.path = split.path, unquote(split.path)
        self.query = {k: v for k, v in parse_qs(split.query, keep_blank_values=True).items()}
        self.query_string = split.query
        self.read_bytes, self.chunked = 0, "chunked" in self.headers.get("Transfer-Encoding", "")
        self.left = int(self.headers.get("Content-Length") or 0)
        self.done = not self.chunked and self.left == 0

    def one(self, name, default=None):
        return self.query.get(name, [default])[0]

    @property
    def token(self):
        """Of a Bearer or Basic header; None without one."""
        kind, _, value = (self.headers.get("Authorization") or "").partition(" ")
        if kind.lower() == "bearer":
            return value.strip()
        if kind.lower() == "basic":
            try:
                return base64.b64decode(value).decode().partition(":")[2]
            except ValueError:
                return ""
        return None

    def read(self, limit=1 << 20):
        """The next piece of the body; b"" at its end."""
        if self.done:
            return b""
        data = self.read_chunked(limit) if self.chunked else self.handler.rfile.read(min(limit, self.left))
        if not self.chunked:
            self.left -= len(data)
            self.done = self.left == 0
            if not data:
                raise ConnectionError("the body ended early")
        self.read_bytes += len(data)
        return data

    def read_chunked(self, limit):
        if self.left == 0:
            line = self.handler.rfile.readline(1024)
            self.left = int(line.split(b";")[0], 16)
            if self.left == 0:
                while self.handler.rfile.readline(1024).strip():
                    pass
                self.done = True
                return b""
        data = self.handler.rfile.read(min(limit, self.left))
        self.left -= len(data)
        if self.left == 0:
            self.handler.rfile.readline(1024)
        return data

    def body(self):
        parts, size = [], 0
        while True:
            piece = self.read()
            if not piece:
                return b"".join(parts)
            size += len(piece)
            if size > BODY_MAX:
                raise Refused(413, "Payload too large")
            parts.append(piece)

    def json(self):
        try:
            value = json.loads(self.body() or b"{}")
        except ValueError:
            raise Refused(400, "Invalid JSON") from None
        if not isinstance(value, dict):
            raise Refused(400, "Invalid JSON")
        return value


class Routes:
    def __init__(self):
        self.table = []

    def add(self, methods, pattern):
        def keep(function):
            self.table.append((methods.split(), re.compile(pattern + r"\Z"), function))
            return function
        return keep

    def find(self, method, path):
        seen = False
        for methods, pattern, function in self.table:
            m = pattern.match(path)
            if m:
                seen = True
                if method in methods:
                    return function, m.groupdict()
        raise Refused(405 if seen else 404, "Method not allowed" if seen else "Sorry, we can't find the page you are looking for.")


def reset(connection):
    """RST in place of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Dropped(Exception):
    """The connection is gone on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def handle_expect_100(self):
        going_on = super().handle_expect_100()
        self.wfile.flush()  # who asks waits for it a second before the body
        return going_on

    def do(self):
        origin = self.server.origin
        request = Request(self)
        action, entry = None, {"origin": origin.name, "method": request.method, "path": request.path, "status": 0, "sent": 0,
                               "token": "Authorization" in self.headers, "range": self.headers.get("Range")}
        try:
            if not request.path.startswith("/_admin/"):
                origin.hub.log(entry)
                action = origin.hub.faults.take(origin.name, request.method, request.path)
            response = self.answer(request, action or {})
            self.drain(request)
            entry["status"] = response.status
            self.send(request, response, action or {}, entry)
        except (Dropped, ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            entry["received"] = request.read_bytes
            try:
                self.wfile.flush()
            except (OSError, ValueError):
                self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do

    def answer(self, request, action):
        done = self.before(request, action)
        if done:
            return done
        try:
            function, names = self.server.origin.routes.find(request.method, request.raw_path)
            response = function(self.server.origin.hub, request, **{k: v and unquote(v) for k, v in names.items()})
        except Refused as e:
            response = as_error(e)
        except ConnectionError:
            raise
        except Exception as e:  # a bug of the hub must be seen in the test
            self.server.origin.hub.bug(e)
            response = as_error(Refused(500, f"bug of the test hub: {e!r}"))
        if action.get("after"):
            self.drain(request)
            if action["do"] == "reset":
                self.drop()
            if action["do"] == "stall":
                self.stall(action)
            return Response(action["status"], action.get("headers"), action.get("body", "").encode())
        return response

    def before(self, request, action):
        """What is done in place of the request; None: go on."""
        kind = action.get("do")
        if kind == "revoke":
            self.server.origin.hub.state.update({"tokens": {request.token: None}})
        if kind == "reset" and not action.get("after"):
            self.drop()
        if kind == "read":
            left = action["bytes"]
            while left > 0:
                piece = request.read(min(left, 1 << 16))
                left = left - len(piece) if piece else 0
            self.drop()
        if kind == "stall" and not action.get("after"):
            self.stall(action)
        if kind == "status" and not action.get("after"):
            return Response(action["status"], action.get("headers"), action.get("body", "").encode())
        if kind == "html":
            return Response(action.get("status", 200), {"Content-Type": "text/html"}, b"<html><body>Bad gateway</body></html>")
        if kind == "redirect":
            return Response(302, {"Location": self.path if action["to"] == "self" else action["to"]})
        return None

    def stall(self, action):
        self.server.origin.hub.stopping.wait(action["seconds"])
        raise Dropped

    def drop(self):
        try:
            self.wfile.flush()
        except OSError:
            pass
        reset(self.connection)
        raise Dropped

    def drain(self, request):
        """Read what is left of the body, so that the connection can go on."""
        while not request.done:
            request.read()

    # ---- sending

    def send(self, request, response, action, entry):
        response = self.changed(response, action)
        length = response.length + action.get("add", 0) if action.get("do") == "length" else response.length
        self.send_response(response.status)
        headers = {"Content-Type": "application/octet-stream", "X-Request-Id": f"Root=1-{uuid.uuid4()}", **response.headers}
        if response.status not in (204, 304) and "Content-Length" not in headers:
            headers["Content-Length"] = str(length)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if request.method == "HEAD" or response.status in (204, 304):
            return
        stop = action["bytes"] if action.get("do") == "truncate" else response.length
        self.send_body(response, min(stop, response.length), action, entry)
        if action.get("do") in ("truncate", "length"):
            self.wfile.flush()
            self.close_connection = True

    def changed(self, response, action):
        kind = action.get("do")
        if kind == "replace":
            response.body = response.body.replace(action["old"].encode(), action["new"].encode())
        if kind == "corrupt":
            data = bytearray(self.bytes_of(response))
            if action["at"] < len(data):
                data[action["at"]] ^= 0x55
            response = Response(response.status, response.headers, bytes(data))
        return response

    @staticmethod
    def bytes_of(response):
        if not response.file:
            return response.body
        with open(response.file, "rb") as f:
            f.seek(response.first)
            return f.read(response.size)

    def send_body(self, response, size, action, entry):
        """entry["sent"] counts, also when the client goes away."""
        if action.get("do") == "trickle":
            return self.trickle(self.bytes_of(response)[:size], action["bytes"], entry)
        if not response.file:
            self.wfile.write(response.body[:size])
            entry["sent"] = size
            return
        self.wfile.flush()
        with open(response.file, "rb") as f:
            sent = 0
            while sent < size:
                n = os.sendfile(self.connection.fileno(), f.fileno(), response.first + sent, min(size - sent, 1 << 22))
                if n == 0:
                    raise ConnectionError("the file became shorter")
                sent += n
                entry["sent"] = sent

    def trickle(self, data, rate, entry):
        for at in range(0, len(data), max(1, rate // 20)):
            self.wfile.write(data[at:at + max(1, rate // 20)])
            self.wfile.flush()
            entry["sent"] = min(len(data), at + max(1, rate // 20))
            time.sleep(0.05)


class Origin(ThreadingHTTPServer):
    """One host and port of the hub: "hub" or "cdn"."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, hub, name, host, port, routes):
        self.hub, self.name, self.host_name, self.routes = hub, name, host, routes
        self.origin = self
        super().__init__((host, port), Handler)

    def handle_error(self, request, client_address):
        pass  # connections that clients break are the daily bread of a hub

    @property
    def url(self):
        return f"http://{self.host_name}:{self.server_address[1]}"

    def start(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
