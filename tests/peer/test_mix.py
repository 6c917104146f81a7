"""What a user may want instead of a mix, and `hybrid`: types by pattern, whole, promoted; recorded; any threads."""
import hashlib
import json
import subprocess

import numpy as np

import llama
from peer import KJV, QUERN, WORK, WORKER, convert, fake, inspect, run, run_all, values

MODEL = fake("llama-tiny:fill=random,hidden=256,heads=8,layers=4,ffn=512,tie=false", "mixed")


def types(path):
    return {t["name"]: t["type"] for t in inspect(path)["tensors"]}


def with_(*parameters):
    return [word for p in parameters for word in ("--with", p)]


def by_pattern(patterns):
    return "tensor_type=" + json.dumps(patterns)


def test_what_the_user_wants():
    got = types(convert(MODEL, "Q4_K_M", None, 2, *with_(
        by_pattern({"ffn_(up|gate)": "Q5_0", r"blk\.0\.attn_q\.": "q8_0"}), "output_type=Q4_0",
        "token_embedding_type=IQ4_NL")))
    assert got["output.weight"] == "Q4_0" and got["token_embd.weight"] == "IQ4_NL", got
    assert got["blk.0.attn_q.weight"] == "Q8_0" and got["blk.1.attn_q.weight"] == "Q4_K", got
    assert {got[f"blk.{i}.ffn_{kind}.weight"] for i in range(4) for kind in ("up", "gate")} == {"Q5_0"}, got
    assert got["output_norm.weight"] == "F32"
    pure = types(convert(MODEL, "Q4_K_M", None, 2, *with_("pure=true")))
    assert set(pure.values()) == {"F32", "Q4_K"}, pure
    assert types(convert(MODEL, "Q2_K", None, 2, *with_("leave_output=true")))["output.weight"] == "BF16"


def refused(text, quant, *more):
    done = run(QUERN, "convert", MODEL, "-o", WORK / "refused.gguf", "--engine", "gguf", "--quant", quant, *more)
    assert done.returncode != 0 and text in done.stdout, done.stdout
    assert not (WORK / "refused.gguf").exists()


def test_wishes_that_make_no_sense():
    refused("matches", "Q4_K_M", *with_(by_pattern({"ffn": "Q5_0", "up": "Q8_0"})))
    refused("no matrix has a name like", "Q4_K_M", *with_(by_pattern({"fnn_up": "Q5_0"})))
    refused("no extended regular expression", "Q4_K_M", *with_(by_pattern({"ffn(": "Q5_0"})))
    refused("no type that is written", "Q4_K_M", *with_(by_pattern({"ffn": "Q8_K"})))
    refused("blk.0.ffn_up.weight becomes IQ2_XXS, which needs importances", "Q4_K_M",
            *with_(by_pattern({"ffn_up": "IQ2_XXS"})))
    refused("no type that is written", "Q4_K_M", *with_("output_type=Q9"))
    for quant in ("Q2_K_S", "IQ3_XXS", "IQ1_M"):
        refused("without_imatrix: true", quant)
    refused("/etc/passwd: the number of entries", "Q4_K_M", *with_("imatrix=/etc/passwd"))


def convert_job(quant, hybrid, opt, threads, parameters=None):
    """The worker itself, to see its result."""
    folder = WORK / f"job-{quant}-{hybrid}-{opt}-{threads}"
    (folder / "out").mkdir(parents=True)
    job = {"protocol": 1, "job": "0" * 64, "attempt": 1, "name": "x", "source": {"dir": str(KJV)}, "out": "out", "file": "m",
           "platform": "", "quant": quant, "hybrid": hybrid, "opt": opt, "threads": threads,
           "with": parameters or {}}
    (folder / "job.json").write_text(json.dumps(job))
    subprocess.run([str(WORKER), "convert", str(folder / "job.json")], check=True,
                   stdout=subprocess.DEVNULL)
    result = json.loads((folder / "result.json").read_text())
    return folder / "out" / "m.gguf", result["facts"]


def test_hybrid_promotes_what_loses_most():
    before, plain = convert_job("Q4_0", 0, 0, 2)
    after, facts = convert_job("Q4_0", 0.5, 0, 2)
    old, new = types(before), types(after)
    changed = {name for name in old if old[name] != new[name]}
    matrices = [name for name in old if old[name] != "F32"]
    assert changed == set(facts["promoted"]) and len(changed) == -(-len(matrices) // 2), facts["promoted"]
    assert all((old[n], new[n]) in (("Q4_0", "Q5_0"), ("Q6_K", "Q8_0")) for n in changed)
    error = {n: row[1] ** 2 * inspect_elements(before)[n] for n, row in plain["quality"]["tensors"].items()}
    kept = [error[n] for n in matrices if n not in changed and old[n] == "Q4_0"]
    assert max(kept) <= 1.2 * min(error[n] for n in changed if old[n] == "Q4_0")
    assert facts["quality"]["all"][0] < plain["quality"]["all"][0]
    llama.Model(after).close()


def inspect_elements(path):
    return {t["name"]: t["size_bytes"] for t in inspect(path)["tensors"]}


def test_quality_is_that_of_the_file():
    path, facts = convert_job("Q4_K_M", 0, 1, 2)
    plain = convert(KJV, "F32")
    for name, row in list(facts["quality"]["tensors"].items())[:8]:
        x, y = values(plain, name).astype(np.float64), values(path, name)
        rmse, relative = np.sqrt(((x - y) ** 2).mean()), np.sqrt(((x - y) ** 2).sum() / (x ** 2).sum())
        assert row[0] == types(path)[name]
        assert abs(row[1] / rmse - 1) < 0.01 and abs(row[2] / relative - 1) < 0.01, (name, row, rmse, relative)
        assert abs(row[4] / np.abs(x - y).max() - 1) < 0.01 and 0 <= row[5] < 0.1, (name, row)


def test_threads_change_nothing():
    for quant, hybrid, opt in (("Q4_K_M", 0.3, 1), ("IQ4_XS", 0, 0), ("IQ3_M", 0.5, 0), ("IQ1_S", 0, 0), ("Q2_0", 0.5, 1)):
        seen = set()
        for threads in (1, 3, 16):
            path, facts = convert_job(quant, hybrid, opt, threads, {"without_imatrix": True})
            seen.add((hashlib.sha256(path.read_bytes()).hexdigest(), json.dumps(facts, sort_keys=True)))
        assert len(seen) == 1, quant


def test_every_new_type_loads():
    for quant in ("IQ3_M", "IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "Q2_0", "Q1_0"):
        path, _ = convert_job(quant, 0, 0, 2, {"without_imatrix": True})
        m = llama.Model(path)
        assert np.isfinite(m.logits([1, 5, 9])).all(), quant
        m.close()


run_all(globals())
