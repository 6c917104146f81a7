"""Whatever is killed, and when: no container is left, nothing is lost, nothing is done twice. By a real podman."""
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import BUILD, QUERN, Matrix, environment, expect, run_all  # noqa: E402
from podman import Podman  # noqa: E402

ENGINES = BUILD / "test-container-engines"
IMAGE = "localhost/quern-probe:1"
ROUNDS = int(os.environ.get("QUERN_CONTAINER_KILLS", "6"))
SEED = int(os.environ.get("QUERN_CRASH_SEED", "1"))

JOBS = """\
version: 1
name: test
work: work
models: [{path: model, name: m}]
targets: [{engine: probe, quant: none, opt: [0, 1], with: {sleep_ms: SLEEP}}]
engines: {probe: {environments: [{container: %s, runtime: podman}]}}
resources: {jobs: 2, memory: 1GiB, disk_reserve: 1MiB, grace: 20s, timeout: 10m}
retry: {attempts: 20, backoff: 10ms}
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-opt-{opt}"}
""" % IMAGE
podman = Podman()


def wait_for(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


class Place(Matrix):
    def __init__(self, sleep_ms):
        super().__init__(JOBS.replace("SLEEP", str(sleep_ms)))
        self.settings = {**podman.settings, "QUERN_ENGINES": ENGINES, "HOME": "/root"}

    def begin(self):
        return self.start("run", **self.settings)

    def finish(self):
        """The next run ends it all."""
        expect(self.quern("run", **self.settings, timeout=300), 0)
        self.all_good()

    def all_good(self):
        assert sorted(self.states().values()) == ["done", "done"], self.states()
        assert podman.containers() == [], podman.containers()
        assert self.notes() == [], self.notes()
        made = [p for p in self.work.glob("jobs/*/*/result.json") if json.loads(p.read_text())["status"] == "ok"]
        assert len({p.parent.parent for p in made}) == len(made), f"converted twice: {made}"

    def notes(self):
        folder = self.work / "containers"
        return [p.name for p in folder.iterdir() if not p.name.startswith(".")] if folder.is_dir() else []

    def working(self):
        """Both have reported from inside."""
        return sum("on standard error" in p.read_text() for p in self.work.glob("jobs/*/*/log")) == 2

    def tries(self):
        return [n for n, in self.sql("SELECT tries FROM job ORDER BY id")]


def processes(word, root):
    """Pids whose command line names word and whose folder lies below root, or that name root."""
    out = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if entry.name.isdigit() and any(word in w for w in line[:3]) and (
                    any(str(root) in w for w in line) or str(root) in os.readlink(entry / "cwd")):
                out.append(int(entry.name))
        except OSError:
            pass
    return out


def kill(pids, sig=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass


def kill_run(run):
    """quern itself, and nothing that it began."""
    kill([run.pid])
    run.wait()


def test_quern_dies():
    with Place(4000) as m:
        run = m.begin()
        wait_for(m.working)
        kill_run(run)
        assert len(podman.containers()) == 2
        m.finish()
        assert m.tries() == [1, 1], m.tries()  # they were waited for


def test_quern_and_its_helpers_die():
    """As systemd ends a unit: everything but the containers, which are not in its cgroup."""
    with Place(6000) as m:
        run = m.begin()
        wait_for(m.working)
        kill_run(run)
        helpers = processes("quern-contain", m.root)
        assert len(helpers) == 2, helpers
        kill(helpers)
        m.finish()
        assert m.tries() == [1, 1], m.tries()


def test_a_helper_dies():
    with Place(15000) as m:
        run = m.begin()
        wait_for(m.working)
        kill(processes("quern-contain", m.root)[:1])
        assert run.wait(timeout=300) == 0, run.stdout.read()
        m.all_good()
        assert sorted(m.tries()) == [1, 2], m.tries()


def test_the_client_dies():
    """podman start --attach: the container goes on, and is waited for."""
    with Place(5000) as m:
        run = m.begin()
        wait_for(m.working)
        clients = [p for p in processes("podman", m.root)]
        assert clients, "no client of podman in this folder"
        kill(clients)
        assert run.wait(timeout=300) == 0, run.stdout.read()
        m.all_good()
        assert m.tries() == [1, 1], m.tries()


def test_interrupted():
    for signals in (1, 2):
        with Place(300000) as m:
            m.write((m.root / "jobs.yaml").read_text().replace("grace: 20s", "grace: 1s"))
            run = m.begin()
            wait_for(m.working)
            for _ in range(signals):
                run.send_signal(signal.SIGINT)
            assert run.wait(timeout=300) == 130, run.stdout.read()
            assert podman.containers() == [] and m.notes() == []


def test_cancelled():
    with Place(300000) as m:
        run = m.begin()
        wait_for(m.working)
        expect(m.quern("cancel", "1", "2", **m.settings), 0)
        run.wait(timeout=300)
        assert set(m.states().values()) == {"cancelled"}, m.states()
        assert podman.containers() == [] and m.notes() == []


def test_gc():
    """Its store says nothing of them any more: they are ended all the same."""
    with Place(300000) as m:
        run = m.begin()
        wait_for(m.working)
        kill_run(run)
        kill(processes("quern-contain", m.root))
        expect(m.quern("gc", "--dry-run", **m.settings), 0, "container")
        assert len(podman.containers()) == 2
        expect(m.quern("gc", **m.settings), 0, "container")
        assert podman.containers() == [] and m.notes() == []


def test_any_instant():
    rng = random.Random(SEED)
    for n in range(ROUNDS):
        with Place(500) as m:
            run = m.begin()
            time.sleep(rng.random() * 4)  # the instant is the test's subject, not its condition
            what = n % 3
            if what != 2:
                kill_run(run)
            if what:
                kill(processes("quern-contain", m.root))
            if what == 2:
                kill_run(run)
            m.finish()
            print(f"  round {n}: {['quern', 'quern, then helpers', 'helpers, then quern'][what]}: tries {m.tries()}")


def main():
    with podman:
        podman.image(IMAGE, label="io.quern.toolkit=1.2.3")
        podman.need_containers(IMAGE)
        run_all(dict(globals()))


main()
