"""Workers that take more memory than was estimated: noticed, ended before the machine suffers, named rightly, learned from;
and a machine that other programs use."""
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import Matrix, expect, preload, run_all  # noqa: E402

JOBS = """\
version: 1
name: test
work: work
models:
  - {{path: model, name: m}}
targets:
  - engine: noop
    quant: none
    with: {{mode: {mode}, mib: {mib}}}
  - engine: noop
    quant: none
    opt: [1, 2]
    with: {{sleep_ms: 300}}
resources: {{jobs: 2, memory: {memory}, disk_reserve: 1MiB, grace: 1s}}
retry: {{attempts: {attempts}, backoff: 10ms}}
"""
MIB = 1 << 20


def place(mode, mib=0, memory="128MiB", attempts=1):
    return Matrix(JOBS.format(mode=mode, mib=mib, memory=memory, attempts=attempts))


def grown(p):
    """(state, cause, message) of the job that misbehaves."""
    return p.sql("SELECT state.name, job.cause, job.message FROM job JOIN state ON state.id = job.state WHERE opt = 0")[0]


def check_ended(mode, by):
    with place(mode, mib=400) as p:
        done = expect(p.quern("run"), 1, "2 converted", "1 failed", "out of memory")
        state, cause, message = grown(p)
        assert (state, cause) == ("failed", "out of memory"), (state, cause, message)
        assert "of memory where 1.0 MiB was estimated" in message or "kernel" in message, message
        assert "uses" in done.stdout and "1.0 MiB was estimated" in done.stdout, done.stdout
        memory, limit, how = p.sql("SELECT attempt.memory_bytes, limit_bytes, memory_by FROM attempt JOIN job ON job.id = job_id"
                                   " WHERE opt = 0")[0]
        assert limit == 128 * MIB and memory > 64 * MIB and how in by, (memory, limit, how)
        assert sorted(s for (s,) in p.sql("SELECT state FROM job WHERE opt > 0")) == [3, 3]  # neighbours are ready
        assert p.sql("SELECT more_than_bytes > 0 FROM measured WHERE samples = 0") == [(1,)]


def test_a_worker_that_grows():
    check_ended("grow", ("pss", "cgroup"))


def test_a_child_that_grows():
    check_ended("grow_child", ("pss", "cgroup"))


def test_shared_memory_counts_too():
    check_ended("grow_shared", ("pss", "cgroup"))


def test_a_child_in_another_session_counts_too():
    check_ended("grow_away", ("pss", "cgroup"))


def test_its_own_words():
    with place("speak_oom") as p:
        expect(p.quern("run"), 1, "2 converted", "1 failed")
        state, cause, message = grown(p)
        assert (state, cause) == ("failed", "out of memory") and "MemoryError" in message, (state, cause, message)


def test_an_estimate_that_was_too_low_is_learned():
    """Within its limit, above its estimate: it ends well, and the next plan knows better."""
    with place("grow", mib=200, memory="1GiB") as p:
        expect(p.quern("run"), 0, "3 converted", "m/noop/none uses", "1.0 MiB was estimated")
        (low,), = p.sql("SELECT memory_bytes FROM job WHERE opt = 0")
        assert low == MIB
        most, samples = p.sql("SELECT memory_max_bytes, samples FROM measured WHERE memory_max_bytes > 150000000")[0]
        assert samples == 1 and 199 * MIB < most < 240 * MIB, most
        p.write((p.root / "jobs.yaml").read_text().replace("name: m}", "name: n}"))
        (p.root / "model/model.safetensors").write_bytes((p.root / "model/model.safetensors").read_bytes()[:-1] + b"x")
        plan = expect(p.quern("plan", "--json"), 0)
        import json
        point = json.loads(plan.stdout)["points"][0]
        assert point["memory_bytes"] >= most, point
        assert point["estimate"]["basis"] == "same" and point["estimate"]["samples"] == 1, point


def test_a_retry_gets_more():
    """Ended at its limit, it is tried with more, up to what the budget allows."""
    with place("grow", mib=300, memory="1GiB", attempts=3) as p:
        expect(p.quern("run"), 0, "3 converted", "tried again")
        limits = [b for (b,) in p.sql("SELECT limit_bytes FROM attempt JOIN job ON job.id = job_id WHERE opt = 0 ORDER BY number")]
        assert len(limits) == 2 and limits[0] == 258 * MIB and limits[1] > 600 * MIB, limits


def test_the_machine_is_short():
    """Other programs have the memory: quern waits, says so, and goes on when it is there again."""
    with place("ok") as p:
        meminfo = p.root / "meminfo"
        meminfo.write_text("MemTotal: 4000000 kB\nMemAvailable: 512 kB\nSwapFree: 0 kB\n")
        run = p.start("run", **preload("other_proc", OTHER_MEMINFO=meminfo))
        end = time.monotonic() + 60
        while "waits for the machine" not in (said := p.quern("status").stdout) and time.monotonic() < end:
            time.sleep(0.1)
        assert "waits for the machine: it needs 1.0 MiB of memory, and other programs leave 512.0 KiB" in said, said
        assert p.sql("SELECT count(*) FROM attempt") == [(0,)]
        (p.root / "new").write_text("MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\nSwapFree: 0 kB\n")
        (p.root / "new").rename(meminfo)
        assert run.wait(60) == 0, run.stdout.read()
        run.stdout.close()
        assert p.sql("SELECT waiting FROM run") == [("",)]


def test_pressure_holds_the_second_job():
    with place("ok") as p:
        pressure = p.root / "pressure"
        pressure.write_text("some avg10=80.00 avg60=0.00 avg300=0.00 total=1\n")
        run = p.start("run", **preload("other_proc", OTHER_PRESSURE=pressure))
        end = time.monotonic() + 60
        while "programs waited for memory in 80 %" not in (said := p.quern("status").stdout) and time.monotonic() < end:
            time.sleep(0.1)
        assert "programs waited for memory in 80 %" in said, said
        pressure.write_text("some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n")
        assert run.wait(60) == 0
        run.stdout.close()


def test_the_time_line():
    with place("grow", mib=50, memory="1GiB") as p:
        expect(p.quern("run"), 0)
        rows = p.sql("SELECT available_bytes, disk_free_bytes, slots FROM sample")
        assert rows and all(a > 0 and d > 0 and s == 2 for a, d, s in rows), rows


run_all(globals())
