"""Chat templates from every place they live in: what is in our file is what llama.cpp's own Python reads for its converter."""
import json
import subprocess
import sys

from peer import QUERN, WORK, fake, run, run_all

try:
    import gguf
    from gguf.vocab import SpecialVocab
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)

FOLDER = "additional_chat_templates"
ONE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
# What is put where; "config": the member of tokenizer_config.json.
PLACES = {
    "config": {"config": ONE},
    "config-list": {"config": [{"name": "default", "template": ONE}, {"name": "tool_use", "template": "tools " + ONE},
                               {"name": "rag", "template": "rag é " + ONE}]},
    "config-list-without-default": {"config": [{"name": "rag", "template": ONE}]},
    "config-names": {"config": [{"name": "tool-use.v2", "template": ONE}, {"name": "", "template": "nameless"},
                                {"name": "none"}, {"name": "default", "template": "d"}]},
    "jinja": {"chat_template.jinja": ONE},
    "json": {"chat_template.json": json.dumps({"chat_template": ONE})},
    "json-list": {"chat_template.json": json.dumps({"chat_template": [{"name": "default", "template": ONE},
                                                                       {"name": "x", "template": "y"}]})},
    "jinja-before-json": {"chat_template.jinja": "first", "chat_template.json": json.dumps({"chat_template": "second"})},
    "config-before-jinja": {"config": "first", "chat_template.jinja": "second", f"{FOLDER}/rag.jinja": "third"},
    "folder": {"chat_template.jinja": ONE, f"{FOLDER}/rag.jinja": "rag " + ONE, f"{FOLDER}/tool_use.jinja": "tool\n",
               f"{FOLDER}/a-b.c.jinja": "odd name", f"{FOLDER}/notes.txt": "no template"},
    "none": {},
}


def place(name, what, base):
    folder = WORK / name
    subprocess.run(["cp", "-r", str(base), str(folder)], check=True)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("chat_template", None)
    if "config" in what:
        config["chat_template"] = what["config"]
    path.write_text(json.dumps(config))
    for file, text in what.items():
        if file != "config":
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text)
    return folder


def theirs(folder):
    """As GGUFWriter.add_chat_template() is told to write it."""
    class Writer:
        keys = {}

        def add_string(self, key, value):
            self.keys[key] = value

        def add_array(self, key, value):
            self.keys[key] = set(value)

    writer = Writer()
    writer.keys = {}
    template = SpecialVocab(folder).chat_template
    if template is not None:
        gguf.GGUFWriter.add_chat_template(writer, template)
    return writer.keys


def ours(folder):
    out = WORK / f"{folder.name}.gguf"
    done = run(QUERN, "convert", folder, "-o", out, "--engine", "gguf", "--quant", "Q8_0")
    assert done.returncode == 0, done.stdout
    fields = gguf.GGUFReader(out).fields
    found = {k: f.contents() for k, f in fields.items() if k.startswith("tokenizer.chat_template")}
    if "tokenizer.chat_templates" in found:
        assert len(found["tokenizer.chat_templates"]) == len(set(found["tokenizer.chat_templates"]))
        found["tokenizer.chat_templates"] = set(found["tokenizer.chat_templates"])
    return found


def test_every_place():
    base = fake("qwen2-tiny:fill=zero", "plain")
    for name, what in PLACES.items():
        folder = place(name, what, base)
        a, b = ours(folder), theirs(folder)
        assert a == b, (name, a, b)
        print(f"  {name}: {', '.join(sorted(a)) or 'nothing'}")


def test_names_without_a_default_are_kept():
    """Their converter drops the folder when there is no chat_template.jinja; transformers does not, nor do we."""
    found = ours(place("only-folder", {f"{FOLDER}/rag.jinja": "rag"}, WORK / "plain"))
    assert found == {"tokenizer.chat_template.rag": "rag", "tokenizer.chat_templates": {"rag"}}, found


def test_two_of_one_name_are_refused():
    folder = place("twice", {"chat_template.jinja": "x", f"{FOLDER}/a-b.jinja": "1", f"{FOLDER}/a.b.jinja": "2"}, WORK / "plain")
    done = run(QUERN, "convert", folder, "-o", WORK / "twice.gguf", "--engine", "gguf", "--quant", "Q8_0")
    assert done.returncode != 0 and 'named "a_b"' in done.stdout, done.stdout
    assert not (WORK / "twice.gguf").exists()


def test_a_template_is_part_of_the_source():
    """Another text is another model, and a file that lies elsewhere is not taken."""
    folder = place("hashed", PLACES["folder"], WORK / "plain")
    (folder / FOLDER / "rag.jinja").write_text("changed")
    assert ours(folder)["tokenizer.chat_template.rag"] == "changed"
    (folder / FOLDER / "rag.jinja").unlink()
    (folder / FOLDER / "rag.jinja").symlink_to("/etc/passwd")
    done = run(QUERN, "convert", folder, "-o", WORK / "link.gguf", "--engine", "gguf", "--quant", "Q8_0")
    assert done.returncode != 0 and "outside the model's folder" in done.stdout, done.stdout


run_all(globals())
