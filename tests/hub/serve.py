#!/usr/bin/env python3
"""serve.py --root DIR [--port N] [--cdn-port N]: a hub until standard input closes or SIGTERM comes.

Prints one JSON line: {"endpoint": ..., "cdn": ...}.
"""
import argparse
import json
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from hub.hub import Hub  # noqa: E402


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--root", required=True)
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--cdn-port", type=int, default=0)
    args = p.parse_args()
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    hub = Hub(args.root, args.port, args.cdn_port)
    hub.start()
    print(json.dumps({"endpoint": hub.main.url, "cdn": hub.cdn.url}), flush=True)

    def wait_for_end():
        sys.stdin.buffer.read()
        over.set()
    threading.Thread(target=wait_for_end, daemon=True).start()
    over.wait()
    hub.stop()


main()
