"""llama.cpp's own server measures what quern converted: as a server that quern starts, and as one that runs."""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peer import KJV, convert, run_all

QUERN = os.environ["QUERN"]
SERVER = f"{sys.executable} {Path(__file__).resolve().parent / 'llama_server.py'} {{file}} {{port}}"
PROMPTS = {"name": "kjv",
           "performance": [{"name": "psalm", "prompt": "The LORD is my shepherd; I shall not want.", "new_tokens": 32},
                           {"name": "long", "prompt": "And it came to pass. " * 40, "new_tokens": 8}],
           "quality": [{"name": "genesis", "prompt": "In the beginning God created the heaven and the earth.",
                        "new_tokens": 16, "language": "en", "topic": ["God", "LORD", "earth", "heaven", "day", "people"]}]}


def quern(folder, *args, code=0):
    done = subprocess.run([QUERN, *map(str, args)], cwd=folder, text=True, timeout=300, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, "HOME": "/nonexistent"})
    assert done.returncode == code, f"exit {done.returncode}, not {code}:\n{done.stdout}"
    return done.stdout


def folder():
    f = tempfile.TemporaryDirectory(prefix="quern-serve-")
    (Path(f.name) / "prompts.json").write_text(json.dumps(PROMPTS))
    return f


def check(result, kind):
    psalm, long = result["rows"]
    assert result["kind"] == kind and result["counted_by"] == "timings", result
    assert psalm["new_tokens"] == 32 and 10 < psalm["seqlen"] < long["seqlen"] < 512, (psalm, long)
    # No prompt came from the server's cache: it read all of them, every time.
    assert long["prompt_per_s"]["runs"] == 3 and not [w for w in result["warnings"] if w["kind"] == "target"], result
    for row in psalm, long:
        for name in "ttft_ms", "prompt_per_s", "generate_per_s", "total_ms":
            v = row[name]
            assert 0 < v["min"] <= v["median"] <= v["max"] and v["min"] <= v["mean"] <= v["max"], (name, v)
        assert row["ttft_ms"]["median"] < row["total_ms"]["median"], row
    assert result["versions"]["llama.cpp"], result
    assert result["quality_asked"] == 1


def test_served():
    with folder() as f:
        for quant in "F16", "Q8_0", "Q4_0":
            file = convert(KJV, quant)
            out = quern(f, "bench", file, "--serve", SERVER, "--prompts", "prompts.json", "--json", "--logs", f)
            (result,) = json.loads(out)["measurements"]
            check(result, "serve")
            # The file is mapped or read: it is in the server's memory.
            assert result["memory_bytes"] > os.path.getsize(file), result["memory_bytes"]
            row = result["rows"][0]
            print(f"  {quant}: {row['ttft_ms']['median']:.1f} ms, {row['generate_per_s']['median']:.0f} tokens/s")


def test_endpoint():
    port = 0
    with folder() as f:
        import socket
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        file = convert(KJV, "Q8_0")
        server = subprocess.Popen([sys.executable, str(Path(__file__).resolve().parent / "llama_server.py"), str(file), str(port)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            out = quern(f, "bench", "--endpoint", f"http://127.0.0.1:{port}/v1", "--prompts", "prompts.json", "--json")
            check(json.loads(out)["measurements"][0], "endpoint")
        finally:
            server.terminate()
            server.wait(timeout=60)


def test_a_night():
    """Converted, measured, published with its table; a file of random weights is held back."""
    with folder() as f:
        root = Path(f)
        (root / "jobs.yaml").write_text(f"""\
version: 1
work: work
models: [{{path: {KJV}}}]
targets: [{{engine: gguf, quant: Q8_0}}]
measure:
  - serve: "{SERVER}"
    prompts: prompts.json
    hold: [garbage]
upload: {{hub: local, namespace: ns}}
""")
        out = quern(f, "run")
        assert "1 measured" in out, out
        readme = subprocess.run(["git", "-c", "safe.directory=*", "-C", next((root / "work/hub/ns").glob("*.git")), "show",
                                 "HEAD:README.md"], check=True, text=True, stdout=subprocess.PIPE).stdout
        assert "| Model | Dtype | Seqlen | New_tokens | TTFT(ms) | Tokens/s | Memory(MB) |" in readme, readme
        assert "| kjv-llama | Q8\\_0 |" in readme and "as the server counted them" in readme, readme
        assert str(root) not in readme
        quern(f, "card", "--audit", "ns/kjv-llama")
        (root / "jobs.yaml").write_text((root / "jobs.yaml").read_text().replace(
            f"path: {KJV}", 'fake: "llama-tiny:fill=random"').replace("    prompts: prompts.json\n", ""))
        out = quern(f, "run", code=1)
        assert "garbage" in out and "1 held back" in out, out
        assert "exceeds the available context size" in quern(f, "show", 2)  # the longest prompt alone is left out
        answers, = root.glob("work/measure/2-serve/answers.txt")
        assert "why water boils" in answers.read_text(errors="replace")


run_all(globals())
