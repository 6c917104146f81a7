"""The local hub as people meet it: the real git and git-lfs clone it and get the same bytes."""
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import run_all  # noqa: E402

MAKER = Path(os.environ["QUERN_BUILD"]) / "test-tools" / "local-hub-maker"


class Place:
    """A folder with an empty HOME, no system configuration of git, and a work folder."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="quern local hub ")  # blanks in the URL
        self.root = Path(self.folder.name)
        self.work = self.root / "work"
        (self.root / "home").mkdir()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.root / "home"),
                    "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LANG": "C.UTF-8"}
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def run(self, *command, cwd=None, env=None):
        done = subprocess.run([str(c) for c in command], cwd=cwd or self.root, text=True,
                              env=self.env | (env or {}), capture_output=True)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def publish(self, version="1", **env):
        self.url, self.commit, commits = self.run(MAKER, self.work, version, env=env).split()
        return int(commits)

    def clone(self, name):
        """The commands that quern prints."""
        clone = self.root / name
        self.run("git", "clone", "-q", self.url, clone)
        self.run("git", "lfs", "install", "--local", cwd=clone)
        self.run("git", "lfs", "pull", cwd=clone)
        return clone

    def artifacts(self):
        return {hashlib.sha256(p.read_bytes()).hexdigest(): p
                for p in (self.work / "artifacts").rglob("*") if p.is_file()}


def files_of(manifest):
    return {f["path"]: f for v in manifest["variants"] for f in v["files"]}


def check_clone(place, clone):
    manifest = json.loads((clone / "quern.json").read_text())
    files = files_of(manifest)
    artifacts = place.artifacts()
    assert len(files) == 4
    for path, entry in files.items():
        data = (clone / path).read_bytes()
        assert len(data) == entry["size"]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert artifacts[entry["sha256"]].read_bytes() == data
    assert place.run("git", "status", "--porcelain", cwd=clone) == ""
    place.run("git", "fsck", "--strict", cwd=clone)
    place.run("git", "lfs", "fsck", cwd=clone)
    return manifest


def test_a_clone_has_the_same_bytes():
    with Place() as place:
        assert place.publish() == 1
        check_clone(place, place.clone("clone"))
        lfs = place.run("git", "lfs", "ls-files", "--name-only", cwd=place.root / "clone")
        assert sorted(lfs.splitlines()) == ["kjv-Q8_0.gguf", "kjv-w8a8/model.safetensors",
                                            'kjv-w8a8/odd *[name]? "x".txt']


def test_a_clone_with_lfs_set_up_needs_no_pull():
    with Place() as place:
        place.publish()
        place.run("git", "lfs", "install")
        place.run("git", "clone", "-q", place.url, "clone")
        check_clone(place, place.root / "clone")


def test_publishing_again_makes_no_commit_and_a_change_makes_one():
    with Place() as place:
        assert place.publish() == 1
        first = place.commit
        assert place.publish() == 0
        assert place.commit == first
        clone = place.clone("clone")
        assert place.publish("2") == 1
        place.run("git", "pull", "-q", cwd=clone)
        manifest = check_clone(place, clone)
        replaced = [v["replaces"] for v in manifest["variants"] if v["quant"] == "Q8_0"]
        assert len(replaced[0]) == 1
        assert place.run("git", "rev-list", "--count", "HEAD", cwd=clone).strip() == "2"


def test_artifacts_are_linked_not_copied():
    with Place() as place:
        place.publish()
        model = next((place.work / "artifacts").rglob("*.gguf"))
        assert model.stat().st_nlink == 2


def test_kill_at_any_time_leaves_something_that_goes_on():
    """kill -9 at twenty instants of an upload: what is there can be cloned, and the next one ends it."""
    for step in range(20):
        with Place() as place:
            upload = subprocess.Popen([MAKER, place.work], env=place.env, stdout=subprocess.DEVNULL)
            try:
                upload.wait(timeout=0.01 * (step + 1))
            except subprocess.TimeoutExpired:
                upload.kill()
                upload.wait()
            for repo in (place.work / "hub").glob("*/*.git"):
                place.run("git", "clone", "-q", repo, "after", env={"GIT_LFS_SKIP_SMUDGE": "1"})
            place.publish()
            clone = place.clone("clone")
            check_clone(place, clone)
            assert place.run("git", "rev-list", "--count", "HEAD", cwd=clone).strip() == "1"


def test_front_matter_is_yaml_that_says_what_the_rows_say():
    with Place() as place:
        place.publish()
        text = (place.clone("clone") / "README.md").read_text()
        front = yaml.safe_load(text.split("---\n")[1])
        assert front == {"base_model": "org/kjv", "base_model_relation": "quantized",
                         "language": ["en", "no"], "license": 'no: "licence"\n',
                         "library_name": "gguf", "pipeline_tag": "text-generation",
                         "tags": ["gguf", "llama", "quern"]}


def test_what_a_person_pushes_survives():
    with Place() as place:
        place.publish()
        clone = place.clone("clone")
        readme = clone / "README.md"
        text = readme.read_text()
        readme.write_text(text.replace("# quern:end\n", "# quern:end\nlicense: mit\nmine: [1, 2]\n")
                          .replace("# kjv\n", "# kjv\n\nWords of a person.\n") + "\nThe end.\n")
        (clone / "notes.txt").write_text("kept\n")
        place.run("git", "add", "-A", cwd=clone)
        place.run("git", "-c", "user.name=P", "-c", "user.email=p@localhost", "commit", "-qm", "mine",
                  cwd=clone)
        place.run("git", "push", "-q", "origin", "main", cwd=clone)
        assert place.publish("2") == 1
        place.run("git", "pull", "-q", cwd=clone)
        check_clone(place, clone)
        text = readme.read_text()
        front = yaml.safe_load(text.split("---\n")[1])
        assert front["license"] == "mit" and front["mine"] == [1, 2]
        assert "Words of a person.\n" in text and text.endswith("\nThe end.\n")
        assert (clone / "notes.txt").read_text() == "kept\n"


def test_the_author_is_quern_or_who_the_environment_says():
    with Place() as place:
        place.publish()
        clone = place.clone("clone")
        who = ("git", "log", "-1", "--format=%an <%ae>")
        assert place.run(*who, cwd=clone) == "quern <quern@localhost>\n"
        place.publish("2", GIT_AUTHOR_NAME="Night", GIT_AUTHOR_EMAIL="night@example.org")
        place.run("git", "pull", "-q", cwd=clone)
        assert place.run(*who, cwd=clone) == "Night <night@example.org>\n"


run_all(globals())
