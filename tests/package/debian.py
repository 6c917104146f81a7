"""A bare Debian and commands in it, for the tests of the package and of the container image."""
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SKIP = 77


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          **options)
    if done.returncode != 0:
        sys.exit(f"FAIL: {' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(SKIP)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def mirror():
    """The first Debian archive that apt knows."""
    for line in run("apt-get", "indextargets", "--format", "$(CREATED_BY) $(SITE) $(CODENAME)").splitlines():
        kind, site, codename = line.split(" ", 2)
        if kind == "Packages" and codename == "bookworm":
            return site
    skip("apt knows no archive of Debian bookworm")


def bare_debian(cache):
    """A tar file of the smallest Debian, made once."""
    archive = cache / "bookworm.tar"
    if archive.exists():
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / "bookworm.new"
    shutil.rmtree(made, ignore_errors=True)
    done = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", made, mirror()], capture_output=True, text=True)
    if done.returncode != 0:
        skip("debootstrap cannot make a root: " + done.stdout.strip().splitlines()[-1])
    # The archive may be behind a proxy with a certificate of its own.
    shutil.copytree("/etc/ssl/certs", made / "etc/ssl/certs", dirs_exist_ok=True)
    run("tar", "-C", made, "-cf", f"{archive}.new", ".")
    os.rename(f"{archive}.new", archive)
    shutil.rmtree(made)
    return archive


def unpack(archive, root):
    root.mkdir()
    run("tar", "-C", root, "-xf", archive)
    return root


def inside_command(root, script, user="root"):
    """The command that runs a shell script in the root, with /proc and /dev of its own mount namespace; its environment."""
    mounts = f"mount --rbind /proc {root}/proc && mount --rbind /dev {root}/dev && "
    switch = "" if user == "root" else f"runuser -u {user} -- "
    return (["unshare", "--mount", "sh", "-ec", mounts + f'exec chroot {root} {switch}/bin/sh -ec "$1"', "sh", script],
            {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": f"/home/{user}", "LANG": "C.UTF-8", "TERM": "xterm"})


def inside(root, script, user="root"):
    command, environment = inside_command(root, script, user)
    return run(*command, env=environment)


def epoch(source):
    """The time that everything in a package has: of the last commit, or of the change log where there is none yet."""
    done = subprocess.run(["git", "-C", source, "log", "-1", "--format=%ct"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else str(int((source / "CHANGELOG.md").stat().st_mtime))


def copy_source(source, folder):
    """The tracked files, as they are now."""
    for name in run("git", "-C", source, "ls-files").splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, folder / name, follow_symlinks=False)


def build_package(source, folder, preset="release", settings=()):
    """Build and pack a copy of the tracked files in `folder`; the path of the package. With ccache, what an earlier build
    there compiled is taken from it."""
    shutil.rmtree(folder, ignore_errors=True)
    copy_source(source, folder)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch(source)}
    if shutil.which("ccache"):
        environment["CMAKE_C_COMPILER_LAUNCHER"] = "ccache"
    run("cmake", "--preset", preset, *settings, cwd=folder, env=environment)
    run("cmake", "--build", "--preset", preset, "--", "--quiet", cwd=folder, env=environment)
    build = folder / "build" / preset
    run("cpack", cwd=build, env=environment)
    [package] = build.glob("quern_*.deb")
    return package


def packed(made):
    """The package that build.py made."""
    found = list(Path(made).glob("quern_*_amd64.deb"))
    return found[0] if found else skip("no package; ctest makes it first: package_build")
