"""docker/rkllm.Dockerfile with a wheel of the stand-in: built without a daemon, then used by quern on this machine, by a real
podman: the self-test and a matrix. CACHE keeps the base image's root.

    test_rkllm_image.py CACHE
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(os.environ["QUERN_SOURCE"])
for folder in "lib", "package", "standin":
    sys.path.insert(0, str(SOURCE / "tests" / folder))
import make_wheel  # noqa: E402
import rkllm_matrix as rk  # noqa: E402
from debian import bare_debian, inside, run, skip, unpack  # noqa: E402
from matrix import environment  # noqa: E402
from podman import Podman  # noqa: E402

PYTHON = "3.11"  # Debian's own
BASE, IMAGE = f"docker.io/library/python:{PYTHON}-slim-bookworm", "localhost/quern-rkllm:1.2.3"

JOBS = f"""\
version: 1
work: work
models: [{{path: m, name: m}}]
targets:
  - {{engine: rkllm, platform: rk3588, quant: [w8a8, w8a8_g128], hybrid: [0.0, 0.5], opt: 1, with: {{dataset: calibration.json}}}}
engines: {{rkllm: {{environments: [{{container: {IMAGE}, runtime: podman}}]}}}}
resources: {{jobs: 2, memory: 16GiB, disk_reserve: 1MiB}}
retry: {{attempts: 1}}
upload: {{hub: local, namespace: ns}}
"""


def base_root(cache, folder):
    archive = cache / "python.tar"
    if not archive.exists():
        root = unpack(bare_debian(cache), folder / "base")
        inside(root, "apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv")
        run("tar", "-C", root, "-cf", f"{archive}.new", ".")
        os.rename(f"{archive}.new", archive)
        shutil.rmtree(root)
    return archive


class Place:
    def __init__(self, podman):
        self.podman, self.folder = podman, podman.folder

    def buildah(self, *words, check=True):
        done = subprocess.run(["buildah", *map(str, words)], capture_output=True, text=True,
                              env={**os.environ, **self.podman.settings})
        assert not check or done.returncode == 0, f"buildah {words}: {done.stdout}{done.stderr}"
        return done

    def build(self, wheels, *args, check=True):
        return self.buildah("bud", "--isolation=chroot", "--pull-never", "--layers", "--file", SOURCE / "docker/rkllm.Dockerfile",
                            "--build-arg", f"PYTHON={PYTHON}", *args, "--tag", IMAGE, wheels, check=check)

    def quern(self, *words):
        return rk.run(self.folder / "jobs", *words, **self.podman.settings, HOME="/root")


def main():
    cache = Path(sys.argv[1])
    if os.geteuid() != 0:
        skip("building images needs root")
    for program in "buildah", "debootstrap":
        if not shutil.which(program):
            skip(f"{program} is not installed")
    with Podman() as podman:
        place = Place(podman)
        podman.podman("import", base_root(cache, podman.folder), BASE)
        wheels = podman.folder / "wheels"
        wheels.mkdir()
        done = place.build(wheels, check=False)
        assert done.returncode != 0 and "no rkllm_toolkit-1.2.3-cp311" in done.stdout + done.stderr, done
        make_wheel.make("1.2.3", wheels)
        done = place.build(wheels, "--build-arg", "TOOLKIT=9.9.9", check=False)
        assert done.returncode != 0 and "no pins are known for toolkit 9.9.9" in done.stdout + done.stderr, done
        # The pins are gigabytes that the stand-in does not need.
        place.build(wheels, "--build-arg", "PINS=")
        config = json.loads(place.buildah("inspect", "--type", "image", IMAGE).stdout)["OCIv1"]["config"]
        assert config["User"] == "10001:10001" and config["Labels"]["io.quern.toolkit"] == "1.2.3", config
        print("ok    built from a folder with a wheel; without one it says which", flush=True)

        podman.need_containers(IMAGE)
        jobs = podman.folder / "jobs"
        jobs.mkdir()
        rk.make_model(jobs / "m")
        (jobs / "calibration.json").write_text('[{"input": "a", "target": "b"}]')
        (jobs / "jobs.yaml").write_text(JOBS)
        said = place.quern("doctor", "--engine", "rkllm", "--deep").stdout
        assert f"{IMAGE}: rkllm_toolkit 1.2.3, Python 3.11" in said, said
        assert "a tiny model went through" in said, said
        print("ok    the self-test is done inside")

        done = place.quern("run")
        assert done.returncode == 0 and "4 converted" in done.stdout, done.stdout
        files = sorted(p for p in jobs.glob("work/artifacts/*/*.rkllm"))
        assert len({hashlib.sha256(p.read_bytes()).digest() for p in files}) == 4, files
        assert podman.containers() == []
        print("ok    a matrix is done inside, and no container is left")


main()
