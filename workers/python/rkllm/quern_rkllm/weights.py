"""Headers of safetensors and GGUF files, as far as the worker needs them: is the file whole, how many weights does it
hold. The files are a stranger's: every length is held against the file's size before it is used.
"""
import json
import os

from quern_worker import FAILED, Fault

HEADER_MAX = 100000000  # bytes; the limit of the format's reference implementation
TENSORS_MAX = 1 << 20
DIGITS_MAX = 40
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def parse_json(data):
    """A stranger's JSON: ValueError (or RecursionError) when it is none. Python below 3.11 reads a number of a million
    digits, in hours; nothing of a model has more than a few."""

    def number(text):
        if len(text) > DIGITS_MAX:
            raise ValueError("a number of {} digits".format(len(text)))
        return int(text)

    return json.loads(data.decode("utf-8"), parse_int=number)


def damaged(path, why):
    """A file that another fetch may mend."""
    return Fault("{}: {}; fetch the model again".format(os.path.basename(path), why), code="corrupt",
                 cause="bad source")


def _product(shape):
    n = 1
    for d in shape:
        if type(d) is not int or d < 0 or d > 1 << 40:
            raise ValueError("a shape that is none")
        n *= d
        if n > 1 << 50:
            raise ValueError("a shape that is none")
    return n


def read_safetensors(path):
    """[(name, dtype, elements, bytes)], after checking that all of it is there."""
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        head = f.read(8)
        if head == LFS_POINTER[:8]:
            raise damaged(path, "a Git LFS pointer, not the file")
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > min(HEADER_MAX, size - 8):
            raise damaged(path, "cut off, or not safetensors")
        try:
            header = parse_json(f.read(length))
            if not isinstance(header, dict) or len(header) > TENSORS_MAX:
                raise ValueError("not a table of tensors")
            out, end = [], 0
            for name, t in header.items():
                if name == "__metadata__":
                    continue
                begin, stop = t["data_offsets"]
                if not (type(begin) is int and type(stop) is int and 0 <= begin <= stop):
                    raise ValueError("{:.80}: offsets that are none".format(name))
                out.append((name, t["dtype"], _product(t["shape"]), stop - begin))
                end = max(end, stop)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
            raise damaged(path, "its header is damaged: {}".format(why)) from None
    if end != size - 8 - length:
        raise damaged(path, "has {} bytes of weights, its header says {}".format(size - 8 - length, end))
    return out


def check_gguf(path):
    """Only what tells a GGUF file from something else: the toolkit reads the rest."""
    with open(path, "rb") as f:
        head = f.read(24)
    if head.startswith(LFS_POINTER[:8]):
        raise damaged(path, "a Git LFS pointer, not the file")
    if len(head) < 24 or head[:4] != b"GGUF" or int.from_bytes(head[4:8], "little") not in (2, 3):
        raise damaged(path, "not a GGUF file of version 2 or 3")


def need_room(path, size):
    """Refuse early what cannot fit. path: a folder."""
    st = os.statvfs(path)
    free = st.f_bavail * st.f_frsize
    if free < size:
        raise Fault("{:.1f} GB are needed for scratch and output, {:.1f} GB are free; make room below the work folder"
                    .format(size / 1e9, free / 1e9), FAILED, "nospace", "disk full", True)
