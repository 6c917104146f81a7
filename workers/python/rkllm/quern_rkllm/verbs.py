"""The verbs of quern-rkllm."""
import json
import os
import re
import shutil
import sys

from quern_worker import Fault, event, progress, put_result, run, sha256_of

from . import calib, calls, drive, fileinfo, output, selftest, source, toolkit, verdict, versions, weights

SCRATCH_PER_WEIGHT = 4  # bytes, and ...
RESULT_MAX = 16 << 20   # bytes of result.json


def _facts(job, model, out, info, version):
    """Only what was handed over and confirmed, or what words of toolkit and file say."""
    built, with_ = out.confirmed("build"), job["with"]
    said = dict(info["said"], **{k: v for k, v in out.lines.said.items() if k not in out.lines.disputed})
    facts = {"source_format": model.kind, "tools": toolkit.tools()}
    facts.update(fileinfo.facts_of(said, job))
    if "model" in out.confirmed("update_rkllm"):
        facts["quant"] = fileinfo.KEEP
    for keyword, name in (("target_platform", "platform"), ("quantized_dtype", "quant"), ("hybrid_rate", "hybrid"),
                          ("optimization_level", "opt")):
        if keyword in built:
            facts[name] = job[name]
    for name in ("max_context", "num_npu_core", "quantized_algorithm", "do_quantization"):
        if name in built and name in with_:
            facts.setdefault(name, with_[name])
    if model.architecture:
        facts["architecture"] = model.architecture
    if "dtype" in with_ and "dtype" in out.confirmed("load_huggingface"):
        facts["load_dtype"] = with_["dtype"]
    if "dataset" in built:
        facts["calibration"] = {"sha256": sha256_of(with_["dataset"]), "samples": calls.check_dataset(with_["dataset"])}
    if info["stand_in"]:
        facts["stand_in"] = True
    return facts


def _prepare(job):
    """Everything that can be refused before the toolkit starts."""
    calls.check_with(job)
    version, dist = toolkit.check_version(job)
    if not job["platform"] and job["source"].get("format") != "rkllm":
        raise calls.illegal("no platform; {} are known".format(", ".join(sorted(versions.PLATFORMS))))
    model = source.look(job)
    adapter = source.look_at_adapter(job)
    if "dataset" in job["with"]:
        calls.check_dataset(job["with"]["dataset"])
    return version, dist, model, adapter


def convert(job):
    version, dist, model, adapter = _prepare(job)
    calls.advise(job, model)
    shutil.rmtree(output.SCRATCH, ignore_errors=True)
    folder = os.path.abspath(output.SCRATCH)
    export_dir = os.path.join(folder, "export")  # it has to be there beforehand
    os.makedirs(export_dir)
    weights.need_room(folder, SCRATCH_PER_WEIGHT * model.params + calls.least_bytes(job, model))
    progress("start", 0, 1, "steps")
    site = os.path.join(folder, "site")
    toolkit.make_shadow(dist, site)
    export_path = os.path.join(export_dir, job["file"] + ".rkllm")
    if model.kind == "rkllm":
        shutil.copyfile(model.path, export_path)
    plan = {"site": site, "version": version, "steps": calls.steps(job, model, adapter, export_path)}
    out = drive.run("child.py", plan, job, folder)
    print("peak memory of the toolkit: {:.2f} GB".format(out.peak_bytes / 1e9), file=sys.stderr, flush=True)
    verdict.check_run(out, job, version, model)
    saved = out.lines.said.get("saved", export_path)
    if os.path.realpath(os.path.join(folder, "work", saved)) != os.path.realpath(export_path):
        raise Fault("it saved the model to {}, not to {}".format(saved, export_path), code="corrupt",
                    cause="bad output")
    verdict.check_words({k: v for k, v in out.lines.said.items() if k in ("platform", "quant")}, job, job["attempt"],
                        "the toolkit")
    files, info = output.collect(job, model, export_dir, version)
    facts = _facts(job, model, out, info, version)
    shutil.rmtree(output.SCRATCH, ignore_errors=True)
    put_result("ok", files=files, facts=facts)


def _result():
    """The result.json of the finished job; what is wrong with it is the output's fault."""
    try:
        with open("result.json", "rb") as f:
            v = json.loads(f.read(RESULT_MAX).decode("utf-8"))
        for row in v["files"]:
            if not re.match(r"[^./][^/]*$", row["path"]):
                raise ValueError("a path that is none")
        return v
    except (OSError, ValueError, KeyError, TypeError) as why:
        raise Fault("result.json: {}; convert again".format(why), code="corrupt", cause="bad output") from None


def validate(job):
    """The files are those that were made, and the model is not hollow; tells what it reads in it."""
    result = _result()
    total, done = sum(f["size"] for f in result["files"]), [0]

    def told(n):
        done[0] += n
        progress("check", done[0], total, "bytes")

    version = str(((result.get("facts") or {}).get("tools") or {}).get(toolkit.DISTRIBUTION, ""))
    for row in result["files"]:
        path = os.path.join(job["out"], row["path"])
        if not os.path.isfile(path) or os.path.getsize(path) != row["size"]:
            raise fileinfo.corrupt(path, "is missing or has another size than was made")
        if path.endswith(".rkllm"):
            info = fileinfo.look(path)
            if info["stand_in"] and not versions.is_local(version):
                raise fileinfo.corrupt(path, "was made by a stand-in of the toolkit; it is no model")
            if row["path"] == job["file"] + ".rkllm":
                event(event="facts", facts=fileinfo.facts_of(info["said"], job))
        if sha256_of(path, told) != row.get("sha256"):
            raise fileinfo.corrupt(path, "has other bytes than were made")


def can_infer(job):
    """A board would tell; none is here."""
    fileinfo.look(os.path.join(job["out"], job["file"] + ".rkllm"))
    event(can_infer=False, reason="not measured: it runs on a Rockchip board only")


def _note(info):
    """How far the rest goes: the layout of .rkllm is not public. quern verify prints texts below 64 characters."""
    if info["stand_in"]:
        return "(it is no model: a stand-in of the toolkit made it)"
    return "(only its size and own words are known)" if info["said"] else \
        "(only size and hollowness are checked; it says nothing)"


def _describe(path, deep):
    if not os.path.exists(path):
        raise Fault("{}: no such file".format(path), code="notfound")
    info = fileinfo.look(path)
    about = {"format": "rkllm", "size": info["size"], "head": info["head"], "stand_in": info["stand_in"],
             "note": _note(info), "said": info["said"], "facts": fileinfo.facts_of(info["said"])}
    if deep:
        about["sha256"] = sha256_of(path)
    print(json.dumps(about, sort_keys=True), flush=True)


def inspect(path):
    _describe(path, False)


def verify(path):
    _describe(path, True)


def main(argv):
    return run(argv, {"convert": convert, "validate": validate, "can_infer": can_infer, "calib": calib.calib,
                      "selftest": selftest.selftest},
               {"inspect": inspect, "verify": verify}, with_result=("convert", "calib", "selftest"))
