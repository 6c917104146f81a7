"""Starts the toolkit's process, passes on what it prints, and says how it went.

The toolkit writes with print, with tqdm and from native code, so its descriptors are what is listened to, through a
pipe; this process stays small and outlives it, and can say of a killed toolkit that it was killed.
"""
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time

from quern_worker import progress

from . import failures
from .lines import Lines

LOG_MAX = 32 << 20      # bytes passed on; quern ends a job above 64 MiB
SAME_MAX = 20           # lines of one kind that are passed on
HEARTBEAT_S = 20.0      # without a line of progress
BUSY_SHARE = 0.01       # of a processor: less is no work
CONTROL_MAX = 1 << 20   # bytes of what the child tells in all

HERE = os.path.dirname(os.path.abspath(__file__))


class Outcome:
    """What a run of the toolkit left: see the members."""

    def __init__(self):
        self.status = None       # wait status: exit code, or minus the signal
        self.done = False        # all steps returned 0
        self.returned = []       # [(call, value)]
        self.calls = {}          # call: {"kwargs": [...], "declared": [...]}
        self.raised = ""         # "Type: text" of what escaped
        self.refused = ""        # the worker's own refusal, before a call
        self.lines = None        # Lines, with what was said
        self.watch = None        # failures.Watch
        self.told = []           # other events of the child, for selftest and calib
        self.peak_bytes = 0      # largest resident set

    def step(self):
        """The call that it came to last."""
        return self.returned[-1][0] if self.returned else (list(self.calls) or ["start"])[-1]

    def confirmed(self, call):
        """Keywords that a signature declares, handed over in a call that returned 0."""
        if (call, 0) not in self.returned:
            return set()
        return set(self.calls[call]["declared"])


class _Log:
    """Passes lines on to standard error: not without end, and not the same thing a thousand times."""

    def __init__(self):
        self.bytes, self.cut, self.counts = 0, False, {}

    def __call__(self, text):
        kind = "".join(c for c in text[:48] if not c.isdigit())
        self.counts[kind] = self.counts.get(kind, 0) + 1 if len(self.counts) < 10000 else 1
        if self.counts[kind] > SAME_MAX and text.startswith(("WARNING", "INFO", "W ", "I ")):
            return
        data = text.encode("utf-8", "replace") + b"\n"
        self.bytes += len(data)
        if self.bytes > LOG_MAX:
            if not self.cut:
                self.cut = True
                self._write(b"(the toolkit prints more than 32 MiB; the rest is left out)\n")
            return
        self._write(data)

    def end(self):
        for kind, n in sorted(self.counts.items()):
            if n > SAME_MAX:
                self._write("({} lines like: {})\n".format(n, kind.strip()).encode("utf-8", "replace"))

    @staticmethod
    def _write(data):
        try:
            os.write(2, data)
        except OSError:
            pass


def cpu_seconds():
    """Processor time of the other processes of our group, and of their children that have ended: the toolkit, and what
    it started (proc(5), stat: fields 5 and 14 to 17)."""
    ticks, group, own = 0, os.getpgrp(), str(os.getpid())
    for name in os.listdir("/proc"):
        if not name.isdigit() or name == own:
            continue
        try:
            with open("/proc/{}/stat".format(name), "rb") as f:
                fields = f.read().rsplit(b") ", 1)[1].split()
            if int(fields[2]) == group:
                ticks += sum(int(x) for x in fields[11:15])
        except (OSError, IndexError, ValueError):
            continue  # it has ended
    return ticks / os.sysconf("SC_CLK_TCK")


class _Heart:
    """Says the last progress again while the toolkit computes in silence, so that only one that stands still is
    ended for resources.stall."""

    def __init__(self, every_s):
        self.every_s = every_s
        self.told = ("start", 0, 1)
        self.time, self.cpu = time.monotonic(), 0.0

    def bar(self, stage, done, total):
        self.told, self.time = (stage, done, total), time.monotonic()
        progress(stage, done, total, "steps")

    def stage(self, name):
        self.bar(name, 0, 1)

    def beat(self):
        now = time.monotonic()
        if now - self.time < self.every_s:
            return
        cpu = cpu_seconds()
        if cpu - self.cpu >= BUSY_SHARE * (now - self.time):
            progress(*(self.told + ("steps",)))
        self.time, self.cpu = now, cpu


_STAGE_OF = {"import": "start", "load_huggingface": "load", "load_gguf": "load", "build": "build",
             "export_rkllm": "export", "update_rkllm": "update"}


class _Control:
    """The child's own words, a JSON object a line."""

    def __init__(self, out, on_stage, on_bar):
        self.out, self.on_stage, self.on_bar = out, on_stage, on_bar
        self.rest, self.bytes = b"", 0

    def feed(self, data):
        self.bytes += len(data)
        if self.bytes > CONTROL_MAX:
            return
        parts = (self.rest + data).split(b"\n")
        self.rest = parts.pop()
        for part in parts:
            try:
                v = json.loads(part.decode("utf-8", "replace"))
            except ValueError:
                continue  # the toolkit found the descriptor; what counts is checked elsewhere
            try:
                self.take(v)
            except (KeyError, TypeError, AttributeError, IndexError):
                pass

    def take(self, v):
        kind, out = v.get("event"), self.out
        if kind == "call":
            out.calls[v["name"]] = {"kwargs": v["kwargs"], "declared": v["declared"]}
            self.on_stage(_STAGE_OF.get(v["name"], v["name"][:40]))
        elif kind == "returned":
            out.returned.append((list(out.calls)[-1], v["value"]))
        elif kind == "raised":
            out.raised = "{}: {}".format(v["type"], v["text"])
        elif kind == "refused":
            out.refused = v["text"]
        elif kind == "progress":
            self.on_bar(v["stage"], v["done"], v["total"])
        elif kind == "done":
            out.done = bool(v["good"])
        else:
            out.told.append(v)


def environment(job, folder):
    """Of the toolkit's process: everything that a library remembers or loads stays in the job folder, offline."""
    home, temp = os.path.join(folder, "home"), os.path.join(folder, "tmp")
    for path in (home, temp):
        os.makedirs(path, exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    env.update(HOME=home, TMPDIR=temp, XDG_CACHE_HOME=os.path.join(home, ".cache"), HF_HOME=os.path.join(home, "hf"),
               MPLCONFIGDIR=os.path.join(home, "mpl"), HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1",
               HF_DATASETS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false",
               OMP_NUM_THREADS=str(max(1, job["threads"])), PYTHONHASHSEED="0", PYTHONUNBUFFERED="1",
               PYTHONDONTWRITEBYTECODE="1", PYTHONNOUSERSITE="1")
    # An arena for each of many threads takes address space, which is limited, and none of it is used.
    env["MALLOC_ARENA_MAX"] = "4"
    return env


def run(script, plan, job, folder, on_tick=None):
    """Run script (a file beside this one) with plan, in folder. on_tick(): called once a second or more. Returns an
    Outcome when all is over."""
    work = os.path.join(folder, "work")
    os.makedirs(work, exist_ok=True)
    plan = dict(plan, parent=os.getpid(), paths=[os.path.dirname(HERE)])
    plan_path = os.path.join(folder, "plan.json")
    with open(plan_path, "w", encoding="utf-8") as f:
        json.dump(plan, f)
    out_r, out_w = os.pipe()
    ctl_r, ctl_w = os.pipe()
    process = subprocess.Popen([sys.executable, "-s", "-B", os.path.join(HERE, script), plan_path, str(ctl_w)],
                               stdin=subprocess.DEVNULL, stdout=out_w, stderr=out_w, pass_fds=(ctl_w,), cwd=work,
                               env=environment(job, folder))
    os.close(out_w)
    os.close(ctl_w)
    try:
        return _listen(process, out_r, ctl_r, on_tick)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(out_r)
        os.close(ctl_r)


def _listen(process, out_r, ctl_r, on_tick):
    out, log = Outcome(), _Log()
    heart = _Heart(HEARTBEAT_S)
    out.watch = failures.Watch()

    def on_line(text):
        out.watch.look(text)
        log(text)

    out.lines = Lines(on_line, heart.bar)
    control = _Control(out, heart.stage, heart.bar)
    with selectors.DefaultSelector() as ready:
        ready.register(out_r, selectors.EVENT_READ, out.lines.feed)
        ready.register(ctl_r, selectors.EVENT_READ, control.feed)
        while ready.get_map():
            for key, _ in ready.select(min(1.0, HEARTBEAT_S)):
                data = os.read(key.fd, 1 << 16)
                if data:
                    key.data(data)
                else:
                    ready.unregister(key.fd)
            heart.beat()
            if on_tick:
                on_tick()
            if process.poll() is not None and not ready.select(0):
                break  # a grandchild may hold the pipes open for ever
    out.status = process.wait()
    out.lines.end()
    log.end()
    if out.raised:
        out.watch.look(out.raised, True)
    out.peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return out


def signal_name(status):
    try:
        return signal.Signals(-status).name
    except ValueError:
        return "signal {}".format(-status)
