#!/usr/bin/env python3
"""The workers' Python has to run on 3.8, the oldest Python of a toolkit: syntax, and no newer name of the library."""
import ast
import os
import unittest
from pathlib import Path

WORKERS = Path(os.environ["QUERN_SOURCE"], "workers/python")
FILES = [p for p in sorted(WORKERS.rglob("*")) if p.suffix == ".py" or p.name.startswith("quern-")]

# Names of the standard library and of its types that came after 3.8 (What's New in Python 3.9 to 3.13).
LATER = {"removeprefix", "removesuffix", "file_digest", "is_relative_to", "pairwise", "batched",
         "to_thread", "TaskGroup", "ExceptionGroup", "add_note", "tomllib", "zoneinfo", "graphlib", "bit_count",
         "aclosing", "hardlink_to", "files", "as_file", "packages_distributions",
         "lcm", "nextafter", "randbytes", "anext", "aiter", "EncodingWarning", "orig_argv", "stdlib_module_names"}
OWN = {("dist", "files")}  # what a name of ours has that only looks like one of those


def newer_names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in LATER:
            owner = getattr(node.value, "id", "")
            if (owner, node.attr) not in OWN:
                yield node.lineno, node.attr
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for a in node.names:
                if a.name.split(".")[0] in LATER:
                    yield node.lineno, a.name
        # dict | dict in 3.9; sets have had it always.
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and isinstance(node.left, ast.Dict):
            yield node.lineno, "dict | dict"
        # list[int] at run time
        if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") in ("list", "dict", "tuple", "set", "type"):
            yield node.lineno, "subscript of a builtin type"


class Python38(unittest.TestCase):
    def test_there_are_files(self):
        self.assertGreater(len(FILES), 10)

    def test_syntax(self):
        for path in FILES:
            with self.subTest(path.name):
                ast.parse(path.read_text(), feature_version=(3, 8))

    def test_names(self):
        for path in FILES:
            with self.subTest(path.name):
                self.assertEqual(list(newer_names(ast.parse(path.read_text()))), [])

    def test_the_check_sees_what_is_newer(self):
        for text in ("'a'.removeprefix('b')", "import tomllib", "{} | {}", "x = list[int]"):
            self.assertTrue(list(newer_names(ast.parse(text))), text)
        for text in ("match x:\n  case 1: pass", "with (open('a') as f, open('b') as g): pass"):
            with self.assertRaises(SyntaxError, msg=text):
                ast.parse(text, feature_version=(3, 8))

    def test_files_are_short(self):
        for path in FILES:
            with self.subTest(path.name):
                lines = path.read_text().splitlines()
                self.assertLessEqual(len(lines), 400)
                self.assertLessEqual(max(map(len, lines), default=0), 120)


if __name__ == "__main__":
    unittest.main()
