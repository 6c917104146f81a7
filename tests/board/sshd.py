"""A board that is this machine: a real sshd with keys of its own, and a folder that looks like a board's sysfs."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PATIENCE, alive, wait_for

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"

CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {root}/host_key
AuthorizedKeysFile {root}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PermitUserRC no
PrintMotd no
LogLevel VERBOSE
SetEnv HOME={root}/home QUERN_BOARD_SYSFS={root}/sys PATH={root}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
"""

# While the file `slow` is there, the board takes so many bytes of a copy and then waits.
TAKES = 8 << 20
CAT = """\
#!/bin/sh
[ -e {root}/slow ] || exec /bin/cat "$@"
head -c {takes}
[ "$(head -c 1 | wc -c)" = 1 ] || exit 0
while [ -e {root}/slow ]; do sleep 0.02; done
"""

FREQUENCIES = {"class/devfreq/fdab0000.npu": "300000000 500000000 1000000000", "class/devfreq/dmc": "528000000 2112000000",
               "class/devfreq/fb000000.gpu": "300000000 1000000000"}
POLICIES = {"policy0": "408000 1800000", "policy4": "408000 2352000", "policy6": "408000 2304000"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_sysfs(root):
    """Plain files where the kernel has its own. Returns nothing; snapshot() is what to compare."""
    def put(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    for name, steps in FREQUENCIES.items():
        put(root / name / "governor", "rknpu_ondemand" if "npu" in name else "dmc_ondemand")
        put(root / name / "available_governors", "rknpu_ondemand dmc_ondemand userspace performance")
        put(root / name / "available_frequencies", steps)
        put(root / name / "cur_freq", steps.split()[0])
        put(root / name / "userspace/set_freq", "0")
    for name, steps in POLICIES.items():
        folder = root / "devices/system/cpu/cpufreq" / name
        put(folder / "scaling_governor", "ondemand")
        put(folder / "scaling_available_governors", "ondemand userspace")
        put(folder / "scaling_available_frequencies", steps)
        put(folder / "scaling_cur_freq", steps.split()[0])
        put(folder / "scaling_setspeed", "<unsupported>")
    for i in range(2):
        put(root / f"devices/system/cpu/cpu{i}/cpuidle/state1/disable", "0")


def governors(root):
    """What has to be as it was: governors and idle states. (A frequency by hand means nothing under another governor.)"""
    return {str(p.relative_to(root)): p.read_text().strip() for p in sorted(root.rglob("*"))
            if p.name in ("governor", "scaling_governor", "disable")}


class Board:
    def __init__(self):
        if not os.access(SSHD, os.X_OK):
            print("SKIP: sshd is missing: apt-get install openssh-server")
            sys.exit(77)
        self.root = Path(tempfile.mkdtemp(prefix="quern-sshd-"))
        self.port = free_port()
        for name in ("host_key", "key", "other_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.root / name], check=True)
        shutil.copy(self.root / "key.pub", self.root / "authorized_keys")
        host = (self.root / "host_key.pub").read_text()
        (self.root / "known hosts").write_text(f"[127.0.0.1]:{self.port} {host}")
        (self.root / "sshd_config").write_text(CONFIG.format(port=self.port, root=self.root))
        make_sysfs(self.root / "sys")
        (self.root / "bin").mkdir()
        (self.root / "home").mkdir()  # without the start files of whoever runs the test
        (self.root / "bin/cat").write_text(CAT.format(root=self.root, takes=TAKES))
        (self.root / "bin/cat").chmod(0o755)
        self.before = governors(self.root / "sys")
        self.dir = self.root / "on board"
        self.sshd = None
        self.start()

    def start(self):
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.log = open(self.root / "sshd.log", "ab")
        self.sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", self.root / "sshd_config"], stdout=self.log, stderr=self.log)

        def listens():
            assert self.sshd.poll() is None, (self.root / "sshd.log").read_text()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait_for(listens, "sshd")

    def descendants(self):
        """Pids below the listening sshd, their own first."""
        parents = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    stat = Path(f"/proc/{name}/stat").read_text()
                except OSError:
                    continue
                parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(name))
        found, todo = [], [self.sshd.pid]
        while todo:
            todo += (children := parents.get(todo.pop(), []))
            found += children
        return found

    def cut(self):
        """Every connection is gone at once; what ran in it only sees its input end."""
        for pid in self.descendants():
            try:
                if "sshd" in Path(f"/proc/{pid}/comm").read_text():
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass

    def is_cut(self):
        """True when the processes of connections are gone."""
        try:
            return not any("sshd" in Path(f"/proc/{pid}/comm").read_text() for pid in self.descendants())
        except OSError:
            return False

    def processes(self):
        """quern-boards that were started from this board's folder."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    exe = os.readlink(f"/proc/{name}/exe")
                except OSError:
                    continue
                if exe.startswith(str(self.dir)) and alive(int(name)):
                    found.append(int(name))
        return found

    def is_restored(self):
        return governors(self.root / "sys") == self.before

    def close(self):
        self.cut()
        self.sshd.kill()
        self.sshd.wait(PATIENCE)
        self.log.close()
        shutil.rmtree(self.root, ignore_errors=True)
