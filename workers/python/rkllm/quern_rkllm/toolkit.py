"""The installed toolkit: which version, where its files are, and a copy of it that may be written next to.

The toolkit keeps temporary tensors in its own install folder (vendor in issue 308 of airockchip/rknn-llm). A worker
may write in its job folder only, and two jobs must not meet in one folder, so each job gets the distribution's
files copied (no links: the sandbox makes none, and a link would lead the writes out).
"""
import importlib.metadata
import os
import shutil
import stat
import sys

from quern_worker import ENV, Fault

from . import versions

DISTRIBUTION = "rkllm-toolkit"
PACKAGE = "rkllm"
FILES_MAX = 50000
BYTES_MAX = 8 << 30  # of the copy; wheels so far have less than 1 GB
OLDEST = "1.1.0"


def _missing(text):
    return Fault(text, ENV, "env", "missing dependency", False)


def installed():
    """(version, distribution) of the environment whose Python this is."""
    try:
        dist = importlib.metadata.distribution(DISTRIBUTION)
        return dist.version, dist
    except importlib.metadata.PackageNotFoundError:
        raise _missing("{} has no {}; install its wheel there, or name another environment in jobs.yaml "
                       "(engines: rkllm: environments)".format(sys.prefix, DISTRIBUTION)) from None


def check_version(job):
    """The version that is installed, when it is the one that quern planned with."""
    version, dist = installed()
    wanted = (job.get("environment") or {}).get("version")
    if versions.parse(version) is None:
        raise _missing("{} has a version that is none: {!r}".format(DISTRIBUTION, version))
    if not versions.at_least(version, OLDEST):
        raise _missing("{} {} is too old; {} or later converts".format(DISTRIBUTION, version, OLDEST))
    if wanted and versions.public(wanted) != versions.public(version):
        raise _missing("planned with {} {}, but {} holds {}; plan again".format(
            DISTRIBUTION, wanted, sys.prefix, version))
    return version, dist


def tools():
    """Names and versions of what does the work, as installed."""
    out = {}
    for name in (DISTRIBUTION, "transformers", "torch"):
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return out


def _top_names(dist):
    """Files and folders of the distribution that lie directly in site-packages."""
    names = {PACKAGE}
    for f in dist.files or ():
        first = str(f).replace("\\", "/").split("/", 1)[0]
        if first not in ("", ".", "..", "__pycache__"):
            names.add(first)
    return sorted(names)


class _Copy:
    def __init__(self):
        self.count = self.bytes = 0

    def __call__(self, source, target):
        st = os.stat(source)
        if not stat.S_ISREG(st.st_mode):
            raise _missing("{} is no plain file; install the wheel again".format(source))
        self.count += 1
        self.bytes += st.st_size
        if self.count > FILES_MAX or self.bytes > BYTES_MAX:
            raise _missing("{} is larger than {} GB or {} files; that is no toolkit".format(
                DISTRIBUTION, BYTES_MAX >> 30, FILES_MAX))
        return shutil.copy2(source, target)


def make_shadow(dist, folder):
    """Copy the distribution into folder, which becomes the first place that Python looks in. Returns bytes."""
    site = str(dist.locate_file(""))
    if not os.path.isdir(os.path.join(site, PACKAGE)):
        raise _missing("{} is installed, but {} is not in {}; install the wheel again".format(
            DISTRIBUTION, PACKAGE, site))
    copy = _Copy()
    os.makedirs(folder)
    for name in _top_names(dist):
        source, target = os.path.join(site, name), os.path.join(folder, name)
        if os.path.isdir(source):
            shutil.copytree(source, target, copy_function=copy, ignore=shutil.ignore_patterns("__pycache__"))
        elif os.path.exists(source):
            copy(source, target)
    return copy.bytes
