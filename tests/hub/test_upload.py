"""What quern uploads, official clients download: the same bytes, by the Python client and by git with git-lfs."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(Path(__file__).resolve().parent), str(TESTS / "lib")]
from matrix import BUILD, JOBS, QUERN, Matrix, environment, expect, run_all  # noqa: E402
from testhub import TestHub  # noqa: E402

HUB = TestHub()
HUB.__enter__()
SCRATCH = Path(tempfile.mkdtemp(prefix="hub-upload-"))
os.environ.update(HUB.environment(SCRATCH, PATH=os.environ["PATH"]))

from huggingface_hub import HfApi, snapshot_download  # noqa: E402

REPO = "my-org/kjv"
ARTIFACTS = ["Q8/Q8.gguf=40000000:1", "Q4/Q4.gguf=3000000:2", "w8/config.json=50:3", "w8/model.safetensors=1000:4",
             *(f"w8/notes-{i:03d}.txt={i * 7}:{i}" for i in range(300))]


def make_work(name):
    words = SCRATCH / f"{name}.words"
    words.write_text("".join(f"{a}\n" for a in ARTIFACTS))
    work = SCRATCH / name
    subprocess.run([BUILD / "test-tools" / "artifact-maker", work, f"@{words}"], check=True, env=environment())
    return work


def publish(work, hub, repo, **env):
    env = environment(HF_HOME=str(SCRATCH / "none"), **env)
    done = subprocess.run([QUERN, "upload-repo", "--work", work, "--hub", hub, "--repo", repo, "--run", "1"],
                          env=env, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def digests(folder):
    files = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    return {str(name): hashlib.sha256(p.read_bytes()).hexdigest()
            for name, p in files.items() if not {".git", ".cache"} & set(name.parts)}


def clone(repo, name):
    env = HUB.environment(SCRATCH)
    url = f"{HUB.endpoint.replace('://', '://me:' + HUB.token + '@')}/{repo}"
    for command in (["git", "clone", "-q", url, name], ["git", "-C", name, "lfs", "install", "--local"],
                    ["git", "-C", name, "lfs", "pull"], ["git", "-C", name, "lfs", "fsck"]):
        subprocess.run(command, check=True, cwd=SCRATCH, env=env, capture_output=True)
    return SCRATCH / name


def check(repo, work, name):
    """Both clients have the same files, and those that quern sealed are among them."""
    by_python = digests(Path(snapshot_download(repo, local_dir=SCRATCH / f"{name}-python")))
    by_git = digests(clone(repo, f"{name}-git"))
    assert by_python == by_git, set(by_python.items()) ^ set(by_git.items())
    sealed = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (work / "artifacts").rglob("*")
              if p.is_file() and p.name != ".quern.json"}
    assert sealed <= set(by_python.values()) and len(by_python) == len(ARTIFACTS) + 3
    assert not HUB.log()["leaks"]


def bodies():
    return [r for r in HUB.requests("PUT") if r["path"].startswith("/")]


def test_the_hubs_api():
    work = make_work("http")
    assert publish(work, HUB.endpoint, REPO, HF_TOKEN=HUB.token)["commits"] == 1
    assert bodies(), "nothing was sent"
    check(REPO, work, "http")
    HUB.forget()
    assert publish(work, HUB.endpoint, REPO, HF_TOKEN=HUB.token)["commits"] == 0
    assert not bodies() and len(HUB.log()["requests"]) <= 5


def test_a_pull_request():
    HUB.forget()
    HUB.repo("my-org/proposed")
    text = JOBS.replace("hub: local, namespace: ns, repo: \"{model}\"",
                        f"hub: '{HUB.endpoint}', namespace: my-org, repo: proposed, pull_request: true")
    with Matrix(text) as m:
        expect(m.quern("run", HF_TOKEN=HUB.token), 0, "3 converted")
    files = HfApi().list_repo_files("my-org/proposed", revision="refs/pr/1")
    assert {"README.md", "quern.json"} <= set(files) and len(files) == 6, files
    assert HfApi().list_repo_files("my-org/proposed") == [".gitattributes"]


def test_git_with_lfs():
    HfApi().delete_repo(REPO)
    HUB.repo(REPO)
    work = make_work("git")
    HUB.forget()
    assert publish(work, f"git+{HUB.endpoint}", REPO, QUERN_GIT_TOKEN=HUB.token)["commits"] == 1
    check(REPO, work, "git")
    HUB.forget()
    assert publish(work, f"git+{HUB.endpoint}", REPO, QUERN_GIT_TOKEN=HUB.token)["commits"] == 0
    assert not bodies()


try:
    run_all(dict(globals()))
finally:
    HUB.__exit__(*sys.exc_info())
    shutil.rmtree(SCRATCH, ignore_errors=True)
