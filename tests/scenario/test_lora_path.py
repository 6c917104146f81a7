"""An adapter in a local folder: merged, part of the job key by its content, and refused where it is none."""
import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import Matrix, expect, run_all  # noqa: E402

JOBS = """\
version: 1
work: work
models:
  - {path: base, name: m, lora_path: adapter%s}
targets:
  - {engine: gguf, quant: F32}
resources: {jobs: 1, memory: 1GiB, disk_reserve: 1MiB}
upload: {hub: local, namespace: ns, repo: "{model}"}
"""
MODULE = "base_model.model.model.layers.0.self_attn.o_proj."


def adapter(folder, b):
    """Rank 1 over one matrix of 128 x 128, and the number that it adds to each weight."""
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 2}))
    head = json.dumps({MODULE + "lora_A.weight": {"dtype": "F32", "shape": [1, 128], "data_offsets": [0, 512]},
                       MODULE + "lora_B.weight": {"dtype": "F32", "shape": [128, 1], "data_offsets": [512, 1024]}}).encode()
    data = struct.pack("<128f", *[1.0] * 128) + struct.pack("<128f", *[b] * 128)
    (folder / "adapter_model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + data)
    return 2 * b


def matrix(more=""):
    m = Matrix(JOBS % more)
    expect(m.quern("fake", "llama-tiny:fill=zero,dtype=F32", "base"), 0)
    return m


def point(m):
    return json.loads(m.quern("plan", "--json").stdout)["points"][0]


def test_it_is_merged_and_counts():
    with matrix() as m:
        added = adapter(m.root / "adapter", 0.25)
        expect(m.quern("run"), 0, "1 converted")
        made = next((m.work / "artifacts").glob("*/*.gguf")).read_bytes()
        assert struct.pack("<128f", *[added] * 128) * 128 in made, "one matrix of this number"
        expect(m.quern("run"), 0, "nothing to do")
        (m.root / "adapter").rename(m.root / "moved")
        m.write((JOBS % "").replace("adapter", "moved"))
        assert point(m)["status"] == "done", "where it lies is nothing to its content"
        adapter(m.root / "moved", 0.5)
        changed = point(m)
        assert changed["status"] == "changed" and "lora version" in changed["why"], changed
        card = m.quern("card", "ns/m").stdout
        assert "local folder" in card and str(m.root) not in card, card


def test_what_is_none():
    with matrix() as m:
        assert "adapter_config.json" in point(m)["why"], "there is no folder"
        adapter(m.root / "adapter", 1)
        (m.root / "adapter" / "adapter_model.safetensors").unlink()
        (m.root / "adapter" / "adapter_model.safetensors").symlink_to("/etc/passwd")
        assert "not a regular file" in point(m)["why"]
        m.write(JOBS % ", lora: org/name")
        expect(m.quern("plan"), 2, "lora_path beside `lora`")
        m.write((JOBS % "").replace("engine: gguf, quant: F32", "engine: noop, quant: none"))
        assert "merges no adapters" in point(m)["why"]


run_all(globals())
