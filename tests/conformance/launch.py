#!/usr/bin/env python3
"""Does quern-launch hold what docs/worker-protocol.md promises? A hostile program inside it tries.

    launch.py QUERN_LAUNCH HOSTILE [USER]

With USER everything runs as that user, if root asks for it.
"""
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

TOKEN = "hf_must_never_be_seen"


class Place:
    """A job folder, a source, and things around them that are none of the worker's business."""

    def __init__(self, launch, hostile):
        self.root = Path(tempfile.mkdtemp(prefix="launch-conformance-", dir="/var/tmp"))
        # Programs of their own folder: the build folder may not be readable for another user.
        self.bin = self.root / "bin"
        self.bin.mkdir()
        self.launch = shutil.copy(launch, self.bin)
        self.hostile = shutil.copy(hostile, self.bin)
        self.job = self.root / "job"
        self.job.mkdir()
        self.source = self.root / "source"
        self.source.mkdir()
        (self.source / "weights").write_text("weights")
        self.secret = self.root / "secret"
        self.secret.write_text(TOKEN)
        self.home = Path(pwd.getpwuid(os.getuid()).pw_dir)

    def start(self, *command, options=(), lock=None, **how):
        fd = lock if lock is not None else os.open(self.job / "lock", os.O_RDWR | os.O_CREAT)
        # With a descriptor that nobody closed, and a token in the environment.
        stray = os.open(self.secret, os.O_RDONLY)
        try:
            return subprocess.Popen(
                [self.launch, "--job", str(self.job), "--lock-fd", str(fd), "--read", str(self.source), *options,
                 "--", *map(str, command)],
                env={"HF_TOKEN": TOKEN, "PATH": "/nonexistent"}, pass_fds=[fd, stray], text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
        finally:
            os.close(stray)
            if lock is None:
                os.close(fd)

    def run(self, *command, **how):
        p = self.start(*command, **how)
        out, err = p.communicate(timeout=60)
        return p.returncode, out.strip(), err.strip()

    def attempt(self, what, arg, options=()):
        code, out, err = self.run(self.hostile, what, arg, options=options)
        assert code == 0 and out, f"{what} {arg}: exit {code}, {out!r} {err!r}"
        assert not err, f"{what} {arg}: {err}"
        return out

    def refuses(self, what, arg, *errnos):
        out = self.attempt(what, arg)
        assert out.startswith("refused"), f"{what} {arg}: {out}"
        assert not errnos or out.split()[1] in errnos, f"{what} {arg}: {out}, expected {errnos}"

    def allows(self, what, arg, options=()):
        out = self.attempt(what, arg, options)
        assert out == "did it", f"{what} {arg}: {out}"


def test_the_attempts_work_outside(p):
    """Else being refused would mean nothing."""
    victim = subprocess.Popen(["/bin/sleep", "60"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        for act in (("read", p.secret), ("write", p.root / "new"), ("connect", server.getsockname()[1]),
                    ("ptrace", victim.pid), ("kill", victim.pid)):
            done = subprocess.run([p.hostile, *map(str, act)], cwd=p.job, text=True, stdout=subprocess.PIPE)
            assert done.stdout == "did it\n", f"{act}: {done.stdout}"
    victim.kill()
    victim.wait()


def test_files(p):
    p.allows("read", p.source / "weights")
    p.allows("write", p.job / "mine")
    p.allows("write", "mine too")
    p.allows("read", "/etc/passwd")
    p.refuses("read", p.secret, "EACCES")
    p.refuses("write", p.secret, "EACCES")
    p.refuses("write", p.source / "weights", "EACCES")
    p.refuses("write", p.source / "new", "EACCES")
    p.refuses("write", p.root / "new", "EACCES")
    p.refuses("write", "../new", "EACCES")
    p.refuses("write", "/tmp/launch-conformance-new", "EACCES")
    p.refuses("write", p.bin / "hostile", "EACCES", "ETXTBSY")
    p.refuses("rename", p.root / "new", "EACCES", "EXDEV")
    p.refuses("symlink", "link", "EACCES", "EPERM")
    p.refuses("fifo", "fifo", "EACCES", "EPERM")
    assert p.secret.read_text() == TOKEN and not (p.root / "new").exists()


def test_home(p):
    if not p.home.is_dir() or not os.access(p.home, os.W_OK):
        p.home = p.root / "home"
        p.home.mkdir()
    file = p.home / ".launch-conformance-secret"
    file.write_text(TOKEN)
    try:
        p.refuses("read", file, "EACCES")
        p.refuses("write", file, "EACCES")
    finally:
        file.unlink()


def test_network(p):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        p.refuses("connect", port)
        p.allows("connect", port, options=["--network"])


def test_unix_sockets(p):
    path = str(p.source / "socket")
    for name, address in ((path, path), ("@quern-launch-conformance", "\0quern-launch-conformance")):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            server.listen()
            p.refuses("unix", name)
    os.unlink(path)


def test_processes(p):
    # One that would be traceable and killable by its user outside.
    victim = subprocess.Popen(["/bin/sleep", "60"], env={"HF_TOKEN": TOKEN})
    try:
        p.refuses("ptrace", victim.pid, "EPERM", "EACCES")
        p.refuses("read", f"/proc/{victim.pid}/environ", "EACCES", "EPERM")
        p.refuses("read", f"/proc/{victim.pid}/mem", "EACCES", "EPERM")
        p.refuses("kill", victim.pid, "EPERM")
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_mount(p):
    p.refuses("mount", p.job, "EPERM")


REFUSED = """ptrace process_vm_readv kcmp pidfd_getfd mount umount2 chroot unshare-user unshare-net setns clone-user clone-net
    open_by_handle_at name_to_handle_at mknodat fanotify_init bpf userfaultfd perf_event_open kexec_load init_module finit_module
    delete_module io_uring_setup io_uring_enter keyctl add_key request_key fsopen open_tree move_mount sethostname clock_settime
    reboot syslog prlimit-parent kill-all kill-parent tiocsti""".split()


def test_system_calls(p):
    for name in REFUSED:
        for options in ((), ("--network",)):
            out = p.attempt("call", name, options)
            assert out == "refused EPERM", f"{name} {options}: {out}"
    assert p.attempt("call", "clone3") == "refused ENOSYS"  # so that a C library takes clone, which is looked at
    for name in ("connect", "bind"):
        p.refuses("call", name, "EACCES")
    for name in ("getpid", "kill-self", "prlimit-self"):
        p.allows("call", name)
    # A process of the sandbox goes through the same filter.
    code, out, _ = p.run("/bin/sh", "-c", f"{p.hostile} call unshare-user", options=["--read", str(p.bin)])
    assert (code, out) == (0, "refused EPERM"), (code, out)


def test_sockets_of_every_family(p):
    # Pairs of connected streams reach nobody else.
    assert p.attempt("sockets", "-").splitlines() == ["pair 1 1", "pair 1 5"]
    with_network = p.attempt("sockets", "-", ["--network"]).splitlines()
    families = {int(line.split()[1]) for line in with_network if line.startswith("socket")}
    assert {1, 2} <= families <= {1, 2, 10, 16}, with_network


def test_calls_of_other_architectures(p):
    for which in ("i386", "x32"):
        code, out, _ = p.run(p.hostile, "other", which)
        assert code == -signal.SIGSYS and not out, (which, code, out)


def test_birth(p):
    (code, out, err) = p.run(p.hostile, "birth", "-", options=["--files", "100", "--setenv", "EXTRA=a b"])
    assert code == 0 and not err, err
    lines = [line.split(" ", 1) for line in out.splitlines()]
    env = dict(value.split("=", 1) for key, value in lines if key == "env")
    assert env == {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(p.job), "TMPDIR": str(p.job),
                   "LANG": "C.UTF-8", "TZ": "UTC", "EXTRA": "a b"}, env
    fds = [int(value) for key, value in lines if key == "fd"]
    assert fds[:3] == [0, 1, 2] and len(fds) == 4, f"descriptors {fds}: the lock's and no other"
    told = {key: value for key, value in lines if key not in ("env", "fd")}
    pid = told.pop("pid")
    assert told == {"core": "0", "files": "100", "sigpipe": "ignored", "blocked": "0", "leader": "1",
                    "cwd": str(p.job)}, told
    assert (p.job / "lock").read_text().split()[0] == pid


def test_signals_are_reset(p):
    def hostile_parent():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    worker = p.start("/bin/sleep", "60", preexec_fn=hostile_parent)
    wait_for_lock_text(p)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == -signal.SIGTERM, worker.returncode


def wait_for_lock_text(p):
    while not (p.job / "lock").read_text().endswith("\n"):
        os.sched_yield()


def is_locked(path):
    with open(path) as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_lock_lives_as_long_as_the_worker(p):
    path = p.job / "lock"
    path.write_text("rubbish of an older attempt, longer than what comes\n")
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.truncate(path, 0)
    worker = p.start("/bin/sh", "-c", "read -r line <&0; sleep 60", lock=fd)
    os.close(fd)
    wait_for_lock_text(p)
    stat = Path(f"/proc/{worker.pid}/stat").read_text()
    assert path.read_text() == f"{worker.pid} {stat.rsplit(')', 1)[1].split()[19]}\n", path.read_text()
    assert is_locked(path), "nobody holds the lock of a living worker"
    os.killpg(worker.pid, signal.SIGKILL)
    worker.communicate()
    assert not is_locked(path), "the lock of a dead worker is held"


def test_exit_codes(p):
    assert p.run("/bin/sh", "-c", "exit 7")[0] == 7
    code, _, err = p.run(p.root / "no-such-program")
    assert code == 127 and "no-such-program" in err and len(err.splitlines()) == 1, (code, err)
    code, _, err = p.run(p.source / "weights")
    assert code == 127, (code, err)
    for options in (["--job", "/nonexistent"], ["--job", "relative"], ["--memory", "much"], ["--invented", "1"],
                    ["--lock-fd", "77"], ["--setenv", "NOVALUE"], ["--read"]):
        code, _, err = p.run("/bin/true", options=options)
        assert code == 125 and err, (options, code, err)


def test_no_core(p):
    code, _, _ = p.run(p.hostile, "crash", "-")
    assert code == -signal.SIGSEGV, code
    assert not [f for f in p.job.iterdir() if f.name.startswith("core")]


def test_limits(p):
    code, _, _ = p.run("/bin/sh", "-c", "head -c 2000000 /dev/zero >big", options=["--file-size", "1000000"])
    assert code != 0 and (p.job / "big").stat().st_size <= 1000000
    p.allows("memory", 100 << 20, options=["--memory", str(400 << 20)])
    assert p.attempt("memory", 500 << 20, options=["--memory", str(400 << 20)]) == "refused ENOMEM"
    code, _, _ = p.run("/bin/sh", "-c", "while :; do :; done", options=["--cpu", "1"])
    assert code in (-signal.SIGXCPU, -signal.SIGKILL), code


def test_features(p):
    out = subprocess.run([p.launch, "--features"], text=True, stdout=subprocess.PIPE, check=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    assert all(len(r) == 3 and r[1] in ("yes", "no") for r in rows), out
    assert {"landlock", "seccomp", "network-namespace", "no-new-privileges"} <= {r[0] for r in rows}, out


def become(user):
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    os.environ["HOME"] = account.pw_dir


def main(launch, hostile, user=None):
    # Read before becoming somebody who may not.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as programs:
        os.chmod(programs, 0o755)
        launch, hostile = shutil.copy(launch, programs), shutil.copy(hostile, programs)
        child = os.fork()
        if child == 0:
            if user and os.geteuid() == 0:  # else we are an ordinary user already
                become(user)
            os._exit(run_all(launch, hostile))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_all(launch, hostile):
    failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_"):
            continue
        place = Place(launch, hostile)
        try:
            test(place)
            print(f"ok    {name[5:]}", flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError) as why:
            failed += 1
            print(f"FAIL  {name[5:]}: {why}", flush=True)
        finally:
            shutil.rmtree(place.root, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
