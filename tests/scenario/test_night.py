"""The night: 200 points over real, generated and fetched models, with 2 GiB of memory and a disk of 3 GiB, a quarter of them sabotaged,
and quern killed in the middle. In the morning every healthy point is published, every cause is right, and each command that the
report names brings its points on once what it advises was done. tests/lib/bad_night.py has the matrix.
"""
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bad_night  # noqa: E402
from bad_night import DONE, Plan, Sources  # noqa: E402
from matrix import BUILD, QUERN, Matrix, environment, expect, run_all  # noqa: E402
from model_hub import Hub  # noqa: E402

DISK_BYTES = 3 << 30
KILLS = 4
SEED = int(os.environ.get("QUERN_NIGHT_SEED", "1"))


class Night(Matrix):
    """Work folder and cache of models on a disk of 3 GiB; the local hub lies elsewhere."""

    def __init__(self):
        super().__init__("")
        self.disk = self.root / "disk"
        self.disk.mkdir()
        self.mounted = self.mount()
        self.plan = Plan("disk full" if self.mounted else "folder too large")
        self.hub = Hub()
        self.sources = Sources(self.root, self.hub)
        (self.disk / "work").mkdir()
        (self.root / "hub").mkdir()
        (self.disk / "work/hub").symlink_to(self.root / "hub")
        self.write(self.plan.yaml(slow=False))

    def mount(self):
        """A real small disk, where one may be mounted."""
        tmpfs = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.disk]
        done = subprocess.run(tmpfs, capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
        if done is None or done.returncode != 0:
            print("SKIP: the end of the disk; ", done.stderr.strip() if done else "only root can mount one")
            return False
        return True

    def __exit__(self, *exc):
        self.hub.__exit__()
        if self.mounted:
            subprocess.run(["umount", "-l", self.disk], check=False)
        super().__exit__(*exc)

    @property
    def work(self):
        return self.disk / "work"

    def env(self, **more):
        env = {"HF_ENDPOINT": self.hub.url, "HF_HOME": self.disk / "hf", "QUERN_ENGINES": f"{self.root}/engines:{BUILD}/test-engines"}
        return {**env, **more}

    def quern(self, *args, **env):
        return super().quern(*args, timeout=400, **self.env(**env))

    def start(self, *args, **env):
        return super().start(*args, **self.env(**env))

    def type(self, command, **env):
        """What a person does with a line of the report."""
        env = environment(**self.env(**env))
        env["PATH"] = f"{Path(QUERN).parent}:{env['PATH']}"
        return subprocess.run(["sh", "-c", command], cwd=self.root, env=env, timeout=400, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)

    def points(self):
        """{point: (state, cause, message)} of the jobs that the last run has."""
        rows = self.sql("SELECT model, engine, quant, opt, hybrid, state, cause, message FROM v_matrix"
                        " WHERE run_id = (SELECT max(id) FROM run)")
        return {tuple(r[:5]): r[5:] for r in rows}

    def report(self):
        return json.loads(expect(self.quern("report", "--json"), 0).stdout)


def kill_some(n):
    """Four lives, each ended by SIGKILL at an instant of its own."""
    rng = random.Random(SEED)
    for _ in range(KILLS):
        p = n.start("run")
        time.sleep(rng.uniform(0.5, 3.5))
        p.kill()
        out, _ = p.communicate()
        assert p.returncode == -9, f"it ended before it was killed: {p.returncode}\n{out}"
        assert n.sql("PRAGMA integrity_check") == [("ok",)]


def check_causes(n):
    got = n.points()
    refused = {(f["label"].split("/")[0], f["cause"]): f["count"] for f in n.report()["not_begun"]}
    wrong = []
    for point, end in n.plan.ends.items():
        if point not in got:
            assert refused.pop((point[0], end), 0) == 1, f"{point} was not begun, which the report does not know: {refused}"
            continue
        state, cause, message = got[point]
        if (state, cause) != ((DONE, "") if end == DONE else ("failed", end)):
            wrong.append(f"{point} is {state}: {cause}: {message}; expected {end}")
    assert not wrong, "\n".join(wrong)
    assert not refused, refused
    assert len(got) + len(bad_night.NOT_BEGUN) == len(n.plan.ends) == 200
    # Each was finished once, whoever was killed meanwhile.
    assert not n.sql("SELECT label, count(*) FROM v_events WHERE event IN ('valid', 'found') GROUP BY job_id HAVING count(*) > 1")


def git(repo, *args):
    return subprocess.run(["git", "-C", str(repo), *args], check=True, capture_output=True).stdout


def content(repo, path, known):
    """(size, sha256) of what a clone with LFS gets: objects are read, once each."""
    data = git(repo, "show", f"HEAD:{path}")
    pointer = re.fullmatch(rb"version https://git-lfs.github.com/spec/v1\noid sha256:(\w{64})\nsize (\d+)\n", data)
    if not pointer:
        return len(data), hashlib.sha256(data).hexdigest()
    sha, size = pointer[1].decode(), int(pointer[2])
    stored = repo / "lfs/objects" / sha[:2] / sha[2:4] / sha
    if sha not in known:
        known[sha] = hashlib.sha256(stored.read_bytes()).hexdigest()
    assert known[sha] == sha and stored.stat().st_size == size, stored
    return size, sha


def published(n):
    """{repo/path: (size, sha256)} of all artifacts; each was committed once."""
    files, known = {}, {}
    for repo in sorted((n.root / "hub/ns").glob("*.git")):
        changes = git(repo, "log", "--format=", "--name-only", "HEAD").decode().splitlines()
        for path in git(repo, "ls-tree", "-r", "--name-only", "HEAD").decode().splitlines():
            if re.search(r"\.(gguf|noop|hostile)$", path):
                assert changes.count(path) == 1, f"{repo.name}: {path} was committed {changes.count(path)} times"
                files[f"ns/{repo.name[:-4]}/{path}"] = content(repo, path, known)
    return files


def check_hub(n):
    """The hub has each point that is done, under its name and with the bytes that were sealed, and nothing else."""
    rows = n.sql("SELECT repo.name || '/' || job.file, artifact.name, size_bytes, lower(hex(sha256)) FROM job"
                 " JOIN artifact ON artifact.job_id = job.id JOIN repo ON repo.id = job.repo_id WHERE job.state = 5")
    want = {path + Path(name).suffix: (size, sha) for path, name, size, sha in rows}
    have = published(n)
    assert have == want, (sorted(set(have) ^ set(want)), len(have), len(want))
    return have


def check_report_is_for_people(n):
    text = expect(n.quern("report"), 0, f"{len(n.plan.healthy)} of 200 done").stdout
    assert "\x1b" not in text and "\u202e" not in text, text
    r = n.report()
    for group in r["causes"]:
        assert f"  {group['command']}\n" in text and (not group["then"] or f"  {group['then']}\n" in text), group
        assert group["advice"] or group["cause"] == "failed", group
    for group in r["not_begun"]:
        assert group["advice"] and f"  {group['command']}\n" in text, group
    return r


def follow_the_report(n, r):
    """Group after group: do what it advises, type what it says, and its points are published."""
    for group in sorted(r["causes"], key=lambda g: g["cause"] not in ("timeout", "stall")):  # then nothing else is short of time
        cause, n_before = group["cause"], sum(s == "failed" for s, _, _ in n.points().values())
        env = n.sources.mend(cause)
        if group["then"]:
            expect(n.type(group["command"]), 0)
        done = n.type(group["then"] or group["command"], **env)
        assert done.returncode in (0, 1), done.stdout
        failed = [v for v in n.points().values() if v[0] == "failed"]
        assert not [v for v in failed if v[1] == cause], f"{cause}: {failed}\n{done.stdout}"
        assert len(failed) == n_before - group["count"], f"{cause}: {failed}\n{done.stdout}"
    for group in r["not_begun"]:
        env = n.sources.mend(group["cause"])
        done = n.type(group["command"], **env)
        left = {f["label"] for f in n.report()["not_begun"]}
        assert group["label"] not in left, f"{group}\n{done.stdout}"


def memory_gib():
    return int(re.search(r"MemAvailable: *(\d+)", Path("/proc/meminfo").read_text())[1]) >> 20


def test_a_night_on_a_machine_that_is_too_small():
    if memory_gib() < 8:  # the disk is of it, and two workers that take more than they may
        print(f"SKIP: {memory_gib()} GiB of memory are free, 8 are wanted")
        sys.exit(77)
    with Night() as n:
        began = time.monotonic()
        kill_some(n)
        n.write(n.plan.yaml(slow=True))
        expect(n.quern("run"), 1, "8 not legal or not possible")
        night = time.monotonic() - began
        check_causes(n)
        files = check_hub(n)
        assert len(files) == len(n.plan.healthy) == 154, len(files)
        assert sum(size for size, _ in files.values()) > DISK_BYTES, "more than the disk holds"
        assert not list((n.work / "artifacts").iterdir()), "all that is published has left the disk"
        r = check_report_is_for_people(n)
        follow_the_report(n, r)
        expect(n.quern("run", HF_TOKEN=bad_night.TOKEN), 0, "nothing to do: all 200 points are done already")
        assert len(check_hub(n)) == 200
        print(f"{night:.0f} s, {len(r['causes']) + len(r['not_begun'])} commands, {time.monotonic() - began:.0f} s in all; seed {SEED}")


run_all(globals())
