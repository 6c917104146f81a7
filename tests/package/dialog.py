"""A program at a terminal of its own, whose questions are answered."""
import os
import pty
import select
import subprocess

WAIT_SECONDS = 300  # for the next words; a machine may be busy


def talk(command, answers, **options):
    """answers: (what a question says, the answer), in their order. All that was on the screen; the program must end well."""
    keyboard, terminal = pty.openpty()
    program = subprocess.Popen([str(word) for word in command], stdin=terminal, stdout=terminal, stderr=terminal,
                               start_new_session=True,
                               preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)), **options)
    os.close(terminal)
    screen, seen = "", ""
    left = list(answers)
    while True:
        assert select.select([keyboard], [], [], WAIT_SECONDS)[0], f"nothing more is said:\n{screen}"
        try:
            more = os.read(keyboard, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            more = ""
        if not more:
            break
        screen += more
        seen += more
        if left and left[0][0] in seen:
            os.write(keyboard, left[0][1].encode() + b"\n")
            seen = seen[seen.index(left[0][0]) + len(left[0][0]):]
            left.pop(0)
    os.close(keyboard)
    code = program.wait(WAIT_SECONDS)
    assert code == 0 and not left, f"ended with {code}, never asked: {left}\n{screen}"
    return screen


# A model of this folder, Q8_0 and Q4_K_M, published to the folder's own hub, written and run.
INIT = [("Model", "kjv-llama"), ("Engine?", ""), ("Quantizations?", "Q8_0, Q4_K_M"), ("Hybrid", ""), ("Optimization", ""),
        ("Publish to", "local"), ("Account", "me"), ("Write jobs.yaml?", "y"), ("Run it now?", "y")]
