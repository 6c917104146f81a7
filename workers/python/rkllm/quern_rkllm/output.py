"""From the export folder to out/: which files become the artifact. Weights of the source, calibration data and pickles
never do."""
import os
import re
import shutil

from quern_worker import Fault, progress, sha256_of, sync_folder, warning

from . import calls, failures, fileinfo, source, verdict, versions

SCRATCH = ".rkllm"        # in the job folder: the toolkit's copy, home, temporary files, export
COMPANION_MAX = 64 << 20  # bytes of one file beside the model
COMPANIONS = re.compile(
    r"^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|"
    r"preprocessor_config)\.json$|^(vocab|merges)\.txt$|^(tokenizer|spiece)\.model$|^chat_template\.jinja$|\.tiktoken$|"
    r"^(LICEN[CS]E|NOTICE|COPYING)([.-][A-Za-z0-9._-]{1,40})?$")
SMALLEST_SHARE = 0.3      # of the estimate
_NEVER = re.compile(r"\.(pkl|pickle|pt|pth|npy|npz|safetensors|tmp|json|bin\.index)$|calib|data_quant", re.I)
_EXPORTS = {"export_tokenizer": re.compile(r"token", re.I), "export_embedding": re.compile(r"embed", re.I)}


def check_model(path, job, version, expected_bytes):
    """The finished model file; returns fileinfo's findings."""
    attempt = job["attempt"]
    if not os.path.exists(path):
        raise failures.fault(failures.BY_ID["nothing-made"], "all steps returned 0 and there is no file", attempt)
    size = os.path.getsize(path)
    if size < expected_bytes * SMALLEST_SHARE:
        raise failures.fault(failures.BY_ID["too-small"], "{} bytes, where about {} are expected".format(
            size, expected_bytes), attempt)
    info = fileinfo.look(path)
    if info["stand_in"] and not versions.is_local(version):
        raise fileinfo.corrupt(path, "was made by a stand-in of the toolkit; it is no model")
    verdict.check_words(info["said"], job, attempt, "the file")
    return info


def _asked_for(name, job):
    return any(job["with"].get(k) is True and pattern.search(name) for k, pattern in _EXPORTS.items())


def choose(names, job):
    """Which files of the export folder are published, {name there: name in out}; the others are told about."""
    main = job["file"] + ".rkllm"
    chosen = {main: main}
    for name in names:
        if name == main:
            continue
        # The cache of grq and gdq comes along for `extra_qparams` of a later job; quern never publishes it.
        if name in (job["file"] + "_lora.rkllm", job["file"] + ".qparams"):
            chosen[name] = name
        elif not _NEVER.search(name) and not name.startswith(".") and _asked_for(name, job):
            chosen[name] = name if name.startswith(job["file"]) else "{}-{}".format(job["file"], name)
        else:
            warning("{} of the toolkit is not part of the result".format(name[:200]))
    return chosen


def _reads_inside(path, folder):
    """A link of a hub's cache leads to its blobs; any other way out of the model's folder is not followed."""
    real, base = os.path.realpath(path), os.path.realpath(folder)
    places = [base]
    if os.path.basename(os.path.dirname(base)) == "snapshots":
        places.append(os.path.join(os.path.dirname(os.path.dirname(base)), "blobs"))
    return any(real.startswith(p + os.sep) for p in places)


def companions(folder):
    """Files of the source that belong beside a converted model: configuration, tokenizer, licence."""
    out = []
    for name in source.listing(folder):
        path = os.path.join(folder, name)
        if not COMPANIONS.search(name) or not os.path.isfile(path) or os.path.getsize(path) > COMPANION_MAX:
            continue
        if not _reads_inside(path, folder):
            warning("{}: a link out of the model's folder; not taken along".format(name))
            continue
        out.append(name)
    return out


def _copy(source_path, target):
    with open(source_path, "rb") as a, open(target, "wb") as b:
        shutil.copyfileobj(a, b, 1 << 20)
        b.flush()
        os.fsync(b.fileno())


def _move(path, target):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(path, target)


def collect(job, model, export_dir, version):
    """Check what was exported and move it to out/. Returns (files for result.json, findings about the model)."""
    names = source.listing(export_dir)
    info = check_model(os.path.join(export_dir, job["file"] + ".rkllm"), job, version, calls.least_bytes(job, model))
    out = job["out"]
    for name, new in sorted(choose(names, job).items()):
        path = os.path.join(export_dir, name)
        if not os.path.isfile(path) or os.path.islink(path):
            raise Fault("{} of the toolkit is no plain file".format(name), code="corrupt", cause="bad output")
        _move(path, os.path.join(out, new))
    if model.kind == "safetensors":
        for name in companions(model.dir):
            if not os.path.exists(os.path.join(out, name)):
                _copy(os.path.join(model.dir, name), os.path.join(out, name))
    sync_folder(out)
    return list_files(out), info


def list_files(out):
    """The list of result.json, with hashes."""
    names = sorted(os.listdir(out))
    sizes = {n: os.path.getsize(os.path.join(out, n)) for n in names}
    total, done, files = sum(sizes.values()), [0], []

    def told(n):
        done[0] += n
        progress("hash", done[0], total, "bytes")

    for name in names:
        files.append({"path": name, "size": sizes[name], "sha256": sha256_of(os.path.join(out, name), told)})
    return files
