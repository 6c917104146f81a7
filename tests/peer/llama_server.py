#!/usr/bin/env python3
"""llama_server.py FILE PORT -- llama.cpp's own HTTP server, as xllamacpp's wheel carries it, for one GGUF file on
127.0.0.1, until it is ended."""
import signal
import sys
import threading

import xllamacpp


def main(path, port):
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = 512
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.warmup = False
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print("listening on", server.listening_address, flush=True)
    while not stop.wait(0.2):
        pass


main(sys.argv[1], sys.argv[2])
