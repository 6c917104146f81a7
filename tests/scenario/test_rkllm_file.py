"""quern inspect FILE.rkllm: what is read from the file is told apart from what its name claims and what lies beside it."""
import hashlib
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import Matrix, expect, run_all  # noqa: E402

NAME = "Qwen2.5-1.5B-rk3588-w8a8-opt-1-hybrid-ratio-0.5.rkllm"
# Words between bytes that are no text, and some too far behind to be looked at.
DATA = (b"\0\x01rkllm-toolkit version: 1.1.4\0" + bytes(100) + b"\xffRK3588\x1b[31m\xfew8a8\0some other words\0" + bytes(1 << 20) +
        b"rkllm-toolkit version: 9.9.9\0")


def look(m, name):
    return json.loads(expect(m.quern("inspect", "--json", name), 0).stdout)


def test_three_kinds_of_statements():
    with Matrix() as m:
        (m.root / NAME).write_bytes(DATA)
        said = expect(m.quern("inspect", NAME), 0, "rkllm-toolkit version: 1.1.4  (read from the file)", "0.5  (claimed by name)",
                      "RK3588  (read from the file)", hashlib.sha256(DATA).hexdigest(), "the format is not published").stdout
        assert "9.9.9" not in said and "\x1b" not in said and "other words" not in said
        v = look(m, NAME)
        assert v["claimed_by_name"] == {"model": "Qwen2.5-1.5B", "platform": "rk3588", "quant": "w8a8", "hybrid": 0.5, "opt": 1}
        assert v["read_from_file"]["size_bytes"] == len(DATA) and v["sidecar"] is None
        assert [t["text"] for t in v["read_from_file"]["text"]] == ["rkllm-toolkit version: 1.1.4", "RK3588", "w8a8"]
        for t in v["read_from_file"]["text"]:
            assert DATA[t["offset"]:].startswith(t["text"].encode())


def test_a_manifest_beside_it_counts_by_its_hash():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        text = subprocess.run(["git", "--git-dir", m.work / "hub/ns/m.git", "show", "HEAD:quern.json"], check=True,
                              stdout=subprocess.PIPE).stdout
        made = next(m.work.glob("artifacts/*/m-none-opt-1.noop")).read_bytes()
        (m.root / "quern.json").write_bytes(text)
        (m.root / "renamed.rkllm").write_bytes(made)
        expect(m.quern("inspect", "renamed.rkllm"), 0, "its name claims no settings", "(quern.json beside it, same hash)")
        assert look(m, "renamed.rkllm")["sidecar"]["engine"] == "noop"
        (m.root / "renamed.rkllm").write_bytes(made + b"x")
        expect(m.quern("inspect", "renamed.rkllm"), 0, "lists no file of this hash")
        (m.root / "quern.json").write_bytes(text[:-100])
        expect(m.quern("inspect", "renamed.rkllm"), 0, "cannot be read: ")
        assert look(m, "renamed.rkllm")["sidecar"].startswith("cannot be read")


def test_odd_files():
    with Matrix() as m:
        (m.root / "empty.rkllm").write_bytes(b"")
        expect(m.quern("inspect", "empty.rkllm"), 0, "0 B", "no toolkit, chip or data type is named")
        (m.root / "many.rkllm").write_bytes(b"rkllm\0" * 100000)
        assert len(look(m, "many.rkllm")["read_from_file"]["text"]) == 32
        (m.root / "long.rkllm").write_bytes(b"rkllm" + b"a" * 100000)
        assert len(look(m, "long.rkllm")["read_from_file"]["text"][0]["text"]) == 200
        (m.root / "folder.rkllm").mkdir()
        expect(m.quern("inspect", "folder.rkllm"), 1, "is no plain file")
        expect(m.quern("inspect", "gone.rkllm"), 2, "gone.rkllm")


if __name__ == "__main__":
    run_all(dict(globals()))
