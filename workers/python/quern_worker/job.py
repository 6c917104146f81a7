"""job.json, checked: what is wrong with it is a ValueError, as then it is not one."""
import json
import numbers

from .protocol import PROTOCOL

JOB_MAX = 16 << 20  # bytes; far above what any matrix makes


def _plain_name(text):
    return bool(text) and "/" not in text and "\0" not in text and not text.startswith(".")


def _is(kind, v):
    """v is of the kind named in a member's rule; a bool is no number."""
    if kind == "number":
        return isinstance(v, numbers.Real) and not isinstance(v, bool)
    if kind == "int":
        return isinstance(v, int) and not isinstance(v, bool)
    return isinstance(v, {"text": str, "object": dict, "name": str}[kind])


# member, kind, and what it is when it is absent (None: it may not be). quern gives all of them; verbs that are
# no step of a matrix (calib, selftest) are given fewer.
_MEMBERS = (
    ("source", "object", None),
    ("out", "name", None),
    ("file", "name", "model"),
    ("name", "text", ""),
    ("platform", "text", ""),
    ("quant", "text", ""),
    ("hybrid", "number", 0),
    ("opt", "int", 0),
    ("attempt", "int", 1),
    ("threads", "int", 1),
    ("with", "object", {}),
)


def read_job(path):
    """The job as a dictionary with all members of _MEMBERS; others stay as they are."""
    with open(path, "rb") as f:
        data = f.read(JOB_MAX + 1)
    if len(data) > JOB_MAX:
        raise ValueError("{}: larger than {} bytes".format(path, JOB_MAX))
    try:
        job = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as why:
        raise ValueError("{}: not JSON: {}".format(path, why)) from None
    if not isinstance(job, dict) or type(job.get("protocol")) is not int or job["protocol"] != PROTOCOL:
        raise ValueError("{}: protocol is not {}".format(path, PROTOCOL))
    for name, kind, absent in _MEMBERS:
        if name not in job and absent is not None:
            job[name] = absent
        if name not in job or not _is(kind, job[name]):
            raise ValueError("{}: {} is missing or not a {}".format(path, name, kind))
        if kind == "name" and not _plain_name(job[name]):
            raise ValueError("{}: {} is not a plain name".format(path, name))
    for name in ("source", "lora"):
        v = job.get(name)
        if v is not None and (not isinstance(v, dict) or not isinstance(v.get("dir"), str) or not v["dir"]):
            raise ValueError("{}: {} has no dir".format(path, name))
    job.setdefault("lora", None)
    return job
