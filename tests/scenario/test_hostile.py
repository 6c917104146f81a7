"""A night of workers that are after everybody else, beside healthy ones: nothing gets through, the neighbours finish, each cause
is right, nobody of them is left, and nothing they say steers a terminal or becomes markup."""
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from matrix import Matrix, environment, expect, run_all  # noqa: E402

TOKEN = "hf_must_never_be_seen_0123456789"
# What each of them ends with: the state, the cause, and words of the message.
ENDINGS = {
    "ok": ("done", "", ""),
    "spy": ("done", "", ""),
    "grandchild": ("done", "", ""),
    "talking_grandchild": ("done", "", ""),
    "long_line": ("done", "", ""),
    "bad_words": ("done", "", ""),
    "fork_bomb": ("failed", "failed", "the bomb is there"),
    "fill_log": ("failed", "log too large", "64 MiB"),
    "large_file": ("failed", "folder too large", "a file larger than"),
    "fill_disk": ("failed", "folder too large", "more than any such job needs"),
    "many_files": ("failed", "folder too large", ""),
    "deaf": ("failed", "stall", "no progress"),
    "bad_end": ("failed", "failed", "last words"),
    "wrong_size": ("failed", "bad output", "6 bytes, the result says 7"),
    "hard_link": ("failed", "bad output", "not a plain file of its own"),
    "folder": ("failed", "bad output", "not a plain file of its own"),
    "climb": ("failed", "bad output", "not a plain file name"),
    "sparse": ("failed", "bad output", ""),
    "escape_name": ("failed", "bad output", "not a plain file name"),
    "deep": ("failed", "folder too large", "more than any such job needs"),
}
JOBS = """\
version: 1
name: bad-night
work: work
models: [{{path: model, name: m}}]
targets:
  - {{engine: noop, quant: none, opt: [0, 1, 2, 3, 4, 5], with: {{sleep_ms: 300}}}}
{targets}
resources: {{jobs: 3, memory: 4GiB, disk_reserve: 1MiB, grace: 1s, stall: 20s}}
retry: {{attempts: 1}}
upload: {{hub: local, namespace: ns, repo: "{{model}}", file: "{{model}}-{{quant}}-opt-{{opt}}-h-{{hybrid}}"}}
"""


def matrix():
    """One point a mode; `hybrid` tells them apart."""
    m = Matrix()
    secret = m.root / "secret"
    secret.write_text(TOKEN)
    lines = [f"  - {{engine: hostile, quant: none, hybrid: {(i + 1) / 100}, with: {{mode: {mode}, target: {secret}}}}}"
             for i, mode in enumerate(ENDINGS)]
    m.write(JOBS.format(targets="\n".join(lines)))
    return m


def processes_of(program):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "exe").startswith(str(program)):
                found.append(int(entry.name))
        except OSError:
            pass  # gone, or a kernel's own
    return found


def endings(m):
    """{mode: (state, cause, message)}"""
    rows = m.sql("SELECT params, state, cause, message FROM v_matrix WHERE engine = 'hostile'")
    return {json.loads(params).get("mode", "ok"): (state, cause, message) for params, state, cause, message in rows}


def is_clean(text):
    """No control characters but line ends, no reordering, no markup of theirs."""
    bad = [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or ord(c) in range(0x202a, 0x202f)]
    assert not bad, (bad[:5], text)


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def test_a_night_among_thieves():
    worker = Path(os.environ["QUERN_BUILD"]) / "test-engines/hostile-worker"
    before = set(processes_of(worker))
    with matrix() as m:
        try:
            done = m.quern("run", timeout=500, HF_TOKEN=TOKEN)
        finally:
            # Each of its processes has been ended when the run has.
            left = set(processes_of(worker)) - before
        assert done.returncode == 1, done.stdout
        is_clean(done.stdout)
        assert not left, f"left behind: {left}"
        told = endings(m)
        assert set(told) == set(ENDINGS), set(ENDINGS) ^ set(told)
        wrong = [f"{mode}: {told[mode]}, expected {(state, cause, words)}" for mode, (state, cause, words) in ENDINGS.items()
                 if told[mode][:2] != (state, cause) or words not in told[mode][2]]
        assert not wrong, "\n".join(wrong)
        is_clean("".join(message for _, _, message in told.values()))
        healthy = m.sql("SELECT count(*) FROM v_matrix WHERE engine = 'noop' AND state = 'done'")[0][0]
        assert healthy == 6, m.states()
        look_for_loot(m)
        every_command_is_clean(m)


def look_for_loot(m):
    assert (m.root / "secret").read_text() == TOKEN, "written to"
    for path in ("/tmp/hostile-was-here", "/var/tmp/hostile-was-here", m.work / "new"):
        assert not Path(path).exists(), path
    for file in m.work.rglob("*"):
        if file.is_file() and not file.is_symlink() and file.stat().st_size < 1 << 20:
            assert TOKEN.encode() not in file.read_bytes(), file
    logs = [log for log in m.work.glob("jobs/*/*/log")]
    assert logs
    for log in logs:
        assert log.stat().st_size <= (64 << 20) + 4096, f"{log} has {log.stat().st_size} bytes"
        with log.open("rb") as f:
            assert b"GOT IT" not in f.read(1 << 20), log.read_bytes()[:2000]


def every_command_is_clean(m):
    jobs = [n for n, in m.sql("SELECT id FROM v_matrix WHERE engine = 'hostile'")]
    for command in (["status"], ["status", "--all"], ["status", "--state", "failed"], ["status", "--json"], ["plan"], ["report"],
                    ["report", "--json"], *([c, str(n)] for n in jobs for c in ("show", "explain"))):
        is_clean(m.quern(*command).stdout)
    bad_end = m.sql("SELECT id FROM v_matrix WHERE params LIKE '%bad_end%'")[0][0]
    is_clean(expect(m.quern("logs", str(bad_end)), 0, "\\x1b[2J", "last words").stdout)
    raw = expect(m.quern("logs", "--raw", str(bad_end)), 0).stdout
    assert "\x1b[2J" in raw, raw
    expect(m.quern("report", "-o", "r.html"), 0)
    page = (m.root / "r.html").read_text()
    is_clean(page.replace("\t", " "))
    assert "<script>alert" not in page and "last words" in page


def test_a_grandchild_does_not_hold_up_an_adopted_worker():
    """quern is killed; its worker ends, and what it left behind holds the job's lock."""
    worker = Path(os.environ["QUERN_BUILD"]) / "test-engines/hostile-worker"
    before = set(processes_of(worker))
    with Matrix() as m:
        m.write(JOBS.format(targets="  - {engine: hostile, quant: none, with: {mode: grandchild}}").replace("[0, 1, 2, 3, 4, 5]", "[0]")
                .replace("sleep_ms: 300", "sleep_ms: 60000"))
        p = m.start("run")

        def left_behind():
            return [log for log in m.work.glob("jobs/*/*/result.json")] and set(processes_of(worker)) - before
        # A job of sixty seconds keeps the run going: kill it as soon as the grandchild is there or has been.
        wait_until(lambda: m.running())
        wait_until(lambda: m.sql("SELECT 1 FROM v_matrix WHERE engine = 'hostile' AND state IN ('ready', 'done')") or left_behind())
        p.kill()
        p.communicate()
        for pid, in m.sql("SELECT pid FROM attempt JOIN job ON job.id = job_id WHERE engine = 'noop' AND pid > 1"):
            try:
                os.killpg(pid, 9)
            except ProcessLookupError:
                pass
        m.write((m.root / "jobs.yaml").read_text().replace("sleep_ms: 60000", "sleep_ms: 1"))
        expect(m.quern("run", timeout=120), 0)
        assert set(m.sql("SELECT state FROM v_matrix WHERE engine = 'hostile'")) == {("done",)}
        assert not set(processes_of(worker)) - before


FORGER = """\
#!/bin/sh
if [ "$1" = convert ]; then
    head -c 3000000 /dev/zero > out/a.forged
    printf '{"protocol": 1, "status": "ok", "files": [{"path": "a.forged", "size": 3000000}], "facts": {}}' > result.json
    exit
fi
sleep SECONDS
printf forged | dd of=out/a.forged conv=notrunc bs=1 seek=1000000 2> /dev/null
"""


def test_a_validation_that_changes_the_file():
    """Whether it does so before quern has hashed the file or after: what is sealed is what is there."""
    for seconds in ("0", "0.5"):
        with Matrix() as m:
            engines = m.root / "engines"
            engines.mkdir()
            manifest = Path(environment()["QUERN_ENGINES"], "noop.yaml").read_text().replace("noop", "forger")
            # By the estimate it is large, and so hashed beside its validation.
            (engines / "forger.yaml").write_text(manifest.replace("output: {", "output: {base: 100MiB, "))
            (engines / "forger-worker").write_text(FORGER.replace("SECONDS", seconds))
            (engines / "forger-worker").chmod(0o755)
            m.write(JOBS.format(targets="").replace("engine: noop", "engine: forger").replace("[0, 1, 2, 3, 4, 5]", "[0]")
                    .replace(", with: {sleep_ms: 300}", ""))
            expect(m.quern("run", QUERN_ENGINES=engines), 0)
            (artifact,) = m.work.glob("artifacts/*/a.forged")
            real = artifact.read_bytes()
            assert real[1000000:1000006] == b"forged" and len(real) == 3000000
            want = hashlib.sha256(real).hexdigest()
            assert m.sql("SELECT lower(hex(sha256)) FROM artifact") == [(want,)]
            assert json.loads((artifact.parent / ".quern.json").read_text())["files"][0]["sha256"] == want


run_all(globals())
