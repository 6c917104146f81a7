"""A disk that is too small for all sources at once: what nobody needs goes, what others need stays, and the night goes on."""
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import BUILD, Matrix, expect, preload, run_all  # noqa: E402
from models import MIB, tiny  # noqa: E402
from model_hub import Hub, Repo, status  # noqa: E402

JOBS = """\
version: 1
name: test
work: work
models: [{models}]
targets:
  - {{engine: noop, quant: none, opt: [0, 1], with: {{sleep_ms: {sleep}}}}}
resources: {{jobs: 2, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}}
retry: {{attempts: 2, backoff: 10ms}}
"""
SIZE = 8  # MiB of a model


class Place(Matrix):
    """So many models of 8 MiB, and a disk of so many bytes for cache and work folder."""

    def __init__(self, n, disk_mib, sleep=0):
        self.names = [f"m{i}" for i in range(n)]
        super().__init__(JOBS.format(models=", ".join(f"{{id: org/{m}}}" for m in self.names), sleep=sleep))
        self.disk_mib = disk_mib
        self.hub = Hub()
        self.hub.repos = {f"org/{m}": Repo(tiny(SIZE, seed=i + 1)) for i, m in enumerate(self.names)}

    def __exit__(self, *exc):
        self.hub.__exit__()
        super().__exit__(*exc)

    def env(self, more):
        return {"HF_ENDPOINT": self.hub.url, "HF_HOME": self.root / "hf",
                **preload("small_disk", SMALL_DISK=self.root, SMALL_DISK_BYTES=int(self.disk_mib * MIB)), **more}

    def quern(self, *args, **env):
        return super().quern(*args, timeout=120, **self.env(env))

    def start(self, *args, **env):
        return super().start(*args, **self.env(env))

    def repo(self, name):
        return self.root / "hf/hub" / f"models--org--{name}"

    def here(self):
        """Models whose snapshot is in the cache."""
        return [m for m in self.names if list(self.repo(m).glob("snapshots/*/model.safetensors"))]

    def weights(self, name):
        """How often bytes of its weights were asked for from the CDN."""
        return len(self.hub.lines(f"^GET /org/{name}/" + r"\w{64}"))

    def check_gone(self, name):
        """Nothing is left that a client would look at."""
        left = [f.relative_to(self.repo(name)) for f in self.repo(name).rglob("*") if not f.is_dir()]
        assert left in ([], [Path(".quern")]), left
        assert not list(self.repo(name).glob("snapshots/*")) and not list(self.repo(name).glob("refs/*"))


def test_sources_go_when_the_next_one_needs_their_place():
    with Place(4, disk_mib=1.6 * SIZE) as p:
        done = expect(p.quern("run"), 0, "8 converted", "3 sources (24.", "taken out of the cache")
        for m in "m0", "m1", "m2":
            assert f"org/{m} at {p.hub.repos[f'org/{m}'].head[:10]} was taken out" in done.stdout, done.stdout
            p.check_gone(m)
        assert p.here() == ["m3"]
        assert all(p.weights(m) == 2 for m in p.names), p.hub.lines()  # the head at plan time, then once in all
        p.hub.forget()
        expect(p.quern("run"), 0, "nothing to do")
        assert p.here() == ["m3"] and not p.weights("m0")


def test_nothing_goes_while_there_is_room():
    with Place(3, disk_mib=5 * SIZE) as p:
        assert "taken out" not in expect(p.quern("run"), 0, "6 converted").stdout
        assert p.here() == p.names


def test_the_one_used_longest_ago_goes_first():
    with Place(4, disk_mib=10 * SIZE) as p:
        expect(p.quern("run", "--only", "m1/*"), 0)
        expect(p.quern("run", "--only", "m0/*"), 0)
        expect(p.quern("run", "--only", "m2/*"), 0)
        p.disk_mib = 4.1 * SIZE
        expect(p.quern("run", "--only", "m3/*"), 0, "1 source (8.", "org/m1 at")
        assert p.here() == ["m0", "m2", "m3"]


def test_what_others_put_into_the_cache_stays():
    """m0 as an official client leaves it; of m1 only the config, which quern finds there and uses."""
    with Place(3, disk_mib=2.6 * SIZE) as p:
        for name, files in ("m0", None), ("m1", ["config.json"]):
            repo = p.hub.repos[f"org/{name}"]
            snapshot = p.repo(name) / "snapshots" / repo.head
            snapshot.mkdir(parents=True)
            (p.repo(name) / "blobs").mkdir()
            for file, data in repo.commits[repo.head].items():
                if files is None or file in files:
                    entry = p.hub.etag(data)
                    (p.repo(name) / "blobs" / entry).write_bytes(data)
                    (snapshot / file).symlink_to(f"../../blobs/{entry}")
            (p.repo(name) / "refs").mkdir()
            (p.repo(name) / "refs/main").write_text(repo.head)
        expect(p.quern("run"), 0, "6 converted", "1 source (8.", "org/m1 at")
        assert p.here() == ["m0", "m2"]
        assert [f.name for f in p.repo("m1").glob("snapshots/*/*")] == ["config.json"]
        assert (p.repo("m1") / "refs/main").read_text() == p.hub.repos["org/m1"].head
        for m in "m0", "m1":
            for link in p.repo(m).glob("snapshots/*/*"):
                assert link.exists(), link
        assert not p.weights("m0") or p.weights("m0") == 1  # for the plan


def test_blobs_of_another_revision_stay():
    with Place(2, disk_mib=10 * SIZE) as p:
        repo = p.hub.repos["org/m0"]
        old = repo.head
        expect(p.quern("run", "--only", "m0/*"), 0)
        repo.commit({**repo.commits[old], "tokenizer.json": b"{}"})
        expect(p.quern("run", "--only", "m0/*"), 0)
        p.disk_mib = 1.6 * SIZE
        # both revisions have the same weights: only with the second of them is there room
        expect(p.quern("run", "--only", "m1/*"), 0, "taken out of the cache", f"org/m0 at {repo.head[:10]}")
        assert p.here() == ["m1"]
        p.disk_mib = 10 * SIZE
        p.hub.forget()
        expect(p.quern("run", "--only", "m0/*"), 0, "nothing to do")


def test_a_source_that_another_run_uses_stays():
    """Two work folders, one cache: what the second would drop, a job of the first reads."""
    with Place(2, disk_mib=1.6 * SIZE, sleep=60000) as p:
        first = p.start("run", "--only", "m0/*")
        while not p.running():
            time.sleep(0.05)
        p.write(JOBS.format(models="{id: org/m1}", sleep=0).replace("work: work", "work: other"))
        expect(p.quern("run"), 4, "m1: not fetched", "8.", "resources.disk_reserve", "2 not done yet")
        assert p.here() == ["m0"]
        first.terminate()
        first.wait()
        expect(p.quern("run"), 0, "2 converted", "1 source (8.")
        assert p.here() == ["m1"]


def test_a_model_that_never_fits_waits_and_the_others_are_done():
    with Place(3, disk_mib=1.6 * SIZE) as p:
        p.hub.repos["org/m1"] = Repo(tiny(3 * SIZE, seed=9))
        expect(p.quern("run"), 4, "4 converted", "m1: not fetched: org/m1 has 24.", "HF_HUB_CACHE", "2 not done yet")
        assert sorted(p.states().values()) == ["pending"] * 2 + ["ready"] * 4
        p.disk_mib = 10 * SIZE
        expect(p.quern("run"), 0, "2 converted")


def test_a_disk_that_fills_in_the_middle():
    """Nothing has a final name, others are converted, no attempt is lost, and the next run does it."""
    with Place(2, disk_mib=40 * SIZE) as p:
        p.hub.repos["org/m0"] = Repo(tiny(47, seed=9))  # ranges of 16, 16 and 15 MiB
        full = preload("full_disk", FULL_DISK_AFTER=9 * MIB)  # of each process
        done = expect(p.quern("run", **full), 4, "2 converted", "m0: not fetched: model.safetensors needs 47", "2 not done yet")
        assert "tried again" not in done.stdout, done.stdout
        assert "org/m1 at" in done.stdout and not p.here()  # the last that could be done for m0
        assert not list(p.repo("m0").glob("blobs/*.quern-part*"))  # no whole range: no use
        assert set(p.sql("SELECT state, attempts FROM job WHERE model = 'm0'")) == {(0, 0)}
        expect(p.quern("run"), 0, "2 converted")


def test_what_came_before_the_disk_was_full_stays():
    with Place(1, disk_mib=40 * SIZE) as p:
        p.hub.repos["org/m0"] = Repo(tiny(5 * SIZE, seed=9))  # three ranges
        journal = lambda: list(p.repo("m0").glob("blobs/*.done"))  # noqa: E731

        def after_the_first(handler):
            end = time.monotonic() + 20
            while not (journal() and b"#" in journal()[0].read_bytes()) and time.monotonic() < end:
                time.sleep(0.02)
        p.hub.rule(r"GET /org/m0/\w{64}", lambda handler: None, times=2)  # the head at plan time, one range
        p.hub.rule(r"GET /org/m0/\w{64}", after_the_first, times=99)
        expect(p.quern("run", **preload("full_disk", FULL_DISK_AFTER=20 * MIB)), 4, "m0: not fetched")
        assert not p.here() and journal()[0].read_bytes().count(b"#") == 1
        p.hub.rules.clear()
        p.hub.forget()
        expect(p.quern("run"), 0, "2 converted")
        assert p.weights("m0") == 2, p.hub.lines()


def test_sources_are_fetched_ahead_of_the_jobs():
    """While the slots work on m0, m1 and m2 are fetched; m3 is not: no job of m1 was started yet."""
    with Place(4, disk_mib=40 * SIZE, sleep=100000) as p:
        end = time.monotonic() + 60

        def after_m0(handler):
            while not p.running() and time.monotonic() < end:
                time.sleep(0.02)
        p.hub.rule(r"GET /org/m1/\w{64}", lambda handler: None)  # the head, for the plan
        p.hub.rule(r"GET /org/m1/\w{64}", after_m0)
        run = p.start("run")
        while p.here() != ["m0", "m1", "m2"] and time.monotonic() < end:
            time.sleep(0.02)
        states = p.states()
        assert {label.split("/")[0] for label, state in states.items() if state == "running"} == {"m0"}, states
        time.sleep(1)  # four looks for work
        assert p.here() == ["m0", "m1", "m2"] and p.weights("m3") == 1, p.here()  # the head, for the plan
        run.terminate()
        run.terminate()
        assert run.wait(60) == 130


def test_a_failing_fetch_fails_only_its_model():
    with Place(3, disk_mib=40 * SIZE, sleep=500) as p:
        expect(p.quern("plan"), 0, "6 new")
        p.hub.rule(r"^GET /org/m1/resolve|^HEAD /org/m1/resolve|^GET /org/m1/\w{64}", status(404, X_Error_Code="EntryNotFound"),
                   times=99)
        expect(p.quern("run"), 1, "4 converted", "m1: cannot fetch it", "2 failed")


def test_the_room_of_a_part_is_not_counted_twice():
    """A fetch that was killed has its place on the disk already: the next run needs no more."""
    with Place(1, disk_mib=6.6 * SIZE) as p:
        p.hub.repos["org/m0"] = Repo(tiny(5 * SIZE, seed=9))
        stop = threading.Event()
        p.hub.rule(r"GET /org/m0/\w{64}", lambda handler: None)  # the head at plan time
        p.hub.rule(r"GET /org/m0/\w{64}", lambda handler: stop.wait(30) and None, times=99)
        run = p.start("run")
        while not list(p.repo("m0").glob("blobs/*.done")):
            time.sleep(0.02)
        os.killpg(run.pid, 9)
        run.wait()
        stop.set()
        p.hub.rules.clear()
        expect(p.quern("run"), 0, "2 converted")


# ---- generated models

SPEC = "llama-tiny:hidden=512,ffn=2048,fill=random,seed="


class Made(Matrix):
    """So many generated models, each with two jobs, and a disk for the work folder that holds so many of them."""

    def __init__(self, n, disk, sleep=0):
        self.names = [f"m{i}" for i in range(n)]
        models = ", ".join(f"{{fake: '{SPEC}{i + 1}', name: {m}}}" for i, m in enumerate(self.names))
        super().__init__(JOBS.format(models=models, sleep=sleep))
        self.size = json.loads(subprocess.run([BUILD / "bin/quern-fake", "describe", SPEC + "1"], capture_output=True,
                                              check=True).stdout)["size_bytes"]
        self.disk = int(disk * self.size) + 2 * MIB

    def quern(self, *args, **env):
        return super().quern(*args, timeout=120, **{**preload("small_disk", SMALL_DISK=self.work, SMALL_DISK_BYTES=self.disk), **env})

    def here(self):
        return sorted(p.name for p in (self.work / "sources").iterdir())


def test_generated_models_go_as_fetched_ones_do():
    with Made(4, disk=1.6) as p:
        done = expect(p.quern("run"), 0, "8 converted")
        assert p.size > 8 * MIB
        for m in "m0", "m1", "m2":
            assert f"{m}, a generated model, was removed" in done.stdout, done.stdout
        assert "m3, a gen" not in done.stdout and len(p.here()) == 1, p.here()
        expect(p.quern("run"), 0, "nothing to do")
        # One that is wanted again is made again.
        p.write((p.root / "jobs.yaml").read_text().replace("opt: [0, 1]", "opt: [0, 1, 2]"))
        expect(p.quern("run", "--only", "m0/*"), 0, "1 converted", ", a generated model, was removed")


def test_generated_models_stay_while_there_is_room():
    with Made(3, disk=5) as p:
        assert "removed" not in expect(p.quern("run"), 0, "6 converted").stdout
        assert len(p.here()) == 3


def test_the_generated_model_used_longest_ago_goes_first_and_no_other():
    with Made(3, disk=10) as p:
        for m in "m1", "m0":
            expect(p.quern("run", "--only", f"{m}/*"), 0, "2 converted")
        own = p.work / "sources/fake-of-mine"  # by its name it could be quern's
        for folder in p.work / "sources/mine", own:
            folder.mkdir()
            (folder / "x").write_bytes(bytes(2 * MIB))
        os.utime(own)
        own.rename(p.work / "sources/own")
        p.disk = int(2.3 * p.size) + 6 * MIB
        done = expect(p.quern("run"), 0, "2 converted", "m1, a generated model, was removed")
        assert "m0, a gen" not in done.stdout and {"mine", "own"} < set(p.here()) and len(p.here()) == 4, p.here()


def test_killed_while_a_generated_model_goes():
    with Made(2, disk=1.6) as p:
        assert p.quern("run", QUERN_CRASH_AT="drop:made_renamed").returncode == 99
        assert [n for n in p.here() if n.startswith(".making-fake-")], p.here()
        expect(p.quern("run"), 0, "converted")
        assert set(p.states().values()) <= {"ready", "done"} and len(p.here()) == 1, (p.states(), p.here())


def test_a_generated_model_that_has_no_room_waits_for_the_next_run():
    with Made(1, disk=0.5) as p:
        expect(p.quern("run"), 4, "m0: not made: it takes", "2 not done yet")
        assert not (p.work / "sources").exists() or not p.here()
        p.disk *= 4
        expect(p.quern("run"), 0, "2 converted")


run_all(globals())
