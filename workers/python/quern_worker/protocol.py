"""Lines on standard output, result.json, and why a job failed."""
import errno
import hashlib
import json
import os
import time

PROTOCOL = 1
OK, FAILED, USAGE, REFUSED, ENV = 0, 1, 2, 3, 4  # exit codes
LINE_MAX = 64 << 10    # bytes of one line on standard output
TEXT_MAX = 1000        # characters of a message: quern shows about half of them
EVERY_S = 0.2          # between two progress lines of one stage
CHUNK = 1 << 20        # bytes read at once

# What `cause` may say; quern takes another word for none.
CAUSES = ("out of memory", "disk full", "timeout", "crash", "missing dependency", "unsupported architecture",
          "illegal parameters", "bad source", "gated", "network", "bad output")


class Fault(Exception):
    """Why this cannot be done. The message says what is wrong; what would be right.

    code: the word for programs in result.json. cause: one of CAUSES or None. retry: whether another try may help;
    None leaves it to the exit code.
    """

    def __init__(self, message, exit_code=REFUSED, code="invalid", cause=None, retry=None):
        assert cause is None or cause in CAUSES, cause
        super().__init__(message)
        self.exit_code, self.code, self.cause, self.retry = exit_code, code, cause, retry


def fault_of(why):
    """Any exception as a Fault."""
    if isinstance(why, Fault):
        return why
    if isinstance(why, MemoryError):
        return Fault("out of memory; fewer jobs at once, or a machine with more", FAILED, "io", "out of memory", True)
    if isinstance(why, OSError) and why.errno in (errno.ENOSPC, errno.EDQUOT):
        return Fault("{}; make room below the work folder".format(why), FAILED, "nospace", "disk full", True)
    if isinstance(why, OSError):
        return Fault(str(why), FAILED, "io")
    return Fault("{}: {} (a fault of the worker itself; its log has the place)".format(type(why).__name__, why),
                 FAILED, "io", "crash")


def event(**members):
    """One line on standard output. Nobody may be listening: the work goes on all the same."""
    line = json.dumps(members).encode() + b"\n"
    assert len(line) <= LINE_MAX
    try:
        while line:
            line = line[os.write(1, line):]
    except OSError:
        pass


def warning(text):
    event(event="warning", text=text[:TEXT_MAX])


_last = {"stage": None, "time": 0.0}


def progress(stage, done, total, unit):
    """Tell how far a stage is. May be called as often as one likes; the last step of a stage is always told."""
    done, total = int(done), max(int(total), int(done))
    now = time.monotonic()
    if stage == _last["stage"] and done < total and now - _last["time"] < EVERY_S:
        return
    _last["stage"], _last["time"] = stage, now
    event(event="progress", stage=stage, done=done, total=total, unit=unit)


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def put(path, data):
    """Replace path by data so that it is whole whenever it is there, also after a crash."""
    folder, name = os.path.split(os.path.abspath(path))
    temp = os.path.join(folder, "." + name + ".tmp")
    with open(temp, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temp, path)
    sync_folder(folder)


def put_result(status, **members):
    """The worker's last act. status ok: files and facts; status error: code, message, perhaps cause and retry."""
    members = {k: v for k, v in members.items() if v is not None}
    put("result.json", (json.dumps(dict(protocol=PROTOCOL, status=status, **members), indent=1) + "\n").encode())


def put_fault(fault):
    put_result("error", code=fault.code, message=str(fault)[:TEXT_MAX], cause=fault.cause, retry=fault.retry)


def sha256_of(path, told=None):
    """The file's SHA-256 in hex; told(bytes) after each piece."""
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for piece in iter(lambda: f.read(CHUNK), b""):
            h.update(piece)
            if told:
                told(len(piece))
    return h.hexdigest()
