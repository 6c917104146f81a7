"""A night of RKLLM to the local hub: two models in all that is legal, an adapter and GGUF sources, through two toolkits, a
third of it sabotaged; true cards and right causes (tests/lib/rkllm_matrix.py)."""
import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
import rkllm_matrix as rk  # noqa: E402
from matrix import expect, run_all  # noqa: E402


def git(repo, *args):
    return subprocess.run(["git", "-C", str(repo), *args], check=True, capture_output=True, text=True).stdout


def test_a_night_with_sabotage():
    with tempfile.TemporaryDirectory(prefix="quern-rkllm-") as temp:
        root = Path(temp).resolve()

        def quern(*args):
            return rk.run(root, *args, timeout=1500)

        def sql(query):
            db = sqlite3.connect(root / "work/state.db")
            try:
                return db.execute(query).fetchall()
            finally:
                db.close()

        rk.prepare(root, "local")
        done = quern("run")
        assert done.returncode == 1, done.stdout
        rk.check_jobs(sql("SELECT label, state, cause, tries, engine_version FROM v_matrix"))
        repos = {f.name[:-4]: f for f in (root / "work/hub/my-org").glob("*.git")}
        assert set(repos) == set(rk.good_files())
        for name, repo in repos.items():
            paths = git(repo, "ls-tree", "-r", "--name-only", "HEAD").splitlines()
            rk.check_repo(name, paths, git(repo, "show", "HEAD:README.md"),
                          json.loads(git(repo, "show", "HEAD:quern.json")))
            expect(quern("card", "--audit", f"my-org/{name}"), 0)
        report = quern("report").stdout
        for cause in ("out of memory", "disk full", "illegal parameters", "unsupported architecture", "bad output"):
            assert cause in report, report
        # What went wrong is mended: only that is done.
        for model in rk.MODELS:
            (root / model / "standin.json").write_text("[]")
        expect(quern("run"), 1, "0 converted")
        expect(quern("retry", "1"), 0)
        expect(quern("run"), 1, "1 converted")  # the others are still failed
        assert sql("SELECT count(*) FROM v_matrix WHERE state <> 'done'") == [(rk.count(rk.sabotage) - 1,)]


if __name__ == "__main__":
    run_all(dict(globals()))
