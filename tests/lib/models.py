"""Models that are small, or large and full of different bytes."""
import functools
import hashlib
import json

MIB = 1 << 20


@functools.cache
def safetensors(mib=0, seed=1):
    """A file with one matrix: 16 bytes, or so many MiB that differ everywhere."""
    rows = mib * MIB // 4096 or 2
    cols = 1024 if mib else 2
    size = rows * cols * 4
    header = json.dumps({"w": {"dtype": "F32", "shape": [rows, cols], "data_offsets": [0, size]}}).encode()
    block = hashlib.sha256(str(seed).encode()).digest()
    data = b"".join((i ^ seed).to_bytes(8, "little") + block[:24] for i in range(size // 32 + 1))[:size]
    return len(header).to_bytes(8, "little") + header + data


def tiny(mib=0, seed=1, **more):
    return {"config.json": b'{"architectures": ["X"], "model_type": "x"}',
            "README.md": b"---\nlicense: apache-2.0\n---\n# tiny\n",
            "model.safetensors": safetensors(mib, seed), **more}
