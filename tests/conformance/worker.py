#!/usr/bin/env python3
"""Does a program keep the worker protocol (docs/worker-protocol.md)? Any program, any language.

    worker.py --source MODEL [--job JSON] [--verbs convert,validate] [--launch QUERN_LAUNCH [--read PATH]...] -- PROGRAM [ARGS...]

--source   a model that the worker can convert
--job      members of job.json to set, e.g. '{"quant": "Q8_0", "with": {}}'
--verbs    what the engine's manifest lists
--launch   quern-launch: the worker is also run inside the sandbox
--read     what it may read there beside the source and the system's folders
--ignores-source   the worker does not read its source (only that it is there is expected then)
--only     run the checks whose name contains this

One line a check: ok, FAIL and why, or none (it does not apply); exit 0 when all hold, 1 when not. Nothing but Python's standard library is needed.
"""
import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LINE_MAX = 64 << 10  # bytes of one line on stdout
GRACE_S = 10         # from SIGTERM to the end
PATIENCE_S = 300     # for any one run
KEY = hashlib.sha256(b"conformance").hexdigest()


class Broken(Exception):
    """A rule of the protocol that does not hold."""


def need(condition, text):
    if not condition:
        raise Broken(text)


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(f.read()).hexdigest()


def snapshot(folder, leave_out=None):
    """Every path below folder with what tells a change; leave_out and all below it are not looked at."""
    out = {}
    for p in sorted(folder.rglob("*")):
        if leave_out and (p == leave_out or leave_out in p.parents):
            continue
        st = p.lstat()
        out[str(p)] = (st.st_mode, st.st_size, sha256(p) if p.is_file() and not p.is_symlink() else "")
    return out


class Suite:
    def __init__(self, opt):
        self.opt = opt
        self.verbs = opt.verbs.split(",")
        self.root = Path(tempfile.mkdtemp(prefix="worker-conformance-"))
        self.source = self.root / "source"
        shutil.copytree(opt.source, self.source)
        self.made = 0

    # ---- one job

    def job(self, **members):
        """A job folder as quern makes it. Members given here win over --job, and None takes one out."""
        self.made += 1
        folder = self.root / f"job-{self.made}"
        (folder / "out").mkdir(parents=True)
        text = {"protocol": 1, "job": KEY, "attempt": 1, "verb": "convert",
                "engine": {"name": "conformance", "version": "1"}, "name": "model", "file": "model-file",
                "source": {"dir": str(self.source), "format": "safetensors"}, "lora": None, "platform": "",
                "quant": "none", "hybrid": 0, "opt": 0, "with": {}, "out": "out", "threads": 2}
        text.update(json.loads(self.opt.job))
        text.update(members)
        text = {k: v for k, v in text.items() if v is not None or k == "lora"}
        (folder / "job.json").write_text(json.dumps(text, indent=1) + "\n")
        return folder

    def start(self, folder, *args, sandbox=False, stdout=subprocess.PIPE):
        """The worker as quern starts it: in its folder, clean environment, SIGPIPE ignored, own session."""
        command = [*self.opt.program, *args]
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder),
               "LANG": "C.UTF-8", "TZ": "UTC"}
        with open(folder / "lock", "w") as lock, open(folder / "log", "wb") as log:
            if sandbox:
                command = [self.opt.launch, "--job", str(folder), "--lock-fd", str(lock.fileno()),
                           "--read", str(self.source), *[x for p in self.opt.read for x in ("--read", p)],
                           "--", *command]
                env = {"SECRET_TOKEN": "must not arrive"}
            # Python ignores SIGPIPE, and restore_signals=False hands that on.
            return subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=stdout,
                                    stderr=log, start_new_session=True, restore_signals=False,
                                    pass_fds=[lock.fileno()] if sandbox else [])

    def run(self, folder, *args, **how):
        """Run to the end: (exit code, stdout)."""
        p = self.start(folder, *args, **how)
        try:
            out, _ = p.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.communicate()
            raise Broken(f"{args[0]} did not end within {PATIENCE_S} s") from None
        return p.returncode, out

    def log(self, folder):
        return (folder / "log").read_text(errors="replace").strip()

    def convert(self, folder, **how):
        code, out = self.run(folder, "convert", "job.json", **how)
        need(code == 0, f"convert ended with {code}: {self.log(folder)[-300:]}")
        return out

    # ---- what has to be true of a folder

    def check_result(self, folder):
        """result.json is whole and describes exactly what is in out/. Returns {name: hash}."""
        path = folder / "result.json"
        need(path.is_file(), "no result.json")
        result = json.loads(path.read_text())
        need(result.get("protocol") == 1 and result.get("status") == "ok", "result.json: protocol 1 and status ok")
        need(isinstance(result.get("facts", {}), dict), "result.json: facts is an object")
        listed = {}
        for f in result["files"]:
            name = f["path"]
            need(name and "/" not in name and not name.startswith("."), f"{name!r} is not a plain file name")
            need(name not in listed, f"{name} is listed twice")
            listed[name] = (f["size"], f.get("sha256"))
        need(listed, "result.json lists no file")
        there, hashes = {}, {}
        for p in (folder / "out").iterdir():
            need(p.is_file() and not p.is_symlink() and p.lstat().st_nlink == 1, f"{p.name} is not a plain file")
            hashes[p.name] = sha256(p)
            # A hash may be left out; one that is given is right.
            there[p.name] = (p.stat().st_size, hashes[p.name] if listed.get(p.name, (0, 1))[1] else None)
            need(p.stat().st_mtime_ns <= path.stat().st_mtime_ns, f"{p.name} is younger than result.json")
        need(listed == there, f"listed {listed}, on disk {there}")
        return hashes

    def largest(self, folder):
        return max((folder / "out").iterdir(), key=lambda p: p.stat().st_size)

    def refused(self, folder, code, codes):
        need(code in codes, f"exit {code}, expected {' or '.join(map(str, codes))}: {self.log(folder)[-300:]}")
        said = self.log(folder)
        path = folder / "result.json"
        if path.exists():
            result = json.loads(path.read_text())
            need(result.get("status") == "error" and result.get("message"), "result.json: status error and a message")
            said = said or result["message"]
        need(said, "nothing says why: a line on standard error, or result.json")

    # ---- the checks

    def check_converts(self):
        folder = self.job()
        self.convert(folder)
        self.check_result(folder)
        left = {p.name for p in folder.iterdir() if not p.name.startswith(".")}  # HOME: what a library remembers there
        left -= {"job.json", "lock", "log", "out", "result.json"}
        need(not left, f"left behind in the job folder: {sorted(left)}")

    def check_lines(self):
        for line in self.convert(self.job()).splitlines(keepends=True):
            need(line.endswith(b"\n"), "the last line has no end")
            need(len(line) <= LINE_MAX, f"a line of {len(line)} bytes")
            v = json.loads(line.decode("utf-8"))
            need(isinstance(v, dict) and v.get("event") in ("progress", "warning"), f"not an event: {line[:80]!r}")
            if v["event"] == "warning":
                need(isinstance(v.get("text"), str), "a warning has a text")
            else:
                need(isinstance(v.get("stage"), str) and isinstance(v.get("unit"), str), "progress: stage and unit")
                need(type(v.get("done")) is int and type(v.get("total")) is int and 0 <= v["done"] <= v["total"],
                     f"progress: 0 <= done <= total: {line!r}")

    def check_confirms(self):
        """What facts say of the four parameters is what was asked for; what they leave out is not published."""
        folder = self.job()
        self.convert(folder)
        job = json.loads((folder / "job.json").read_text())
        facts = json.loads((folder / "result.json").read_text()).get("facts", {})
        asked = [p for p in ("platform", "quant", "hybrid", "opt") if job[p] != ""]
        said = {p: facts[p] for p in asked if facts.get(p) is not None}
        for name, value in said.items():
            need(value == job[name] and type(value) is not bool, f"asked for {name} {job[name]!r}, reports {value!r}")
        if len(said) < len(asked):
            return f"does not confirm {', '.join(p for p in asked if p not in said)}: not published under that"
        return None

    def check_same_bytes_twice(self):
        first = self.job(threads=1)
        second = self.job(threads=3, attempt=2)
        self.convert(first)
        self.convert(second)
        need(self.check_result(first) == self.check_result(second), "two runs made different files")

    def check_unknown_members_are_ignored(self):
        folder = self.job(invented={"a": [1, None]}, zz="later version",
                          source={"dir": str(self.source), "format": "safetensors", "invented": True})
        self.convert(folder)
        self.check_result(folder)

    def check_bad_job_json(self):
        good = json.loads((self.job() / "job.json").read_text())
        texts = {"absent": None, "empty": "", "cut": json.dumps(good)[:-20], "a list": "[1]",
                 "another protocol": json.dumps({**good, "protocol": 999}),
                 "no source": json.dumps({k: v for k, v in good.items() if k != "source"})}
        for what, text in texts.items():
            folder = self.job()
            (folder / "job.json").unlink()
            if text is not None:
                (folder / "job.json").write_text(text)
            code, _ = self.run(folder, "convert", "job.json")
            need(code == 2, f"job.json is {what}: exit {code}, expected 2")
            need(self.log(folder), f"job.json is {what}: no line on standard error")

    def check_called_wrongly(self):
        for args in (["no-such-verb", "job.json"], ["convert"]):
            code, _ = self.run(self.job(), *args)
            need(code == 2, f"{' '.join(args)}: exit {code}, expected 2")

    def check_impossible_parameters(self):
        folder = self.job(quant="no-such-quantization")
        code, _ = self.run(folder, "convert", "job.json")
        self.refused(folder, code, [3])

    def check_missing_source(self):
        folder = self.job(source={"dir": str(self.root / "nowhere"), "format": "safetensors"})
        code, _ = self.run(folder, "convert", "job.json")
        self.refused(folder, code, [1, 3])

    def check_damaged_source(self):
        if self.opt.ignores_source:
            return "--ignores-source"
        damaged = self.root / "damaged"
        for what in ("cut", "empty", "rubbish"):
            shutil.rmtree(damaged, ignore_errors=True)
            shutil.copytree(self.source, damaged)
            file = max(damaged.glob("*.safetensors"), key=lambda p: p.stat().st_size)
            data = file.read_bytes()
            file.write_bytes({"cut": data[:len(data) // 2], "empty": b"", "rubbish": b"\xff" * 4096}[what])
            folder = self.job(source={"dir": str(damaged), "format": "safetensors"})
            code, _ = self.run(folder, "convert", "job.json")
            self.refused(folder, code, [3])

    def check_nobody_listens(self):
        folder = self.job()
        reading, writing = os.pipe()
        os.close(reading)
        code, _ = self.run(folder, "convert", "job.json", stdout=writing)
        os.close(writing)
        need(code == 0, f"convert ended with {code} when its listener was gone")
        self.check_result(folder)

    def check_nothing_outside_the_job_folder(self):
        folder = self.job()
        before = snapshot(self.root, folder)
        self.convert(folder)
        after = snapshot(self.root, folder)
        need(before == after, f"changed: {sorted(k for k in {**before, **after} if before.get(k) != after.get(k))}")

    def check_sigterm(self):
        for wait in (0, 0.02, 0.1):
            folder = self.job()
            before = snapshot(self.root, folder)
            p = self.start(folder, "convert", "job.json")
            time.sleep(wait)
            os.killpg(p.pid, signal.SIGTERM)
            try:
                p.communicate(timeout=GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.communicate()
                raise Broken(f"still there {GRACE_S} s after SIGTERM") from None
            need(before == snapshot(self.root, folder), "something stayed outside the job folder")
            self.check_whole_or_absent(folder)

    def check_whole_or_absent(self, folder):
        if (folder / "result.json").exists() and json.loads((folder / "result.json").read_text())["status"] == "ok":
            self.check_result(folder)

    def check_killed_at_any_instant(self):
        """result.json comes last and whole: whenever it is there, everything is."""
        folder = self.job()
        begin = time.monotonic()
        self.convert(folder)
        took = time.monotonic() - begin
        for i in range(1, 13):
            folder = self.job()
            p = self.start(folder, "convert", "job.json")
            time.sleep(took * i / 12)
            os.killpg(p.pid, signal.SIGKILL)
            p.communicate()
            self.check_whole_or_absent(folder)

    def check_sandbox(self):
        if not self.opt.launch:
            return "no --launch"
        inside, outside = self.job(), self.job()
        self.convert(outside)
        self.convert(inside, sandbox=True)
        need(self.check_result(inside) == self.check_result(outside), "other files inside the sandbox than outside")
        if "validate" in self.verbs:
            code, _ = self.run(inside, "validate", "job.json", sandbox=True)
            need(code == 0, f"validate in the sandbox ended with {code}: {self.log(inside)[-300:]}")

    def check_validate(self):
        if "validate" not in self.verbs:
            return "not in --verbs"
        folder = self.job()
        self.convert(folder)
        good = self.check_result(folder)
        code, out = self.run(folder, "validate", "job.json")
        need(code == 0, f"a good result: validate ended with {code}: {self.log(folder)[-300:]}")
        need(self.check_result(folder) == good, "validate changed the result")
        self.compare_facts(folder, out)
        file = self.largest(folder)  # the same one all along: an empty file is the largest no more
        for what, bad in self.damages(folder):
            file.write_bytes(bad)
            code, _ = self.run(folder, "validate", "job.json")
            need(code == 3, f"{what}: validate ended with {code}, expected 3")
            need(self.log(folder), f"{what}: no line on standard error")
        file.unlink()
        code, _ = self.run(folder, "validate", "job.json")
        need(code == 3, f"a missing file: validate ended with {code}, expected 3")

    def compare_facts(self, folder, out):
        """What validate read from the files does not contradict what convert reported, nor the job."""
        known = json.loads((folder / "job.json").read_text())
        known = {p: known[p] for p in ("platform", "quant", "hybrid", "opt")}
        known.update(json.loads((folder / "result.json").read_text()).get("facts", {}))
        for line in out.splitlines():
            need(len(line) < LINE_MAX, f"validate: a line of {len(line)} bytes")
            event = json.loads(line)
            need(event.get("event") in ("progress", "warning", "facts"), f"validate: not an event: {line[:80]!r}")
            for name, value in (event["facts"].items() if event["event"] == "facts" else ()):
                need(value is None or known.get(name) in (None, value),
                     f"{name}: convert or the job says {known.get(name)!r}, validate reads {value!r}")

    def damages(self, folder):
        """What may happen to the largest output. A flipped bit can be a legal weight: it is the hash that
        tells, so a worker that lists none need not see it (quern hashes every file when the worker ends)."""
        data = self.largest(folder).read_bytes()
        middle = len(data) // 2
        yield from (("half the file", data[:middle]), ("an empty file", b""), ("rubbish", b"\xff" * len(data)))
        if all(f.get("sha256") for f in json.loads((folder / "result.json").read_text())["files"]):
            flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]
            yield from (("a flipped bit in the middle", flipped), ("a byte too many", data + b"\0"),
                        ("a flipped bit at the start", bytes([data[0] ^ 1]) + data[1:]),
                        ("a flipped bit at the end", data[:-1] + bytes([data[-1] ^ 0x80])))

    def check_can_infer(self):
        if "can_infer" not in self.verbs:
            return "not in --verbs"
        folder = self.job()
        self.convert(folder)
        code, out = self.run(folder, "can_infer", "job.json")
        need(code == 0, f"can_infer ended with {code}")
        answer = json.loads(out)
        need(isinstance(answer.get("can_infer"), bool) and isinstance(answer.get("reason"), str),
             f"can_infer: a boolean and a reason, not {out!r}")

    def check_inspect(self):
        return self.look_at_a_file("inspect")

    def check_verify(self):
        return self.look_at_a_file("verify")

    def look_at_a_file(self, verb):
        if verb not in self.verbs:
            return "not in --verbs"
        folder = self.job()
        self.convert(folder)
        file = self.largest(folder)
        code, out = self.run(folder, verb, str(file))
        need(code == 0 and isinstance(json.loads(out), dict), f"{verb} ended with {code}: {out[:80]!r}")
        file.write_bytes(b"rubbish" * 100)
        code, _ = self.run(folder, verb, str(file))
        need(code == 3 and self.log(folder), f"{verb} of rubbish: exit {code}, expected 3 and a line")

    def run_all(self):
        failed = 0
        checks = [n for n in vars(Suite) if n.startswith("check_") and n not in ("check_result", "check_whole_or_absent")]
        for name in checks:
            if self.opt.only not in name:
                continue
            try:
                why_not = getattr(self, name)()
                print(f"{'none' if why_not else 'ok  '}  {name[6:]}{': ' + why_not if why_not else ''}", flush=True)
            except (Broken, KeyError, TypeError, ValueError, OSError) as why:
                failed += 1
                print(f"FAIL  {name[6:]}: {type(why).__name__ + ': ' if not isinstance(why, Broken) else ''}{why}",
                      flush=True)
        return failed


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--source", required=True)
    ap.add_argument("--job", default="{}")
    ap.add_argument("--verbs", default="convert,validate")
    ap.add_argument("--launch")
    ap.add_argument("--read", action="append", default=[])
    ap.add_argument("--ignores-source", action="store_true")
    ap.add_argument("--only", default="")
    ap.add_argument("program", nargs="+")
    suite = Suite(ap.parse_args())
    try:
        return 1 if suite.run_all() else 0
    finally:
        shutil.rmtree(suite.root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
