"""The model, looked at before the toolkit sees it: whole, allowed, of a kind that can be converted."""
import os
import re
from collections import namedtuple

from quern_worker import Fault

from . import fileinfo, versions, weights

CONFIG_MAX = 16 << 20  # bytes of one JSON file of a model
ENTRIES_MAX = 10000    # names in a model's folder

# kind: "safetensors", "gguf" or "rkllm"; path: what the toolkit is given; params: weights, 0 when unknown;
# bytes: of the weight files; tensors: how many
Model = namedtuple("Model", "kind dir path config architecture params bytes tensors")

_REFUSED_METHODS = ("bitsandbytes", "awq", "fp8", "mxfp4", "compressed-tensors", "hqq", "quanto", "eetq",
                    "aqlm", "fbgemm_fp8")
_PART = re.compile(r"-\d{5}-of-(?!00001)\d{5}\.gguf$")  # llama.cpp's names of split files
_GPTQ_GROUPS = {4: (32, 64, 128), 8: (128, 256, 512)}  # manual of 1.1.4 (4 bit) and 1.2.0 (8 bit)


def refuse(text, cause="bad source"):
    return Fault(text, cause=cause, retry=False)


def listing(folder):
    """Names in a folder; a folder that is not there is the source's fault."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as why:
        raise Fault("{}: {}; the model is not there".format(folder, why.strerror), code="notfound",
                    cause="bad source") from None
    if len(names) > ENTRIES_MAX:
        raise refuse("{}: more than {} files; that is no model".format(folder, ENTRIES_MAX))
    return names


def read_json(path, must=True):
    """The object in a JSON file of the model; {} when it is not there and need not be."""
    name = os.path.basename(path)
    if not os.path.isfile(path):
        if must:
            raise refuse("the model has no {}".format(name))
        return {}
    with open(path, "rb") as f:
        data = f.read(CONFIG_MAX + 1)
    if len(data) > CONFIG_MAX:
        raise refuse("{}: larger than {} bytes".format(name, CONFIG_MAX))
    if data.startswith(weights.LFS_POINTER):
        raise weights.damaged(path, "a Git LFS pointer, not the file")
    try:
        v = weights.parse_json(data)
    except (ValueError, RecursionError) as why:
        raise weights.damaged(path, "not JSON: {}".format(why)) from None
    if not isinstance(v, dict):
        raise weights.damaged(path, "not a JSON object")
    return v


def group_of(quant):
    """The group of a dtype like w4a16_g32; 0 without groups."""
    m = re.search(r"_g(\d{1,4})$", quant)
    return int(m.group(1)) if m else 0


def _check_gptq(q, job):
    """GPTQ in Hugging Face's form: which ones the manual allows, and that the quant matches."""
    bits, group = q.get("bits"), q.get("group_size")
    if bits not in _GPTQ_GROUPS or group not in _GPTQ_GROUPS[bits]:
        raise refuse("a GPTQ model of {} bits in groups of {}; 4 bits in 32, 64, 128 or 8 bits in 128, 256, 512 are "
                     "read".format(bits, group))
    if q.get("sym") is not True or q.get("desc_act") is not False:
        raise refuse("a GPTQ model with sym {} and desc_act {}; only sym true, desc_act false is read"
                     .format(q.get("sym"), q.get("desc_act")))
    fits = {4: "w4a16", 8: "w8a8"}[bits] + "_g{}".format(group)
    if job["quant"] and job["quant"] != fits:
        raise refuse("a GPTQ model of {} bits in groups of {} becomes {}, not {}".format(
            bits, group, fits, job["quant"]), "illegal parameters")
    algorithm = job["with"].get("quantized_algorithm", "normal")
    if algorithm != "normal":
        raise refuse("a GPTQ model takes quantized_algorithm normal, not {}".format(algorithm), "illegal parameters")


def _check_quantization(config, job):
    q = config.get("quantization_config")
    if not isinstance(q, dict):
        return
    method = str(q.get("quant_method", "")).lower()
    if q.get("load_in_4bit") or q.get("load_in_8bit"):
        method = "bitsandbytes"
    if method == "gptq":
        _check_gptq(q, job)
    elif method in _REFUSED_METHODS or method:
        raise refuse("the checkpoint is quantized by {}; start from the unquantized one, or from GPTQ".format(method))


def _check_consent(folder, config, job):
    """The toolkit lets transformers run the checkpoint's own code without asking (issues 21, 98, 163): ask before."""
    for name, v in (("config.json", config),
                    ("tokenizer_config.json", read_json(os.path.join(folder, "tokenizer_config.json"), False))):
        if v.get("auto_map") and job.get("trust_remote_code") is not True:
            raise refuse("{} names code of the checkpoint (auto_map) that the toolkit would run; "
                         "`trust_remote_code: true` on the model allows it".format(name), "illegal parameters")


def _safetensors(folder, names, what):
    files = [n for n in names if n.endswith(".safetensors") and not n.startswith("consolidated")]
    pickles = [n for n in names if n.endswith((".bin", ".pt", ".pth", ".ckpt")) and n != "training_args.bin"]
    if not files and pickles:
        raise refuse("{} has its weights as pickles ({}), which may run anything when loaded; use safetensors".format(
            what, pickles[0]))
    if not files:
        raise refuse("{}: no safetensors in {}".format(what, folder))
    missing = set()
    index = read_json(os.path.join(folder, "model.safetensors.index.json"), False).get("weight_map")
    if isinstance(index, dict):
        missing = {str(v) for v in index.values()} - set(files)
    if missing:
        raise weights.damaged(sorted(missing)[0], "named by the index and not there")
    return [t for n in files for t in weights.read_safetensors(os.path.join(folder, n))]


def _params(tensors, config):
    """Weights of the model: packed ones count as what they hold."""
    q = config.get("quantization_config")
    bits = q.get("bits") if isinstance(q, dict) else None
    per = 32 // bits if bits in (4, 8) else 1
    return sum(n * per if name.endswith(".qweight") else n for name, _, n, _ in tensors)


def _one_file(job, ending):
    names = listing(job["source"]["dir"])
    given = job["source"].get("file")
    if given is not None:
        if not isinstance(given, str) or given not in names:
            raise Fault("the source has no file {!r}".format(given), code="notfound", cause="bad source")
        return given
    files = [n for n in names if n.endswith(ending)]
    if len(files) != 1:
        raise refuse("{} has {} files *{}; one is converted".format(job["source"]["dir"], len(files), ending))
    return files[0]


def _check_finished(job, path):
    """A file that is renewed: it can be one, and nothing that it says of itself speaks against it."""
    said = fileinfo.look(path)["said"]
    if versions.parse(said.get("version", "")) and versions.at_least(said["version"], "1.1.0"):
        raise refuse("{} says that toolkit {} made it; only files of 1.0 are renewed, this one can be used as it is"
                     .format(os.path.basename(path), said["version"]))
    if job["platform"] and said.get("platform", job["platform"]) != job["platform"]:
        raise refuse("{} says that it is for {}, not for {}".format(os.path.basename(path), said["platform"],
                                                                     job["platform"]), "illegal parameters")


def look(job):
    """The Model of a job, or a Fault."""
    folder, kind = job["source"]["dir"], job["source"].get("format", "safetensors")
    if kind not in ("safetensors", "gguf", "rkllm"):
        raise refuse("source.format {!r}: safetensors, gguf and rkllm are read".format(kind))
    names = listing(folder)
    if kind != "safetensors":
        path = os.path.join(folder, _one_file(job, "." + kind))
        if kind == "gguf":
            if _PART.search(path):
                raise refuse("{} is one part of several, and the toolkit takes one file; llama-gguf-split --merge "
                             "makes it".format(os.path.basename(path)))
            weights.check_gguf(path)
        else:
            _check_finished(job, path)
        return Model(kind, folder, path, {}, "", 0, os.path.getsize(path), 0)
    config = read_json(os.path.join(folder, "config.json"))
    _check_consent(folder, config, job)
    _check_quantization(config, job)
    tensors = _safetensors(folder, names, "the model")
    architecture = config.get("model_type")  # as the other engines name it: "qwen2"
    architecture = architecture if isinstance(architecture, str) and len(architecture) <= 64 else ""
    return Model(kind, folder, folder, config, architecture, _params(tensors, config),
                 sum(t[3] for t in tensors), len(tensors))


def look_at_adapter(job):
    """The adapter's folder; None without one."""
    if job["lora"] is None:
        return None
    folder = job["lora"]["dir"]
    names = listing(folder)
    if any(n.endswith(".gguf") for n in names) and not any(n.endswith(".safetensors") for n in names):
        raise refuse("an adapter in GGUF stands for itself (load_gguf): make it a model of the matrix, or give the "
                     "adapter in safetensors", "illegal parameters")
    read_json(os.path.join(folder, "adapter_config.json"))
    _safetensors(folder, names, "the adapter")
    return folder
