"""What is known of the toolkit's versions: keywords, platforms, pins. From the vendor's manuals and changelogs,
releases 1.1.0 to 1.3.0 of airockchip/rknn-llm.

The signatures of the installed wheel decide; these tables speak where a signature cannot be read, and in messages.
"""
import re

# Keyword -> the version that first had it, for each call.
SINCE = {
    "load_huggingface": {"model": "1.1.0", "model_lora": "1.1.0", "device": "1.1.0", "dtype": "1.2.0",
                         "custom_config": "1.2.0", "load_weight": "1.2.0"},
    "load_gguf": {"model": "1.1.0"},
    "build": {"do_quantization": "1.1.0", "optimization_level": "1.1.0", "quantized_dtype": "1.1.0",
              "quantized_algorithm": "1.1.0", "target_platform": "1.1.0", "num_npu_core": "1.1.0",
              "extra_qparams": "1.1.0", "dataset": "1.1.0", "hybrid_rate": "1.1.0", "max_context": "1.2.0"},
    "export_rkllm": {"export_path": "1.1.0", "export_tokenizer": "1.3.0", "export_embedding": "1.3.0"},
    "update_rkllm": {"model": "1.1.4"},
}

# Cores used when nothing is said (manual, table of target platforms).
CORES = {"rk3588": 3, "rk3576": 2, "rk3562": 1, "rv1126b": 1}

# One quant of each platform that every model can have, and the version that brought the platform: for selftest.
PLATFORMS = {"rk3588": ("w8a8", "1.1.0"), "rk3576": ("w4a16", "1.1.0"), "rk3562": ("w8a8", "1.2.0"),
             "rv1126b": ("w4a16", "1.2.1")}

# What the toolkit's requirements file pins; a later row holds until the next one (begin, {package: version}).
PINS = (
    ("1.2.1", {"torch": "2.3.0", "transformers": "4.51.3"}),
    ("1.2.2", {"torch": "2.6.0", "transformers": "4.55.2"}),
    ("1.3.0", {"torch": "2.6.0", "transformers": "5.8.0"}),
)

_VERSION = re.compile(r"\s*v?(\d+)\.(\d+)(?:\.(\d+))?\s*((?:a|b|rc|alpha|beta)\d*)?", re.I)


def parse(text):
    """(major, minor, micro, 0 or -1 for a pre-release) of "1.2.1b1+local"; None if it is no version."""
    m = _VERSION.match(text or "")
    if not m:
        return None
    return int(m.group(1)), int(m.group(2)), int(m.group(3) or 0), -1 if m.group(4) else 0


def public(text):
    """Without the local part: "1.2.3+abc" is 1.2.3 in all comparisons."""
    return (text or "").split("+", 1)[0].strip()


def is_local(text):
    """A version with a local part is no release of the vendor's."""
    return "+" in (text or "")


def at_least(version, first):
    """A beta of a version has what that version brings."""
    have, want = parse(version), parse(first)
    return have is not None and have[:3] >= want[:3]


def keywords(call, version):
    """The keywords that this version of a call documents."""
    return {k for k, first in SINCE[call].items() if at_least(version, first)}


def pins(version):
    found = {}
    for first, packages in PINS:
        if at_least(version, first):
            found = packages
    return found
