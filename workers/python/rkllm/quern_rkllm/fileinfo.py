"""What can be known of a .rkllm file. Its layout is not documented and no real one was measured yet, so nothing is
decoded: its size, its beginning, and sentences in it that the runtime prints when it loads one (issue 381 of
airockchip/rknn-llm)."""
import os
import re

from quern_worker import Fault

from .lines import what_it_says

EDGE = 4 << 20         # bytes read at each end
SAMPLES, SAMPLE = 64, 4096
LEAST = 4096           # bytes; a header alone would have as much
KEEP = "keep"          # the quant of a file that is renewed: the manifest has the word
STAND_IN = b"RKLLM STAND-IN, NOT A MODEL"  # how files of the tests' toolkit begin
QUANT = re.compile(r"w\d{1,2}a\d{1,2}(_g\d{1,4})?$")
_VENDOR = re.compile(rb"rkllm-toolkit version:[ -~]{3,400}")


def corrupt(path, why):
    return Fault("{}: {}".format(os.path.basename(path), why), code="corrupt", cause="bad output", retry=None)


def _edges(f, size):
    head = f.read(EDGE)
    f.seek(max(len(head), size - EDGE))
    return head, f.read(EDGE)


def _one_value_only(f, size):
    """True when samples all over the file have one byte value throughout: nothing was written there."""
    values = set()
    for i in range(SAMPLES):
        f.seek(max(0, (size - SAMPLE) * i // (SAMPLES - 1)))
        values.update(f.read(SAMPLE))
        if len(values) > 1:
            return False
    return True


def look(path):
    """{"size", "head", "stand_in", "said"}; a Fault when it cannot be a model. said: {name: value} as in lines.py,
    of sentences that the file holds exactly as the runtime prints them and that do not contradict each other."""
    if os.path.islink(path) or not os.path.isfile(path):
        raise corrupt(path, "is not there, or no plain file")
    size = os.path.getsize(path)
    if size < LEAST:
        raise corrupt(path, "has {} bytes; too small for a model".format(size))
    with open(path, "rb") as f:
        head, tail = _edges(f, size)
        if _one_value_only(f, size):
            raise corrupt(path, "holds one byte value only; nothing was written into it")
    if head.startswith((b"GGUF", b"PK\x03\x04", b"version https://git-lfs", b"<!DOCTYPE", b"<html", b"\x7fELF")):
        raise corrupt(path, "is not a .rkllm file; it begins with {!r}".format(head[:8]))
    said, disputed = {}, set()
    for text in _VENDOR.findall(head) + _VENDOR.findall(tail):
        for name, value in what_it_says(text.decode("ascii")).items():
            if said.setdefault(name, value) != value:
                disputed.add(name)
    return {"size": size, "head": head[:16].hex(), "stand_in": head.startswith(STAND_IN),
            "said": {k: v for k, v in said.items() if k not in disputed}}


def is_quantized(job):
    """Whether the job's quant is what the file is to have."""
    return job["quant"] != KEEP and job["with"].get("do_quantization", True) is True


def facts_of(said, job=None):
    """Under the names that convert and validate use. What is not quantized has no quant; what nobody asked for, of a
    renewed file or one that is not quantized, is told under another name."""
    names = ("platform", "quant", "max_context", "num_npu_core")
    facts = {n: said[n] for n in names if n in said and (n != "quant" or QUANT.match(said[n]))}
    if job and "quant" in facts and not is_quantized(job):
        facts["file_quant"] = facts.pop("quant")
    if job and "platform" in facts and not job["platform"]:
        facts["file_platform"] = facts.pop("platform")
    return facts
