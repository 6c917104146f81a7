"""resources.keep: none over the Hub's API: a file leaves the disk when the hub's own listing has it and it was measured, and what
official clients download afterwards is what was made."""
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(Path(__file__).resolve().parent), str(TESTS / "lib")]
from llm_server import LlmServer  # noqa: E402
from matrix import JOBS, Matrix, expect, run_all  # noqa: E402
from testhub import TestHub  # noqa: E402

HUB = TestHub()
HUB.__enter__()
SCRATCH = Path(tempfile.mkdtemp(prefix="hub-keep-"))
os.environ.update(HUB.environment(SCRATCH, PATH=os.environ["PATH"]))

from huggingface_hub import snapshot_download  # noqa: E402


def matrix(repo, more=""):
    upload = f"hub: '{HUB.endpoint}', namespace: my-org, repo: {repo}"
    text = JOBS.replace('hub: local, namespace: ns, repo: "{model}"', upload).replace("opt: [0, 1, 2]", "opt: [0, 1, 2]\n    with: "
                                                                                      "{mode: fat, mib: 4}")
    return Matrix(text.replace("grace: 1s", "grace: 1s, keep: none") + more)


def artifacts(m):
    return sorted(p for p in (m.work / "artifacts").rglob("*.noop"))


def digests(m):
    return sorted(sha.hex() for sha, in m.sql("SELECT sha256 FROM artifact"))


def downloaded(repo):
    folder = Path(snapshot_download(f"my-org/{repo}", local_dir=SCRATCH / repo))
    return sorted(hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.noop"))


def test_what_the_hub_has_leaves():
    with matrix("kept") as m:
        expect(m.quern("run", HF_TOKEN=HUB.token), 0, "3 converted", "3 of 3 points done")
        assert not artifacts(m) and m.sql("SELECT count(*) FROM artifact WHERE dropped_ms > 0") == [(3,)]
        assert downloaded("kept") == digests(m) and len(digests(m)) == 3
        HUB.forget()
        expect(m.quern("run", HF_TOKEN=HUB.token), 0, "nothing to do")
        # A variant more: those that have left stay in the card, and nothing of them is sent again.
        m.write((m.root / "jobs.yaml").read_text().replace("[0, 1, 2]", "[0, 1, 2, 3]"))
        HUB.forget()
        expect(m.quern("run", HF_TOKEN=HUB.token), 0, "1 converted")
        assert not artifacts(m) and downloaded("kept") == digests(m) and len(digests(m)) == 4
        assert len(HUB.requests("PUT")) <= 1, HUB.requests("PUT")
        card = (SCRATCH / "kept/README.md").read_text()
        assert all(f"opt-{opt}" in card for opt in range(4)), card


def test_what_the_hub_does_not_confirm_stays():
    """The hub refuses the commit: nothing leaves, and the next run sends it."""
    with matrix("refused") as m:
        HUB.faults({"method": "POST", "path": "*/commit/*", "times": 99, "action": {"do": "status", "status": 403}})
        done = m.quern("run", HF_TOKEN=HUB.token)
        assert "not published" in done.stdout and len(artifacts(m)) == 3, done.stdout
        assert m.sql("SELECT count(*) FROM artifact WHERE dropped_ms > 0") == [(0,)]
        HUB.faults()
        expect(m.quern("run", HF_TOKEN=HUB.token), 0)
        assert not artifacts(m) and downloaded("refused") == digests(m)


def test_a_file_is_measured_before_it_leaves():
    with LlmServer("timings") as s, matrix("measured", f"measure:\n  - endpoint: \"{s.url}\"\n    alone: true\n    runs: 1\n") as m:
        expect(m.quern("run", "--no-measure", HF_TOKEN=HUB.token), 0, "3 of 3 points done")
        assert len(artifacts(m)) == 3 and downloaded("measured") == digests(m)
        expect(m.quern("run", HF_TOKEN=HUB.token), 0, "3 measured")
        assert not artifacts(m)
        downloaded("measured")
        assert "Tokens/s" in (SCRATCH / "measured/README.md").read_text()


try:
    run_all(dict(globals()))
finally:
    HUB.__exit__(*sys.exc_info())
    shutil.rmtree(SCRATCH, ignore_errors=True)
