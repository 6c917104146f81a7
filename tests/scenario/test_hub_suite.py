"""The conformance suite of hubs (tests/unit/hub_suite.c) over the Hub's API and over git with LFS, on the test Hub."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "hub")]
from matrix import environment, run_all  # noqa: E402
from testhub import TestHub  # noqa: E402

SUITE = Path(os.environ["QUERN_BUILD"]) / "test-tools" / "hub-suite"
REPOS = ("list", "have", "many", "same", "race", "gone", "dangling", "wrong", "names", "range")


def run_suite(prefix, token, make):
    with TestHub() as hub, tempfile.TemporaryDirectory(prefix="quern-suite-") as home:
        hub.post("state", {"users": {"suite": {"orgs": []}}, "tokens": {hub.token: {"user": "suite", "role": "write"}}})
        for name in REPOS if make else ():
            hub.repo(f"suite/{name}")
        done = subprocess.run([SUITE], env=environment(QUERN_TEST_HUB=prefix + hub.endpoint, HF_HOME=home,
                                                       **{token: hub.token}),
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        assert done.returncode == 0, done.stdout
        assert "11 test(s) run" in done.stdout and not hub.log()["leaks"], done.stdout


def test_the_hubs_api():
    run_suite("", "HF_TOKEN", make=False)


def test_git_with_lfs():
    run_suite("git+", "QUERN_GIT_TOKEN", make=True)


run_all(dict(globals()))
