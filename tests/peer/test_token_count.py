"""What quern counts with a model's tokenizer is what the tokenizers library and llama.cpp make of the same text."""
import functools
import json
import os
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import boundaries
import llama
from peer import KJV, WORK, convert, fake, run_all

try:
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
except ImportError:
    print("SKIP: the tokenizers library is not installed")
    sys.exit(77)

COUNT = Path(os.environ["QUERN_BUILD"]) / "test-tools" / "count-tokens"
MARK = "\u2581"
TEXTS = [
    "", " ", "\n", "Hello, world!", "don't I'll we've THEY'RE I'M we'D it'ſ it'\u212a", "  two  spaces\tand tab\n\nnew \n \n x",
    "\r\nCRLF\r\n\r\n  \r\n end\r", "naïve café — “quotes” 日本語 한국어 العربية עברית हिन्दी ไทย Ελληνικά Русский",
    "😀👩‍👩‍👧‍👦🇩🇪 👍🏽 ☃️ 1️⃣", "Z\u0351\u036b\u0343A\u0334\u0315", "\x00\x07control\x1b[31m\x7f\x85\x1c\x1f",
    "0 1 12 123 1234 12345678901234567890 3.14 1,000 ½ Ⅷ ٣٤٥ १२३ 𝟘𝟙𝟚 ²³", "1" * 300, " " * 300, " " * 300 + "x",
    "a" * 500, "\n" * 50, " \n" * 40, "\n " * 40, "!?.,;:()[]{}<>/\\|@#$%^&*-_=+`~\"'" * 3, "!" * 400 + "\n",
    "for (int i = 0; i < n; i++) {\n\treturn x[i];\n}", "ﬁ ½ ① ㎏ ™ \u200b\u200d\ufeff \u00a0\u2003x\u3000y\u2028z",
    "ǅ ß ſ İı ЁёЖж", "𝔘𝔫𝔦 𐍈 𠜎 \ufffd\U0010ffff\ue000", "a<|endoftext|>\n<|endoftext|> b<|im_end|>x"]
PIECES = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "'s", "'RE", "’s", "'", "1", "12", "1234", "½", "٣", "a",
          "Zß", "é", "日", "한", "ع", "हि", "!", "...", "—", "😀", "\u200d", "\ufe0f", "\x00", "\x1c", "\x85", "_", "{"]
# The library's tables are newer than Unicode 14, which quern's are.
KNOWN = [c for c in range(0x20, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


def composed(text):
    return unicodedata.normalize("NFC", text)


def random_texts(n, seed):
    rng = random.Random(seed)
    return ["".join(rng.choice(PIECES) if rng.random() < 0.8 else chr(rng.choice(KNOWN)) for _ in range(rng.randint(1, 60)))
            for _ in range(n)]


def counts(path, texts):
    data = b"".join(f"{len(t.encode())}\n".encode() + t.encode() for t in texts)
    done = subprocess.run([COUNT, str(path)], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr
    return [int(line.split()[0]) for line in done.stdout.decode().splitlines()]


def check(name, path, encode, texts):
    got = counts(path, texts)
    assert len(got) == len(texts), name
    for text, ours in zip(texts, got):
        theirs = len(encode(text))
        assert ours == theirs, f"{name}: {text[:80]!r}: quern {ours}, theirs {theirs}"


def check_folder(name, folder, texts):
    """tokenizer.json against the library."""
    tok = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    check(name, folder, lambda t: tok.encode(t, add_special_tokens=False).ids, texts)


def check_gguf(name, folder, texts):
    """The file made of the folder against llama.cpp, with no token that begins a text."""
    file = convert(folder, "F16")
    model = llama.Model(file)
    check(name, file, lambda t: model.tokenize(t, parse_special=True), texts)
    model.close()


def heldout():
    return (KJV / "heldout.txt").read_text()


def test_shipped_model():
    texts = [heldout(), heldout().replace("\n", "\r\n"), *TEXTS, "".join(TEXTS), *random_texts(300, 1)]
    check_folder("kjv-llama", KJV, texts)
    check_gguf("kjv-llama", KJV, texts)


def test_other_models():
    for preset in ("llama", "qwen2", "gpt2"):
        folder = fake(f"{preset}-tiny:fill=zero", f"count-{preset}")
        texts = [composed(t) for t in [heldout(), *TEXTS, *random_texts(300, 2)]]
        check_folder(preset, folder, texts)
        check_gguf(preset, folder, [t for t in texts if "'ſ" not in t])  # test_tokenizer.py: llama.cpp's own way


@functools.cache
def boundary_folder(name):
    tok, vocab = boundaries.tokenizer(name)
    folder = fake(f"llama-tiny:fill=zero,vocab={vocab}", f"count-boundaries-{name}")
    (folder / "tokenizer.json").write_text(json.dumps(tok))
    (folder / "tokenizer_config.json").write_text("{}")
    return folder


def new_punctuation(c):
    return unicodedata.category(c)[0] == "P" and unicodedata.ucd_3_2_0.category(c)[0] != "P"


def test_every_way_of_splitting():
    """With a vocabulary that shows every cut: boundaries.py."""
    for name in (*boundaries.RULES, *boundaries.MORE_RULES):
        texts = [*TEXTS, *random_texts(1500, 3)]
        if name == "falcon":  # the library knows punctuation by an older table than all else (unicode_categories)
            texts = ["".join(c for c in t if not new_punctuation(c)) for t in texts]
        check_folder(name, boundary_folder(name), texts)


def test_gguf_names_of_the_ways():
    for name in boundaries.RULES:
        texts = [t for t in [*TEXTS, *random_texts(500, 4)] if "ſ" not in t and "\u212a" not in t]
        check_gguf(name, boundary_folder(name), texts)


def test_every_character_splits_alike():
    for name in ("qwen2", "gpt-4o"):
        texts = ["|".join("a{0}a 1{0}1 !{0}! {0}{0}".format(chr(c)) for c in KNOWN[i:i + 64])
                 for i in range(0, len(KNOWN), 64)]
        check_folder(name, boundary_folder(name), texts)


def trained(normalizer, pre, **model):
    """BPE of characters, as what was made of a SentencePiece model."""
    tok = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", **model))
    if normalizer:
        tok.normalizer = normalizer
    if pre:
        tok.pre_tokenizer = pre
    bytes_ = [f"<0x{b:02X}>" for b in range(256)] if model.get("byte_fallback") else []
    lines = heldout().splitlines()
    tok.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=1200, special_tokens=["<unk>", "<s>", *bytes_],
                                                       show_progress=False))
    saved = json.loads(tok.to_str())
    saved["added_tokens"] = [t for t in saved["added_tokens"] if not t["content"].startswith("<0x")]
    return saved


def test_sentencepiece_as_json():
    marks = normalizers.Replace(" ", MARK)
    front = normalizers.Sequence([normalizers.Prepend(MARK), marks])
    ways = {
        "llama-2": (front, None, {"byte_fallback": True, "fuse_unk": True}),
        "gemma": (marks, pre_tokenizers.Split(" ", "merged_with_previous"), {"byte_fallback": True, "fuse_unk": True}),
        "unknown": (marks, None, {"fuse_unk": True}),
        "unknown-apart": (marks, None, {"fuse_unk": False}),
        "metaspace": (None, pre_tokenizers.Metaspace(split=True), {"byte_fallback": True}),
        "metaspace-never": (None, pre_tokenizers.Metaspace(prepend_scheme="never", split=False), {"byte_fallback": True}),
    }
    for name, (normalizer, pre, model) in ways.items():
        folder = WORK / f"count-{name}"
        folder.mkdir()
        (folder / "tokenizer.json").write_text(json.dumps(trained(normalizer, pre, **model)))
        check_folder(name, folder, [heldout(), *TEXTS, *random_texts(400, 5), "<s>x <s> y<s>", f"{MARK}a {MARK} b"])


def test_sentencepiece_as_gguf():
    folder = fake("mistral-tiny:fill=zero", "count-mistral")
    check_gguf("mistral", folder, [heldout(), *TEXTS, *random_texts(400, 6)])


def test_what_is_not_known_is_said():
    def refused(label, words, change):
        folder = WORK / f"refused-{label}"
        folder.mkdir()
        root = json.loads((KJV / "tokenizer.json").read_text())
        change(root)
        (folder / "tokenizer.json").write_text(json.dumps(root))
        done = subprocess.run([COUNT, str(folder)], input=b"", stderr=subprocess.PIPE, check=False)
        assert done.returncode == 1 and words in done.stderr.decode(), (label, done.stderr)

    def split(pattern):
        return lambda root: root.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]})

    refused("unigram", "Unigram", lambda root: root["model"].update(type="Unigram"))
    refused("lower", "Lowercase", lambda root: root.update(normalizer={"type": "Lowercase"}))
    refused("pre", "Whitespace", lambda root: root.update(pre_tokenizer={"type": "Whitespace"}))
    for label, pattern in (("property", r"\p{Nonsense}+"), ("open", "(a"), ("set", "[a"), ("back", r"\1"), ("deep", "(" * 300 + ")" * 300)):
        refused(label, "the pattern that splits text", split(pattern))
    # Squares of squares of a text are given up, and said.
    folder = WORK / "slow"
    folder.mkdir()
    root = json.loads((KJV / "tokenizer.json").read_text())
    split(r"a(?:a*a*)+cb")(root)
    (folder / "tokenizer.json").write_text(json.dumps(root))
    text = b"a" * 3000 + b"xcb"
    done = subprocess.run([COUNT, str(folder)], input=b"3003\n" + text, stdout=subprocess.PIPE, check=False)
    assert b"-" in done.stdout[:1] and b"pattern that splits text" in done.stdout, done.stdout


run_all(globals())
