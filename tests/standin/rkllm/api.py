"""rkllm.api of the stand-in: RKLLM with the signatures of the version in version.txt beside this file."""
import hashlib
import inspect
import json
import os
import sys

from . import failures, filewriter, signatures

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "version.txt"), encoding="ascii") as _f:
    VERSION = _f.read().strip()
NUMBERS = tuple(int(x) for x in VERSION.split("+")[0].split("b")[0].split("."))

GROUPS = {"w8a8": ["w8a8_g128", "w8a8_g256", "w8a8_g512"], "w4a16": ["w4a16_g32", "w4a16_g64", "w4a16_g128"]}
DTYPES = {"rk3588": ["w8a8"] + GROUPS["w8a8"], "rk3576": ["w4a16", "w8a8"] + GROUPS["w4a16"],
          "rk3562": ["w8a8", "w4a8_g32"] + GROUPS["w4a16"], "rv1126b": ["w4a16", "w8a8"] + GROUPS["w4a16"]}
FIRST = {"rk3588": (1, 1, 0), "rk3576": (1, 1, 0), "rk3562": (1, 2, 0), "rv1126b": (1, 2, 1)}
CORES = {"rk3588": 3, "rk3576": 2, "rk3562": 1, "rv1126b": 1}
CLASSES = ["LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "GemmaForCausalLM", "Phi3ForCausalLM"]
GROWTH = 8 << 20  # bytes that each step keeps


def bar(label, n, total):
    width = 10 * n // total
    print("\r%s: %3d%%|%s%s| %d/%d [00:00<00:00, 99.00it/s]" % (label, 100 * n // total, "#" * width, " " * (10 - width),
                                                             n, total), end="\n" if n == total else "", file=sys.stderr,
          flush=True)


class _Call:
    """A method with the signature of the documents; unknown keywords are a TypeError, as Python's own."""

    def __init__(self, name, function, mode):
        self.name, self.function, self.mode = name, function, mode

    def __get__(self, toolkit, owner=None):
        signature = signatures.of(NUMBERS)[self.name]

        def method(*args, **kwargs):
            print("STAND-IN: %s %s" % (self.name, json.dumps(kwargs, sort_keys=True)), flush=True)
            known = kwargs
            if self.mode == "swallow":
                known = {k: v for k, v in kwargs.items() if k in signature.parameters}
            bound = signature.bind(*args, **known)
            bound.apply_defaults()
            return self.function(toolkit, **bound.arguments)

        method.__name__ = self.name
        if self.mode == "declare":
            method.__signature__ = signature
        elif self.mode == "hide":
            method.__signature__ = "none"  # inspect refuses it: as with some native functions
        else:
            method.__signature__ = inspect.Signature([inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
                                                      inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)])
        return method


def _read_rules(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return []


class Toolkit:
    """What the steps share."""

    def __init__(self):
        print("INFO: rkllm-toolkit version: %s" % VERSION, flush=True)
        self.model = self.lora = None
        self.params, self.seed, self.built, self.kept = 0, b"", None, []
        self.answer_none = self.no_file = self.no_line = self.zeros = self.no_marker = False
        self.share, self.file_dtype, self.file_platform, self.line_path = 1.0, None, None, None
        self.rules = _read_rules(os.path.join(os.path.dirname(HERE), "standin.json"))

    def act(self, step, point):
        """Do what standin.json says of this step; the code to return at once, or None."""
        for rule in self.rules:
            at, do = failures.ACTS[rule["do"]]
            when = rule.get("when", {})
            # Nobody knows the point while the model is being loaded.
            if at == step and (point is None or all(point.get(k) == v for k, v in when.items())):
                code = do(self)
                if code is not None:
                    return code
        return None

    def scratch(self):
        """As the toolkit: temporary tensors beside its own files."""
        with open(os.path.join(HERE, "cache.tensors"), "wb") as f:
            f.write(b"\1" * 4096)
        self.kept.append(bytearray(os.urandom(1) * GROWTH))

    def load(self, model):
        self.model = model
        folder = model if os.path.isdir(model) else os.path.dirname(model)
        self.rules = self.rules + _read_rules(os.path.join(folder, "standin.json"))
        code = self.act("load", None)
        if code is not None:
            return code
        self.scratch()
        h = hashlib.sha256()
        names = sorted(n for n in os.listdir(folder) if n.endswith((".safetensors", ".gguf"))) \
            if os.path.isdir(model) else [os.path.basename(model)]
        size = 0
        for i, name in enumerate(names):
            with open(os.path.join(folder, name), "rb") as f:
                data = f.read()
            h.update(data)
            size += len(data)
            bar("Loading checkpoint shards", i + 1, len(names))
        self.params = size // 2  # the test's models have two bytes a weight
        self.seed = h.digest()
        return 0


def load_huggingface(t, model, model_lora=None, device="cpu", dtype="float32", custom_config=None, load_weight=True):
    if not os.path.isdir(model):
        print("ERROR: Catch exception when loading model: %s is not a folder" % model)
        return -1
    with open(os.path.join(model, "config.json"), encoding="utf-8") as f:
        name = (json.load(f).get("architectures") or ["?"])[0]
    if name not in CLASSES and not custom_config:
        print("ERROR: Not support %s!" % name)
        return -1
    t.lora = model_lora
    code = t.load(model)
    t.seed = hashlib.sha256(repr((t.seed, dtype, load_weight)).encode()).digest()
    return code


def load_gguf(t, model):
    if not os.path.isfile(model):
        print("ERROR: Catch exception when loading model: %s is not a file" % model)
        return -1
    return t.load(model)


def _refusal(t, b):
    platform, dtype = b["target_platform"].lower(), b["quantized_dtype"].lower()
    if platform not in DTYPES or NUMBERS < FIRST[platform]:
        return "target_platform: %s is not supported!" % platform
    if b["do_quantization"] and dtype not in DTYPES[platform]:
        return "target_platform: %s not support quantized_dtype: %s!" % (platform, dtype)
    if not isinstance(b["optimization_level"], int) or b["optimization_level"] not in (0, 1):
        return "optimization_level must be 0 or 1!"
    if not 0 <= b["hybrid_rate"] < 1:
        return "hybrid_rate must be in [0, 1)!"
    if b["num_npu_core"] > CORES[platform]:
        return "num_npu_core of %s is at most %d!" % (platform, CORES[platform])
    if b["max_context"] > 16384 or b["max_context"] % 32:
        return "max_context must be a multiple of 32, at most 16384!"
    if t.model.endswith(".gguf") and b["do_quantization"] and "F16" in t.model:
        return "GGUF of F16 needs do_quantization=False!"
    return None


def build(t, **b):
    b.setdefault("max_context", 4096)
    if t.model is None:
        print("ERROR: load a model first!")
        return -1
    why = _refusal(t, b)
    if why:
        print("ERROR: " + why)
        return -1
    for label in ("Building model", "Optimizing model"):
        for n in range(1, 6):
            bar(label, n, 5)
    code = t.act("build", {"platform": b["target_platform"], "quant": b["quantized_dtype"], "hybrid": b["hybrid_rate"],
                           "opt": b["optimization_level"]})
    if code is not None:
        return code
    t.scratch()
    print("INFO: Setting max_context_limit to %d" % b["max_context"])
    print("INFO: Setting token_id of eos to 2")
    t.built = b
    return None if t.answer_none else 0


def export_rkllm(t, export_path, export_tokenizer=False, export_embedding=False):
    b = t.built
    if b is None:
        print("ERROR: build first!")
        return -1
    code = t.act("export", {"platform": b["target_platform"], "quant": b["quantized_dtype"], "hybrid": b["hybrid_rate"],
                            "opt": b["optimization_level"]})
    if code is not None:
        return code
    if not os.path.isdir(os.path.dirname(os.path.abspath(export_path))):
        print("ERROR: Catch exception when converting model: no such folder")
        return -1
    for n in range(1, 5):
        bar("Converting model", n, 4)
    print("INFO: Exporting the model, please wait ....")
    bits = int(b["quantized_dtype"].lower().split("a")[0][1:]) if b["do_quantization"] else 16
    seed = hashlib.sha256(t.seed + repr(sorted((k, v) for k, v in b.items() if k not in ("dataset", "extra_qparams")))
                          .encode()).digest()
    size = int(t.params * bits // 8 * t.share)
    stem = export_path[:-len(".rkllm")] if export_path.endswith(".rkllm") else export_path
    if not t.no_file:
        head = filewriter.header(VERSION, b, t)
        filewriter.write(export_path, head, seed, size, t.zeros)
        if t.lora or "_r" in b["quantized_algorithm"]:
            filewriter.write(stem + "_lora.rkllm", head, seed[::-1], 64 << 10)
        if b["quantized_algorithm"].startswith(("grq", "gdq")):
            for path in (stem + ".qparams", os.path.join(os.path.dirname(stem), "stray.pkl")):
                with open(path, "wb") as f:
                    f.write(b"cache of the stand-in\n")
        for wanted, name in ((export_tokenizer, ".tokenizer"), (export_embedding, ".embedding")):
            if wanted:
                with open(stem + name, "wb") as f:
                    f.write(("stand-in of " + name[1:] + "\n").encode())
    if not t.no_line:
        print("INFO: Model has been saved to %s!" % (t.line_path or export_path))
    return 0


def update_rkllm(t, model):
    with open(model, "rb") as f:
        data = f.read()
    with open(model, "wb") as f:
        f.write(filewriter.MARKER.encode() + b" (updated)\n" + data)
    print("INFO: Model has been saved to %s!" % model)
    return 0


def get_logits(t, inputs):
    print("ERROR: the stand-in has no arithmetic")
    return None


def chat_model(t, messages, args):
    print("ERROR: the stand-in has no arithmetic")
    return None


def _mode():
    """How signatures show themselves: standin.json may hold {"do": ..} rules only; the mode has a file of its own."""
    try:
        with open(os.path.join(HERE, "mode.txt"), encoding="ascii") as f:
            return f.read().strip()
    except FileNotFoundError:
        return "declare"


def _make():
    names = signatures.of(NUMBERS)
    members = {n: _Call(n, globals()[n], _mode()) for n in names}
    return type("RKLLM", (Toolkit,), members)


RKLLM = _make()
