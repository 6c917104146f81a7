#!/usr/bin/env python3
"""llama.cpp's own quantizer, release v0.5.0, as a program: what llama-quantize does, through llama_model_quantize().

    quantizer.py IN.gguf OUT.gguf FILE_TYPE THREADS [SETTINGS [IMATRIX.json]] [-- IN.gguf ...]

SETTINGS, with commas between: output_type=TYPE, token_embedding_type=TYPE, or a type alone for both, in place of llama.cpp's
choice; pure=true, leave_output=true, as of the gguf engine.
IMATRIX.json: importances of each matrix by name, of its columns. The library and
the processor variant that it chose go to standard output, the seconds and the CPU seconds that the call took to the
last line. Several files, with -- between, share the library's tables: those of IQ1 take it 13 seconds. Exits 77 when the
library is not installed (see setup.sh). A program of its own, so that its library meets no other build.
"""
import ctypes as c
import itertools
import json
import os
import re
import sys
import time
from pathlib import Path

FILE_TYPES = {  # include/llama.h: enum llama_ftype
    "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13,
    "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "Q2_K_S": 21, "IQ4_NL": 25, "IQ4_XS": 30,
    "TQ1_0": 36, "TQ2_0": 37, "MXFP4_MOE": 38, "IQ2_XXS": 19, "IQ2_XS": 20, "IQ3_XS": 22, "IQ3_XXS": 23, "IQ1_S": 24,
    "IQ3_S": 26, "IQ3_M": 27, "IQ2_S": 28, "IQ2_M": 29, "IQ1_M": 31, "Q1_0": 40, "Q2_0": 41}
TENSOR_TYPES = {"F16": 1, "Q4_0": 2, "Q8_0": 8, "Q6_K": 14}  # ggml/include/ggml.h: enum ggml_type
LOG = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)


class Importances(c.Structure):
    """struct llama_model_imatrix_data; a list of them ends with one without a name."""
    _fields_ = [("name", c.c_char_p), ("data", c.POINTER(c.c_float)), ("size", c.c_size_t)]


class Params(c.Structure):
    """The head of struct llama_model_quantize_params (include/llama.h); what follows keeps its default."""
    _fields_ = [("nthread", c.c_int32), ("ftype", c.c_int), ("output_tensor_type", c.c_int),
                ("token_embedding_type", c.c_int), ("allow_requantize", c.c_bool), ("quantize_output_tensor", c.c_bool),
                ("only_copy", c.c_bool), ("pure", c.c_bool), ("flags", c.c_uint8 * 4), ("imatrix", c.POINTER(Importances)),
                ("rest", c.c_uint8 * 480)]


def folder():
    """Where setup.sh put the libraries."""
    peers = Path(os.environ.get("QUERN_PEER_DIR") or Path(__file__).resolve().parents[2] / "build" / "peer")
    found = sorted(peers.glob("node_modules/@node-llama-cpp/linux-*/bins/linux-*/libllama.*so*"))
    if not found:
        print(f"SKIP: llama.cpp's library is not installed in {peers}; run tests/peer/setup.sh")
        sys.exit(77)
    return found[0].parent


def load(where):
    """The library with the backend for this processor, and the name of that backend's file."""
    for pattern in ("libggml-base.so", "libggml.*so*"):
        c.CDLL(str(next(where.glob(pattern))), mode=c.RTLD_GLOBAL)
    ggml = c.CDLL(str(next(where.glob("libggml.*so*"))))
    lib = c.CDLL(str(next(where.glob("libllama.*so*"))))
    ggml.ggml_backend_load_all_from_path(str(where).encode())
    loaded = re.search(r"libggml-cpu-\w+\.so", Path("/proc/self/maps").read_text())
    lib.llama_model_quantize_default_params.restype = Params
    lib.llama_model_quantize.restype = c.c_uint32
    lib.llama_model_quantize.argtypes = [c.c_char_p, c.c_char_p, c.POINTER(Params)]
    return lib, loaded.group() if loaded else "no CPU backend"


def importances(path):
    with open(path, encoding="utf-8") as f:
        found = json.load(f)
    rows = [Importances(name.encode(), (c.c_float * len(v))(*v), len(v)) for name, v in found.items()]
    return (Importances * (len(rows) + 1))(*rows, Importances())


def set_params(params, settings):
    if (params.only_copy, params.pure, params.quantize_output_tensor) != (False, False, True):
        sys.exit("struct llama_model_quantize_params is not what this program knows")
    for name, _, value in (word.rpartition("=") for word in settings.split(",") if word):
        if name in ("output_type", ""):
            params.output_tensor_type = TENSOR_TYPES[value]
        if name in ("token_embedding_type", ""):
            params.token_embedding_type = TENSOR_TYPES[value]
        if name == "pure":
            params.pure = True
        if name == "leave_output":
            params.quantize_output_tensor = False


def quantize(lib, source, out, quant, threads, settings="", imatrix=None):
    params = lib.llama_model_quantize_default_params()
    if params.output_tensor_type != params.token_embedding_type or params.output_tensor_type < max(TENSOR_TYPES.values()):
        sys.exit("struct llama_model_quantize_params is not what this program knows")
    params.nthread = int(threads)
    params.ftype = FILE_TYPES[quant]
    set_params(params, settings)
    if imatrix:
        if params.imatrix:
            sys.exit("struct llama_model_quantize_params is not what this program knows")
        params.imatrix = importances(imatrix)
    start, cpu_start = time.monotonic(), time.process_time()
    failed = lib.llama_model_quantize(source.encode(), out.encode(), c.byref(params))
    return failed, time.monotonic() - start, time.process_time() - cpu_start


def main(*words):
    where = folder()
    lib, backend = load(where)
    said = []

    @LOG
    def log(level, text, _):
        said.append(text.decode(errors="replace"))

    lib.llama_log_set(log, None)
    lib.llama_backend_init()
    for is_end, run in itertools.groupby(words, lambda word: word == "--"):
        if is_end:
            continue
        failed, seconds, cpu_seconds = quantize(lib, *run)
        if failed:
            sys.exit("".join(said[-10:]) + f"llama_model_quantize returned {failed}")
        print(f"{next(where.glob('libllama.*so*')).name}, {backend}")
        print(f"{seconds:.3f} {cpu_seconds:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
