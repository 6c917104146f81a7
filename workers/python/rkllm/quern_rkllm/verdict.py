"""Whether the toolkit did what it was asked for. It is believed only when everything agrees: the codes that it
returned, its own line of success, the file, and what line and file say of dtype and platform."""
import re

from quern_worker import ENV, Fault

from . import drive, failures, versions
from .failures import BY_ID
from .fileinfo import KEEP, is_quantized

_FEW_BITS = re.compile(r"w[1-8]a")  # w16a16 is not quantized


def _last_words(out):
    return out.raised or out.watch.last_error or "it said nothing"


def _of_signature(out, attempt):
    """The row that something said, when a step failed."""
    found = out.watch.first()
    return failures.fault(found[0], found[1], attempt) if found else None


def of_steps(out, attempt):
    """The Fault of a process that did not come to its end, or that said no; None when all steps returned 0."""
    if out.refused:
        return Fault(out.refused, cause="illegal parameters", retry=False)
    if out.status < 0:
        # Memory that runs out is the kernel's SIGKILL; anything said before it was said in good health.
        row = BY_ID["killed" if drive.signal_name(out.status) == "SIGKILL" else "crashed"]
        return failures.fault(row, "the toolkit was ended by {} in {}".format(
            drive.signal_name(out.status), out.step()), attempt)
    failed = [(c, v) for c, v in out.returned if v != 0]
    if failed or out.raised:
        words = "{} returned {}: {}".format(failed[0][0], failed[0][1], _last_words(out)) if failed else \
            "{}: {}".format(out.step(), out.raised)
        return _of_signature(out, attempt) or failures.fault(BY_ID["unknown"], words, attempt)
    if not out.done:
        return _of_signature(out, attempt) or failures.fault(
            BY_ID["nothing-made"], "the toolkit left with exit code {} in {}".format(out.status, out.step()), attempt)
    return None


def check_run(out, job, version, model):
    """Raises the Fault of a run that did not do all it was asked for, as far as words tell."""
    attempt = job["attempt"]
    if failures.too_many_lost(len(out.lines.lost), model.tensors):
        raise failures.fault(BY_ID["lost-weights"], "weights of {} tensors were not found, like {}".format(
            len(out.lines.lost), min(out.lines.lost)), attempt)
    fault = of_steps(out, attempt)
    if fault:
        raise fault
    said = out.lines.said
    if "saved" not in said and model.kind != "rkllm":
        raise failures.fault(BY_ID["nothing-made"], 'all steps returned 0, but it never said "Model has been saved"',
                             attempt)
    have, told = versions.parse(version), versions.parse(said.get("version", version))
    if have[:3] != (told or have)[:3]:
        raise Fault("rkllm-toolkit {} is installed and says that it is {}; install its wheel again".format(
            version, said["version"]), ENV, "env", "missing dependency", False)


def check_words(said, job, attempt, where):
    """Refuse when words of the toolkit name another platform or quant than was asked for."""
    wanted = {"platform": job["platform"].lower()}
    if is_quantized(job):
        wanted["quant"] = job["quant"].lower()
    elif job["quant"] != KEEP and _FEW_BITS.match(said.get("quant", "")):
        raise failures.fault(BY_ID["other-dtype"], "{} says quant {}, asked for none (do_quantization false)".format(
            where, said["quant"]), attempt)
    for name, value in wanted.items():
        if value and said.get(name, value) != value:
            raise failures.fault(BY_ID["other-dtype"], "{} says {} {}, asked for {}".format(
                where, name, said[name], value), attempt)
