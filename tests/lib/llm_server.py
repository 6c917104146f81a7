#!/usr/bin/env python3
"""An OpenAI-compatible server that answers as a test wants it, well or badly.

In a test: with LlmServer(mode="timings") as s: ... s.url ... s.asked
As a command that quern serves a file with: llm_server.py --port N [--mode M] [--file F] [--pid-file P]
"""
import argparse
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROSE = ("Water on a high mountain boils sooner, because the air above it is thin and presses less on the water. "
         "Bread is made of flour, water, salt and yeast, and the dough is baked in an oven. "
         "On the farm there are a cow, a pig, a sheep, a horse and a goat, and each of them has its place. ")
LOOP = "the king of the hill " * 40


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def note(self, body=b""):
        self.server.asked.append((self.command, self.path, body.decode(), self.headers.get("Authorization")))

    def do_GET(self):
        s = self.server
        self.note()
        if self.path == "/health" and s.mode != "nohealth":
            s.looked += 1
            ready = s.looked > s.loading
            return self.send(200 if ready else 503, {"status": "ok" if ready else "loading"})
        if self.path == "/v1/models":
            return self.send(200, {"object": "list", "data": [{"id": name} for name in s.models]})
        if self.path == "/api/version" and s.mode == "ollama":
            return self.send(200, {"version": "0.9.1"})
        if self.path == "/api/ps" and s.mode == "ollama":
            return self.send(200, {"models": [{"name": s.models[0], "size": 123456789, "size_vram": 0}]})
        return self.send(404, {"error": {"message": "no such page"}})

    def do_POST(self):
        s = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.note(body)
        if self.path.startswith("/api/load/"):
            return self.send(200, {"loaded": True})
        if self.path.startswith("/api/unload/"):
            return self.send(200, {"loaded": False})
        if self.path != "/v1/chat/completions":
            return self.send(404, {"error": {"message": "no such page"}})
        request = json.loads(body)
        if s.mode == "strict" and ("top_k" in request or "cache_prompt" in request):
            return self.send(400, {"error": {"message": "unknown field top_k"}})
        if s.mode == "fail":
            return self.send(500, {"error": {"message": "out of memory \x1b[31m"}})
        if s.mode == "html":
            return self.send(200, b"<!DOCTYPE html><title>router</title>", "text/html")
        if s.mode == "nonsense":
            return self.send(200, b"data: {not json\n\n", "text/event-stream")
        if s.mode == "nostream":
            return self.send(200, {"choices": [{"message": {"content": PROSE}, "finish_reason": "stop"}],
                                   "usage": {"prompt_tokens": 20, "completion_tokens": 64}})
        if s.mode == "silent":
            time.sleep(600)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.stream(request)
        except (BrokenPipeError, ConnectionResetError):
            s.broken += 1

    def chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def event(self, value):
        self.chunk(b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n")

    def piece(self, text, **more):
        self.event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more})

    def stream(self, request):
        s, tokens = self.server, int(request["max_tokens"])
        if s.mode == "hang":
            self.piece("The ")
            time.sleep(600)
        if s.mode == "drip":  # a byte now and then, for ever
            while True:
                self.chunk(b":")
                time.sleep(0.2)
        if s.mode == "longline":
            self.chunk(b"data: " + b"x" * (1 << 20))
        if s.mode == "endless":
            while True:
                self.piece("and so on ")
        if s.mode == "badutf8":
            self.event(b'{"choices": [{"delta": {"content": "\xff\xfe"}}]}')
        if s.mode == "error":
            self.event({"error": {"message": "the model is gone", "code": 500}})
        words = (LOOP if s.mode == "garbage" else PROSE).split(" ")
        for i in range(tokens):
            time.sleep(s.pause)
            self.piece(words[i % len(words)] + " ")
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}], "system_fingerprint": "b77"}
        if s.mode in ("usage", "garbage", "strict", "ollama"):
            last["usage"] = {"prompt_tokens": 20, "completion_tokens": tokens}
        if s.mode == "timings":
            last["timings"] = {"prompt_n": 20, "prompt_ms": 0.1, "predicted_n": tokens,
                               "predicted_ms": s.pause * 1000 * tokens}
        if s.mode == "liar":  # longer than anybody waited, and more than anybody asked for
            last["timings"] = {"prompt_n": -5, "prompt_ms": 1e300, "predicted_n": tokens, "predicted_ms": 1e15}
            last["usage"] = {"prompt_tokens": -1, "completion_tokens": 1 << 60}
        self.event(last)
        self.event(b"[DONE]")
        self.chunk(b"")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, mode, models, loading, pause):
        super().__init__(("127.0.0.1", port), Handler)
        self.mode, self.models, self.loading, self.pause = mode, models, loading, pause
        self.looked = self.broken = 0
        self.asked = []

    def handle_error(self, request, client_address):
        pass


class LlmServer:
    def __init__(self, mode="usage", models=("m",), loading=0, pause=0.0, port=0):
        self.server = Server(port, mode, list(models), loading, pause)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()

    @property
    def asked(self):
        return self.server.asked

    def chats(self):
        return [json.loads(body) for method, path, body, _ in self.asked if path == "/v1/chat/completions"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--mode", default="usage")
    p.add_argument("--file", default="")
    p.add_argument("--pid-file")
    p.add_argument("--die", help="say this and end at once")
    p.add_argument("--stubborn", action="store_true", help="pass over SIGTERM, and leave a child in a session of its own")
    p.add_argument("--pause", type=float, default=0.0)
    o = p.parse_args()
    if o.die:
        print(o.die, file=sys.stderr)
        return 3
    if o.file and not os.path.exists(o.file):
        print(o.file, "is not there", file=sys.stderr)
        return 4
    pids = [os.getpid()]
    if o.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = os.fork()
        if child == 0:
            os.setsid()
            while True:
                time.sleep(60)
        pids.append(child)
    if o.pid_file:
        with open(o.pid_file + ".new", "w") as f:
            f.write(" ".join(map(str, pids)))
        os.rename(o.pid_file + ".new", o.pid_file)
    print("token in the environment:", os.environ.get("HF_TOKEN"), flush=True)
    Server(o.port, o.mode, ["m"], 0, o.pause).serve_forever()


if __name__ == "__main__":
    sys.exit(main())
