"""The official Python client on the test Hub, unchanged: upload, download, refs, errors."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from testhub import TestHub  # noqa: E402

SCRATCH = Path(tempfile.mkdtemp(prefix="hub-python-"))
HUB = TestHub()
HUB.__enter__()
os.environ.update(HUB.environment(SCRATCH, PATH=os.environ["PATH"]))

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download, snapshot_download  # noqa: E402
from huggingface_hub import errors  # noqa: E402

API = HfApi()
BIG = os.urandom(1 << 20) * 3
HUGE = os.urandom(1 << 20) * 40  # above multipart_above


def folder(name, files):
    root = SCRATCH / name
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def expect_error(kind, call):
    try:
        call()
    except kind as e:
        return e
    raise AssertionError(f"no {kind.__name__}")


def test_who():
    me = API.whoami()
    assert me["name"] == "me" and [o["name"] for o in me["orgs"]] == ["my-org"]


def test_create_twice_and_exist_ok():
    url = API.create_repo("my-org/one")
    assert url.repo_id == "my-org/one"
    expect_error(errors.HfHubHTTPError, lambda: API.create_repo("my-org/one"))
    API.create_repo("my-org/one", exist_ok=True)
    assert API.repo_exists("my-org/one") and not API.repo_exists("my-org/nothing")


def test_upload_folder_and_again_without_change():
    src = folder("up", {"README.md": b"---\nlicense: mit\ntags:\n- x\n---\n# hi\n", "a/b.txt": b"text", "w.safetensors": BIG,
                        "huge.gguf": HUGE, "empty.txt": b""})
    done = API.upload_folder(repo_id="my-org/one", folder_path=src)
    assert len(HUB.requests("PUT", "/part/")) == 5, "40 MiB in parts of 8"
    files = {s.rfilename: s for s in API.model_info("my-org/one", files_metadata=True).siblings}
    assert set(files) == {".gitattributes", "README.md", "a/b.txt", "w.safetensors", "huge.gguf", "empty.txt"}
    assert files["huge.gguf"].size == len(HUGE) and files["huge.gguf"].lfs and not files["a/b.txt"].lfs
    HUB.forget()
    again = API.upload_folder(repo_id="my-org/one", folder_path=src)
    assert again.oid == done.oid, "no new commit"
    assert not HUB.requests("PUT") and not HUB.requests("POST", "/commit/")
    assert API.model_info("my-org/one").card_data.license == "mit"


def test_snapshot_download_gives_the_same_bytes():
    path = Path(snapshot_download("my-org/one"))
    assert (path / "w.safetensors").read_bytes() == BIG and (path / "huge.gguf").read_bytes() == HUGE
    assert (path / "a/b.txt").read_bytes() == b"text" and (path / "empty.txt").read_bytes() == b""
    assert not HUB.log()["leaks"], "no token reached the CDN"


def test_create_commit_add_delete_and_conflict():
    first = API.list_repo_commits("my-org/one")[0].commit_id
    done = API.create_commit("my-org/one", [CommitOperationAdd("c.txt", b"c"), CommitOperationDelete("a/b.txt")],
                             commit_message="change", commit_description="more words", parent_commit=first)
    assert API.file_exists("my-org/one", "c.txt") and not API.file_exists("my-org/one", "a/b.txt")
    assert [c.commit_id for c in API.list_repo_commits("my-org/one")][:2] == [done.oid, first]
    e = expect_error(errors.HfHubHTTPError, lambda: API.create_commit("my-org/one", [CommitOperationAdd("d.txt", b"d")], commit_message="late",
                                                                      parent_commit=first))
    assert e.response.status_code == 412, e


def test_a_card_with_bad_front_matter_is_refused():
    e = expect_error((ValueError, errors.HfHubHTTPError), lambda: API.upload_file(
        path_or_fileobj=b"---\nlicense: [mit\n---\n", path_in_repo="README.md", repo_id="my-org/one"))
    assert "metadata" in str(e) or "YAML" in str(e) or "yaml" in str(e), e


def test_tree_pages_and_paths():
    HUB.set(page=2)
    names = sorted(API.list_repo_files("my-org/one"))
    HUB.set(page=None)
    assert names == [".gitattributes", "README.md", "c.txt", "empty.txt", "huge.gguf", "w.safetensors"], names
    info = API.get_paths_info("my-org/one", ["huge.gguf", "absent"])
    assert [(i.path, i.size, i.lfs.size) for i in info] == [("huge.gguf", len(HUGE), len(HUGE))]


def test_branches_tags_and_pull_requests():
    API.create_branch("my-org/one", branch="dev")
    API.create_tag("my-org/one", tag="v1")
    refs = API.list_repo_refs("my-org/one")
    assert {b.name for b in refs.branches} == {"main", "dev"} and [t.name for t in refs.tags] == ["v1"]
    API.upload_file(path_or_fileobj=b"on dev", path_in_repo="dev.txt", repo_id="my-org/one", revision="dev")
    assert not API.file_exists("my-org/one", "dev.txt") and API.file_exists("my-org/one", "dev.txt", revision="dev")
    pr = API.upload_file(path_or_fileobj=b"proposed", path_in_repo="pr.txt", repo_id="my-org/one", create_pr=True)
    assert pr.pr_url and API.file_exists("my-org/one", "pr.txt", revision="refs/pr/1")
    API.delete_branch("my-org/one", branch="dev")
    API.delete_tag("my-org/one", tag="v1")


def test_errors_have_their_classes():
    HUB.repo("other/gated", gated="auto")
    HUB.repo("other/private", private=True)
    HUB.repo("other/off", disabled=True)
    expect_error(errors.RepositoryNotFoundError, lambda: API.model_info("my-org/nothing"))
    expect_error(errors.RepositoryNotFoundError, lambda: API.model_info("my-org/nothing", token=False))
    expect_error(errors.RepositoryNotFoundError, lambda: API.model_info("other/private"))
    expect_error(errors.RevisionNotFoundError, lambda: API.model_info("my-org/one", revision="nope"))
    expect_error(errors.EntryNotFoundError, lambda: hf_hub_download("my-org/one", "nope.txt"))
    assert API.model_info("other/gated").gated == "auto"
    expect_error(errors.GatedRepoError, lambda: hf_hub_download("other/gated", ".gitattributes"))
    expect_error(errors.GatedRepoError, lambda: hf_hub_download("other/gated", ".gitattributes", token=False))
    expect_error(errors.DisabledRepoError, lambda: API.model_info("other/off"))
    e = expect_error(errors.HfHubHTTPError, lambda: HfApi(token="hf_" + "X" * 34).whoami())
    assert e.response.status_code == 401
    e = expect_error(errors.HfHubHTTPError, lambda: HfApi(token=HUB.reader).upload_file(
        path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="my-org/one"))
    assert e.response.status_code == 403


def test_a_renamed_repository_is_found():
    API.create_repo("my-org/old")
    API.move_repo("my-org/old", "my-org/new")
    assert API.model_info("my-org/old").id == "my-org/new"
    assert Path(hf_hub_download("my-org/old", ".gitattributes")).exists()


def test_rate_limits_are_waited_for():
    HUB.set(limits={"api": {"requests": 2, "seconds": 1}})
    assert API.repo_exists("my-org/one") and API.repo_exists("my-org/one")
    API.upload_file(path_or_fileobj=b"slowly", path_in_repo="slow.txt", repo_id="my-org/one")
    HUB.set(limits={})
    assert [r for r in HUB.log()["requests"] if r["status"] == 429]


def test_a_broken_download_goes_on():
    HUB.faults({"origin": "cdn", "method": "GET", "action": {"do": "truncate", "bytes": 1 << 20}})
    path = hf_hub_download("my-org/one", "huge.gguf", force_download=True)
    assert Path(path).read_bytes() == HUGE


def test_the_command_line():
    hf = Path(sys.executable).with_name("hf")
    src = folder("cli", {"x.txt": b"by hf"})
    subprocess.run([hf, "upload", "my-org/cli", src, ".", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    out = SCRATCH / "down"
    subprocess.run([hf, "download", "my-org/cli", "--local-dir", out, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    assert (out / "x.txt").read_bytes() == b"by hf"


def test_delete():
    API.delete_repo("my-org/cli")
    assert not API.repo_exists("my-org/cli")


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print(f"ok {name}", flush=True)
    HUB.__exit__(None)
    shutil.rmtree(SCRATCH)


main()
