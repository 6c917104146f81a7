"""Our encoders against ggml's: not more error for the same bytes. Our decoders against ggml's: the same bits."""
import json

import numpy as np

import llama
from peer import KJV, convert, fake, inspect, raw_bytes, run_all, values

BLOCKS = {"Q8_0": (8, 32, 34), "Q4_0": (2, 32, 18)}  # number in ggml, elements, bytes
IDS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "BF16": 30}


def odd_weights(shape, rng):
    """Rows that are hard for block scales, repeated over the matrix: [rows, columns]."""
    n = shape[1]
    rows = [
        np.zeros(n), np.full(n, -0.0), np.full(n, 0.37), np.full(n, -0.37), rng.normal(size=n), rng.laplace(size=n),
        rng.standard_cauchy(n).clip(-1e4, 1e4), rng.normal(size=n) * 1e-7, rng.normal(size=n) * 1e-9,
        rng.normal(size=n) * 1e-42, rng.normal(size=n) * 1e4, rng.uniform(-1, 1, n).round(1), rng.choice([-1.0, 1.0], n),
        np.where(np.arange(n) % 32 == 5, 300.0, rng.normal(size=n) * 1e-3), np.linspace(-1, 1, n), np.linspace(0, 8, n),
        np.where(np.arange(n) % 32 == 31, -1.0, 1e-30), (np.arange(n) % 16 - 8) * 0.125, (np.arange(n) % 255 - 127) / 127.0,
        np.abs(rng.normal(size=n)), -np.abs(rng.normal(size=n)), rng.normal(size=n) + 100]
    return np.resize(np.array(rows), shape).astype(np.float32)


def odd_model():
    """A fake model in F32 with such matrices in place of its own."""
    folder = fake("llama-tiny:fill=random,dtype=F32", "odd")
    path, rng = folder / "model.safetensors", np.random.default_rng(5)
    raw = bytearray(path.read_bytes())
    data = 8 + int.from_bytes(raw[:8], "little")
    for name, t in json.loads(raw[8:data]).items():
        if name != "__metadata__" and len(t["shape"]) == 2:
            begin, end = t["data_offsets"]
            raw[data + begin:data + end] = odd_weights(t["shape"], rng).tobytes()
    path.write_bytes(raw)
    return folder


ODD = odd_model()


def test_every_tensor_decodes_to_the_same_bits():
    for source in (KJV, ODD):
        for quant in IDS:
            path = convert(source, quant)
            for t in inspect(path)["tensors"]:
                if t["type"] == "F32":
                    continue
                ours = values(path, t["name"])
                theirs = llama.dequantize(raw_bytes(path, t), IDS[t["type"]], ours.size)
                assert ours.tobytes() == theirs.tobytes(), (quant, t["name"])


def squared_error(x, y):
    """Of each row."""
    return ((x.astype(np.float64) - y) ** 2).sum(axis=1)


def test_error_is_not_above_ggml():
    """Of the same rows: of each tensor, and of each odd row."""
    for source in (KJV, ODD):
        plain = convert(source, "F32")
        for quant, (type_id, block, size) in BLOCKS.items():
            path = convert(source, quant)
            total = [0.0, 0.0]
            for t in inspect(path)["tensors"]:
                if t["type"] != quant:
                    continue
                x = values(plain, t["name"]).reshape(-1, t["shape"][0])
                peer = llama.quantize_rows(x, type_id, block, size).tobytes()
                ours = squared_error(x, values(path, t["name"]).reshape(x.shape))
                theirs = squared_error(x, llama.dequantize(peer, type_id, x.size).reshape(x.shape))
                total = [total[0] + ours.sum(), total[1] + theirs.sum()]
                # 1.0001 in RMSE
                assert ours.sum() <= theirs.sum() * 1.0001**2, (quant, t["name"], ours.sum(), theirs.sum())
                worse = np.flatnonzero(ours > theirs * 1.0001**2)
                assert source is KJV or not worse.size, (
                    quant, t["name"], [(int(r), ours[r], theirs[r], x[r][:8]) for r in worse[:3]])
            print(f"  {source.name} {quant}: squared error {total[0]:.6g}, ggml {total[1]:.6g}")


def test_q8_0_never_holds_minus_128():
    """The x86 dot products of ggml are exact for -127..127 only."""
    for source in (KJV, ODD):
        path = convert(source, "Q8_0")
        for t in inspect(path)["tensors"]:
            if t["type"] == "Q8_0":
                blocks = np.frombuffer(raw_bytes(path, t), dtype=np.int8).reshape(-1, 34)
                assert blocks[:, 2:].min() >= -127, t["name"]


def test_float_types_round_to_nearest_even():
    plain = convert(ODD, "F32")
    for quant in ("F16", "BF16"):
        path = convert(ODD, quant)
        for t in inspect(path)["tensors"]:
            if t["type"] != quant:
                continue
            x = values(plain, t["name"])
            if quant == "F16":
                want = x.astype(np.float16).astype(np.float32)
            else:
                bits = x.view(np.uint32).astype(np.uint64)
                want = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
            assert values(path, t["name"]).tobytes() == want.tobytes(), (quant, t["name"])


run_all(globals())
