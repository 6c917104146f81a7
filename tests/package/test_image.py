#!/usr/bin/env python3
"""test_image.py SOURCE CACHE -- docker/Dockerfile, built without a daemon, and the shipped matrix inside.

The base image is made by debootstrap, so no registry is asked. Needs root and buildah, whose storage is a
folder of its own.
"""
import os
import shutil
import sys
import tempfile
from pathlib import Path

from debian import bare_debian, copy_source, epoch, run, skip

BASE, IMAGE = "docker.io/library/debian:bookworm-slim", "localhost/quern"


class Images:
    """buildah over a storage folder."""

    def __init__(self, folder):
        self.folder = folder

    def buildah(self, *words):
        # vfs copies files where overlayfs may not be had: in a container, for instance
        return run("buildah", "--root", self.folder / "images", "--runroot", self.folder / "run", "--storage-driver", "vfs",
                   *words)

    def base(self, archive):
        made = self.buildah("from", "scratch").strip()
        self.buildah("add", "--quiet", made, archive, "/")
        self.buildah("commit", "--quiet", "--rm", made, BASE)

    def build(self, source, tag):
        self.buildah("bud", "--isolation=chroot", "--pull-never", "--quiet", "--file", source / "docker/Dockerfile",
                     "--build-arg", f"SOURCE_DATE_EPOCH={epoch(source)}", "--tag", tag, source)

    def run(self, image, *words, volume=None):
        container = self.buildah("from", "--pull-never", image).strip()
        options = ["--volume", f"{volume}:/work"] if volume else []
        told = self.buildah("run", "--isolation=chroot", *options, container, "--", *words)
        self.buildah("rm", container)
        return told

    def config(self, image):
        return self.buildah("inspect", "--type", "image", image)


def main():
    source, cache = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    if os.geteuid() != 0:
        skip("building images needs root")
    if not shutil.which("buildah"):
        skip("buildah is not installed")
    with tempfile.TemporaryDirectory(prefix="quern-image-") as name:
        folder = Path(name)
        images = Images(folder)
        images.base(bare_debian(cache))
        images.build(source, IMAGE)
        assert '"User": "quern"' in images.config(IMAGE)
        told = images.run(IMAGE, "sh", "-c", "id -un; ls -A /work /hub; quern doctor; ! command -v cc")
        assert told.startswith("quern\n"), told
        print("ok    built: an ordinary user, no compiler")

        work = folder / "work"
        work.mkdir()
        copy_source(source, folder / "tree")
        for part in "jobs.yaml", "tests/data/kjv-llama":
            (work / part).parent.mkdir(parents=True, exist_ok=True)
            (folder / "tree" / part).rename(work / part)
        run("chown", "-R", "10001:10001", work)
        told = images.run(IMAGE, "quern", "run", volume=work)
        again = images.run(IMAGE, "quern", "run", volume=work)
        assert "nothing to do" in again, (told, again)
        print("ok    the shipped matrix is done, once")


if __name__ == "__main__":
    main()
