"""llama.cpp's own library by its C interface (include/llama.h, ggml/include/ggml.h), through ctypes.

Parameter structures are taken from the library's own *_default_params() and handed back as they came, so that their
full layout need not be known here; only fields at their very beginning are set.
"""
import ctypes as c
import glob
import os
import site
import sys

import numpy as np

I32 = c.c_int32
LOG = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)


class Blob(c.Structure):
    """A structure of unknown size, at most this large: passed last, so that what is behind it does no harm."""
    _fields_ = [("words", c.c_uint32 * 128)]


class Batch(c.Structure):
    _fields_ = [("n_tokens", I32), ("token", c.POINTER(I32)), ("embd", c.c_void_p), ("pos", c.POINTER(I32)),
                ("n_seq_id", c.POINTER(I32)), ("seq_id", c.POINTER(c.POINTER(I32))), ("logits", c.POINTER(c.c_int8))]


def _library():
    for folder in site.getsitepackages():
        for path in glob.glob(os.path.join(folder, "xllamacpp", "*.so")):
            return c.CDLL(path)
    print("SKIP: llama.cpp's library (xllamacpp) is not installed")
    sys.exit(77)


lib = _library()
for name, result, args in [
        ("llama_backend_init", None, []), ("llama_log_set", None, [LOG, c.c_void_p]),
        ("llama_model_default_params", Blob, []), ("llama_context_default_params", Blob, []),
        ("llama_model_load_from_file", c.c_void_p, [c.c_char_p, Blob]),
        ("llama_init_from_model", c.c_void_p, [c.c_void_p, Blob]),
        ("llama_model_get_vocab", c.c_void_p, [c.c_void_p]), ("llama_vocab_n_tokens", I32, [c.c_void_p]),
        ("llama_tokenize", I32, [c.c_void_p, c.c_char_p, I32, c.POINTER(I32), I32, c.c_bool, c.c_bool]),
        ("llama_decode", I32, [c.c_void_p, Batch]), ("llama_get_logits", c.POINTER(c.c_float), [c.c_void_p]),
        ("llama_get_memory", c.c_void_p, [c.c_void_p]), ("llama_memory_clear", None, [c.c_void_p, c.c_bool]),
        ("llama_free", None, [c.c_void_p]), ("llama_model_free", None, [c.c_void_p]),
        ("ggml_get_type_traits", c.POINTER(c.c_void_p), [c.c_int]),
        ("ggml_quantize_chunk", c.c_size_t,
         [c.c_int, c.c_void_p, c.c_void_p, c.c_int64, c.c_int64, c.c_int64, c.c_void_p])]:
    f = getattr(lib, name)
    f.restype, f.argtypes = result, args

_messages = []


@LOG
def _log(level, text, _):
    if level >= 3:
        _messages.append(text.decode(errors="replace"))


lib.llama_log_set(_log, None)
lib.llama_backend_init()


class Model:
    """A loaded GGUF with one context."""

    def __init__(self, path, n_ctx=256):
        self.model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
        if not self.model:
            raise AssertionError(f"llama.cpp does not load {path}: {''.join(_messages[-5:])}")
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        params = lib.llama_context_default_params()
        assert params.words[0] == 512 and params.words[1] == 2048, "llama_context_params has changed"
        params.words[0] = n_ctx
        params.words[1] = params.words[2] = n_ctx
        self.ctx = lib.llama_init_from_model(self.model, params)
        assert self.ctx, "".join(_messages[-5:])

    def close(self):
        lib.llama_free(self.ctx)
        lib.llama_model_free(self.model)

    def tokenize(self, text, parse_special=False, add_special=False):
        data = text.encode()
        room = len(data) + 16
        out = (I32 * room)()
        n = lib.llama_tokenize(self.vocab, data, len(data), out, room, add_special, parse_special)
        assert n >= 0, n
        return list(out[:n])

    def logits(self, ids, first=0):
        """[len(ids) - first, n_vocab] from an empty memory: what follows each of ids[first:]."""
        n = len(ids)
        seq = (I32 * 1)(0)
        rows = (c.POINTER(I32) * n)(*[c.cast(seq, c.POINTER(I32))] * n)
        batch = Batch(n, (I32 * n)(*ids), None, (I32 * n)(*range(n)), (I32 * n)(*[1] * n), rows, (c.c_int8 * n)(*[i >= first for i in range(n)]))
        lib.llama_memory_clear(lib.llama_get_memory(self.ctx), True)
        assert lib.llama_decode(self.ctx, batch) == 0
        n -= first
        flat = np.ctypeslib.as_array(lib.llama_get_logits(self.ctx), (n * self.n_vocab,))
        return flat.reshape(n, self.n_vocab).astype(np.float64)

    def predictions(self, ids, window=256, every=1):
        """What is predicted at the second half of each window: log-probabilities [n, n_vocab], and the tokens that come."""
        rows, tokens = [], []
        for at in range(0, len(ids) - window + 1, window * every):
            part = ids[at:at + window]
            x = self.logits(part, window // 2)[:-1]
            x -= x.max(axis=1, keepdims=True)
            rows.append((x - np.log(np.exp(x).sum(axis=1, keepdims=True))).astype(np.float32))
            tokens += part[window // 2 + 1:]
        return np.concatenate(rows), np.array(tokens)

    def perplexity(self, ids, window=256):
        """Of the predictions made at the second half of each window: llama.cpp's convention."""
        return perplexity(*self.predictions(ids, window))

    def greedy(self, ids, n):
        out = list(ids)
        for _ in range(n):
            out.append(int(self.logits(out)[-1].argmax()))
        return out[len(ids):]


def perplexity(log_p, tokens):
    return float(np.exp(-log_p[np.arange(len(tokens)), tokens].mean(dtype=np.float64)))


def divergence(exact, log_p):
    """Kullback and Leibler's, of the predictions from exact ones: a mean in nats."""
    return float((np.exp(exact) * (exact - log_p)).sum(axis=1).mean(dtype=np.float64))


def quantize_rows(x, type_id, block, size, importances=None):
    """ggml's own encoder of one type over rows [n, row]; bytes. importances: of each column."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    weights = None if importances is None else np.ascontiguousarray(importances, dtype=np.float32)
    out = np.zeros(x.size // block * size, dtype=np.uint8)
    lib.ggml_quantize_chunk(type_id, x.ctypes.data, out.ctypes.data, 0, x.shape[0], x.shape[1],
                            None if weights is None else weights.ctypes.data)
    return out


def dequantize(raw, type_id, n):
    """ggml's own decoder: n floats."""
    # struct ggml_type_traits: name, block, interleave, size, is_quantized, to_float (ggml.h)
    to_float = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, c.c_int64)(lib.ggml_get_type_traits(type_id)[5])
    raw = np.frombuffer(raw, dtype=np.uint8)
    out = np.empty(n, dtype=np.float32)
    to_float(raw.ctypes.data, out.ctypes.data, n)
    return out
