#!/usr/bin/env python3
"""A complete worker in a page: the example of docs/worker-protocol.md.

The engine "digest" turns a safetensors model into one table, FILE.tsv: name, dtype, shape and SHA-256 of
every tensor, by name. Standard library only.
"""
import hashlib
import json
import os
import sys
from pathlib import Path

OK, FAILED, USAGE, REFUSED = 0, 1, 2, 3
HEADER_MAX = 100_000_000  # bytes; the limit of the format's reference implementation


class Refused(Exception):
    """This input or these parameters cannot work."""


def say(**event):
    """One line on standard output. Nobody may be listening: go on all the same."""
    try:
        os.write(1, json.dumps(event).encode() + b"\n")
    except OSError:
        pass


def put(path, data):
    """Replace path by data so that it is whole whenever it is there."""
    temp = path.with_name(path.name + ".tmp")
    with open(temp, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.rename(temp, path)


def put_result(**members):
    put(Path("result.json"), json.dumps({"protocol": 1, **members}).encode())


def read_job(path):
    """The job, or ValueError: then it is not one."""
    job = json.loads(Path(path).read_text())
    if not isinstance(job, dict) or job.get("protocol") != 1:
        raise ValueError("job.json: protocol is not 1")
    for name in ("file", "quant", "out", "source"):
        if name not in job:
            raise ValueError(f"job.json: {name} is missing")
    return job


def tensors(path):
    """(name, dtype, shape, bytes) of each tensor of one file. The file is a stranger: check, then use."""
    size = path.stat().st_size
    with open(path, "rb") as f:
        length = int.from_bytes(f.read(8), "little")
        if size < 8 or length > min(HEADER_MAX, size - 8):
            raise Refused(f"{path.name}: cut off or not safetensors")
        try:
            header = json.loads(f.read(length))
            entries = [(n, t["dtype"], t["shape"], *t["data_offsets"]) for n, t in header.items() if n != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError) as why:
            raise Refused(f"{path.name}: its header is damaged: {why}") from None
        for name, dtype, shape, begin, end in entries:
            if not 0 <= begin <= end <= size - 8 - length:
                raise Refused(f"{path.name}: {name} lies outside the file")
            f.seek(8 + length + begin)
            yield name, dtype, shape, f.read(end - begin)


def convert(job):
    if job["quant"] != "none":
        raise Refused(f"quant {job['quant']!r}: this engine has \"none\" only")
    if job.get("hybrid") or job.get("opt"):
        raise Refused("hybrid and opt other than 0 have no meaning for this engine")
    files = sorted(Path(job["source"]["dir"]).glob("*.safetensors"))
    if not files:
        raise Refused(f"{job['source']['dir']}: no safetensors here")
    rows = []
    for i, path in enumerate(files):
        for name, dtype, shape, data in tensors(path):
            rows.append(f"{name}\t{dtype}\t{shape}\t{hashlib.sha256(data).hexdigest()}\n")
        say(event="progress", stage="digest", done=i + 1, total=len(files), unit="files")
    table = "".join(sorted(rows)).encode()
    out = Path(job["out"], job["file"] + ".tsv")
    put(out, table)
    put_result(status="ok", facts={"quant": job["quant"], "hybrid": 0, "opt": 0, "tensors": len(rows)},
               files=[{"path": out.name, "size": len(table), "sha256": hashlib.sha256(table).hexdigest()}])


def validate(job):
    """The files are those of result.json, byte for byte."""
    for f in json.loads(Path("result.json").read_text())["files"]:
        path = Path(job["out"], f["path"])
        data = path.read_bytes() if path.is_file() else b""
        if len(data) != f["size"] or hashlib.sha256(data).hexdigest() != f["sha256"]:
            raise Refused(f"{f['path']} is not what was made")


def main(argv):
    verbs = {"convert": convert, "validate": validate}
    if len(argv) != 3 or argv[1] not in verbs:
        print("usage: example_worker.py convert|validate job.json", file=sys.stderr)
        return USAGE
    try:
        job = read_job(argv[2])
    except (OSError, ValueError) as why:
        print(why, file=sys.stderr)
        return USAGE
    try:
        verbs[argv[1]](job)
    except (Refused, OSError) as why:
        print(why, file=sys.stderr)
        if argv[1] == "convert":
            put_result(status="error", code="invalid" if isinstance(why, Refused) else "io", message=str(why))
        return REFUSED if isinstance(why, Refused) else FAILED
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv))
