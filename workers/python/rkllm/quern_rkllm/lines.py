"""What the toolkit prints, taken apart: lines, progress bars, and the few sentences that say something.

Sources: logs in issues of airockchip/rknn-llm (220, 381, 466), and tqdm's format (label: 42%|####  | 42/100 [...).
"""
import re

SEGMENT_MAX = 16 << 10  # bytes of one line; what is longer comes in pieces
LOST_KEPT = 100000      # names of weights that were not found; far more than decide

_BAR = re.compile(r"^\s*(?P<label>[^|%]{0,80}?)\s*:?\s*(?P<percent>\d{1,3})%\|[^|]*\|"
                  r"\s*(?P<n>\d{1,12})/(?P<m>\d{1,12})\b")
_COUNT = re.compile(r"^\s*(?P<label>[A-Z][^|%\[\]]{0,80}?):\s*(?P<n>\d{1,12})/(?P<m>\d{1,12})\b")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_STAGES = {"loading checkpoint shards": "load", "building model": "build", "optimizing model": "optimize",
           "converting model": "convert", "generating train split": "calibrate"}

_SAID = (
    ("version", re.compile(r"rkllm-toolkit version:\s*v?([0-9][0-9A-Za-z.+]*)")),
    ("max_context", re.compile(r"(?:Setting max_context_limit to|max_context_limit:)\s*(\d{1,7})\b")),
    ("num_npu_core", re.compile(r"npu_core_num:\s*(\d{1,2})\b")),
    ("platform", re.compile(r"\btarget_platform:\s*([A-Za-z0-9]{2,16})\s*(?:,|$)")),
    ("quant", re.compile(r"\bmodel_dtype:\s*([A-Za-z0-9_]{2,24})\s*(?:,|$)")),
    ("saved", re.compile(r"INFO:\s*Model has been saved to (.+?)!\s*$")),
)
_NUMBERS = ("max_context", "num_npu_core")
_NAMES = ("platform", "quant")
_LOST_WEIGHT = re.compile(r"Not found the weight of\s+(\S+)")


def parse_bar(text):
    """(stage, done, total) of a progress bar, or None."""
    m = _BAR.match(text) or _COUNT.match(text)
    if not m or int(m.group("m")) == 0:
        return None
    label = m.group("label").strip().lower()
    return _STAGES.get(label, label[:40] or "work"), min(int(m.group("n")), int(m.group("m"))), int(m.group("m"))


def what_it_says(text):
    """{name: value} of what a line, or a piece of a file, states in the toolkit's own words."""
    said = {}
    for name, pattern in _SAID:
        m = pattern.search(text)
        if m:
            value = m.group(1)
            said[name] = int(value) if name in _NUMBERS else value.lower() if name in _NAMES else value
    return said


class Lines:
    """Fed with bytes; remembers what was said. on_line(text), on_bar(stage, done, total)."""

    def __init__(self, on_line, on_bar):
        self.on_line, self.on_bar = on_line, on_bar
        self.said = {}       # the last word on each
        self.disputed = {}   # name: set of values, where there were several
        self.lost = set()    # names of weights that were not found
        self._rest = b""

    def feed(self, data):
        pieces = re.split(rb"([\r\n])", self._rest + data)
        self._rest = pieces.pop()
        for i in range(0, len(pieces), 2):
            self._segment(pieces[i], pieces[i + 1] == b"\r")
        while len(self._rest) > SEGMENT_MAX:
            self._segment(self._rest[:SEGMENT_MAX], False)
            self._rest = self._rest[SEGMENT_MAX:]

    def end(self):
        if self._rest:
            self._segment(self._rest, False)
        self._rest = b""

    def _segment(self, data, overwritten):
        text = _ANSI.sub("", data.decode("utf-8", "replace")).rstrip()
        if not text:
            return
        bar = parse_bar(text)
        if bar:
            self.on_bar(*bar)
            if overwritten and bar[1] < bar[2]:
                return  # the log keeps the last state of a bar only
        self._remember(text)
        self.on_line(text)

    def _remember(self, text):
        lost = _LOST_WEIGHT.search(text)
        if lost and len(self.lost) < LOST_KEPT:
            self.lost.add(lost.group(1))
        for name, value in what_it_says(text).items():
            if self.said.get(name, value) != value:
                self.disputed.setdefault(name, {self.said[name]}).add(value)
            self.said[name] = value
