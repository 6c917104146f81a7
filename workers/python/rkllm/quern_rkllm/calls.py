"""From a job to the toolkit's calls: which keywords with which values."""
import os
import re

from quern_worker import Fault, warning

from . import versions, weights

DATASET_MAX = 256 << 20  # bytes of a calibration file

_FILES = ("dataset", "custom_config", "extra_qparams")
_LOAD = ("device", "dtype", "custom_config", "load_weight")
_BUILD = ("num_npu_core", "max_context", "dataset", "extra_qparams")
_EXPORT = ("export_tokenizer", "export_embedding")
_OWN = ("do_quantization", "quantized_algorithm")

_KINDS = {
    "device": (str, "cpu or cuda"), "dtype": (str, "float32, float16 or bfloat16"),
    "custom_config": (str, "a file"), "load_weight": (bool, "true or false"), "num_npu_core": (int, "a number"),
    "max_context": (int, "a multiple of 32"), "dataset": (str, "a file"), "extra_qparams": (str, "a file"),
    "export_tokenizer": (bool, "true or false"), "export_embedding": (bool, "true or false"),
    "do_quantization": (bool, "true or false"), "quantized_algorithm": (str, "normal, grq, gdq or one with _rN"),
}


def illegal(text):
    return Fault(text, cause="illegal parameters", retry=False)


def check_with(job):
    """The parameters are known and of their kind; files are there. Values are the toolkit's to judge."""
    for name, value in job["with"].items():
        if name not in _KINDS:
            raise illegal("with: {}: this engine has {}".format(name, ", ".join(sorted(_KINDS))))
        kind, words = _KINDS[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise illegal("with: {}: {!r} is not {}".format(name, value, words))
        if name in _FILES and not os.path.isfile(value):
            raise illegal("with: {}: {} is not a file".format(name, value))
    context = job["with"].get("max_context", 32)
    if context <= 0 or context % 32:
        raise illegal("with: max_context: {} is not a multiple of 32 above 0".format(context))
    if not 0 <= job["hybrid"] < 1:
        raise illegal("hybrid {}: the toolkit takes 0 or more, and less than 1".format(job["hybrid"]))
    if job["opt"] not in (0, 1):
        raise illegal("opt {}: the toolkit has 0 and 1".format(job["opt"]))


def check_dataset(path):
    """Samples in a calibration file: a list of objects with "input" (or what other versions take for images)."""
    if os.path.getsize(path) > DATASET_MAX:
        raise illegal("{}: a calibration file of more than {} MiB".format(path, DATASET_MAX >> 20))
    try:
        with open(path, "rb") as f:
            rows = weights.parse_json(f.read())
    except (ValueError, RecursionError) as why:
        raise illegal("{}: not JSON: {}; `quern calib` makes one".format(path, why)) from None
    good = isinstance(rows, list) and rows and all(
        isinstance(r, dict) and any(k in r for k in ("input", "input_embed")) for r in rows)
    if isinstance(rows, list) and any(isinstance(r, dict) and "sample" in r for r in rows):
        raise illegal("{}: samples that are pickles; a pickle may run anything when loaded".format(path))
    if not good:
        raise illegal('{}: a calibration file is a list of objects with "input" and "target"; `quern calib` makes one'
                      .format(path))
    return len(rows)


def _given(job, names):
    return [(n, job["with"][n], True) for n in names if n in job["with"]]


def _load(job, model, adapter):
    if model.kind == "gguf":
        bad = [n for n in _LOAD if n in job["with"]]
        if bad:
            raise illegal("with: {}: only a model in safetensors takes it".format(bad[0]))
        if adapter:
            raise illegal("an adapter on a GGUF model: the toolkit takes one beside safetensors only")
        return {"call": "load_gguf", "wanted": [("model", model.path, True)]}
    wanted = [("model", model.path, True)]
    if adapter:
        wanted.append(("model_lora", adapter, True))
    return {"call": "load_huggingface", "wanted": wanted + _given(job, _LOAD)}


def _build(job):
    quantize = job["with"].get("do_quantization", True)
    algorithm = job["with"].get("quantized_algorithm", "normal")
    wanted = [("do_quantization", quantize, True),
              ("optimization_level", int(job["opt"]), job["opt"] != 0),
              ("target_platform", job["platform"].lower(), True)]
    if quantize:
        wanted += [("quantized_dtype", job["quant"].lower(), True),
                   ("quantized_algorithm", algorithm, algorithm != "normal"),
                   ("hybrid_rate", float(job["hybrid"]) if job["hybrid"] else 0, job["hybrid"] != 0)]
    if "num_npu_core" not in job["with"] and job["platform"].lower() in versions.CORES:
        wanted.append(("num_npu_core", versions.CORES[job["platform"].lower()], False))
    return {"call": "build", "wanted": wanted + _given(job, _BUILD)}


def steps(job, model, adapter, export_path):
    """The calls in order: [{"call":, "wanted": [(keyword, value, must)]}]."""
    if model.kind == "rkllm":
        others = sorted(job["with"])
        if others or adapter:
            raise illegal("an .rkllm file is renewed as it is; {} cannot be given to it".format(
                others[0] if others else "an adapter"))
        return [{"call": "update_rkllm", "wanted": [("model", export_path, True)]}]
    return [_load(job, model, adapter), _build(job),
            {"call": "export_rkllm", "wanted": [("export_path", export_path, True)] + _given(job, _EXPORT)}]


def advise(job, model):
    """Warnings about what is legal and often regretted."""
    quantize = job["with"].get("do_quantization", True)
    if model.kind == "safetensors" and quantize and "dataset" not in job["with"]:
        warning("no calibration set (with: dataset): the toolkit guesses the ranges; some models then write gibberish")
    if job["with"].get("load_weight") is False:
        warning("load_weight is false: the file will hold no trained weights")


def bits_of(job):
    """Bits a weight takes in the output, by its name; 16 when nothing is quantized."""
    if not job["with"].get("do_quantization", True):
        return 16
    m = re.match(r"w(\d{1,2})a", job["quant"].lower())
    return int(m.group(1)) if m and int(m.group(1)) in (4, 8, 16) else 4


def least_bytes(job, model):
    """The whole output as estimated from the source; the worker refuses less than 30 % of it. 0: no estimate."""
    if job["with"].get("load_weight") is False:
        return 0
    if model.kind == "rkllm":
        return model.bytes
    # A GGUF file has at most 16 bits a weight here (F16, Q4_0).
    params = model.params or model.bytes * 8 // 16
    return params * bits_of(job) // 8
