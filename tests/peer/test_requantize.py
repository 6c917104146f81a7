"""GGUF as a source: from floats, the file that the checkpoint gives; in parts or whole; what is kept, and llama.cpp's
quantizer beside it."""
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

import llama
from peer import KJV, QUERN, WORK, convert, fake, inspect, raw_bytes, run, run_all, values, write_gguf

HERE = Path(__file__).resolve().parent


def types(path):
    return {t["name"]: t["type"] for t in inspect(path)["tensors"]}


def again(path, quant, *more, code=0):
    """path converted once more."""
    out = WORK / f"again-{path.name}-{quant}.gguf"
    done = run(QUERN, "convert", path, "-o", out, "--engine", "gguf", "--quant", quant, *more)
    assert done.returncode == code, done.stdout
    return done.stdout if code else out


def test_from_floats_it_is_the_same_file():
    for source in (KJV, *(fake(f"{name}-tiny:fill=random,dtype=F32", name) for name in
                          ("mixtral", "gemma3", "gpt2", "deepseek2", "falcon", "phi3", "qwen2-moe"))):
        for quant in ("Q4_K_M", "IQ4_XS", "Q8_0"):
            direct, through = convert(source, quant), again(convert(source, "F32"), quant)
            assert direct.read_bytes() == through.read_bytes(), (source.name, quant)


def test_blocks_of_the_same_type_are_kept():
    whole = convert(KJV, "Q4_K_M")
    assert again(whole, "Q4_K_M", "--with", "allow_requantize=true").read_bytes() == whole.read_bytes()
    assert "allow_requantize" in again(whole, "Q8_0", code=2)
    more = again(whole, "Q8_0", "--with", "allow_requantize=true")
    for name in ("blk.0.attn_v.weight", "token_embd.weight", "blk.1.ffn_up.weight"):
        x, y = values(whole, name), values(more, name)
        assert np.sqrt(((x - y) ** 2).sum() / (x ** 2).sum()) < 0.01, name
    llama.Model(more).close()


def test_llama_quantize_chooses_the_same_types():
    source = convert(KJV, "F16")
    for quant in ("Q4_K_M", "Q3_K_M"):
        theirs = WORK / f"theirs-{quant}.gguf"
        done = subprocess.run([sys.executable, str(HERE / "quantizer.py"), str(source), str(theirs), quant, "2"],
                              capture_output=True, text=True)
        if done.returncode == 77:
            print(done.stdout)
            return
        assert done.returncode == 0, done.stdout + done.stderr
        ours = again(source, quant)
        assert types(ours) == types(theirs), quant
        # And once more from theirs: another hand's file is read as well as our own.
        assert types(again(theirs, "Q8_0", "--with", "allow_requantize=true"))["blk.0.ffn_up.weight"] == "Q8_0"


# ---- parts

def head(data):
    """(bytes of the pairs, list of (info bytes without offset, offset), where the data begins)"""
    def string(at):
        n, = struct.unpack_from("<Q", data, at)
        return at + 8 + n

    def value(kind, at):
        size = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
        if kind == 8:
            return string(at)
        if kind != 9:
            return at + size[kind]
        of, n = struct.unpack_from("<IQ", data, at)
        at += 12
        for _ in range(n if of == 8 else 0):
            at = string(at)
        return at if of == 8 else at + n * size[of]

    _, tensors, pairs = struct.unpack_from("<IQQ", data, 4)
    at = 24
    for _ in range(pairs):
        at = string(at)
        at = value(struct.unpack_from("<I", data, at)[0], at + 4)
    kvs, infos = data[24:at], []
    for _ in range(tensors):
        begin, at = at, string(at)
        at += 4 + 8 * struct.unpack_from("<I", data, at)[0] + 4
        infos.append((data[begin:at], struct.unpack_from("<Q", data, at)[0]))
        at += 8
    return kvs, pairs, infos, -(-at // 32) * 32


def split(path, folder, parts):
    """As llama-gguf-split does it: all metadata in the first part, tensors in order."""
    data = path.read_bytes()
    kvs, n_kv, infos, begin = head(data)
    ends = [offset for _, offset in infos[1:]] + [len(data) - begin]
    per = -(-len(infos) // parts)
    folder.mkdir()
    for i in range(parts):
        some = list(zip(infos, ends))[i * per:(i + 1) * per]
        pairs, n = (kvs, n_kv) if i == 0 else (b"", 0)
        for key, kind, form, v in (("split.no", 2, "<H", i), ("split.count", 2, "<H", parts),
                                   ("split.tensors.count", 5, "<i", len(infos))):
            pairs += struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + struct.pack(form, v)
        out = b"GGUF" + struct.pack("<IQQ", 3, len(some), n + 3) + pairs
        first = some[0][0][1]
        out += b"".join(info + struct.pack("<Q", offset - first) for (info, offset), _ in some)
        out += bytes(-len(out) % 32)
        out += b"".join(data[begin + offset:begin + end] for (_, offset), end in some)
        (folder / f"m-{i + 1:05d}-of-{parts:05d}.gguf").write_bytes(out)


def test_in_parts():
    whole, folder = convert(KJV, "F32"), WORK / "parts"
    split(whole, folder, 3)
    llama.Model(folder / "m-00001-of-00003.gguf").close()
    expected = convert(KJV, "Q4_K_M").read_bytes()
    for source in (folder, folder / "m-00001-of-00003.gguf"):
        assert again(source, "Q4_K_M").read_bytes() == expected, source
    assert "name the first one" in again(folder / "m-00002-of-00003.gguf", "Q4_K_M", code=2)
    (folder / "m-00003-of-00003.gguf").unlink()
    assert "is the download complete" in again(folder, "Q4_K_M", code=2)


# ---- tensors that no mix touches, and those that cannot be

def test_what_is_kept():
    x = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    source = WORK / "kept.gguf"
    write_gguf(source, {"blk.0.ffn_up.weight": (0, 4096, x.tobytes()), "tensor.bias": (1, 64, x[0].astype("<f2").tobytes()),
                        "positions": (26, 4, struct.pack("<4i", 1, 2, 3, 4))},
               [("general.architecture", "whatever"), ("general.alignment", 32), ("odd.key", ["a", "b"])])
    out = again(source, "Q8_0")
    seen = inspect(out)
    assert seen["metadata"]["odd.key"] == {"array_of": "string", "count": 2} and "general.alignment" not in seen["metadata"]
    kept = {t["name"]: t for t in seen["tensors"]}
    assert kept["tensor.bias"]["type"] == "F16" and kept["positions"]["type"] == "I32"
    assert raw_bytes(out, kept["positions"]) == struct.pack("<4i", 1, 2, 3, 4)
    assert raw_bytes(out, kept["tensor.bias"]) == x[0].astype("<f2").tobytes()
    assert kept["blk.0.ffn_up.weight"]["type"] == "F32", "a vector"
    bad = WORK / "bad.gguf"
    write_gguf(bad, {"output.weight": (8, 32, b"\0\x7c" + bytes(32))}, [("general.architecture", "whatever")])
    assert "not finite" in again(bad, "Q8_0", "--with", "allow_requantize=true", code=1)


run_all(globals())
