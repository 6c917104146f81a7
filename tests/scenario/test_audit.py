"""quern card --audit of repositories on the test Hub: by the Hub's API, and of a git server with LFS."""
import json
import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "hub")]
from hub_files import publish  # noqa: E402
from matrix import Matrix, expect, run_all  # noqa: E402
from testhub import TestHub  # noqa: E402

KJV = Path(os.environ["QUERN_SOURCE"]) / "tests" / "data" / "kjv-llama"
REPO = "my-org/kjv"
JOBS = f"""\
version: 1
work: work
models: [{{path: "{KJV}", name: kjv}}]
targets: [{{engine: gguf, quant: Q8_0}}]
upload: {{hub: "HUB", namespace: my-org, repo: "{{model}}"}}
"""


class Published(Matrix):
    """kjv on a hub, by way of its API ("") or as a git server ("git+")."""

    def __init__(self, way):
        self.hub = TestHub().__enter__()
        super().__init__(JOBS.replace("HUB", way + self.hub.endpoint))
        self.token = {"QUERN_GIT_TOKEN" if way else "HF_TOKEN": self.hub.token}
        self.hub.repo(REPO)
        expect(self.quern("run", **self.token), 0, "1 converted")
        self.sha = json.loads(self.hub.git(REPO, "show", "main:quern.json"))["variants"][0]["files"][0]["sha256"]
        self.object = self.hub.root / "lfs" / self.sha[:2] / self.sha[2:4] / self.sha
        self.data = self.object.read_bytes()

    def __exit__(self, *exc):
        self.hub.__exit__(*exc)
        self.remove()

    def audit(self, code, *words, options=()):
        done = expect(self.quern("card", "--audit", *options, REPO, **self.token), code, *words)
        assert not self.hub.log()["leaks"]
        return done.stdout


def everywhere(check):
    """Over both ways; a check leaves the repository as it found it."""
    def test():
        for m in (API, GIT):
            m.hub.set(ranges=True, faults=[])
            m.hub.forget()
            check(m)
    return test


def sent_by_cdn(m):
    return sum(r["sent"] for r in m.hub.requests("GET", "/lfs/"))


@everywhere
def test_what_was_published_passes(m):
    m.audit(0, "kjv-Q8_0.gguf", "content, inside", "all as quern.json and the card say")
    assert len(m.data) <= sent_by_cdn(m) <= len(m.data) + (8 << 20)  # once in full, and its head
    m.hub.forget()
    m.audit(0, options=["--quick"])
    assert sent_by_cdn(m) <= 8 << 20


@everywhere
def test_a_server_without_ranges_is_read_as_a_whole(m):
    m.hub.set(ranges=False)
    m.audit(0, "content, inside")
    whole = [r for r in m.hub.requests("GET", "/lfs/") if r["sent"] == len(m.data)]
    assert len(whole) == 1, whole
    m.object.write_bytes(m.data[:1000])
    m.audit(1, "kjv-Q8_0.gguf: cannot be read: the server has 1000 bytes of it, and lists")
    m.object.write_bytes(m.data)


@everywhere
def test_a_changed_object_is_found(m):
    changed = bytearray(m.data)
    changed[-5] ^= 1
    m.object.write_bytes(changed)
    m.audit(1, "kjv-Q8_0.gguf: its content has the SHA-256 ", m.sha, "1 fault")
    m.object.write_bytes(m.data[:1000])
    m.audit(1, "kjv-Q8_0.gguf: cannot be read: the server has ", "and lists")
    m.object.write_bytes(m.data + b"more")
    m.audit(1, f"the server has {len(m.data) + 4} bytes of it, and lists {len(m.data)}")
    m.object.unlink()
    m.audit(1, "kjv-Q8_0.gguf: ")
    m.object.write_bytes(m.data)
    m.audit(0)


@everywhere
def test_changed_texts_are_found(m):
    manifest = m.hub.git(REPO, "show", "main:quern.json")
    card = m.hub.git(REPO, "show", "main:README.md")
    publish(m.hub, REPO, {"quern.json": manifest.replace(b'"tensors":38', b'"tensors":39'), "notes.txt": b"by hand"})
    m.audit(1, "tensors: the file has 38, quern.json says 39", "quern.json: is not what the store says",
            "notes.txt: is not in quern.json")
    m.audit(1, "is not what the store says", options=["--ignore", "notes.txt"])
    publish(m.hub, REPO, {"quern.json": manifest, "README.md": card.replace(b"Q8_0", b"Q9_0")})
    m.audit(1, "README.md: its generated part is not what quern.json says", options=["--ignore", "notes.txt"])
    publish(m.hub, REPO, {"README.md": card})
    m.audit(0, options=["--ignore", "notes.txt"])
    publish(m.hub, REPO, {}, gone=["notes.txt"])
    m.audit(0)


@everywhere
def test_a_bad_connection_is_no_fault_of_the_repository(m):
    m.hub.faults(*({"origin": "cdn", "method": "GET", "action": action} for action in
                   ({"do": "status", "status": 503}, {"do": "reset"}, {"do": "truncate", "bytes": 1000})))
    m.audit(0, "content, inside")


def test_an_address_that_runs_out_is_asked_for_again():
    GIT.hub.faults({"origin": "cdn", "method": "GET", "skip": 1, "action": {"do": "status", "status": 403}})
    GIT.audit(0, "content, inside")


def test_nobody_to_ask():
    expect(GIT.quern("card", "--audit", "my-org/none", **GIT.token), 2, "my-org/none: there is no such repository")
    GIT.hub.repo(REPO, private=True)
    expect(GIT.quern("card", "--audit", REPO), 2, REPO)
    expect(GIT.quern("card", "--audit", REPO, QUERN_GIT_TOKEN="wrong"), 4, "token")


with Published("") as API, Published("git+") as GIT:
    run_all(dict(globals()))
