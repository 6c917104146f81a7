"""A real podman with storage of its own, an image with Python made from this machine's, and docker's own program before
podman's daemon. SKIP (77) where containers cannot be started."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SKIP = 77
SETTINGS = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[engine]
{runtime}
cgroup_manager = "cgroupfs"
events_logger = "none"
image_parallel_copies = 1
"""
STORAGE = """\
[storage]
driver = "{driver}"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""


def driver(folder):
    """Layers over each other where the kernel does that here; else each is a copy of the whole."""
    places = {name: folder / "probe" / name for name in ("lower", "upper", "work", "merged")}
    for place in places.values():
        place.mkdir(parents=True)
    options = "lowerdir={lower},upperdir={upper},workdir={work}".format(**places)
    done = subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", places["merged"]], capture_output=True)
    if done.returncode == 0:
        subprocess.run(["umount", places["merged"]], check=True)
    shutil.rmtree(folder / "probe")
    return "vfs" if done.returncode else "overlay"


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(SKIP)


def libraries(program):
    """What the loader maps for a program."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [word for line in told.splitlines() for word in line.split() if word.startswith("/")]


def image_root(folder, standin=None):
    """A root with this machine's Python, without its tests; standin: packages to put there."""
    python = Path(os.path.realpath(shutil.which("python3", path="/usr/bin:/usr/local/bin:/bin")))
    stdlib = Path(subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_paths()['stdlib'])"],
                                 capture_output=True, text=True, check=True).stdout.strip())
    wanted = {str(python), *libraries(python)}
    for module in (stdlib / "lib-dynload").glob("*.so"):
        wanted.update(libraries(module))
    for name in wanted:
        to = folder / name.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, to)
    shutil.copytree(stdlib, folder / str(stdlib).lstrip("/"), symlinks=True, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("test", "tests", "idlelib", "ensurepip", "__pycache__", "config-*",
                                                  "site-packages", "dist-packages", "lib2to3", "tkinter", "turtledemo"))
    (folder / "usr/bin").mkdir(parents=True, exist_ok=True)
    if not (folder / "usr/bin/python3").exists():
        (folder / "usr/bin/python3").symlink_to(python)
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (folder / "tmp").mkdir()
    if standin:
        # The one place where a Python looks as it was built and as Debian patches it.
        shutil.copytree(standin, folder / str(stdlib).lstrip("/"), dirs_exist_ok=True)
    return folder


class Podman:
    def __init__(self):
        for program in "podman", "runc":
            if not shutil.which(program):
                skip(f"{program} is not installed")
        self.temp = tempfile.TemporaryDirectory(prefix="quern-podman-")
        self.folder = Path(self.temp.name).resolve()
        limits = {"files": 1024, "processes": 4096}
        (self.folder / "containers.conf").write_text(SETTINGS.format(runtime='runtime = "runc"', **limits))
        (self.folder / "storage.conf").write_text(STORAGE.format(folder=self.folder, driver=driver(self.folder)))
        self.settings = {"CONTAINERS_CONF": str(self.folder / "containers.conf"),
                         "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf")}
        self.service = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.podman("rm", "--force", "--all", "--time", "0", check=False)
        if self.service:
            self.service.terminate()
            self.service.wait()
        self.podman("umount", "--all", check=False)
        self.temp.cleanup()

    def podman(self, *words, check=True):
        done = subprocess.run(["podman", *map(str, words)], capture_output=True, text=True,
                              env={**os.environ, **self.settings})
        if check and done.returncode != 0:
            raise AssertionError(f"podman {' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def image(self, name, standin=None, label=None, volume=None):
        root, archive = self.folder / "root", self.folder / "root.tar"
        image_root(root, standin)
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        changes = ["--change", f"LABEL {label}"] if label else []
        changes += ["--change", f"VOLUME {volume}"] if volume else []
        self.podman("import", *changes, archive, name)
        shutil.rmtree(root)
        archive.unlink()

    def need_containers(self, image, option="--entrypoint", program="python3", *words):
        """Not every place that can build images can start containers."""
        done = self.podman("run", "--rm", "--network", "none", option, program, image, *(words or ("-c", "print('yes')")),
                           check=False)
        if done.stdout.strip() != "yes":
            skip(f"podman cannot start a container here: {done.stderr.strip()[-300:]}")

    def serve(self):
        """podman's daemon, which docker's program takes for docker's."""
        socket = self.folder / "docker.sock"
        self.service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{socket}"],
                                        env={**os.environ, **self.settings}, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        while not socket.exists():
            assert self.service.poll() is None, "podman's daemon has ended"
            time.sleep(0.05)
        return {"DOCKER_HOST": f"unix://{socket}"}

    def containers(self):
        """Names of all there are, running or not."""
        return self.podman("ps", "--all", "--format", "{{.Names}}").stdout.split()

    def inspect(self, name):
        return json.loads(self.podman("container", "inspect", name).stdout)[0]
