"""How the toolkit fails, one row a signature: cause, whether to try again, and what to do.

`N` in a source is an issue of airockchip/rknn-llm; other repositories are named. The first row of the table that
matches anything that was said decides, so the particular stands before the general.
"""
import re
from collections import namedtuple

from quern_worker import ENV, FAILED, REFUSED, Fault

NEVER, ALWAYS, ONCE = "never", "always", "once"

# id; pattern in lines and exceptions (None: known by other signs); cause; retry; exit code; code; advice; source
Row = namedtuple("Row", "id pattern cause retry exit code advice source")


def _row(name, pattern, cause, retry, advice, source, exit_code=REFUSED, code="invalid"):
    return Row(name, re.compile(pattern, re.I) if pattern else None, cause, retry, exit_code, code, advice, source)


TABLE = (
    _row("scratch-full", r"Not enough free space to write|No space left on device|Errno 28\b",
         "disk full", ALWAYS,
         "make room below the work folder: the toolkit's scratch is there, about 4 bytes a weight", "98, 297, 308",
         FAILED, "nospace"),
    _row("allocation",
         r"CUDA out of memory|can't allocate memory|Cannot allocate memory|std::bad_alloc|\bMemoryError\b",
         "out of memory", ALWAYS, "fewer jobs at once (resources.jobs), then `with: {dtype: float16}`",
         "21, 163, 197", FAILED, "io"),
    _row("asked", r"\bEOFError\b|asked a question, and nobody answers|Do you wish to run the custom code|"
         r"custom code which must be executed",
         "illegal parameters", NEVER, "the checkpoint wants a consent or a token; `trust_remote_code: true` on the "
         "model is the consent to run its code", "chatchat-space/Langchain-Chatchat 3533"),
    _row("dtype-of-platform", r"target_platform\b.*\bnot support",
         "illegal parameters", NEVER, "choose a quant that the platform has in this version", "535, 186"),
    _row("group-size", r"can ?not be evenly divided into group_size",
         "illegal parameters", NEVER,
         "this model's layers do not divide by that group; a dtype without groups fits", "398"),
    _row("gguf-type", r"unsupported GGMLQuantizationType|GGMLQuantizationType.*unsupported",
         "bad source", NEVER, "F16 and Q4_0 only, output.weight too: llama-quantize --leave-output-tensor "
         "--token-embedding-type f16", "100; c0zaut/ez-er-rkllm-toolkit 1"),
    _row("prequantized", r"Catch exception when \w+ model:.*(?:bitsandbytes|\bawq\b|fp8|mxfp4)",
         "bad source", NEVER, "start from the unquantized checkpoint", "212"),
    _row("lora-unmerged", r"Found unsupported layer:.*lora_[AB]",
         "bad source", NEVER, "merge the adapter into its base model first", "480"),
    _row("class", r"Not support \w+!",
         "unsupported architecture", NEVER, "another toolkit version may have it; docs/rkllm.md lists them",
         "197, 220, 360, 32"),
    _row("truncated-json", r"Expecting value: line 1 column 1",
         "bad source", ONCE,
         "a file of the model is cut off or a Git LFS pointer; fetch it again with its hash checked",
         "52, 75", FAILED, "corrupt"),
    _row("rope-scaling", r"rope_scaling.{0,3} must be a dictionary|\bModelWrapper\b.*\bat line\b|"
         r"data did not match any variant of untagged enum ModelWrapper",
         "missing dependency", NEVER, "the environment's transformers or tokenizers are older than the model; "
         "another environment", "Pelochus/ezrknn-llm 16", ENV, "env"),
    _row("renamed-layers", r"Catch exception when optimizing model: ['\"]?[\w.]+['\"]?\s*$",
         "unsupported architecture", NEVER, "the checkpoint renamed or dropped layers; `opt: 0` may pass", "386"),
    _row("newer-model", r"Can not load \w+!|\bKeyError\b|size mismatch for|does not recognize this architecture|"
         r"Catch exception when loading model: ['\"][\w.\-]+['\"]\s*$",
         "unsupported architecture", NEVER,
         "the model is newer than the environment's transformers; another toolkit version", "251, 496"),
    _row("python-module", r"ModuleNotFoundError|ImportError|No module named|cannot open shared object file",
         "missing dependency", NEVER,
         "the environment lacks a package that the toolkit needs; docs/rkllm.md has the pins",
         "386 (pkg_resources), 366", ENV, "env"),
    _row("bad-model-file", r"invalid rkllm model|invalid magic",
         "bad output", NEVER, "the file is damaged or of a version that the runtime does not read",
         "NotPunchnox/rkllama 55, 129"),
    _row("gibberish", r"(?:\[PAD\d+\]){3}",
         "bad output", NEVER, "it converts and then writes nonsense; another quant or toolkit version",
         "424; begetan/rkllm-convert"),
    _row("lost-weights", None, "unsupported architecture", NEVER,
         "this version knows the model by half; another one may know all of it", "466"),
    _row("killed", None, "out of memory", ALWAYS,
         "fewer jobs at once (resources.jobs), then `with: {dtype: float16}`, or more memory",
         "21, 163, 197; Pelochus/ezrknn-llm 8", FAILED, "io"),
    _row("crashed", None, "crash", ONCE, "see its log", "open: no public log shows one", FAILED, "io"),
    _row("nothing-made", None, "bad output", ONCE, "it ended as if all were well and left no file; see its log",
         "c0zaut/ez-er-rkllm-toolkit 4", FAILED, "io"),
    _row("too-small", None, "bad output", NEVER, "weights are missing in it",
         "rule of this worker: less than 30 % of the estimate", REFUSED, "corrupt"),
    _row("other-dtype", None, "bad output", NEVER, "it made another quant than was asked for",
         "cncot/rkllm-convert falls back from w4a16 to w8a8", REFUSED, "corrupt"),
    # quern's own doing: a toolkit that neither prints nor computes is ended for resources.stall.
    _row("stalled", None, "timeout", ONCE, "a longer resources.timeout, or max_context 4096",
         "cncot/rkllm-convert commit 1f28360", FAILED, "io"),
    # Anything else on the way to -1: quern takes the exit code's meaning.
    _row("exception", r"Catch exception when \w+ model:", None, ONCE, "see its log", "manual", FAILED, "io"),
    _row("unknown", None, None, ONCE, "see its log", "manual: every step returns 0 or -1", FAILED, "io"),
)
BY_ID = {row.id: row for row in TABLE}

LOST_MIN = 100    # weights not found: above it the file is junk, whatever the code ("by the hundred", issue 466)
LOST_SHARE = 0.1  # of the source's tensors, for small models; a tied output.weight alone is none
LOST_LEAST = 5


def too_many_lost(lost, tensors):
    return lost >= LOST_MIN or (tensors and lost >= max(LOST_LEAST, tensors * LOST_SHARE))


def fault(row, said, attempt):
    """The row as a Fault; said: the toolkit's own words."""
    retry = row.retry == ALWAYS or (row.retry == ONCE and attempt < 2)
    said = " ".join(said.split())[:400]
    return Fault("{}; {}".format(said, row.advice), row.exit, row.code, row.cause, retry)


class Watch:
    """Looks at every line; remembers the first that each row matched."""

    def __init__(self):
        self.seen = {}
        self.last_error = ""

    def look(self, text, final=False):
        """final: an exception that ended it, which says more than the line that it passed."""
        if text.startswith("    ") and not final:
            return  # the source lines of a traceback
        if text.startswith(("ERROR", "E ")) or re.match(r"\w*(?:Error|Exception)\b", text):
            self.last_error = text
        for row in TABLE:
            if row.pattern and (final or row.id not in self.seen) and row.pattern.search(text):
                self.seen[row.id] = text

    def first(self):
        """(row, words) of the first row of the table that matched; None."""
        for row in TABLE:
            if row.id in self.seen:
                return row, self.seen[row.id]
        return None
