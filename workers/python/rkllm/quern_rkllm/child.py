"""The toolkit's own process: one point, then gone. Started by drive.py as

    python child.py CALLS.json CONTROL-FD

CALLS.json: {"site": folder, "paths": [...], "version": ..., "steps": [{"call":, "wanted": [[name, value, must]]}]}.
Standard output and error belong to the toolkit; what this module has to say goes to CONTROL-FD, a JSON object a
line: {"event": "call" | "returned" | "raised" | "refused" | "done", ...}.
"""
import builtins
import ctypes
import getpass
import inspect
import json
import os
import signal
import sys
import traceback

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SEED = 0              # of every generator that a step may draw from


def die_with_parent(parent):
    """Without its worker the toolkit works for nobody."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(1)


def ask_nobody():
    """A question in a batch is a failure that says what was asked, not a wait."""

    def refuse(prompt="", *_args, **_kwargs):
        raise EOFError("asked a question, and nobody answers in a batch: {}".format(str(prompt)[:200]))

    builtins.input = refuse
    getpass.getpass = refuse


def seed_all():
    """As far as the generators are there already: importing torch is the toolkit's business."""
    import random
    random.seed(SEED)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(SEED)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(SEED)


def flush_all():
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        ctypes.CDLL(None).fflush(None)  # what the toolkit's native code printed
    except (OSError, AttributeError):
        pass


class Teller:
    def __init__(self, fd):
        self.fd = fd

    def __call__(self, event, **members):
        data = (json.dumps(dict(event=event, **members)) + "\n").encode()
        while data:
            data = data[os.write(self.fd, data):]


def tell_signatures(toolkit, keywords, tell):
    """What the calls look like, for selftest."""
    for name in keywords.versions.SINCE:
        function = getattr(toolkit, name, None)
        signature = keywords.read_signature(function) if function else None
        text = name + str(inspect.signature(function)) if signature else None
        if function:
            tell("signature", name=name, text=text, names=sorted(signature[0]) if signature else None,
                 swallows=bool(signature and signature[1]))


def set_path(plan):
    """The copy comes before the environment's packages and after Python's own modules; this file's folder goes, as its
    modules are no top-level ones."""
    del sys.path[0]
    places = [i for i, p in enumerate(sys.path) if os.path.basename(p) == "site-packages"]
    sys.path.insert(places[0] if places else len(sys.path), plan["site"])
    sys.path += plan["paths"]


def import_toolkit(plan):
    from rkllm import api
    if not os.path.realpath(api.__file__).startswith(os.path.realpath(plan["site"]) + os.sep):
        raise ImportError("rkllm was imported from {}, not from the copy of this job".format(api.__file__))
    return api.RKLLM


def run_steps(plan, tell):
    from quern_rkllm import keywords
    tell("call", name="import", kwargs=[], declared=[])
    toolkit = import_toolkit(plan)()
    tell("returned", value=0)
    if plan.get("probe"):
        tell_signatures(toolkit, keywords, tell)
    for step in plan["steps"]:
        name = step["call"]
        function = getattr(toolkit, name, None)
        if function is None:
            tell("refused", text="rkllm-toolkit {} has no {}".format(plan["version"], name))
            return False
        try:
            kwargs, declared = keywords.choose(name, keywords.read_signature(function), plan["version"],
                                               step["wanted"])
        except keywords.Unknown as why:
            tell("refused", text=str(why))
            return False
        seed_all()
        tell("call", name=name, kwargs=sorted(kwargs), declared=declared)
        value = function(**kwargs)
        flush_all()
        good = type(value) is int and value == 0
        tell("returned", value=value if type(value) is int else repr(value)[:80])
        if not good:
            return False
    return True


def main(argv):
    with open(argv[1], encoding="utf-8") as f:
        plan = json.load(f)
    tell = Teller(int(argv[2]))
    die_with_parent(plan["parent"])
    ask_nobody()
    set_path(plan)
    good = False
    try:
        good = run_steps(plan, tell)
        tell("done", good=good)
    except BaseException as why:  # SystemExit too: a library that exits has failed
        traceback.print_exc()
        text = str(why)
        tell("raised", type=type(why).__name__, text=text[:1000])
    flush_all()
    # Destructors of native code have nothing more to do for us, and have been seen to crash.
    os._exit(0 if good else 1)


if __name__ == "__main__":
    main(sys.argv)
