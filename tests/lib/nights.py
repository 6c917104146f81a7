"""A night of any size in a store that quern made: rows as a run would leave them, without converting anything.

    fill(m, models=20, variants=20)     # m: a Matrix whose run has ended
"""
import hashlib
import json
import math
import random
import sqlite3

QUANTS = [("F16", 16.0, 90.0), ("BF16", 16.0, None), ("Q8_0", 8.5, 45.3), ("Q6_K", 6.56, 36.4), ("Q5_K_M", 5.7, 30.9),
          ("Q5_K_S", 5.54, 30.1), ("Q5_0", 5.5, 28.3), ("Q4_K_M", 4.84, 25.1), ("Q4_K_S", 4.58, 24.2), ("IQ4_XS", 4.3, 23.9),
          ("Q4_0", 4.55, 22.1), ("Q3_K_L", 4.27, 19.9), ("Q3_K_M", 3.91, 18.7), ("Q3_K_S", 3.5, 17.2), ("IQ3_M", 3.66, 18.1),
          ("Q2_K", 3.35, 13.1), ("IQ2_M", 2.7, 11.0), ("IQ1_S", 1.56, 5.2)]
NAMES = ["Qwen2.5-0.5B-Instruct", "Llama-3.2-1B", "gemma-2-2b-it", "Phi-3.5-mini-instruct", "SmolLM2-360M", "Mistral-7B-v0.3",
         "granite-3.1-2b", "OLMo-2-7B", "internlm2-chat-1_8b", "MiniCPM-2B"]
FAILURES = [("timeout", "took longer than resources.timeout"), ("killed", "signal 9 (Killed)"),
            ("refused", "w8a8_g128 needs a hidden size that 128 divides; 896 it does"),
            ("bad output", "out/model.gguf: its result says 123456 bytes, on the disk are 120000"),
            ("source", "config.json: model_type \"mystery\" is none that this engine knows")]
START = 1_760_000_000_000  # ms
MiB, GiB = 1 << 20, 1 << 30


def variants(n):
    """(engine, platform, quant, hybrid, opt, bits a weight, dB), n of them."""
    out = [("gguf", "", q, 0.0, opt, bits, snr) for opt in (0, 1) for q, bits, snr in QUANTS]
    out += [("rkllm", p, q, h, opt, 8.4 + 6 * h, 34 + 8 * h + opt) for p in ("rk3588", "rk3576") for q in ("w8a8", "w8a8_g128", "w4a16")
            for h in (0.0, 0.25, 0.5) for opt in (0, 1)]
    while len(out) < n:
        out.append(("gguf", "", "Q4_K_M", round(0.001 * len(out), 6), 0, 4.9, 25.5))
    return out[:n]


def quality(snr):
    """As docs/worker-protocol.md has it; snr None: nothing was lost."""
    relative = 0 if snr is None else 10 ** (-snr / 20)
    def row(factor):
        return [relative * factor, None if snr is None else snr - 20 * math.log10(factor), relative * factor * 3]
    return {"columns": ["relative", "snr_db", "max_error"], "all": row(1),
            "tensors": {f"blk.{i}.attn_v.weight": ["Q4_K", *row(1.5 - i / 20)] for i in range(12)}}


def states(rng, n):
    for i in range(n):
        roll = rng.random()
        yield 5 if roll < .82 else 6 if roll < .93 else 3 if roll < .96 else 0 if roll < .985 else 7


def fill(m, models, variants_n, seed=1, samples=True):
    """Returns the number of the run that was added."""
    rng = random.Random(seed)
    db = sqlite3.connect(m.work / "state.db")
    host = "build-server"
    # Names that a hub's user may choose.
    names = [NAMES[i % len(NAMES)] + ("" if i < len(NAMES) else f"-{i // len(NAMES)}") for i in range(models)]
    all_variants = variants(variants_n)
    points = models * len(all_variants)
    for back in range(6, 0, -1):
        began = START - back * 86_400_000
        db.execute("INSERT INTO run (started_ms, ended_ms, exit_code, pid, host, name, config, points) VALUES (?,?,?,?,?,?,?,?)",
                   (began, began + rng.randrange(3, 9) * 3_600_000, 1, 1, host, "nightly", "/srv/nightly/jobs.yaml", points))
        run = db.execute("SELECT max(id) FROM run").fetchone()[0]
        first = db.execute("SELECT min(id) FROM job").fetchone()[0]
        for name, n in (("valid", rng.randrange(5, 40)), ("exit_fail", rng.randrange(0, 6)), ("uploaded", rng.randrange(5, 40))):
            db.executemany("INSERT INTO event (job_id, at_ms, run_id, event, from_state, to_state, cause, message) VALUES (?,?,?,?,1,2,'','')",
                           [(first, began, run, name)] * n)
    db.execute("INSERT INTO run (started_ms, ended_ms, exit_code, pid, host, name, config, points) VALUES (?,?,?,?,?,?,?,?)",
               (START, None, None, 1, host, "nightly", "/srv/nightly/jobs.yaml", points))
    run = db.execute("SELECT max(id) FROM run").fetchone()[0]
    state = states(rng, points)
    lanes, job_id = [START] * 3, db.execute("SELECT max(id) FROM job").fetchone()[0]
    end = START
    for name in names:
        repo = db.execute("INSERT INTO repo (name) VALUES (?)", (f"my-org/{name}",)).lastrowid
        weights = rng.choice([360e6, 494e6, 1.2e9, 2.6e9, 3.8e9, 7.2e9])
        for engine, platform, quant, hybrid, opt, bits, snr in all_variants:
            job_id += 1
            st = next(state)
            key = hashlib.sha256(f"{name} {job_id}".encode()).digest()
            cause, message = rng.choice(FAILURES) if st == 6 else ("", "")
            label = "/".join(x for x in (name, engine, platform, quant, f"opt-{opt}" if opt else "",
                                          f"hybrid-{hybrid:g}" if hybrid else "") if x)
            db.execute(
                "INSERT INTO job (id, state, run_id, repo_id, attempts, tries, created_ms, changed_ms, memory_bytes, output_bytes,"
                " scratch_bytes, opt, hybrid, point, key, model, engine, engine_version, platform, quant, params, source_kind,"
                " source, source_version, label, file, cause, message) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (job_id, st, run, repo, 1, 1, START, START, GiB, GiB, 0, opt, hybrid, job_id, key, name, engine,
                 "1.0.0" if engine == "gguf" else "0.1.0+1.2.3", platform, quant,
                 "{}" if engine == "gguf" else '{"max_context":4096}', "hub", f"org/{name}", "9" * 40, label,
                 f"{name}-{quant}", cause, message))
            if st in (0, 7):
                continue
            lane = min(range(3), key=lambda i: lanes[i])
            took = int(weights / 1.3e4 * (1 + opt) * rng.uniform(.7, 1.4))
            began, lanes[lane] = lanes[lane], lanes[lane] + took + 200
            end = max(end, lanes[lane])
            if st == 6 and rng.random() < .5:
                db.execute("INSERT INTO attempt (job_id, number, run_id, started_ms, ended_ms, exit_code, signal, peak_rss_bytes,"
                           " cause, message) VALUES (?,1,?,?,?,1,0,?,?,?)",
                           (job_id, run, began, began + took // 3, 600 * MiB, cause, message))
            db.execute("INSERT INTO attempt (job_id, number, run_id, started_ms, ended_ms, exit_code, signal, peak_rss_bytes, cause,"
                       " message) VALUES (?,2,?,?,?,?,?,?,?,?)",
                       (job_id, run, began + took // 3, began + took, -1 if cause == "killed" else int(st == 6),
                        9 if cause == "killed" else 0, int(rng.uniform(200, 900)) * MiB, cause, message))
            if st not in (3, 5):
                continue
            size = int(weights * bits / 8)
            fact = {"worker": {"quality": quality(None if snr is None else snr + rng.uniform(-1.2, 1.2))}, "source": {}}
            sha = hashlib.sha256(key).digest()
            db.execute("INSERT INTO artifact (job_id, name, size_bytes, mtime_ns, sha256, facts, created_ms) VALUES (?,?,?,1,?,?,?)",
                       (job_id, f"{name}-{quant}.{engine}", size, sha, json.dumps(fact), lanes[lane]))
            if st == 5:
                db.execute("INSERT INTO event (job_id, at_ms, run_id, event, from_state, to_state, cause, message) VALUES (?,?,?,'valid',2,3,'','')",
                           (job_id, lanes[lane], run))
                db.execute("INSERT INTO upload (job_id, hub, repo, path, sha256, size_bytes, state, commit_id, message, changed_ms)"
                           " VALUES (?,'local',?,?,?,?,'done','c','',?)",
                           (job_id, f"my-org/{name}", f"{label.replace('/', '-')}.{engine}", sha, size, lanes[lane]))
    db.execute("UPDATE run SET ended_ms = ?, exit_code = 1 WHERE id = ?", (end, run))
    if samples:
        add_samples(db, run, end, rng)
    db.commit()
    db.close()
    return run


def add_samples(db, run, end, rng):
    n, received, sent = 360, 0, 0
    for i in range(n):
        at = START + (end - START) * i // n
        busy = 3 if i < n * .9 else 1
        received += int(max(0, math.sin(i / 25)) * 40 * MiB * rng.random())
        sent += int(rng.random() * 30 * MiB)
        used = int(busy * (300 + 250 * abs(math.sin(i / 40)) + 60 * rng.random()) * MiB)
        db.execute("INSERT INTO sample VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                   (run, i, at, used, busy * 900 * MiB, 16 * GiB - used, int(20 * rng.random()),
                    int(60 * GiB - 20 * GiB * (i / n) + 4 * GiB * math.sin(i / 30)), None, busy, 3, received, sent))
