"""The token is in no core dump, and in no argument or environment that the system shows, of the processes that hold it."""
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import BUILD, JOBS, QUERN, Matrix, environment, run_all  # noqa: E402
from models import tiny  # noqa: E402
from model_hub import TOKEN, Hub, Repo  # noqa: E402
from scripthub import TOKEN as UPLOAD_TOKEN  # noqa: E402
from scripthub import ScriptHub  # noqa: E402
from uploads import Uploads  # noqa: E402

NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
# Their leak check reads the process as a debugger would, which protection forbids: only the limit is set.
SANITIZED = BUILD.name in ("asan", "tsan")


def may_dump():
    """For a child before exec: as large as it likes."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, NO_LIMIT if os.geteuid() == 0 else (hard, hard))


def machine_dumps():
    """Does a process that aborts here leave a core dump at all? Then the others are looked at in earnest."""
    with tempfile.TemporaryDirectory() as root:
        done = subprocess.Popen([sys.executable, "-c", "import os; os.abort()"], cwd=root, preexec_fn=may_dump)
        return os.WCOREDUMP(os.waitpid(done.pid, 0)[1])


def shown(pid):
    """What the system shows of a process to who may look."""
    text = b""
    for name in ("cmdline", "environ"):
        with contextlib.suppress(PermissionError):
            text += Path(f"/proc/{pid}/{name}").read_bytes()
    return text


def abort(process, root, token):
    """It is ended as by a bug of its own, with core dumps allowed: no dump, and the token in no file."""
    with contextlib.suppress(PermissionError):
        if not SANITIZED:
            resource.prlimit(process.pid, resource.RLIMIT_CORE, NO_LIMIT)  # then the other protection has to do
    os.kill(process.pid, signal.SIGABRT)
    status = os.waitpid(process.pid, 0)[1]
    process.returncode = 0
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT, status
    assert not os.WCOREDUMP(status), "it left a core dump"
    assert not [f for f in root.rglob("core*") if f.is_file()]
    for f in root.rglob("*"):
        if f.is_file():
            assert token.encode() not in f.read_bytes(), f


def is_worker(process, root):
    """One that works in a job folder of root."""
    with contextlib.suppress(OSError):
        return os.readlink(process / "exe").endswith("noop-worker") and os.readlink(process / "cwd").startswith(str(root))
    return False


def wait_for(event):
    assert event.wait(60)


def test_this_machine_writes_core_dumps():
    if not machine_dumps():
        print("  (it does not: the tests below only see that nothing is said to be dumped)")


def test_the_fetcher():
    with Matrix(JOBS) as m, Hub() as hub:
        hub.repos["org/tiny"] = Repo(tiny(20), private=True)
        there, done = threading.Event(), threading.Event()

        def hold(handler):
            there.set()
            done.wait(60)
        hub.rule(r"HEAD /org/tiny", hold, times=9)
        env = environment(HF_ENDPOINT=hub.url, HF_HOME=m.root / "hf", HF_TOKEN=TOKEN)
        child = subprocess.Popen([QUERN, "fetch-repo", "--repo", "org/tiny"], cwd=m.root, env=env, preexec_fn=may_dump,
                                 stdout=subprocess.DEVNULL)
        wait_for(there)
        assert b"fetch-repo" in shown(child.pid) and TOKEN.encode() not in shown(child.pid)
        abort(child, m.root, TOKEN)
        done.set()


def test_the_uploader():
    with ScriptHub() as hub, Uploads(hub) as uploads:
        there, done = threading.Event(), threading.Event()

        def hold():
            there.set()
            done.wait(60)
        hub.fault("batch", then=hold)
        child = subprocess.Popen(uploads.command(), cwd=uploads.root, env=uploads.environment(), preexec_fn=may_dump,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(there)
        assert b"upload-repo" in shown(child.pid) and UPLOAD_TOKEN.encode() not in shown(child.pid)
        abort(child, uploads.root, UPLOAD_TOKEN)
        done.set()


def test_a_run_that_has_it_in_its_environment():
    text = JOBS.replace("opt: [0, 1, 2]", "opt: [0]\n    with: {sleep_ms: 60000}")
    with Matrix(text) as m:
        run = subprocess.Popen([QUERN, "run"], cwd=m.root, env=environment(HF_TOKEN=TOKEN), preexec_fn=may_dump,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not m.running() and time.monotonic() < end:
            time.sleep(0.05)
        workers = []
        while not workers and time.monotonic() < end:
            workers = [int(p.name) for p in Path("/proc").glob("[0-9]*") if is_worker(p, m.root)]
        assert workers
        for worker in workers:
            assert TOKEN.encode() not in shown(worker)
        abort(run, m.root, TOKEN)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)


run_all(globals())
