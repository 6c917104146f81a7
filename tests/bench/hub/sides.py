"""What both benchmarks of the hub share: a process that is measured, and the table of the sides.

Memory is the peak of what the process and its children held, by /proc: what wait4() tells would begin with the size of this
program. Private is the part of it that is no file, so without the code of programs and libraries.
"""
import os
import tempfile
import threading
import time
from pathlib import Path


class Side:
    """One run of one side."""

    def __init__(self, seconds, processor, mib, private):
        self.seconds, self.processor, self.mib, self.private = seconds, processor, mib, private


def children(pid):
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, task.read_text().split())
        except OSError:
            continue


def peaks(pid, seen):
    """{pid: {name: KiB}} of the tree, into seen: the peaks outlive their processes here."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("VmHWM", "RssAnon")):
                most = seen.setdefault(pid, {})
                name, value = line.split()[:2]
                most[name] = max(most.get(name, 0), int(value))
    except OSError:
        return
    for child in children(pid):
        peaks(child, seen)


def watch(pid, seen, over):
    while not over.wait(0.01):
        peaks(pid, seen)


def measured(command, env):
    """The process, which must end well."""
    os.sync()  # what the last one left to be written is not this one's
    begin = time.monotonic()
    said = tempfile.TemporaryFile()
    pid = os.posix_spawn(command[0], [str(c) for c in command], env, file_actions=[(os.POSIX_SPAWN_DUP2, said.fileno(), 1)])
    seen, over = {}, threading.Event()
    watcher = threading.Thread(target=watch, args=(pid, seen, over))
    watcher.start()
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - begin
    over.set()
    watcher.join()
    said.seek(0)
    assert status == 0, f"{command[0]}: {status}\n{said.read().decode()}"
    said.close()
    return Side(seconds, usage.ru_utime + usage.ru_stime, *(sum(s.get(name, 0) for s in seen.values()) / 1024 for name in ("VmHWM:", "RssAnon:")))


def times(a, b):
    return f"{a / b:.2f}" if b else "-"


def table(rows, official, limit, limit_name):
    """rows {name: (first, again or None)}; limit: seconds of the yardstick."""
    print(f"{'':16} {'first':>9} {'processor':>10} {'memory':>9} {'private':>9} {'again':>9} {'to client':>10} {'memory':>7} {'to ' + limit_name:>15}")
    base = rows[official][0]
    for name, (first, again) in rows.items():
        later = f"{again.seconds:7.2f} s" if again else "-"
        print(f"{name:16} {first.seconds:7.2f} s {first.processor:8.2f} s {first.mib:5.0f} MiB {first.private:5.0f} MiB {later:>9} "
              f"{times(base.seconds, first.seconds):>10} {times(first.mib, base.mib):>7} {times(limit, first.seconds):>15}")
    print(f"to client: how many times as fast; memory: share of the client's; to {limit_name}: 1 is as fast as {limit_name}",
          flush=True)
