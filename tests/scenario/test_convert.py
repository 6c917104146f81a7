"""quern convert: one conversion without a matrix, from a folder, a hub or a spec; its exit codes; nothing left behind."""
import fcntl
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import QUERN, Matrix, environment, expect, run_all  # noqa: E402
from model_hub import Hub, Repo  # noqa: E402
from models import tiny  # noqa: E402


def convert(m, src, out, *more, engine="noop", quant="none", **env):
    before = set(os.listdir(m.root))
    done = m.quern("convert", src, "-o", out, "--engine", engine, "--quant", quant, *more, **env)
    new = set(os.listdir(m.root)) - before - {"hf"}
    assert new == ({out} if done.returncode == 0 else set()), f"{new}:\n{done.stdout}"
    return done


def test_every_shipped_engine():
    with Matrix() as m:
        expect(convert(m, "fake:llama-tiny", "a.gguf", engine="gguf", quant="Q8_0"), 0, "a.gguf: ")
        expect(m.quern("verify", "a.gguf"), 0)
        expect(convert(m, "fake:llama-tiny", "b", engine="fake"), 0)
        assert ".quern.json" not in os.listdir(m.root / "b") and "config.json" in os.listdir(m.root / "b")
        expect(convert(m, "./b", "c.gguf", engine="gguf", quant="F16"), 0)


def test_what_a_killed_one_left_is_removed_by_the_next():
    with Matrix() as m:
        def left():
            return sorted(p.name for p in m.root.glob(".tmp-convert-*"))

        expect(m.quern("convert", "model", "-o", "a", "--engine", "noop", "--quant", "none", QUERN_CRASH_AT="seal:checked"), 99)
        (killed,) = left()
        expect(m.quern("convert", "model", "-o", "b", "--engine", "noop", "--quant", "none"), 0)
        assert left() == [killed], "so young, it may be another's that begins"
        os.utime(m.root / killed, (0, 0))
        held = os.open(m.root / killed / "run.lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(held, fcntl.LOCK_EX)
        expect(m.quern("convert", "model", "-o", "c", "--engine", "noop", "--quant", "none"), 0)
        assert left() == [killed], "somebody holds it"
        os.close(held)
        expect(m.quern("convert", "model", "-o", "d", "--engine", "noop", "--quant", "none"), 0)
        assert left() == []


def test_a_folder_that_is_not_there():
    with Matrix() as m:
        expect(m.quern("convert", "model", "-o", "new/a", "--engine", "noop", "--quant", "none"), 2, "-o new/a: its folder new", "has to be there")


def test_of_several_bad_scales_the_first_is_named():
    """Whatever number of threads reads the file, and whichever comes to its piece first."""
    with Matrix() as m:
        expect(convert(m, "fake:llama-tiny", "a.gguf", engine="gguf", quant="Q8_0"), 0)
        tensors = [t for t in json.loads(m.quern("inspect", "--json", "a.gguf").stdout)["tensors"] if t["type"] == "Q8_0"]
        data = bytearray((m.root / "a.gguf").read_bytes())
        for t in tensors[2:]:
            last = t["offset"] + t["size_bytes"] - 34
            data[last:last + 2] = b"\xff\x7f"  # a NaN in its last block
        (m.root / "a.gguf").write_bytes(data)
        for _ in range(10):
            expect(m.quern("verify", "a.gguf"), 1, f"tensor {tensors[2]['name']}: the block at element "
                   f"{tensors[2]['size_bytes'] // 34 * 32 - 32} has a scale that is not finite")


def test_a_local_source_is_not_read_for_a_key():
    """Nobody else looks for the key of a throw-away run. A hole of 1 TiB would be read for most of an hour."""
    with Matrix() as m:
        expect(m.quern("fake", "llama-tiny", "hole"), 0)
        (m.root / "hole/imatrix.dat").touch()  # belongs to the model
        os.truncate(m.root / "hole/imatrix.dat", 1 << 40)
        expect(convert(m, "hole", "x.noop"), 0, "x.noop: ")


def test_settings_reach_the_engine():
    with Matrix() as m:
        expect(m.quern("fake", "llama-tiny", "llama"), 0)
        expect(convert(m, "llama", "plain.gguf", engine="gguf", quant="Q4_0"), 0)
        expect(convert(m, "llama", "with.gguf", "--with", "output_type=F16", "--with", 'tensor_type={"ffn_down": "F32"}',
                       engine="gguf", quant="Q4_0"), 0)
        expect(convert(m, "llama", "hybrid.gguf", "--hybrid", "0.5", "--opt", "1", engine="gguf", quant="Q4_0"), 0)
        said = m.quern("inspect", "--all", "with.gguf").stdout
        assert [line for line in said.splitlines() if "ffn_down" in line and "F32" in line], said
        assert (m.root / "hybrid.gguf").stat().st_size > (m.root / "plain.gguf").stat().st_size


def test_a_repository_of_a_hub_is_fetched():
    with Matrix() as m, Hub() as hub:
        hub.repos["org/tiny"] = Repo(tiny())
        env = {"HF_ENDPOINT": hub.url, "HF_HOME": m.root / "hf"}
        expect(convert(m, "org/tiny", "x.noop", **env), 0, "x.noop: ")
        asked = len([r for r in hub.requests if "model.safetensors" in r])
        expect(convert(m, "org/tiny", "y.noop", "--revision", hub.repos["org/tiny"].head, **env), 0)
        assert len([r for r in hub.requests if "model.safetensors" in r]) == asked, "fetched twice"
        assert (m.root / "x.noop").read_bytes() == (m.root / "y.noop").read_bytes()


def test_exit_codes_tell_the_user_from_the_machine():
    with Matrix() as m, Hub() as hub:
        hub.repos["org/shut"] = Repo(tiny(), gated="manual")
        hub.repos["org/tiny"] = Repo(tiny())
        env = {"HF_ENDPOINT": hub.url, "HF_HOME": m.root / "hf"}
        expect(convert(m, "org/none", "x", **env), 2, "org/none does not exist")
        expect(convert(m, "org/tiny", "x", "--revision", "gone", **env), 2, "has no branch")
        expect(convert(m, "org/shut", "x", **env), 4, "org/shut is gated")
        expect(convert(m, "org/tiny", "x", HF_HUB_OFFLINE="1", HF_HOME=m.root / "hf"), 4, "HF_HUB_OFFLINE")
        expect(convert(m, "nowhere", "x"), 2, "nowhere: there is no such folder", "org/name")
        expect(convert(m, "./nowhere", "x"), 2, "./nowhere: No such file")
        expect(convert(m, "model", "x", "--revision", "main"), 2, "--revision: ")
        expect(convert(m, "model", "x", "--lora", "org/l"), 2, "merges no adapters")
        expect(convert(m, "model", "x", "--platform", "rk3588"), 2, "rk3588")
        expect(convert(m, "model", "x", "--hybrid", "2"), 2, "hybrid")
        expect(convert(m, "model", "x", "--with", "mode"), 2, "--with: ")
        expect(convert(m, "model", "x", "--with", "mood=1"), 2, "mood")
        expect(convert(m, "model", "no/where/x"), 2, "no/where")
        expect(convert(m, "model", "x", "--with", "mode=refuse"), 1)
        expect(convert(m, "fake:nothing-like-it", "x"), 2, "nothing-like-it")
        expect(m.quern("convert", "model", "-o", "x", "--engine", "noop"), 2, "--quant")
        # A folder that is there is not replaced, and that is known before anything starts.
        (m.root / "there").mkdir()
        before = sorted(m.root.rglob("*"))
        for out in (".", "./", "there", m.root):
            done = expect(m.quern("convert", "model", "-o", out, "--engine", "noop", "--quant", "none"), 2,
                          f"-o {out}: that folder is there already", f"-o {str(out).rstrip('/')}/model.noop")
            assert done.stdout.count("\n") == 1 and sorted(m.root.rglob("*")) == before, done.stdout


def test_progress_on_a_terminal():
    with Matrix() as m:
        keyboard, terminal = pty.openpty()
        p = subprocess.Popen([QUERN, "convert", "model", "-o", "x", "-e", "noop", "-q", "none", "--with", "sleep_ms=300"],
                             cwd=m.root, stdin=terminal, stdout=terminal, stderr=terminal, env=environment(TERM="xterm"))
        os.close(terminal)
        seen = b""
        try:
            while more := os.read(keyboard, 65536):
                seen += more
        except OSError:  # the other end is closed
            pass
        os.close(keyboard)
        assert p.wait(20) == 0 and b"\x1b[" in seen and b"model/noop/none" in seen, seen


if __name__ == "__main__":
    run_all(dict(globals()))
