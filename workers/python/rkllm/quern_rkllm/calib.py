"""calib: a calibration set from the model itself, the vendor's list of {"input", "target"}.

Settings of the vendor's example (generate_data_quant.py of rknn-llm): the prompt through the model's chat template, 128
new tokens, temperature 0.6.
"""
import os
import shutil

from quern_worker import Fault, put_result, sha256_of, sync_folder, warning

from . import calls, drive, output, source, toolkit, verdict

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPTS = (os.path.join(HERE, "prompts.txt"), os.path.join(os.path.dirname(HERE), "prompts.txt"))
NAME = "data_quant.json"  # as in the vendor's example
NEW_TOKENS, TEMPERATURE = 128, 0.6
PROMPTS_MAX, BYTES_MAX = 1000, 4 << 20


def read_prompts(path):
    """The prompts of a file: one a line, # begins a remark."""
    try:
        with open(path, "rb") as f:
            data = f.read(BYTES_MAX + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise calls.illegal("{}: {}; prompts are text in UTF-8, one a line".format(path, why)) from None
    prompts = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not prompts or len(prompts) > PROMPTS_MAX or len(data) > BYTES_MAX:
        raise calls.illegal("{}: {} prompts; 1 to {} in at most {} MiB are taken".format(
            path, len(prompts), PROMPTS_MAX, BYTES_MAX >> 20))
    return prompts


def _prompts_path(job):
    given = job.get("prompts")
    if given is not None:
        if not isinstance(given, str):
            raise calls.illegal("prompts: {!r} is no path".format(given))
        return given
    for path in PROMPTS:
        if os.path.exists(path):
            return path
    raise Fault("the worker's own prompts.txt is missing; install quern completely", 4, "env", "missing dependency")


def calib(job):
    path = _prompts_path(job)
    prompts = read_prompts(path)
    version, _ = toolkit.check_version(job)
    model = source.look(job)
    if model.kind != "safetensors":
        raise source.refuse("a calibration set is made with the model in safetensors, not {}".format(model.kind))
    shutil.rmtree(output.SCRATCH, ignore_errors=True)
    folder = os.path.abspath(output.SCRATCH)
    os.makedirs(folder)
    made = os.path.join(folder, NAME)
    plan = {"model": model.path, "prompts": prompts, "out": made, "new_tokens": NEW_TOKENS, "temperature": TEMPERATURE,
            "dtype": job["with"].get("dtype", "float32"), "threads": job["threads"],
            "trust_remote_code": job.get("trust_remote_code") is True}
    out = drive.run("calib_child.py", plan, job, folder)
    fault = verdict.of_steps(out, job["attempt"])
    if fault:
        raise fault
    for told in out.told:
        if told.get("event") == "warning":
            warning(str(told.get("text")))
    if calls.check_dataset(made) != len(prompts):
        raise Fault("fewer samples than prompts came out; see the log", code="corrupt", cause="bad output")
    shutil.move(made, os.path.join(job["out"], NAME))
    sync_folder(job["out"])
    shutil.rmtree(output.SCRATCH, ignore_errors=True)
    put_result("ok", files=output.list_files(job["out"]),
               facts={"samples": len(prompts), "prompts_sha256": sha256_of(path), "new_tokens": NEW_TOKENS,
                      "temperature": TEMPERATURE, "tools": toolkit.tools()})
