"""resources.keep: none: artifacts leave the disk once the hub has them, and a small disk does a night many times its size."""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from llm_server import LlmServer  # noqa: E402
from matrix import Matrix, expect, preload, run_all  # noqa: E402

MIB = 1 << 20
SIDE = 2048  # a matrix of 4 Mi weights: 16 MiB as F32, 4 MiB as output
JOBS = """\
version: 1
name: test
work: disk/work
models: [{{path: model, name: m}}]
targets:
  - {{engine: noop, quant: none, opt: [{opts}], hybrid: [{hybrids}], with: {{mode: fat, mib: 4}}}}
resources: {{jobs: 2, memory: 1GiB, disk_reserve: 1MiB, keep: {keep}}}
retry: {{attempts: 2, backoff: 10ms}}
upload: {{hub: local, namespace: ns, repo: "{{model}}", when: {when}}}
"""


def model(folder, last=0):
    data = SIDE * SIDE * 4
    header = json.dumps({"w": {"dtype": "F32", "shape": [SIDE, SIDE], "data_offsets": [0, data]}}).encode()
    with open(folder / "model.safetensors", "wb") as f:
        f.write(len(header).to_bytes(8, "little") + header)
        f.seek(data - 1, os.SEEK_CUR)
        f.write(bytes([last]))


class Place(Matrix):
    """The work folder is a small disk; the local hub lies outside of it."""

    def __init__(self, n, disk_mib=20, keep="none", when="end"):
        self.disk_mib = disk_mib
        hybrids = [i / 10 for i in range((n + 9) // 10)]
        super().__init__(JOBS.format(opts=", ".join(str(i) for i in range(min(n, 10))), keep=keep, when=when,
                                     hybrids=", ".join(map(str, hybrids))))
        model(self.root / "model")
        (self.root / "disk/work").mkdir(parents=True)
        (self.root / "hub").mkdir()
        (self.root / "disk/work/hub").symlink_to(self.root / "hub")

    @property
    def work(self):
        return self.root / "disk/work"

    def quern(self, *args, **env):
        small = preload("small_disk", SMALL_DISK=self.root / "disk", SMALL_DISK_BYTES=self.disk_mib * MIB)
        return super().quern(*args, timeout=300, **{**small, **env})

    def quern_plain(self, *args):
        return super().quern(*args)

    def artifacts(self):
        return [f for f in (self.work / "artifacts").rglob("*.noop")]

    def published(self):
        """Sizes of all files that a clone would get."""
        repo, = (self.root / "hub").glob("ns/*.git")
        return [f.stat().st_size for f in (repo / "lfs/objects").rglob("*") if f.is_file()]


def test_a_night_many_times_the_disk():
    with Place(20) as p:  # 80 MiB through 20
        done = expect(p.quern("run"), 0, "20 converted", "20 of 20 points done")
        assert "failed" not in done.stdout, done.stdout
        assert set(p.states().values()) == {"done"}
        assert not p.artifacts() and not list((p.work / "artifacts").iterdir())
        assert p.sql("SELECT count(*) FROM artifact WHERE dropped_ms > 0") == [(20,)]
        assert p.sql("SELECT count(*) FROM upload WHERE state = 'done' AND job_id IS NOT NULL") == [(20,)]
        assert p.sql("SELECT count(*) FROM attempt") == [(20,)]
        expect(p.quern("run"), 0, "nothing to do: all 20 points are done already")
        expect(p.quern("plan"), 0, "20 done")
        expect(p.quern("show", "1"), 0, "on the hub; here they have left the disk")
        expect(p.quern("gc"), 0)
        expect(p.quern("run"), 0, "nothing to do")
        assert p.sql("SELECT count(*) FROM attempt") == [(20,)]


def test_without_it_the_disk_is_full():
    """What the test above would do otherwise, so that it proves something."""
    with Place(20, keep="all") as p:
        expect(p.quern("run"), 4, "no job fits the free disk", "not done yet")


def test_the_card_of_what_has_left():
    """A later variant joins the repository: its card lists those that are on the hub only."""
    with Place(2) as p:
        expect(p.quern("run"), 0, "2 converted")
        p.write((p.root / "jobs.yaml").read_text().replace("opt: [0, 1]", "opt: [0, 1, 2]"))
        expect(p.quern("run"), 0, "1 converted")
        repo, = (p.root / "hub").glob("ns/*.git")
        card = subprocess.run(["git", "--git-dir", repo, "show", "HEAD:README.md"], capture_output=True, text=True, check=True).stdout
        for opt in 0, 1, 2:
            assert f"opt-{opt}" in card or opt == 0, card
        tree = subprocess.run(["git", "--git-dir", repo, "ls-tree", "-r", "--name-only", "HEAD"], capture_output=True, text=True,
                              check=True).stdout
        assert tree.count(".noop") == 3, tree
        assert not p.artifacts()


def test_what_the_hub_does_not_take_stays():
    with Place(2) as p:
        p.write((p.root / "jobs.yaml").read_text().replace("when: end}", 'when: end, exclude: ["*.noop"]}'))
        expect(p.quern("run"), 0, "2 converted")
        assert len(p.artifacts()) == 2
        assert p.sql("SELECT count(*) FROM artifact WHERE dropped_ms > 0") == [(0,)]


def test_a_replaced_one_is_converted_again_when_it_is_wanted():
    with Place(1) as p:
        expect(p.quern("run"), 0, "1 converted")
        model(p.root / "model", last=1)
        expect(p.quern("run"), 0, "1 converted")
        assert p.sql("SELECT cause FROM job ORDER BY id") == [("replaced",), ("",)]
        model(p.root / "model", last=0)
        expect(p.quern("plan"), 0, "its artifact is gone")
        expect(p.quern("run"), 0, "1 converted")
        assert p.sql("SELECT cause FROM job ORDER BY id") == [("",), ("replaced",)]
        assert not p.artifacts()


def test_killed_between_the_mark_and_the_removal():
    """The file is left over; the job is done, and nothing is converted again."""
    with Place(2) as p:
        expect(p.quern("run", QUERN_CRASH_AT="upload:drop_marked"), 1, "the uploader could not be started", "2 of 2 points done")
        assert len(p.artifacts()) == 2 and p.sql("SELECT count(*) FROM artifact WHERE dropped_ms > 0") == [(2,)]
        expect(p.quern("run"), 0)
        assert p.sql("SELECT count(*) FROM attempt") == [(2,)]
        assert set(p.states().values()) == {"done"}
        expect(p.quern("run"), 0, "nothing to do")


# ---- files that are to be measured

def measured_place(n, server, disk_mib=60, **more):
    """A place whose artifacts are tried on a server, each when nothing else goes on: after it was published."""
    p = Place(n, disk_mib)
    keys = {"alone": "true", "runs": 1, "regression": "off", **more}
    p.write((p.root / "jobs.yaml").read_text() +
            f"measure:\n  - endpoint: {{url: \"{server.url}\", start: 300ms}}\n" + "".join(f"    {k}: {v}\n" for k, v in keys.items()))
    return p


def kept(p):
    return p.sql("SELECT count(*) FROM hold WHERE reason = 'kept'")[0][0]


def test_a_file_stays_until_it_was_measured():
    with LlmServer("timings") as s, measured_place(2, s) as p:
        expect(p.quern("run", "--no-measure"), 0, "2 converted", "2 of 2 points done")
        assert len(p.artifacts()) == kept(p) == 2
        expect(p.quern("show", 1), 0, "kept here", "to be measured")
        assert "held" not in p.quern("upload").stdout
        assert len(p.artifacts()) == 2
        expect(p.quern("run"), 0, "2 measured")
        assert not p.artifacts() and not kept(p)
        assert p.sql("SELECT state, count(*) FROM measurement GROUP BY state") == [("done", 2)]
        assert p.sql("SELECT count(*) FROM artifact WHERE dropped_ms > 0") == [(2,)]
        asked = len(s.asked)
        expect(p.quern("run"), 0, "nothing to do")
        assert len(s.asked) == asked


def test_a_night_many_times_the_disk_is_measured():
    with LlmServer("timings") as s, measured_place(8, s, disk_mib=20) as p:
        expect(p.quern("run"), 0, "8 converted", "8 measured", "8 of 8 points done")
        assert not p.artifacts() and p.sql("SELECT count(*) FROM attempt") == [(8,)]
        assert p.sql("SELECT state, count(*) FROM measurement GROUP BY state") == [("done", 8)]


def test_a_file_whose_measurement_failed_leaves():
    with LlmServer("html") as s, measured_place(1, s) as p:
        expect(p.quern("run"), 0, "1 converted", "not measured", "a page came in place of an answer")
        assert not p.artifacts() and not kept(p)
        asked = len(s.asked)
        expect(p.quern("run"), 0, "nothing to do")
        assert len(s.asked) == asked
    # The server may be at fault, or the file: it is asked three times.
    with LlmServer("fail") as s, measured_place(1, s) as p:
        for here in 1, 1, 0:
            expect(p.quern("run"), 0, "not measured", "out of memory")
            assert len(p.artifacts()) == kept(p) == here
        expect(p.quern("run"), 0, "nothing to do")
        assert p.sql("SELECT count(*) FROM measurement") == [(3,)]


def test_a_machine_that_is_away_keeps_files_here():
    with LlmServer("timings") as s:
        port = int(s.url.rsplit(":", 1)[1].split("/")[0])
        p = measured_place(3, s)
    with p:
        expect(p.quern("run"), 0, "3 converted", "1 more are not measured in this run")
        assert len(p.artifacts()) == kept(p) == 3
        with LlmServer("timings", port=port):
            expect(p.quern("run"), 0, "3 measured")
        assert not p.artifacts() and not kept(p)


def test_files_of_an_entry_that_is_gone_leave():
    with LlmServer("timings") as s, measured_place(1, s) as p:
        expect(p.quern("run", "--no-measure"), 0, "1 converted")
        text = (p.root / "jobs.yaml").read_text()
        p.write(text[:text.index("measure:")])
        expect(p.quern("run"), 0)
        assert not p.artifacts() and not kept(p)


def test_killed_after_the_measurement():
    with LlmServer("timings") as s, measured_place(1, s) as p:
        p.quern("run", QUERN_CRASH_AT="measure:ended")
        assert len(p.artifacts()) == 1 and not kept(p)
        expect(p.quern("run"), 0)
        assert not p.artifacts()
        assert p.sql("SELECT state, count(*) FROM measurement GROUP BY state") == [("done", 1)]


def test_published_in_spite_of_a_hold():
    with LlmServer("timings") as s, measured_place(1, s, hold="[garbage]") as p:
        expect(p.quern("run", "--no-measure"), 1, "1 held back")
        expect(p.quern("upload", "--held"), 0)
        assert set(p.states().values()) == {"done"} and len(p.artifacts()) == kept(p) == 1
        expect(p.quern("run"), 0, "1 measured")
        assert not p.artifacts()


def test_somebody_else_fills_the_disk_meanwhile():
    """No job is started into a disk that is full: they wait, nothing is half-done, and the next run does them."""
    with Place(4, disk_mib=40) as p:
        expect(p.quern("run", SMALL_DISK_BYTES=2 * MIB), 4, "no job fits the free disk", "4 not done yet")
        assert not p.artifacts() and p.sql("SELECT count(*) FROM attempt") == [(0,)]
        expect(p.quern("run"), 0, "4 converted")
        assert not [f for f in (p.work / "jobs").rglob("*.noop")]


def test_the_disk_fills_in_the_middle_of_the_night():
    """A real small file system: a worker hits its end, its cause is said, the run lives, and goes on when there is room."""
    if os.geteuid() != 0:
        print("only root can mount a small disk")
        return
    with Place(2) as p:
        small = p.root / "disk"
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", small], capture_output=True, text=True)
        if mount.returncode != 0:
            print("no small disk:", mount.stderr.strip())
            return
        try:
            p.write((p.root / "jobs.yaml").read_text().replace("mib: 4", "mib: 4, sleep_ms: 2000")
                    .replace("attempts: 2, backoff: 10ms", "attempts: 9, backoff: 500ms").replace("upload: {", "upload: {hold: true, "))
            (p.root / "disk/work").mkdir()
            run = p.start("run")
            end = time.monotonic() + 60
            while not p.running() and time.monotonic() < end:
                time.sleep(0.05)
            with open(small / "ballast", "wb", buffering=0) as f:
                try:
                    while f.write(bytes(65536)):
                        pass
                except OSError:
                    pass  # to the last block
            while "no room" not in (said := str(p.quern_plain("status").stdout)) and "waits for disk" not in said and \
                    time.monotonic() < end:
                time.sleep(0.1)
            assert "waits for disk" in said, said + str(run.poll()) + (run.stdout.read() if run.poll() is not None else "")
            causes = {c for (c,) in p.sql("SELECT cause FROM attempt WHERE cause <> ''")}
            assert causes == {"disk full"}, causes
            assert run.poll() is None, run.stdout.read()
            (small / "ballast").unlink()
            out, _ = run.communicate(timeout=120)
            assert run.returncode == 0 and "2 converted" in out, out
        finally:
            subprocess.run(["umount", "-l", small], check=False)


run_all(globals())
