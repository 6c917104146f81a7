"""The real uploader against hubs that fail, lie, and change under its hands."""
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import JOBS, Matrix, expect, run_all  # noqa: E402
from scripthub import HTML, TOKEN, ScriptHub  # noqa: E402
from uploads import REPO, SMALL, Uploads  # noqa: E402

STEPS = ["revision", "tree", "validate", "create", "preupload", "batch", "put", "part", "complete", "verify",
         "commit", "resolve"]
GIT_STEPS = ["refs", "upload-pack", "receive-pack", "batch", "put", "verify"]
MIXED = ["Q8/Q8.gguf=300000:1", "Q4/Q4.gguf=50000:2", "w8/config.json=50:3", "w8/model.safetensors=1000:4"]


def in_parallel(function, cases):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(function, *case) for case in cases]:
            future.result()


def each_once(hub, uploads):
    """No body of a content was sent twice."""
    sent = hub.sent()
    assert sent == uploads.oids(), (sent, uploads.oids())


def token_stays_home(hub):
    for request in hub.log:
        if request["origin"] == "cdn":
            assert request["authorization"] is None, request
        else:
            assert TOKEN in (request["authorization"] or ""), request


def test_a_repository_is_made_once():
    with ScriptHub(chunk=65536) as hub, Uploads(hub) as uploads:
        event = uploads.good()
        assert (event["commits"], event["files_sent"]) == (1, 4), event  # two have one content
        assert hub.count("part") == 5 and hub.count("put") == 2 and hub.count("commit") == 1
        each_once(hub, uploads)
        token_stays_home(hub)
        commit = hub.repos[REPO].commits[0]
        assert commit["summary"] == "Publish 5 files", commit
        hub.forget()
        assert uploads.good()["commits"] == 0
        assert len(hub.log) <= 4, [r["path"] for r in hub.log]


def test_known_content_is_not_sent():
    with ScriptHub() as hub, Uploads(hub) as uploads:
        data = uploads.expected["Q8.gguf"]
        oid = hashlib.sha256(data).hexdigest()
        hub.objects[oid] = data
        uploads.good()
        assert oid not in hub.sent(), hub.sent()


def one_kind_of_failure(how, steps):
    with ScriptHub(chunk=65536) as hub, Uploads(hub, MIXED) as uploads:
        for step in steps:
            hub.fault(step, **how)
        uploads.good()
        assert len(hub.repos[REPO].commits) == 1
        token_stays_home(hub)
        hub.forget()
        assert uploads.good()["commits"] == 0


def test_every_step_may_fail_once():
    wait = {"Retry-After": "1"}
    limit = {"RateLimit": '"api";r=0;t=0'}
    in_parallel(one_kind_of_failure, [
        ({"status": 500}, STEPS), ({"status": 502, "landed": True}, STEPS), ({"status": 503, "headers": wait}, STEPS),
        ({"status": 504}, STEPS), ({"reset": True}, STEPS), ({"truncate": True}, STEPS),
        ({"status": 429, "headers": limit}, STEPS), ({"status": 429, "headers": wait}, STEPS),
        ({"status": 429}, ["batch"]), ({"status": 429}, ["commit"])])


def one_html(step):
    with ScriptHub(chunk=65536) as hub, Uploads(hub, MIXED) as uploads:
        hub.fault(step, html=True)
        code, event = uploads.upload()
        if code:
            assert "no JSON" in event["message"] or "cannot be used" in event["message"], event
            assert len(event["message"]) < 600 and HTML.decode() not in event["message"]
        uploads.good()
        assert len(hub.repos[REPO].commits) == 1


def test_a_page_in_place_of_an_answer():
    """Whatever answers there is no hub: the upload stops or goes on, and the next one ends well."""
    in_parallel(one_html, [(s,) for s in ["revision", "tree", "preupload", "batch", "commit", "create"]])


def test_a_commit_that_landed_is_not_repeated():
    for how in ({"status": 504}, {"reset": True}):
        with ScriptHub() as hub, Uploads(hub) as uploads:
            hub.fault("commit", landed=True, **how)
            uploads.good()
            assert len(hub.repos[REPO].commits) == 1


def test_another_writer_moves_the_branch():
    with ScriptHub() as hub, Uploads(hub) as uploads:
        def other():
            hub.repos[REPO].files["notes.txt"] = ("plain", b"by hand")
            hub.repos[REPO].head = "f" * 40
        hub.fault("commit", then=other)
        uploads.good()
        assert hub.files(REPO)["notes.txt"] == b"by hand"
        assert hub.count("commit") == 2
        each_once(hub, uploads)


def test_a_branch_that_always_moves_ends_it():
    with ScriptHub() as hub, Uploads(hub) as uploads:
        hub.fault("commit", times=100, status=412)
        event = uploads.bad()
        assert event["verdict"] == "later" and hub.count("commit") == 5, event
        assert uploads.states() == {3}
        hub.forget()
        uploads.good()
        assert not hub.sent()


def test_a_part_address_runs_out():
    """Those that are stored stay: the server goes on with the same upload."""
    with ScriptHub(chunk=50000) as hub, Uploads(hub, ["Q8/Q8.gguf=1000000:1"]) as uploads:
        hub.fault("part", nth=9, status=403)
        uploads.good()
        assert hub.count("part") == 21 and hub.count("batch") == 2, (hub.count("part"), hub.count("batch"))


def test_an_upload_that_the_server_forgot_begins_anew():
    with ScriptHub(chunk=50000) as hub, Uploads(hub, ["Q8/Q8.gguf=500000:1"]) as uploads:
        def forget():
            hub.uploads.clear()
            hub.parts.clear()
        hub.fault("complete", status=404, then=forget)
        uploads.good()
        assert hub.count("part") == 20, hub.count("part")


def test_a_basic_address_runs_out():
    with ScriptHub() as hub, Uploads(hub) as uploads:
        hub.fault("put", status=403)
        uploads.good()
        assert hub.count("batch") == 2


def test_the_token_is_revoked_in_the_middle():
    with ScriptHub() as hub, Uploads(hub) as uploads:
        hub.fault("batch", then=hub.tokens.clear)
        event = uploads.bad("token")
        assert event["verdict"] == "stop" and TOKEN not in json.dumps(event), event
        assert not uploads.leaks()
        hub.tokens.add(TOKEN)
        hub.forget()
        uploads.good()


def test_refusals_are_told_in_the_hubs_words():
    for step, status, words in (("create", 403, "scripted"), ("batch", 413, "413"), ("commit", 400, "scripted"),
                                ("put", 400, "400")):
        with ScriptHub() as hub, Uploads(hub, ["Q4/Q4.gguf=5000:2"]) as uploads:
            hub.fault(step, times=1000, status=status)
            event = uploads.bad(words)
            assert event["verdict"] == "stop", event
            assert uploads.states() == {3}


def test_a_hub_that_lies():
    with ScriptHub() as hub, Uploads(hub, ["Q4/Q4.gguf=5000:2"]) as uploads:
        oid = next(iter(uploads.oids()))
        lies = [("batch", {"objects": [{"oid": oid, "size": 4999}]}), ("batch", {"objects": []}),
                ("batch", {"objects": [{"oid": oid, "actions": {"upload": {"href": "file:///etc/passwd"}}}]}),
                ("batch", {"objects": [{"oid": oid, "actions": {"upload": {
                    "href": "/x", "header": {"chunk_size": "1", "1": "/y"}}}}]}),
                ("revision", {"sha": "../../../x"}), ("revision", []), ("preupload", {"files": []}),
                ("commit", {"commitOid": 7})]
        for step, body in lies:
            hub.forget()
            hub.fault(step, times=100, status=200, body=body)
            code, event = uploads.upload()
            assert code == 1, (step, body, event)
        hub.forget()
        uploads.good()


def test_stored_but_not_there():
    """A batch that calls everything stored, and a commit that finds nothing."""
    with ScriptHub() as hub, Uploads(hub, ["Q4/Q4.gguf=5000:2"]) as uploads:
        oid = next(iter(uploads.oids()))
        hub.fault("batch", times=100, status=200, body={"objects": [{"oid": oid, "size": 5000}]})
        uploads.bad("does not exist")
        assert uploads.states() == {3}


def test_a_listing_that_does_not_end():
    with ScriptHub() as hub, Uploads(hub, ["Q4/Q4.gguf=5000:2"]) as uploads:
        uploads.good()
        hub.fault("tree", times=100, status=200, body=[], headers={"Link": f'<{hub.url}/x>; rel="next"'})
        assert uploads.upload()[0] == 1


def test_a_refused_card_costs_nothing():
    with ScriptHub() as hub, Uploads(hub) as uploads:
        hub.card_errors = ["\"license\" must be one of [mit]"]
        uploads.bad("README.md", "must be one of")
        assert not hub.repos and not hub.count("create", "batch", "put")


def test_the_hubs_gitignore():
    with ScriptHub() as hub, Uploads(hub) as uploads:
        hub.ignored = {"Q4.gguf"}
        code, event = uploads.upload()
        assert code == 0 and uploads.states() == {3, 5}, event
        assert "Q4.gguf" not in hub.files(REPO) and b"Q4" not in hub.files(REPO)["README.md"]


def test_the_hub_wants_a_plain_file_as_lfs():
    with ScriptHub() as hub, Uploads(hub) as uploads:
        hub.modes = {"w8/config.json": "lfs"}
        uploads.good()
        assert hub.repos[REPO].files["w8/config.json"][0] == "lfs"
        assert b"w8/config.json filter=lfs" in hub.files(REPO)[".gitattributes"]
        assert len(hub.repos[REPO].commits) == 1
        hub.forget()
        assert uploads.good()["commits"] == 0


def test_changed_artifacts_are_not_published():
    for git in (False, True):
        with ScriptHub(chunk=65536) as hub, Uploads(hub, git=git) as uploads:
            if git:
                hub.make_git(REPO)
            for name, size in (("Q8.gguf", 300000), ("Q4.gguf", 50000)):
                path = next((uploads.work / "artifacts").glob(f"*/{name}"))
                path.chmod(0o644)
                path.write_bytes(b"x" * size)
            code, event = uploads.upload()
            assert code == 0, event
            there = uploads.published()
            assert "Q8.gguf" not in there and "Q4.gguf" not in there
            assert uploads.states() == {0, 5}  # to be converted again
            assert all(len(d) != 300000 for d in hub.objects.values())


def test_thousands_of_files():
    names = [f"w8/part-{i:04d}.json={i + 1}:{i}" for i in range(1500)]
    with ScriptHub(page=400) as hub, Uploads(hub, [*names, *SMALL[:2]]) as uploads:
        event = uploads.good()
        assert event["commits"] == 2, event
        assert [c["summary"] for c in hub.repos[REPO].commits] == ["Publish 1502 files (part 1)",
                                                                   "Publish 1502 files (part 2)"]
        hub.forget()
        assert uploads.good()["commits"] == 0
        assert not hub.sent() and len(hub.log) <= 8, len(hub.log)


def test_a_private_repository():
    text = JOBS.replace("hub: local", "hub: 'HUB', private: true")
    with ScriptHub() as hub, Matrix(text.replace("HUB", hub.url)) as m:
        expect(m.quern("run", HF_TOKEN=TOKEN), 0, f"{hub.url}/ns/m")
        assert hub.repos["ns/m"].private
        assert {"m-none-opt-0", "m-none-opt-2"} <= {p.split(".")[0] for p in hub.files("ns/m")}


def test_one_repository_does_not_stop_the_others():
    text = JOBS.replace("hub: local", "hub: 'HUB'").replace('repo: "{model}"', 'repo: "{model}-{opt}"')
    with ScriptHub() as hub, Matrix(text.replace("HUB", hub.url)) as m:
        hub.fault("create", status=403)
        done = expect(m.quern("run", HF_TOKEN=TOKEN), 1, "not published", "scripted")
        assert len(hub.repos) == 2, done.stdout
        expect(m.quern("upload", HF_TOKEN=TOKEN), 0, "1 repository up to date")
        assert len(hub.repos) == 3


def test_no_token_no_work():
    for hub, name in (("https://huggingface.co", "hf auth login"), ("git+https://git.example", "QUERN_GIT_TOKEN")):
        with Matrix(JOBS.replace("hub: local", f"hub: '{hub}'")) as m:
            expect(m.quern("run"), 4, name)
            expect(m.quern("plan"), 4, name, "3 points")
            expect(m.quern("run", "--no-upload"), 0, "3 converted")


def test_hold_waits_for_upload():
    text = JOBS.replace("hub: local", "hub: 'HUB', hold: true")
    with ScriptHub() as hub, Matrix(text.replace("HUB", hub.url)) as m:
        expect(m.quern("run"), 0, "3 converted but not published")
        assert not hub.log
        expect(m.quern("upload", HF_TOKEN=TOKEN), 0, "3 files sent")


def test_secrets_do_not_belong_into_the_file():
    for key in ("token", "hf_token", "password"):
        with Matrix(JOBS.replace("hub: local", f"hub: local, {key}: hf_hidden")) as m:
            done = expect(m.quern("plan"), 2, "jobs.yaml:12:22:", "secrets do not belong", "HF_TOKEN")
            assert "hf_hidden" not in done.stdout


def scan_processes(seen, root):
    """Command lines and environments of all processes that quern started below root."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
            if not Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(root):
                continue
            seen["argv"].append(b" ".join(command))
            if b"upload-repo" in command:
                seen["limits"].append(Path("/proc", pid, "limits").read_text())
            elif b"run" not in command[1:]:
                seen["environ"].append(Path("/proc", pid, "environ").read_bytes())
        except OSError:
            continue


def test_the_token_stays_in_the_uploader():
    seen = {"argv": [], "environ": [], "limits": []}
    with ScriptHub() as hub, Matrix(JOBS.replace("hub: local", f"hub: '{hub.url}', when: job")) as m:
        text = (m.root / "jobs.yaml").read_text().replace("opt: [0, 1, 2]", "opt: [0, 1, 2]\n    with: {sleep_ms: 300}")
        m.write(text)
        for step in ("revision", "create", "commit"):
            hub.fault(step, times=9, then=lambda: scan_processes(seen, m.root))
        hub.fault("batch", times=9, then=lambda: scan_processes(seen, m.root))
        first = m.quern("run", HF_TOKEN=TOKEN)
        expect(first, 0)
        texts = [first.stdout]
        for p in m.work.rglob("*"):
            if p.is_file():
                texts.append(p.read_bytes().decode("latin-1"))
        assert seen["argv"] and seen["limits"] and seen["environ"], {k: len(v) for k, v in seen.items()}
        assert not any(TOKEN in t for t in texts)
        assert not any(TOKEN.encode() in c for c in seen["argv"])
        assert not any(TOKEN.encode() in c for c in seen["environ"])
        core = [line.split()[4:6] for text in seen["limits"] for line in text.splitlines() if "Max core" in line]
        assert core and all(limits == ["0", "0"] for limits in core), core


# ---- a git server

def test_git_upload():
    with ScriptHub() as hub, Uploads(hub, git=True) as uploads:
        uploads.bad("does not exist", "make it on the server")
        hub.make_git(REPO)
        hub.forget()
        event = uploads.good()
        assert event["commits"] == 1 and hub.count("receive-pack") == 1, event
        each_once(hub, uploads)
        hub.forget()
        assert uploads.good()["commits"] == 0
        assert not hub.sent() and not hub.count("receive-pack") and len(hub.log) <= 4, [r["path"] for r in hub.log]
        assert hub.git(REPO, "rev-list", "--count", "main") == b"1\n"
        hub.git(REPO, "fsck", "--strict")


def test_a_refused_push_is_told_in_one_line():
    with ScriptHub() as hub, Uploads(hub, git=True) as uploads:
        words = ("Your push was rejected because it is Sunday.", "Offending files:")
        hub.make_git(REPO, hook="".join(f"echo '{w}'\n" for w in words) + "exit 1\n")
        event = uploads.bad(" ".join(words))
        assert "\n" not in event["message"] and event["verdict"] == "stop", event


def git_writer(hub):
    """Another writer's commit, made in the repository itself."""
    env = {"PATH": os.environ["PATH"], "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x", "GIT_COMMITTER_NAME": "x",
           "GIT_COMMITTER_EMAIL": "x@x", "GIT_DIR": str(hub.git_dir(REPO)), "GIT_INDEX_FILE": str(hub.root / "index")}

    def git(*args, data=None):
        done = subprocess.run(["git", *args], check=True, env=env, input=data, capture_output=True)
        return done.stdout.decode().strip()
    blob = git("hash-object", "-w", "--stdin", data=b"by hand")
    git("update-index", "--add", "--cacheinfo", f"100644,{blob},notes.txt")
    git("update-ref", "refs/heads/main", git("commit-tree", git("write-tree"), "-m", "by hand"))


def test_git_another_writer():
    with ScriptHub() as hub, Uploads(hub, git=True) as uploads:
        hub.make_git(REPO)
        hub.fault("receive-pack", then=lambda: git_writer(hub))
        uploads.good()
        assert hub.git_files(REPO)["notes.txt"] == b"by hand"
        each_once(hub, uploads)


def one_git_failure(how):
    with ScriptHub() as hub, Uploads(hub, git=True) as uploads:
        hub.make_git(REPO)
        for step in GIT_STEPS:
            hub.fault(step, **how)
        uploads.good()
        assert hub.git(REPO, "rev-list", "--count", "main") == b"1\n"


def test_every_step_of_git_may_fail_once():
    in_parallel(one_git_failure, [({"status": 500},), ({"status": 503, "headers": {"Retry-After": "1"}},),
                                  ({"reset": True},), ({"status": 504, "landed": True},)])


def test_git_without_the_right_token():
    with ScriptHub() as hub, Uploads(hub, git=True) as uploads:
        hub.make_git(REPO)
        event = uploads.bad("QUERN_GIT_TOKEN", QUERN_GIT_TOKEN="wrongtoken")
        assert "wrongtoken" not in json.dumps(event) and event["verdict"] == "stop"


run_all(dict(globals()))
