"""Exactly the keywords that a call of the installed toolkit knows. Runs inside the toolkit's process: pure, no
import of the toolkit itself.

A signature that can be read decides. One that takes **kwargs swallows what it does not know, and one that cannot be
read says nothing: for both the version's table decides, and only what a signature names is confirmed.
"""
import inspect

from . import versions


class Unknown(Exception):
    """A keyword that was asked for and that this toolkit does not have."""


def read_signature(function):
    """(names, swallows) of a callable; None when its signature cannot be read."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return names, any(p.kind == p.VAR_KEYWORD for p in parameters)


def choose(call, signature, version, wanted):
    """wanted: [(name, value, must)]. Returns (kwargs, declared): what to hand over, and the names among it that the
    signature declares. must: refuse rather than leave it out."""
    declared = signature[0] if signature else set()
    known = set(declared)
    if signature is None or signature[1]:
        known |= versions.keywords(call, version)
    kwargs = {}
    for name, value, must in wanted:
        if name in known:
            kwargs[name] = value
        elif must:
            first = versions.SINCE[call].get(name)
            raise Unknown("{}: rkllm-toolkit {} has no {}{}".format(
                call, version, name, "; it came with " + first if first and not versions.at_least(version, first)
                else "; leave it out"))
    return kwargs, sorted(declared & set(kwargs))
