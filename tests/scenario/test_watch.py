"""quern status --watch in a real terminal (tmux): resizes, scrolls, filters, opens a log, redraws only what changed, and gives the
terminal back at any end."""
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from matrix import QUERN, Matrix, environment, expect, run_all  # noqa: E402

JOBS = """\
version: 1
name: long-night
work: work
models: [{{path: model, name: m}}]
targets:
  - {{engine: noop, quant: none, opt: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], hybrid: [{hybrids}], with: {{mode: fail}}}}
  - {{engine: noop, quant: none, hybrid: 0.99, with: {{sleep_ms: 600000}}}}
resources: {{jobs: 2, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}}
retry: {{attempts: 1}}
"""


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


class Night:
    """Sixty failed jobs and one that goes on."""

    def __enter__(self):
        self.m = Matrix(JOBS.format(hybrids="0.1, 0.2, 0.3, 0.4, 0.5, 0.6"))
        self.run = self.m.start("run")
        wait_until(lambda: self.m.running() and self.m.sql("SELECT count(*) FROM job WHERE state = 6")[0][0] == 60)
        return self.m

    def __exit__(self, *exc):
        for _ in range(2):
            self.run.send_signal(signal.SIGINT)
        self.run.communicate(timeout=60)
        self.m.remove()


class Terminal:
    """A tmux of its own, with quern in it; after it the shell says how it ended."""
    count = 0

    def __init__(self, m, columns=80, rows=24, command="status --watch"):
        Terminal.count += 1  # the server of the one before may not have ended yet
        self.socket = str(m.root / f"tmux-{Terminal.count}")
        # tmux has a server, and so an environment, of its own.
        script = m.root / "in-tmux"
        variables = "".join(f"export {k}='{v}'\n" for k, v in environment(TERM="screen").items())
        script.write_text(f"cd '{m.root}'\n{variables}'{QUERN}' {command}\necho ended $?\nstty -a | grep -o -- '-*icanon'\nexec cat\n")
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), f"exec sh '{script}'")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *args], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm"}, check=True).stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def shows(self, *words):
        last = ""

        def look():
            nonlocal last
            last = self.screen()
            return last if all(w in last for w in words) else None
        try:
            return wait_until(look)
        except AssertionError:
            raise AssertionError(f"{words} are not on the screen:\n{last}") from None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def chosen(screen):
    return [line for line in screen.splitlines() if line.startswith(">")]


def test_a_screen_of_80_by_24():
    with Night() as m, Terminal(m) as t:
        shown = t.shows("run 1 long-night", "60 failed", "running", "q leaves").splitlines()
        assert len(shown) <= 24 and max(map(len, shown)) <= 80, shown
        assert "q leaves" in shown[23] and "running and failed: 61" in shown[2], shown
        assert sum(" failed " in line for line in shown[3:23]) == 19 and " running " in shown[3], shown
        # It scrolls.
        first = chosen(t.screen())
        t.keys("Down")
        wait_until(lambda: chosen(t.screen()) != first)
        t.keys("End")
        last = wait_until(lambda: [c for c in chosen(t.screen()) if "hybrid-0.6" in c])
        t.keys("PageUp")
        wait_until(lambda: chosen(t.screen()) != last)
        t.keys("Home")
        wait_until(lambda: chosen(t.screen()) == first)
        # It filters, and says by what.
        t.keys("/")
        t.shows("type to filter")
        t.keys("opt-7", "Enter")
        wait_until(lambda: sum("opt-7" in line for line in t.screen().splitlines()[3:]) == 6)
        t.shows('with "opt-7"', "6")
        t.keys("Escape")
        t.shows("running and failed: 61")
        t.keys("a")
        t.shows("all jobs: 61")
        t.keys("f")
        t.shows("failed: 60")
        # It opens a log, and comes back.
        t.keys("Enter")
        t.shows("log of job", "attempt 1", "noop: it went wrong")
        t.keys("Escape")
        t.shows("failed: 60")
        t.keys("?")
        t.shows("this page")
        t.keys("Escape")
        # It resizes.
        t.tmux("resize-window", "-x", "50", "-y", "10")
        wait_until(lambda: len(t.screen().splitlines()) == 10 and "q leaves" in t.screen().splitlines()[9])
        assert max(map(len, t.screen().splitlines())) <= 50
        t.tmux("resize-window", "-x", "120", "-y", "40")
        wait_until(lambda: sum(" failed " in line for line in t.screen().splitlines()) >= 36)
        # It leaves what was seen, and the terminal as it was.
        t.keys("q")
        t.shows("ended 1", "quern show")
        wait_until(lambda: "icanon" in t.screen() and "-icanon" not in t.screen())


def test_any_signal_gives_the_terminal_back():
    with Night() as m:
        for sig, code in (("INT", 130), ("TERM", 130), ("HUP", 130), ("QUIT", 130), ("SEGV", 139)):
            with Terminal(m) as t:
                t.shows("q leaves")
                pid = wait_until(lambda: watchers())[0]
                os.kill(pid, getattr(signal, f"SIG{sig}"))
                t.shows(f"ended {code}")
                wait_until(lambda: "icanon" in t.screen())
                shown = t.screen()
                assert "-icanon" not in shown and t.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").split() == ["0", "1"], shown


def watchers():
    found = []
    for p in Path("/proc").iterdir():
        try:
            words = (p / "cmdline").read_bytes().split(b"\0")
            if p.name.isdigit() and words[0] == QUERN.encode() and b"--watch" in words:
                found.append(int(p.name))
        except OSError:
            pass
    return found


ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


def take_terminal():
    """In the child: a session of its own, whose terminal is its standard input, so that Ctrl-Z comes as a signal."""
    os.setsid()
    ioctl(0, termios.TIOCSCTTY, 0)


def test_stopped_and_continued():
    """Ctrl-Z gives the terminal back as it was; going on takes it again and draws all of it. Also when somebody else stops it."""
    with Night() as m:
        keyboard, terminal = pty.openpty()
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        plain = termios.tcgetattr(terminal)
        p = subprocess.Popen([QUERN, "status", "--watch"], cwd=m.root, stdin=terminal, stdout=terminal, stderr=terminal,
                             env=environment(TERM="xterm"), preexec_fn=take_terminal)
        seen = b""

        def shows(*words):
            nonlocal seen
            while not all(w in seen for w in words):
                assert select.select([keyboard], [], [], 60)[0], seen
                seen += os.read(keyboard, 65536)
            told, seen = seen, b""
            return told

        def state():
            return Path(f"/proc/{p.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

        whole = (b"long-night", b"60 failed", b"-- running and failed: 61", b"q leaves")
        assert ENTER in shows(*whole) and not termios.tcgetattr(terminal)[3] & (termios.ICANON | termios.ECHO)
        for _ in range(2):
            os.write(keyboard, b"\x1a")
            wait_until(lambda: state() == "T")
            told = shows(LEAVE)
            assert told.index(LEAVE) > told.rfind(ENTER) and termios.tcgetattr(terminal) == plain
            ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
            p.send_signal(signal.SIGCONT)
            told = shows(ENTER, *whole)
            assert LEAVE not in told and told.count(b"q leaves") == 1, told
            assert not termios.tcgetattr(terminal)[3] & (termios.ICANON | termios.ECHO)
        os.write(keyboard, b"f")
        shows(b"-- failed: 60")
        p.send_signal(signal.SIGSTOP)
        wait_until(lambda: state() == "T")
        termios.tcsetattr(terminal, termios.TCSANOW, plain)  # as a shell does
        p.send_signal(signal.SIGCONT)
        shows(ENTER, b"long-night", b"-- failed: 60", b"q leaves")
        wait_until(lambda: not termios.tcgetattr(terminal)[3] & (termios.ICANON | termios.ECHO))
        os.write(keyboard, b"q")
        shows(LEAVE)
        assert p.wait(30) == 1 and termios.tcgetattr(terminal) == plain
        os.close(terminal)
        os.close(keyboard)


def test_only_what_changed_is_sent():
    """Over a slow line: a look at a night in which nothing happens costs a line or two."""
    with Night() as m:
        keyboard, terminal = pty.openpty()
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        p = subprocess.Popen([QUERN, "status", "--watch"], cwd=m.root, stdin=terminal, stdout=terminal, stderr=terminal,
                             env=environment(TERM="xterm"))
        os.close(terminal)

        def read(enough):
            data = b""
            while not enough(data):
                assert select.select([keyboard], [], [], 60)[0], data
                data += os.read(keyboard, 65536)
            return data
        first = read(lambda d: b"q leaves" in d)
        # What comes now are refreshes, a second each.
        sizes, end = [], time.monotonic() + 6
        while len(sizes) < 4 and time.monotonic() < end + 30:
            if select.select([keyboard], [], [], 5)[0]:
                sizes.append(len(os.read(keyboard, 65536)))
        print(f"   the first screen: {len(first)} bytes; refreshes: {sizes}")
        assert len(first) < 6000 and sizes and max(sizes) < 400, (len(first), sizes)
        os.write(keyboard, b"q")
        try:
            read(lambda d: False)
        except OSError:
            pass
        assert p.wait(30) == 1
        os.close(keyboard)


def test_foreign_text_does_not_steer_the_terminal():
    with Night() as m, Terminal(m) as t:
        import sqlite3
        with sqlite3.connect(m.work / "state.db", timeout=30) as db:
            db.execute("UPDATE job SET message = ? WHERE state = 6", ("\x1b[2J\x1b]0;owned\x07\u202egone",))
        log = next(m.work.glob("jobs/*/1/log"))
        for log in m.work.glob("jobs/*/1/log"):
            with log.open("ab") as f:
                f.write(b"\x1b[2J\x1b[31mred\x9b\xff\n")
        t.shows("\\x1b[2J", "q leaves", "60 failed")
        t.keys("f", "Enter")
        t.shows("\\x1b[2J\\x1b[31mred", "log of job")
        t.keys("q")
        t.shows("ended 1")


if not shutil.which("tmux"):
    sys.exit("tmux is not installed")
run_all(globals())
