"""The official JavaScript client on the test Hub, unchanged: clients.mjs has the calls."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from testhub import TestHub  # noqa: E402

PEERS = Path(os.environ["QUERN_HUB_PEERS"])


def main():
    scratch = Path(tempfile.mkdtemp(prefix="hub-js-"))
    with TestHub() as hub:
        # Imports are looked for beside the file: it runs where the client is installed.
        script = PEERS / "clients.mjs"
        shutil.copyfile(HERE / "clients.mjs", script)
        subprocess.run(["node", script], check=True, env=hub.environment(scratch))
        log = hub.log()
        assert [r for r in log["requests"] if "/part/" in r["path"]], "large files go in parts"
        assert not log["leaks"], "no token reached the CDN"
    shutil.rmtree(scratch)


main()
