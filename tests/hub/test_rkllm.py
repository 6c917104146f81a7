"""A night of RKLLM to the test Hub: what the official client finds there is what was made, and the cards say no more."""
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(Path(__file__).resolve().parent), str(TESTS / "lib")]
import rkllm_matrix as rk  # noqa: E402
from matrix import run_all  # noqa: E402
from testhub import TestHub  # noqa: E402

rk.OPTS = [0]  # the whole matrix goes to the local hub, in tests/scenario
HUB = TestHub()
HUB.__enter__()
SCRATCH = Path(tempfile.mkdtemp(prefix="hub-rkllm-"))
os.environ.update(HUB.environment(SCRATCH, PATH=os.environ["PATH"]))

from huggingface_hub import HfApi, snapshot_download  # noqa: E402


def test_a_night_on_a_hub():
    root = SCRATCH / "matrix"
    root.mkdir()
    rk.prepare(root, HUB.endpoint)
    done = rk.run(root, "run", timeout=800, HF_TOKEN=HUB.token, HF_HOME=SCRATCH / "none")
    assert done.returncode == 1, done.stdout
    db = sqlite3.connect(root / "work/state.db")
    rk.check_jobs(db.execute("SELECT label, state, cause, tries, engine_version FROM v_matrix").fetchall())
    db.close()
    names = {r.id.split("/")[1] for r in HfApi().list_models(author="my-org")}
    assert names == set(rk.good_files()), names
    for name in names:
        folder = Path(snapshot_download(f"my-org/{name}", local_dir=SCRATCH / name))
        paths = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and ".cache" not in p.parts]
        rk.check_repo(name, paths, (folder / "README.md").read_text(), json.loads((folder / "quern.json").read_text()))
    assert not HUB.log()["leaks"]


def test_companions_over_several_nights():
    root = SCRATCH / "nights"
    root.mkdir()

    def listing():
        folder = Path(snapshot_download("my-org/all", local_dir=SCRATCH / "all"))
        files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and ".cache" not in p.parts}
        return {name: files[name] for name in HfApi().list_repo_files("my-org/all")}

    rk.check_nights(root, HUB.endpoint, listing, HF_TOKEN=HUB.token, HF_HOME=SCRATCH / "none")


try:
    run_all(dict(globals()))
finally:
    HUB.__exit__(*sys.exc_info())
    shutil.rmtree(SCRATCH, ignore_errors=True)
