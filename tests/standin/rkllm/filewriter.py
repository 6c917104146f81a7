"""The file that the stand-in writes: it says what it is, then bytes that follow from what it was made of."""
import hashlib

MARKER = "RKLLM STAND-IN, NOT A MODEL"
PIECE = 1 << 20


def header(version, build, toolkit):
    said = ("rkllm-toolkit version: %s, max_context_limit: %d, npu_core_num: %d, target_platform: %s, model_dtype: %s"
            % (version, build["max_context"], build["num_npu_core"],
               (toolkit.file_platform or build["target_platform"]).upper(),
               (toolkit.file_dtype or (build["quantized_dtype"] if build["do_quantization"] else "float16")).upper()))
    first = "" if toolkit.no_marker else MARKER + "\n"
    return (first + said + "\n").encode().ljust(512, b"\0")


def fill(f, seed, size):
    """size bytes that look like weights and are a function of seed."""
    block = b"".join(hashlib.sha256(seed + i.to_bytes(4, "little")).digest() for i in range(PIECE // 32))
    while size > 0:
        n = f.write(block[:min(size, PIECE)])
        size -= n


def write(path, head, seed, size, zeros=False):
    with open(path, "wb") as f:
        if zeros:
            f.truncate(size)
            return
        f.write(head)
        fill(f, seed, max(0, size - len(head)))
