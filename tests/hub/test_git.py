"""git and git-lfs on the test Hub: clone, push, pull, and what the Hub refuses."""
import base64
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from testhub import TestHub  # noqa: E402

SCRATCH = Path(tempfile.mkdtemp(prefix="hub-git-"))
HUB = TestHub()
LARGE = os.urandom(3 << 20)


def git(*args, cwd=None, token=None, ok=True):
    """The token goes in as git's own helpers would give it: as the password of Basic auth."""
    env = HUB.environment(SCRATCH, GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@localhost",
                          GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@localhost")
    auth = base64.b64encode(f"me:{token or HUB.token}".encode()).decode()
    extra = [] if token == "" else ["-c", f"http.{HUB.endpoint}/.extraHeader=Authorization: Basic {auth}"]
    done = subprocess.run(["git", *extra, *map(str, args)], cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (done.returncode == 0) == ok, done.stdout
    return done.stdout


def clone(name, repo="my-org/one", **more):
    git("clone", "-q", f"{HUB.endpoint}/{repo}", SCRATCH / name, **more)
    git("lfs", "install", "--local", cwd=SCRATCH / name)
    return SCRATCH / name


def commit(tree, message="change"):
    git("add", "-A", cwd=tree)
    git("commit", "-q", "-m", message, cwd=tree)


def test_push_and_clone_give_the_same_bytes():
    HUB.repo("my-org/one")
    tree = clone("a")
    (tree / "w.safetensors").write_bytes(LARGE)
    (tree / "note.txt").write_text("plain\n")
    commit(tree)
    git("push", "-q", "origin", "main", cwd=tree)
    other = clone("b")
    git("lfs", "pull", cwd=other)
    assert (other / "w.safetensors").read_bytes() == LARGE and (other / "note.txt").read_text() == "plain\n"
    assert not HUB.log()["leaks"]


def test_pull_sees_what_the_api_committed():
    tree = SCRATCH / "b"
    (SCRATCH / "a" / "second.bin").write_bytes(LARGE[::-1])
    commit(SCRATCH / "a")
    git("push", "-q", "origin", "main", cwd=SCRATCH / "a")
    git("pull", "-q", cwd=tree)
    assert (tree / "second.bin").read_bytes() == LARGE[::-1]


def test_a_large_plain_file_is_refused():
    tree = clone("c")
    (tree / "large.gguf").write_bytes(bytes(11 << 20))  # no pattern for *.gguf
    commit(tree)
    assert "larger than 10 MiB" in git("push", "origin", "main", cwd=tree, ok=False)


def test_a_pointer_without_its_object_is_refused():
    tree = clone("d")
    (tree / "ghost.txt").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'1' * 64}\nsize 5\n")
    commit(tree)
    assert "was not uploaded" in git("push", "--no-verify", "origin", "main", cwd=tree, ok=False)


def test_bad_front_matter_is_refused():
    tree = clone("e")
    (tree / "README.md").write_text("---\nlicense: [mit\n---\n")
    commit(tree)
    assert "metadata verification" in git("push", "origin", "main", cwd=tree, ok=False)


def test_private_and_read_only():
    HUB.repo("my-org/secret", private=True)
    clone("f", "my-org/secret")
    git("clone", "-q", f"{HUB.endpoint}/my-org/secret", SCRATCH / "g", token="", ok=False)
    tree = clone("h", token=HUB.reader)
    (tree / "x.txt").write_text("x")
    commit(tree)
    assert "403" in git("push", "origin", "main", cwd=tree, token=HUB.reader, ok=False)


def main():
    with HUB:
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test()
                print(f"ok {name}", flush=True)
    shutil.rmtree(SCRATCH)


main()
