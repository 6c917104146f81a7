"""Cards that cannot lie: what is confirmed, templates of users, and the audit of what is published."""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import JOBS, Matrix, expect, run_all  # noqa: E402

KJV = Path(os.environ["QUERN_SOURCE"]) / "tests" / "data" / "kjv-llama"
GGUF = f"""\
version: 1
work: work
models:
  - {{path: "{KJV}", name: kjv}}
targets:
  - {{engine: gguf, quant: [Q8_0, Q4_0]}}
upload: {{hub: local, namespace: ns, repo: "{{model}}"}}
"""
REPO = "ns/kjv"


def git(*args, cwd):
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1", "GIT_LFS_SKIP_SMUDGE": "1",
           "GIT_AUTHOR_NAME": "P", "GIT_AUTHOR_EMAIL": "p@localhost", "GIT_COMMITTER_NAME": "P",
           "GIT_COMMITTER_EMAIL": "p@localhost"}
    done = subprocess.run(["git", *args], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"git {args}: {done.stderr}"
    return done.stdout


def show(m, path, repo=REPO):
    return git("show", f"main:{path}", cwd=m.work / "hub" / f"{repo}.git")


def paths(m, repo=REPO):
    return git("ls-tree", "-r", "--name-only", "main", cwd=m.work / "hub" / f"{repo}.git").split()


def front(readme):
    return yaml.safe_load(readme.split("---\n")[1])


class Pushed:
    """A clone to change; what was changed is pushed at the end."""

    def __init__(self, m, repo=REPO):
        self.hub = m.work / "hub" / f"{repo}.git"
        self.folder = Path(tempfile.mkdtemp(prefix="quern-clone-"))

    def __enter__(self):
        git("clone", "-q", str(self.hub), "clone", cwd=self.folder)
        return self.folder / "clone"

    def __exit__(self, kind, *_):
        if kind is None:
            git("add", "-A", cwd=self.folder / "clone")
            git("commit", "-qm", "by hand", cwd=self.folder / "clone")
            git("push", "-q", "origin", "main", cwd=self.folder / "clone")
        shutil.rmtree(self.folder)


class Published(Matrix):
    """The two variants, on the hub."""

    def __enter__(self):
        expect(self.quern("run"), 0, "2 converted")
        return self

    def object(self, quant):
        """The LFS object of a variant, made writable."""
        manifest = json.loads(show(self, "quern.json"))
        sha = next(v["files"][0]["sha256"] for v in manifest["variants"] if v["quant"] == quant)
        path = self.work / "hub" / f"{REPO}.git" / "lfs" / "objects" / sha[:2] / sha[2:4] / sha
        # A link of the artifact: a copy takes its place, so that only the hub is changed.
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
        return path

    def audit(self, code, *words, options=()):
        done = expect(self.quern("card", "--audit", *options, REPO), code, *words)
        if code == 0:
            assert "WRONG" not in done.stdout and "MISSING" not in done.stdout
        return done.stdout


def unsure(mode, **upload):
    text = JOBS.replace("    quant: none\n", f"    quant: none\n    with: {{mode: {mode}}}\n")
    for key, value in upload.items():
        text = text.replace('repo: "{model}"', f'repo: "{value}"') if key == "repo" else \
            text.replace('file: "{model}-{quant}-opt-{opt}"', f'file: "{value}"')
    return text


# ---- foreign text

# Without a newline and with one: what breaks out of a cell need not break out of a line.
HOSTILE = ("</td><script>alert(1)</script><img src=x onerror=alert(2)> [x](javascript:y) ![i](u) `a` ``b | c \\| d \\\\| e *f* __g__ "
           "\x1b[2J\x1b]0;owned\x07 \x7f \x9b \u0085 \u202e \u2028 \ufeff \uffff www.evil.test me@evil.test $x$ ~~y~~ {{files}} & &lt; 'q' \"r\" "
           "- k: [v # no \\")
BREAKS = HOSTILE + "\r\n---\n# quern:end\n<!-- quern:end -->\n| --- |\n    code\n```\n<b>raw</b>\n%s: {a: &x [*x, !!python/object:os.system ls]}\t"
OWN_MARKS = {"<!-- quern:begin (generated; text outside this part is kept) -->", "<!-- quern:end -->"}


def without_code(text):
    """Code spans, as CommonMark 0.30 section 6.1 finds them, are gone."""
    return re.sub(r"(?<![`\\])(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


def cells(line):
    """Of a row of a table, as readers do that look one character back (markdown-it), and as those that read escapes from the left
    (cmark-gfm)."""
    return len(re.split(r"(?<!\\)\|", line)), len(re.sub(r"\\.|[^|]", "", line)) + 1


def check_body(body):
    assert not [c for c in body if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c in "\u202e\u2028\ufeff"], body
    columns = 0
    for line in body.splitlines():
        if line in OWN_MARKS:
            continue
        bare = line if not line.startswith("    ") else ""  # indented code shows what it is
        if line.startswith("|"):
            columns = columns or cells(line)[0]
            assert cells(line) == (columns, columns), line
        else:
            columns = 0
        shown = re.sub(r"\\.", "", without_code(bare))
        shown = re.sub(r"\[(quern\.json|llama\.cpp|librkllmrt)\]\([^)]*\)", "", shown)
        assert not re.search(r"[<>]|\]\(|!\[|https?:|www\.|\w@\w", shown), (line, shown)


def test_foreign_text_is_text():
    """Whoever names a model, a licence, an adapter or a machine, or writes into a log: the card shows it and is not made of it."""
    for text in HOSTILE, BREAKS:
        with Matrix(JOBS.replace("opt: [0, 1, 2]", "opt: 0")) as m:
            expect(m.quern("run"), 0, "1 converted")
            sources = {"license": "other", "license_name": text, "license_link": text, "language": [text, "en"], "pipeline_tag": text}
            worker = {"quant": text, "opt": 0, "hybrid": 0, "architecture": text, "tools": {text: text}}
            rung = {"because": text, "toolkit": text, "with": {text: text}}
            measured = {"machine": text, "at_ms": 1, "runs": 1, "warmup": 0, "versions": {text: text}, "counted_by": text,
                        "rows": [{"prompt": text, "seqlen": 1, "new_tokens": 1}]}
            with sqlite3.connect(m.work / "state.db") as db:
                db.execute("UPDATE job SET model = ?1, quant = ?1, engine_version = ?1, source_kind = 'hub', source = ?1, "
                           "source_version = ?1, lora = ?2, lora_version = ?1, label = ?1, params = ?3",
                           (text, text + "2", json.dumps({text: text})))
                db.execute("UPDATE artifact SET facts = ?", (json.dumps({"source": sources, "worker": worker, "rung": rung}),))
                db.execute("INSERT INTO measurement (job_id, stage, settings, kind, started_ms, ended_ms, state, result) "
                           "VALUES (1, 's', 'x', 'serve', 1, 2, 'done', ?)", (json.dumps(measured),))
            readme = expect(m.quern("card", "ns/m"), 0).stdout
            values = front(readme)
            assert values["license_name"] == values["license_link"] == values["pipeline_tag"] == text, values
            assert sorted(values["base_model"]) == sorted([text, text + "2"]) and text in values["tags"], values
            assert sorted(values["language"]) == sorted(["en", text]), values
            assert set(values) == {"base_model", "base_model_relation", "language", "license", "license_link", "license_name", "pipeline_tag",
                                   "quantized_by", "tags"}, values
            head, body = readme.split("---\n", 2)[1:]
            check_body("\n".join(line for line in head.splitlines() if line[0] == "#"))
            assert not [c for c in head if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c in "\u202e\u2028\ufeff\uffff"], head
            check_body(body)
            assert body.count("alert(1)") + body.count("alert\\(1\\)") >= 10, "it is shown"
            # And the hub takes it; what comes back is the same.
            shutil.rmtree(m.work / "hub")
            with sqlite3.connect(m.work / "state.db") as db:
                db.execute("UPDATE job SET state = 3")
            expect(m.quern("upload"), 0)
            assert front(show(m, "README.md", "ns/m")) == values
            assert json.loads(show(m, "quern.json", "ns/m"))["variants"][0]["model"] == text


# ---- what is confirmed

def test_every_fact_has_an_origin():
    with Published(GGUF) as m:
        facts = json.loads(m.sql("SELECT facts FROM artifact WHERE name LIKE '%Q8_0%'")[0][0])
        assert sorted(facts) == ["file", "source", "worker"]
        for name in ("architecture", "quant", "tensors", "tensor_types", "parameters"):
            assert facts["file"][name] == facts["worker"][name], name
        assert facts["source"]["pipeline_tag"] == "text-generation"
        assert "tools" in facts["worker"]


def test_what_the_worker_did_not_confirm_is_not_published():
    with Matrix(unsure("unsure")) as m:
        expect(m.quern("run"), 0, "3 converted", "published in 1 repository")
        keys = [k[0][:8].lower() for k in m.sql("SELECT hex(key) FROM job")]
        files = [p for p in paths(m, "ns/m") if p.endswith(".noop")]
        assert sorted(files) == sorted(f"m-{k}.noop" for k in keys), files
        card = show(m, "README.md", "ns/m")
        assert card.count("| not confirmed | not confirmed |") == 3, card  # quant and opt
        assert "`none`" not in card and "opt-1" not in card
        for variant in json.loads(show(m, "quern.json", "ns/m"))["variants"]:
            assert variant["quant"] is None and variant["opt"] is None and variant["hybrid"] is None
            assert variant["asked"]["quant"] == "none"
        expect(m.quern("card", "--audit", "m"), 0)


def test_a_name_that_says_nothing_unconfirmed_stays():
    with Matrix(unsure("unsure", file="{model}").replace("opt: [0, 1, 2]", "opt: [0]")) as m:
        expect(m.quern("run"), 0, "1 converted")
        assert "m.noop" in paths(m, "ns/m")


def test_a_repository_name_that_says_it_is_not_published():
    with Matrix(unsure("unsure", repo="{model}-{quant}")) as m:
        expect(m.quern("run"), 0, "3 converted")
        assert not (m.work / "hub" / "ns").exists()
        assert set(m.states().values()) == {"ready"}
        message = m.sql("SELECT DISTINCT message FROM job")[0][0]
        assert "did not confirm" in message and "upload.repo" in message


def test_another_value_than_was_asked_for_is_bad_output():
    for mode, words in {"other": 'asked for quant "none", the worker reports "other"',
                        "misread": "its own validation reads 77"}.items():
        with Matrix(unsure(mode)) as m:
            expect(m.quern("run"), 1, "failed: bad output", words)
            assert set(m.states().values()) == {"failed"}
            assert not list((m.work / "artifacts").glob("*/*"))


# ---- front matter

def test_the_licence_comes_from_the_source():
    with Matrix() as m:
        (m.root / "model" / "LICENSE").write_text("MIT License\n\nCopyright\n")
        expect(m.quern("run"), 0)
        said = front(show(m, "README.md", "ns/m"))
        assert said["license"] == "mit" and said["quantized_by"] == "ns"
        assert "pipeline_tag" not in said  # its class is no language model's
        source = json.loads(show(m, "quern.json", "ns/m"))["variants"][0]["facts"]["source"]
        assert source["license_from"] == "LICENSE"
    with Matrix(JOBS.replace("upload: {", "upload: {quantized_by: 'A: b', ")) as m:
        (m.root / "model" / "README.md").write_text(
            "---\nlicense: other\nlicense_name: my-own\nlicense_link: https://example.org/l\nlanguage: [en, 'no']\n---\n")
        expect(m.quern("run"), 0)
        said = front(show(m, "README.md", "ns/m"))
        assert (said["license"], said["license_name"], said["license_link"]) == ("other", "my-own", "https://example.org/l")
        assert said["language"] == ["en", "no"] and said["quantized_by"] == "A: b"


def test_front_matter_that_a_hub_would_refuse_is_found_first():
    with Published(GGUF) as m:
        with Pushed(m) as clone:
            text = (clone / "README.md").read_text()
            (clone / "README.md").write_text(text.replace("# quern:end\n", "# quern:end\nmine: [1, 2\n"))
        m.write(GGUF.replace("[Q8_0, Q4_0]", "[Q8_0, Q4_0, F16]"))
        line = text[:text.index("# quern:end\n")].count("\n") + 3  # where the bracket is still open
        expect(m.quern("run"), 1, f"front matter, line {line} column 1", "correct what was written there by hand")
        assert "kjv-F16.gguf" not in paths(m)
        with Pushed(m) as clone:
            (clone / "README.md").write_text(text.replace("# quern:end\n", "# quern:end\nmine: [1, 2]\n"))
        expect(m.quern("upload"), 0, "1 file sent")
        assert front(show(m, "README.md"))["mine"] == [1, 2]


# ---- a person's text, and templates

def test_a_persons_text_is_kept_and_is_no_fault():
    with Published(GGUF) as m:
        with Pushed(m) as clone:
            text = (clone / "README.md").read_bytes()
            (clone / "README.md").write_bytes(
                text.replace(b"# quern:end\n", b"# quern:end\nmine: yes please\n")
                .replace(b"# kjv\n", b"# kjv\r\n\r\nCaf\xe9\r\n") + b"\n```\n<!-- quern:begin -->\n<!-- quern:end -->\n```")
        m.audit(0)
        m.write(GGUF.replace("[Q8_0, Q4_0]", "[Q8_0, Q4_0, F16]"))
        expect(m.quern("run"), 0, "1 converted")
        blob = subprocess.run(["git", "show", "main:README.md"], cwd=m.work / "hub" / f"{REPO}.git",
                              stdout=subprocess.PIPE, check=True).stdout
        assert b"\nmine: yes please\n" in blob and b"# kjv\r\n\r\nCaf\xe9\r\n" in blob
        assert blob.endswith(b"\n```\n<!-- quern:begin -->\n<!-- quern:end -->\n```")
        assert b"kjv-F16.gguf" in blob
        m.audit(0)


def test_users_bring_their_own_template():
    with Matrix(GGUF.replace("namespace: ns,", "namespace: ns, card: my/card.md,")) as m:
        (m.root / "my").mkdir()
        template = m.root / "my" / "card.md"
        faults = m.quern("run")
        expect(faults, 2, "jobs.yaml:7:", "card: ", "my/card.md: No such file")
        template.write_text("## Mine\n\n{{fils}} {{files}}\n  {{nope}}\n{{open\n<!-- quern:end -->\n")
        for command in ("run", "plan", "upload"):
            expect(m.quern(command), 2, "my/card.md:3:1: unknown variable {{fils}}; did you mean {{file",
                   "my/card.md:4:3: unknown variable {{nope}}", 'my/card.md:5:1: "{{" without "}}"',
                   "my/card.md:6:1: a mark of the generated section", "nothing was started")
        assert not m.work.exists()
        template.write_bytes(b"\xff")
        expect(m.quern("run"), 2, "not a text in UTF-8")
        template.write_text("## Mine of {{repo}}\n\n{{files}}\nby {{quantized_by}}")
        expect(m.quern("run"), 0, "2 converted")
        card = show(m, "README.md")
        assert "## Mine of ns/kjv\n\n| file |" in card and "\nby ns\n<!-- quern:end -->\n" in card
        assert "llama-cli" not in card
        expect(m.quern("card", "--audit", "kjv"), 0)
        template.write_text("## Changed\n")
        expect(m.quern("card", "--audit", "kjv"), 1, "README.md: its generated part is not what quern.json says")


# ---- quern card

def test_the_card_that_would_be_written():
    with Matrix(GGUF) as m:
        expect(m.quern("card", "kjv"), 4, "nothing has run here yet")
        expect(m.quern("run", "--no-upload"), 0)
        card = expect(m.quern("card", REPO), 0).stdout
        manifest = expect(m.quern("card", "--json", "kjv"), 0).stdout
        assert set(m.states().values()) == {"ready"} and not (m.work / "hub" / "ns").exists()
        expect(m.quern("card", "--audit", REPO), 2, "ns/kjv: there is no such repository")
        expect(m.quern("upload"), 0)
        assert show(m, "README.md") == card and show(m, "quern.json") == manifest
        expect(m.quern("card", "other"), 2, "ns/other: no job of it is converted")
        expect(m.quern("card"), 2, "one repository")
        expect(m.quern("card", "a/b/c"), 2, "it must be NAMESPACE/NAME")
        expect(m.quern("card", "--quick", REPO), 2, "--quick and --ignore go with --audit")
        m.write(GGUF[:GGUF.index("upload:")])
        expect(m.quern("card", "kjv"), 2, "no `upload:` section")


# ---- the audit

def test_what_was_published_passes():
    with Published(GGUF) as m:
        said = m.audit(0, "kjv-Q8_0.gguf", "content, inside", "all as quern.json and the card say")
        assert said.count(" ok") == 5
        m.audit(0, options=["--quick"])
        found = json.loads(m.audit(0, options=["--json"]))
        assert found["repo"] == REPO and found["faults"] == 0 and len(found["files"]) == 5
        assert all(f["there"] and f["content_read"] and f["faults"] == [] for f in found["files"])
        assert sum(f["looked_inside"] for f in found["files"]) == 2


def test_a_changed_weight_is_found():
    with Published(GGUF) as m:
        path = m.object("Q8_0")
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
        m.audit(1, "kjv-Q8_0.gguf: its content has the SHA-256 ", "1 fault")
        m.audit(0, options=["--quick"])  # its head is as it was
        found = json.loads(m.audit(1, options=["--json"]))
        assert found["faults"] == 1
        assert [f["path"] for f in found["files"] if f["faults"]] == ["kjv-Q8_0.gguf"]


def test_a_changed_head_is_found_by_its_head_alone():
    with Published(GGUF) as m:
        path = m.object("Q8_0")
        data = path.read_bytes()
        path.write_bytes(data.replace(b"gpt-2", b"gpt-3", 1))
        m.audit(1, 'pre_tokenizer: the file has "gpt-3", quern.json says "gpt-2"', options=["--quick"])
        path.write_bytes(b"GGUF\x63" + data[5:])
        m.audit(1, "kjv-Q8_0.gguf: is damaged: ", options=["--quick"])
        path.write_bytes(data)
        m.audit(0)


def test_another_file_under_its_name_is_found():
    with Published(GGUF) as m:
        q4 = m.object("Q4_0").read_bytes()
        path = m.object("Q8_0")
        path.write_bytes(q4 + bytes(path.stat().st_size - len(q4)))
        m.audit(1, 'quant: the file has "Q4_0", quern.json says "Q8_0"', "tensor_types: the file has ", "SHA-256")


def test_a_cut_object_is_found():
    with Published(GGUF) as m:
        path = m.object("Q8_0")
        path.write_bytes(path.read_bytes()[:1000])
        m.audit(1, "kjv-Q8_0.gguf: has ", "quern.json says")
        path.unlink()
        m.audit(1, "kjv-Q8_0.gguf: has ")


def test_a_changed_manifest_is_found():
    with Published(GGUF) as m:
        good = show(m, "quern.json")
        for old, new, words in (
                ('"tensors":38', '"tensors":39', ["tensors: the file has 38, quern.json says 39",
                                                    "quern.json: is not what the store says"]),
                ('"quant": "Q8_0"', '"quant": "F16"', ["quern.json: "]),
                ('"kind": "path"', '"kind": "hub"', ["README.md: its generated part is not what quern.json says"]),
                ('"variants": [', '"variants": [ ', ["quern.json: contradicts itself or was edited: line 4"]),
                ('"format": 2', '"format": 1', ["quern.json: format 1, this quern reads 2"]),
                ("{", "", ["quern.json: "])):
            with Pushed(m) as clone:
                (clone / "quern.json").write_text(good.replace(old, new, 1))
            m.audit(1, *words)
        with Pushed(m) as clone:
            (clone / "quern.json").write_text(good)
        m.audit(0)


def test_a_changed_hash_in_the_manifest_is_found():
    with Published(GGUF) as m:
        good = show(m, "quern.json")
        sha = json.loads(good)["variants"][0]["files"][0]["sha256"]
        with Pushed(m) as clone:
            (clone / "quern.json").write_text(good.replace(sha, "0" * 64))
        m.audit(1, f"has the SHA-256 {sha}, quern.json says {'0' * 64}")


def test_a_changed_card_is_found():
    with Published(GGUF) as m:
        for old, new in (("`Q8_0`", "`Q8_1`"), ("quantized_by: ns", "quantized_by: me"), ("llama-cli -m", "rm")):
            with Pushed(m) as clone:
                text = (clone / "README.md").read_text()
                (clone / "README.md").write_text(text.replace(old, new, 1))
            line = text[:text.index(old)].count("\n") + 1
            m.audit(1, f"README.md: its generated part is not what quern.json says: line {line}")
            with Pushed(m) as clone:
                (clone / "README.md").write_text(text)
        m.audit(0)


def test_missing_and_extra_files_are_found():
    with Published(GGUF) as m:
        with Pushed(m) as clone:
            (clone / "kjv-Q4_0.gguf").unlink()
            (clone / "README.md").unlink()
            (clone / "notes").mkdir()
            (clone / "notes" / "a.txt").write_text("mine\n")
        m.audit(1, "kjv-Q4_0.gguf: is in quern.json and not in the repository", "MISSING", "README.md: is not there",
                "notes/a.txt: is not in quern.json", "3 faults")
        said = m.audit(1, "2 faults", options=["--ignore", "notes/*"])
        assert "notes" not in said
        with Pushed(m) as clone:
            (clone / "quern.json").unlink()
        m.audit(1, "quern.json: is not there")


def test_without_the_store_the_manifest_speaks():
    with Published(GGUF) as m:
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (m.work / name).unlink(missing_ok=True)
        m.audit(0)


run_all(globals())
