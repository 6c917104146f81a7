#!/usr/bin/env python3
"""test_image.py SOURCE CACHE BUILT -- docker/Dockerfile, built without a daemon, and both containers that compose.yaml has.

The base image is made by debootstrap, so no registry is asked. The package that is built on the way has to have the bytes of
build.py's: another folder, another machine's worth of programs, no cache of a compiler. Then the guided start and the
shipped matrix, with the root file system read-only and no rights: by podman, or where that can start no containers, by buildah.
Needs root and buildah.
"""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from debian import bare_debian, copy_source, epoch, packed, run, sha256, skip
from dialog import INIT, talk

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "container"))
from podman import Podman  # noqa: E402

BASE, IMAGE = "docker.io/library/debian:bookworm-slim", "localhost/quern"
TOKEN = "hf_nobodyshallseethis"


def services(source):
    """What compose.yaml promises of both containers."""
    found = yaml.safe_load((source / "docker/compose.yaml").read_text())
    assert found["secrets"]["hf_token"]["file"], found
    for name, service in found["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"] and service["secrets"] == ["hf_token"], name
        assert [v.rsplit(":", 1)[1] for v in service["volumes"]] == ["/work", "/hub"], name
        assert "args" not in service["build"] and list(service["environment"]) == ["HF_TOKEN_PATH"], name
    assert set(found["services"]) == {"guided", "nightly"}
    assert found["services"]["guided"]["tty"] and found["services"]["guided"]["stdin_open"]
    assert found["services"]["nightly"]["entrypoint"] == ["quern-nightly"]
    assert "TOKEN" not in (source / "docker/Dockerfile").read_text()
    return found["services"]


def options_of(service):
    return ["--read-only", *(w for t in service["tmpfs"] for w in ("--tmpfs", t)),
            *(w for c in service["cap_drop"] for w in ("--cap-drop", c)),
            *(w for s in service["security_opt"] for w in ("--security-opt", s)),
            *(w for item in service["environment"].items() for w in ("--env", "=".join(item)))]


class Images:
    """buildah and podman over one storage."""

    def __init__(self, podman, source):
        self.podman, self.folder, self.services = podman, podman.folder, services(source)
        (self.folder / "hf_token").write_text(TOKEN)

    def buildah(self, *words):
        return run("buildah", *words, env={**os.environ, **self.podman.settings})

    def build(self, source, tag, *more):
        # --layers: what a first build made, the second takes
        self.buildah("bud", "--isolation=chroot", "--pull-never", "--layers", "--quiet", "--file", source / "docker/Dockerfile",
                     "--build-arg", f"SOURCE_DATE_EPOCH={epoch(source)}", *more, "--tag", tag, source)

    def take(self, image, path):
        """One file of an image."""
        made = self.buildah("from", "--pull-never", image).strip()
        mounted = Path(self.buildah("mount", made).strip())
        found = shutil.copy(mounted / path.lstrip("/"), self.folder)
        self.buildah("umount", made)
        self.buildah("rm", made)
        return Path(found)

    def config(self, image):
        return json.loads(self.buildah("inspect", "--type", "image", image))["OCIv1"]["config"]

    def command(self, work, *words, service="nightly", options=()):
        return ["podman", "run", "--rm", "--network", "none", *options, *options_of(self.services[service]),
                "--volume", f"{work}:/work", "--volume", f"{self.folder}/hub:/hub",
                "--volume", f"{self.folder}/hf_token:/run/secrets/hf_token:ro", IMAGE, *words]

    def run(self, work, *words, options=()):
        return run(*self.command(work, *words, options=options), env={**os.environ, **self.podman.settings})


def belongs_to_quern(folder):
    run("chown", "-R", "10001:10001", folder)
    return folder


def main():
    source, cache = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    if os.geteuid() != 0:
        skip("building images needs root")
    if not shutil.which("buildah"):
        skip("buildah is not installed")
    with Podman() as podman:
        images = Images(podman, source)
        belongs_to_quern(images.folder / "hf_token")
        podman.podman("import", bare_debian(cache), BASE)
        images.build(source, IMAGE)
        config = images.config(IMAGE)
        assert config["User"] == "quern" and set(config["Volumes"]) == {"/work", "/hub"}, config
        assert not any("TOKEN" in name for name in config["Env"]), config
        print("ok    the image is built, of an ordinary user")
        # Second: buildah mounts a stage into another one only where it has just made it, not from its cache.
        images.build(source, "localhost/quern-build", "--target", "build")
        again = images.take("localhost/quern-build", "/quern.deb")
        assert sha256(again) == sha256(packed(sys.argv[3])), "the package has other bytes when it is built in a container"
        print("ok    the package has the same bytes, built here and there", flush=True)

        podman.need_containers(IMAGE, "--entrypoint", "sh", "-c", "echo yes")
        (podman.folder / "hub").mkdir()
        belongs_to_quern(podman.folder / "hub")
        work = podman.folder / "work"
        work.mkdir()
        shutil.copytree(source / "tests/data/kjv-llama", work / "kjv-llama")
        belongs_to_quern(work)
        told = images.run(work, "-c", "id -un; quern doctor; ! touch /x; ! command -v cc; cat $HF_TOKEN_PATH",
                          options=("--entrypoint", "sh"))
        assert told.endswith(TOKEN), told
        assert told.startswith("quern\n"), told
        print("ok    doctor, as its health check runs it, with nothing to write but its volumes")

        told = talk(images.command(work, *images.services["guided"]["command"], service="guided",
                                   options=("--interactive", "--tty")), INIT,
                    env={**os.environ, **podman.settings})
        assert "2 converted" in told, told
        told = images.run(work, "run") + images.run(work, "status")
        assert "nothing to do" in told and "2 done" in told, told
        [card] = work.glob(".quern/hub/me/*.git")
        shown = subprocess.run(["git", "-c", "safe.directory=*", "-C", card, "show", "HEAD:README.md"], capture_output=True,
                               text=True, check=True).stdout
        assert "| `kjv-llama-Q4_K_M.gguf` | `Q4_K_M` | 0.0" in shown, shown
        print("ok    the guided run: questions, files, card")

        nightly = podman.folder / "nightly"
        nightly.mkdir()
        copy_source(source, podman.folder / "tree")
        for part in "jobs.yaml", "tests/data/kjv-llama":
            (nightly / part).parent.mkdir(parents=True, exist_ok=True)
            (podman.folder / "tree" / part).rename(nightly / part)
        belongs_to_quern(nightly)
        images.run(nightly, "run")
        again = images.run(nightly, "run")
        assert "nothing to do" in again, again
        owners = {path.stat().st_uid for path in nightly.rglob("*")}
        assert owners == {10001}, owners
        for folder in work, nightly:
            run("sh", "-c", f"! grep -rqa {TOKEN} {folder}")
        print("ok    the shipped matrix is done, once, and its files belong to the user of the image")
    # The image and its containers are gone: what is left of them is what the volumes hold.


if __name__ == "__main__":
    main()
