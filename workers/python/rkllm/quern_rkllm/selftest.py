"""selftest: a new environment, tried with a tiny model. What the first person with a vendor's wheel wants to know:
does it convert for each platform, and how does it behave where no document says. docs/rkllm.md has the same list
for reading.

One line on standard output for each finding, {"event": "check", "name", "state", "text"}; state is good, bad (it
will not convert), warn (look at it) or info (an answer to an open question). All of them are facts.checks of
result.json as well.
"""
import importlib.metadata
import os
import platform
import shutil
import struct
import sys
import time

from quern_worker import ENV, Fault, event, put_result, sha256_of

from . import calls, drive, output, source, toolkit, verdict, versions

TEXT_MAX = 2000


class Findings:
    def __init__(self):
        self.rows = []

    def __call__(self, name, state, text):
        row = {"name": name, "state": state, "text": " ".join(str(text).split())[:TEXT_MAX]}
        self.rows.append(row)
        event(event="check", **row)

    def any_bad(self):
        return any(row["state"] == "bad" for row in self.rows)


def check_machine(tell):
    machine, libc = platform.machine(), platform.libc_ver()
    good = machine == "x86_64" and libc[0] == "glibc" and struct.calcsize("P") == 8
    tell("machine", "good" if good else "warn", "{}, {} {}{}".format(
        machine, libc[0] or "an unknown libc", libc[1], "" if good else "; the wheel is made for x86-64 with glibc"))
    tell("python", "good" if sys.implementation.name == "cpython" else "bad", "{} {}".format(
        sys.implementation.name, platform.python_version()))


def check_packages(tell, version):
    """The pins of the toolkit's requirements, and setuptools, whose pkg_resources the toolkit imports (issue 386)."""
    for name, wanted in sorted(versions.pins(version).items()):
        try:
            have = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            tell(name, "warn", "is not installed; toolkit {} wants {}".format(version, wanted))
            continue
        same = versions.public(have) == wanted
        tell(name, "good" if same else "warn",
             have if same else "{}; toolkit {} wants {}".format(have, version, wanted))
    try:
        have = importlib.metadata.version("setuptools")
        old = (versions.parse(have) or (0,))[0] < 81
        tell("setuptools", "good" if old else "warn", have if old else
             "{}; from 81 on it has no pkg_resources, which the toolkit imports".format(have))
    except importlib.metadata.PackageNotFoundError:
        tell("setuptools", "warn", "is not installed; the toolkit imports its pkg_resources")


def _sizes(folder):
    out = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            try:
                out[os.path.relpath(path, folder)] = os.lstat(path).st_size
            except OSError:
                pass
    return out


class Scratch:
    """Where files come up while the toolkit runs, looked at now and then: the largest size of each new one."""

    def __init__(self, folder):
        self.folder, self.first, self.seen = folder, _sizes(folder), {}

    def look(self):
        for path, size in _sizes(self.folder).items():
            if size != self.first.get(path) and size >= self.seen.get(path, 0):
                self.seen[path] = size

    def told(self):
        places = {}
        for path, size in self.seen.items():
            if path != "plan.json":
                place = path.split(os.sep, 1)[0]
                n, total = places.get(place, (0, 0))
                places[place] = (n + 1, total + size)
        return ", ".join("{}: {} files, {} bytes".format(p, *places[p]) for p in sorted(places)) or "none seen"


class Tries:
    """One environment, one tiny model, a folder a try."""

    def __init__(self, job, version, dist):
        self.job, self.version, self.dist, self.n = job, version, dist, 0
        self.model = source.look(job)

    def point(self, target, quant, **members):
        job = dict(self.job, platform=target, quant=quant, file="selftest", lora=None, hybrid=0, opt=0, attempt=1)
        job["with"] = {}
        job.update(members)
        return job

    def run(self, job, steps=None, probe=False, scratch=False):
        """(Outcome, export folder, Scratch or None); everything below a new folder."""
        self.n += 1
        folder = os.path.abspath(os.path.join(output.SCRATCH, str(self.n)))
        export_dir = os.path.join(folder, "export")
        os.makedirs(export_dir)
        site = os.path.join(folder, "site")
        toolkit.make_shadow(self.dist, site)
        path = os.path.join(export_dir, job["file"] + ".rkllm")
        plan = {"site": site, "version": self.version, "probe": probe,
                "steps": calls.steps(job, self.model, None, path) if steps is None else steps(path)}
        seen = Scratch(folder) if scratch else None
        out = drive.run("child.py", plan, job, folder, on_tick=seen.look if seen else None)
        if seen:
            seen.look()
        return out, export_dir, seen


def check_signatures(tell, tries):
    out, _, _ = tries.run(tries.point("", ""), steps=lambda _: [], probe=True)
    fault = verdict.of_steps(out, 1)
    if fault:
        tell("import", "bad", fault)
        return False
    for told in out.told:
        if told.get("event") != "signature":
            continue
        name, text = told["name"], told["text"]
        wanted, names = versions.keywords(name, tries.version), set(told.get("names") or ())
        if text is None:
            tell(name, "warn", "its signature cannot be read: the table of {} decides, and hybrid and opt are not "
                 "confirmed".format(tries.version))
        elif told.get("swallows"):
            tell(name, "warn", "{} takes anything; hybrid and opt are not confirmed".format(text))
        else:
            less, more = sorted(wanted - names), sorted(names - wanted - {"self"})
            tell(name, "warn" if less else "info", "{}{}{}".format(
                text, "; the documents have also " + ", ".join(less) if less else "",
                "; not in the documents: " + ", ".join(more) if more else ""))
    return True


def check_platform(tell, tries, target, quant):
    """One conversion from load to file. Returns the file's SHA-256, or None."""
    job, begin = tries.point(target, quant), time.monotonic()
    try:
        out, export_dir, seen = tries.run(job, scratch=True)
        verdict.check_run(out, job, tries.version, tries.model)
        path = os.path.join(export_dir, "selftest.rkllm")
        info = output.check_model(path, job, tries.version, calls.least_bytes(job, tries.model))
    except Fault as why:
        tell(target, "bad", "{}: {}".format(quant, why))
        return None
    said = ", ".join("{} {}".format(k, v) for k, v in sorted(info["said"].items())) or "nothing"
    tell(target, "good", "{}: {} bytes in {:.0f} s; begins with {}; the file says {}; files left: {}".format(
        quant, info["size"], time.monotonic() - begin, info["head"], said, ", ".join(sorted(os.listdir(export_dir)))))
    tell("scratch", "info", "{} (site: beside the toolkit; tmp: TMPDIR; work: the current folder)".format(seen.told()))
    return sha256_of(path)


def _codes(out):
    last = out.raised or out.watch.last_error
    return ", ".join("{} {}".format(c, v) for c, v in out.returned if c != "import") + ("; " + last if last else "")


def check_open_questions(tell, tries, target, quant, digest):
    again, export_dir, _ = tries.run(tries.point(target, quant))
    path = os.path.join(export_dir, "selftest.rkllm")
    same = again.done and os.path.isfile(path) and sha256_of(path) == digest
    tell("same bytes twice", "good" if same else "warn",
         "yes" if same else "no: two runs of one point made other files")

    hybrid = tries.point(target, quant)
    steps = calls.steps(hybrid, tries.model, None, "")
    whole = [[w if w[0] != "hybrid_rate" else ("hybrid_rate", 1.0, True) for w in s["wanted"]] for s in steps[:2]]
    out, _, _ = tries.run(hybrid, steps=lambda _: [dict(s, wanted=w) for s, w in zip(steps, whole)])
    tell("hybrid_rate 1.0", "info", _codes(out))

    out, _, _ = tries.run(hybrid, steps=lambda _: [steps[0], steps[1], steps[1]])
    tell("build twice", "info", _codes(out))

    if target == "rk3588":
        out, _, _ = tries.run(tries.point("rk3588", "w4a16"))
        tell("illegal quant", "warn" if out.done else "good", "w4a16 on rk3588: " + _codes(out))


def selftest(job):
    tell = Findings()
    check_machine(tell)
    version, dist = toolkit.check_version(job)
    tell("toolkit", "good", "rkllm-toolkit {}".format(version))
    check_packages(tell, version)
    shutil.rmtree(output.SCRATCH, ignore_errors=True)
    tries = Tries(job, version, dist)
    if check_signatures(tell, tries):
        made = [(t, q, check_platform(tell, tries, t, q)) for t, (q, first) in sorted(versions.PLATFORMS.items())
                if versions.at_least(version, first)]
        good = [m for m in made if m[2]]
        # rk3588 first: the only platform with a quant that is known to be refused.
        for target, quant, digest in sorted(good, key=lambda m: m[0] != "rk3588")[:1]:
            check_open_questions(tell, tries, target, quant, digest)
    shutil.rmtree(output.SCRATCH, ignore_errors=True)
    put_result("ok" if not tell.any_bad() else "error", code="env" if tell.any_bad() else None,
               message="the environment does not do all; see the checks" if tell.any_bad() else None,
               facts={"checks": tell.rows, "tools": toolkit.tools()})
    return ENV if tell.any_bad() else None
